"""JSON rows of predictions as columns: numpy does the bulk, Python only looks for the culprit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from handbench.errors import PredictionsError
from handbench.hand import NUM_JOINTS
from handbench.predictions.record import COLUMN_SHAPES, Columns, brief


def columns_of_rows(pieces: Iterable[list[Any]], where: str) -> Columns:
    """Columns from the JSON objects under ``predictions``.

    Parameters
    ----------
    pieces
        ``[{"id": …, "keypoints": …}, …]``, the rows in one list or in several, one after another;
        null or a missing key becomes a row of NaN.
    where
        Named in messages.

    Returns
    -------
    Columns that no row has are absent.

    Raises
    ------
    PredictionsError
        Naming the first entry that is not what it should be.
    """
    parts: list[Columns] = []
    count = 0
    for rows in pieces:
        parts.append(_columns_of_piece(rows, count, where))
        count += len(rows)
    if not count:
        return {"id": np.array([], dtype=np.str_), "keypoints": np.empty((0, NUM_JOINTS, 2))}
    names = [name for name in ("id", *COLUMN_SHAPES) if any(name in part for part in parts)]
    return {name: _joined(parts, name, where) for name in names}


def _columns_of_piece(rows: list[Any], start: int, where: str) -> Columns:
    for number, row in enumerate(rows, start):
        if not isinstance(row, dict) or not isinstance(row.get("id"), str):
            has_id = isinstance(row, dict) and "id" in row
            found = f"the id {brief(row['id'])}" if has_id else brief(row)
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
    return columns


def _joined(parts: list[Columns], name: str, where: str) -> npt.NDArray[Any]:
    """One column of all pieces; those without it are filled."""
    # A piece in which every mesh is null does not know how many vertices there are.
    shapes = {part[name].shape[1:]: part for part in parts if name in part and part[name].size}
    if len(shapes) > 1:
        first, other = list(shapes)[:2]
        raise PredictionsError(
            f"{where}: expected {name!r} of one size, found {first[0]} entries in id "
            f"{str(shapes[first]['id'][0])!r} and {other[0]} in id "
            f"{str(shapes[other]['id'][0])!r}: write the same mesh for every hand"
        )
    shape = next(iter(shapes), tuple(max(size, 0) for size in COLUMN_SHAPES.get(name, ())))
    missing, kind = (-1, np.int8) if name == "is_right" else (np.nan, np.float64)
    return np.concatenate(
        [
            part[name]
            if name in part and part[name].size
            else np.full((len(part["id"]), *shape), missing, kind)
            for part in parts
        ]
    )


def _sides(values: Sequence[Any], ids: npt.NDArray[np.str_], where: str) -> npt.NDArray[np.int8]:
    for name, value in zip(ids, values):
        if value is not None and not isinstance(value, bool):
            raise PredictionsError(
                f"{where}: expected 'is_right' of id {str(name)!r} to be true, false or null, "
                f"found {brief(value)}"
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
    block = numbers(given)
    if block is None:
        # Something in there is no number or ragged: look at the rows one by one for its name.
        raise _culprit(given, name, shape, ids[present], where)
    filled = np.full((len(values), *block.shape[1:]), np.nan)
    filled[present] = block
    return filled


def numbers(value: Any) -> npt.NDArray[np.float64] | None:
    """`value` as float64 if it is a regular nesting of numbers, else None."""
    try:
        block = np.array(value)
    except (ValueError, OverflowError):
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
    first = next((block.shape for block in map(numbers, values) if block is not None), shape)
    usual = first if -1 in shape else shape
    for sample, value in zip(ids, values):
        block = numbers(value)
        if block is not None and block.shape == usual:
            continue
        found = (
            f"shape {block.shape}" if block is not None else f"{first_odd(value)} among the numbers"
        )
        size = "×".join("V" if width == -1 else str(width) for width in shape) or "one number"
        return PredictionsError(
            f"{where}: expected {name!r} of id {str(sample)!r} to be {size} numbers, found "
            f"{found}: correct it, or write null for a hand that was not found"
        )
    return PredictionsError(f"{where}: {name!r} is no regular list of numbers")


def first_odd(value: Any) -> str:
    """Describe the first entry that is no number, or say that the nesting is uneven."""
    ahead = [value]  # no recursion: a file may nest a thousand levels deep
    while ahead:
        part = ahead.pop()
        if isinstance(part, list):
            ahead.extend(reversed(part))
        elif isinstance(part, bool) or not isinstance(part, int | float):
            return brief(part)
    return "an uneven nesting"
