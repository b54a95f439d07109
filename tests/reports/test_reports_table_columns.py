from __future__ import annotations

import pytest
from generators.scored_results import results_of

from handbench.errors import ScoreError
from handbench.reports.table_columns import (
    Choice,
    Column,
    cell_of,
    columns_of,
    number_of,
    preset_of,
    resolve,
    split_columns,
)

NAMES = list(results_of(3.0).metrics)


def columns(choice: Choice, **options: object) -> list[str]:
    results = results_of(3.0, **options)  # type: ignore[arg-type]
    asked = [resolve(name, list(results.metrics)) for name in choice.columns if name != "all"]
    return [column.name for column in columns_of({"net": results}, choice, asked)]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("EPE[px]", ("EPE[px]",)),
        ("EPE[px,stat=p95],coverage", ("EPE[px,stat=p95]", "coverage")),
        (" a , ,b ", ("a", "b")),
        ("AUC@0-0.2[tight,rule", ("AUC@0-0.2[tight", "rule")),
        ("", ()),
    ],
)
def test_commas_inside_brackets_part_nothing(text: str, names: tuple[str, ...]) -> None:
    assert split_columns(text) == names


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        ("EPE[px]", "EPE[px]"),
        ("PCK@0.10[tight]", "PCK@0.1[tight]"),  # another spelling
        ("AUC@0-0.2[tight", "AUC@0-0.2[tight,rule=exact]"),
        ("PA-", "PA-MPJPE[mm]"),
        ("PCK@0.1[tight,missing=drop]", "PCK@0.1[tight,missing=drop]"),
        ("EPE[px,of", "EPE[px,of=mean-pose]"),
        ("coverage", "coverage"),
    ],
)
def test_names_and_beginnings(asked: str, name: str) -> None:
    assert resolve(asked, NAMES) == name


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("PCK@0.1", r"could be any of PCK@0.1\[tight\], PCK@0.1\[palm\]: name one of them in full"),
        ("EPX[px]", r"found 'EPX\[px\]'; near: EPE\[px\].*handbench evaluate … --metric NAME"),
        ("F@5mm[pa]", r"expected a column among the metrics of these results"),
    ],
)
def test_what_names_no_column(asked: str, message: str) -> None:
    with pytest.raises(ScoreError, match=message):
        resolve(asked, NAMES)


def test_the_leading_columns_begin_with_the_metric_that_ranks() -> None:
    assert columns(Choice())[0] == "AUC@0-0.2[tight,rule=exact]"
    assert len(columns(Choice())) == 5
    # 3D alone: the metric that stands in.
    assert columns(Choice(), keypoints=None)[0] == "AUC@0-50mm[root=0,rule=exact]"


def test_coverage_comes_first_where_a_hand_was_missed() -> None:
    assert columns(Choice(("EPE[px]",)), missing=1) == ["coverage", "EPE[px]"]
    assert columns(Choice(("EPE[px]",))) == ["EPE[px]"]
    assert columns(Choice(("EPE[px]", "coverage")), missing=1) == ["EPE[px]", "coverage"]


def test_all_columns_but_floors() -> None:
    listed = columns(Choice(("all",)))
    assert listed == [name for name in NAMES if "of=mean-pose" not in name]


def test_order_is_that_of_the_user_and_each_once() -> None:
    choice = Choice(("EPE[px]", "PCK@0.1[palm]", "EPE[px]"))
    assert columns(choice) == ["EPE[px]", "PCK@0.1[palm]"]


@pytest.mark.parametrize(
    ("choice", "metric", "shown"),
    [
        (Choice(), "PCK@0.1[tight]", "0.988"),
        (Choice(percent=True), "PCK@0.1[tight]", "98.8"),
        (Choice(percent=True), "EPE[px]", "0.99"),
        (Choice(decimals=1), "PCK@0.1[tight]", "1.0"),
        (Choice(decimals=0, percent=True), "PCK@0.1[tight]", "99"),
        (Choice(), "MPJPE[mm,cam]", "0.99"),
    ],
)
def test_digits(choice: Choice, metric: str, shown: str) -> None:
    (column,) = columns_of({"net": results_of(3.0)}, choice, [metric])
    assert column.shown(0.98765) == shown


def test_what_is_no_number_is_a_dash() -> None:
    column = Column("EPE[px]", "px", "d", True, 2, False)
    assert column.shown(None) == column.shown(float("nan")) == column.shown(float("inf")) == "–"
    assert column.head == "EPE[px] ↓"


def test_unknown_metrics_of_a_newer_handbench_are_shown_as_they_are() -> None:
    from dataclasses import replace

    from handbench.scores.results import MetricValue

    results = replace(
        results_of(3.0), metrics={"new@7": MetricValue(1.5, "mm", "d\n; interval: all")}
    )
    (column,) = columns_of({"net": results}, Choice(("all",)), [])
    assert (column.name, column.definition, column.smaller_is_better) == ("new@7", "d", None)
    assert column.head == "new@7"


def test_coverage_follows_from_the_counts() -> None:
    from generators.scored_results import evaluated

    results = evaluated(protocols=(), metrics=("EPE[px]",), missing=10).results[0]
    cell = cell_of(results, "coverage")
    assert cell is not None
    assert cell.value == 0.75
    assert number_of(results, "PCK@10px") is None
    preset = preset_of({"net": results})
    assert preset is not None
    assert preset.name == "custom"
