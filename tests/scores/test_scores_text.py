from __future__ import annotations

from generators.scored import make_predictions, make_truth

from handbench.scores.compare import rank
from handbench.scores.protocols import HANDBENCH, MMPOSE
from handbench.scores.scoring import score
from handbench.scores.text import report_text, table

TRUTH = make_truth(30)


def test_tables_are_aligned_and_wrap_their_last_column_only() -> None:
    rows = [["EPE", "1.50", "a definition of several words that has to be wrapped somewhere"]]
    plain = table(["name", "value", "definition"], rows)
    assert plain.splitlines()[0] == "name  value  definition"
    assert len(plain.splitlines()) == 2
    wrapped = table(["name", "value", "definition"], rows, width=50).splitlines()
    assert max(map(len, wrapped)) <= 50
    assert wrapped[1].startswith("EPE   1.50   a definition")
    assert wrapped[2].startswith("             ")
    assert " ".join(line[13:] for line in wrapped[1:]) == rows[0][2]


def test_every_number_of_one_model_stands_in_its_report() -> None:
    evaluation = score(make_predictions(TRUTH, rows=slice(0, 27)), TRUTH, [HANDBENCH])
    text = report_text(["net"], [evaluation], [HANDBENCH], [])
    for metric in evaluation.results[0].metrics.values():
        assert metric.value is not None
        digits = 4 if metric.unit == "fraction" else 2
        assert f"{metric.value:.{digits}f}" in text
    assert "missing=drop]" not in text  # a column of its own for one model
    assert text.index("samples: 30 expected") < text.index("AUC@")
    signed = "signature: handbench/1; 30 hands; truth 000000000000; ids all; gt_used box; box "
    assert text.count(signed + "gt_annotation") == 1


def test_models_with_other_signatures_stand_in_tables_of_their_own() -> None:
    one = score(make_predictions(TRUTH), TRUTH, [MMPOSE])
    two = score(make_predictions(TRUTH, 5.0, input={"box": "detector"}), TRUTH, [MMPOSE])
    rankings = rank([one, two], ["one", "two"], MMPOSE)
    text = report_text(["one", "two"], [one, two], [MMPOSE], rankings)
    assert "their signatures differ in box (one: gt_annotation; two: detector)" in text
    # Nobody is first of one.
    assert "ranking under" not in text
    assert "\n\none under mmpose/1\n  metric " in text
    assert "\n\ntwo under mmpose/1\n  metric " in text


def test_unequal_coverage_is_said_beside_the_numbers() -> None:
    full = score(make_predictions(TRUTH), TRUTH, [MMPOSE])
    half = score(make_predictions(TRUTH, rows=slice(0, 15)), TRUTH, [MMPOSE])
    text = report_text(["a", "b"], [full, half], [MMPOSE], [])
    assert "coverage differs (50.0% to 100.0%), so EPE" in text
