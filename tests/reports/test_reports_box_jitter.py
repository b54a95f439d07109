from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from generators.tiny_hdf5 import write_tiny

from handbench.hdf5.reader import HandFile
from handbench.predictions.record import Predictions
from handbench.reports.box_jitter import JitterRow, score_jitter, write_jitter
from handbench.scores.scoring import evaluate


def test_scores_follow_the_points(tmp_path: Path) -> None:
    data = write_tiny(tmp_path / "t.h5", {"test": 4}, size=64)
    with HandFile(data) as file:
        ids, truth = file["test"].column("sample_id"), file["test"].source_keypoints_2d()
    straight = Predictions(
        dataset="tiny",
        split="test",
        model={"name": "m"},
        id=ids,
        keypoints=truth + np.array([3.0, 4.0]),
        input={"box": "image"},
    )
    moved = replace(
        straight,
        keypoints=np.where(np.arange(4)[:, None, None] < 1, np.nan, truth + np.array([60, 80])),
        input={"box": "image", "jitter": {"amount": 0.5, "seed": 0, "mean_iou": 0.25}},
    )
    first, second = score_jitter([straight, moved], data)
    assert (first.amount, first.mean_iou) == (0.0, 1.0)
    assert first.values["EPE[px]"] == pytest.approx(5.0)
    assert first.values["PCK@0.2[bbox]"] == 1.0
    assert (second.amount, second.mean_iou) == (0.5, 0.25)
    assert second.values["EPE[px]"] == pytest.approx(100.0)
    assert second.values["coverage"] == 0.75
    assert second.values["PCK@0.2[bbox]"] == 0.0
    # Rows of worse boxes are not ranked beside rows of true ones.
    signatures = [evaluate(each, data).results[0].signature for each in (straight, moved)]
    assert "box: image moved by up to 0.5 (seed 0); " in signatures[1]
    assert "box: image; " in signatures[0]


def test_a_name_is_no_formula_and_missing_values_are_empty(tmp_path: Path) -> None:
    rows = [
        JitterRow(0.0, 1.0, {"PCK@0.2[bbox]": 0.9, "EPE[px]": 4.0, "coverage": 1.0}),
        JitterRow(0.3, 0.5, {"PCK@0.2[bbox]": 0.1, "EPE[px]": float("nan"), "coverage": 0.0}),
    ]
    table, *pictures = write_jitter(rows, "=HYPERLINK($x)", tmp_path / "p.jitter")
    lines = table.read_text().splitlines()
    assert not lines[1].startswith("=")
    assert lines[2].endswith(",0.3,0.5000,0.1,,0")
    assert [path.name for path in pictures] == ["p.jitter.svg", "p.jitter.png"]
    first = pictures[0].read_bytes()
    write_jitter(rows, "=HYPERLINK($x)", tmp_path / "p.jitter")
    assert pictures[0].read_bytes() == first  # no date, no random ids
