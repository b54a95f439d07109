from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest
from many_results import HANDS, document

from handbench.leaderboard.board import Contamination, Entry, Evidence, Overlap, Row, Table
from handbench.leaderboard.tables import make_table
from handbench.scores.results import Results

PRIMARY = "AUC@0-30px[n=20,rule=left,cmp=lt]"


def entry(slug: str, place: int = 0, **changes: Any) -> Entry:
    made: dict[str, Any] = {
        "evidence": Evidence.REPRODUCED,
        "problems": (),
        "superseded_by": "",
        "evaluation": None,
    }
    fields = {name: changes.pop(name, value) for name, value in made.items()}
    changes.setdefault("name", slug)
    return Entry(
        results=Results.from_dict(document(place, **changes)),
        file=f"{slug}.json",
        slug=slug,
        evidence_sentence="",
        command="",
        training_data=None,
        contamination=Contamination(Overlap.UNKNOWN, ""),
        **fields,
    )


def with_value(one: Entry, name: str, value: float | None) -> Entry:
    metrics = {**one.results.metrics, name: replace(one.results.metrics[name], value=value)}
    return replace(one, results=replace(one.results, metrics=metrics))


def with_predicted(one: Entry, predicted: int) -> Entry:
    samples = {**one.results.samples, "predicted": predicted, "missing": HANDS - predicted}
    return replace(one, results=replace(one.results, samples=samples))


def row_of(table: Table, slug: str) -> Row:
    return next(row for row in table.rows if row.entry.slug == slug)


def ranks(table: Table) -> dict[str, int | None]:
    return {row.entry.slug: row.rank for row in table.rows}


def test_ranks_follow_the_protocols_primary_metric_whatever_the_order():
    entries = [entry("good", 0), entry("poor", 5), entry("fair", 2)]
    for order in itertools.permutations(entries):
        table = make_table(order, {})
        assert table.primary == PRIMARY
        assert [(row.entry.slug, row.rank) for row in table.rows] == [
            ("good", 1),
            ("fair", 2),
            ("poor", 3),
        ]
        assert table == make_table(entries, {})


def test_distances_rank_upwards():
    table = make_table(
        [entry("poor", 5, protocol="freihand"), entry("good", 0, protocol="freihand")], {}
    )
    assert table.primary == "MPJPE[mm,pa-reflect,avg=joint]"
    assert ranks(table) == {"good": 1, "poor": 2}


def test_equal_values_share_a_rank():
    table = make_table([entry("a", 0), entry("b", 0), entry("c", 4)], {})
    assert ranks(table) == {"a": 1, "b": 1, "c": 3}


def test_columns_are_the_protocols_with_companions_folded():
    table = make_table([entry("a", 0, protocol="handbench")], {})
    names = [column.name for column in table.columns]
    assert names[:2] == ["coverage", "AUC@0-0.2[tight,rule=exact]"]
    assert not any("missing=drop" in name or "mean-pose" in name for name in names)
    leading = [column.name for column in table.columns if column.leading]
    assert leading[:2] == ["coverage", table.primary]
    assert len(leading) == 5
    floor = table.columns[1].floor
    assert floor is not None
    assert (
        floor.value
        == row_of(table, "a")
        .entry.results.metrics["AUC@0-0.2[tight,rule=exact,of=mean-pose]"]
        .value
    )
    assert all(len(row.values) == len(names) for row in table.rows)


def test_the_best_of_each_column_is_marked_among_ranked_rows():
    told = entry("told", 0, evidence=Evidence.SELF_REPORTED)
    table = make_table([told, entry("good", 1), entry("poor", 10)], {})
    assert row_of(table, "told").best == frozenset()
    assert row_of(table, "good").best == frozenset(range(len(table.columns)))
    # Both found all hands.
    assert {table.columns[i].name for i in row_of(table, "poor").best} == {"coverage"}


def test_nobody_is_best_of_one():
    assert make_table([entry("alone", 0)], {}).rows[0].best == frozenset()


def test_nobody_is_best_at_distances_over_other_hands():
    table = make_table([entry("all", 5), entry("some", 3)], {})
    assert row_of(table, "some").coverage == 37 / 40
    best = {table.columns[i].name for row in table.rows for i in row.best}
    assert best == {"coverage", "PCK@0.2[bbox,cmp=lt]", PRIMARY}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"evidence": Evidence.SELF_REPORTED}, "self-reported"),
        ({"problems": ("it is wrong",)}, "it is wrong"),
        ({"superseded_by": "b"}, "superseded"),
    ],
)
def test_rows_without_a_rank_say_why(changes: dict[str, Any], reason: str):
    table = make_table([entry("a", 0, **changes), entry("b", 3)], {})
    assert ranks(table) == {"b": 1, "a": None}
    assert reason in row_of(table, "a").unranked
    assert row_of(table, "b").unranked == ""


def test_self_reported_rows_rank_when_asked_for():
    entries = [entry("a", 0, evidence=Evidence.SELF_REPORTED), entry("b", 5)]
    assert ranks(make_table(entries, {}, rank_self_reported=True)) == {"a": 1, "b": 2}


def test_a_table_without_ranks_says_why():
    told = [entry(slug, n, evidence=Evidence.SELF_REPORTED) for n, slug in enumerate("ab")]
    assert make_table(told, {}).remark.startswith("not ranked: self-reported")
    mixed = [told[0], entry("c", 2, problems=("it is wrong",))]
    assert (
        make_table(mixed, {}).remark == "not ranked: no row may be, each for the reason beside it"
    )
    assert make_table([*mixed, entry("d", 3)], {}).remark == ""


def test_a_row_without_the_primary_metric_comes_last():
    table = make_table([with_value(entry("a", 0), PRIMARY, None), entry("b", 5)], {})
    assert ranks(table) == {"b": 1, "a": None}
    assert row_of(table, "a").unranked == f"no value of {PRIMARY}"


def test_distances_over_found_hands_rank_only_those_who_found_all():
    all_found = [entry("a", 5, protocol="freihand"), entry("b", 4, protocol="freihand")]
    some = with_predicted(entry("c", 0, protocol="freihand"), 39)
    table = make_table([*all_found, some], {})
    assert ranks(table) == {"b": 1, "a": 2, "c": None}
    assert "97.5% here and all of them" in row_of(table, "c").unranked
    assert table.remark == ""


def test_nothing_is_ranked_where_all_missed_different_hands():
    entries = [
        with_predicted(entry("a", 0, protocol="freihand"), 39),
        with_predicted(entry("b", 1, protocol="freihand"), 38),
    ]
    table = make_table(entries, {})
    assert ranks(table) == {"a": None, "b": None}
    assert "coverage differs (95.0% to 97.5%)" in table.remark
    assert all(row.unranked == table.remark for row in table.rows)


def test_hands_predicted_without_3d_count_as_not_covered():
    one = entry("a", 0, protocol="freihand")
    name = "MPJPE[mm,pa-reflect,avg=joint]"
    partly = replace(
        one.results.metrics[name],
        definition=one.results.metrics[name].definition
        + "; 4 hands predicted without 3D keypoints count as missed",
    )
    results = replace(one.results, metrics={**one.results.metrics, name: partly})
    table = make_table([replace(one, results=results), entry("b", 5, protocol="freihand")], {})
    assert ranks(table) == {"b": 1, "a": None}
    assert "90.0% here" in row_of(table, "a").unranked


def test_all_missing_and_one_sample_make_a_table():
    lost = with_predicted(entry("lost", 0), 0)
    for name in lost.results.metrics:
        lost = with_value(lost, name, None)
    table = make_table([lost], {})
    assert row_of(table, "lost").coverage == 0.0
    assert row_of(table, "lost").rank is None
    nothing = replace(lost.results, samples=dict.fromkeys(lost.results.samples, 0), metrics={})
    table = make_table([replace(lost, results=nothing)], {})
    assert (table.columns, table.primary) == ((), "")
    assert "lack" in table.remark
    assert row_of(table, "lost").coverage is None


def test_another_version_of_a_protocol_is_shown_and_not_ranked():
    new = document()["signature"].replace("mmpose/1", "mmpose/9")
    table = make_table([entry("a", 0, signature=new)], {})
    assert ranks(table) == {"a": None}
    assert "does not know this version" in table.remark


def test_metrics_that_nobody_knows_are_columns_too():
    strange = {"value": 1.0, "unit": "px", "definition": "as it came"}
    metrics = {**document()["metrics"], "XYZ@3[<b>]": strange}
    table = make_table([entry("a", 0, metrics=metrics)], {})
    column = table.columns[-1]
    assert (column.name, column.unit, column.definition) == ("XYZ@3[<b>]", "px", "as it came")
    assert ranks(table) == {"a": 1}


def test_custom_metrics_rank_by_the_first():
    metrics = {"EPE[px]": document()["metrics"]["EPE[px]"]}
    signature = "protocol: custom/1; metrics: EPE[px]; ids: all"
    good = entry("good", 0, signature=signature, metrics=metrics)
    poor_metrics = {"EPE[px]": document(5)["metrics"]["EPE[px]"]}
    poor = entry("poor", 5, signature=signature, metrics=poor_metrics)
    custom = [replace(e, results=replace(e.results, protocol="custom")) for e in (poor, good)]
    table = make_table(custom, {})
    assert table.primary == "EPE[px]"
    assert ranks(table) == {"good": 1, "poor": 2}


def test_a_file_with_problems_gives_a_table_no_column():
    bad = entry("bad", problems=("impossible",))
    metrics = {**bad.results.metrics, "PCK@9px": bad.results.metrics[PRIMARY]}
    bad = replace(bad, results=replace(bad.results, metrics=metrics))
    assert "PCK@9px" not in {c.name for c in make_table([bad, entry("good", 1)], {}).columns}
    assert "PCK@9px" in {c.name for c in make_table([bad], {}).columns}
