from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from handbench.predictors.jitter import BoxJitter, overlap

IDS = [f"test/{number:04d}" for number in range(400)]
BOXES = np.tile([10.0, 20.0, 40.0, 30.0], (400, 1))


@given(amount=st.floats(0.01, 1.5), seed=st.integers(0, 9))
def test_centres_and_sides_stay_within_the_amount(amount: float, seed: int) -> None:
    moved = BoxJitter(amount, seed).apply(BOXES, IDS)
    middle = moved[:, :2] + moved[:, 2:] / 2
    away = np.abs(middle - [30.0, 35.0]) / 40.0  # of the longer side
    assert away.max() <= amount + 1e-9
    assert away.max() > 0.95 * amount  # it is used
    factor = moved[:, 2:] / BOXES[:, 2:]
    np.testing.assert_allclose(factor[:, 0], factor[:, 1])  # the shape stays
    assert factor.min() >= 1 / (1 + amount) - 1e-9
    assert factor.max() <= 1 + amount + 1e-9
    assert abs(np.log(factor).mean()) < 0.15 * np.log1p(amount)  # no drift


def test_a_hand_moves_the_same_way_alone_and_among_others() -> None:
    jitter = BoxJitter(0.3, 7)
    whole = jitter.apply(BOXES, IDS)
    np.testing.assert_array_equal(jitter.apply(BOXES[9:10], IDS[9:10]), whole[9:10])
    assert not np.allclose(BoxJitter(0.3, 8).apply(BOXES, IDS), whole)
    np.testing.assert_allclose(BoxJitter(0.0, 7).apply(BOXES, IDS), BOXES)


def test_more_is_further_the_same_way() -> None:
    near, far = (BoxJitter(f).apply(BOXES, IDS) for f in (0.1, 0.2))
    shift = [m[:, :2] + m[:, 2:] / 2 - [30.0, 35.0] for m in (near, far)]
    np.testing.assert_allclose(shift[1], 2 * shift[0])
    assert (overlap(BOXES, far) < overlap(BOXES, near)).mean() > 0.95


def test_overlap_is_intersection_over_union() -> None:
    one = [[0, 0, 2, 2]] * 3
    others = [[0, 0, 2, 2], [1, 0, 2, 2], [5, 5, 1, 1]]
    np.testing.assert_allclose(overlap(one, others), [1, 1 / 3, 0])
