"""Write predictions; the suffix chooses JSON, gzipped JSON, npz, HDF5 or Parquet."""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from handbench.errors import PredictionsError
from handbench.files import atomic_path, to_json, write_bytes
from handbench.predictions import parquet, unpack
from handbench.predictions.record import (
    MAY_BE_MISSING,
    Columns,
    Predictions,
    check_columns,
    missing_rows,
)
from handbench.predictions.schema import PREDICTIONS_SCHEMA, first_violation

SUFFIXES = (".json", ".json.gz", ".npz", ".h5", ".hdf5", ".parquet")


def suffix_of(path: Path) -> str:
    """Return which of :data:`SUFFIXES` ends the name of `path`.

    Raises
    ------
    PredictionsError
        If none does.
    MissingExtraError
        For Parquet without ``pyarrow``: said before a network runs, not after.
    """
    suffix = unpack.suffix_of(path, SUFFIXES)
    if suffix == ".parquet":
        parquet.modules()
    return suffix


def write_predictions(predictions: Predictions, path: Path) -> None:
    """Write `predictions` to `path`, whole or not at all.

    Parameters
    ----------
    predictions
        Checked before anything is written.
    path
        The suffix chooses the layout: ``.json`` with one line a hand, ``.json.gz``, ``.npz``,
        HDF5 (``.h5``, ``.hdf5``) or ``.parquet``. All hold the same content.

    Raises
    ------
    PredictionsError
        If the suffix is unknown, or the predictions break format 1.
    MissingExtraError
        For Parquet without ``pyarrow``.
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
    elif suffix == ".parquet":
        write_bytes(path, parquet.to_parquet(to_json(predictions.header(), indent=False), columns))
    else:
        _write_hdf5(predictions.header(), columns, path)


def _json_lines(header: dict[str, Any], columns: Columns) -> Iterator[bytes]:
    yield b"{\n"
    for key, value in header.items():
        yield b"  " + to_json(key) + b": " + to_json(value, indent=False) + b",\n"
    yield b'  "predictions": ['
    absent = {
        name: missing_rows(columns[name])
        for name in (*MAY_BE_MISSING, "scores", "score")
        if name in columns
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


def _write_hdf5(header: dict[str, Any], columns: Columns, path: Path) -> None:
    import h5py

    with atomic_path(path) as temporary, h5py.File(temporary, "w") as file:
        file["meta"] = to_json(header, indent=False).decode()
        for name, values in columns.items():
            if name == "id":
                file.create_dataset(name, data=values.tolist(), dtype=h5py.string_dtype())
            else:
                # HDF5 cannot compress a dataset without rows.
                file.create_dataset(name, data=values, compression="gzip" if len(values) else None)
