from __future__ import annotations

from dataclasses import replace

import pytest

from handbench.hand import FINGERTIPS, JOINT_NAMES
from handbench.metrics import auc_grid
from handbench.scores.metric import JOINT_SETS, Metric, number, usual_options
from handbench.scores.names import parse

PCK = Metric("PCK", "fraction", high=0.2, size="bbox")


def test_a_name_leaves_out_exactly_the_defaults() -> None:
    assert str(PCK) == "PCK@0.2[bbox]"
    changes = {
        "cmp": "lt",
        "avg": "pool",
        "missing": "drop",
        "joints": "tip",
        "hands": "left",
        "of": "mean-pose",
    }
    for key, value in changes.items():
        changed = replace(PCK, **{key: value})
        assert str(changed) == f"PCK@0.2[bbox,{key}={value}]"
        assert parse(str(changed)) == changed
    for key, value in usual_options("PCK").items():
        assert getattr(PCK, key) == value


@pytest.mark.parametrize(
    ("name", "unit", "is_3d", "is_distance", "per_joint"),
    [
        ("EPE[px]", "px", False, True, True),
        ("EPE[tight]", "fraction", False, True, True),
        ("PCK@10px", "fraction", False, False, True),
        ("PCK@10mm[pa]", "fraction", True, False, True),
        ("AUC@0-50mm[mesh,cam,n=100]", "fraction", True, False, False),
        ("MPJPE[mm]", "mm", True, True, True),
        ("MPVPE[mm]", "mm", True, True, False),
        ("F@5mm[pa]", "fraction", True, False, False),
        ("MRRPE[mm]", "mm", True, True, False),
        ("handedness", "fraction", False, False, False),
        ("OKS-AP[person]", "fraction", False, False, False),
        ("coverage", "fraction", False, False, False),
    ],
)
def test_what_a_metric_is(
    name: str, unit: str, is_3d: bool, is_distance: bool, per_joint: bool
) -> None:
    metric = parse(name)
    found = (metric.result_unit, metric.is_3d, metric.is_distance, metric.per_joint)
    assert found == (unit, is_3d, is_distance, per_joint)


def test_joint_sets() -> None:
    assert PCK.joint_indices == tuple(range(21))
    assert replace(PCK, joints="tip").joint_indices == FINGERTIPS
    assert replace(PCK, joints="index+4+0").joint_indices == (0, 4, 5, 6, 7, 8)
    for name, joints in JOINT_SETS.items():
        if name in ("mcp", "pip", "dip", "tip"):
            assert {JOINT_NAMES[joint].rpartition("_")[2] for joint in joints[1:]} == {name}
    # Visibility alone names no joints, so all count.
    occluded = replace(PCK, joints="tip+occluded")
    assert (occluded.joint_indices, occluded.visibility) == (FINGERTIPS, "occluded")
    visible = replace(PCK, joints="visible")
    assert (visible.joint_indices, visible.visibility) == (tuple(range(21)), "visible")
    assert PCK.visibility is None


def test_numbers_are_as_short_as_they_can_be() -> None:
    assert [number(x) for x in (0.2, 30.0, 1e6, 1e-5, 1 / 3)] == [
        *("0.2", "30", "1000000", "0.00001"),
        "0.3333333333333333",
    ]


@pytest.mark.parametrize(("rule", "last"), [("left", 28.5), ("trapz", 30.0)])
def test_grids_of_a_name(rule: str, last: float) -> None:
    metric = parse(f"AUC@0-30px[n=20,rule={rule}]")
    thresholds, weights = auc_grid(metric.low, metric.high, metric.n, metric.rule)
    assert (len(thresholds), thresholds[0], thresholds[-1]) == (20, 0.0, last)
    assert weights.sum() == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("name", "columns"),
    [
        ("PCK@0.2[bbox]", ()),
        ("MPJPE[mm,root=0]", ()),
        ("EPE[px,of=mean-pose]", ()),
        ("EPE[px,frame=stored]", ("crop",)),
        ("PCK@0.2[image]", ("crop",)),
        ("PCK@0.2[head]", ("head_size_px",)),
        ("EPE[px,joints=tip+visible]", ("visibility",)),
        ("EPE[px,joints=tip]", ()),
        ("MPJPE[mm,root=0,avg=side]", ("is_right",)),
        ("coverage[hands=left]", ("is_right",)),
        ("MPJPE[mm,root=0,hands=single]", ("hand_type",)),
        ("MRRPE[mm]", ("image_id", "is_right", "hand_type")),
        ("handedness", ("image_id", "is_right", "hand_type")),
        ("OKS-AP[person]", ("person_area_px2", "image_id", "is_right")),
        ("OKS-AP[mask]", ("hand_area_px2", "image_id", "is_right")),
        ("OKS-AP[hand]", ("image_id", "is_right")),
    ],
)
def test_what_else_of_the_truth_decides_a_number(name: str, columns: tuple[str, ...]) -> None:
    assert parse(name).truth_columns == columns
