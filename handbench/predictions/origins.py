"""Points as small offsets from a place of their own: half precision that is precise enough.

Half precision has 11 significant bits: 400 px come out as 400 ± 0.125. Offsets from the middle of a
hand are small, so their rounding is small, too. A file of arrays may hold, beside ``keypoints``,
``keypoints_3d`` or ``vertices``, an array of the same name with ``_origin`` (N, 2 or 3); its row is
added to every point of the hand.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from handbench.errors import PredictionsError
from handbench.predictions.record import COLUMN_SHAPES, MAY_BE_MISSING, Columns

ORIGINS = {f"{name}_origin": name for name in MAY_BE_MISSING}
"""Name of an array of origins → name of the array whose offsets it completes."""


def add_origins(arrays: Columns, columns: Columns, where: str) -> Columns:
    """Return `columns` with the origins in `arrays` added to their offsets.

    Parameters
    ----------
    arrays
        All arrays of a file.
    columns
        Those that become predictions.
    where
        Named in messages.

    Raises
    ------
    PredictionsError
        If an origin stands alone, or is not one point a hand.
    """
    whole = dict(columns)
    for name, points_name in ORIGINS.items():
        if name not in arrays:
            continue
        origin, points = arrays[name], columns.get(points_name)
        if points is None:
            raise PredictionsError(
                f"{where}: found {name!r} without {points_name!r}, whose offsets it completes: "
                f"add {points_name!r}, or leave {name!r} away"
            )
        expected = (len(points), COLUMN_SHAPES[points_name][-1])
        if origin.shape != expected or origin.dtype.kind not in "iuf" or points.ndim != 3:
            raise PredictionsError(
                f"{where}: expected {name!r} to be one point a hand, of shape {expected}, beside "
                f"{points_name!r}, found shape {origin.shape} and dtype {origin.dtype}: see "
                "docs/predictions.md for the layout"
            )
        if points.dtype.kind in "iuf" and points.shape[2] == expected[1]:
            # Meshes are large: they stay in single precision, as files of arrays hold them.
            wide = np.dtype(np.float32 if points_name == "vertices" else np.float64)
            whole[points_name] = np.add(points, origin[:, None, :], dtype=wide)
    return whole


def to_offsets(
    points: npt.NDArray[np.floating], tolerance: float
) -> tuple[npt.NDArray[np.floating], npt.NDArray[np.float32], float]:
    """Half-precision offsets from the middle of every hand.

    Parameters
    ----------
    points
        (N, P, D) px or m; rows of NaN stay so.
    tolerance
        How far a point may move, in the unit of `points`. Where half precision moves one further,
        all offsets come in single precision.

    Returns
    -------
    offsets
        (N, P, D) float16 or float32.
    origin
        (N, D) float32: middle of the box around the points; 0 for missing hands.
    moved
        Largest distance between a point and its offset plus origin.
    """
    exact = points.astype(np.float64)
    missing: npt.NDArray[np.bool_] = np.asarray(np.isnan(exact).any(axis=(1, 2)))
    known = np.where(missing[:, None, None], 0.0, exact)
    middle = (known.min(axis=1) + known.max(axis=1)) / 2 if exact.shape[1] else known.sum(axis=1)
    origin = middle.astype(np.float32)
    wanted = exact - origin.astype(np.float64)[:, None, :]
    moved = 0.0
    for kind in (np.float16, np.float32):
        with np.errstate(over="ignore"):  # beyond 65,504 half precision is infinite
            offsets = wanted.astype(kind)
        with np.errstate(invalid="ignore"):
            away = np.linalg.norm(offsets.astype(np.float64) - wanted, axis=2)
        moved = float(away[~missing].max(initial=0.0))
        if moved <= tolerance:
            break
    return offsets, origin, moved
