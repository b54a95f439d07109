"""Large JSON, one piece at a time.

Parsed whole, a JSON file takes ten times its size as Python numbers and lists. Here a megabyte is
cut off where an entry ends, parsed, and turned into arrays before the next one is touched. A cut
at a wrong place cannot go unnoticed: a piece is whole JSON only if it holds whole entries. Whoever
calls parses the text as a whole when :class:`IrregularJsonError` comes, and finds the error there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

_PIECE_BYTES = 2**20
# Where an entry ends (group 1) and the next begins (group 2).
_BETWEEN_OBJECTS = re.compile(rb"(\})\s*,\s*(\{)")
_BETWEEN_TABLES = re.compile(rb"(\]\s*\])\s*,\s*(\[\s*\[)")
_ROWS = re.compile(rb'"predictions"\s*:\s*(\[)\s*(?=\{)')
_LIST_OF_OBJECTS = re.compile(rb"\s*\[\s*(?=\{)")
_LISTS_OF_TABLES = re.compile(rb"\s*\[\s*\[\s*(?=\[\s*\[)")
_END_OF_TABLES = re.compile(rb"(\]\s*\])\s*\]")
_NEXT_LIST = re.compile(rb"\s*\]\s*,\s*\[\s*")
_THE_END = re.compile(rb"\s*\]\s*\]\s*\Z")
_STAND_IN = "the rows of predictions"


class IrregularJsonError(Exception):
    """The text cannot be cut into pieces; it may be broken or merely unusual."""


def split_rows(text: bytes) -> tuple[dict[str, Any], Iterator[list[Any]]]:
    """A predictions document without its rows, and the rows in pieces.

    Parameters
    ----------
    text
        A JSON object with a list of objects under ``predictions``.

    Raises
    ------
    IrregularJsonError
        If it is not that; also while the pieces are taken.
    """
    start = _ROWS.search(text)
    if start is None:
        raise IrregularJsonError
    # Rows end at the last bracket that closes right behind an object; header keys may follow.
    last = text.rfind(b"}")
    while last > start.end() and not text[last + 1 : last + 65].lstrip().startswith(b"]"):
        last = text.rfind(b"}", 0, last)
    if last < start.end():
        raise IrregularJsonError
    end = text.index(b"]", last)
    stand_in = orjson.dumps(_STAND_IN)
    document = _parse(text[: start.start(1)] + stand_in + text[end + 1 :])
    # The rows may also have stood at another level, under the same key.
    if not isinstance(document, dict) or document.get("predictions") != _STAND_IN:
        raise IrregularJsonError
    return document, _pieces(text, start.end(), end, _BETWEEN_OBJECTS)


def list_of_objects(text: bytes) -> Iterator[list[Any]]:
    """The entries of a JSON list of objects, in pieces; raises like :func:`split_rows`."""
    start = _LIST_OF_OBJECTS.match(text)
    end = text.rfind(b"]")
    if start is None or text[end + 1 :].strip():
        raise IrregularJsonError
    return _pieces(text, start.end(), end, _BETWEEN_OBJECTS)


def lists_of_tables(text: bytes) -> list[npt.NDArray[np.float64]]:
    """FreiHAND's lists as arrays: ``[[[[x, y, z], …], …], …]``.

    Parameters
    ----------
    text
        A JSON list of lists of tables, all tables of one list of the same size.

    Returns
    -------
    One (N, rows, columns) array a list; (0,) for an empty list at the end.

    Raises
    ------
    IrregularJsonError
        If it is not that.
    """
    start = _LISTS_OF_TABLES.match(text)
    if start is None:
        raise IrregularJsonError
    arrays: list[npt.NDArray[np.float64]] = []
    position = start.end()
    while True:
        # Three brackets close where a list of tables ends, and nowhere before.
        closing = _END_OF_TABLES.search(text, position)
        if closing is None:
            raise IrregularJsonError
        end = closing.end(1)
        tables = [_table(piece) for piece in _pieces(text, position, end, _BETWEEN_TABLES)]
        if len({table.shape[1:] for table in tables}) != 1:
            raise IrregularJsonError
        arrays.append(np.concatenate(tables))
        if _THE_END.match(text, end):
            return arrays
        following = _NEXT_LIST.match(text, end)
        if following is None:
            raise IrregularJsonError
        position = following.end()
        if _THE_END.match(text, position):
            return [*arrays, np.empty(0)]


def _table(piece: list[Any]) -> npt.NDArray[np.float64]:
    try:
        block = np.array(piece)
    except ValueError as error:
        raise IrregularJsonError from error
    if block.ndim != 3 or block.dtype.kind not in "iuf":
        raise IrregularJsonError
    return block.astype(np.float64, copy=False)


def _pieces(text: bytes, start: int, end: int, between: re.Pattern[bytes]) -> Iterator[list[Any]]:
    """The entries in ``text[start:end]``, about :data:`_PIECE_BYTES` at a time."""
    while start < end:
        gap = between.search(text, start + _PIECE_BYTES, end)
        cut, following = (end, end) if gap is None else (gap.end(1), gap.start(2))
        yield _parse(b"[" + text[start:cut] + b"]")
        start = following


def _parse(text: bytes) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise IrregularJsonError from error
