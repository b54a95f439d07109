"""JSON rows of predictions as columns: numpy does the bulk, Python only looks for the culprit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from handbench.errors import PredictionsError
from handbench.hand import NUM_JOINTS
from handbench.predictions.record import COLUMN_SHAPES

Columns = dict[str, npt.NDArray[Any]]


def columns_of_rows(rows: Any, where: str) -> Columns:
    """Columns from the list of JSON objects under ``predictions``.

    Parameters
    ----------
    rows
        ``[{"id": …, "keypoints": …}, …]``; null or a missing key becomes a row of NaN.
    where
        Named in messages.

    Returns
    -------
    Name → array with one row a hand, as in :data:`~handbench.predictions.record.COLUMN_SHAPES`;
    columns that no row has are absent.

    Raises
    ------
    PredictionsError
        Naming the first entry that is not what it should be.
    """
    if not isinstance(rows, list):
        found = "nothing" if rows is None else f"a JSON {type(rows).__name__}"
        raise PredictionsError(
            f"{where}: expected a list of hands under 'predictions', found {found}: write "
            '[{"id": …, "keypoints": [[x, y], …]}, …]'
        )
    for number, row in enumerate(rows):
        if not isinstance(row, dict) or not isinstance(row.get("id"), str):
            found = (
                f"the id {row['id']!r}"
                if isinstance(row, dict) and "id" in row
                else f"{str(row)[:60]}"
            )
            raise PredictionsError(
                f"{where}: expected an object with a text 'id' at predictions[{number}], found "
                f"{found}: use the sample ids of the HDF5 file"
            )
    ids = np.array([row["id"] for row in rows], dtype=np.str_)
    columns: Columns = {"id": ids}
    for name, shape in COLUMN_SHAPES.items():
        if any(name in row for row in rows):
            values = [row.get(name) for row in rows]
            columns[name] = (
                _sides(values, ids, where)
                if name == "is_right"
                else _stack(values, name, shape, ids, where)
            )
    if not rows:
        columns["keypoints"] = np.empty((0, NUM_JOINTS, 2))
    return columns


def _sides(values: Sequence[Any], ids: npt.NDArray[np.str_], where: str) -> npt.NDArray[np.int8]:
    for name, value in zip(ids, values):
        if value is not None and not isinstance(value, bool):
            raise PredictionsError(
                f"{where}: expected 'is_right' of id {str(name)!r} to be true, false or null, "
                f"found {value!r}"
            )
    return np.array([-1 if value is None else int(value) for value in values], dtype=np.int8)


def _stack(
    values: Sequence[Any],
    name: str,
    shape: tuple[int, ...],
    ids: npt.NDArray[np.str_],
    where: str,
) -> npt.NDArray[np.float64]:
    """One array from a list of nested lists; None becomes NaN."""
    present = np.array([value is not None for value in values])
    given = [value for value in values if value is not None]
    if not given:
        return np.full((len(values), *(max(size, 0) for size in shape)), np.nan)
    block = _numbers(given)
    if block is None:
        # Something in there is no number or ragged: look at the rows one by one for its name.
        raise _culprit(given, name, shape, ids[present], where)
    filled = np.full((len(values), *block.shape[1:]), np.nan)
    filled[present] = block
    return filled


def _numbers(value: Any) -> npt.NDArray[np.float64] | None:
    """`value` as float64 if it is a regular nesting of numbers, else None."""
    try:
        block = np.array(value)
    except ValueError:
        return None
    # No dtype above: numpy would turn the text "12.5" into a number without a word.
    return block.astype(np.float64) if block.dtype.kind in "iuf" else None


def _culprit(
    values: Sequence[Any],
    name: str,
    shape: tuple[int, ...],
    ids: npt.NDArray[np.str_],
    where: str,
) -> PredictionsError:
    """Error that names the first row which is not like it should be."""
    first = next((block.shape for block in map(_numbers, values) if block is not None), shape)
    usual = first if -1 in shape else shape
    for sample, value in zip(ids, values):
        block = _numbers(value)
        if block is not None and block.shape == usual:
            continue
        found = (
            f"shape {block.shape}"
            if block is not None
            else f"{_first_odd(value)} among the numbers"
        )
        size = "×".join("V" if width == -1 else str(width) for width in shape) or "one number"
        return PredictionsError(
            f"{where}: expected {name!r} of id {str(sample)!r} to be {size} numbers, found "
            f"{found}: correct it, or write null for a hand that was not found"
        )
    return PredictionsError(f"{where}: {name!r} is no regular list of numbers")


def _first_odd(value: Any) -> str:
    """Describe the first entry that is no number, or say that the nesting is uneven."""
    if isinstance(value, list):
        for part in value:
            odd = _first_odd(part)
            if odd != "an uneven nesting":
                return odd
        return "an uneven nesting"
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return "an uneven nesting" if is_number else f"{value!r}"[:40]
