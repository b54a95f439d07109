from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from handbench.errors import ScoreError
from handbench.scores.definitions import define
from handbench.scores.names import Metric, parse
from handbench.scores.protocols import PROTOCOLS, custom_protocol, find_protocol

EXAMPLES = {
    "EPE[px]": "EPE[px]",
    "EPE": "EPE[px]",
    "EPE[px,stat=p95]": "EPE[px,stat=p95]",
    "EPE[tight]": "EPE[tight]",
    "PCK@0.2[bbox]": "PCK@0.2[bbox]",
    " PCK@0.20[ bbox , cmp=le ] ": "PCK@0.2[bbox]",
    "PCK@0.1[palm,missing=drop,avg=pool,cmp=lt]": "PCK@0.1[palm,cmp=lt,avg=pool,missing=drop]",
    "PCK@10px": "PCK@10px",
    "PCK@10[px]": "PCK@10px",
    "PCK@20mm[root=0]": "PCK@20mm[root=0]",
    "PCK@5px[frame=stored]": "PCK@5px[frame=stored]",
    "AUC@0-30px[n=20,rule=left,cmp=lt]": "AUC@0-30px[n=20,rule=left,cmp=lt]",
    "AUC@0-0.2[tight]": "AUC@0-0.2[tight,rule=exact]",
    "AUC@0-0.2[tight,of=mean-pose]": "AUC@0-0.2[tight,rule=exact,of=mean-pose]",
    "AUC@0-50mm[pa-reflect,n=100]": "AUC@0-50mm[pa-reflect,n=100]",
    "AUC@20-50mm[root=9,n=16,rule=trapz]": "AUC@20-50mm[root=9,n=16]",
    "MPJPE[mm,root=0]": "MPJPE[mm,root=0]",
    "MPJPE[mm]": "MPJPE[mm,cam]",
    "MPJPE[mm,pa-reflect]": "MPJPE[mm,pa-reflect]",
    "MPJPE[mm,pa]": "PA-MPJPE[mm]",
    "PA-MPJPE[mm]": "PA-MPJPE[mm]",
    "coverage": "coverage",
    "F@5mm[pa-reflect]": "F@5mm[pa-reflect]",
    "F@15mm": "F@15mm[cam]",
    "MPVPE[mm,pa-reflect]": "MPVPE[mm,pa-reflect]",
    "MPVPE[pa]": "PA-MPVPE[mm]",
    "AUC@0-50mm[mesh,pa-reflect,n=100]": "AUC@0-50mm[mesh,pa-reflect,n=100]",
    "MPJPE[mm,root=wrist,bone=wrist-middle_mcp,avg=joint]": "MPJPE[mm,root=0,bone=0-9,avg=joint]",
    "MPJPE[mm,root=0,avg=side,hands=interacting]": "MPJPE[mm,root=0,avg=side,hands=interacting]",
    "PCK@0.1[head,avg=hand]": "PCK@0.1[head,avg=hand]",
    "EPE[image]": "EPE[image]",
    "PCK@0.05[bbox,joints=occluded+tip]": "PCK@0.05[bbox,joints=tip+occluded]",
    "PCK@5px[joints=12+4+thumb_tip+index]": "PCK@5px[joints=index+4+12]",
    "EPE[px,joints=all]": "EPE[px]",
    "MRRPE": "MRRPE[mm]",
    "handedness": "handedness",
    "OKS-AP": "OKS-AP[person]",
    "OKS-AP[hand,hands=left,sigma=0.05]": "OKS-AP[hand,sigma=0.05,hands=left]",
    "coverage[hands=right]": "coverage[hands=right]",
    "PCK@1000000px": "PCK@1000000px",
    "PCK@0.00001[bbox]": "PCK@0.00001[bbox]",
    "PCK@0.12345678[bbox]": "PCK@0.12345678[bbox]",
    "AUC@0.0000005-1234567.5px": "AUC@0.0000005-1234567.5px[rule=exact]",
}


@pytest.mark.parametrize(("text", "printed"), EXAMPLES.items())
def test_names_print_and_parse_back(text: str, printed: str) -> None:
    metric = parse(text)
    assert str(metric) == printed
    assert parse(printed) == metric


THRESHOLDS = st.floats(min_value=0.0, allow_nan=False, allow_infinity=False)


@given(low=THRESHOLDS, high=THRESHOLDS)
def test_every_threshold_prints_and_parses_back(low: float, high: float) -> None:
    assume(low < high)
    pck = Metric("PCK", "fraction", high=high, size="bbox")
    auc = Metric("AUC", "px", low=low, high=high)
    assert parse(str(pck)) == pck
    assert parse(str(auc)) == auc


def test_definitions_say_thresholds_exactly_and_differences_without_noise() -> None:
    assert "≤ 1000000.5 px" in define(parse("PCK@1000000.5px"))
    assert "(0.3 - d)/0.2, kept" in define(parse("AUC@0.1-0.3[tight]"))
    assert "from 0 in steps of 500000, " in define(parse("AUC@0-1000000px[n=2,rule=left]"))


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=lambda protocol: protocol.name)
def test_names_of_every_protocol_are_unique_and_parse_back(protocol) -> None:  # type: ignore[no-untyped-def]
    metrics = protocol.metrics(with_3d=True)
    names = [str(metric) for metric in metrics]
    assert len(set(names)) == len(names)
    assert [parse(name) for name in names] == list(metrics)
    assert protocol.primary in metrics
    assert len({define(metric) for metric in metrics}) == len(metrics)


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=lambda protocol: protocol.name)
def test_beside_every_alignment_with_reflections_stands_one_without(protocol) -> None:  # type: ignore[no-untyped-def]
    metrics = protocol.metrics(with_3d=True)
    reflecting = [metric for metric in metrics if metric.alignment == "pa-reflect"]
    assert {replace(metric, alignment="pa") for metric in reflecting} <= set(metrics)


WRONG = {
    "PCKK@0.2[bbox]": "unknown metric name 'PCKK'; did you mean 'PCK'?",
    "pck@0.2[bbox]": "did you mean 'PCK'?",
    "XYZ[px]": "known: EPE, PCK, AUC, MPJPE, PA-MPJPE, MPVPE, PA-MPVPE, F, MRRPE, handedness",
    "PCK@0.2[bbx]": "unknown word 'bbx'; did you mean 'bbox'?",
    "AUC@0-30px[rul=left]": "unknown key 'rul'; did you mean 'rule'?",
    "AUC@0-30px[n=20,rule=middle]": "unknown rule 'middle'",
    "PCK@0.2[bbox,cmp=<]": "unknown cmp '<'",
    "PCK@0.2[bbox": "expected NAME@range",
    "PCK@0.2": "thresholds of what?",
    "PCK[bbox]": "expected a threshold after @",
    "AUC@30px": "expected a range after @",
    "AUC@30-0px": "the range must rise",
    "AUC@1000001-1000000px": "the range must rise, found 1000001 to 1000000",
    f"PCK@{'9' * 400}px": "beyond every number",
    "MPJPE[mm,root=²]": "root must be a whole number",
    "AUC@0-30px[rule=left]": "needs the number of thresholds",
    "AUC@0-30px[rule=exact,n=5]": "drop n",
    "AUC@0-30px[cmp=lt]": "rule=exact has no comparison",
    "AUC@0-30px[n=1]": "n must be a whole number from 2",
    "EPE@3[px]": "takes no range",
    "EPE[mm]": "use MPJPE for mm",
    "MPJPE[px]": "use EPE for px",
    "PCK@0.2[tight,bbox]": "choose one normaliser of bbox and tight",
    "PCK@10px[bbox]": "choose one of px and bbox",
    "PCK@10px[mm]": "choose one of mm and px",
    "EPE[px,root=0]": "alignment belongs to 3D",
    "MPJPE[mm,root=21]": "from 0 to 20",
    "MPJPE[mm,pa,root=0]": "choose one of pa and root",
    "PA-MPJPE[mm,scale]": "aligned by a proper rotation",
    "PCK@10px[n=4]": "'n' belongs to AUC only",
    "PCK@10px[stat=median]": "stat belongs to EPE",
    "EPE[px,stat=p0]": "percentile|p1 to p99",
    "EPE[px,missing=wrong]": "a missed hand has no distance",
    "EPE[px,cmp=lt]": "cmp belongs to PCK and AUC",
    "PCK@0.1[tight,frame=stored]": "frame=stored belongs to metrics in px",
    "MPJPE[mm,of=mean-pose]": "defined in 2D only",
    "EPE[px,px]": "stands there twice",
    "coverage[px]": "coverage takes no px",
    "coverage@3": "coverage takes no @3",
    "OKS-AP[px]": "OKS-AP takes no px",
    "OKS-AP[person,hand]": "choose one area of person and hand",
    "OKS-AP[bbox]": "OKS-AP takes no bbox",
    "OKS-AP[person,sigma=x]": "sigma must be a number",
    "F@5px": "F is a 3D distance in mm",
    "F[mm]": "expected a threshold after @, as in F@5mm",
    "F@5mm[joints=tip]": "F takes no joints",
    "MPVPE[mm,avg=joint]": "a mesh takes no avg|MPVPE takes no avg",
    "MPJPE[mm,mesh]": "the mean distance is MPVPE",
    "PCK@5px[mesh]": "mesh belongs to PCK and AUC in mm",
    "PA-MPVPE[mm,cam]": "write MPVPE[mm,cam]",
    "MRRPE[mm,pa]": "MRRPE compares wrists in camera space",
    "MPJPE[mm,bone=0-9]": "needs root=",
    "MPJPE[mm,root=0,bone=0]": "bone takes two joints",
    "MPJPE[mm,root=0,bone=3-3]": "bone takes two joints",
    "PCK@5px[joints=tips]": "unknown joint set 'tips'; did you mean 'tip'?",
    "PCK@5px[joints=21]": "joints must be a whole number from 0 to 20",
    "PCK@5px[joints=visible+occluded]": "choose one of visible and occluded",
    "PCK@5px[hands=both]": "unknown hands 'both'",
    "EPE[px,stat=median,avg=hand]": "goes with avg=pool or avg=joint",
    "handedness[mm]": "handedness takes no mm",
}


@pytest.mark.parametrize(("text", "message"), WRONG.items())
def test_wrong_names_say_what_to_write(text: str, message: str) -> None:
    with pytest.raises(ScoreError) as caught:
        parse(text)
    assert any(part in str(caught.value) for part in message.split("|"))
    assert repr(text) in str(caught.value)


def test_protocols_are_found_by_name() -> None:
    assert find_protocol("mmpose").tag == "mmpose/1"
    with pytest.raises(ScoreError, match="unknown protocol 'mmpse'; did you mean 'mmpose'"):
        find_protocol("mmpse")
    with pytest.raises(ScoreError, match="known: handbench, mmpose"):
        find_protocol("xyz")


def test_a_custom_protocol_ranks_by_its_first_metric() -> None:
    custom = custom_protocol(("MPJPE[mm]", "PCK@0.1[tight]", "MPJPE[mm,cam]"))
    assert str(custom.primary) == "MPJPE[mm,cam]"
    assert [str(m) for m in custom.metrics(with_3d=True)] == ["PCK@0.1[tight]", "MPJPE[mm,cam]"]
    with pytest.raises(ScoreError, match="at least one metric"):
        custom_protocol(())
