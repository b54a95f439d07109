"""From a file to its bytes and arrays, without believing what an archive claims about its size."""

from __future__ import annotations

import gzip
import io
import math
import zipfile
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt

from handbench.errors import PredictionsError
from handbench.files import describe_names
from handbench.predictions.record import COLUMN_SHAPES

Columns = dict[str, npt.NDArray[Any]]

MOST_BYTES = 4 * 2**30
"""No larger file, or content of an archive, is read: 200,000 meshes of 778 vertices as text."""


def read_file(path: Path) -> bytes:
    """The bytes of a predictions file.

    Raises
    ------
    PredictionsError
        If there is no such file, it is a folder, cannot be read, or is larger than
        :data:`MOST_BYTES`.
    """
    if path.is_dir():
        raise PredictionsError(
            f"expected a predictions file at {path}, found a folder: name the file in it"
        )
    try:
        size = path.stat().st_size
        # A device or a pipe may never end.
        if not path.is_file():
            raise PredictionsError(
                f"expected a predictions file at {path}, found something that is no regular file: "
                "save the predictions to a file first"
            )
        check_size(size, str(path))
        return path.read_bytes()
    except FileNotFoundError as error:
        raise PredictionsError(f"expected predictions at {path}, found no such file") from error
    except OSError as error:
        raise PredictionsError(f"cannot read {path}: {error.strerror or error}") from error


def check_size(size: int, where: str) -> None:
    """Raise :class:`PredictionsError` if `size` bytes are more than is ever read."""
    if size > MOST_BYTES:
        raise PredictionsError(
            f"{where}: expected at most {MOST_BYTES / 2**30:.3g} GiB of predictions, found "
            f"{size / 2**30:.3g} GiB or more: write .npz with float32, or one file a split"
        )


def unpack_gzip(raw: bytes, where: str) -> bytes:
    """The JSON in a gzipped file."""
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(raw)) as stream:
            text = stream.read(MOST_BYTES + 1)
    except Exception as error:
        # gzip raises OSError, EOFError and zlib's own class on damaged files.
        raise PredictionsError(
            f"{where}: expected gzipped JSON, found a file that cannot be unpacked ({error}): "
            "write or copy it again"
        ) from error
    check_size(len(text), where)
    return text


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
                    f"{where}: expected one pred.json in the zip, found {names}: unpack it and "
                    "name the file with the predictions"
                )
            with archive.open(found[chosen[0]]) as stream:
                text = stream.read(MOST_BYTES + 1)
    except PredictionsError:
        raise
    except Exception as error:
        # zipfile, zlib and a missing password raise half a dozen unrelated classes.
        raise PredictionsError(
            f"{where}: expected a zip with one pred.json, found a file that cannot be unpacked "
            f"({error}): write or copy it again"
        ) from error
    check_size(len(text), where)
    return text


def read_npz(raw: bytes, where: str) -> Columns:
    """The arrays of an ``.npz`` archive; pickled objects are never read."""
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            check_size(sum(info.file_size for info in archive.infolist()), where)
        with np.load(io.BytesIO(raw), allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except PredictionsError:
        raise
    except Exception as error:
        # zipfile, zlib and numpy raise half a dozen unrelated classes on damaged archives.
        raise PredictionsError(
            f"{where}: expected an .npz archive of plain arrays, found something else ({error}): "
            "write it with numpy.savez and without object arrays"
        ) from error


def read_hdf5(raw: bytes, where: str) -> Columns:
    """The known datasets of an HDF5 file."""
    import h5py

    try:
        with h5py.File(io.BytesIO(raw), "r") as file:
            arrays: Columns = {}
            for name in ("meta", "id", *COLUMN_SHAPES):
                if name in file:
                    dataset = file[name]
                    check_size(math.prod(dataset.shape) * dataset.dtype.itemsize, where)
                    text = h5py.check_string_dtype(dataset.dtype) is not None
                    values = dataset.asstr()[()] if text else dataset[()]
                    arrays[name] = np.asarray(values, dtype=np.str_ if text else None)
            return arrays
    except PredictionsError:
        raise
    except Exception as error:
        # h5py raises OSError, RuntimeError, AttributeError and others on damaged files.
        raise PredictionsError(
            f"{where}: expected an HDF5 file of predictions, found something else ({error}): "
            "write it again"
        ) from error
