from __future__ import annotations

import gzip
import json
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from handbench.errors import PredictionsError
from handbench.hand import JOINT_NAMES
from handbench.predictions.read import read_predictions
from handbench.predictions.record import Predictions
from handbench.predictions.write import SUFFIXES, suffix_of, write_predictions

WRITABLE = [name for name in SUFFIXES if name != ".parquet" or find_spec("pyarrow") is not None]

HAND = [[float(x), float(2 * x)] for x in range(21)]
HAND_3D = [[0.01 * x, 0.002 * x, 0.5] for x in range(21)]


def full() -> Predictions:
    rng = np.random.default_rng(0)
    keypoints = rng.uniform(0, 224, (4, 21, 2))
    points_3d = 0.05 * rng.normal(size=(4, 21, 3))
    keypoints[2] = points_3d[2] = np.nan
    scores = rng.uniform(size=(4, 21))
    scores[2] = np.nan
    return Predictions(
        dataset="sample",
        split="test",
        model={"name": "my-net", "params": 15_400_000, "training_data": ["sample/train"]},
        id=np.array(["a/0", "a/1#7", "a/2", "ü/3"]),
        keypoints=keypoints,
        scores=scores,
        score=np.array([0.5, 0.25, np.nan, 1.0]),
        keypoints_3d=points_3d,
        vertices=None,
        is_right=np.array([1, 0, -1, 1], dtype=np.int8),
        input={"box": "gt_annotation", "padding": 1.25, "ms_per_image": 4.2},
        gt_used=("box",),
        frame_3d="root:wrist",
    )


def document(**changes: Any) -> dict[str, Any]:
    header: dict[str, Any] = {
        "handbench_predictions": 1,
        "dataset": "sample",
        "split": "test",
        "model": {"name": "my-net"},
        "predictions": [{"id": "a", "keypoints": HAND}, {"id": "b", "keypoints": HAND}],
    }
    return {**header, **changes}


def saved(folder: Path, content: Any, name: str = "preds.json") -> Path:
    path = folder / name
    path.write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
    return path


# --- round trips ---------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", WRITABLE)
def test_every_suffix_holds_the_same_content(tmp_path: Path, suffix: str) -> None:
    original = full()
    path = tmp_path / f"preds{suffix}"
    write_predictions(original, path)
    read = read_predictions(path)
    assert read.header() == original.header()
    assert set(read.columns()) == set(original.columns())
    for name, values in original.columns().items():
        np.testing.assert_array_equal(read.columns()[name], values, err_msg=name)
    assert read.origin == str(path)
    assert len(read.sha256) == 64


def test_the_first_file_of_version_1_is_still_read() -> None:
    # Never edited: whatever this version can read, later versions must read too.
    read = read_predictions(Path(__file__).with_name("predictions-1.json"))
    assert read.id.tolist() == ["a/0", "a/1#7", "a/2", "ü/3"]
    assert read.header() == full().header()
    assert read.keypoints is not None
    assert read.keypoints[0, 0].tolist() == [142.68, 60.43]
    assert np.isnan(read.keypoints[2]).all()


@pytest.mark.parametrize("suffix", [".npz", ".h5"])
def test_meshes_keep_the_precision_they_have(tmp_path: Path, suffix: str) -> None:
    # Half the memory: 32,560 meshes are 300 MB.
    surface = np.random.default_rng(0).uniform(-0.05, 0.05, (4, 778, 3)).astype(np.float32)
    path = tmp_path / f"preds{suffix}"
    write_predictions(replace(full(), vertices=surface), path)
    read = read_predictions(path).vertices
    assert read is not None
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read, surface)


def test_equal_predictions_give_equal_files(tmp_path: Path) -> None:
    for name in ("a.json.gz", "b.json.gz"):
        write_predictions(full(), tmp_path / name)
    assert (tmp_path / "a.json.gz").read_bytes() == (tmp_path / "b.json.gz").read_bytes()


def test_json_says_missed_hands_outright_and_has_a_line_a_hand(tmp_path: Path) -> None:
    path = tmp_path / "preds.json"
    write_predictions(full(), path)
    rows = json.loads(path.read_text("utf-8"))["predictions"]
    assert rows[2] == {"id": "a/2", "keypoints": None}
    assert rows[1]["is_right"] is False
    assert (
        sum(line.strip().startswith('{"id"') for line in path.read_text("utf-8").split("\n")) == 4
    )


def test_minimal_file(tmp_path: Path) -> None:
    read = read_predictions(saved(tmp_path, document()))
    assert read.frame == "source"
    assert read.gt_used is None
    np.testing.assert_array_equal(read.keypoints[1], HAND)  # type: ignore[index]


def test_a_null_or_absent_hand_is_a_row_of_nan(tmp_path: Path) -> None:
    rows = [{"id": "a", "keypoints": HAND}, {"id": "b", "keypoints": None}, {"id": "c"}]
    read = read_predictions(saved(tmp_path, document(predictions=rows)))
    assert read.keypoints is not None
    assert np.isnan(read.keypoints).all(axis=(1, 2)).tolist() == [False, True, True]


def test_no_hand_at_all_is_a_result(tmp_path: Path) -> None:
    read = read_predictions(saved(tmp_path, document(predictions=[])))
    assert len(read) == 0
    rows = [{"id": "a", "keypoints": None}]
    read = read_predictions(saved(tmp_path, document(predictions=rows)))
    assert read.keypoints is not None
    assert read.keypoints.shape == (1, 21, 2)
    for suffix in WRITABLE:
        nobody = replace(read, id=read.id[:0], keypoints=read.keypoints[:0])
        write_predictions(nobody, tmp_path / f"p{suffix}")
        assert len(read_predictions(tmp_path / f"p{suffix}")) == 0


def test_rows_need_not_be_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("handbench.predictions.pieces._PIECE_BYTES", 1)
    mesh = [[0.0, 0.1, 0.2]] * 5
    rows: list[dict[str, Any]] = [
        {"id": "a", "keypoints": HAND},
        {"id": "bcd", "keypoints": None, "vertices": None, "is_right": None},
        {"id": "e", "keypoints_3d": HAND_3D, "vertices": mesh, "is_right": True, "score": 1},
    ]
    read = read_predictions(saved(tmp_path, document(predictions=rows)))
    assert read.id.tolist() == ["a", "bcd", "e"]
    columns = read.columns()
    for name, found in (
        ("keypoints", [True, False, False]),
        ("keypoints_3d", [False, False, True]),
        ("vertices", [False, False, True]),
        ("score", [False, False, True]),
    ):
        assert (~np.isnan(columns[name]).reshape(3, -1).any(axis=1)).tolist() == found, name
    assert columns["vertices"].shape == (3, 5, 3)
    assert columns["is_right"].tolist() == [-1, -1, 1]
    rows[0]["vertices"] = mesh[:4]
    with pytest.raises(
        PredictionsError, match="'vertices' of one size, found 4 entries in id 'a' and 5 in id 'e'"
    ):
        read_predictions(saved(tmp_path, document(predictions=rows)))
    monkeypatch.setattr("handbench.predictions.pieces._PIECE_BYTES", 2**20)
    with pytest.raises(PredictionsError, match=r"'vertices' of id 'e' to be V×3 numbers, found"):
        read_predictions(saved(tmp_path, document(predictions=rows)))


def test_an_entry_is_named_by_its_place_in_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("handbench.predictions.pieces._PIECE_BYTES", 1)
    rows = [{"id": "a", "keypoints": HAND}, {"id": "b", "keypoints": HAND}, {"id": 3}]
    with pytest.raises(PredictionsError, match=r"predictions\[2\], found the id 3"):
        read_predictions(saved(tmp_path, document(predictions=rows)))


def test_json_is_read_in_pieces_or_as_a_whole_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = document(predictions=[{"id": f"{row}", "keypoints": HAND} for row in range(50)])
    header_last = {"predictions": given["predictions"], **given, "gt_used": ["box"]}
    texts = [json.dumps(given), json.dumps(header_last), json.dumps(given, indent=4)]
    # Objects within rows cannot be told from rows, so this one is read as a whole.
    given["predictions"][7]["extra"] = [{"a": 1}, {"a": 2}]
    texts.append("\ufeff" + json.dumps(given))
    for limit in (1, 500, 2**20):
        monkeypatch.setattr("handbench.predictions.pieces._PIECE_BYTES", limit)
        for text in texts:
            read = read_predictions(saved(tmp_path, text))
            assert read.id.tolist() == [f"{row}" for row in range(50)]
            np.testing.assert_array_equal(read.keypoints, [HAND] * 50)  # type: ignore[arg-type]
            assert read.notes == ()


def test_many_hands_in_json_are_read_with_advice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("handbench.predictions.read.MANY_HANDS_IN_JSON", 1)
    read = read_predictions(saved(tmp_path, document()))
    assert read.notes == ("2 hands as JSON: .npz takes a third of the space and half the time",)
    write_predictions(full(), tmp_path / "preds.npz")
    assert read_predictions(tmp_path / "preds.npz").notes == ()


# --- units, axes, orders -------------------------------------------------------------------------


def test_millimetres_and_opengl_axes_become_metres_and_opencv(tmp_path: Path) -> None:
    given = (np.array(HAND_3D) * [1000, -1000, -1000]).tolist()
    rows = [{"id": "a", "keypoints_3d": given}]
    path = saved(tmp_path, document(predictions=rows, unit="mm", axes="opengl"))
    read = read_predictions(path)
    assert read.keypoints is None
    np.testing.assert_allclose(read.keypoints_3d[0], HAND_3D)  # type: ignore[index]


@pytest.mark.parametrize("named", [True, False])
def test_a_listed_joint_order_is_brought_into_the_canonical_one(
    tmp_path: Path, named: bool
) -> None:
    order = np.random.default_rng(0).permutation(21)
    native = [HAND[joint] for joint in order]
    listed = [JOINT_NAMES[joint] for joint in order] if named else order.tolist()
    rows = [{"id": "a", "keypoints": native, "scores": order.tolist()}]
    read = read_predictions(saved(tmp_path, document(predictions=rows, keypoint_order=listed)))
    np.testing.assert_array_equal(read.keypoints[0], HAND)  # type: ignore[index]
    np.testing.assert_array_equal(read.scores[0], np.arange(21))  # type: ignore[index]


# --- one sentence for everything that is wrong ---------------------------------------------------


def rows_with(value: Any, key: str = "keypoints") -> dict[str, Any]:
    return document(predictions=[{"id": "a", "keypoints": HAND}, {"id": "b", key: value}])


BAD_DOCUMENTS = [
    ([], "names neither dataset nor split"),
    ('{"handbench_predictions": 1', "breaks off in the middle"),
    ("", "an empty file"),
    ({"predictions": []}, "key 'handbench_predictions', found the keys predictions"),
    (document(handbench_predictions=2), "predictions format 2, but this handbench reads format 1"),
    (document(model={}), "'name' is a required property"),
    (document(split=3), "field 'split': 3 is not of type 'string'"),
    (document(input={"box": "gt"}), "field 'input.box': 'gt' is not one of"),
    (document(frame="stored"), "'crop_sha256' is a required property"),
    (document(unit="cm"), "field 'unit': 'cm' is not one of"),
    (document(predictions={"a": HAND}), "list of hands under 'predictions', found a JSON object"),
    (document(predictions=None), "list of hands under 'predictions', found nothing"),
    (document(predictions=[{"id": 7, "keypoints": HAND}]), r"predictions\[0\], found the id 7"),
    (document(predictions=[HAND]), r"text 'id' at predictions\[0\], found \[\[0.0"),
    (document(predictions=[{"id": "a"}]), "found neither"),
    (rows_with(HAND[:20]), r"id 'b' to be 21×2 numbers, found shape \(20, 2\)"),
    (rows_with([*HAND[:20], ["1", "2"]]), "id 'b' to be 21×2 numbers, found '1' among the numbers"),
    (rows_with([*HAND[:20], [None, 2.0]]), "found None among the numbers"),
    (rows_with([*HAND[:20], [1.0]]), "found an uneven nesting among the numbers"),
    (rows_with({"x": 1}), "found {'x': 1} among the numbers"),
    (rows_with("yes", "is_right"), "'is_right' of id 'b' to be true, false or null, found 'yes'"),
    (
        document(predictions=[{"id": "a", "keypoints": [[x, y, 1.0] for x, y in HAND]}]),
        "found \\(1, 21, 3\\): keep x and y",
    ),
    (
        document(predictions=[{"id": "a", "keypoints": HAND + HAND}]),
        "a 42-joint network predicts two hands",
    ),
    (document(keypoint_order="mano2"), "list of 21 joints, found 'mano2': did you mean 'mano'?"),
    (document(keypoint_order=[*JOINT_NAMES[:20], "pinky_tipp"]), "did you mean 'pinky_tip'"),
    (document(keypoint_order=[0] * 21), "missing \\[1, 2, 3"),
    (
        document(predictions=[{"id": "a", "keypoints_3d": (1000 * np.array(HAND_3D)).tolist()}]),
        'they look like mm, so set "unit": "mm"',
    ),
    (
        document(unit="mm", predictions=[{"id": "a", "keypoints_3d": HAND_3D}]),
        'they look like m, so set "unit": "m"',
    ),
    (
        document(predictions=[{"id": "a", "keypoints": [[float("nan"), 1.0]] * 21}]),
        "found NaN: write",
    ),
    (
        document(predictions=[{"id": "a", "keypoints": [[float("inf"), 1.0]] * 21}]),
        "found Infinity",
    ),
]


@pytest.mark.parametrize(("content", "message"), BAD_DOCUMENTS)
def test_bad_json_is_one_sentence(tmp_path: Path, content: Any, message: str) -> None:
    path = saved(tmp_path, content)
    with pytest.raises(PredictionsError, match=message) as caught:
        read_predictions(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_truncated_files_of_every_kind(tmp_path: Path) -> None:
    for suffix in WRITABLE:
        path = tmp_path / f"preds{suffix}"
        write_predictions(full(), path)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        with pytest.raises(PredictionsError, match="expected"):
            read_predictions(path)


def test_unknown_suffix_and_absent_file(tmp_path: Path) -> None:
    with pytest.raises(PredictionsError, match=r"ending in .json, .json.gz, .npz"):
        read_predictions(tmp_path / "preds.yaml")
    with pytest.raises(PredictionsError, match="found no such file"):
        read_predictions(tmp_path / "preds.json")
    for name in ("preds.pkl", "preds.zip", "preds.txt"):
        with pytest.raises(PredictionsError, match=f"found '{name}'"):
            suffix_of(tmp_path / name)
        with pytest.raises(PredictionsError, match=f"found '{name}'"):
            write_predictions(full(), tmp_path / name)


def test_arrays_with_objects_are_never_unpickled(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "exploded",))

    path = tmp_path / "preds.npz"
    np.savez(path, id=np.array([Bomb()], dtype=object))
    with pytest.raises(PredictionsError, match="without object arrays"):
        read_predictions(path)
    assert not (tmp_path / "exploded").exists()


def test_arrays_without_header_or_ids(tmp_path: Path) -> None:
    path = tmp_path / "preds.npz"
    np.savez(path, id=np.array(["a"]), keypoints=np.zeros((1, 21, 2)))
    with pytest.raises(
        PredictionsError, match="header in the array 'meta', found the arrays id, key"
    ):
        read_predictions(path)
    meta = json.dumps({k: v for k, v in document().items() if k != "predictions"})
    np.savez(path, meta=meta, keypoints=np.zeros((1, 21, 2)))
    with pytest.raises(PredictionsError, match="array 'id' with the sample ids, found keypoints"):
        read_predictions(path)
    np.savez(path, meta=meta, id=np.arange(3), keypoints=np.zeros((3, 21, 2)))
    with pytest.raises(PredictionsError, match="'id' must be one string a hand"):
        read_predictions(path)
    np.savez(path, meta=meta, id=np.array(["a"]), keypoints=np.zeros((2, 21, 2)))
    with pytest.raises(PredictionsError, match=r"shape \(1, 21, 2\), found \(2, 21, 2\)"):
        read_predictions(path)


def test_half_a_hand_of_nan_is_an_error(tmp_path: Path) -> None:
    broken = full()
    assert broken.keypoints is not None
    broken.keypoints[0, 3] = np.nan
    with pytest.raises(
        PredictionsError, match="'keypoints' of id 'a/0' holds NaN, infinity or numbers"
    ):
        write_predictions(broken, tmp_path / "preds.json")
    assert list(tmp_path.iterdir()) == []


def test_gzip_of_something_else(tmp_path: Path) -> None:
    path = tmp_path / "preds.json.gz"
    path.write_bytes(b"not gzip")
    with pytest.raises(PredictionsError, match="expected gzipped JSON"):
        read_predictions(path)
    path.write_bytes(gzip.compress(json.dumps(document()).encode()))
    assert len(read_predictions(path)) == 2


def test_a_header_that_breaks_the_schema_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(PredictionsError, match="crop_sha256"):
        write_predictions(replace(full(), frame="stored"), tmp_path / "preds.json")
    assert list(tmp_path.iterdir()) == []
