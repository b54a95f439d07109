"""Checks on labels, of a raw source or of a file: rows go in block by block, findings come out.

They see what a label file alone cannot say: a wrong unit, axis, side, or joint order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from handbench.camera import crop_scale, project
from handbench.hand import BONES, FINGERS, UNLABELLED, bone_lengths, chirality

_SCALE_TOLERANCE_M = 1e-4
_PALM_RANGE_M = (0.06, 0.12)
_FEWEST_FOR_STATISTICS = 8

Finding = tuple[bool | None, str]
"""Passed (None where a check does not apply), and what was found."""


@dataclass(frozen=True)
class Check:
    """One line of the report.

    Attributes
    ----------
    split
        Name of the split; "" for the whole.
    name
        What was looked at.
    passed
        True, False, or None where it does not apply.
    detail
        What was found.
    """

    split: str
    name: str
    passed: bool | None
    detail: str


@dataclass(frozen=True)
class Verification:
    """All checks of a file or a source, and what is kept and dropped.

    Attributes
    ----------
    checks
        In the order they were made.
    kept
        Split → rows.
    dropped
        Reason → label entries that are left out.
    """

    path: Path
    dataset: str
    checks: list[Check]
    kept: dict[str, int]
    dropped: dict[str, int]

    @property
    def passed(self) -> bool:
        """No check failed."""
        return all(check.passed is not False for check in self.checks)


@dataclass
class LabelRows:
    """Labels of N rows in the frame of any image: as published, or as stored.

    Attributes
    ----------
    sample_id
        N names.
    keypoints_2d
        (N, 21, 2) px, NaN where unlabelled.
    valid_2d, valid_3d
        (N, 21) bool.
    visibility
        (N, 21) uint8.
    bbox
        (N, 4) x, y, w, h px.
    is_right
        (N,) int8: 1, 0, -1 unknown; the real hand.
    keypoints_3d
        (N, 21, 3) m, OpenCV camera axes; or None.
    camera
        (N, 3, 3) intrinsics; or None.
    crop
        (N, 3, 3) source px → px of these labels; None where they are source px.
    mirrored
        (N,) bool, the image is flipped; None where none is.
    scale
        (N,) published length of the middle proximal phalanx, m; or None.
    """

    sample_id: Sequence[str] | npt.NDArray[np.str_]
    keypoints_2d: npt.NDArray[np.float64]
    valid_2d: npt.NDArray[np.bool_]
    valid_3d: npt.NDArray[np.bool_]
    visibility: npt.NDArray[np.uint8]
    bbox: npt.NDArray[np.float64]
    is_right: npt.NDArray[np.int8]
    keypoints_3d: npt.NDArray[np.float64] | None = None
    camera: npt.NDArray[np.float64] | None = None
    crop: npt.NDArray[np.float64] | None = None
    mirrored: npt.NDArray[np.bool_] | None = None
    scale: npt.NDArray[np.floating] | None = None

    def whole_hands(self) -> npt.NDArray[np.float64]:
        """(M, 21, 3) m of the hands that have all joints in 3D."""
        if self.keypoints_3d is None:
            return np.empty((0, 21, 3))
        return self.keypoints_3d[self.valid_3d.all(axis=1)]


class LabelChecks:
    """All checks on the labels of one split.

    Parameters
    ----------
    tolerance_px
        Largest distance between 2D labels and projected 3D labels, source px.
    box_source
        Where boxes come from, for the report.
    """

    def __init__(self, tolerance_px: float, box_source: str) -> None:
        self._checks: list[_LabelCheck] = [
            _Finite(),
            _Boxes(box_source),
            _Reprojection(tolerance_px),
            _Depth(),
            _HandSize(),
            _JointsApart(),
            _Scale(),
            _ChainOrder(),
            _Side(),
        ]

    def add(self, rows: LabelRows) -> None:
        """Look at some rows."""
        for check in self._checks:
            check.add(rows)

    def findings(self, split: str) -> list[Check]:
        """What was found in all rows so far."""
        return [Check(split, check.name, *check.finding()) for check in self._checks]


class _LabelCheck(Protocol):
    name: str

    def add(self, rows: LabelRows) -> None: ...

    def finding(self) -> Finding: ...


class _Finite:
    name = "finite"

    def __init__(self) -> None:
        self.bad = self.hidden = self.stray = self.joints_2d = self.joints_3d = 0

    def add(self, rows: LabelRows) -> None:
        finite = np.isfinite(rows.keypoints_2d)
        self.bad += int((~finite.all(axis=-1) & rows.valid_2d).sum())
        if rows.keypoints_3d is not None:
            bad = ~np.isfinite(rows.keypoints_3d).all(axis=-1) & rows.valid_3d
            self.bad += int(bad.sum())
        if rows.crop is not None:
            self.bad += int((~np.isfinite(rows.crop).all(axis=(1, 2))).sum())
        self.hidden += int(((rows.visibility == UNLABELLED) & rows.valid_2d).sum())
        self.stray += int((finite.any(axis=-1) & ~rows.valid_2d).sum())
        self.joints_2d += int(rows.valid_2d.sum())
        self.joints_3d += int(rows.valid_3d.sum())

    def finding(self) -> Finding:
        if self.bad or self.hidden or self.stray:
            return (
                False,
                f"{self.bad} labelled values are not finite, {self.hidden} labelled but "
                f"visibility 0, {self.stray} unlabelled but with coordinates",
            )
        if not self.joints_2d:
            return None, "no labels in this split"
        return True, f"{self.joints_2d:,} joints labelled in 2D, {self.joints_3d:,} in 3D"


class _Boxes:
    name = "boxes"

    def __init__(self, source: str) -> None:
        self.source = source
        self.bad = 0
        self.first = ""
        self.sides: list[npt.NDArray[np.float64]] = []

    def add(self, rows: LabelRows) -> None:
        bad = ~np.isfinite(rows.bbox).all(axis=1) | (rows.bbox[:, 2:] <= 0).any(axis=1)
        if bad.any():
            self.first = self.first or str(rows.sample_id[int(bad.argmax())])
            self.bad += int(bad.sum())
        self.sides.append(rows.bbox[~bad, 2:].max(axis=1))

    def finding(self) -> Finding:
        if self.bad:
            return False, f"{self.bad} without an area, first {self.first}"
        sides = np.concatenate([np.empty(0), *self.sides])
        if not len(sides):
            return None, "no rows"
        return True, f"source {self.source}, longer side median {np.median(sides):.0f} px"


class _Reprojection:
    name = "reprojection"

    def __init__(self, tolerance_px: float) -> None:
        self.tolerance_px = tolerance_px
        self.worst: float | None = None

    def add(self, rows: LabelRows) -> None:
        if rows.keypoints_3d is None or rows.camera is None or not rows.valid_3d.any():
            return
        # Rows of a merged file whose source has no intrinsics are NaN throughout.
        known = np.asarray(np.isfinite(rows.camera).any(axis=(1, 2)))
        both = rows.valid_2d & rows.valid_3d & known[:, None]
        if not both.any():
            return
        with np.errstate(all="ignore"):
            away = np.linalg.norm(
                project(rows.keypoints_3d, rows.camera) - rows.keypoints_2d, axis=-1
            )
            if rows.crop is not None:
                away /= crop_scale(rows.crop[:, None], rows.keypoints_2d)
        worst = float(np.where(both, away, 0).max(initial=0))
        self.worst = worst if self.worst is None else float(np.maximum(self.worst, worst))

    def finding(self) -> Finding:
        if self.worst is None:
            return None, "no 3D or no intrinsics"
        # `worst` may be NaN, which no number is at least as large as.
        passed = self.worst <= self.tolerance_px
        return passed, f"largest {self.worst:.4f} source px, allowed {self.tolerance_px:g}"


class _Depth:
    name = "depth"

    def __init__(self) -> None:
        self.nearest: float | None = None

    def add(self, rows: LabelRows) -> None:
        if rows.keypoints_3d is None or not rows.valid_3d.any():
            return
        nearest = float(np.where(rows.valid_3d, rows.keypoints_3d[..., 2], np.inf).min())
        self.nearest = nearest if self.nearest is None else float(np.minimum(self.nearest, nearest))

    def finding(self) -> Finding:
        if self.nearest is None:
            return None, "no 3D"
        return self.nearest > 0, f"nearest joint at {self.nearest:.3f} m"


class _HandSize:
    name = "hand size"

    def __init__(self) -> None:
        self.palms: list[npt.NDArray[np.float64]] = []

    def add(self, rows: LabelRows) -> None:
        hands = rows.whole_hands()
        self.palms.append(np.linalg.norm(hands[:, 9] - hands[:, 0], axis=-1))

    def finding(self) -> Finding:
        palms = np.concatenate([np.empty(0), *self.palms])
        if not len(palms):
            return None, "no 3D"
        palm = float(np.median(palms))
        low, high = _PALM_RANGE_M
        hint = "" if low <= palm <= high else ": are the labels in metres?"
        return low <= palm <= high, f"wrist to middle MCP, median {palm * 1e3:.1f} mm{hint}"


class _JointsApart:
    """No bone of length zero: placeholders of missing joints, such as (1, 1, 1), coincide."""

    name = "joints apart"

    def __init__(self) -> None:
        self.coinciding = self.bones = 0
        self.first = ""

    def add(self, rows: LabelRows) -> None:
        if rows.keypoints_3d is None:
            return
        parents, children = np.asarray(BONES).T
        both = rows.valid_3d[:, parents] & rows.valid_3d[:, children]
        same = both & (rows.keypoints_3d[:, parents] == rows.keypoints_3d[:, children]).all(axis=-1)
        self.bones += int(both.sum())
        if same.any():
            self.first = self.first or str(rows.sample_id[int(same.any(axis=1).argmax())])
            self.coinciding += int(same.sum())

    def finding(self) -> Finding:
        if not self.bones:
            return None, "no 3D"
        if self.coinciding:
            return False, f"{self.coinciding} bones of length zero, first in {self.first}"
        return True, f"{self.bones:,} bones have a length"


class _Scale:
    name = "scale"

    def __init__(self) -> None:
        self.worst: float | None = None

    def add(self, rows: LabelRows) -> None:
        if rows.keypoints_3d is None or rows.scale is None or not rows.valid_3d.any():
            return
        bone = np.linalg.norm(rows.keypoints_3d[:, 9] - rows.keypoints_3d[:, 10], axis=-1)
        away = np.abs(bone - rows.scale)[rows.valid_3d.all(axis=1)]
        self.worst = max(self.worst or 0.0, float(away.max(initial=0)))

    def finding(self) -> Finding:
        if self.worst is None:
            return None, "no scale"
        return (
            self.worst < _SCALE_TOLERANCE_M,
            f"middle proximal phalanx, largest difference {self.worst:.1e} m",
        )


class _ChainOrder:
    """Proximal bones are longer than distal ones: fails when fingers run tip to base."""

    name = "chain order"

    def __init__(self) -> None:
        self.sums = {"2D": np.zeros(len(BONES)), "3D": np.zeros(len(BONES))}
        self.hands = {"2D": 0, "3D": 0}
        self.any_3d = False

    def add(self, rows: LabelRows) -> None:
        flat = rows.keypoints_2d[rows.valid_2d.all(axis=1)]
        for kind, hands in (("2D", flat), ("3D", rows.whole_hands())):
            self.sums[kind] += bone_lengths(hands).sum(axis=0)
            self.hands[kind] += len(hands)
        self.any_3d = self.any_3d or (rows.keypoints_3d is not None and bool(rows.valid_3d.any()))

    def finding(self) -> Finding:
        kind = "3D" if self.any_3d else "2D"
        hands = self.hands[kind]
        if hands < _FEWEST_FOR_STATISTICS:
            return None, f"too few whole hands ({hands})"
        mean = self.sums[kind] / hands
        # Bone j-1 ends in joint j; of each finger the three bones after the knuckle.
        chains = {
            name: mean[[joint - 1 for joint in joints[1:]]] for name, joints in FINGERS.items()
        }
        bad = [n for n, bones in chains.items() if not (bones > 0).all() or bones[0] <= bones[-1]]
        return (
            not bad,
            f"tip-to-base order in {', '.join(bad)}?" if bad else "bones shorten towards the tips",
        )


class _Side:
    """Majority test of chirality: catches mirrored axes and swapped sides."""

    name = "side"

    def __init__(self) -> None:
        self.hands = self.agreeing = 0

    def add(self, rows: LabelRows) -> None:
        chosen = (rows.is_right >= 0) & rows.valid_3d.all(axis=1)
        if rows.keypoints_3d is None or not chosen.any():
            return
        # The 3D of a mirrored image is mirrored too; `is_right` is the side of the real hand.
        looks_right = rows.is_right == 1
        if rows.mirrored is not None:
            looks_right = looks_right ^ rows.mirrored
        expected = np.where(looks_right, 1, -1)[chosen]
        self.hands += int(chosen.sum())
        self.agreeing += int((np.sign(chirality(rows.keypoints_3d[chosen])) == expected).sum())

    def finding(self) -> Finding:
        if self.hands < _FEWEST_FOR_STATISTICS:
            return None, "side or 3D unknown"
        agree = self.agreeing / self.hands
        return agree > 0.5, f"{agree:.0%} of hands bend as their side should"
