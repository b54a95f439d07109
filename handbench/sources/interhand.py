"""InterHand2.6M v1.0: one or two hands from up to 140 cameras, 3D in the world frame.

https://mks0601.github.io/InterHand2.6M/ (Moon et al., ECCV 2020). ``images/<split>/Capture<n>/
<sequence>/cam<camera>/image<frame>.jpg`` and ``annotations/<split>/InterHand2.6M_<split>_{data,
camera,joint_3d}.json``. Camera frame = R·(world - position), mm, OpenCV axes; 2D is its projection.
A row is one hand. Validity is that of the image times that of the moment, and as in the authors'
loader a hand whose wrist is not valid counts as not labelled at all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt

from handbench.camera import keypoint_box, project
from handbench.errors import SourceError
from handbench.files import describe_names
from handbench.hand import NUM_JOINTS, UNLABELLED, VISIBILITY_UNKNOWN, to_canonical
from handbench.sources.archive import Folder
from handbench.sources.bad_entries import BadEntries
from handbench.sources.block import SampleBlock
from handbench.sources.interhand_labels import HAND_TYPES, SplitLabels, label_files, read_labels
from handbench.sources.manifest import Manifest
from handbench.sources.table import HandTable, TableSource

OPTIONS = frozenset({"source"})
"""Options of ``handbench convert`` that this reader takes."""
EXTRAS: frozenset[str] = frozenset()
"""Words of ``--with`` that it knows."""

BOX_FACTOR = 1.2
"""The publisher's boxes are those of the keypoints times this; so are ours, of each hand alone."""

_SIDES = ("right", "left")
_NATIVE_WRIST = 20
_INTERACTING = HAND_TYPES.index("interacting")
_GREY = "41"
_BLOCK_ROWS = 512
_BATCH_IMAGES = 16_384
_OLD_FOLDERS = ("all", "human_annot", "machine_annot")

NO_3D = "image without 3D labels of its moment"
NO_LABELS = "hand named by its image's hand_type but without a valid joint"
NO_WRIST = "hand without a valid wrist"
NO_BOX = "hand with too few valid joints to span a box"
BEHIND = "hand with a joint behind the camera"
OUTSIDE = "hand wholly outside its image"


@dataclass
class _Hands:
    """Which hands of a split are rows: N images of `labels` and sides (0 right, 1 left)."""

    labels: SplitLabels
    image: npt.NDArray[np.int32]
    side: npt.NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.image)


class InterHand(TableSource):
    """An unpacked InterHand2.6M; see :func:`open_source`.

    Only which hand is a row is kept, in five bytes. Their keypoints are worked out block by block:
    as tables, the two million hands of ``train`` would fill two gigabytes.
    """

    def __init__(self, root: Path, manifest: Manifest, *, lenient: bool = False) -> None:
        super().__init__(manifest, Folder(root), {}, lenient=lenient)
        self._hands: dict[str, _Hands] = {}
        natives = self._native_splits(root)
        short = []
        for split, native in natives.items():
            bad = BadEntries(lenient=lenient)
            labels = read_labels(root, native, bad)
            self.bad[split] = bad.sentences
            self._hands[split] = self._chosen(labels)
            expected = manifest.splits[split].annotations
            if labels.entries != expected:
                short.append(f"{native} has {labels.entries:,} of {expected:,} annotations")
        self._label_files = [name for native in natives.values() for name in label_files(native)]
        if short:
            self.name = f"{manifest.name}-subset"
            self.notes.append(
                f"a subset, or another version (5 fps v1.0 is expected): {'; '.join(short)}; "
                f"results will call it {self.name!r} so that it never stands beside published rows"
            )
        for reason, count in self.dropped.items():
            self.notes.append(f"left out: {count:,} × {reason}")

    # -- what is there ------------------------------------------------------------------------

    def _native_splits(self, root: Path) -> dict[str, str]:
        """Split → native name, of all that have labels and images."""
        natives = {name: split.native for name, split in self.manifest.splits.items()}
        labelled = {s: n for s, n in natives.items() if (root / label_files(n)[0]).is_file()}
        if not labelled:
            raise SourceError(_what_is_wrong(root))
        whole = {s: n for s, n in labelled.items() if (root / "images" / n).is_dir()}
        for native in sorted(set(labelled.values()) - set(whole.values())):
            self.notes.append(f"{native} has labels but no folder images/{native}: left out")
        if not whole:
            raise SourceError(
                f"expected a folder {' or '.join(f'images/{n}' for n in labelled.values())} in "
                f"{root}, found labels alone; join and unpack the parts of the image archive there"
            )
        return whole

    def _chosen(self, labels: SplitLabels) -> _Hands:
        """The hands that can be used; counts the others by reason."""
        dropped: Counter[str] = Counter()
        images, sides = [], []
        for start in range(0, len(labels), _BATCH_IMAGES):
            rows = np.arange(start, min(start + _BATCH_IMAGES, len(labels)))
            keep = self._usable(labels, rows, dropped)
            row, side = np.nonzero(keep)  # by image, right before left
            images.append(rows[row].astype(np.int32))
            sides.append(side.astype(np.int8))
        for reason in (NO_3D, NO_LABELS, NO_WRIST, NO_BOX, BEHIND, OUTSIDE):
            if dropped[reason]:
                self.dropped[reason] = self.dropped.get(reason, 0) + dropped[reason]
        hands = _Hands(labels, np.concatenate(images), np.concatenate(sides))
        if not len(hands):
            reasons = describe_names(f"{n:,} × {reason}" for reason, n in dropped.items() if n)
            raise SourceError(
                f"expected hands in {label_files(labels.split)[0]} of {self.path}, found none that "
                f"can be used: {reasons}"
            )
        self._note_oddities(labels)
        return hands

    def _note_oddities(self, labels: SplitLabels) -> None:
        grey = np.array([name.startswith(_GREY) for name in labels.names["camera"]])
        oddities = {
            "image of a greyscale camera (id 41…)": grey[labels.camera].sum(),
            "image without an annotation, left out": labels.unannotated,
            "joint called valid at the sentinel (1, 1, 1), taken as not labelled": (
                labels.instants.sentinels
            ),
        }
        for what, count in oddities.items():
            if count:
                self.notes.append(f"{labels.split}: {int(count):,} × {what}")

    def _usable(
        self, labels: SplitLabels, rows: npt.NDArray[np.intp], dropped: Counter[str]
    ) -> npt.NDArray[np.bool_]:
        """(B, 2) bool: right, left hands that become rows."""
        valid = _by_side(labels.valid(rows))
        known = labels.instant[rows] >= 0
        dropped[NO_3D] += int((~known).sum())
        kind = labels.hand_type[rows]
        named = np.stack([(kind == side) | (kind == _INTERACTING) for side in (0, 1)], axis=1)
        keep = (named | valid.any(axis=2)) & known[:, None]
        xyz, uv = self._places(labels, rows)
        box = keypoint_box(uv, valid)
        with np.errstate(invalid="ignore"):
            inside = (uv >= -0.5) & (uv <= (labels.image_size[rows] - 0.5)[:, None, None, ::-1])
            conditions = {
                NO_LABELS: valid.any(axis=2),
                NO_WRIST: valid[..., _NATIVE_WRIST],
                BEHIND: ~(valid & ~(xyz[..., 2] > 0)).any(axis=2),
                NO_BOX: (box[..., 2:] > 0).all(axis=-1),
                OUTSIDE: (inside.all(axis=-1) & valid).any(axis=2),
            }
        for reason, fulfilled in conditions.items():
            dropped[reason] += int((keep & ~fulfilled).sum())
            keep = keep & fulfilled
        return keep

    @staticmethod
    def _places(
        labels: SplitLabels, rows: npt.NDArray[np.intp]
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """(B, 2, 21, 3) mm in the camera frame and (B, 2, 21, 2) px, native joints by side."""
        camera = labels.camera_row[rows]
        cameras, instants = labels.cameras, labels.instants
        world = instants.world[np.maximum(labels.instant[rows], 0)]
        away = world - cameras.position[camera][:, None]
        xyz = _by_side(away @ cameras.rotation[camera].transpose(0, 2, 1))
        return xyz, project(xyz, cameras.matrix[camera][:, None])

    # -- the Source interface -----------------------------------------------------------------

    def splits(self) -> dict[str, int]:
        """Rows in each split."""
        return {split: len(hands) for split, hands in self._hands.items()}

    def blocks(
        self, split: str, extras: frozenset[str] = frozenset(), limit: int | None = None
    ) -> Iterator[SampleBlock]:
        """Rows of `split` in the order of its annotations, the right hand of an image first."""
        hands = self._hands[split]
        stop = len(hands) if limit is None else min(limit, len(hands))
        for start in range(0, stop, _BLOCK_ROWS):
            rows = slice(start, min(start + _BLOCK_ROWS, stop))
            yield self._block(self._table(hands, rows), extras)

    def at(self, split: str, rows: npt.NDArray[np.intp]) -> SampleBlock:
        """The chosen rows of `split`."""
        return self._block(self._table(self._hands[split], rows), frozenset())

    def _table(self, hands: _Hands, rows: slice | npt.NDArray[np.intp]) -> HandTable:
        """The hands in `rows` with keypoints, boxes, cameras and ids."""
        labels = hands.labels
        images, side = hands.image[rows].astype(np.intp), hands.side[rows]
        here = np.arange(len(images))
        valid = _by_side(labels.valid(images))[here, side]
        xyz, uv = (part[here, side] for part in self._places(labels, images))
        order = self.manifest.joint_order
        valid = to_canonical(valid, order, axis=-1)
        xyz = np.where(valid[..., None], self.manifest.to_canonical_3d(xyz), np.nan)
        uv = np.where(valid[..., None], to_canonical(uv, order), np.nan)
        ids = _ids(labels, images)
        two = _holds_two(labels, images)
        return HandTable(
            sample_id=[
                f"{name}/{_SIDES[s]}" if both else name
                for name, s, both in zip(ids["image_id"], side.tolist(), two.tolist())
            ],
            file_name=[
                f"images/{labels.split}/{name.decode()}" for name in labels.file_name[images]
            ],
            keypoints_2d=uv,
            visibility=np.where(valid, VISIBILITY_UNKNOWN, UNLABELLED).astype(np.uint8),
            bbox=_larger(keypoint_box(uv, valid), BOX_FACTOR),
            is_right=(side == 0).astype(np.int8),
            keypoints_3d=xyz,
            camera=labels.cameras.matrix[labels.camera_row[images]],
            image_size=labels.image_size[images],
            ids=ids,
            extra={"frame_index": labels.frame[images]},
        )


def open_source(path: Path, manifest: Manifest, *, lenient: bool = False) -> InterHand:
    """Find and check InterHand2.6M v1.0 on disk.

    Parameters
    ----------
    path
        The folder that holds ``images`` and ``annotations``.
    manifest
        That of ``interhand26m``.
    lenient
        Leave out malformed label entries; see :class:`handbench.sources.block.Source`.

    Raises
    ------
    SourceError
        If what is there is not InterHand2.6M v1.0, or is damaged; one sentence with what was
        expected and found.
    """
    root = Path(path)
    if root.is_file():
        raise SourceError(
            f"expected the folder with images/ and annotations/ at {root}, found a file; join and "
            "unpack the archives and pass the folder"
        )
    if not root.is_dir():
        raise SourceError(
            f"expected a dataset folder at {root}, found nothing there; pass --source, or see "
            "`handbench datasets` for where to get it"
        )
    return InterHand(root, manifest, lenient=lenient)


def _what_is_wrong(root: Path) -> str:
    found = Folder(root).listing("")
    old = [name for name in Folder(root).listing("annotations") if name in _OLD_FOLDERS]
    if old:
        return (
            f"expected annotations/<split>/ of InterHand2.6M v1.0 in {root}, found "
            f"annotations/{old[0]} of v0.0, which holds half of the images; download the "
            "annotations of v1.0"
        )
    return (
        f"expected {label_files('train')[0]} (or that of val or test) in {root}, found "
        f"{describe_names(found) if found else 'an empty folder'}; pass the folder that holds "
        "images/ and annotations/"
    )


def _by_side(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """(B, 42, …) → (B, 2, 21, …): right, left."""
    return values.reshape(len(values), 2, NUM_JOINTS, *values.shape[2:])


def _holds_two(labels: SplitLabels, images: npt.NDArray[np.intp]) -> npt.NDArray[np.bool_]:
    """(B,) bool: annotations of two hands, whether or not both can be used."""
    both = np.asarray(_by_side(labels.valid(images)).any(axis=2)).all(axis=1)
    either: npt.NDArray[np.bool_] = both | (labels.hand_type[images] == _INTERACTING)
    return either


def _ids(labels: SplitLabels, images: npt.NDArray[np.intp]) -> dict[str, list[str]]:
    """Id columns of hands on `images`.

    Capture numbers begin anew in every split, and so do file names below it: all carry the split.
    """
    name_of = labels.names
    sequence = [
        f"{labels.split}/Capture{capture}/{name_of['sequence'][place]}"
        for capture, place in zip(labels.capture[images].tolist(), labels.sequence[images].tolist())
    ]
    kind = np.where(labels.hand_type_valid[images], labels.hand_type[images], -1)
    return {
        "image_id": [
            f"{labels.split}/{PurePosixPath(name.decode()).with_suffix('')}"
            for name in labels.file_name[images]
        ],
        "native_image_id": [str(number) for number in labels.image_id[images].tolist()],
        "subject_id": [name_of["subject"][place] for place in labels.subject[images].tolist()],
        "sequence_id": sequence,
        "instant_id": [
            f"{name}/{frame}" for name, frame in zip(sequence, labels.frame[images].tolist())
        ],
        "camera_id": [name_of["camera"][place] for place in labels.camera[images].tolist()],
        "hand_type": [(*HAND_TYPES, "")[place] for place in kind.tolist()],
    }


def _larger(box: npt.NDArray[np.float64], factor: float) -> npt.NDArray[np.float64]:
    """Boxes (N, 4) x, y, w, h grown about their centres."""
    sides = box[:, 2:]
    return np.concatenate([box[:, :2] - (factor - 1) / 2 * sides, factor * sides], axis=1)
