from __future__ import annotations

import numpy as np
import pytest

from handbench.errors import PredictionsError
from handbench.predictions.spatial import check_size, frame_of, to_opencv_metres

RNG = np.random.default_rng(0)
HANDS = RNG.uniform(-0.06, 0.06, (200, 21, 3)) + np.array([0.0, 0.0, 0.6])
IDS = np.array([f"{row}" for row in range(200)])


def test_units_and_axes() -> None:
    assert to_opencv_metres(HANDS) is HANDS
    given = np.array([[1000.0, -2000.0, -3000.0]])
    np.testing.assert_array_equal(to_opencv_metres(given, "mm", "opengl"), [[1.0, 2.0, 3.0]])
    np.testing.assert_array_equal(to_opencv_metres(given, "mm"), [[1.0, -2.0, -3.0]])
    np.testing.assert_array_equal(
        to_opencv_metres(given, axes="opengl"), [[1000.0, 2000.0, 3000.0]]
    )


def test_hands_of_usual_size_pass() -> None:
    missed = HANDS.copy()
    missed[3] = np.nan
    for points in (
        HANDS,
        missed,
        np.full_like(HANDS, np.nan),
        np.zeros_like(HANDS),
        HANDS[:0],
        None,
    ):
        check_size("keypoints_3d", points, IDS, "m", "f")


def test_a_slip_of_a_network_is_no_other_unit() -> None:
    one = HANDS.copy()
    one[3] *= 1000
    check_size("keypoints_3d", one, IDS, "m", "f")


def test_other_units_are_refused() -> None:
    with pytest.raises(PredictionsError, match=r'^f: .*look like mm, so set "unit": "mm" or'):
        check_size("keypoints_3d", 1000 * HANDS, IDS, "m", "f")
    with pytest.raises(PredictionsError, match="look like m, so use --assume unit=m or"):
        check_size("keypoints_3d", HANDS / 1000, IDS, "mm", "f", declared=False)
    mixed = HANDS.copy()
    mixed[150:] *= 1000
    with pytest.raises(
        PredictionsError, match=r"in one unit, found 50 of 200 hands .* \(first: id '150'\) and the"
    ):
        check_size("vertices", mixed, IDS, "m", "f")


def test_frames() -> None:
    assert frame_of(HANDS, None) == ("camera", ())
    assert frame_of(np.zeros_like(HANDS), None) == ("camera", ())
    centred = HANDS - HANDS[:, :1]
    frame, notes = frame_of(centred, centred)
    assert (frame, len(notes)) == ("root:wrist", 1)
    # A hand that was not found, or fell onto one point, says nothing.
    centred[5], centred[6] = np.nan, 0.0
    assert frame_of(centred, None)[0] == "root:wrist"
    # One hand at the origin by chance does not make all of them relative.
    by_chance = HANDS.copy()
    by_chance[0] -= by_chance[0, 0]
    assert frame_of(by_chance, None) == ("camera", ())
