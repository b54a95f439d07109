from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from handbench.errors import ScoreError
from handbench.hand import JOINT_NAMES
from handbench.scores.results import MetricValue, Results, SampleErrors

# A file as version 1 was first written. It is never edited: old results must stay readable.
VERSION_1: dict[str, Any] = json.loads(
    Path(__file__).with_name("results-1.json").read_text("utf-8")
)


def test_version_1_reads_and_writes_back_unchanged(tmp_path: Path) -> None:
    results = Results.from_dict(VERSION_1)
    assert results.metrics["EPE[px]"] == MetricValue(7.5, "px", "mean distance", (7.0, 8.0))
    results.write(tmp_path / "results.json")
    assert json.loads((tmp_path / "results.json").read_text("utf-8")) == VERSION_1
    assert Results.read(tmp_path / "results.json") == results


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"handbench_results": 2}, "results format 2, but this handbench reads format 1"),
        ({"handbench_results": None}, "key 'handbench_results', found none"),
        ({"samples": {"expected": 3}}, "'predicted' is a required property"),
        ({"metrics": {"EPE[px]": {"value": "7", "unit": "px", "definition": "d"}}}, "value"),
        ({"metrics": {"EPE[px]": {"value": 7, "unit": "cm", "definition": "d"}}}, "'cm' is not"),
        ({"per_joint": {"EPE[px]": [1.0] * 20}}, r"field 'per_joint.EPE\[px\]'"),
    ],
)
def test_bad_results_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ScoreError, match=message):
        Results.from_dict({**VERSION_1, **changes}, where="results.json")


def test_files_that_are_no_results(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    path.write_text("[1, 2]", "utf-8")
    with pytest.raises(ScoreError, match="found none: was this file written by"):
        Results.read(path)
    path.write_text('{"handbench_results": 1,', "utf-8")
    with pytest.raises(ScoreError, match="breaks off"):
        Results.read(path)


def sample_errors() -> SampleErrors:
    rng = np.random.default_rng(0)
    errors = rng.uniform(size=(3, 21))
    errors[0, 4], errors[2] = np.nan, np.inf
    return SampleErrors(
        sample_id=np.array(["a", "ü", "c"]),
        errors_px=errors,
        predicted=np.array([True, True, False]),
        box_px=np.array([1.0, 2.0, np.nan]),
        tight_px=np.ones(3),
        palm_px=np.ones(3),
        cluster=np.array(["g", "g", "h"]),
        visibility=np.full((3, 21), 2, dtype=np.uint8),
        is_right=np.array([1, 0, -1], dtype=np.int8),
        keypoints_px=rng.uniform(size=(3, 21, 2)),
        pa_mm=errors * 2,
    )


def test_sample_errors_round_trip(tmp_path: Path) -> None:
    original = sample_errors()
    original.write(tmp_path / "errors.npz")
    assert [path.name for path in tmp_path.iterdir()] == ["errors.npz"]
    read = SampleErrors.read(tmp_path / "errors.npz")
    assert read.cam_mm is None
    for name in ("sample_id", "errors_px", "predicted", "box_px", "cluster", "is_right", "pa_mm"):
        np.testing.assert_array_equal(getattr(read, name), getattr(original, name))


def test_sample_errors_as_a_table() -> None:
    errors = sample_errors()
    errors.visibility[1, 3] = 1
    table = errors.to_pandas()
    assert list(table) == [
        *("sample_id", "joint", "error_px", "predicted"),
        *("visibility", "is_right", "cluster", "box_px"),
    ]
    assert len(table) == 3 * 21
    assert table["joint"][:21].tolist() == list(JOINT_NAMES)
    row = table.set_index(["sample_id", "joint"]).loc[("ü", JOINT_NAMES[3])]
    assert row["error_px"] == errors.errors_px[1, 3]
    assert (row["visibility"], row["is_right"], row["cluster"], row["box_px"]) == (1, 0, "g", 2.0)
    assert np.isnan(table["error_px"][4])
    assert table.groupby("sample_id")["predicted"].all().to_dict() == {
        "a": True,
        "ü": True,
        "c": False,
    }
    medians = table.groupby("joint")["error_px"].median()
    assert medians[JOINT_NAMES[0]] == np.median(errors.errors_px[:, 0])


def test_sample_errors_of_another_kind(tmp_path: Path) -> None:
    path = tmp_path / "errors.npz"
    path.write_bytes(b"nothing")
    with pytest.raises(ScoreError, match="expected per-sample errors"):
        SampleErrors.read(path)
    sample_errors().write(path)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(ScoreError, match="expected per-sample errors"):
        SampleErrors.read(path)
    np.savez(path, sample_id=np.array(["a"]))
    with pytest.raises(ScoreError, match="lack the array\\(s\\) box_px, cluster, errors_px"):
        SampleErrors.read(path)
