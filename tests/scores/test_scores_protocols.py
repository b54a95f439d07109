from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from handbench.errors import ScoreError
from handbench.metrics import auc_grid
from handbench.scores.metric import Metric
from handbench.scores.names import parse
from handbench.scores.protocol import Curve, metrics
from handbench.scores.protocols import PROTOCOLS, custom_protocol, find_protocol

# Value that ranks, and numbers beside it, as the papers and scripts name them.
RANKS = {
    "handbench": "AUC@0-0.2[tight,rule=exact]",
    "mmpose": "AUC@0-30px[n=20,rule=left,cmp=lt]",
    "freihand": "MPJPE[mm,pa-reflect,avg=joint]",
    "ho3d": "MPJPE[mm,pa-reflect,avg=joint]",
    "dexycb": "MPJPE[mm,root=0,avg=joint]",
    "interhand": "MPJPE[mm,root=0,avg=side]",
    "zb2d": "AUC@0-30px[n=20,joints=visible]",
    "auc3d_20_50": "AUC@20-50mm[root=0,n=20]",
    "hint": "PCK@0.05[bbox]",
    "wholebody_oks": "OKS-AP[person]",
}
GRIDS = {
    "AUC@0-30px[n=20,rule=left,cmp=lt]": (0.0, 28.5, 1.5),
    "AUC@0-30px[n=20,joints=visible]": (0.0, 30.0, 30 / 19),
    "AUC@0-50mm[pa-reflect,n=100]": (0.0, 50.0, 50 / 99),
    "AUC@20-50mm[root=0,n=20]": (20.0, 50.0, 30 / 19),
    "AUC@20-50mm[root=0,n=16]": (20.0, 50.0, 2.0),
    "AUC@20-50mm[root=0,n=15]": (20.0, 50.0, 30 / 14),
}


def every_metric() -> set[Metric]:
    return {metric for protocol in PROTOCOLS for metric in protocol.metrics(with_3d=True)}


def test_every_protocol_ranks_by_what_its_convention_names() -> None:
    assert {protocol.name: str(protocol.primary) for protocol in PROTOCOLS} == RANKS


@pytest.mark.parametrize("name", GRIDS)
def test_grids_of_thresholds(name: str) -> None:
    metric = parse(name)
    assert metric in every_metric()
    thresholds, _ = auc_grid(metric.low, metric.high, metric.n, metric.rule)
    first, last, step = GRIDS[name]
    assert (thresholds[0], thresholds[-1]) == pytest.approx((first, last))
    np.testing.assert_allclose(np.diff(thresholds), step)


def test_only_mmpose_rounds_and_replaces() -> None:
    assert [p.name for p in PROTOCOLS if p.single_precision] == ["mmpose"]
    assert [p.name for p in PROTOCOLS if p.replaces_bad_boxes] == ["mmpose"]


def test_comparisons_are_strict_in_mmpose_and_f_only() -> None:
    strict = {metric for metric in every_metric() if metric.cmp == "lt"}
    assert {metric.quantity for metric in strict} == {"PCK", "AUC", "F"}
    in_mmpose = set(find_protocol("mmpose").metrics(with_3d=True))
    assert {metric for metric in strict if metric.quantity != "F"} <= in_mmpose


def test_meshes_are_needed_by_two() -> None:
    assert [p.name for p in PROTOCOLS if p.needs_meshes] == ["freihand", "ho3d"]


def test_metrics_depend_on_the_truth_alone() -> None:
    handbench = find_protocol("handbench")
    flat, full = handbench.metrics(with_3d=False), handbench.metrics(with_3d=True)
    assert full[: len(flat)] == flat
    assert not any(metric.is_3d for metric in flat)
    assert any(metric.is_3d for metric in full)


def test_summaries_say_where_they_come_from() -> None:
    for protocol in PROTOCOLS:
        assert protocol.summary, protocol.name
        assert protocol.source, protocol.name
        assert not protocol.summary.endswith("."), protocol.name
        assert re.fullmatch(r"[a-z0-9_]+", protocol.name)
    assert len({protocol.name for protocol in PROTOCOLS}) == len(PROTOCOLS)


def test_curves_end_where_their_metric_does() -> None:
    curves = {curve.name: curve for protocol in PROTOCOLS for curve in protocol.curves}
    assert curves["PCK[px,cmp=lt]"] == Curve("PCK[px,cmp=lt]", parse("PCK@28.5px[cmp=lt]"), 20)
    # The mean over that curve is mmpose's AUC: its thresholds are the same.
    thresholds, _ = auc_grid(0, 30, 20, "left")
    np.testing.assert_allclose(np.linspace(0, 28.5, 20), thresholds)


def test_each_counting_metric_is_followed_by_its_twin() -> None:
    listed = metrics("coverage", "PCK@5px", "EPE", "F@5mm[pa]", "handedness")
    assert [str(metric) for metric in listed] == [
        "coverage",
        *("PCK@5px", "PCK@5px[missing=drop]"),
        "EPE[px]",
        *("F@5mm[pa]", "F@5mm[pa,missing=drop]"),
        "handedness",
    ]


def test_a_protocol_of_named_metrics() -> None:
    custom = custom_protocol(("MPJPE[mm]", "PCK@0.1[tight]", "MPJPE[mm,cam]"))
    assert str(custom.primary) == "MPJPE[mm,cam]"
    assert [str(m) for m in custom.metrics_2d] == ["PCK@0.1[tight]"]
    assert [str(m) for m in custom.metrics_3d] == ["MPJPE[mm,cam]"]
    assert custom.tag == "custom/1"
    assert not custom.needs_meshes
    assert custom_protocol(("F@5mm",)).needs_meshes
    assert replace(custom, version=2).tag == "custom/2"
    with pytest.raises(ScoreError, match="expected at least one metric name, found none"):
        custom_protocol(())
    with pytest.raises(ScoreError, match="did you mean 'PCK'"):
        custom_protocol(("PKC@5px",))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mmpse", "unknown protocol 'mmpse'; did you mean 'mmpose'"),
        ("FreiHAND", "did you mean 'freihand'"),
        ("xyz", "known: handbench, mmpose, freihand"),
    ],
)
def test_unknown_protocols(name: str, message: str) -> None:
    with pytest.raises(ScoreError, match=message):
        find_protocol(name)
