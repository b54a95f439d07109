from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from generators.scored_results import evaluated, results_of

from handbench.scores.bounds import contradictions, value_of
from handbench.scores.metric import Metric
from handbench.scores.names import parse
from handbench.scores.protocols import FREIHAND, HANDBENCH
from handbench.scores.results import MetricValue, Results

GOOD = results_of(3.0)


def holding(**values: float) -> Results:
    """Results that hold these numbers alone."""
    metrics = {
        name: MetricValue(value, parse(name).result_unit, "d") for name, value in values.items()
    }
    return replace(GOOD, metrics=metrics, per_joint={}, curves={})


def found(results: Results, protocol: Any = None) -> list[str]:
    metrics: dict[str, Metric] = {name: parse(name) for name in results.metrics}
    return list(contradictions(results, metrics, protocol))


@pytest.mark.parametrize(
    ("low", "high", "why"),
    [
        ("F@5mm[pa-reflect]", "F@15mm[pa-reflect]", "right at a wider one"),
        ("PCK@0.05[tight]", "PCK@0.1[tight]", "right at a wider one"),
        ("PCK@10px[cmp=lt]", "PCK@10px", "what is below a threshold"),
        ("PCK@0.1[tight]", "PCK@0.1[tight,missing=drop]", "missed hand"),
        ("F@5mm[pa]", "F@5mm[pa,missing=drop]", "missed hand"),
        ("AUC@0-0.2[tight,rule=exact]", "PCK@0.2[tight]", "no point of a PCK curve"),
        ("AUC@0-30px[n=20]", "PCK@30px", "no point of a PCK curve"),
        ("AUC@0-0.1[tight,rule=exact]", "AUC@0-0.2[tight,rule=exact]", "and so does its mean"),
        ("EPE[px,stat=median]", "EPE[px,stat=p95]", "percentiles rise"),
        ("EPE[px,stat=p5]", "EPE[px,stat=median]", "percentiles rise"),
    ],
)
def test_one_number_is_never_above_the_other(low: str, high: str, why: str) -> None:
    assert found(holding(**{low: 0.4, high: 0.6})) == []
    assert found(holding(**{low: 0.5, high: 0.5})) == []
    (sentence,) = found(holding(**{low: 0.6, high: 0.4}))
    assert sentence.startswith(f"{high} is 0.4, below {low} with 0.6: impossible")
    assert why in sentence
    assert "evaluate the predictions again" in sentence


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("PCK@0.1[tight]", "PCK@0.2[palm]"),  # other sizes
        ("F@5mm[pa]", "F@15mm[cam]"),  # other alignments
        ("PA-MPJPE[mm]", "MPJPE[mm,root=0]"),  # least squares, not least mean distance
        ("AUC@0-30px[n=20,rule=left,cmp=lt]", "AUC@0-40px[n=20,rule=left,cmp=lt]"),
        ("PCK@0.1[tight,of=mean-pose]", "PCK@0.2[tight]"),
    ],
)
def test_different_things_do_not_bound_each_other(one: str, other: str) -> None:
    assert found(holding(**{one: 0.9, other: 0.1})) == []
    assert found(holding(**{one: 0.1, other: 0.9})) == []


def test_the_three_widest_apart_are_compared_as_neighbours() -> None:
    values = {"PCK@0.05[tight]": 0.5, "PCK@0.1[tight]": 0.4, "PCK@0.2[tight]": 0.45}
    assert len(found(holding(**values))) == 1


def test_a_mean_of_joints_is_the_mean_of_its_joints() -> None:
    name = "PCK@0.1[tight]"
    results = replace(holding(**{name: 0.5}), per_joint={name: [0.25, 0.75, *[None] * 19]})
    assert found(results) == []
    (sentence,) = found(replace(results, per_joint={name: [0.2] * 21}))
    assert "is 0.5, but the mean of its joints is 0.2" in sentence


def test_a_pooled_mean_lies_between_its_joints() -> None:
    results = replace(holding(**{"EPE[px]": 5.0}), per_joint={"EPE[px]": [4.0] * 20 + [9.0]})
    assert found(results) == []
    (sentence,) = found(replace(results, per_joint={"EPE[px]": [6.0] * 21}))
    assert "its joints lie between 6 and 6" in sentence
    (sentence,) = found(replace(results, per_joint={"EPE[px]": [5.0] * 20}))
    assert "20 numbers, expected 21" in sentence


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        ([0.0, 1.0], [0.0], "2 thresholds and 1 fractions"),
        ([0.0], [0.0], "at least two"),
        ([0.0, 1.0], [0.0, 1.5], "not between 0 and 1"),
        ([0.0, 0.0], [0.0, 0.5], "thresholds do not rise"),
        ([0.0, 1.0, 2.0], [0.0, 0.6, 0.5], "falls from 0.6 to 0.5: impossible"),
    ],
)
def test_curves_rise(x: list[float], y: list[float], message: str) -> None:
    results = replace(holding(**{"EPE[px]": 5.0}), curves={"PCK[px]": {"x": x, "y": y}})
    (sentence,) = found(results)
    assert message in sentence


def test_a_pck_lies_on_its_curve() -> None:
    metrics = {**GOOD.metrics, "PCK@0.1[tight]": MetricValue(0.0, "fraction", "d")}
    lies = [s for s in found(replace(GOOD, metrics=metrics), HANDBENCH) if "its curve" in s]
    assert len(lies) == 1
    assert "PCK@0.1[tight] is 0, but its curve PCK[tight] says" in lies[0]
    # Another handbench's curves may be of anything.
    assert not [s for s in found(replace(GOOD, metrics=metrics)) if "its curve" in s]


def test_an_auc_is_the_area_of_its_curve() -> None:
    results = evaluated(protocols=("freihand",)).results[0]
    assert found(results, FREIHAND) == []
    name = "AUC@0-50mm[root=0,n=100]"
    value = value_of(results, name)
    assert value is not None
    less = replace(results.metrics[name], value=value - 0.01)
    sentences = found(replace(results, metrics={**results.metrics, name: less}), FREIHAND)
    assert any("but its curve PCK[mm,root=0] says" in sentence for sentence in sentences)
