from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from generators.tiny_hdf5 import tiny_hands, write_tiny
from PIL import Image

from handbench.errors import FormatError, PredictionsError, TrainError
from handbench.hdf5.reader import HandFile
from handbench.models.checkpoint import TrainedModel, save_model, untrained_model
from handbench.predictions.record import check_columns
from handbench.predictions.run import find_images, open_model, predict_images, predict_split
from handbench.predictions.write import write_predictions


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


def test_the_header_says_how_it_was_made(data: Path, model: TrainedModel, tmp_path: Path) -> None:
    found = predict_split(model, data, "test", device="cpu", flip_test=True)
    header = found.header()
    assert (header["dataset"], header["split"], header["frame"]) == ("tiny", "test", "source")
    assert header["model"]["params"] == 15_377_749
    assert header["model"]["training_data"] == []
    assert header["input"].pop("ms_per_image") > 0
    assert header["input"] == {"box": "gt_annotation", "padding": 1.5, "tta": "flip"}
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


@pytest.mark.parametrize("name", ["net.onnx", "mediapipe", "package.module:function"])
def test_models_of_other_kinds_are_refused_in_words(name: str) -> None:
    with pytest.raises(TrainError, match="cannot be run by this version: it runs its own baseline"):
        open_model(name)


def test_a_missing_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainError, match="run directory, a checkpoint or `untrained`, found noth"):
        open_model(str(tmp_path / "none"))


def test_the_untrained_network_is_named_so() -> None:
    assert open_model("untrained").name == "untrained ResNet-18"


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    images, _ = tiny_hands(2, 64, seed=0)
    Image.fromarray(images[0]).save(folder / "b.png")
    Image.fromarray(images[1][:32]).save(folder / "more" / "a.PNG")
    (folder / "notes.txt").write_text("no picture")
    return folder


def test_plain_pictures_of_any_size_are_predicted(pictures: Path, model: TrainedModel) -> None:
    found = predict_images(model, pictures, device="cpu", decoding="argmax")
    assert found.id.tolist() == ["b", "more/a"]
    assert (found.dataset, found.split) == ("photos", "images")
    assert found.input["box"] == "image"
    assert found.gt_used == ()
    assert found.keypoints is not None
    # 64×64 shrinks to 32 px by 2; the 64×32 picture fills the middle of its square.
    cells = (found.keypoints + np.array([[[0.5, 0.5]], [[0.5, 16.5]]])) / 8 - 0.5
    np.testing.assert_allclose(cells, cells.round(), atol=1e-6)


def test_exif_orientation_is_applied_first(tmp_path: Path, model: TrainedModel) -> None:
    images, _ = tiny_hands(1, 64, seed=0)
    upright = Image.fromarray(images[0][:, :48])
    upright.save(tmp_path / "upright.png")
    turned = upright.transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6  # "rotate 90° clockwise to see it upright"
    turned.save(tmp_path / "turned.png", exif=exif)
    found = predict_images(model, tmp_path, device="cpu")
    assert found.keypoints is not None
    np.testing.assert_allclose(found.keypoints[0], found.keypoints[1], atol=1e-3)


def test_folders_without_usable_pictures_are_refused(
    tmp_path: Path, pictures: Path, model: TrainedModel
) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(PredictionsError, match=r"expected pictures .* found none"):
        find_images(tmp_path / "empty")
    Image.new("RGB", (8, 8)).save(pictures / "b.jpg")
    with pytest.raises(PredictionsError, match="would both have the id 'b': rename one"):
        find_images(pictures)
    (pictures / "b.jpg").unlink()
    (pictures / "c.jpg").write_bytes(b"no jpeg")
    with pytest.raises(PredictionsError, match=r"the picture .*c\.jpg cannot be read"):
        predict_images(model, pictures, device="cpu")
