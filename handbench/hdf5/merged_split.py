"""One split of a merged file: numbers and images stay where they are, ids are written anew."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from handbench.errors import FormatError
from handbench.hdf5.format import COLUMNS
from handbench.hdf5.parts import virtual_name
from handbench.hdf5.reader import HandFile, SplitReader
from handbench.hdf5.tolerance import ATTRIBUTE, reprojection_tolerance_px

_CHUNK_ROWS = 1024
_STREAMS = ("image", "mask")
_SAME_WORDS = frozenset({"hand_type"})
"""Text that is a word, not an id: equal in two datasets, it means the same."""

_GROUPS = {"split_unit": "split_group", "cluster_unit": "cluster_group"}
"""Attribute of a split → column for the ids where the merged files differ in that attribute."""

_OURS = frozenset({"source_dataset", "sample_weight", *_GROUPS.values()})
"""Columns that merging itself writes."""

_STRONGEST = ("keypoints", "annotation", "detector", "image")
"""Sources of boxes, those first that take most from the labels."""


@dataclass(frozen=True)
class Piece:
    """The rows that one file gives to a split.

    Attributes
    ----------
    file, reader
        The file and its split of that name.
    name
        The file as virtual datasets name it (:func:`handbench.hdf5.parts.relative_name`).
    weight
        How often each row is drawn in training, relative.
    spans
        Runs of rows that are kept: first, one after the last.
    """

    file: HandFile
    reader: SplitReader
    name: str
    weight: float
    spans: tuple[tuple[int, int], ...]

    def __len__(self) -> int:
        return sum(stop - start for start, stop in self.spans)

    @property
    def prefix(self) -> bytes:
        """What makes its ids unlike those of other datasets."""
        return f"{self.file.dataset}/".encode()

    def kept(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Those entries of a whole column that are kept."""
        return np.concatenate([values[start:stop] for start, stop in self.spans])

    def ids(self, name: str) -> npt.NDArray[np.bytes_]:
        """(n,) UTF-8 ids of the column `name` below :attr:`prefix`; empty ones stay empty."""
        values = self.kept(self.text(name))
        return np.where(values == b"", b"", np.char.add(self.prefix, values))

    def weights(self) -> npt.NDArray[np.float64]:
        """(n,) how often each row is drawn: weight of the file times that of the row, if any."""
        if not self.reader.has("sample_weight"):
            return np.full(len(self), self.weight)
        return self.weight * self.kept(self.reader.column("sample_weight"))

    def text(self, name: str) -> npt.NDArray[np.bytes_]:
        """(N,) UTF-8 of a whole text column."""
        return np.asarray(self.reader.array(name)[:], dtype=np.bytes_)


def spans_of(keep: npt.NDArray[np.bool_]) -> tuple[tuple[int, int], ...]:
    """Runs of True: first, one after the last.

    >>> spans_of(np.array([True, True, False, True]))
    ((0, 2), (3, 4))
    """
    edges = np.flatnonzero(np.diff(keep.astype(np.int8), prepend=0, append=0)).tolist()
    return tuple(zip(edges[::2], edges[1::2]))


def common_units(pieces: Iterable[Piece]) -> dict[str, str]:
    """``split_unit`` and ``cluster_unit`` of the whole merged file: names of columns.

    Where the files differ, a column of its own holds the ids of each row's own unit.

    Raises
    ------
    FormatError
        If a file names a unit it has no column for.
    """
    found: dict[str, set[str]] = {unit: set() for unit in _GROUPS}
    for piece in pieces:
        for attribute in _GROUPS:
            unit = str(getattr(piece.reader, attribute))
            if not piece.reader.has(unit):
                raise FormatError(
                    f"{piece.file.path}: split {piece.reader.name!r} names {unit} as its "
                    f"{attribute}, but has no such column: convert it again"
                )
            found[attribute].add(unit)
    return {
        attribute: names.pop() if len(names) == 1 else _GROUPS[attribute]
        for attribute, names in found.items()
    }


def write_split(group: h5py.Group, pieces: Sequence[Piece], units: Mapping[str, str]) -> list[str]:
    """Write the split of a merged file.

    Parameters
    ----------
    group
        The empty group of that split.
    pieces
        What it is made of, in order; at least one row each.
    units
        Of the whole file (:func:`common_units`).

    Returns
    -------
    Sentences about what could not come along.

    Raises
    ------
    FormatError
        If a column of a source has another type than the format says.
    """
    notes: list[str] = []
    for name, spec in COLUMNS.items():
        having = [piece for piece in pieces if piece.reader.has(name)]
        if not having or name in _OURS:
            continue
        if spec.dtype == "str":
            _write_text(group, name, pieces)
        elif name in _DERIVED and len(having) < len(pieces):
            _write_derived(group, name, pieces)
        elif reason := _differ(name, having):
            notes.append(f"{group.name[1:]}: {name} is left out: the files differ in {reason}")
        else:
            _write_virtual(group, name, pieces)
    for name in _STREAMS:
        having = [piece for piece in pieces if piece.reader.has(name)]
        if len(having) == len(pieces):
            _write_stream(group, name, pieces)
        elif having:
            notes.append(f"{group.name[1:]}: {name} is left out: not every file has one")
    group["crop"].attrs["kind"] = _one_or([_attribute(p, "crop", "kind") for p in pieces], "mixed")
    _describe_boxes(group, pieces)
    if "camera" in group:
        # Of each row's own source nothing is known any more: the largest does none of them wrong.
        largest = max(reprojection_tolerance_px(piece.file, piece.reader) for piece in pieces)
        group["camera"].attrs[ATTRIBUTE] = largest
    origins = [np.full(len(piece), piece.file.dataset.encode()) for piece in pieces]
    _write_column(group, "source_dataset", origins)
    _write_column(group, "sample_weight", [piece.weights() for piece in pieces])
    for attribute, column in units.items():
        group.attrs[attribute] = column
        if column == _GROUPS[attribute]:
            blocks = [piece.ids(str(getattr(piece.reader, attribute))) for piece in pieces]
            _write_column(group, column, blocks)
    group.attrs["truth_sha256"] = _truth(pieces)
    return notes


# -- columns that are written ------------------------------------------------------------------


def _write_column(group: h5py.Group, name: str, blocks: Sequence[npt.NDArray[Any]]) -> None:
    """Write numbers or UTF-8 bytes, compressed: ids of one folder hardly differ."""
    joined = np.concatenate(blocks)
    if joined.dtype.kind == "S":
        joined = joined.astype(h5py.string_dtype("utf-8", length=max(1, joined.dtype.itemsize)))
    group.create_dataset(
        name,
        data=joined,
        chunks=(min(len(joined), _CHUNK_ROWS), *joined.shape[1:]),
        compression="gzip",
        shuffle=True,
        fletcher32=True,
    )


def _write_text(group: h5py.Group, name: str, pieces: Sequence[Piece]) -> None:
    blocks = []
    for piece in pieces:
        if name in _SAME_WORDS and piece.reader.has(name):
            blocks.append(piece.kept(piece.text(name)))
        elif piece.reader.has(name):
            blocks.append(piece.ids(name))
        elif name == "image_id":
            photos = [_photo_of(sample) for sample in piece.ids("sample_id").tolist()]
            blocks.append(np.array(photos, dtype=np.bytes_))
        else:
            blocks.append(np.full(len(piece), b"", dtype="S1"))
    _write_column(group, name, blocks)


def _photo_of(sample_id: bytes) -> bytes:
    """The photo that a sample id stands for, where nobody says: the id without its hand."""
    return sample_id.removesuffix(b"/left").removesuffix(b"/right").partition(b"#")[0]


_DERIVED: dict[str, Callable[[SplitReader], npt.NDArray[np.float64]]] = {
    "crop_rotation": lambda reader: np.tile(np.eye(3), (len(reader), 1, 1)),
    "source_bbox": lambda reader: reader.source_bbox(),
}
"""Columns that have a value other than NaN where a file leaves them unsaid."""


def _write_derived(group: h5py.Group, name: str, pieces: Sequence[Piece]) -> None:
    blocks = [
        piece.kept(
            piece.reader.column(name) if piece.reader.has(name) else _DERIVED[name](piece.reader)
        )
        for piece in pieces
    ]
    _write_column(group, name, blocks)


# -- columns that stay where they are ----------------------------------------------------------


def _write_virtual(group: h5py.Group, name: str, pieces: Sequence[Piece]) -> None:
    """Point at a numeric column; what a piece lacks is NaN, in `frame_index` -1."""
    dtype = np.dtype(COLUMNS[name].dtype)
    fill = {"f": np.nan, "i": -1}.get(dtype.kind, 0)
    _write_layout(group, name, pieces, [piece.spans for piece in pieces], dtype, fill)


def _write_stream(group: h5py.Group, name: str, pieces: Sequence[Piece]) -> None:
    """Point at images or masks; the offsets of encoded ones are written anew."""
    offset = f"{name}_offset"
    if not pieces[0].reader.has(offset):
        _write_layout(group, name, pieces, [piece.spans for piece in pieces], np.dtype(np.uint8))
        return
    runs, lengths = [], [np.zeros(1, np.int64)]
    for piece in pieces:
        offsets = piece.reader.column(offset)
        runs.append([(int(offsets[start]), int(offsets[stop])) for start, stop in piece.spans])
        lengths.append(piece.kept(np.diff(offsets)))
    _write_layout(group, name, pieces, runs, np.dtype(np.uint8))
    _write_column(group, offset, [np.cumsum(np.concatenate(lengths))])


def _write_layout(
    group: h5py.Group,
    name: str,
    pieces: Sequence[Piece],
    runs: Sequence[Sequence[tuple[int, int]]],
    dtype: np.dtype[Any],
    fill: float = 0,
) -> None:
    """Make one virtual dataset of runs along the first axis of each piece's dataset `name`."""
    total = sum(stop - start for spans in runs for start, stop in spans)
    first = next(piece.reader for piece in pieces if piece.reader.has(name))
    layout = h5py.VirtualLayout((total, *first.shape(name)[1:]), dtype)
    at = 0
    for piece, spans in zip(pieces, runs):
        source = _virtual_source(piece, name, dtype) if piece.reader.has(name) else None
        for start, stop in spans:
            if source is not None:
                layout[at : at + stop - start] = source[start:stop]
            at += stop - start
    group.create_virtual_dataset(name, layout, fillvalue=fill)
    group[name].attrs.update(first.attributes(name))


def _virtual_source(piece: Piece, name: str, dtype: np.dtype[Any]) -> h5py.VirtualSource:
    file, dataset = virtual_name(piece.name), virtual_name(f"{piece.reader.name}/{name}")
    return h5py.VirtualSource(file, dataset, shape=piece.reader.shape(name), dtype=dtype)


# -- what the columns say about themselves -----------------------------------------------------


def _differ(name: str, having: Sequence[Piece]) -> str:
    """Why one column cannot hold the values of all; "" when it can.

    Raises
    ------
    FormatError
        If a type is not the one of the format.
    """
    for piece in having:
        found, expected = piece.reader.dtype(name), COLUMNS[name].dtype
        if found != expected:
            raise FormatError(
                f"{piece.file.path}: expected {name} of split {piece.reader.name!r} as "
                f"{expected}, found {found}; convert it again"
            )
    if len({piece.reader.shape(name)[1:] for piece in having}) > 1:
        return "its shape"
    if name in ("bbox", "crop"):  # described below
        return ""
    keys = sorted({k for piece in having for k in piece.reader.attributes(name)} - {ATTRIBUTE})
    return next((k for k in keys if len({_attribute(p, name, k) for p in having}) > 1), "")


def _attribute(piece: Piece, name: str, key: str) -> str:
    return str(piece.reader.attributes(name).get(key, ""))


def _one_or(values: Sequence[Any], otherwise: Any) -> Any:
    return values[0] if len(set(values)) == 1 else otherwise


def _describe_boxes(group: h5py.Group, pieces: Sequence[Piece]) -> None:
    """Source of the boxes: the one that takes most from the labels. Padding: NaN where it varies.

    Predictions state both as what they used of the truth: rather too much than too little.
    """
    found = {piece.reader.box_source for piece in pieces}
    strongest = min(found, key=_STRONGEST.index)
    padding = _one_or([piece.reader.box_padding for piece in pieces], np.nan)
    group["bbox"].attrs.update({"source": strongest, "padding": padding})


# -- fingerprint -------------------------------------------------------------------------------


def _truth(pieces: Sequence[Piece]) -> str:
    """Fingerprint of the labels: those of the parts together, whatever their order and crops.

    The parts took theirs from the labels of their sources. What is stored leads back to these but
    for rounding: of a virtual camera's turned float32 joints enough to give another fingerprint.
    """
    records = []
    for piece in pieces:
        every = piece.text("sample_id")
        left_out = sorted(set(every.tolist()) - set(piece.kept(every).tolist()))
        # A row more or less is another truth, though the part's own fingerprint stays as it was.
        rest = hashlib.sha256(b"\n".join(left_out)).digest() if left_out else b""
        said = piece.prefix + b"\0" + piece.reader.truth_sha256.encode() + b"\0" + rest
        records.append(hashlib.sha256(said).digest())
    return hashlib.sha256(b"".join(sorted(records))).hexdigest()
