from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from generators.scored import SIZE, make_predictions, make_truth

from handbench.camera import transform_points
from handbench.scores.evidence import Hands, Repair, find, pixels, sampled
from handbench.scores.matching import Matched, match
from handbench.scores.slips_2d import normalised, pixel_repairs

TRUTH = make_truth(30)


def sample_of(points: np.ndarray, truth: Any = TRUTH, **header: Any) -> tuple[Matched, Hands]:
    predictions = make_predictions(truth, 0.0, keypoints=points, keypoints_3d=None, **header)
    sample = sampled(match(predictions, truth))
    hands = pixels(sample)
    assert hands is not None
    return sample, hands


def repairs_of(points: np.ndarray, **header: Any) -> list[Repair]:
    return pixel_repairs(*sample_of(points, **header))


STORED: dict[str, Any] = {"frame": "stored", "crop_sha256": TRUTH.crop_sha256}


# --- 0 to 1 ---------------------------------------------------------------------------------------


def test_normalised_pixels_are_told_with_both_ranges() -> None:
    said = normalised(*sample_of((TRUTH.keypoints + 0.5) / SIZE))
    assert said is not None
    assert "normalised to the image (0 to 1)" in said
    low, high = np.quantile(TRUTH.keypoints, [0.005, 0.995])
    assert f"expected pixels such as the truth's {low:.0f} to {high:.0f}" in said
    assert "multiply x by its width and y by its height" in said
    said = normalised(*sample_of((TRUTH.keypoints + 0.5) / (SIZE / 2) - 1))
    assert said is not None
    assert "(-1 to 1)" in said
    assert "(x + 1) / 2 times its width" in said


def test_normalised_crops_are_compared_with_stored_pixels() -> None:
    stored = transform_points(TRUTH.crop, TRUTH.keypoints)
    said = normalised(*sample_of((stored + 0.5) / (SIZE / 2), **STORED))
    assert said is not None
    low, high = np.quantile(stored, [0.005, 0.995])
    assert f"the truth's {low:.0f} to {high:.0f}" in said


def test_pixels_points_and_tiny_hands_are_not_normalised() -> None:
    assert normalised(*sample_of(TRUTH.keypoints)) is None
    collapsed = 0.5 + 1e-4 * TRUTH.keypoints / SIZE
    assert normalised(*sample_of(collapsed)) is None
    tiny = replace(TRUTH, keypoints=TRUTH.keypoints / 100)
    assert normalised(*sample_of(tiny.keypoints, tiny)) is None


# --- repairs --------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", [(200.0, 200.0), (640.0, 480.0)])
@pytest.mark.parametrize(
    ("exchange", "flips", "what"),
    [
        (False, (0,), "mirrored left to right"),
        (False, (1,), "upside down, y counted from the bottom"),
        (False, (0, 1), "turned by 180°"),
        (True, (), "written with y before x"),
        (True, (0,), "turned by 90°"),
        (True, (1,), "turned by 90°"),
    ],
)
def test_a_turned_image_is_turned_back_whatever_its_size(
    exchange: bool, flips: tuple[int, ...], what: str, side: tuple[float, float]
) -> None:
    points = TRUTH.keypoints.copy()
    for axis in flips:
        points[..., axis] = side[axis] - 1 - points[..., axis]
    points = points[..., ::-1] if exchange else points
    found = find(sample_of(points)[1], repairs_of(points))
    assert found is not None
    assert found.repair.what == what
    assert found.repair.points == pytest.approx(TRUTH.keypoints)
    assert found.after == pytest.approx(0, abs=1e-9)


def test_an_image_turned_in_its_crop() -> None:
    """Crops that follow each hand: only in the stored image one flip fits all."""
    crop = TRUTH.crop.copy()
    crop[:, :2, 2] -= np.random.default_rng(0).uniform(0, 300, (30, 2))
    truth = replace(TRUTH, crop=crop)
    stored = transform_points(crop, truth.keypoints)
    stored[..., 0] = 99 - stored[..., 0]
    points = transform_points(np.linalg.inv(crop), stored)
    sample, hands = sample_of(points, truth)
    found = find(hands, pixel_repairs(sample, hands))
    assert found is not None
    assert found.repair.what == "mirrored left to right"
    assert found.after == pytest.approx(0, abs=1e-6)


def test_frames_taken_for_one_another() -> None:
    stored = transform_points(TRUTH.crop, TRUTH.keypoints)
    first, *_ = repairs_of(stored)
    assert first.what == "pixels of the stored crop"
    assert first.points == pytest.approx(TRUTH.keypoints)
    first, *_ = repairs_of(TRUTH.keypoints, **STORED)
    assert first.what == "pixels of the source image, though declared as stored"
    assert first.advice == 'set "frame": "source"'
    assert first.points == pytest.approx(TRUTH.keypoints)


@pytest.mark.parametrize("factor", [0.25, 1.5, 4.0])
def test_resized_images_are_brought_back_with_pixel_centres_at_integers(factor: float) -> None:
    for points, header, where in (
        (TRUTH.keypoints, {}, "source"),
        (transform_points(TRUTH.crop, TRUTH.keypoints), STORED, "stored"),
    ):
        resized = repairs_of(factor * (points + 0.5) - 0.5, **header)
        (repair,) = (r for r in resized if r.what == f"pixels of the {where} image at another size")
        assert repair.points == pytest.approx(TRUTH.keypoints)
        assert f"multiply them by about {1 / factor:.3g} " in repair.advice
        assert ('"frame": "stored"' in repair.advice) == (where == "stored")


def test_no_factor_where_place_and_size_disagree_or_all_is_well() -> None:
    stored = transform_points(TRUTH.crop, TRUTH.keypoints)
    assert not any("stored image at another size" in r.what for r in repairs_of(stored, **STORED))
    centre = TRUTH.keypoints.mean(axis=1, keepdims=True)
    large = centre + 3 * (TRUTH.keypoints - centre)
    elsewhere = TRUTH.keypoints + 400.0
    for points in (large, elsewhere, 1.05 * TRUTH.keypoints, -TRUTH.keypoints):
        assert not any("source image at another size" in r.what for r in repairs_of(points))


def test_points_are_not_repaired() -> None:
    centre = TRUTH.keypoints.mean(axis=1, keepdims=True)
    assert repairs_of(centre + 0.01 * (TRUTH.keypoints - centre)) == []


def test_unlabelled_joints_do_not_matter() -> None:
    valid = TRUTH.valid.copy()
    valid[:, 3] = False
    labelled = np.where(valid[..., None], TRUTH.keypoints, np.nan)
    truth = replace(TRUTH, keypoints=labelled, valid=valid)
    mirrored = TRUTH.keypoints.copy()
    mirrored[..., 0] = 199 - mirrored[..., 0]
    sample, hands = sample_of(mirrored, truth)
    found = find(hands, pixel_repairs(sample, hands))
    assert found is not None
    assert found.repair.what == "mirrored left to right"
