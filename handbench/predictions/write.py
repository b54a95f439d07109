"""Write predictions; the suffix chooses JSON, gzipped JSON, npz or HDF5."""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from handbench.errors import PredictionsError
from handbench.files import atomic_path, to_json, write_bytes
from handbench.predictions.record import MAY_BE_MISSING, Predictions, check_columns
from handbench.predictions.schema import PREDICTIONS_SCHEMA, first_violation

SUFFIXES = (".json", ".json.gz", ".npz", ".h5", ".hdf5")


def suffix_of(path: Path) -> str:
    """Return which of :data:`SUFFIXES` ends the name of `path`.

    Raises
    ------
    PredictionsError
        If none does.
    """
    name = Path(path).name.lower()
    for suffix in sorted(SUFFIXES, key=len, reverse=True):
        if name.endswith(suffix):
            return suffix
    raise PredictionsError(
        f"expected a predictions file ending in {', '.join(SUFFIXES)}, found {Path(path).name!r}: "
        "choose one of these suffixes"
    )


def write_predictions(predictions: Predictions, path: Path) -> None:
    """Write `predictions` to `path`, whole or not at all.

    Parameters
    ----------
    predictions
        Checked before anything is written.
    path
        The suffix chooses the layout: ``.json`` with one line a hand, ``.json.gz``, ``.npz``,
        or HDF5 (``.h5``, ``.hdf5``). All hold the same content.

    Raises
    ------
    PredictionsError
        If the suffix is unknown, or the predictions break format 1.
    """
    suffix = suffix_of(path)
    problem = first_violation(predictions.header(), PREDICTIONS_SCHEMA)
    if problem is not None:
        raise PredictionsError(f"predictions for {path}: {problem}")
    columns = predictions.columns()
    check_columns(columns, f"predictions for {path}")
    if suffix in (".json", ".json.gz"):
        data = b"".join(_json_lines(predictions.header(), columns))
        # No time stamp in the gzip header: equal predictions give equal files.
        write_bytes(path, gzip.compress(data, mtime=0) if suffix == ".json.gz" else data)
    elif suffix == ".npz":
        buffer = io.BytesIO()
        meta = np.array(to_json(predictions.header(), indent=False).decode())
        np.savez_compressed(buffer, allow_pickle=False, meta=meta, **columns)
        write_bytes(path, buffer.getvalue())
    else:
        _write_hdf5(predictions.header(), columns, path)


def _json_lines(header: dict[str, Any], columns: dict[str, npt.NDArray[Any]]) -> Iterator[bytes]:
    yield b"{\n"
    for key, value in header.items():
        yield b"  " + to_json(key) + b": " + to_json(value, indent=False) + b",\n"
    yield b'  "predictions": ['
    absent = {
        name: np.isnan(columns[name]).reshape(len(columns["id"]), -1).all(axis=1)
        for name in (*MAY_BE_MISSING, "scores", "score")
        if name in columns and len(columns["id"])
    }
    for row, name in enumerate(columns["id"].tolist()):
        entry: dict[str, Any] = {"id": name}
        for column, values in columns.items():
            if column == "id" or (column == "is_right" and values[row] < 0):
                continue
            if column == "is_right":
                entry[column] = bool(values[row])
            elif not absent[column][row]:
                entry[column] = values[row].tolist()
            elif column == "keypoints":
                # Said outright; other columns without a value are simply left away.
                entry[column] = None
        yield (b",\n    " if row else b"\n    ") + to_json(entry, indent=False)
    yield b"\n  ]\n}\n"


def _write_hdf5(header: dict[str, Any], columns: dict[str, npt.NDArray[Any]], path: Path) -> None:
    import h5py

    with atomic_path(path) as temporary, h5py.File(temporary, "w") as file:
        file["meta"] = to_json(header, indent=False).decode()
        for name, values in columns.items():
            if name == "id":
                file.create_dataset(name, data=values.tolist(), dtype=h5py.string_dtype())
            else:
                # HDF5 cannot compress a dataset without rows.
                file.create_dataset(name, data=values, compression="gzip" if len(values) else None)
