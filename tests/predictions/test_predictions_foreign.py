from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
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


def with_columns(data: HandFile, **columns: list[str]) -> HandFile:
    """The file with further text columns in its split ``test``."""
    data.close()
    with h5py.File(data.path, "r+") as file:
        for name, values in columns.items():
            file["test"].create_dataset(name, data=[value.encode() for value in values])
    return HandFile(data.path)


def test_coco_results_are_found_by_the_ids_of_the_coco_file(tmp_path: Path, data: HandFile) -> None:
    # Photos are called like the ids of other photos, as in a dataset with shuffled ids.
    data = with_columns(
        data, native_image_id=list("210345"), image_id=[f"{row}" for row in range(6)]
    )
    ids = data["test"].column("sample_id").tolist()
    points = data["test"].source_keypoints_2d()
    rows = [
        coco(data, image, keypoints=np.insert(points[row], 2, 1.0, axis=1).ravel().tolist())
        for row, image in enumerate([2, 1, 0, 3, "4"])
    ]
    rows.append(coco(data, ids[5]))
    rows.append(coco(data, 77))
    evaluation = evaluate(read_predictions(saved(tmp_path, rows), data), data, protocol="mmpose")
    assert (evaluation.missing, evaluation.extra) == ([], ["77"])
    assert evaluation.results[0].metrics["EPE[px]"].value == pytest.approx(0.0, abs=1e-9)


def test_a_number_that_is_no_native_id_is_no_sample_either(tmp_path: Path, data: HandFile) -> None:
    data.close()
    with h5py.File(data.path, "r+") as file:
        file["test/sample_id"][0] = b"7"
    data = with_columns(data, native_image_id=list("012345"))
    read = read_predictions(saved(tmp_path, [coco(data, 7), coco(data, 1)]), data)
    assert read.id.tolist() == ["image_id 7", "test/0001"]
    assert read_predictions(saved(tmp_path, [coco(data, "7")]), data).id.tolist() == ["7"]


@pytest.mark.parametrize("column", ["native_image_id", "image_id"])
def test_coco_results_for_an_image_with_several_hands(
    tmp_path: Path, data: HandFile, column: str
) -> None:
    data = with_columns(data, **{column: list("334567")})
    clear = saved(tmp_path, [coco(data, "test/0000"), coco(data, 4)])
    assert read_predictions(clear, data).id.tolist() == ["test/0000", "test/0002"]
    with pytest.raises(PredictionsError, match="image 3 of tiny test shows 2 hands, and COCO"):
        read_predictions(saved(tmp_path, [coco(data, 4), coco(data, 3)]), data)


def test_an_empty_list_of_coco_results_found_nothing(tmp_path: Path, data: HandFile) -> None:
    path = saved(tmp_path, [])
    read = read_predictions(path, data)
    assert len(read) == 0
    assert read.keypoints is not None
    assert read.keypoints.shape == (0, 21, 2)
    samples = evaluate(read, data).results[0].samples
    assert (samples["expected"], samples["predicted"], samples["missing"]) == (6, 0, 6)
    with pytest.raises(PredictionsError, match=r"add --data FILE\.h5"):
        read_predictions(path)


def test_coco_results_without_a_score_come_last(tmp_path: Path, data: HandFile) -> None:
    ids = data["test"].column("sample_id").tolist()
    silent = coco(data, ids[0], shift=9.0, score=None)
    rows = [silent, coco(data, ids[0], score=-2.5), coco(data, ids[1], score=None)]
    del rows[2]["score"]
    read = read_predictions(saved(tmp_path, rows), data)
    np.testing.assert_array_equal(read.score, [-2.5, np.nan])
    np.testing.assert_allclose(read.keypoints[0], data["test"].source_keypoints_2d()[0])  # type: ignore[index]
    assert read_predictions(saved(tmp_path, [silent]), data).score is None


@pytest.mark.parametrize("score", ["0.9", True, [0.9]])
def test_coco_scores_that_are_no_numbers(tmp_path: Path, data: HandFile, score: Any) -> None:
    rows = [coco(data, "test/0000"), coco(data, "test/0001", score=score)]
    with pytest.raises(PredictionsError, match="'score' of entry 1 to be a number or null, found"):
        read_predictions(saved(tmp_path, rows), data)


def test_a_list_of_something_else(tmp_path: Path, data: HandFile) -> None:
    with pytest.raises(PredictionsError, match="found a list of 3 entries of another kind"):
        read_predictions(saved(tmp_path, [1, 2, 3]), data)


def test_a_list_needs_a_split_that_can_be_guessed(tmp_path: Path) -> None:
    file = HandFile(write_tiny(tmp_path / "two.h5", {"train": 2, "val": 2}))
    with pytest.raises(PredictionsError, match="no split 'test' but train, val"):
        read_predictions(saved(tmp_path, [[XYZ] * 2, []]), file)
