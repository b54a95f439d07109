"""Is this file what it says? Format, counts, labels, geometry, images."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from handbench.errors import FormatError, HandbenchError
from handbench.hand import JOINT_NAMES
from handbench.hdf5.format import COLUMNS, ROOT_ATTRIBUTES
from handbench.hdf5.reader import HandFile, SplitReader
from handbench.hdf5.tolerance import reprojection_tolerance_px
from handbench.images import decode, encoded_size
from handbench.samples.checks import Check, LabelChecks, LabelRows, Verification
from handbench.sources import manifest as manifests

__all__ = ["Check", "Verification", "verify"]

_DECODED_UNLESS_DEEP = 32


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
    """No sample stands in two splits, and no group in two splits that we cut.

    Official splits may share groups (`known_overlap` in the manifests); a cut of ours may not: that
    of `val` from `train`, and that of all rows by `--split-by`.
    """
    shared = ""
    for one, other in itertools.combinations(file.splits, 2):
        columns = ["sample_id"]
        ours = {one, other} == {"train", "val"} or "split_by" in file.attributes
        if ours and file[one].has(file[one].split_unit):
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
    labels = LabelChecks(reprojection_tolerance_px(file, split), split.box_source)
    labels.add(_labels(split))
    yield from labels.findings(split.name)
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


def _labels(split: SplitReader) -> LabelRows:
    """The labels of a split; its 3D is float32, rounded by 1e-7 of the distance."""
    optional = {
        name: split.column(name) if split.has(name) else None
        for name in ("keypoints_3d", "camera", "scale")
    }
    xyz = optional["keypoints_3d"]
    return LabelRows(
        sample_id=split.column("sample_id"),
        keypoints_2d=split.column("keypoints_2d"),
        valid_2d=split.column("valid_2d"),
        valid_3d=split.column("valid_3d"),
        visibility=split.column("visibility"),
        bbox=split.column("bbox"),
        is_right=split.column("is_right"),
        keypoints_3d=None if xyz is None else xyz.astype(np.float64),
        camera=optional["camera"],
        crop=split.column("crop"),
        mirrored=split.column("mirrored"),
        scale=optional["scale"],
    )


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
