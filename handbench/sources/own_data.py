"""One's own labels: what readers of a label file with a folder of images have in common.

A reader parses one file into an :class:`OwnTable`; :class:`OwnData` joins the splits, cuts a file
into splits where asked to, and settles where the boxes come from.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt

from handbench.camera import keypoint_box
from handbench.errors import SourceError
from handbench.files import describe_names
from handbench.hand import OCCLUDED, UNLABELLED, VISIBILITY_UNKNOWN, VISIBLE
from handbench.sources.archive import Folder
from handbench.sources.bad_entries import BadEntries
from handbench.sources.block import SampleBlock
from handbench.sources.manifest import Manifest
from handbench.sources.manifest import names as manifest_names
from handbench.sources.origin import Origin, joined
from handbench.sources.table import HandTable, TableSource


@dataclass(frozen=True)
class SplitBlocks:
    """How to cut one file into splits: runs of consecutive annotations, dealt out in turn.

    Attributes
    ----------
    shares
        Split → blocks it takes in every round: ``{"train": 2, "test": 1}``.
    block_size
        Annotations in a block.
    """

    shares: Mapping[str, int]
    block_size: int

    def split_of(self, block: int) -> str:
        """Split that the block of this number goes to.

        >>> cut = SplitBlocks({"train": 2, "test": 1}, block_size=20)
        >>> [cut.split_of(block) for block in range(4)]
        ['train', 'train', 'test', 'train']
        """
        turn = [split for split, share in self.shares.items() for _ in range(share)]
        return turn[block % len(turn)]

    def deal_out(self, whole: HandTable) -> dict[str, HandTable]:
        """Cut a table into splits and name each hand's run; a photo is never torn apart."""
        block_of_photo: dict[str, int] = {}
        chosen: dict[str, list[int]] = {}
        whole.ids["sequence_id"] = []
        for row, photo in enumerate(photos_of(whole)):
            block = block_of_photo.setdefault(photo, row // self.block_size)
            whole.ids["sequence_id"].append(f"block-{block:05d}")
            chosen.setdefault(self.split_of(block), []).append(row)
        return {split: whole.take(rows) for split, rows in chosen.items()}


@dataclass
class OwnTable:
    """One label file as a table.

    Attributes
    ----------
    hands
        Its usable hands; `ids` holds ``image_id`` unless every hand has an image of its own.
    boxed
        Every hand came with a box.
    notes
        Sentences the user should read.
    dropped
        Why → how many entries were left out.
    origin
        Where the file is an export of ours: of what; else None.
    """

    hands: HandTable
    boxed: bool
    notes: list[str] = field(default_factory=list)
    dropped: dict[str, int] = field(default_factory=dict)
    origin: Origin | None = None


class OwnData(TableSource):
    """One or several label files with one folder of images.

    Parameters
    ----------
    annotations
        Split → label file.
    images_dir
        Folder that the files' image names are relative to.
    manifest
        With the dataset's own name and joint order; see :func:`own_manifest`.
    blocks
        Cut the one file into splits by runs of consecutive annotations.
    read
        Parses one label file, and gives account of its malformed entries.
    lenient
        Leave these out; see :class:`handbench.sources.block.Source`.

    Raises
    ------
    SourceError
        If there is no folder of images, or several files are to be cut.
    """

    def __init__(
        self,
        annotations: Mapping[str, Path],
        images_dir: Path,
        manifest: Manifest,
        blocks: SplitBlocks | None,
        read: Callable[[Path, BadEntries], OwnTable],
        *,
        lenient: bool = False,
    ) -> None:
        unit = "sequence_id" if blocks else None
        super().__init__(
            manifest, Folder(images_dir), {}, split_unit=unit, cluster_unit=unit, lenient=lenient
        )
        self._annotations = dict(annotations)
        if blocks is not None and len(annotations) > 1:
            raise SourceError(
                f"split blocks cut one annotation file, found {len(annotations)}: "
                f"{describe_names(str(path) for path in annotations.values())}"
            )
        if not images_dir.is_dir():
            raise SourceError(
                f"expected a folder of images at {images_dir}, found none; name it with "
                "--images-dir"
            )
        boxed = True
        origins = []
        for split, path in annotations.items():
            bad = BadEntries(lenient=lenient)
            table = read(path, bad)
            # Nobody knows into which of the cut splits a malformed entry would have gone.
            self.bad[split if blocks is None else ""] = bad.sentences
            origins.append(table.origin)
            boxed = boxed and table.boxed
            self.notes += table.notes
            for reason, count in table.dropped.items():
                self._drop(count, reason)
            hands = table.hands
            self._tables |= {split: hands} if blocks is None else blocks.deal_out(hands)
        self._note_shared_photos()
        # One word for the whole file: boxes given for some hands only are not used at all.
        self.box_source = "annotation" if boxed else "keypoints"
        if not boxed:
            self.notes.append("not every annotation has a bbox: boxes are those of the keypoints")
            self._box_keypoints()
        self._take_over(origins, keep_units=blocks is not None)

    def _take_over(self, origins: Sequence[Origin | None], *, keep_units: bool) -> None:
        """Be what exports say they are, if they are all of one dataset."""
        origin = joined(origins)
        if origin is None:
            if any(origins):
                self.notes.append(
                    "the label files are not exports of one dataset: boxes, units and terms are "
                    "those of one's own data"
                )
            return
        self.manifest = origin.manifest(self.manifest)
        self.box_source = origin.box_source
        self._attributes = origin.column_attributes()
        if not keep_units:
            self.split_unit, self.cluster_unit = origin.split_unit, origin.cluster_unit

    def blocks(
        self, split: str, extras: frozenset[str] = frozenset(), limit: int | None = None
    ) -> Iterator[SampleBlock]:
        """Rows of `split` in order; masks come along where the label file names them."""
        return super().blocks(split, extras | {"mask"}, limit)

    def _box_keypoints(self) -> None:
        for split, hands in self._tables.items():
            hands.bbox = keypoint_box(hands.keypoints_2d, hands.visibility != UNLABELLED)
            spans = np.asarray((hands.bbox[:, 2:] > 0).all(axis=1))
            self._tables[split] = hands.take(spans)
            self._drop(int((~spans).sum()), f"hand of {split} with too few labels to span a box")

    def _drop(self, count: int, reason: str) -> None:
        if count:
            self.dropped[reason] = self.dropped.get(reason, 0) + count
            self.notes.append(f"left out: {count:,} × {reason}")

    def _note_shared_photos(self) -> None:
        photos = {split: set(photos_of(hands)) for split, hands in self._tables.items()}
        for one, other in itertools.combinations(photos, 2):
            shared = photos[one] & photos[other]
            if shared:
                self.notes.append(
                    f"{len(shared):,} photos are in both {one} and {other}, for example "
                    f"{min(shared)}: scores on them will look better than they are"
                )

    def files(self) -> list[dict[str, Any]]:
        """The label files with size and sha256."""
        return [
            described
            for path in self._annotations.values()
            for described in Folder(path.parent).describe([path.name])
        ]


def own_manifest(
    manifest: Manifest, name: str | None, joint_order: Sequence[int] | None
) -> Manifest:
    """The reader's manifest with the dataset's own name and joint order.

    Raises
    ------
    SourceError
        If `name` cannot be a file name, or is that of another dataset.
    """
    changes: dict[str, Any] = {}
    if name:
        if name.startswith(".") or any(mark in name for mark in "/\\"):
            raise SourceError(
                f"expected a dataset name that can be a file name, found {name!r}; pass --name"
            )
        if name.removesuffix("-subset") in set(manifest_names()) - {manifest.name}:
            raise SourceError(
                f"{name!r} is the name of another dataset, beside whose published rows these "
                "results would stand; pass another --name"
            )
        changes |= {"name": name, "title": name}
    if joint_order is not None:
        changes["joint_order"] = tuple(joint_order)
    return replace(manifest, **changes)


def visibility_of(flags: npt.NDArray[np.float64]) -> npt.NDArray[np.uint8]:
    """COCO's v (N, 21) as ours; unknown where a file never says 2 or gives scores."""
    labelled = flags > 0
    speaks_of_occlusion = bool((flags == 2).any()) and bool(np.isin(flags, (0, 1, 2)).all())
    meaning = np.where(flags == 2, VISIBLE, OCCLUDED) if speaks_of_occlusion else VISIBILITY_UNKNOWN
    return np.where(labelled, meaning, UNLABELLED).astype(np.uint8)


def photos_of(hands: HandTable) -> list[str]:
    """The photo of every hand: its ``image_id``, else the name of its image."""
    return hands.ids.get("image_id") or [stem(name) for name in hands.file_name]


def slashes(file_name: str) -> str:
    """A file name with forward slashes: files written on Windows may hold backslashes."""
    return file_name.replace("\\", "/")


def stem(file_name: str) -> str:
    """A file name without its extension, with forward slashes."""
    return str(PurePosixPath(slashes(file_name)).with_suffix(""))


def is_below(file_name: str) -> bool:
    """Whether a file name stays below the folder it is relative to.

    >>> is_below("a/b.jpg"), is_below("../b.jpg"), is_below("C:/b.jpg")
    (True, False, False)
    """
    parts = PurePosixPath(slashes(file_name)).parts
    outside = ".." in parts or slashes(file_name).startswith("/") or ":" in file_name
    return bool(parts) and not outside


def sample_ids(file_names: Sequence[str], numbers: Sequence[object]) -> list[str]:
    """Path without extension; ``#<number>`` where an image has several hands.

    >>> sample_ids(["a/1.jpg", "a/2.jpg", "a/1.jpg"], [7, 8, 9])
    ['a/1#7', 'a/2', 'a/1#9']
    """
    stems = [stem(name) for name in file_names]
    hands_on = Counter(stems)
    return [
        name if hands_on[name] == 1 else f"{name}#{number}" for name, number in zip(stems, numbers)
    ]
