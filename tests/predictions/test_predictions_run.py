from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from generators.tiny_hdf5 import write_tiny

from handbench.errors import FormatError
from handbench.hdf5.reader import HandFile
from handbench.models.checkpoint import TrainedModel, save_model, untrained_model
from handbench.models.looks import Looks
from handbench.predictions.record import check_columns
from handbench.predictions.run import predict_split
from handbench.predictions.write import write_predictions
from handbench.predictors.interface import Hand
from handbench.predictors.jitter import BoxJitter


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("run") / "tiny.h5"
    return write_tiny(path, {"test": 6}, size=64, source_scale=2.0)


@pytest.fixture(scope="module")
def model() -> TrainedModel:
    return untrained_model(18, 32)


def test_keypoints_are_in_source_pixels(data: Path, model: TrainedModel) -> None:
    found = predict_split(model, data, device="cpu", decoding="argmax")
    # The argmax of a 32 px network lies on cells of 4 px, 8 stored px apart, 16 source px apart.
    assert found.keypoints is not None
    with HandFile(data) as file:
        crop = file["test"].column("crop")[0]
    stored = found.keypoints * crop[0, 0] + crop[:2, 2]
    cells = (stored + 0.5) / 8 - 0.5
    np.testing.assert_allclose(cells, cells.round(), atol=1e-6)
    assert cells.min() >= 0
    assert cells.max() <= 7


@pytest.mark.parametrize(
    ("looks", "words"),
    [
        (Looks(), "none"),
        (Looks(views=True), "views"),
        (Looks(flip=True, views=True), "flip+views"),
        (Looks(sides=True), "sides"),
    ],
)
def test_the_header_names_what_was_looked_at(
    data: Path, model: TrainedModel, looks: Looks, words: str
) -> None:
    found = predict_split(model, data, "test", device="cpu", looks=looks)
    assert found.header()["input"]["tta"] == words
    # What nobody says is as the model was trained to be used.
    own = predict_split(replace(model, looks=looks), data, "test", device="cpu")
    np.testing.assert_array_equal(own.keypoints, found.keypoints)
    assert own.header()["input"]["tta"] == words


def test_the_header_says_how_it_was_made(data: Path, model: TrainedModel, tmp_path: Path) -> None:
    found = predict_split(model, data, "test", device="cpu", looks=Looks(flip=True))
    header = found.header()
    assert (header["dataset"], header["split"], header["frame"]) == ("tiny", "test", "source")
    assert header["model"]["params"] == 15_377_749
    assert header["model"]["training_data"] == []
    saw, took = dict(list(header["input"].items())[:4]), dict(list(header["input"].items())[4:])
    assert saw == {"box": "gt_annotation", "padding": 1.5, "image": "stored", "tta": "flip"}
    assert took["ms_per_image"] == took["ms_parts"]["model"] > 0
    assert took["ms_p50"] <= took["ms_p90"] <= took["ms_p99"]
    assert took["batch_size"] == 6
    assert header["gt_used"] == ["box"]
    with HandFile(data) as file:
        assert found.id.tolist() == file["test"].column("sample_id").tolist()
    check_columns(found.columns(), "here")
    for name in ("p.json", "p.npz"):
        write_predictions(found, tmp_path / name)
        assert (tmp_path / name).exists()


def test_scores_are_heatmap_peaks_in_0_to_1(data: Path, model: TrainedModel) -> None:
    found = predict_split(model, data, device="cpu")
    assert found.scores is not None
    assert found.scores.shape == (6, 21)
    assert found.scores.min() >= 0
    assert found.scores.max() <= 1
    np.testing.assert_allclose(found.score, found.scores.mean(axis=1))


def test_batches_and_a_saved_model_change_nothing(
    data: Path, model: TrainedModel, tmp_path: Path
) -> None:
    save_model(tmp_path / "best.pt", model)
    whole = predict_split(model, data, device="cpu", decoding="argmax")
    parts = predict_split(tmp_path, data, device="cpu", decoding="argmax", batch_size=4)
    np.testing.assert_array_equal(whole.keypoints, parts.keypoints)


def test_an_unknown_split_is_refused(data: Path, model: TrainedModel) -> None:
    with pytest.raises(FormatError, match="no split 'val'; it has test"):
        predict_split(model, data, "val")


@dataclass
class Centre:
    """Finds every joint in the middle of the picture; every third picture has no hand."""

    name: str = "centre"
    input_size: int | None = 32
    whole_image: bool = False
    frame_3d: str = "root:centre"
    seen: list[tuple[int, ...]] = field(default_factory=list)
    batches: list[int] = field(default_factory=list)

    def describe(self) -> dict[str, Any]:
        return {"name": self.name, "training_data": [], "note": "a test"}

    def __call__(self, images: Sequence[np.ndarray]) -> list[Hand | None]:
        self.batches.append(len(images))
        hands: list[Hand | None] = []
        for image in images:
            self.seen.append(image.shape)
            middle = (np.array(image.shape[1::-1]) - 1) / 2
            hand = Hand(
                keypoints=np.tile(middle, (21, 1)),
                scores=np.full(21, np.nan),
                score=0.5,
                is_right=True,
                keypoints_3d=np.full((21, 3), 1000.0),
            )
            hands.append(None if len(self.seen) % 3 == 0 else hand)
        return hands


def test_any_predictor_is_run_over_the_stored_images(data: Path, tmp_path: Path) -> None:
    predictor = Centre()
    found = predict_split(predictor, data, batch_size=4)
    assert predictor.batches == [4, 2]
    assert set(predictor.seen) == {(32, 32, 3)}
    assert found.keypoints is not None
    assert found.keypoints_3d is not None
    assert found.is_right is not None
    missed = np.isnan(found.keypoints).all(axis=(1, 2))
    assert missed.tolist() == [False, False, True] * 2
    with HandFile(data) as file:
        crop = file["test"].column("crop")[0]
    # The middle of 64 stored px, in the source.
    middle = (31.5 - crop[:2, 2]) / crop[0, 0]
    np.testing.assert_allclose(found.keypoints[~missed], np.tile(middle, (4, 21, 1)))
    np.testing.assert_allclose(found.keypoints_3d[~missed], 1.0)  # mm → m
    assert found.is_right.tolist() == [1, 1, -1, 1, 1, -1]
    assert found.scores is None
    header = found.header()
    assert header["frame_3d"] == "root:centre"
    assert header["input"]["box"] == "gt_annotation"
    assert set(header["input"]["ms_parts"]) == {"read", "crop", "model"}
    write_predictions(found, tmp_path / "p.json")


def test_a_model_that_finds_hands_itself_gets_images_one_by_one(data: Path) -> None:
    predictor = Centre(input_size=None, whole_image=True)
    predict_split(predictor, data, batch_size=4)
    assert predictor.batches == [1] * 6
    assert set(predictor.seen) == {(64, 64, 3)}


def test_sides_and_axes_of_mirrored_images_come_back(tmp_path: Path) -> None:
    import h5py

    path = write_tiny(tmp_path / "m.h5", {"test": 2}, size=32)
    with h5py.File(path, "r+") as file:
        file["test/mirrored"][:] = [1, 0]
        file["test/crop"][0] = np.diag([-1.0, 1, 1]) @ file["test/crop"][0]
    found = predict_split(Centre(), path)
    assert found.is_right is not None
    assert found.keypoints_3d is not None
    assert found.is_right.tolist() == [0, 1]
    np.testing.assert_allclose(found.keypoints_3d[:, 0], [[-1, 1, 1], [1, 1, 1]])


def test_moved_boxes_are_said_and_move_what_is_seen(data: Path) -> None:
    straight = predict_split(Centre(), data)
    moved = predict_split(Centre(), data, jitter=BoxJitter(0.2, seed=1))
    again = predict_split(Centre(), data, jitter=BoxJitter(0.2, seed=1), batch_size=1)
    assert moved.keypoints is not None
    assert straight.keypoints is not None
    np.testing.assert_array_equal(moved.keypoints, again.keypoints)
    away = np.abs(moved.keypoints - straight.keypoints)
    # Boxes of 64 px move by at most 0.2 · 64 stored px, two source px each.
    assert 0 < np.nanmin(away) < np.nanmax(away) <= 0.2 * 64 * 2
    jitter = moved.input["jitter"]
    assert (jitter["amount"], jitter["seed"]) == (0.2, 1)
    assert 0.3 < jitter["mean_iou"] < 1
    assert "jitter" not in straight.input


def test_the_baseline_can_be_given_another_padding(data: Path, model: TrainedModel) -> None:
    found = predict_split(model, data, device="cpu", padding=2.0)
    assert found.input["padding"] == 2.0
    plain = predict_split(model, data, device="cpu", padding=1.0)
    whole = predict_split(model, data, device="cpu")
    assert plain.keypoints is not None
    # The tiny box is the whole stored image: the general way and the loader's are one.
    assert whole.keypoints is not None
    assert np.median(np.abs(plain.keypoints - whole.keypoints)) < 8
