from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from handbench.errors import MissingExtraError, PredictionsError
from handbench.predictions.read import read_predictions
from handbench.predictions.record import Predictions
from handbench.predictions.write import write_predictions

META = json.dumps(
    {"handbench_predictions": 1, "dataset": "d", "split": "test", "model": {"name": "m"}}
)
POINTS = np.arange(3 * 42, dtype=np.float64).reshape(3, 21, 2)


def table(folder: Path, meta: str | None = META, **columns: Any) -> Path:
    """A Parquet file as other programs write it."""
    arrow = pytest.importorskip("pyarrow")
    import pyarrow.parquet as parquet

    whole = arrow.table({"id": ["a", "b", "c"], **columns})
    if meta is not None:
        whole = whole.replace_schema_metadata({"meta": meta})
    parquet.write_table(whole, folder / "preds.parquet")
    return folder / "preds.parquet"


def test_meshes_and_missed_hands_come_back(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    keypoints = POINTS.copy()
    keypoints[1] = np.nan
    vertices = np.random.default_rng(0).uniform(0, 0.1, (3, 778, 3)).astype(np.float32)
    vertices[0] = np.nan
    given = Predictions(
        dataset="d",
        split="test",
        model={"name": "m"},
        id=np.array(["a", "ü", "c"]),
        keypoints=keypoints,
        score=np.array([0.5, np.nan, 1.0]),
        vertices=vertices,
        is_right=np.array([1, -1, 0], dtype=np.int8),
    )
    write_predictions(given, tmp_path / "p.parquet")
    read = read_predictions(tmp_path / "p.parquet")
    assert read.header() == given.header()
    for name, values in given.columns().items():
        np.testing.assert_array_equal(read.columns()[name], values, err_msg=name)
    assert read.vertices is not None
    assert read.vertices.dtype == np.float32


def test_lists_may_be_nested_or_flat_and_null(tmp_path: Path) -> None:
    for keypoints in (POINTS.tolist(), POINTS.reshape(3, 42).tolist()):
        read = read_predictions(table(tmp_path, keypoints=keypoints))
        np.testing.assert_array_equal(read.keypoints, POINTS)  # type: ignore[arg-type]
        read = read_predictions(table(tmp_path, keypoints=[keypoints[0], None, keypoints[2]]))
        assert read.keypoints is not None
        np.testing.assert_array_equal(read.keypoints[[0, 2]], POINTS[[0, 2]])
        assert np.isnan(read.keypoints[1]).all()
    everyone = read_predictions(
        table(tmp_path, keypoints=POINTS.tolist(), is_right=[True, None, False], other=[1, 2, 3])
    )
    assert everyone.is_right is not None
    assert everyone.is_right.tolist() == [1, -1, 0]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"meta": None}, "expected the JSON header in the array 'meta', found the arrays id, key"),
        ({"meta": "{"}, r"\(meta\), found a file that breaks off"),
        ({"keypoints": [[1.0], [1.0, 2.0], None]}, "found 1 and 2 entries: write whole hands"),
        ({"keypoints": [[[1.0, 2.0], None]] * 3}, "lists of one length in 'keypoints', found null"),
        ({"keypoints": [["1", "2"] * 21] * 3}, "'keypoints' must hold numbers, found dtype"),
        ({"keypoints": [["1", "2"] * 21, None, None]}, "'keypoints' must hold numbers, found"),
        ({"keypoints": [1.0, 2.0, 3.0]}, r"shape \(3, 21, 2\), found \(3,\)"),
        ({"keypoints": [[1.0] * 40] * 3}, r"shape \(3, 21, 2\), found \(3, 20, 2\)"),
        ({"keypoints": [[1.0] * 41 + [None]] * 3}, "holds NaN, infinity or numbers"),
        ({"id": [1, 2, 3]}, "'id' must be one string a hand"),
        ({"id": ["a", None, "c"]}, "'id' must be one string a hand"),
        ({"is_right": ["yes", "no", "no"]}, "expected a Parquet file of predictions"),
    ],
)
def test_tables_that_are_broken(tmp_path: Path, columns: dict[str, Any], message: str) -> None:
    path = table(tmp_path, **{"keypoints": POINTS.tolist(), **columns})
    with pytest.raises(PredictionsError, match=message) as caught:
        read_predictions(path)
    assert "\n" not in str(caught.value)


def test_rows_that_take_no_bytes_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = table(tmp_path, keypoints=POINTS.tolist())
    size = path.stat().st_size
    monkeypatch.setattr("handbench.predictions.unpack.MOST_BYTES", size)
    with pytest.raises(PredictionsError, match="expected at most"):
        read_predictions(path)


def test_without_pyarrow_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    (tmp_path / "p.parquet").write_bytes(b"PAR1")
    with pytest.raises(MissingExtraError, match=r"run  pip install 'handbench\[parquet\]'"):
        read_predictions(tmp_path / "p.parquet")
    nobody = Predictions("d", "test", {"name": "m"}, np.array(["a"]), np.zeros((1, 21, 2)))
    with pytest.raises(MissingExtraError, match="Parquet needs the package 'pyarrow'"):
        write_predictions(nobody, tmp_path / "q.parquet")
    assert not (tmp_path / "q.parquet").exists()
