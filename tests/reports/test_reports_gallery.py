from __future__ import annotations

import dataclasses

import numpy as np
from scored_models import scored

from handbench.camera import transform_points
from handbench.hdf5.reader import HandFile
from handbench.reports.gallery import Gallery, compare


def test_captions_tell_id_error_and_side(tiny: HandFile) -> None:
    errors = scored(tiny, shift=3.0, missing=1).errors
    missed, found = Gallery(tiny, "test", photos=True).thumbnails(errors, [0, 5])
    assert (missed.error_px, missed.share_of_hand) == (None, None)
    assert missed.alternative == "Sample test/0000, left hand: the truth; no prediction."
    assert (found.sample_id, found.side) == ("test/0005", "right")
    assert found.error_px is not None
    assert abs(found.error_px - 3.0) < 1e-9
    assert found.share_of_hand is not None
    assert abs(found.share_of_hand - 3.0 / errors.tight_px[5]) < 1e-9
    assert "prediction over truth, mean error 3.0 px" in found.alternative


def test_rows_that_the_file_does_not_hold_are_left_out(tiny: HandFile) -> None:
    errors = scored(tiny).errors
    names = errors.sample_id.astype("<U20").copy()
    names[3] = "elsewhere"
    moved = dataclasses.replace(errors, sample_id=names)
    drawn = Gallery(tiny, "test", photos=False).thumbnails(moved, [2, 3])
    assert [thumbnail.sample_id for thumbnail in drawn] == ["test/0002"]


def test_source_predictions_land_on_the_stored_picture(tiny: HandFile) -> None:
    # A perfect prediction in source px, mapped by `crop`, must cover the truth of the stored image.
    errors = scored(tiny, shift=0.0).errors
    sample = tiny["test"][4]
    mapped = transform_points(sample.crop, errors.keypoints_px[4])
    np.testing.assert_allclose(mapped, sample.keypoints_2d, atol=1e-9)


def test_a_wild_prediction_does_not_shrink_the_hand() -> None:
    truth = np.stack([np.linspace(80, 140, 21), np.linspace(140, 80, 21)], axis=1)
    valid = np.ones(21, bool)
    picture = np.zeros((400, 400, 3), np.uint8)

    def span(prediction: np.ndarray | None) -> int:
        drawn = compare(picture, prediction, truth, valid)
        white = (drawn > 250).all(axis=2).nonzero()[1]
        return int(np.ptp(white))

    wild = truth + np.array([0.0, 8.0])
    wild[20] = [1e7, -1e7]
    assert span(wild) > 0.3 * span(None)


def test_no_label_at_all_shows_the_whole_picture() -> None:
    picture = np.full((100, 60, 3), 40, np.uint8)
    nothing = np.full((21, 2), np.nan)
    drawn = compare(picture, None, nothing, np.zeros(21, bool), size=100)
    assert drawn.shape == (100, 100, 3)
    assert (drawn[:, 45:55] == 40).all()


def test_pictures_side_by_side_show_the_same_part() -> None:
    truth = np.stack([np.linspace(150, 210, 21), np.linspace(210, 150, 21)], axis=1)
    valid = np.ones(21, bool)
    x = np.arange(400, dtype=np.uint16)
    picture = np.broadcast_to(
        (x[None, :, None] * 255 // 400).astype(np.uint8), (400, 400, 3)
    ).copy()

    def edges(prediction: np.ndarray, follow: bool) -> tuple[int, int]:
        drawn = compare(picture, prediction, truth, valid, follow=follow)
        return int(drawn[2, 0, 0]), int(drawn[2, -1, 0])

    assert edges(truth, follow=False) == edges(truth + 40.0, follow=False)
    assert edges(truth, follow=True) != edges(truth + 40.0, follow=True)
