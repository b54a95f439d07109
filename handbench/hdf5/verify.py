"""Is this file what it says? Format, counts, labels, geometry, images."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from handbench.camera import crop_scale, project
from handbench.errors import FormatError, HandbenchError
from handbench.hand import FINGERS, JOINT_NAMES, UNLABELLED, bone_lengths, chirality
from handbench.hdf5.format import COLUMNS, ROOT_ATTRIBUTES
from handbench.hdf5.reader import HandFile, SplitReader
from handbench.images import decode, encoded_size
from handbench.sources import manifest as manifests

_DEFAULT_REPROJECTION_PX = 0.5
_SCALE_TOLERANCE_M = 1e-4
_PALM_RANGE_M = (0.06, 0.12)
_FEWEST_FOR_STATISTICS = 8
_DECODED_UNLESS_DEEP = 32


@dataclass(frozen=True)
class Check:
    """One line of the report.

    Attributes
    ----------
    split
        Name of the split; "" for the whole file.
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
    """All checks of a file, and what was kept and dropped.

    Attributes
    ----------
    checks
        In the order they were made.
    kept
        Split → rows.
    dropped
        Reason → label entries left out by the conversion.
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


def verify(path: Path, *, deep: bool = False) -> Verification:
    """Check a converted file.

    Parameters
    ----------
    path
        HDF5 file of format 1.x.
    deep
        Decode every image instead of a few a split.

    Raises
    ------
    FormatError
        If the file cannot be opened at all, is incomplete, or of a newer format.
    """
    with HandFile(path) as file:
        checks = list(_check_root(file))
        kept = {}
        for name in file.splits:
            try:
                split = file[name]
            except FormatError as error:
                checks.append(Check(name, "columns", False, str(error)))
                continue
            kept[name] = len(split)
            layout = list(_check_layout(split))
            checks += layout
            if all(check.passed for check in layout):
                # With a broken layout the following would only repeat the bad news.
                checks += _check_split(file, split, deep)
        if all(check.name != "columns" or check.passed for check in checks):
            checks.append(_check_apart(file))
        return Verification(
            path=file.path,
            dataset=file.dataset,
            checks=checks,
            kept=kept,
            dropped=file.attributes["dropped"],
        )


def _check_root(file: HandFile) -> Iterator[Check]:
    missing = [name for name in ROOT_ATTRIBUTES if name not in file.attributes]
    yield Check("", "root attributes", not missing, _missing(missing, "all present"))
    names = [str(name) for name in file.attributes.get("joint_names", [])]
    canonical = names == list(JOINT_NAMES)
    yield Check("", "joint names", canonical, "canonical" if canonical else f"found {names}")
    yield Check("", "splits", bool(file.splits), ", ".join(file.splits) or "none")


def _check_apart(file: HandFile) -> Check:
    """No sample stands in two splits, and no group in both `train` and `val`.

    Official splits may share groups (`known_overlap` in the manifests); a cut of ours may not.
    """
    shared = ""
    for one, other in itertools.combinations(file.splits, 2):
        columns = ["sample_id"]
        if {one, other} == {"train", "val"} and file[one].has(file[one].split_unit):
            columns.append(file[one].split_unit)
        for column in columns:
            both = np.intersect1d(file[one].column(column), file[other].column(column))
            if len(both):
                shared = f"{column} {both[0]} in {one} and {other} ({len(both):,} such)"
    return Check("", "splits apart", not shared, shared or "nothing stands in two of them")


def _check_layout(split: SplitReader) -> Iterator[Check]:
    missing = [name for name, c in COLUMNS.items() if c.required and not split.has(name)]
    yield Check(
        split.name, "columns", not missing, _missing(missing, f"{len(split.names)} present")
    )
    wrong = []
    for name in split.names:
        shape = split.shape(name)
        expected = COLUMNS[name].shape
        fits = len(shape) == 1 + len(expected) and all(
            want in (-1, found) for want, found in zip(expected, shape[1:])
        )
        if not fits or shape[0] != len(split):
            wrong.append(f"{name} {shape}")
    yield Check(split.name, "shapes", not wrong, ", ".join(wrong) or f"{len(split):,} rows each")
    types = [
        f"{name} {split.dtype(name)} instead of {COLUMNS[name].dtype}"
        for name in split.names
        if split.dtype(name) != COLUMNS[name].dtype
    ]
    yield Check(split.name, "types", not types, ", ".join(types) or "as the format says")
    yield from _check_offsets(split)


def _check_offsets(split: SplitReader) -> Iterator[Check]:
    """Rows of encoded images and masks follow each other and fill their bytes."""
    for name in ("image", "mask"):
        offset = f"{name}_offset"
        if not split.has(offset):
            continue
        if split.shape(offset) != (len(split) + 1,):
            yield Check(split.name, "offsets", False, f"{offset} {split.shape(offset)}")
            continue
        starts = split.column(offset)
        whole = starts[0] == 0 and starts[-1] == split.shape(name)[0]
        fits = bool(whole and (np.diff(starts) > 0).all())
        yield Check(split.name, "offsets", fits, f"of {name}: {'whole' if fits else 'broken'}")


def _check_split(file: HandFile, split: SplitReader, deep: bool) -> Iterator[Check]:
    yield _check_count(file, split)
    ids = split.column("sample_id")
    unique = len(np.unique(ids))
    yield Check(split.name, "sample ids", unique == len(ids), f"{unique:,} different")
    yield _check_unit(split)
    labels = _Labels(file, split)
    checks: list[Callable[[], tuple[bool | None, str]]] = [
        labels.finite,
        labels.boxes,
        labels.reprojection,
        labels.depth,
        labels.hand_size,
        labels.scale,
        labels.chain_order,
        labels.side,
    ]
    for check in checks:
        passed, detail = check()
        yield Check(split.name, check.__name__.replace("_", " "), passed, detail)
    yield _check_images(split, deep)


def _check_count(file: HandFile, split: SplitReader) -> Check:
    expected = 0
    if file.dataset in manifests.names():
        facts = manifests.load(file.dataset).splits
        expected = facts[split.name].samples if split.name in facts else 0
        if split.name == "train" and "val" not in facts:
            # We cut `val` from `train`; without it nobody can tell how many rows are left.
            expected = max(0, expected - len(file["val"])) if "val" in file else 0
    if not expected:
        return Check(split.name, "count", None, f"{len(split):,}; no published count to compare")
    found = f"{len(split):,} of {expected:,}"
    return Check(split.name, "count", len(split) == expected, found)


def _check_unit(split: SplitReader) -> Check:
    units = {split.split_unit, split.cluster_unit}
    missing = sorted(unit for unit in units if not split.has(unit))
    if missing:
        return Check(split.name, "groups", False, f"no column {', '.join(missing)}")
    groups = len(np.unique(split.cluster_ids()))
    return Check(split.name, "groups", True, f"{groups:,} different {split.cluster_unit}")


class _Labels:
    """Checks on the labels of one split; each returns (passed or None, what was found)."""

    def __init__(self, file: HandFile, split: SplitReader) -> None:
        self.file = file
        self.split = split
        self.valid_2d = split.column("valid_2d")
        self.valid_3d = split.column("valid_3d")
        self.points = split.column("keypoints_2d")
        self.xyz: npt.NDArray[np.float64] | None = None
        if split.has("keypoints_3d") and self.valid_3d.any():
            self.xyz = split.column("keypoints_3d").astype(np.float64)
        self.whole_3d = self.valid_3d.all(axis=1)

    def finite(self) -> tuple[bool | None, str]:
        bad = int((~np.isfinite(self.points).all(axis=-1) & self.valid_2d).sum())
        if self.xyz is not None:
            bad += int((~np.isfinite(self.xyz).all(axis=-1) & self.valid_3d).sum())
        hidden = int(((self.split.column("visibility") == UNLABELLED) & self.valid_2d).sum())
        bad += int((~np.isfinite(self.split.column("crop")).all(axis=(1, 2))).sum())
        stray = int((np.isfinite(self.points).any(axis=-1) & ~self.valid_2d).sum())
        if bad or hidden or stray:
            return (
                False,
                f"{bad} labelled values are not finite, {hidden} labelled but visibility 0, "
                f"{stray} unlabelled but with coordinates",
            )
        if not self.valid_2d.any():
            return None, "no labels in this split"
        return (
            True,
            f"{int(self.valid_2d.sum()):,} joints labelled in 2D, {self._count_3d():,} in 3D",
        )

    def _count_3d(self) -> int:
        return int(self.valid_3d.sum())

    def boxes(self) -> tuple[bool | None, str]:
        box = self.split.column("bbox")
        sides = box[:, 2:]
        bad = ~np.isfinite(box).all(axis=1) | (sides <= 0).any(axis=1)
        if bad.any():
            return False, f"{int(bad.sum())} without an area, first {self._name(bad)}"
        side = np.median(sides.max(axis=1))
        return True, f"source {self.split.box_source}, longer side median {side:.0f} px"

    def reprojection(self) -> tuple[bool | None, str]:
        if self.xyz is None or not self.split.has("camera"):
            return None, "no 3D or no intrinsics"
        both = self.valid_2d & self.valid_3d
        with np.errstate(all="ignore"):
            away = np.linalg.norm(
                project(self.xyz, self.split.column("camera")) - self.points, axis=-1
            )
            away /= crop_scale(self.split.column("crop"))[:, None]
        worst = float(np.where(both, away, 0).max(initial=0))
        limit = self._tolerance_px()
        # Stored 3D is float32: a relative rounding of 1e-7 at image size.
        return worst <= limit, f"largest {worst:.4f} source px, allowed {limit:g}"

    def _tolerance_px(self) -> float:
        name = self.file.dataset.removesuffix("-subset")
        if name in manifests.names():
            return manifests.load(name).reprojection_tolerance_px
        return _DEFAULT_REPROJECTION_PX

    def depth(self) -> tuple[bool | None, str]:
        if self.xyz is None:
            return None, "no 3D"
        nearest = float(np.where(self.valid_3d, self.xyz[..., 2], np.inf).min())
        return nearest > 0, f"nearest joint at {nearest:.3f} m"

    def hand_size(self) -> tuple[bool | None, str]:
        if self.xyz is None or not self.whole_3d.any():
            return None, "no 3D"
        hands = self.xyz[self.whole_3d]
        palm = float(np.median(np.linalg.norm(hands[:, 9] - hands[:, 0], axis=-1)))
        low, high = _PALM_RANGE_M
        hint = "" if low <= palm <= high else ": are the labels in metres?"
        return low <= palm <= high, f"wrist to middle MCP, median {palm * 1e3:.1f} mm{hint}"

    def scale(self) -> tuple[bool | None, str]:
        if self.xyz is None or not self.split.has("scale"):
            return None, "no scale"
        bone = np.linalg.norm(self.xyz[:, 9] - self.xyz[:, 10], axis=-1)
        away = np.abs(bone - self.split.column("scale"))[self.whole_3d]
        worst = float(away.max(initial=0))
        return (
            worst < _SCALE_TOLERANCE_M,
            f"middle proximal phalanx, largest difference {worst:.1e} m",
        )

    def chain_order(self) -> tuple[bool | None, str]:
        """Proximal bones are longer than distal ones: fails when fingers run tip to base."""
        points = (
            self.xyz[self.whole_3d] if self.xyz is not None else self.points[self.valid_2d.all(1)]
        )
        if len(points) < _FEWEST_FOR_STATISTICS:
            return None, f"too few whole hands ({len(points)})"
        # Bone j-1 ends in joint j; of each finger the three bones after the knuckle.
        mean = bone_lengths(points).mean(axis=0)
        chains = {
            name: mean[[joint - 1 for joint in joints[1:]]] for name, joints in FINGERS.items()
        }
        bad = [n for n, bones in chains.items() if not (bones > 0).all() or bones[0] <= bones[-1]]
        return (
            not bad,
            f"tip-to-base order in {', '.join(bad)}?" if bad else "bones shorten towards the tips",
        )

    def side(self) -> tuple[bool | None, str]:
        """Majority test of chirality: catches mirrored axes and swapped sides."""
        known = self.split.column("is_right") >= 0
        if self.xyz is None or (known & self.whole_3d).sum() < _FEWEST_FOR_STATISTICS:
            return None, "side or 3D unknown"
        rows = known & self.whole_3d
        # The 3D of a mirrored image is mirrored too; `is_right` is the side of the real hand.
        looks_right = (self.split.column("is_right") == 1) ^ self.split.column("mirrored")
        expected = np.where(looks_right, 1, -1)
        agree = float((np.sign(chirality(self.xyz[rows])) == expected[rows]).mean())
        return agree > 0.5, f"{agree:.0%} of hands bend as their side should"

    def _name(self, rows: npt.NDArray[np.bool_]) -> str:
        return str(self.split.column("sample_id")[int(rows.argmax())])


def _check_images(split: SplitReader, deep: bool) -> Check:
    count = len(split)
    rows = (
        np.arange(count)
        if deep
        else np.unique(np.linspace(0, count - 1, min(count, _DECODED_UNLESS_DEEP)).astype(int))
    )
    sizes = split.column("image_size")
    ids = split.column("sample_id")
    for row in rows.tolist():
        where = str(ids[row])
        try:
            if split.storage == "raw":
                found = split.image(row).shape[:2]
            else:
                data = split.image_bytes(row)
                encoded_size(data, where)
                found = decode(data, where).shape[:2]
        except (HandbenchError, OSError) as error:
            return Check(split.name, "images", False, str(error))
        if tuple(found) != tuple(sizes[row]):
            return Check(split.name, "images", False, f"{where}: image {found}, size {sizes[row]}")
    how = "all" if deep else f"{len(rows):,} of {count:,} (all with --deep)"
    return Check(split.name, "images", True, f"decoded {how}")


def _missing(names: list[str], otherwise: str) -> str:
    return f"missing: {', '.join(names)}" if names else otherwise
