from __future__ import annotations

import dataclasses

import pytest
from scored_models import scored

from handbench.hdf5.reader import HandFile
from handbench.reports.ranking import is_error, main_metrics, number, rankings


@pytest.mark.parametrize(
    ("name", "smaller"),
    [
        ("EPE[px]", True),
        ("PA-MPJPE[mm]", True),
        ("PCK@0.2[bbox]", False),
        ("AUC@0-30px[n=20,rule=left,cmp=lt]", False),
        ("coverage", False),
        ("NEW@3[thing]", False),
    ],
)
def test_direction_of_metrics(name: str, smaller: bool) -> None:
    assert is_error(name) is smaller


def test_companions_join_the_line_of_their_metric(tiny: HandFile) -> None:
    model = scored(tiny, missing=6)
    ranking = rankings([model], ["net"])[0]
    names = [line.name for line in ranking.lines]
    assert not [name for name in names if "missing=drop" in name or "mean-pose" in name]
    line = ranking.lines[names.index("PCK@0.2[tight]")]
    assert line.found_only is not None
    assert line.found_only[0] == model.results[0].metrics["PCK@0.2[tight,missing=drop]"]
    assert line.floor == model.results[0].metrics["PCK@0.2[tight,of=mean-pose]"]
    assert names[0] == "coverage"
    assert ranking.lines[0].found_only is None


def test_a_companion_alone_stands_for_itself() -> None:
    alone = "PCK@0.2[tight,missing=drop]"
    assert main_metrics([alone]) == [alone]
    assert main_metrics(["PCK@0.2[tight]", alone]) == ["PCK@0.2[tight]"]


def test_best_value_depends_on_the_direction(tiny: HandFile) -> None:
    models = [scored(tiny, "far", shift=9.0), scored(tiny, "near", shift=1.0)]
    ranking = rankings(models, ["far", "near"])[0]
    assert ranking.slots == [1, 0]
    for line in ranking.lines:
        if line.name.startswith(("EPE", "AUC")):
            assert line.best == {0}, line.name
    coverage = next(line for line in ranking.lines if line.name == "coverage")
    assert coverage.best == {0, 1}, "a tie has two best"


def test_nobody_is_best_at_distances_over_different_hands(tiny: HandFile) -> None:
    models = [scored(tiny, "all", shift=3.0), scored(tiny, "some", shift=1.0, missing=6)]
    lines = {line.name: line for line in rankings(models, ["all", "some"])[0].lines}
    assert lines["EPE[px]"].best == frozenset()
    assert lines["PCK@0.2[tight]"].best
    assert lines["coverage"].best


def test_the_first_table_leads_with_coverage_and_the_ranking_metric(tiny: HandFile) -> None:
    for ranking in rankings([scored(tiny)], ["net"]):
        leading = [line.name for line in ranking.leading]
        assert leading[:2] == ["coverage", ranking.primary]
        assert len(leading) <= 5
        assert len(set(leading)) == len(leading)


def test_models_are_kept_apart_by_signature(tiny: HandFile) -> None:
    models = [scored(tiny, "boxed"), scored(tiny, "free", gt_used=()), scored(tiny, "too")]
    found = rankings(models, ["boxed", "free", "too"])
    assert [(one.protocol, sorted(one.slots)) for one in found] == [
        ("handbench", [0, 2]),
        ("handbench", [1]),
        ("mmpose", [0, 2]),
        ("mmpose", [1]),
    ]


def test_a_protocol_of_some_models_alone(tiny: HandFile) -> None:
    models = [scored(tiny, "a"), scored(tiny, "b", protocols=("mmpose",))]
    assert [(one.protocol, one.slots) for one in rankings(models, ["a", "b"])] == [
        ("handbench", [0]),
        ("mmpose", [0, 1]),
    ]


def test_metrics_named_by_the_user_rank_by_the_first(tiny: HandFile) -> None:
    def custom(name: str, shift: float) -> object:
        model = scored(tiny, name, shift=shift)
        kept = {n: model.results[0].metrics[n] for n in ("EPE[px]", "PCK@0.2[tight]")}
        one = dataclasses.replace(model.results[0], protocol="custom", metrics=kept)
        return dataclasses.replace(model, results=[one])

    models = [custom("far", 9.0), custom("near", 1.0)]
    (ranking,) = rankings(models, ["far", "near"])  # type: ignore[arg-type]
    assert ranking.primary == "EPE[px]"
    assert ranking.slots == [1, 0]


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.98765, "fraction", "0.9877"),
        (1234.5, "px", "1,234.50"),
        (None, "px", "–"),
        (float("nan"), "mm", "–"),
    ],
)
def test_numbers_as_text(value: float | None, unit: str, text: str) -> None:
    assert number(value, unit) == text
