"""Deposits: predictions small enough to keep beside results, so that others can score them again.

A deposit is an ``.npz`` of format 1 with half-precision offsets
(:mod:`handbench.predictions.origins`); every command reads it as predictions. Its header names the
file that it was made from, with the hash that results of that file carry.
"""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from handbench.errors import PredictionsError
from handbench.files import parse_json, to_json, write_bytes
from handbench.predictions.origins import ORIGINS, to_offsets
from handbench.predictions.record import Columns, Predictions, check_columns
from handbench.predictions.schema import PREDICTIONS_SCHEMA, first_violation
from handbench.predictions.unpack import suffix_of

MOVED_PX, MOVED_MM = 0.05, 0.05
"""No point of a deposit lies further than this from where it was predicted."""

_KEY = "deposit"
_LARGEST_HEADER = 2**20


@dataclass(frozen=True)
class Origin:
    """What a deposit was made from.

    Attributes
    ----------
    sha256
        Of the file of predictions: ``predictions_sha256`` in the provenance of its results.
    name
        Of that file.
    """

    sha256: str
    name: str


@dataclass(frozen=True)
class Deposited:
    """A deposit that was written.

    Attributes
    ----------
    path
        The file.
    size
        Its bytes.
    moved_px, moved_mm
        Largest distance of a point from where it was predicted, in px of the predictions' frame
        and in mm; None without such points.
    single
        Arrays that stayed in single precision because half would move a point too far.
    left_out
        Arrays of the predictions that the deposit lacks.
    """

    path: Path
    size: int
    moved_px: float | None
    moved_mm: float | None
    single: tuple[str, ...]
    left_out: tuple[str, ...]


def write_deposit(
    predictions: Predictions, path: Path, *, origin: Origin | None = None, vertices: bool = False
) -> Deposited:
    """Write predictions as a deposit, whole or not at all.

    Parameters
    ----------
    predictions
        As read from their file.
    path
        The ``.npz`` to write.
    origin
        The file that they were read from; None takes it from `predictions`.
    vertices
        Keep meshes, which are most of a file that has them.

    Raises
    ------
    PredictionsError
        If the name does not end in ``.npz``, the predictions break format 1, or were made in
        memory and `origin` does not say from which file.
    """
    path = Path(path)
    suffix_of(path, (".npz",))
    origin = origin or Origin(predictions.sha256, Path(predictions.origin).name)
    if not origin.sha256:
        raise PredictionsError(
            f"{path}: a deposit names the file that it was made from, and these predictions were "
            "made in memory: write and read them first"
        )
    header = {**predictions.header(), _KEY: {"sha256": origin.sha256, "name": origin.name}}
    problem = first_violation(header, PREDICTIONS_SCHEMA)
    if problem is not None:
        raise PredictionsError(f"deposit of {origin.name}: {problem}")
    columns = predictions.columns()
    check_columns(columns, f"deposit of {origin.name}")
    left_out = [] if vertices or "vertices" not in columns else ["vertices"]
    arrays, moved, single = _halved({n: a for n, a in columns.items() if n not in left_out})
    buffer = io.BytesIO()
    meta = np.array(to_json(header, indent=False).decode())
    np.savez_compressed(buffer, allow_pickle=False, meta=meta, **arrays)
    write_bytes(path, buffer.getvalue())
    in_mm = [moved[name] * 1e3 for name in ("keypoints_3d", "vertices") if name in moved]
    return Deposited(
        path=path,
        size=buffer.tell(),
        moved_px=moved.get("keypoints"),
        moved_mm=max(in_mm) if in_mm else None,
        single=tuple(single),
        left_out=tuple(left_out),
    )


def deposit_origin(path: Path) -> Origin | None:
    """What the deposit at `path` was made from; None if it is no deposit, or cannot be read."""
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.getinfo("meta.npy").file_size > _LARGEST_HEADER:
                return None
        with np.load(path, allow_pickle=False) as arrays:
            text = str(arrays["meta"])
        header: Any = parse_json(text.encode(), "a header", str(path), PredictionsError)
        said = header[_KEY]
        return Origin(str(said["sha256"]), str(said["name"]))
    except Exception:  # noqa: BLE001 - zipfile, zlib and numpy raise half a dozen unrelated classes
        return None


def _halved(columns: Columns) -> tuple[Columns, dict[str, float], list[str]]:
    """Arrays of a deposit, how far the points of each moved, and which stayed in single."""
    arrays: Columns = {}
    moved: dict[str, float] = {}
    single: list[str] = []
    for name, values in columns.items():
        if f"{name}_origin" in ORIGINS:
            tolerance = MOVED_PX if name == "keypoints" else MOVED_MM * 1e-3
            offsets, origin, moved[name] = to_offsets(values, tolerance)
            arrays |= {name: offsets, f"{name}_origin": origin}
            single += [name] if offsets.dtype != np.float16 else []
        elif name == "scores" and "score" in columns:
            arrays[name] = values.astype(np.float16)  # `score` orders hands; these are for show
        elif values.dtype == np.float64:
            arrays[name] = values.astype(np.float32)
        else:
            arrays[name] = values
    return arrays, moved, single
