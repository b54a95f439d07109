"""Predictions as Parquet: a row a hand, lists in columns, the header beside the schema.

The header is the entry ``meta`` of the file's key-value metadata. Needs ``pyarrow``.
"""

from __future__ import annotations

import importlib
import io
import math
from typing import Any

import numpy as np
import numpy.typing as npt

from handbench.errors import MissingExtraError, PredictionsError
from handbench.predictions.record import COLUMN_SHAPES, Columns, missing_rows, reason
from handbench.predictions.unpack import check_size

_ROW_BYTES = 8 * sum(math.prod(shape) for shape in COLUMN_SHAPES.values() if -1 not in shape)


def read_parquet(raw: bytes, where: str) -> Columns:
    """The known columns of a Parquet file, and ``meta``.

    Parameters
    ----------
    raw
        The file. ``id`` is text; points are lists, nested or flat; null is a missed hand.
    where
        Names the file in messages.

    Raises
    ------
    MissingExtraError
        Without ``pyarrow``.
    PredictionsError
        If it is no Parquet file, or lists in a column differ in length.
    """
    arrow, parquet = modules()
    try:
        file = parquet.ParquetFile(arrow.BufferReader(raw))
        meta = file.metadata
        groups = [meta.row_group(number) for number in range(meta.num_row_groups)]
        check_size(sum(group.total_byte_size for group in groups), where)
        # Repeated values take no bytes: rows are counted too.
        check_size(_ROW_BYTES * meta.num_rows, where)
        names = [name for name in ("id", *COLUMN_SHAPES) if name in file.schema_arrow.names]
        table = file.read(columns=names)
        header = (table.schema.metadata or {}).get(b"meta")
        meta_column = {} if header is None else {"meta": np.array(header.decode())}
        columns = {name: _column(table.column(name), name, where) for name in names}
        return {**columns, **meta_column}
    except PredictionsError:
        raise
    except Exception as error:
        # pyarrow raises OSError and many classes of its own on damaged files.
        raise PredictionsError(
            f"{where}: expected a Parquet file of predictions, found something else "
            f"({reason(error)}): write it again"
        ) from error


def _column(column: Any, name: str, where: str) -> npt.NDArray[Any]:
    arrow = modules()[0]
    kinds = arrow.types
    values = column.combine_chunks()
    if name == "id":
        ids = values.to_pylist()
        return np.array(ids) if ids else np.array([], dtype=np.str_)
    if name == "is_right":
        sides = [-1 if side is None else int(side) for side in values.to_pylist()]
        return np.array(sides, dtype=np.int8)
    present = np.asarray(values.is_valid())
    values, sizes = values.drop_null(), []
    is_lists = (kinds.is_list, kinds.is_large_list, kinds.is_fixed_size_list)
    while any(is_list(values.type) for is_list in is_lists):
        lengths = np.unique(values.value_lengths().drop_null()).tolist()
        if values.null_count or len(lengths) > 1:
            found = "null" if values.null_count else f"{lengths[0]} and {lengths[-1]} entries"
            raise PredictionsError(
                f"{where}: expected lists of one length in {name!r}, found {found}: write whole "
                "hands, or null for a hand that was not found"
            )
        sizes.append(int(lengths[0]) if lengths else 0)
        values = values.flatten()
    numbers = values.to_numpy(zero_copy_only=False)
    shape = tuple(sizes)
    wanted = COLUMN_SHAPES[name]
    if len(sizes) == 1 and len(wanted) == 2 and sizes[0] % wanted[1] == 0:
        shape = (sizes[0] // wanted[1], wanted[1])  # flat: x, y, x, y, …
    if not present.any():
        shape = tuple(max(size, 0) for size in wanted)
    if present.all():
        return np.asarray(numbers.reshape(len(present), *shape))
    # Text stays text here, so that it is refused as such.
    kind = {"f": numbers.dtype, "i": np.float64, "u": np.float64}.get(numbers.dtype.kind, object)
    filled = np.full((len(present), *shape), np.nan, dtype=kind)
    filled[present] = numbers.reshape(-1, *shape)
    return filled


def to_parquet(header: bytes, columns: Columns) -> bytes:
    """A Parquet file; a row of NaN becomes null.

    Parameters
    ----------
    header
        JSON.
    columns
        As in :meth:`~handbench.predictions.record.Predictions.columns`.

    Raises
    ------
    MissingExtraError
        Without ``pyarrow``.
    """
    arrow, parquet = modules()
    arrays: dict[str, Any] = {}
    for name, values in columns.items():
        if name == "id":
            arrays[name] = arrow.array(values.tolist(), type=arrow.string())
        elif name == "is_right":
            sides = [None if side < 0 else bool(side) for side in values.tolist()]
            arrays[name] = arrow.array(sides, type=arrow.bool_())
        else:
            arrays[name] = _lists(arrow, values)
    table = arrow.table(arrays).replace_schema_metadata({b"meta": header})
    buffer = io.BytesIO()
    parquet.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()


def _lists(arrow: Any, values: npt.NDArray[Any]) -> Any:
    """Rows as (nested) lists; those of NaN as null."""
    missed = missing_rows(values)
    if values.ndim == 1:
        return arrow.array(values, mask=missed)
    given = values[~missed]
    nested = arrow.array(given.ravel())
    for axis in range(values.ndim - 1, 1, -1):
        ends = np.arange(math.prod(given.shape[:axis]) + 1) * values.shape[axis]
        nested = arrow.LargeListArray.from_arrays(arrow.array(ends), nested)
    ends = np.concatenate([[0], np.cumsum(~missed)]) * values.shape[1]
    return arrow.LargeListArray.from_arrays(arrow.array(ends), nested, mask=arrow.array(missed))


def modules() -> tuple[Any, Any]:
    """``pyarrow`` and ``pyarrow.parquet``, which ship no types; or :class:`MissingExtraError`."""
    try:
        return importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")
    except ModuleNotFoundError as error:
        raise MissingExtraError("pyarrow", "parquet", "Parquet") from error
