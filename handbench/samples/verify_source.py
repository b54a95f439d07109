"""Is this raw dataset sound? The checks of a converted file, before hours are spent on one."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

import numpy as np

from handbench.errors import SourceError
from handbench.images import decode
from handbench.samples.checks import Check, LabelChecks, LabelRows, Verification
from handbench.samples.frames import CropSettings
from handbench.samples.grouping import val_rows
from handbench.samples.selection import Selection, Selector
from handbench.sources.block import SampleBlock, Source

_DECODED_UNLESS_DEEP = 32
_SIZE_PX = 224
"""Only says how large a crop would be; no image is cut."""


def verify_source(source: Source, *, deep: bool = False, limit: int | None = None) -> Verification:
    """Read every row of an opened source, as a conversion would, and write nothing.

    Parameters
    ----------
    source
        Its reader has found and checked the label files already.
    deep
        Decode every image instead of a few a split. Each file is read in any case.
    limit
        Look at no more than the first rows of each split.
    """
    crop = CropSettings(_SIZE_PX, source.manifest.box_padding)
    selector = Selector(Selection(skip_bad=True), crop)
    checks: list[Check] = []
    seen: dict[str, _Seen] = {}
    kept: dict[str, int] = {}
    for split, count in source.splits().items():
        checks.append(_check_count(source, split, count))
        seen[split] = _Seen()
        rows = count if limit is None else min(count, limit)
        found, kept[split] = _check_split(source, split, rows, selector, seen[split], deep)
        checks += found
    checks.append(_check_apart(source, seen))
    if source.cuts_val and "train" in kept:
        kept = _with_val(kept, seen["train"].kept_units)
    dropped = dict(source.dropped)
    for reason, number in selector.dropped.items():
        dropped[reason] = dropped.get(reason, 0) + number
    return Verification(source.path, source.name, checks, kept, dropped)


@dataclass
class _Seen:
    """Ids of the rows of a split, in their order; units also of those that can be cut."""

    samples: list[str] = field(default_factory=list)
    units: list[str] = field(default_factory=list)
    kept_units: list[str] = field(default_factory=list)


def _check_split(
    source: Source, split: str, count: int, selector: Selector, seen: _Seen, deep: bool
) -> tuple[list[Check], int]:
    """The checks of a split, and how many of its rows can be converted."""
    labels = LabelChecks(source.manifest.reprojection_tolerance_px, source.box_source)
    images = _Images(count, deep)
    bad_before, kept, units = len(selector.bad), 0, 0
    broken = ""
    try:
        for block in source.blocks(split, frozenset(), count):
            seen.samples += block.sample_id
            labels.add(_labels(block))
            images.add(block)
            cut = selector.keep(block)
            kept += len(cut)
            seen.kept_units += cut.ids.get(source.split_unit, [])
            names = [source.split_unit, source.cluster_unit]
            units += all(name == "sample_id" or name in block.ids for name in names) * len(block)
            seen.units += block.ids.get(source.split_unit, [])
    except SourceError as error:
        # What was read until then is reported all the same.
        broken = str(error)
    read = len(seen.samples)
    unique = len(set(seen.samples))
    bad = selector.bad[bad_before:]
    first = f"{len(bad):,} of {read:,} rows cannot be cut; {bad[0]}" if bad else ""
    return [
        Check(split, "files", not broken and read == count, broken or f"{read:,} rows read"),
        Check(split, "sample ids", unique == read, f"{unique:,} different"),
        Check(
            split,
            "groups",
            units == read,
            f"split by {source.split_unit}, resampled by {source.cluster_unit}"
            + ("" if units == read else f", which {read - units:,} rows lack"),
        ),
        *labels.findings(split),
        Check(split, "crops", not bad, first or "every hand lies in its image"),
        images.check(split),
    ], kept


def _labels(block: SampleBlock) -> LabelRows:
    return LabelRows(
        sample_id=block.sample_id,
        keypoints_2d=block.keypoints_2d,
        valid_2d=block.valid_2d,
        valid_3d=block.valid_3d,
        visibility=block.visibility,
        bbox=block.bbox,
        is_right=block.is_right,
        keypoints_3d=block.keypoints_3d,
        camera=block.camera,
        scale=block.extra.get("scale"),
        crop=block.cut.get("crop"),
        mirrored=block.cut.get("mirrored"),
    )


class _Images:
    """Decodes all images, or some that lie evenly through the split."""

    def __init__(self, count: int, deep: bool) -> None:
        few = min(count, _DECODED_UNLESS_DEEP)
        self.chosen = None if deep else set(np.linspace(0, count - 1, few).astype(int).tolist())
        self.count = count
        self.row = self.decoded = self.bad = 0
        self.first = ""
        self._last: bytes | None = None

    def add(self, block: SampleBlock) -> None:
        for data, size, name in zip(block.images, block.image_size.tolist(), block.sample_id):
            wanted = self.chosen is None or self.row in self.chosen
            self.row += 1
            if not wanted:
                continue
            self.decoded += 1
            if data is self._last:  # another hand of the same photo
                continue
            self._last = data
            try:
                found = list(decode(data, name).shape[:2])
                problem = "" if found == size else f"{name}: image {found}, its header says {size}"
            except SourceError as error:
                problem = str(error)
            self.bad += bool(problem)
            self.first = self.first or problem

    def check(self, split: str) -> Check:
        if self.bad:
            return Check(
                split, "images", False, f"{self.bad:,} cannot be used, first: {self.first}"
            )
        how = "all" if self.chosen is None else f"{self.decoded:,} of {self.count:,} rows"
        return Check(
            split, "images", True, f"decoded {how}" + (" (all with --deep)" * bool(self.chosen))
        )


def _check_count(source: Source, split: str, count: int) -> Check:
    facts = source.manifest.splits.get(split)
    expected = facts.samples if facts is not None else 0
    if facts is not None and facts.annotations and not expected:
        # How many rows these give depends on which hands can be used.
        found = f"{count:,} rows of {source.name}; published: {facts.annotations:,} label entries"
        return Check(split, "count", None, found)
    if not expected:
        return Check(split, "count", None, f"{count:,}; no published count to compare")
    found = f"{count:,} of {expected:,}"
    if source.name != source.manifest.name:
        return Check(split, "count", None, f"{found} published: this is {source.name}")
    return Check(split, "count", count == expected, found)


def _check_apart(source: Source, seen: dict[str, _Seen]) -> Check:
    shared = [
        f"sample_id {min(both)} in {one} and {other} ({len(both):,} such)"
        for one, other in itertools.combinations(seen, 2)
        for both in [set(seen[one].samples) & set(seen[other].samples)]
        if both
    ]
    if not shared and {"train", "val"} <= seen.keys():
        both = set(seen["train"].units) & set(seen["val"].units)
        if both:
            # An official val may share groups with train: `known_overlap` of the manifest says so.
            said = bool(source.manifest.known_overlap)
            return Check(
                "",
                "splits apart",
                None if said else False,
                f"{source.split_unit} {min(both)} in train and val ({len(both):,} such)",
            )
    return Check("", "splits apart", not shared, "; ".join(shared) or "no row stands in two splits")


def _with_val(kept: dict[str, int], units: list[str]) -> dict[str, int]:
    """Rows of each split once `val` is cut from `train`; `units` are those of the rows kept."""
    val = int(val_rows(units).sum())
    others = {split: rows for split, rows in kept.items() if split != "train"}
    parts = {"train": kept["train"] - val, "val": val, **others}
    return {split: rows for split, rows in parts.items() if rows}
