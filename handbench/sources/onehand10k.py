"""OneHand10K: one labelled hand a photo, keypoints in a CSV, hand masks as PNG.

Facts are in ``manifests/onehand10k.toml``. References: Wang, Peng, Liu, IEEE TCSVT 29(11), 2019;
two public readers of the raw labels, which agree on the fields; MMPose's converted file, whose
boxes are those of the masks. MMPose's file itself is read by ``convert coco``.
"""

from __future__ import annotations

import io
import itertools
import os
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from handbench.camera import keypoint_box
from handbench.errors import SourceError
from handbench.files import describe_names
from handbench.hand import NUM_JOINTS, UNLABELLED, VISIBILITY_UNKNOWN
from handbench.images import encode_mask
from handbench.sources.archive import RawFiles, open_raw
from handbench.sources.bad_entries import BadEntries
from handbench.sources.block import SampleBlock
from handbench.sources.manifest import Manifest
from handbench.sources.placement import check_placed, inside_crop, inside_image
from handbench.sources.table import HandTable, TableSource

if TYPE_CHECKING:
    from PIL.Image import Image

OPTIONS = frozenset({"source"})
"""Options of ``handbench convert`` that this reader takes."""
EXTRAS = frozenset({"mask"})
"""Words of ``--with`` that it knows."""

_LABELS = "label_joint.txt"
_FIELDS = 4 + 2 * NUM_JOINTS
_PHOTOS = (".jpg", ".jpeg", ".png")
_NOT_LABELLED = -1.0
_SMALLEST_BOX_PX = 1.0


@dataclass
class _Lines:
    """A label file as columns: N sound lines.

    Attributes
    ----------
    first_fields
        What every line begins with, whether the rest of it is sound or not: it should be a photo.
    names
        File names of the photos.
    numbers
        (N, 45) float64: width, height, number of hands, then x, y of 21 joints.
    line
        Number of each line in the file, from 1.
    """

    first_fields: list[str]
    names: list[str]
    numbers: npt.NDArray[np.float64]
    line: list[int]


class OneHand10K(TableSource):
    """OneHand10K, found and checked; see :func:`open_source`."""

    def __init__(self, files: RawFiles, manifest: Manifest, *, lenient: bool = False) -> None:
        natives = {
            split: facts.native
            for split, facts in manifest.splits.items()
            if files.has(f"{facts.native}/{_LABELS}")
        }
        names = [f"{native}/{_LABELS}" for native in natives.values()]
        super().__init__(manifest, files, {}, label_files=names, cuts_val=True, lenient=lenient)
        self._check_layout(natives)
        bare = [native for native in natives.values() if not files.listing(f"{native}/mask")]
        if bare:
            # One word for the whole file: boxes of masks in one split only cannot be compared.
            self.box_source = "keypoints"
            self.notes.append(
                f"{' and '.join(bare)}: no masks, so all boxes are those of the keypoints, which "
                "are tighter than published ones"
            )
        short = []
        for split, native in natives.items():
            bad = BadEntries(lenient=lenient)
            lines, self._tables[split] = self._read(native, bad, masked=not bare)
            self.bad[split] = bad.sentences
            expected = manifest.splits[split].annotations
            if expected and lines != expected:
                short.append(f"{native} has {lines:,} of {expected:,} lines")
        if short:
            self.name = f"{manifest.name}-subset"
            self.notes.append(
                f"a subset: {'; '.join(short)}; results will call it {self.name!r} so that it "
                "never stands beside published rows"
            )

    def _check_layout(self, natives: dict[str, str]) -> None:
        for facts in self.manifest.splits.values():
            if facts.native not in natives.values() and self._files.has(f"{facts.native}/source"):
                raise SourceError(
                    f"expected {facts.native}/{_LABELS} beside {facts.native}/source in "
                    f"{self.path}, found no such file; take it from the original archive"
                )
        if not natives:
            found = self._files.listing("")
            raise SourceError(
                f"expected OneHand10K in {self.path}: Train/{_LABELS} or Test/{_LABELS} beside "
                f"source/ and mask/, found {describe_names(found) if found else 'no files'}; point "
                "--source at the folder that holds Train and Test (MMPose's JSON of this dataset "
                "is read by `handbench convert coco`)"
            )

    # -- reading ------------------------------------------------------------------------------

    def _read(self, native: str, bad: BadEntries, *, masked: bool) -> tuple[int, HandTable]:
        """Number of lines of a split, and its hands."""
        label_file = f"{native}/{_LABELS}"
        where = self._files.where(label_file)
        lines = _parse(self._files.read(label_file), where, bad)
        self._check_photos(native, lines)
        self._note_hand_numbers(lines, native)
        table = _table(lines, native)
        if masked:
            table = self._take_boxes_of_masks(table, native, bad)
        bad.check_few(len(table))
        table = self._usable(table, native)
        if not len(table):
            raise SourceError(
                f"expected labelled hands in {where}, found none that can be used among "
                f"{len(lines.first_fields):,} lines ({'; '.join(self.notes)})"
            )
        return len(lines.first_fields), table

    def _check_photos(self, native: str, lines: _Lines) -> None:
        needed = set(lines.names)
        there = set(self._files.listing(f"{native}/source"))
        missing = sorted(needed - there)
        if missing:
            raise SourceError(
                f"expected {len(needed):,} photos in {self._files.where(native + '/source')}, "
                f"found {len(missing):,} of them missing: {describe_names(missing, 3)}; unpack the "
                "archive again"
            )
        photos = {name for name in there if name.lower().endswith(_PHOTOS) and name[0] != "."}
        unlabelled = sorted(photos - set(lines.first_fields))
        if unlabelled:
            self.notes.append(
                f"{len(unlabelled):,} photos in {native}/source have no line in {_LABELS} and are "
                f"left out: {describe_names(unlabelled, 3)}"
            )

    def _note_hand_numbers(self, lines: _Lines, native: str) -> None:
        several = int((lines.numbers[:, 2] > 1).sum())
        if several:
            self.notes.append(
                f"{several:,} lines of {native}/{_LABELS} count more than one hand: taken as hands "
                "on the photo of which one is labelled, which the publisher does not say"
            )

    def _take_boxes_of_masks(self, table: HandTable, native: str, bad: BadEntries) -> HandTable:
        """Boxes of the masks; those of the keypoints stay where a mask does not show the hand.

        Hands whose mask is damaged do not stay.
        """
        there = set(self._files.listing(f"{native}/mask"))
        stems = [PurePosixPath(name).stem for name in table.file_name]
        names = [f"{native}/mask/{stem}.png" for stem in stems]

        def measured(name: str) -> tuple[tuple[int, int], list[float]] | SourceError | None:
            if PurePosixPath(name).name not in there:
                return None
            try:
                mask = _clean_mask(self._files.read(name), self._files.where(name))
            except SourceError as error:
                return error
            return (mask.height, mask.width), _box_of(mask)

        unique = list(dict.fromkeys(names))
        # Pillow works outside Python's lock: 11,703 masks are the slow part of opening.
        with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
            found = dict(zip(unique, pool.map(measured, unique)))
        damaged = np.array([isinstance(found[name], SourceError) for name in names], dtype=bool)
        sound = bad.sound(damaged, lambda row: str(found[names[row]]))
        table, names = table.take(sound), list(itertools.compress(names, sound.tolist()))
        boxes = np.full((len(table), 4), np.nan)
        for row, (name, size) in enumerate(zip(names, _sizes(table).tolist())):
            entry = found[name]
            if isinstance(entry, tuple) and entry[0] == tuple(size):
                boxes[row] = entry[1]
        padding = self.manifest.box_padding
        check_placed(table.keypoints_2d, boxes, padding, self._files.where(f"{native}/{_LABELS}"))
        shown = np.asarray(inside_crop(table.keypoints_2d, boxes, padding).any(axis=1))
        table.bbox = np.where(shown[:, None], boxes, table.bbox)
        if replaced := int((~shown & (table.visibility != UNLABELLED).any(axis=1)).sum()):
            self.notes.append(
                f"{replaced:,} hands of {native} have no mask, an empty one, one of another size "
                "or one that shows something else: their boxes are those of the keypoints"
            )
        if all(found[name] is not None for name in names):
            table.mask_name = names  # a column of masks has one for every row
        return table

    def _usable(self, table: HandTable, native: str) -> HandTable:
        """The hands that can be cut out; all others are counted with the reason."""
        sides = table.bbox[:, 2:]
        tests: dict[str, npt.NDArray[np.bool_]] = {
            "hand without a labelled joint": (table.visibility != UNLABELLED).any(axis=1),
            "hand outside its image": np.asarray(
                inside_image(table.keypoints_2d, _sizes(table)).any(axis=1)
            ),
            "hand with too few labels to span a box": (sides > 0).all(axis=1)
            & (sides.max(axis=1) >= _SMALLEST_BOX_PX),
        }
        keep = np.ones(len(table), dtype=bool)
        for reason, passed in tests.items():
            if count := int((keep & ~passed).sum()):
                self.dropped[f"{reason} in {native}"] = count
                self.notes.append(f"left out: {count:,} × {reason} in {native}")
            keep &= passed
        return table.take(np.flatnonzero(keep))

    # -- the Source interface -----------------------------------------------------------------

    def blocks(
        self, split: str, extras: frozenset[str] = frozenset(), limit: int | None = None
    ) -> Iterator[SampleBlock]:
        """Rows of `split` in order; masks come as clean black and white."""
        if "mask" in extras and self._tables[split].mask_name is None:
            native = self.manifest.splits[split].native
            self.notes.append(f"{native} is stored without masks: some photos have none")
        yield from super().blocks(split, extras, limit)

    def _read_mask(self, part: HandTable, row: int) -> bytes:
        mask = _clean_mask(super()._read_mask(part, row), f"the mask of {part.sample_id[row]}")
        return encode_mask(np.asarray(mask) > 0)


def open_source(path: Path, manifest: Manifest, *, lenient: bool = False) -> OneHand10K:
    """Find and check OneHand10K.

    Parameters
    ----------
    path
        Folder (or a zip archive of it) that holds ``Train/`` and ``Test/``; one is enough.
    manifest
        That of ``onehand10k``.
    lenient
        Leave out malformed label entries; see :class:`handbench.sources.block.Source`.

    Raises
    ------
    SourceError
        If what is there is not OneHand10K in its original layout, or is damaged.
    """
    return OneHand10K(open_raw(Path(path), []), manifest, lenient=lenient)


def _parse(data: bytes, where: str, bad: BadEntries) -> _Lines:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SourceError(
            f"expected text in {where}, found bytes that are no UTF-8; take the file from the "
            "original archive"
        ) from error
    first_fields, names, rows, numbers = [], [], [], []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        first_fields.append(line.partition(",")[0].strip())
        with bad.entry():
            name, values = _fields(line, f"line {number} of {where}")
            names.append(name)
            rows.append(number)
            numbers.append(values)
    bad.check_few(len(names))
    if not first_fields:
        raise SourceError(
            f"expected one line a photo in {where}, found an empty file; take it from the original "
            "archive"
        )
    return _Lines(first_fields, names, np.array(numbers), rows)


def _fields(line: str, where: str) -> tuple[str, list[float]]:
    """The file name and the numbers of a line."""
    fields = [part.strip() for part in line.split(",")]
    if len(fields) != _FIELDS:
        raise SourceError(
            f"{where}: expected {_FIELDS} fields (file name, width, height, number of hands, "
            f"21 × x, y), found {len(fields)}; take the file from the original archive"
        )
    try:
        values = [float(part) for part in fields[1:]]
    except ValueError as error:
        raise SourceError(
            f"{where}: expected numbers after the file name, found {str(error).partition(': ')[2]}"
        ) from error
    name = fields[0]
    if not name or name in (".", "..") or any(mark in name for mark in "/\\:"):
        raise SourceError(f"{where}: expected a plain file name such as 1.jpg, found {name!r}")
    if not np.isfinite(values).all():
        raise SourceError(f"{where}: expected finite numbers")
    return name, values


def _table(lines: _Lines, native: str) -> HandTable:
    """Hands as columns, boxes those of the keypoints; lines of one photo follow each other."""
    first: dict[str, int] = {}
    for row, name in enumerate(lines.names):
        first.setdefault(name, row)
    order = sorted(range(len(lines.names)), key=lambda row: first[lines.names[row]])
    on_photo = Counter(lines.names)
    stems = [f"{native}/source/{PurePosixPath(lines.names[row]).stem}" for row in order]
    numbers = lines.numbers[order]
    points = numbers[:, 3:].reshape(-1, NUM_JOINTS, 2)
    labelled = (points != _NOT_LABELLED).all(axis=-1)
    points = np.where(labelled[..., None], points, np.nan)
    return HandTable(
        sample_id=[
            f"{stem}#{lines.line[row]}" if on_photo[lines.names[row]] > 1 else stem
            for stem, row in zip(stems, order)
        ],
        file_name=[f"{native}/source/{lines.names[row]}" for row in order],
        keypoints_2d=points,
        visibility=np.where(labelled, VISIBILITY_UNKNOWN, UNLABELLED).astype(np.uint8),
        bbox=keypoint_box(points, labelled),
        is_right=np.full(len(order), -1, dtype=np.int8),
        image_size=numbers[:, 1::-1].astype(np.int32),
        ids={"image_id": stems},
    )


def _sizes(table: HandTable) -> npt.NDArray[np.int32]:
    """(N, 2) height, width as the label file states them."""
    unknown = np.full((len(table), 2), -1, dtype=np.int32)
    return unknown if table.image_size is None else table.image_size


def _clean_mask(data: bytes, where: str) -> Image:
    """The mask in black and white: hand is what is not darker than the mean grey value.

    The PNGs are no clean binaries; the mean is where a public reader of the raw data cuts, too.
    """
    import PIL.Image
    from PIL import ImageStat

    try:
        with PIL.Image.open(io.BytesIO(data)) as picture:
            grey = picture.convert("L")
    except (OSError, SyntaxError, ValueError, PIL.Image.DecompressionBombError) as error:
        raise SourceError(
            f"expected a whole mask at {where}, found one that is empty, truncated or damaged "
            f"({len(data):,} bytes); unpack it again"
        ) from error
    mean = ImageStat.Stat(grey).mean[0]
    return grey.point([255 if value >= mean and value > 0 else 0 for value in range(256)])


def _box_of(mask: Image) -> list[float]:
    """x, y, w, h of what is white, edge to edge in pixel-centre coordinates; NaN for none."""
    found = mask.getbbox()
    if found is None:
        return [np.nan] * 4
    left, top, right, bottom = found
    return [left - 0.5, top - 0.5, right - left, bottom - top]
