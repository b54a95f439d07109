from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from handbench.errors import ScoreError
from handbench.scores.results import MetricValue, Results

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
