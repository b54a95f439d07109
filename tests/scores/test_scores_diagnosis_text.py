from __future__ import annotations

from dataclasses import replace

import numpy as np
from generators.scored import make_predictions, make_truth

from handbench.scores.diagnosis import Diagnosis, diagnose
from handbench.scores.diagnosis_text import SHOWN_PAIRS, diagnosis_text
from handbench.scores.error_classes import NAMES
from handbench.scores.matching import match

INDEX, MIDDLE = slice(5, 9), slice(9, 13)


def example() -> Diagnosis:
    """Hands 0 and 1 missed, index and middle of hand 2 exchanged, hand 3 shifted."""
    truth = make_truth(10)
    points = truth.keypoints.copy()
    points[2, INDEX], points[2, MIDDLE] = truth.keypoints[2, MIDDLE], truth.keypoints[2, INDEX]
    points[3] += (40.0, -20.0)
    predictions = make_predictions(
        truth, keypoints=points[2:], rows=slice(2, None), keypoints_3d=None
    )
    return diagnose(match(predictions, truth))


def test_the_costliest_class_comes_first() -> None:
    lines = diagnosis_text(example()).splitlines()
    assert lines[0] == (
        "my-net on sample test: 210 labelled keypoints of 10 hands, by what happened to them"
    )
    assert lines[1].split("  ")[1] == "class"
    assert lines[1].endswith("meaning, in tight boxes")
    rows = {line[2:].split("  ")[0]: line.split() for line in lines[2:6]}
    assert list(rows) == ["missed hand", "whole hand", "swap", "good"]
    assert rows["missed hand"][2:7] == ["42", "20.0%", "2", "+0.2000", "+0.2000"]
    assert rows["swap"][1:4] == ["8", "3.8%", "1"]
    assert rows["swap"][5] == "+0.0381"
    assert rows["good"][1:5] == ["139", "66.2%", "7", "+0.0000"]


def test_what_stands_below_the_table() -> None:
    text = diagnosis_text(example())
    assert "reading: PCK@0.1[tight] is 0.6619, AUC@0-0.2[tight" in text
    assert "by chance: keypoints of the class if" in text
    assert "swaps: index at middle 4, middle at index 4\n" in text
    assert "inversions:" not in text
    assert "whole hands: 1, median scale 1.00, median shift (+0." in text
    assert text.endswith(
        "none: jitter, miss, inversion, other hand (no image has a second labelled hand), "
        "depth flip (no 3D predictions), ambiguous"
    )


def test_only_the_most_frequent_pairs_are_named() -> None:
    found = example()
    landed = np.full((10, 21), -1, dtype=np.int8)
    for finger in range(4):  # finger 0 once at finger 1, finger 1 twice at finger 2, …
        landed[: finger + 1, 1 + 4 * finger] = 5 + 4 * finger
    landed[:5, 20] = 17
    landed[0, [2, 6]] = 20
    many = replace(found, classified=replace(found.classified, landed=landed))
    text = diagnosis_text(many)
    line = next(line for line in text.splitlines() if line.startswith("swaps: "))
    assert line.startswith("swaps: ring at pinky 4, middle at ring 3, index at middle 2, ")
    assert line.endswith(", …")
    assert line.count(" at ") == SHOWN_PAIRS
    assert "\ninversions: pinky 5\n" in text


def test_a_perfect_model_has_one_row() -> None:
    truth = make_truth(3)
    lines = diagnosis_text(diagnose(match(make_predictions(truth, 0.0), truth))).splitlines()
    assert lines[2].split()[:3] == ["good", "63", "100.0%"]
    assert lines[3].startswith("reading: ")
    assert not any(line.startswith(("swaps", "whole hands")) for line in lines)
    assert all(name in lines[-1] for name in NAMES[1:])


def test_the_table_fits_the_terminal() -> None:
    table = diagnosis_text(example(), width=130).splitlines()[1:7]
    assert max(map(len, table)) <= 130
    assert max(map(len, diagnosis_text(example()).splitlines()[1:7])) > 130
