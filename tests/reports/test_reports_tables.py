from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from generators.scored_results import evaluated, results_of

from handbench.errors import ScoreError
from handbench.reports.table_columns import Choice
from handbench.reports.tables import PaperTable, Ties, paper_tables, short, ties_of
from handbench.scores.compare import rank
from handbench.scores.protocols import HANDBENCH
from handbench.scores.results import Results

PRIMARY = "AUC@0-0.2[tight,rule=exact]"


def table(*named: tuple[str, Results], columns: tuple[str, ...] = (), **options: Any) -> PaperTable:
    (only,) = paper_tables(named, Choice(columns, **options))
    return only


def best(found: PaperTable) -> dict[str, list[str]]:
    """Column → labels in bold."""
    return {
        column.name: [row.label for row in found.rows if place in row.best]
        for place, column in enumerate(found.columns)
    }


def test_models_are_ordered_by_the_metric_that_ranks_and_the_best_is_marked() -> None:
    found = table(("bad", results_of(9.0)), ("good", results_of(2.0)), ("fair", results_of(5.0)))
    assert [row.label for row in found.rows] == ["good", "fair", "bad"]
    assert found.sorted_by == PRIMARY
    assert best(found)[PRIMARY] == ["good"]
    assert best(found)["EPE[tight]"] == ["good"]
    assert found.title == "sample test, 40 hands, protocol handbench/1"


def test_without_the_ranking_metric_the_first_column_orders() -> None:
    named = (("bad", results_of(9.0)), ("good", results_of(2.0)))
    assert table(*named, columns=("EPE[px]",)).sorted_by == "EPE[px]"
    assert [row.label for row in table(*named, columns=("EPE[px]",)).rows] == ["good", "bad"]


def test_one_model_has_no_best() -> None:
    found = table(("net", results_of(3.0)))
    assert not found.rows[0].best
    assert found.sorted_by == ""
    assert "bold: best of its column" not in found.notes


def test_values_that_look_the_same_are_both_bold() -> None:
    one = results_of(3.0)
    entry = one.metrics["EPE[px]"]
    assert entry.value is not None
    twin = replace(
        one, metrics={**one.metrics, "EPE[px]": replace(entry, value=entry.value + 1e-9)}
    )
    named = (("one", one), ("twin", twin))
    assert best(table(*named, columns=("EPE[px]",)))["EPE[px]"] == ["one", "twin"]
    assert best(table(*named, columns=("EPE[px]",), decimals=12))["EPE[px]"] == ["one"]


def test_nobody_is_best_at_distances_over_different_hands() -> None:
    found = table(
        ("all", results_of(3.0)),
        ("some", results_of(1.0, missing=5)),
        columns=("EPE[px]", "PCK@0.05[tight]", "PCK@0.05[tight,missing=drop]"),
    )
    assert best(found)["EPE[px]"] == []
    assert best(found)["PCK@0.05[tight,missing=drop]"] == []
    assert best(found)["coverage"] == ["all"]
    assert best(found)["PCK@0.05[tight]"] != []
    assert found.sorted_by == ""  # the first column may not order them
    assert [row.label for row in found.rows] == ["all", "some"]
    assert any(n.startswith("nobody is best at EPE[px], PCK@0.05[tight,m") for n in found.notes)


def test_a_model_that_leaves_out_3d_of_some_hands_is_not_best_in_3d() -> None:
    from generators.scored import make_predictions
    from generators.scored_results import TRUTH

    from handbench.scores.scoring import score

    predictions = make_predictions(TRUTH, 1.0)
    assert predictions.keypoints_3d is not None
    points = predictions.keypoints_3d.copy()
    points[:7] = float("nan")
    partial = score(replace(predictions, keypoints_3d=points), TRUTH, [HANDBENCH]).results[0]
    found = table(("whole", results_of(3.0)), ("partial", partial), columns=("PA-MPJPE", "EPE[px]"))
    assert best(found) == {"PA-MPJPE[mm]": [], "EPE[px]": ["partial"]}
    assert any(note.startswith("partial: 7 hands") for note in found.notes)


def test_other_signatures_have_their_own_table_with_the_reason() -> None:
    named = [("a", results_of(3.0)), ("b", results_of(3.0, gt_used=()))]
    one, other = paper_tables(named)
    assert [row.label for row in one.rows] == ["a"]
    assert "their signatures differ in gt_used (box)" in one.notes[-1]
    assert "their signatures differ in gt_used (nothing)" in other.notes[-1]


def test_other_protocols_and_datasets_are_apart_without_a_remark() -> None:
    one = results_of(3.0)
    tables = paper_tables(
        [("a", one), ("a", results_of(3.0, "mmpose")), ("a", replace(one, dataset="other"))]
    )
    assert [t.protocol for t in tables] == ["handbench/1", "mmpose/1", "handbench/1"]
    assert not any("own" in note for t in tables for note in t.notes)


def test_protocols_without_a_chosen_column_are_left_out() -> None:
    named = [("a", results_of(3.0)), ("a", results_of(3.0, "mmpose"))]
    (only,) = paper_tables(named, Choice(("AUC@0-30px",)))
    assert only.protocol == "mmpose/1"
    # Missed hands: the coverage alone is no table.
    named = [("a", results_of(3.0, missing=1)), ("a", results_of(3.0, "mmpose", missing=1))]
    (only,) = paper_tables(named, Choice(("AUC@0-30px",)))
    assert only.protocol == "mmpose/1"


def test_the_mean_pose_is_a_row_of_its_own() -> None:
    found = table(
        ("a", results_of(3.0)), ("b", results_of(300.0)), columns=("EPE[px]", "MPJPE[mm,cam]")
    )
    assert found.floor is not None
    pixels, spatial = found.floor.values
    assert pixels is not None
    assert pixels.value is not None
    assert spatial is None
    assert not found.floor.best
    assert any(note.startswith("mean pose (floor): ") for note in found.notes)
    assert table(("a", results_of(3.0, "mmpose"))).floor is None


def test_models_that_cannot_be_told_from_the_best() -> None:
    models = [evaluated(3.0), evaluated(3.0, seed=2), evaluated(9.0)]
    labels = ["a", "twin", "bad"]
    ties = ties_of(rank(models, labels, HANDBENCH))
    named = [(label, model.results[0]) for label, model in zip(labels, models)]
    (found,) = paper_tables(named, ties=ties)
    tied = [row.label for row in found.rows if row.tied]
    assert len(tied) == 1
    assert tied != ["bad"]
    assert any(
        note.startswith(f"≈: not distinguishable from the best model by {PRIMARY}")
        for note in found.notes
    )
    assert not any("≈" in note for note in paper_tables(named)[0].notes)


def test_one_model_is_not_tested() -> None:
    assert ties_of(rank([evaluated(3.0)], ["a"], HANDBENCH)) == {}


def test_nobody_tied_needs_no_mark() -> None:
    named = [("a", results_of(3.0)), ("b", results_of(9.0))]
    (found,) = paper_tables(named, ties={named[0][1].signature: Ties(PRIMARY)})
    assert not any("≈" in note for note in found.notes)


def test_where_numbers_come_from() -> None:
    one = results_of(3.0)
    other = replace(one, provenance={"command": "handbench\nother", "handbench": "9.9"})
    found = table(("a", one), ("b", other))
    assert found.commands == (one.provenance["command"], "handbench other")
    assert found.versions[-1] == "9.9"
    assert found.signature == one.signature


def test_intervals_say_how_they_were_made() -> None:
    found = table(("a", results_of(3.0)), columns=("EPE[px]",), intervals=True)
    assert "[…]: 95 % interval, 1,000 resamples of 40 groups (instant_id)" in found.notes
    from generators.scored import make_truth

    few = table(("a", results_of(3.0, truth=make_truth(8))), columns=("EPE[px]",), intervals=True)
    assert any(note.endswith("fewer than 20 groups: unreliable") for note in few.notes)
    none = table(("a", results_of(3.0, truth=make_truth(2))), columns=("EPE[px]",), intervals=True)
    assert "[…]: 95 % interval, none could be computed" in none.notes


def test_why_there_is_no_value() -> None:
    found = table(("flat", results_of(3.0, keypoints_3d=None)), columns=("PA-MPJPE[mm]",))
    (cell,) = found.rows[0].values
    assert cell is not None
    assert cell.value is None
    assert any(
        n.startswith("flat: no value: ") and n.endswith("(PA-MPJPE[mm])") for n in found.notes
    )


def test_the_missing_rule_is_a_note_where_hands_are_missing() -> None:
    rule = "missing hands: PCK, AUC and F count a missed hand as wrong"
    assert any(n.startswith(rule) for n in table(("a", results_of(3.0, missing=1))).notes)
    assert not any(n.startswith("missing") for n in table(("a", results_of(3.0))).notes)


def test_one_label_twice_is_an_error() -> None:
    with pytest.raises(ScoreError, match="found 'a' twice"):
        paper_tables([("a", results_of(3.0)), ("a", results_of(4.0))])


def test_signatures_written_by_hand_are_shown_as_they_are() -> None:
    assert short("mine") == "mine"
    assert short(results_of(3.0).signature).startswith("handbench/1; 40 hands; truth 0000")
    one = results_of(3.0)
    tables = paper_tables([("a", one), ("b", replace(one, signature="mine"))])
    assert [t.protocol for t in tables] == ["handbench/1", "handbench"]


def test_results_without_metrics_make_no_table() -> None:
    with pytest.raises(ScoreError, match="the results hold no metric"):
        paper_tables([("a", replace(results_of(3.0), metrics={}))])
