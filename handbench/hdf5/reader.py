"""Read a handbench HDF5 file: lazy, picklable, safe in DataLoader workers and after fork."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self, overload

import h5py
import numpy as np
import numpy.typing as npt
import orjson

from handbench.camera import transform_points
from handbench.errors import FormatError
from handbench.hdf5.format import COLUMNS, FORMAT_MAJOR
from handbench.hdf5.parts import Part, check_parts
from handbench.images import decode

_SPLIT_ORDER = {"train": 0, "val": 1, "test": 2}


@dataclass(frozen=True)
class Sample:
    """One hand. Everything describes the stored image; `crop` leads back to the source.

    Attributes
    ----------
    sample_id
        Stable, unique name.
    keypoints_2d
        (21, 2) float64 px, NaN where unlabelled.
    valid_2d, valid_3d
        (21,) bool, labelled.
    visibility
        (21,) uint8: 0 unlabelled, 1 occluded, 2 visible, 255 unknown.
    crop
        (3, 3) homography source px → stored px.
    bbox
        (4,) x, y, w, h of the unpadded box, stored px.
    is_right
        1, 0, or -1 for unknown: side of the real hand.
    mirrored
        The stored image is flipped.
    keypoints_3d
        (21, 3) float32 m, camera axes, or None.
    camera
        (3, 3) intrinsics of the stored image, or None.
    extra
        Every other column the file holds, by name.
    """

    sample_id: str
    keypoints_2d: npt.NDArray[np.float64]
    valid_2d: npt.NDArray[np.bool_]
    valid_3d: npt.NDArray[np.bool_]
    visibility: npt.NDArray[np.uint8]
    crop: npt.NDArray[np.float64]
    bbox: npt.NDArray[np.float64]
    is_right: int
    mirrored: bool
    keypoints_3d: npt.NDArray[np.float32] | None
    camera: npt.NDArray[np.float64] | None
    extra: dict[str, Any]
    _load_image: Callable[[], npt.NDArray[np.uint8]] = field(repr=False)

    @property
    def image(self) -> npt.NDArray[np.uint8]:
        """(H, W, 3) uint8 RGB, decoded when asked for."""
        return self._load_image()


class SplitReader:
    """One split of a file: a sequence of :class:`Sample`, and whole columns as arrays."""

    def __init__(self, file: HandFile, name: str) -> None:
        self._file = file
        self.name = name
        group = self._group
        storage = str(group["image"].attrs.get("storage", "encoded")) if "image" in group else ""
        core = ("sample_id", "bbox", "image", *(("image_offset",) if storage == "encoded" else ()))
        missing = [needed for needed in core if needed not in group]
        if missing:
            raise FormatError(
                f"{file.path}: split {name!r} has no dataset {', '.join(missing)}: the file was "
                "changed after it was written; convert it again"
            )
        unnamed = [
            a for a in ("truth_sha256", "split_unit", "cluster_unit") if a not in group.attrs
        ]
        if unnamed:
            raise FormatError(
                f"{file.path}: split {name!r} has no attribute {', '.join(unnamed)}: the file was "
                "changed after it was written; convert it again"
            )
        self._length = int(group["sample_id"].shape[0])
        self.truth_sha256 = str(group.attrs["truth_sha256"])
        self.split_unit = str(group.attrs["split_unit"])
        self.cluster_unit = str(group.attrs["cluster_unit"])
        self.box_source = str(group["bbox"].attrs.get("source", "annotation"))
        self.box_padding = float(group["bbox"].attrs.get("padding", 1.0))
        self.storage = storage
        self._offsets: dict[str, npt.NDArray[np.int64]] = {}

    @property
    def _group(self) -> h5py.Group:
        return self._file.handle[self.name]

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[Sample]:
        return (self[i] for i in range(len(self)))

    @property
    def names(self) -> tuple[str, ...]:
        """The known columns this split holds, in the order of the format."""
        group = self._group
        return tuple(name for name in COLUMNS if name in group)

    def has(self, name: str) -> bool:
        """Whether the split holds the dataset `name`."""
        return name in self._group

    def column(self, name: str) -> npt.NDArray[Any]:
        """A whole column as an array; ids as an array of `str`.

        Raises
        ------
        FormatError
            If the split has no such column.
        """
        values: npt.NDArray[Any] = self._read(name, slice(None))
        return values

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of the dataset `name`, without reading it."""
        return tuple(self._group[name].shape)

    def dtype(self, name: str) -> str:
        """Name of the dtype of the dataset `name`; ``"str"`` for text."""
        dtype = self._group[name].dtype
        return "str" if h5py.check_string_dtype(dtype) is not None else str(dtype)

    def attributes(self, name: str) -> dict[str, Any]:
        """The HDF5 attributes of the dataset `name`."""
        return dict(self._group[name].attrs)

    def array(self, name: str) -> h5py.Dataset:
        """The HDF5 dataset `name` itself, to read parts of it; of this process alone."""
        return self._file.array(f"{self.name}/{name}")

    def _read(self, name: str, rows: slice | int) -> Any:
        group = self._group
        if name not in group:
            raise FormatError(
                f"{self._file.path}: split {self.name!r} has no column {name!r}; it has "
                f"{', '.join(self.names)}"
            )
        dataset = group[name]
        if h5py.check_string_dtype(dataset.dtype) is not None:
            text = dataset[rows]
            if isinstance(rows, slice):
                return np.char.decode(np.asarray(text, dtype=bytes), "utf-8")
            return bytes(text).decode()
        return dataset[rows]

    def _row(self, index: int) -> int:
        row = index + len(self) if index < 0 else index
        if not 0 <= row < len(self):
            raise IndexError(f"split {self.name!r} has {len(self)} samples, no sample {index}")
        return row

    @overload
    def __getitem__(self, index: int) -> Sample: ...

    @overload
    def __getitem__(self, index: slice) -> list[Sample]: ...

    def __getitem__(self, index: int | slice) -> Sample | list[Sample]:
        if isinstance(index, slice):
            return [self[row] for row in range(*index.indices(len(self)))]
        row = self._row(index)
        values = {name: self._read(name, row) for name in self.names}
        return Sample(
            sample_id=values.pop("sample_id"),
            keypoints_2d=values.pop("keypoints_2d"),
            valid_2d=values.pop("valid_2d"),
            valid_3d=values.pop("valid_3d"),
            visibility=values.pop("visibility"),
            crop=values.pop("crop"),
            bbox=values.pop("bbox"),
            is_right=int(values.pop("is_right")),
            mirrored=bool(values.pop("mirrored")),
            keypoints_3d=values.pop("keypoints_3d", None),
            camera=values.pop("camera", None),
            extra=values,
            _load_image=lambda: self.image(row),
        )

    def _bytes(self, name: str, index: int) -> bytes:
        row = self._row(index)
        if name not in self._offsets:
            self._offsets[name] = self._group[f"{name}_offset"][:]
        start, stop = self._offsets[name][row : row + 2]
        return bytes(self.array(name)[start:stop])

    def image_bytes(self, index: int) -> bytes:
        """The JPEG or PNG of a row as stored.

        Raises
        ------
        FormatError
            If images are stored raw.
        """
        if self.storage == "raw":
            raise FormatError(f"{self._file.path}: images are stored raw, not encoded")
        return self._bytes("image", index)

    def image(self, index: int) -> npt.NDArray[np.uint8]:
        """(H, W, 3) uint8 RGB of a row.

        Raises
        ------
        SourceError
            If the stored bytes are damaged.
        """
        if self.storage == "raw":
            raw: npt.NDArray[np.uint8] = self.array("image")[self._row(index)]
            return raw
        return decode(self._bytes("image", index), f"{self._file.path}: {self.name}, row {index}")

    def mask(self, index: int) -> npt.NDArray[np.uint8]:
        """(H, W) uint8 mask of a row, 0 or 255.

        Raises
        ------
        FormatError
            If the split has no masks.
        """
        if not self.has("mask"):
            raise FormatError(f"{self._file.path}: split {self.name!r} has no masks")
        from PIL import Image

        with Image.open(io.BytesIO(self._bytes("mask", index))) as picture:
            return np.array(picture.convert("L"))

    def source_keypoints_2d(self) -> npt.NDArray[np.float64]:
        """(N, 21, 2) keypoints in pixels of the source images, NaN where unlabelled."""
        return transform_points(np.linalg.inv(self.column("crop")), self.column("keypoints_2d"))

    def source_bbox(self) -> npt.NDArray[np.float64]:
        """(N, 4) x, y, w, h of the unpadded boxes in source pixels.

        A perspective crop does not lead a box back to a box: such files hold the source's too.
        """
        if self.has("source_bbox"):
            stored: npt.NDArray[np.float64] = self.column("source_bbox")
            return stored
        box = self.column("bbox")
        corners = np.stack([box[:, :2], box[:, :2] + box[:, 2:]], axis=1)
        moved = transform_points(np.linalg.inv(self.column("crop")), corners)
        low, high = moved.min(axis=1), moved.max(axis=1)
        return np.concatenate([low, high - low], axis=1)

    def cluster_ids(self) -> npt.NDArray[np.str_]:
        """(N,) the id of each row's `cluster_unit`: what a bootstrap resamples.

        Raises
        ------
        FormatError
            If the file names a unit it has no column for.
        """
        ids: npt.NDArray[np.str_] = self.column(self.cluster_unit)
        return ids

    def crop_sha256(self) -> str:
        """Fingerprint of ids and crops: predictions in the stored frame must carry the same."""
        from handbench.files import sha256_bytes

        ids = "\n".join(self.column("sample_id")).encode()
        return sha256_bytes(ids, self.column("crop").astype("<f4").tobytes())


class HandFile:
    """A handbench HDF5 file, opened read-only.

    Use it as a context manager, or let it go out of scope. It can be pickled and used after a
    fork: every process opens the file for itself the first time it reads.

    Parameters
    ----------
    path
        An HDF5 file of format 1.x.

    Raises
    ------
    FormatError
        If the file is missing, no HDF5, of another format or a newer major version, incomplete, or
        merged from files that are no longer there.

    Examples
    --------
    >>> with HandFile("freihand.h5") as file:  # doctest: +SKIP
    ...     sample = file["test"][0]
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._handle: h5py.File | None = None
        self._datasets: dict[str, h5py.Dataset] = {}
        self._pid = -1
        self._split_readers: dict[str, SplitReader] = {}
        self._parts: tuple[Part, ...] = ()
        try:
            self.attributes = self._check()
            # Other programs may have added groups of their own: a split says what its truth is.
            groups = [
                name
                for name, item in self.handle.items()
                if isinstance(item, h5py.Group) and "truth_sha256" in item.attrs
            ]
        except BaseException:
            self.close()
            raise
        # In the order people speak of them, not HDF5's alphabetic one.
        self.splits: tuple[str, ...] = tuple(
            sorted(groups, key=lambda name: (_SPLIT_ORDER.get(name, len(_SPLIT_ORDER)), name))
        )
        self.dataset = str(self.attributes.get("dataset", "unknown"))

    @property
    def handle(self) -> h5py.File:
        """The open h5py file of this process."""
        if self._handle is None or self._pid != os.getpid():
            # Between two openings the parts of a merged file may have gone.
            check_parts(self.path, self._parts)
            # The parent's handle is left alone: closing it here would touch the parent's state.
            try:
                self._handle = h5py.File(self.path, "r")
            except FileNotFoundError as error:
                raise FormatError(
                    f"expected a handbench HDF5 file at {self.path}, found no such file; "
                    "`handbench convert` makes one"
                ) from error
            except OSError as error:
                if self.path.is_dir():
                    raise FormatError(
                        f"expected a handbench HDF5 file at {self.path}, found a folder: name the "
                        "file in it, or make one with `handbench convert`"
                    ) from error
                if not os.access(self.path, os.R_OK):
                    raise FormatError(
                        f"expected a handbench HDF5 file at {self.path}, found one that you may "
                        "not read: change its permissions"
                    ) from error
                raise FormatError(
                    f"expected a handbench HDF5 file at {self.path}, found a file that HDF5 "
                    f"cannot open ({error}); convert it again"
                ) from error
            self._datasets = {}
            self._pid = os.getpid()
        return self._handle

    def array(self, name: str) -> h5py.Dataset:
        """The HDF5 dataset `name` of this process, kept open: opening it again costs several reads.

        A virtual one would open the files it points to each time, too.
        """
        handle = self.handle
        if name not in self._datasets:
            self._datasets[name] = handle[name]
        return self._datasets[name]

    def _check(self) -> dict[str, Any]:
        attributes = dict(self.handle.attrs)
        version = attributes.get("handbench_format")
        if version is None:
            raise FormatError(
                f"{self.path} is HDF5 but not a handbench file (no attribute handbench_format); "
                "make one with `handbench convert`"
            )
        if str(version).split(".")[0] != str(FORMAT_MAJOR):
            raise FormatError(
                f"{self.path} has format {version}; this handbench reads {FORMAT_MAJOR}.x: "
                "upgrade handbench"
            )
        if not attributes.get("complete", False):
            raise FormatError(
                f"{self.path} is incomplete: its conversion did not finish; convert it again"
            )
        if "sources" in attributes:
            attributes["sources"] = orjson.loads(attributes["sources"])
        if "merged_from" in attributes:
            attributes["merged_from"] = orjson.loads(attributes["merged_from"])
            self._parts = tuple(Part(**part) for part in attributes["merged_from"])
            check_parts(self.path, self._parts)
        attributes["dropped"] = orjson.loads(attributes.get("dropped", "{}"))
        return attributes

    def __getitem__(self, split: str) -> SplitReader:
        if split not in self.splits:
            raise FormatError(
                f"{self.path} has no split {split!r}; it has {', '.join(self.splits) or 'none'}"
            )
        if split not in self._split_readers:
            self._split_readers[split] = SplitReader(self, split)
        return self._split_readers[split]

    def __contains__(self, split: object) -> bool:
        return split in self.splits

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_handle": None, "_datasets": {}, "_pid": -1}

    def close(self) -> None:
        """Close the file in this process; reading again opens it again."""
        if self._handle is not None and self._pid == os.getpid():
            self._handle.close()
        self._handle = None
        self._datasets = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"HandFile({str(self.path)!r}, splits={list(self.splits)})"
