from __future__ import annotations

import json
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from handbench.errors import HandbenchError, PredictionsError
from handbench.hdf5.reader import HandFile
from handbench.predictions.pred_json import write_pred_json
from handbench.predictions.read import read_predictions
from handbench.predictions.record import Predictions


@pytest.fixture
def data(freihand_file: Path) -> HandFile:
    return HandFile(freihand_file)


@pytest.fixture
def predictions(data: HandFile) -> Predictions:
    """The truth, in another order than the file's."""
    split = data["test"]
    order = np.arange(len(split))[::-1]
    return Predictions(
        dataset=data.dataset,
        split="test",
        model={"name": "truth"},
        id=split.column("sample_id")[order],
        keypoints=None,
        keypoints_3d=split.column("keypoints_3d").astype(np.float64)[order],
        vertices=split.column("vertices")[order],
    )


@pytest.mark.parametrize("name", ["pred.json", "pred.zip"])
def test_what_is_written_is_read_again(
    data: HandFile, predictions: Predictions, tmp_path: Path, name: str
):
    notes = write_pred_json(predictions, data, tmp_path / name)
    assert notes == []
    again = read_predictions(tmp_path / name, data)
    assert np.array_equal(again.id, data["test"].column("sample_id"))
    assert np.array_equal(again.keypoints_3d, predictions.keypoints_3d[::-1])
    assert np.array_equal(again.vertices.astype(np.float32), predictions.vertices[::-1])
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_the_layout_is_two_lists(data: HandFile, predictions: Predictions, tmp_path: Path):
    write_pred_json(predictions, data, tmp_path / "pred.json")
    write_pred_json(predictions, data, tmp_path / "pred.zip")
    xyz, verts = json.loads((tmp_path / "pred.json").read_text())
    assert np.shape(xyz) == (8, 21, 3)
    assert np.shape(verts) == (8, 778, 3)
    with zipfile.ZipFile(tmp_path / "pred.zip") as archive:
        assert archive.namelist() == ["pred.json"]
        assert archive.read("pred.json") == (tmp_path / "pred.json").read_bytes()


def test_missed_hands_and_absent_meshes_are_zeros(
    data: HandFile, predictions: Predictions, tmp_path: Path
):
    points = predictions.keypoints_3d.copy()
    points[6] = np.nan  # sample 1 of 8
    missing = replace(
        predictions,
        id=np.array([*predictions.id[:7], "somebody else"]),
        keypoints_3d=points,
        vertices=None,
    )
    notes = write_pred_json(missing, data, tmp_path / "pred.json")
    assert [note.split(":")[0] for note in notes] == [
        "2 of 8 hands are not predicted and written as zeros",
        "1 ids are not in test and left out",
        "no mesh is predicted",
    ]
    xyz, verts = map(np.array, json.loads((tmp_path / "pred.json").read_text()))
    assert not xyz[:2].any()
    assert np.array_equal(xyz[2:], points[5::-1])
    assert verts.shape == (8, 778, 3)
    assert not verts.any()


def test_relative_joints_are_pointed_out(data: HandFile, predictions: Predictions, tmp_path: Path):
    relative = replace(predictions, frame_3d="root:wrist")
    notes = write_pred_json(relative, data, tmp_path / "pred.json")
    assert "root:wrist" in notes[0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dataset": "rhd"}, "predicts rhd test, but .* holds freihand-subset"),
        ({"split": "dev"}, r"freihand-subset \(train, val, test\)"),
        ({"keypoints_3d": None}, "expected 3D joints, found none"),
        ({"id": np.array(["evaluation/00000003"] * 8)}, r"7 ids again \(evaluation/00000003\)"),
    ],
)
def test_what_does_not_fit_is_refused(
    data: HandFile, predictions: Predictions, tmp_path: Path, changes: dict, message: str
):
    with pytest.raises(PredictionsError, match=message):
        write_pred_json(replace(predictions, **changes), data, tmp_path / "pred.json")
    assert not list(tmp_path.iterdir())


def test_3d_of_turned_crops_is_refused(freihand_dir: Path, tmp_path: Path):
    from handbench.hdf5.convert import ConvertSettings, convert
    from handbench.sources import freihand, manifest

    source = freihand.open_source(freihand_dir, manifest.load("freihand"))
    settings = ConvertSettings(size=32, splits=("test",), perspective=True)
    with HandFile(convert(source, tmp_path / "a.h5", settings).path) as file:
        split = file["test"]
        stored = Predictions(
            file.dataset,
            "test",
            {"name": "m"},
            split.column("sample_id"),
            None,
            keypoints_3d=split.column("keypoints_3d").astype(np.float64),
            frame="stored",
            crop_sha256=split.crop_sha256(),
        )
        with pytest.raises(PredictionsError, match="turned or mirrored"):
            write_pred_json(stored, file, tmp_path / "pred.json")


def test_files_are_not_overwritten_unless_told_to(
    data: HandFile, predictions: Predictions, tmp_path: Path
):
    out = tmp_path / "pred.json"
    out.write_text("mine")
    with pytest.raises(PredictionsError, match="pass --overwrite"):
        write_pred_json(predictions, data, out)
    assert out.read_text() == "mine"
    write_pred_json(predictions, data, out, overwrite=True)
    assert out.read_text().startswith("[[")
    with pytest.raises(PredictionsError, match=r"\.json or \.zip"):
        write_pred_json(predictions, data, tmp_path / "pred.txt")


def test_a_full_disk_leaves_nothing(
    data: HandFile, predictions: Predictions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def fail(*_: object, **__: object) -> bytes:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("handbench.predictions.pred_json.to_json", fail)
    for name in ("pred.json", "pred.zip"):
        with pytest.raises(HandbenchError, match="No space left on device; nothing of it was kept"):
            write_pred_json(predictions, data, tmp_path / name)
    assert not list(tmp_path.iterdir())
