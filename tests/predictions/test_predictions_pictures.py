from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from generators.tiny_hdf5 import tiny_hands
from PIL import Image

from handbench.errors import PredictionsError
from handbench.models.checkpoint import untrained_model
from handbench.predictions import pictures as module
from handbench.predictions.pictures import PicturesSeen, dataset_name, predict_pictures
from handbench.predictions.record import check_columns
from handbench.predictors.baseline import BaselinePredictor
from handbench.predictors.boxes import BoxFile
from handbench.predictors.interface import Hand, Predictor
from handbench.predictors.pictures import find_pictures


class Brightest:
    """All joints lie on the brightest pixel of what it sees; black holds no hand."""

    name = "brightest"
    input_size: int | None = 50
    whole_image = False

    def __init__(self, size: int | None = 50) -> None:
        self.input_size, self.whole_image = size, size is None
        self.batches: list[int] = []

    def describe(self) -> dict[str, Any]:
        return {"note": "of tests"}

    def __call__(self, images: Sequence[npt.NDArray[np.uint8]]) -> list[Hand | None]:
        self.batches.append(len(images))
        return [self._hand(image[..., 0].astype(int)) for image in images]

    def _hand(self, grey: npt.NDArray[np.int64]) -> Hand | None:
        if grey.max() < 50:
            return None
        ys, xs = np.nonzero(grey > 0.6 * grey.max())
        spot = [xs.mean(), ys.mean()]
        spread = np.linspace(-20, 20, 21)[:, None] if self.whole_image else np.zeros((21, 1))
        return Hand(spot + spread, np.full(21, 0.5), 0.5, is_right=True)


SPOTS = {"a": (40, 30), "b": (150, 100)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    photos = tmp_path / "photos"
    photos.mkdir()
    for name, (x, y) in SPOTS.items():
        image = np.zeros((120, 200, 3), np.uint8)
        image[y - 3 : y + 4, x - 3 : x + 4] = 250
        Image.fromarray(image).save(photos / f"{name}.png")
    return photos


def run(folder: Path, model: Predictor | None = None, **options: Any) -> PicturesSeen:
    return predict_pictures(
        model or Brightest(), find_pictures([folder]), dataset="photos", **options
    )


def test_points_are_in_the_picture_s_own_pixels(folder: Path) -> None:
    seen = run(folder)
    found = seen.predictions
    assert found.id.tolist() == ["a", "b"]
    assert (found.dataset, found.split, found.frame) == ("photos", "images", "source")
    assert found.keypoints is not None
    np.testing.assert_allclose(found.keypoints[:, 0], list(SPOTS.values()), atol=1.5)
    assert found.is_right is not None
    assert found.is_right.tolist() == [1, 1]
    assert found.model == {"name": "brightest", "note": "of tests"}
    assert found.input["box"] == "image"
    assert found.input["padding"] == 1.0
    assert set(found.input["ms_parts"]) == {"read", "crop", "model"}
    assert found.gt_used == ()
    assert [(h.width, h.height, h.box) for h in seen.hands] == [(200, 120, None)] * 2
    check_columns(found.columns(), "here")


def test_padding_counts_what_the_network_sees(folder: Path) -> None:
    model = dataclasses.replace(untrained_model(18, 32), box_factor=0.8)
    predictor = BaselinePredictor(model, "cpu")
    assert run(folder, predictor).predictions.input["padding"] == 0.8
    seen = run(folder, predictor, boxes=(30.0, 20.0, 20.0, 20.0), padding=1.25)
    assert seen.predictions.input["padding"] == 1.0


def test_boxes_of_a_file_are_looked_into(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "boxes.json"
    path.write_text('{"a": [[30, 20, 20, 20], [100, 50, 20, 20]], "b.png": [140, 90, 20, 20]}')
    seen = run(folder, boxes=BoxFile(path), padding=1.5)
    found = seen.predictions
    assert found.id.tolist() == ["a#0", "a#1", "b"]
    assert found.keypoints is not None
    # 30 px shown as 50: the spot comes back to a fraction of a pixel.
    np.testing.assert_allclose(found.keypoints[[0, 2], 0], list(SPOTS.values()), atol=0.5)
    assert np.isnan(found.keypoints[1]).all(), "nothing is in that box"
    assert found.input["box"] == "gt_annotation"
    assert found.input["padding"] == 1.5
    assert found.gt_used == ("box",)
    assert seen.hands[1].hand is None
    check_columns(found.columns(), "here")


def test_one_box_for_all(folder: Path) -> None:
    found = run(folder, boxes=(30.0, 20.0, 20.0, 20.0)).predictions
    assert found.keypoints is not None
    assert np.isnan(found.keypoints).all(axis=(1, 2)).tolist() == [False, True]


def test_a_detector_makes_the_box(folder: Path) -> None:
    Image.new("RGB", (200, 120)).save(folder / "nothing.png")
    model, detector = Brightest(), Brightest(None)
    seen = run(folder, model, detector=detector)
    found = seen.predictions
    assert found.keypoints is not None
    np.testing.assert_allclose(found.keypoints[:2, 0], list(SPOTS.values()), atol=1.0)
    assert np.isnan(found.keypoints[2]).all()
    assert found.input["box"] == "detector"
    assert found.input["detector"] == "brightest"
    assert found.gt_used == ()
    assert seen.hands[0].box == pytest.approx((20, 10, 40, 40), abs=1)
    assert seen.hands[2].box is None
    assert model.batches == [2], "what the detector did not find is not looked at"


def test_a_model_that_finds_hands_by_itself_gets_whole_pictures(folder: Path) -> None:
    found = run(folder, Brightest(None)).predictions
    assert found.keypoints is not None
    np.testing.assert_allclose(found.keypoints[:, 10], list(SPOTS.values()), atol=1e-9)


def test_pictures_that_cannot_be_read_stop_or_are_left_out(folder: Path) -> None:
    (folder / "aa.png").write_bytes(b"broken")
    with pytest.raises(PredictionsError, match=r"aa\.png.*--skip-bad leaves such pictures out"):
        run(folder)
    steps: list[int] = []
    seen = run(folder, skip_bad=True, advance=steps.append)
    assert seen.predictions.id.tolist() == ["a", "b"]
    assert len(seen.left_out) == 1
    assert sum(steps) == 3
    for path in folder.glob("[ab].png"):
        path.unlink()
    with pytest.raises(PredictionsError, match="none of 1 pictures can be read"):
        run(folder, skip_bad=True)


def test_large_pictures_are_not_all_in_memory(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = Brightest()
    run(folder, model)
    assert model.batches == [2]
    monkeypatch.setattr(module, "_MOST_PIXELS", 20_000)
    model = Brightest()
    run(folder, model)
    assert model.batches == [1, 1]


def test_every_picture_is_shown_to_who_draws(folder: Path) -> None:
    looked: list[tuple[str, tuple[int, ...], int]] = []
    run(folder, look=lambda p, image, hands: looked.append((p.id, image.shape, len(hands))))
    assert looked == [("a", (120, 200, 3), 1), ("b", (120, 200, 3), 1)]


def test_the_baseline_on_pictures_of_any_size(tmp_path: Path) -> None:
    images, _ = tiny_hands(2, 64, seed=0)
    Image.fromarray(images[0]).save(tmp_path / "a.png")
    Image.fromarray(images[1][:32]).save(tmp_path / "b.png")
    model = BaselinePredictor(untrained_model(18, 32), "cpu", decoding="argmax")
    found = run(tmp_path, model).predictions
    assert found.keypoints is not None
    # 64×64 shrinks to 32 px by 2; the 64×32 picture fills the middle of its square. The argmax
    # lies on cells of 4 px.
    cells = (found.keypoints + np.array([[[0.5, 0.5]], [[0.5, 16.5]]])) / 8 - 0.5
    np.testing.assert_allclose(cells, cells.round(), atol=1e-6)


def test_pictures_are_called_like_their_folder(tmp_path: Path) -> None:
    assert dataset_name([tmp_path]) == tmp_path.name
    assert dataset_name([tmp_path / "a.png"]) == "images"
    assert dataset_name([tmp_path, tmp_path / "a.png"]) == "images"
