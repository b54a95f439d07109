from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from generators.tiny_hdf5 import write_tiny

from handbench.errors import PredictionsError
from handbench.hand import NATIVE_ORDERS, from_canonical
from handbench.hdf5.reader import HandFile
from handbench.predictions.read import read_predictions
from handbench.scores.scoring import evaluate


@pytest.fixture
def data(tmp_path: Path) -> HandFile:
    return HandFile(write_tiny(tmp_path / "tiny.h5", {"train": 2, "test": 6}))


def saved(folder: Path, document: Any, name: str = "pred.json") -> Path:
    (folder / name).write_text(json.dumps(document), "utf-8")
    return folder / name


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


def test_coco_results_in_a_text_of_another_layout(tmp_path: Path, data: HandFile) -> None:
    rows = [coco(data, name) for name in data["test"].column("sample_id").tolist()]
    flat = read_predictions(saved(tmp_path, rows), data)
    path = tmp_path / "indented.json"
    path.write_text("\ufeff" + json.dumps(rows, indent=1), "utf-8")
    np.testing.assert_array_equal(read_predictions(path, data).keypoints, flat.keypoints)  # type: ignore[arg-type]


def test_coco_keypoints_that_are_no_numbers(tmp_path: Path, data: HandFile) -> None:
    rows = [coco(data, "test/0000"), coco(data, "test/0001", keypoints=["1"] * 63)]
    with pytest.raises(PredictionsError, match="of entry 1, found text, null or lists"):
        read_predictions(saved(tmp_path, rows), data)


# --- MMPose --------------------------------------------------------------------------------------


def dump(
    data: HandFile, as_array: Any = np.asarray, shift: float = 0.0, **changes: Any
) -> list[dict[str, Any]]:
    """What MMPose 1.x's DumpResults writes for a top-down model."""
    split = data["test"]
    rows = []
    for number, (name, points) in enumerate(
        zip(split.column("sample_id").tolist(), split.source_keypoints_2d())
    ):
        row = {
            "dataset_name": "freihand",
            "id": 100 + number,
            "img_id": number,
            "img_path": f"data/tiny/{name}.jpg",
            "category_id": 1,
            "ori_shape": (128, 128),
            "input_center": np.array([64.0, 64.0], dtype=np.float32),
            "flip_indices": list(range(21)),
            "gt_instances": {"keypoints_visible": np.ones((1, 21), dtype=np.float32)},
            "pred_instances": {
                "keypoints": as_array(np.float32(points[None] + shift)),
                "keypoint_scores": as_array(np.full((1, 21), 0.75, dtype=np.float32)),
                "bboxes": as_array(np.zeros((1, 4), dtype=np.float32)),
            },
        }
        rows.append({**row, **changes})
    return rows


def pickled(folder: Path, document: Any, protocol: int = 2) -> Path:
    path = folder / "dump.pkl"
    path.write_bytes(pickle.dumps(document, protocol=protocol))
    return path


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
@pytest.mark.parametrize("kind", ["numpy", "torch"])
def test_mmpose_dumps(tmp_path: Path, data: HandFile, kind: str, protocol: int) -> None:
    as_array: Any = np.asarray if kind == "numpy" else pytest.importorskip("torch").from_numpy
    path = pickled(tmp_path, dump(data, as_array), protocol)
    read = read_predictions(path, data)
    assert (read.name, read.dataset, read.split) == ("dump", "tiny", "test")
    assert read.id.tolist() == data["test"].column("sample_id").tolist()
    np.testing.assert_array_equal(read.scores, 0.75)  # type: ignore[arg-type]
    np.testing.assert_array_equal(read.score, 0.75)  # type: ignore[arg-type]
    value = evaluate(read, data, protocol="mmpose").results[0].metrics["EPE[px]"].value
    assert value == pytest.approx(0.0, abs=1e-4)


def test_mmpose_dumps_are_matched_by_image_id_where_no_path_helps(
    tmp_path: Path, data: HandFile
) -> None:
    data = with_columns(data, native_image_id=list("543210"))
    rows = dump(data, img_path=None)
    rows[0]["img_id"] = 99
    read = read_predictions(pickled(tmp_path, rows), data)
    assert read.id.tolist() == ["99", *[f"test/000{row}" for row in (4, 3, 2, 1, 0)]]


def test_mmpose_dumps_tell_hands_of_one_image_by_annotation(tmp_path: Path, data: HandFile) -> None:
    data.close()
    with h5py.File(data.path, "r+") as file:
        del file["test/sample_id"]
        names = [f"photo#{100 + row}".encode() for row in range(6)]
        file["test"].create_dataset("sample_id", data=names)
    data = with_columns(data, image_id=["photo"] * 6)
    rows = dump(data, img_path="/some/where/photo.jpg")
    assert read_predictions(pickled(tmp_path, rows[::-1]), data).id.tolist() == [
        f"photo#{100 + row}" for row in range(5, -1, -1)
    ]
    with pytest.raises(PredictionsError, match="shows 6 hands, and entry 0 does not say which"):
        read_predictions(pickled(tmp_path, dump(data, img_path="photo.jpg", id=7)), data)


def test_the_best_hand_of_an_mmpose_image_is_taken(tmp_path: Path, data: HandFile) -> None:
    rows = dump(data)
    points = rows[0]["pred_instances"]["keypoints"]
    rows[0]["pred_instances"] = {
        "keypoints": np.concatenate([points + 9, points, points + 5]),
        "keypoint_scores": np.repeat([[0.1], [0.9], [0.5]], 21, axis=1),
    }
    rows[1]["pred_instances"] = {"keypoints": np.empty((0, 21, 2))}
    read = read_predictions(pickled(tmp_path, rows), data)
    assert read.id.tolist() == [f"test/000{row}" for row in (0, 2, 3, 4, 5)]
    np.testing.assert_array_equal(read.keypoints[0], points[0])  # type: ignore[index]
    np.testing.assert_allclose(read.score, [0.9, 0.75, 0.75, 0.75, 0.75])  # type: ignore[arg-type]


def test_an_mmpose_dump_of_another_joint_order(tmp_path: Path, data: HandFile) -> None:
    rows = dump(data)
    for row in rows:
        keypoints = row["pred_instances"]["keypoints"]
        row["pred_instances"]["keypoints"] = from_canonical(keypoints, NATIVE_ORDERS["rhd"])
    read = read_predictions(pickled(tmp_path, rows), data, assume={"keypoint_order": "rhd"})
    value = evaluate(read, data, protocol="mmpose").results[0].metrics["EPE[px]"].value
    assert value == pytest.approx(0.0, abs=1e-4)


NESTED: list[Any] = []
for _ in range(40):
    NESTED = [NESTED, NESTED]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"pred_instances": None},
            "'pred_instances' with 'keypoints' in entry 0 .* found the keys",
        ),
        ({"pred_instances": {"keypoints": np.zeros((1, 42, 3))}}, "relative to each wrist, whose"),
        (
            {"pred_instances": {"keypoints": np.zeros((1, 17, 2))}},
            r"found shape \(1, 17, 2\): are these hands of another skeleton",
        ),
        ({"pred_instances": {"keypoints": NESTED}}, "found no array"),
        ({"img_path": None, "img_id": NESTED}, "'img_path' or 'img_id' in entry 0"),
        ({"img_path": None, "img_id": None}, "keep them among the meta keys of PackPoseInputs"),
    ],
)
def test_mmpose_dumps_of_something_else(
    tmp_path: Path, data: HandFile, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(PredictionsError, match=message):
        read_predictions(pickled(tmp_path, dump(data, **change)), data)


@pytest.mark.parametrize("document", [{"preds": []}, "text", None, 3])
def test_pickles_that_are_no_list(tmp_path: Path, data: HandFile, document: Any) -> None:
    with pytest.raises(PredictionsError, match="a list with a dict an image, found a"):
        read_predictions(pickled(tmp_path, document), data)
    with pytest.raises(PredictionsError, match="in entry 0 of an MMPose test dump, found"):
        read_predictions(pickled(tmp_path, [document]), data)


def test_an_mmpose_dump_that_would_act_is_refused(tmp_path: Path, data: HandFile) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "exploded",))

    with pytest.raises(PredictionsError, match="never built from a file"):
        read_predictions(pickled(tmp_path, dump(data, extra=Bomb())), data)
    assert not (tmp_path / "exploded").exists()
