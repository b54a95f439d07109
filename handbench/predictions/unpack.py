"""From a file to its bytes and arrays, without believing what an archive claims about its size."""

from __future__ import annotations

import gzip
import io
import math
import zipfile
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from handbench.errors import PredictionsError
from handbench.files import describe_names
from handbench.predictions.origins import ORIGINS
from handbench.predictions.record import COLUMN_SHAPES, Columns, reason

MOST_BYTES = 4 * 2**30
"""No larger file, or content of an archive, is read: 200,000 meshes of 778 vertices as text."""

ARRAYS = ("meta", "id", *COLUMN_SHAPES, *ORIGINS)
"""What is read of a file of arrays; others may stand beside them."""

_BLOCK = 2**20
_JSON = "JSON"
_FIRST_BYTES = {
    b"\x1f\x8b": "gzip",
    b"PK\x03\x04": "a zip archive",
    b"PK\x05\x06": "a zip archive",
    b"\x89HDF\r\n\x1a\n": "HDF5",
    b"PAR1": "Parquet",
    b"\x93NUMPY": "a lone NumPy array",
    **{bytes([0x80, protocol]): "a pickle" for protocol in range(2, 6)},
    b"{": _JSON,
    b"[": _JSON,
}
_BELONGS = {
    ".json": _JSON,
    ".json.gz": "gzip",
    ".npz": "a zip archive",
    ".zip": "a zip archive",
    ".h5": "HDF5",
    ".hdf5": "HDF5",
    ".parquet": "Parquet",
    ".pkl": "a pickle",
    ".pickle": "a pickle",
    ".txt": "text",
    ".csv": "text",
}
SUFFIXES = tuple(_BELONGS)
"""Endings of files that can be read."""


def suffix_of(path: Path, suffixes: tuple[str, ...] = SUFFIXES) -> str:
    """Which of `suffixes` ends the name of `path`; :class:`PredictionsError` if none does."""
    name = Path(path).name.lower()
    for suffix in sorted(suffixes, key=len, reverse=True):
        if name.endswith(suffix):
            return suffix
    raise PredictionsError(
        f"expected a predictions file ending in {', '.join(suffixes)}, found {Path(path).name!r}: "
        "choose one of these suffixes"
    )


def read_file(path: Path) -> bytes:
    """The bytes of a predictions file.

    Raises
    ------
    PredictionsError
        If there is no such file, it is a folder, cannot be read, is empty, or is larger than
        :data:`MOST_BYTES`; and if its first bytes belong to another suffix.
    """
    where = str(path)
    if path.is_dir():
        raise PredictionsError(
            f"expected a predictions file at {where}, found a folder: name the file in it"
        )
    suffix = suffix_of(path)
    try:
        size = path.stat().st_size
        # A device or a pipe may never end.
        if not path.is_file():
            raise PredictionsError(
                f"expected a predictions file at {where}, found something that is no regular "
                "file: save the predictions to a file first"
            )
        check_size(size, where)
        raw = path.read_bytes()
    except FileNotFoundError as error:
        raise PredictionsError(f"expected predictions at {where}, found no such file") from error
    except OSError as error:
        raise PredictionsError(f"cannot read {where}: {error.strerror or error}") from error
    if not raw[:64].strip() and not raw.strip():
        raise PredictionsError(
            f"expected predictions at {where}, found an empty file: write or copy it again"
        )
    _check_kind(raw, suffix, where)
    return raw


def check_size(size: int, where: str) -> None:
    """Raise :class:`PredictionsError` if `size` bytes are more than is ever read."""
    if size > MOST_BYTES:
        raise PredictionsError(
            f"{where}: expected at most {MOST_BYTES / 2**30:.3g} GiB of predictions, found "
            f"{size / 2**30:.3g} GiB or more: write .npz with float32, or one file a split"
        )


def _check_kind(raw: bytes, suffix: str, where: str) -> None:
    """Refuse a file that is known to be of another kind than its name says."""
    start = raw[:64].lstrip() or raw[:64]
    found = next((kind for first, kind in _FIRST_BYTES.items() if start.startswith(first)), None)
    if found in (None, _BELONGS[suffix]):
        return
    fitting = [other for other, kind in _BELONGS.items() if kind == found]
    repair = f"rename it to end in {' or '.join(fitting)}" if fitting else "write it again"
    raise PredictionsError(
        f"{where}: expected {_BELONGS[suffix]} under the suffix {suffix}, found {found}: {repair}"
    )


def unpack_gzip(raw: bytes, where: str) -> bytes:
    """The JSON in a gzipped file."""
    try:
        # A few megabytes can unpack to gigabytes, so they are counted before any is kept.
        with gzip.GzipFile(fileobj=io.BytesIO(raw)) as stream:
            size = 0
            while size <= MOST_BYTES and (block := stream.read(_BLOCK)):
                size += len(block)
        check_size(size, where)
        return gzip.decompress(raw)
    except PredictionsError:
        raise
    except Exception as error:
        # gzip raises OSError, EOFError and zlib's own class on damaged files.
        raise PredictionsError(
            f"{where}: expected gzipped JSON, found a file that cannot be unpacked "
            f"({reason(error)}): write or copy it again"
        ) from error


def unpack_zip(raw: bytes, where: str) -> bytes:
    """The one JSON file of a submission's zip: ``pred.json``, in whatever folder.

    Raises
    ------
    PredictionsError
        If there is none, several, or the archive cannot be unpacked.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            found = {
                info.filename: info
                for info in archive.infolist()
                # macOS adds a shadow of every file.
                if info.filename.lower().endswith(".json") and "__MACOSX" not in info.filename
            }
            named = [name for name in found if PurePosixPath(name).name == "pred.json"]
            chosen = named if len(named) == 1 else list(found)
            if len(chosen) != 1:
                names = describe_names(found or archive.namelist(), 3) or "nothing"
                raise PredictionsError(
                    f"{where}: expected one pred.json in the zip, found {names:.200}: unpack it "
                    "and name the file with the predictions"
                )
            # zipfile itself stops at the size that a member claims.
            check_size(found[chosen[0]].file_size, where)
            return archive.read(found[chosen[0]])
    except PredictionsError:
        raise
    except Exception as error:
        # zipfile, zlib and a missing password raise half a dozen unrelated classes.
        raise PredictionsError(
            f"{where}: expected a zip with one pred.json, found a file that cannot be unpacked "
            f"({reason(error)}): write or copy it again"
        ) from error


def read_npz(raw: bytes, where: str) -> Columns:
    """The known arrays of an ``.npz`` archive; pickled objects are never read."""
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            check_size(sum(info.file_size for info in archive.infolist()), where)
        with np.load(io.BytesIO(raw), allow_pickle=False) as arrays:
            return {name: arrays[name] for name in ARRAYS if name in arrays.files}
    except PredictionsError:
        raise
    except Exception as error:
        # zipfile, zlib and numpy raise half a dozen unrelated classes on damaged archives.
        raise PredictionsError(
            f"{where}: expected an .npz archive of plain arrays, found something else "
            f"({reason(error)}): write it with numpy.savez and without object arrays"
        ) from error


def read_hdf5(raw: bytes, where: str) -> Columns:
    """The known datasets of an HDF5 file."""
    import h5py

    try:
        with h5py.File(io.BytesIO(raw), "r") as file:
            return {name: _dataset(file, name, where) for name in ARRAYS if name in file}
    except PredictionsError:
        raise
    except Exception as error:
        # h5py raises OSError, RuntimeError, AttributeError and others on damaged files.
        raise PredictionsError(
            f"{where}: expected an HDF5 file of predictions, found something else "
            f"({reason(error)}): write it again"
        ) from error


def _dataset(file: Any, name: str, where: str) -> Any:
    import h5py

    # HDF5 can name other files, and would read whatever lies there.
    dataset = file[name] if isinstance(file.get(name, getlink=True), h5py.HardLink) else None
    if not isinstance(dataset, h5py.Dataset) or dataset.external or dataset.is_virtual:
        raise PredictionsError(
            f"{where}: expected {name!r} to be a dataset with its own numbers, found a group or "
            "a link to another place: write the numbers into this file"
        )
    check_size(math.prod(dataset.shape) * dataset.dtype.itemsize, where)
    text = h5py.check_string_dtype(dataset.dtype) is not None
    values = dataset.asstr()[()] if text else dataset[()]
    return np.asarray(values, dtype=np.str_ if text else None)
