from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from generators.freihand import project, right_hand, seen_from_elsewhere

from handbench.samples.checks import Check, LabelChecks, LabelRows, Verification

TIP_TO_BASE = [0, 4, 3, 2, 1, 8, 7, 6, 5, 12, 11, 10, 9, 16, 15, 14, 13, 20, 19, 18, 17]


@pytest.fixture
def rows() -> LabelRows:
    rng = np.random.default_rng(0)
    xyz = np.stack([seen_from_elsewhere(right_hand(rng), rng) for _ in range(12)])
    camera = np.tile([[470.0, 0, 112], [0, 470.0, 112], [0, 0, 1]], (12, 1, 1))
    uv = project(camera, xyz)
    low, high = uv.min(axis=1), uv.max(axis=1)
    return LabelRows(
        sample_id=[f"h/{row}" for row in range(12)],
        keypoints_2d=uv,
        valid_2d=np.ones((12, 21), dtype=bool),
        valid_3d=np.ones((12, 21), dtype=bool),
        visibility=np.full((12, 21), 2, dtype=np.uint8),
        bbox=np.concatenate([low, high - low], axis=1),
        is_right=np.ones(12, dtype=np.int8),
        keypoints_3d=xyz,
        camera=camera,
        scale=np.linalg.norm(xyz[:, 9] - xyz[:, 10], axis=-1),
    )


def part(rows: LabelRows, chosen: slice) -> LabelRows:
    def cut(value: Any) -> Any:
        return None if value is None else value[chosen]

    return LabelRows(**{f.name: cut(getattr(rows, f.name)) for f in fields(rows)})


def findings(*parts: LabelRows) -> dict[str, Check]:
    checks = LabelChecks(0.01, "keypoints")
    for some in parts:
        checks.add(some)
    return {check.name: check for check in checks.findings("test")}


def failed(*parts: LabelRows) -> set[str]:
    return {name for name, check in findings(*parts).items() if check.passed is False}


def test_good_labels_pass_everything(rows: LabelRows):
    found = findings(rows)
    assert all(check.passed for check in found.values())
    assert list(found) == [
        *("finite", "boxes", "reprojection", "depth", "hand size", "joints apart", "scale"),
        *("chain order", "side"),
    ]


def test_blocks_or_all_at_once_give_the_same(rows: LabelRows):
    blocks = [part(rows, slice(start, start + 5)) for start in (0, 5, 10)]
    assert findings(*blocks) == findings(rows)


def test_without_rows_nothing_fails_and_nothing_passes():
    assert {check.passed for check in findings().values()} == {None}


def test_labels_in_2d_alone(rows: LabelRows):
    flat = replace(
        rows, keypoints_3d=None, camera=None, scale=None, valid_3d=np.zeros((12, 21), dtype=bool)
    )
    passed = {name for name, check in findings(flat).items() if check.passed}
    assert passed == {"finite", "boxes", "chain order"}
    assert failed(replace(flat, keypoints_2d=rows.keypoints_2d[:, TIP_TO_BASE])) == {"chain order"}


def test_a_fault_in_one_block_is_not_forgotten(rows: LabelRows):
    assert rows.keypoints_3d is not None
    first, second = part(rows, slice(0, 6)), part(rows, slice(6, 12))
    assert first.keypoints_3d is not None
    behind = first.keypoints_3d.copy()
    behind[0, 3] = [0, 0, -1]
    assert {"depth", "reprojection"} <= failed(replace(first, keypoints_3d=behind), second)
    unknown = first.keypoints_3d.copy()
    unknown[0, 3] = np.nan
    assert "reprojection" in failed(replace(first, keypoints_3d=unknown), second)
    assert failed(replace(first, scale=np.zeros(6)), second) == {"scale"}
    box = first.bbox.copy()
    box[2, 2] = 0
    found = findings(replace(first, bbox=box), second)
    assert found["boxes"].detail == "1 without an area, first h/2"


def test_rows_without_intrinsics_are_not_projected(rows: LabelRows):
    assert rows.camera is not None
    camera = rows.camera.copy()
    camera[3:] = np.nan
    assert findings(replace(rows, camera=camera))["reprojection"].passed
    assert findings(replace(rows, camera=camera * np.nan))["reprojection"].passed is None
    camera[0, 0, 0] *= 1.1
    assert failed(replace(rows, camera=camera)) == {"reprojection"}


def test_placeholders_of_missing_joints_coincide(rows: LabelRows):
    # InterHand2.6M writes (1, 1, 1) for joints that were not seen.
    assert rows.keypoints_3d is not None
    placed = rows.keypoints_3d.copy()
    placed[4, 5:9] = placed[4, 5]
    found = findings(replace(rows, keypoints_3d=placed))
    assert found["joints apart"].detail == "3 bones of length zero, first in h/4"
    valid = rows.valid_3d.copy()
    valid[4, 5:9] = False
    assert findings(replace(rows, keypoints_3d=placed, valid_3d=valid))["joints apart"].passed


@pytest.mark.parametrize(
    ("factor", "passed"), [(1.0, True), (0.62, False), (1.5, False), (1000.0, False)]
)
def test_the_size_of_hands(rows: LabelRows, factor: float, passed: bool):
    assert rows.keypoints_3d is not None
    found = findings(replace(rows, keypoints_3d=rows.keypoints_3d * factor))["hand size"]
    assert found.passed is passed
    assert ("metres?" in found.detail) is not passed


def test_the_majority_decides_the_side(rows: LabelRows):
    side = rows.is_right.copy()
    side[:5] = 0
    assert findings(replace(rows, is_right=side))["side"].passed
    side[:7] = 0
    assert failed(replace(rows, is_right=side)) == {"side"}
    assert failed(replace(rows, is_right=side, mirrored=side == 0)) == set()


def test_a_verification_passes_unless_a_check_fails(tmp_path):
    def passed(*values: bool | None) -> bool:
        checks = [Check("", str(number), value, "") for number, value in enumerate(values)]
        return Verification(tmp_path, "x", checks, {}, {}).passed

    assert passed(True, None)
    assert not passed(True, False, None)
