"""What every protocol promises, whatever the predictions are: values or reasons, never a crash."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from reference.hand_file import write_hand_file
from reference.random_hands import RandomHands, random_hands, reordered

from handbench.errors import ScoreError
from handbench.hdf5.reader import HandFile
from handbench.reports.html import write_report
from handbench.scores.definitions import define
from handbench.scores.hygiene import problems
from handbench.scores.names import parse
from handbench.scores.protocol import Protocol
from handbench.scores.protocols import PROTOCOLS
from handbench.scores.results import Evaluation, MetricValue, Results
from handbench.scores.scoring import score

every_protocol = pytest.mark.parametrize("protocol", PROTOCOLS, ids=lambda p: p.name)


# --- names --------------------------------------------------------------------------------------


@every_protocol
def test_names_are_unique_and_parse_back(protocol: Protocol) -> None:
    metrics = protocol.metrics(with_3d=True)
    assert [parse(str(metric)) for metric in metrics] == list(metrics)
    assert len({str(metric) for metric in metrics}) == len(metrics)
    assert len({define(metric) for metric in metrics}) == len(metrics)
    assert protocol.tag == f"{protocol.name}/{protocol.version}"


@every_protocol
def test_the_metric_that_ranks_is_listed_and_counts_missed_hands_if_it_can(
    protocol: Protocol,
) -> None:
    primary = protocol.primary
    assert primary in protocol.metrics(with_3d=True)
    assert primary.of == "model"
    assert primary.is_distance or primary.missing == "wrong"
    assert parse("coverage") in protocol.metrics(with_3d=True)


@every_protocol
def test_beside_reflections_stands_a_proper_rotation(protocol: Protocol) -> None:
    metrics = protocol.metrics(with_3d=True)
    reflecting = [metric for metric in metrics if metric.alignment == "pa-reflect"]
    assert {replace(metric, alignment="pa") for metric in reflecting} <= set(metrics)


@every_protocol
def test_beside_wrong_if_missed_stands_left_out(protocol: Protocol) -> None:
    metrics = protocol.metrics(with_3d=True)
    counting = [
        metric
        for metric in metrics
        if metric.quantity in ("PCK", "AUC", "F")
        and metric.missing == "wrong"
        and metric.of == "model"
    ]
    assert {replace(metric, missing="drop") for metric in counting} <= set(metrics)
    assert counting or protocol.name in ("interhand", "wholebody_oks")


@every_protocol
def test_curves_are_of_counting_metrics_and_named_once(protocol: Protocol) -> None:
    assert len({curve.name for curve in protocol.curves}) == len(protocol.curves)
    for curve in protocol.curves:
        assert curve.metric.quantity == "PCK"
        assert curve.points > 1


# --- cases --------------------------------------------------------------------------------------


def predicting(hands: RandomHands, **changes: object) -> RandomHands:
    return replace(hands, predictions=replace(hands.predictions, **changes))


def perfect(hands: RandomHands) -> RandomHands:
    truth = hands.truth
    return predicting(
        hands,
        keypoints=np.nan_to_num(truth.keypoints),
        keypoints_3d=np.nan_to_num(hands.keypoints_3d[0], nan=0.5),
        vertices=hands.vertices[0],
        is_right=truth.is_right,
    )


def nobody_found(hands: RandomHands) -> RandomHands:
    nothing = np.arange(0)
    return replace(hands, predictions=reordered(hands.predictions, nothing))


def said_to_be_missing(hands: RandomHands) -> RandomHands:
    flat, points, mesh = (
        np.full_like(each, np.nan)
        for each in (hands.keypoints[1], hands.keypoints_3d[1], hands.vertices[1])
    )
    return predicting(hands, keypoints=flat, keypoints_3d=points, vertices=mesh)


def half_missing(hands: RandomHands) -> RandomHands:
    return replace(
        hands, predictions=reordered(hands.predictions, np.arange(0, len(hands.predictions), 2))
    )


def one_sample(hands: RandomHands) -> RandomHands:
    first = np.arange(1)
    return RandomHands(hands.truth.rows(first), reordered(hands.predictions, first))


def only_2d(hands: RandomHands) -> RandomHands:
    return predicting(hands, keypoints_3d=None, vertices=None)


def only_3d(hands: RandomHands) -> RandomHands:
    return predicting(hands, keypoints=None)


def from_the_wrist(hands: RandomHands) -> RandomHands:
    joints = hands.keypoints_3d[1]
    return predicting(hands, keypoints_3d=joints - joints[:, :1], frame_3d="root:0")


def another_mesh(hands: RandomHands) -> RandomHands:
    return predicting(hands, vertices=hands.vertices[1][:, :20])


def zeros(hands: RandomHands) -> RandomHands:
    return predicting(
        hands,
        keypoints=np.zeros_like(hands.keypoints[1]),
        keypoints_3d=np.zeros_like(hands.keypoints_3d[1]),
        vertices=np.zeros_like(hands.vertices[1]),
    )


def poor_labels(hands: RandomHands) -> RandomHands:
    """One joint a hand, nothing occluded, right hands only, no types, no areas, no meshes."""
    truth = hands.truth
    alone = np.arange(21) == 5
    kept = truth.valid & truth.valid_3d & alone
    return replace(
        hands,
        truth=replace(
            truth,
            valid=kept,
            valid_3d=kept,
            visibility=np.where(kept, 2, 0).astype(np.uint8),
            is_right=np.ones(len(hands), dtype=np.int8),
            hand_type=None,
            person_area_px2=None,
            hand_area_px2=None,
            vertices=None,
        ),
    )


CASES: list[Callable[[RandomHands], RandomHands]] = [
    *(lambda hands: hands, perfect, nobody_found, said_to_be_missing, half_missing, one_sample),
    *(only_2d, only_3d, from_the_wrist, another_mesh, zeros, poor_labels),
]
every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__.strip("<>"))


@pytest.fixture(scope="module")
def hands() -> RandomHands:
    return random_hands(9, vertices=30, holes=0.1)


@pytest.fixture(scope="module")
def file(hands: RandomHands, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HandFile]:
    path = tmp_path_factory.mktemp("protocols") / "hands.h5"
    with HandFile(write_hand_file(path, hands, hands.truth.dataset)) as opened:
        yield opened


def scored(hands: RandomHands, protocol: Protocol) -> tuple[Evaluation, Results]:
    evaluation = score(hands.predictions, hands.truth, [protocol])
    return evaluation, evaluation.results[0]


def check_value(name: str, found: MetricValue) -> None:
    if found.value is None:
        assert "no value: " in found.definition, name
        assert found.ci95 is None, name
        return
    assert math.isfinite(found.value), name
    assert found.value >= 0, name
    assert found.unit != "fraction" or parse(name).is_distance or found.value <= 1, name
    if found.ci95 is not None:
        low, high = found.ci95
        assert low <= high, name
        assert low - 1e-9 <= found.value <= high + 1e-9, name


@every_case
@every_protocol
def test_values_or_reasons_and_files_of_them(
    case: Callable[[RandomHands], RandomHands],
    protocol: Protocol,
    hands: RandomHands,
    file: HandFile,
    tmp_path: Path,
) -> None:
    changed = case(hands)
    evaluation, results = scored(changed, protocol)
    assert list(results.metrics) == [str(m) for m in protocol.metrics(with_3d=True)]
    for name, found in results.metrics.items():
        check_value(name, found)
    results.write(tmp_path / "results.json")
    assert Results.read(tmp_path / "results.json") == results
    # These hands have no file behind them; what is possible must be judged possible.
    assert [s for s in problems(results) if not s.startswith("provenance lacks data_sha256")] == []
    json.loads((tmp_path / "results.json").read_text("utf-8"), parse_constant=pytest.fail)
    page = write_report([evaluation], file, tmp_path / "report.html").read_text("utf-8")
    assert protocol.name in page
    assert str(protocol.primary) in page.replace("&lt;", "<")


@every_protocol
def test_perfect_predictions_are_perfect(protocol: Protocol, hands: RandomHands) -> None:
    _, results = scored(perfect(hands), protocol)
    value = results.metrics[str(protocol.primary)].value
    # mmpose's first threshold is 0 px and strict: one of 20 is never reached.
    best = 0.0 if protocol.primary.is_distance else 0.95 if protocol.name == "mmpose" else 1.0
    assert value == pytest.approx(best, abs=1e-9)


@every_protocol
def test_missed_hands_are_wrong_and_have_no_distance(
    protocol: Protocol, hands: RandomHands
) -> None:
    one, other = (scored(case(hands), protocol)[1] for case in (nobody_found, said_to_be_missing))
    for results in (one, other):
        assert results.metrics["coverage"].value == 0.0
        assert results.samples["missing"] == len(hands)
    for name, found in other.metrics.items():
        metric = parse(name)
        if metric.of == "mean-pose":
            assert found.value is not None, name
        elif metric.is_distance or (metric.missing == "drop" and metric.quantity != "coverage"):
            assert found.value is None, name
        else:
            assert found.value == 0.0, name
        assert one.metrics[name].value == found.value, name


@every_protocol
def test_truth_without_3d_is_scored_in_2d_or_refused(
    protocol: Protocol, hands: RandomHands
) -> None:
    truth = hands.truth
    flat = replace(
        hands,
        truth=replace(
            truth, keypoints_3d=None, vertices=None, valid_3d=np.zeros_like(truth.valid_3d)
        ),
    )
    if protocol.metrics_2d:
        _, results = scored(flat, protocol)
        assert not any("mm" in name for name in results.metrics)
        for name, found in results.metrics.items():
            check_value(name, found)
    else:
        with pytest.raises(ScoreError, match="need 3D labels, and sample test has none"):
            scored(flat, protocol)


@every_protocol
def test_truth_without_2d_is_scored_in_3d_or_has_reasons(
    protocol: Protocol, hands: RandomHands
) -> None:
    truth = hands.truth
    nothing = np.zeros_like(truth.valid)
    points = np.full_like(truth.keypoints, np.nan)
    deep = replace(hands, truth=replace(truth, valid=nothing, keypoints=points))
    _, results = scored(deep, protocol)
    for name, found in results.metrics.items():
        check_value(name, found)
        if parse(name).is_3d or name in ("coverage", "handedness"):
            assert found.value is not None, name
        else:
            assert "the split has no 2D labels" in found.definition, name
