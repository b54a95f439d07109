from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from generators.tiny_hdf5 import write_tiny

from handbench.errors import PredictionsError
from handbench.hdf5.reader import HandFile
from handbench.predictions.read import read_predictions
from handbench.scores.scoring import evaluate

XYZ = [[0.01 * joint, 0.005 * joint, 0.5] for joint in range(21)]


@pytest.fixture
def data(tmp_path: Path) -> HandFile:
    return HandFile(write_tiny(tmp_path / "tiny.h5", {"train": 2, "test": 6}))


def saved(folder: Path, document: Any, name: str = "pred.json") -> Path:
    (folder / name).write_text(json.dumps(document), "utf-8")
    return folder / name


def test_freihand_lists_take_ids_from_the_order_of_the_split(
    tmp_path: Path, data: HandFile
) -> None:
    verts = [[[0.0, 0.0, 0.5]] * 778] * 6
    read = read_predictions(saved(tmp_path, [[XYZ] * 6, verts]), data)
    assert read.id.tolist() == [f"test/{row:04d}" for row in range(6)]
    assert (read.dataset, read.split, read.name, read.keypoints) == ("tiny", "test", "pred", None)
    np.testing.assert_array_equal(read.keypoints_3d[0], XYZ)  # type: ignore[index]
    assert read.vertices is not None
    assert read.vertices.shape == (6, 778, 3)
    assert read_predictions(saved(tmp_path, [[XYZ] * 6, []]), data).vertices is None


@pytest.mark.parametrize(
    ("count", "message"),
    [
        (3, "3 predictions for 6 samples of tiny test: was every second one written"),
        (5, "5 predictions for 6 samples of tiny test: a list without ids must hold every"),
        (12, "12 predictions for 6 samples .* several splits or runs joined"),
    ],
)
def test_freihand_lists_of_another_length(
    tmp_path: Path, data: HandFile, count: int, message: str
) -> None:
    with pytest.raises(PredictionsError, match=message):
        read_predictions(saved(tmp_path, [[XYZ] * count, []]), data)


def test_freihand_lists_that_are_broken(tmp_path: Path, data: HandFile) -> None:
    with pytest.raises(PredictionsError, match="'xyz' to be a regular nesting of numbers"):
        read_predictions(saved(tmp_path, [[*[XYZ] * 5, XYZ[:20]], []]), data)
    with pytest.raises(PredictionsError, match=r"expected 'keypoints_3d' of shape \(6, 21, 3\)"):
        read_predictions(saved(tmp_path, [[XYZ[:20]] * 6, []]), data)
    with pytest.raises(PredictionsError, match=r"add --data FILE\.h5"):
        read_predictions(saved(tmp_path, [[XYZ] * 6, []]))


def coco(data: HandFile, image_id: Any, shift: float = 0.0, **changes: Any) -> dict[str, Any]:
    row = (
        data["test"].column("sample_id").tolist().index(image_id)
        if image_id in set(data["test"].column("sample_id").tolist())
        else 0
    )
    points = data["test"].source_keypoints_2d()[row] + shift
    flat = np.column_stack([points, np.full(21, 0.9)]).ravel().tolist()
    return {"image_id": image_id, "category_id": 1, "keypoints": flat, "score": 0.5, **changes}


def test_coco_results_take_the_best_hand_of_an_image(tmp_path: Path, data: HandFile) -> None:
    ids = data["test"].column("sample_id").tolist()
    rows = [coco(data, name) for name in ids[:4]]
    rows.insert(0, coco(data, ids[1], shift=30.0, score=0.2))
    rows.append(coco(data, "elsewhere"))
    path = saved(tmp_path, rows)
    read = read_predictions(path, data)
    assert len(read) == 5
    assert read.scores is not None
    assert (read.scores == 0.9).all()
    evaluation = evaluate(read, data, protocol="mmpose")
    assert evaluation.results[0].metrics["EPE[px]"].value == pytest.approx(0.0, abs=1e-9)
    assert evaluation.extra == ["elsewhere"]
    assert evaluation.missing == ids[4:]


def test_coco_results_that_are_broken(tmp_path: Path, data: HandFile) -> None:
    ids = data["test"].column("sample_id").tolist()
    body = coco(data, ids[0], keypoints=[0.0] * 51)
    with pytest.raises(PredictionsError, match=r"= 63 numbers .* found shape \(51,\): are these"):
        read_predictions(saved(tmp_path, [body]), data)
    with pytest.raises(PredictionsError, match="'image_id' and 'keypoints' in entry 1"):
        read_predictions(saved(tmp_path, [coco(data, ids[0]), {"image_id": 3}]), data)


def test_a_list_of_something_else(tmp_path: Path, data: HandFile) -> None:
    with pytest.raises(PredictionsError, match="found a list of 3 entries of another kind"):
        read_predictions(saved(tmp_path, [1, 2, 3]), data)


def test_a_list_needs_a_split_that_can_be_guessed(tmp_path: Path) -> None:
    file = HandFile(write_tiny(tmp_path / "two.h5", {"train": 2, "val": 2}))
    with pytest.raises(PredictionsError, match="no split 'test' but train, val"):
        read_predictions(saved(tmp_path, [[XYZ] * 2, []]), file)
