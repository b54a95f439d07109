"""Write a handbench HDF5 file: streaming, in bounded memory, whole or not at all.

Rows come in blocks of columns. Numbers and image bytes go to disk as they come; only the ids and a
32-byte digest a row are kept until the end. The file has a temporary name until `complete` is set
as its last attribute, then it is renamed.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import h5py
import numpy as np
import numpy.typing as npt

from handbench.errors import FormatError
from handbench.files import atomic_path, to_json
from handbench.hand import BONES, JOINT_NAMES
from handbench.hdf5.format import (
    BOX_SOURCES,
    COLUMNS,
    FORMAT,
    IMAGE_CHUNK_BYTES,
    ROOT_ATTRIBUTES,
    TruthHash,
)
from handbench.hdf5.full_disk import failed_write, one_sentence, refused_writes
from handbench.provenance import provenance

_CHUNK_TARGET_BYTES = 256 * 1024
_BYTES_PER_FLUSH = 64 * IMAGE_CHUNK_BYTES


class _Growing:
    """A dataset that grows along its first axis, made when its first rows are written.

    By then it is known whether more than one chunk is needed: a short file gets chunks of its own
    length, not a quarter of a megabyte for every column of forty rows.
    """

    def __init__(
        self, group: h5py.Group, name: str, chunk_rows: int, attributes: Mapping[str, Any]
    ) -> None:
        self._group, self._name = group, name
        self._chunk_rows = chunk_rows
        self._attributes = dict(attributes)
        self._dataset: h5py.Dataset | None = None

    def write(self, rows: npt.NDArray[Any], **filters: Any) -> None:
        if self._dataset is None:
            self._dataset = self._group.create_dataset(
                self._name,
                shape=(0, *rows.shape[1:]),
                maxshape=(None, *rows.shape[1:]),
                dtype=rows.dtype,
                chunks=(max(1, min(self._chunk_rows, len(rows))), *rows.shape[1:]),
                fletcher32=True,
                **filters,
            )
            self._dataset.attrs.update(self._attributes)
        start = self._dataset.shape[0]
        self._dataset.resize(start + len(rows), axis=0)
        self._dataset[start:] = rows


class _ByteStream:
    """Rows of different length as one flat uint8 dataset and its offsets."""

    def __init__(self, group: h5py.Group, name: str, attributes: Mapping[str, Any]) -> None:
        self._group, self._name = group, name
        self._bytes = _Growing(group, name, IMAGE_CHUNK_BYTES, attributes)
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        self._lengths: list[npt.NDArray[np.int64]] = []

    def append(self, rows: Sequence[bytes]) -> None:
        self._lengths.append(np.fromiter(map(len, rows), dtype=np.int64, count=len(rows)))
        self._pending.extend(rows)
        self._pending_bytes += int(self._lengths[-1].sum())
        if self._pending_bytes >= _BYTES_PER_FLUSH:
            self._flush(whole_chunks=True)

    def _flush(self, *, whole_chunks: bool) -> None:
        data = b"".join(self._pending)
        # Whole chunks only: a chunk is then checksummed and written once.
        keep = len(data) % IMAGE_CHUNK_BYTES if whole_chunks else 0
        self._bytes.write(np.frombuffer(data, dtype=np.uint8, count=len(data) - keep))
        self._pending = [data[len(data) - keep :]] if keep else []
        self._pending_bytes = keep

    def close(self) -> None:
        self._flush(whole_chunks=False)
        lengths = np.concatenate([np.zeros(1, np.int64), *self._lengths])
        self._group.create_dataset(f"{self._name}_offset", data=np.cumsum(lengths))


class _Table:
    """Rows of one shape as one dataset; blocks are gathered, since each write has its price."""

    def __init__(
        self,
        group: h5py.Group,
        name: str,
        first: npt.NDArray[Any],
        chunk_rows: int | None,
        attributes: Mapping[str, Any],
        filters: dict[str, Any],
    ) -> None:
        row_bytes = max(1, first.dtype.itemsize * int(np.prod(first.shape[1:])))
        rows = chunk_rows or max(1, min(4096, _CHUNK_TARGET_BYTES // row_bytes))
        self._name = name
        self._rows = _Growing(group, name, rows, attributes)
        self._filters = filters
        self._row_shape = first.shape[1:]
        self._pending: list[npt.NDArray[Any]] = []
        self._pending_bytes = 0

    def append(self, block: npt.NDArray[Any]) -> None:
        if block.shape[1:] != self._row_shape:
            raise FormatError(
                f"{self._name}: rows of shape {self._row_shape} so far, now {block.shape[1:]}"
            )
        self._pending.append(block)
        self._pending_bytes += block.nbytes
        if self._pending_bytes >= _BYTES_PER_FLUSH:
            self.flush()

    def flush(self) -> None:
        if not self._pending:
            return
        self._rows.write(np.concatenate(self._pending), **self._filters)
        self._pending, self._pending_bytes = [], 0


class SplitWriter:
    """Writes one split; made by :meth:`HandFileWriter.split`."""

    def __init__(self, group: h5py.Group, split_unit: str, cluster_unit: str) -> None:
        self._group = group
        self._units = {"split_unit": split_unit, "cluster_unit": cluster_unit}
        self._truth = TruthHash()
        self._strings: dict[str, list[npt.NDArray[np.bytes_]]] = {}
        self._streams: dict[str, _ByteStream] = {}
        self._tables: dict[str, _Table] = {}
        self._names: frozenset[str] | None = None
        self._rows = 0
        self.attributes: dict[str, dict[str, Any]] = {}

    def __len__(self) -> int:
        return self._rows

    def append(
        self,
        columns: Mapping[str, Any],
        images: Sequence[bytes] | npt.NDArray[np.uint8],
        masks: Sequence[bytes] | None = None,
    ) -> None:
        """Add a block of rows.

        Parameters
        ----------
        columns
            Name → array or list of strings with one entry a row, as in
            :data:`handbench.hdf5.format.COLUMNS`; the same names in every block.
        images
            Encoded JPEG or PNG bytes a row, or raw (B, H, W, 3) uint8 RGB.
        masks
            Encoded PNG bytes a row.

        Raises
        ------
        FormatError
            If a required column is missing, a column is unknown, or lengths, shapes or names
            differ from before.
        """
        self._check(columns, len(images), masks)
        for name, values in columns.items():
            if COLUMNS[name].dtype == "str":
                self._strings.setdefault(name, []).append(np.char.encode(list(values), "utf-8"))
            else:
                self._append_numbers(name, values)
        if isinstance(images, np.ndarray):
            self._append_array("image", images, {"storage": "raw"}, chunk_rows=1)
        else:
            self._append_bytes("image", images, {"storage": "encoded"})
        if masks is not None:
            self._append_bytes("mask", masks, {"storage": "encoded"})
        self._rows += len(images)

    def add_truth(self, **source_frame: Any) -> None:
        """Feed :class:`~handbench.hdf5.format.TruthHash` the same rows in the source frame."""
        self._truth.add(**source_frame)

    def _check(self, columns: Mapping[str, Any], rows: int, masks: Sequence[bytes] | None) -> None:
        names = frozenset(columns)
        if self._names is None:
            unknown = sorted(names - set(COLUMNS))
            missing = sorted(n for n, c in COLUMNS.items() if c.required and n not in names)
            if unknown or missing:
                raise FormatError(
                    f"split {self._group.name}: missing columns {missing}, "
                    f"unknown columns {unknown}"
                )
            self._names = names
        if names != self._names:
            raise FormatError(
                f"split {self._group.name}: this block has other columns than the first one: "
                f"{sorted(names ^ self._names)}"
            )
        if self._rows and (masks is None) != ("mask" not in self._streams):
            raise FormatError(f"split {self._group.name}: some blocks have masks and some have not")
        counted = {**columns, "mask": masks} if masks is not None else columns
        wrong = [name for name, values in counted.items() if len(values) != rows]
        if wrong:
            raise FormatError(
                f"split {self._group.name}: {rows} images, but other row counts in {sorted(wrong)}"
            )

    def _append_numbers(self, name: str, values: Any) -> None:
        spec = COLUMNS[name]
        block = np.asarray(values).astype(spec.dtype, copy=False)
        expected = block.shape[1:] if -1 in spec.shape else spec.shape
        if block.shape[1:] != expected or block.ndim != 1 + len(spec.shape):
            raise FormatError(
                f"column {name}: expected rows of shape {spec.shape}, found {block.shape[1:]}"
            )
        if name == "heatmaps":
            self._append_array(name, block, {}, chunk_rows=1, compression="gzip", shuffle=True)
        else:
            self._append_array(name, block, {})

    def _append_array(
        self,
        name: str,
        block: npt.NDArray[Any],
        attributes: dict[str, Any],
        chunk_rows: int | None = None,
        **filters: Any,
    ) -> None:
        if name not in self._tables:
            self._tables[name] = _Table(self._group, name, block, chunk_rows, attributes, filters)
        self._tables[name].append(block)

    def _append_bytes(self, name: str, rows: Sequence[bytes], attributes: dict[str, Any]) -> None:
        if name not in self._streams:
            self._streams[name] = _ByteStream(self._group, name, attributes)
        self._streams[name].append(rows)

    def close(self) -> None:
        """Write what had to wait for the end: ids, offsets, attributes, the truth hash."""
        for stream in self._streams.values():
            stream.close()
        for table in self._tables.values():
            table.flush()
        for name, blocks in self._strings.items():
            joined = np.concatenate(blocks)
            width = max(1, joined.dtype.itemsize)
            text = joined.astype(h5py.string_dtype("utf-8", length=width))
            self._group.create_dataset(name, data=text)
        box_source = self.attributes.get("bbox", {}).get("source")
        if box_source is not None and box_source not in BOX_SOURCES:
            raise FormatError(
                f"split {self._group.name}: the attribute source of bbox must be one of "
                f"{', '.join(BOX_SOURCES)}, found {box_source!r}"
            )
        for name, attributes in self.attributes.items():
            if name in self._group:
                self._group[name].attrs.update(attributes)
        self._group.attrs.update(self._units)
        self._group.attrs["truth_sha256"] = self._truth.hexdigest()
        ids = self._strings.get("sample_id", [])
        if ids and len(np.unique(np.concatenate(ids))) != self._rows:
            raise FormatError(f"split {self._group.name}: sample ids are not unique")


class HandFileWriter:
    """Context manager that writes one HDF5 file of format 1.0.

    Parameters
    ----------
    path
        Target; appears only when the block ends without an error.
    header
        Root attributes `dataset`, `title`, `license`, `citation`, `homepage`, `label_source`,
        `publish_images` and `sources` (list of dicts file, size, sha256).

    Examples
    --------
    >>> with HandFileWriter(path, header) as writer:  # doctest: +SKIP
    ...     split = writer.split("test", split_unit="instant_id", cluster_unit="instant_id")
    ...     split.append(columns, images)
    """

    def __init__(self, path: Path, header: Mapping[str, Any]) -> None:
        self.path = Path(path)
        self._header = dict(header)
        self._splits: dict[str, SplitWriter] = {}
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        made = provenance()
        attributes = {
            "handbench_format": FORMAT,
            "handbench_version": made["handbench"],
            "command": made["command"],
            "created": made["created"],
            **self._header,
            "sources": to_json(self._header.get("sources", []), indent=False).decode(),
            "joint_names": list(JOINT_NAMES),
            "bones": np.asarray(BONES, dtype=np.int64),
        }
        missing = [name for name in ROOT_ATTRIBUTES if name not in attributes]
        if missing:
            raise FormatError(f"{self.path}: the header lacks {', '.join(missing)}")
        with one_sentence(self.path), contextlib.ExitStack() as stack:
            temporary = stack.enter_context(atomic_path(self.path))
            self._file = stack.enter_context(_created(temporary))
            for name, value in attributes.items():
                self._file.attrs[name] = value
            self._stack = stack.pop_all()
        return self

    def split(self, name: str, split_unit: str, cluster_unit: str) -> SplitWriter:
        """Start the split `name`; several splits may be open at once."""
        self._splits[name] = SplitWriter(self._file.create_group(name), split_unit, cluster_unit)
        return self._splits[name]

    def group(self, name: str) -> h5py.Group:
        """Start the split `name` as a bare group whose datasets the caller makes."""
        return self._file.create_group(name)

    def update(self, header: Mapping[str, Any]) -> None:
        """Set root attributes that are known only when all rows are written."""
        for name, value in header.items():
            self._file.attrs[name] = value

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # Closing is part of writing: an error in it must discard the file as any other would.
        with one_sentence(self.path), refused_writes() as refused, self._stack:
            if error is not None:
                raise error
            for split in self._splits.values():
                split.close()
            self._file.flush()
            if refused:
                raise refused[0]
            self._file.attrs["complete"] = True
            self._file.flush()  # a disk that is full now is found here, not on closing


@contextlib.contextmanager
def _created(path: Path) -> Iterator[h5py.File]:
    # The latest libver keeps chunk indices small and fast for long one-dimensional datasets;
    # v110 is what every HDF5 since 2016 reads.
    file = h5py.File(path, "w", libver=("v110", "v110"))
    try:
        yield file
    except BaseException as error:
        if failed_write(error):
            # Closing writes what is still buffered. The file is thrown away: let it have its room.
            with contextlib.suppress(OSError):
                os.truncate(path, 0)
        with contextlib.suppress(OSError, RuntimeError):
            file.close()
        raise
    file.close()
