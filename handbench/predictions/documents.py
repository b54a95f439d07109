"""JSON text of predictions: in pieces where it can be cut, else as a whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from handbench.errors import PredictionsError
from handbench.files import parse_json
from handbench.predictions.header import Header
from handbench.predictions.pieces import (
    IrregularJsonError,
    list_of_objects,
    lists_of_tables,
    split_rows,
)
from handbench.predictions.record import Columns, brief, json_kind
from handbench.predictions.rows import columns_of_rows, first_odd, numbers

Rows = Iterable[list[Any]]
Tables = list[npt.NDArray[np.float64]]

MOST_WHOLE_BYTES = 256 * 2**20
"""Larger JSON is read in pieces or not at all: parsed whole it takes ten times its size."""

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_T = TypeVar("_T")


def read_document(
    text: bytes, check: Callable[[Any], Header], where: str
) -> tuple[Header, Columns]:
    """Header and columns of a predictions file of format 1.

    Parameters
    ----------
    text
        A JSON object.
    check
        Returns the header of a document, or raises, before any row is looked at.
    where
        Names the file in messages.

    Raises
    ------
    PredictionsError
        If it is broken JSON or another document.
    """
    text = text.removeprefix(_BYTE_ORDER_MARK)
    try:
        document, pieces = split_rows(text)
        return check(document), columns_of_rows(pieces, where)
    except IrregularJsonError:
        document = _whole(text, where)
    header = check(document)
    rows = document.get("predictions")
    if not isinstance(rows, list):
        found = "nothing" if rows is None else json_kind(rows)
        raise PredictionsError(
            f"{where}: expected a list of hands under 'predictions', found {found}: write "
            '[{"id": …, "keypoints": [[x, y], …]}, …]'
        )
    return header, columns_of_rows([rows], where)


def read_list(
    text: bytes,
    where: str,
    objects: Callable[[Rows], _T],
    tables: Callable[[Tables], _T],
) -> _T:
    """What `objects` or `tables` makes of a JSON list without header.

    Parameters
    ----------
    text
        A JSON list.
    where
        Names the file in messages.
    objects
        Takes COCO keypoint results: lists of objects, one after another.
    tables
        Takes the two lists of FreiHAND as arrays.

    Raises
    ------
    PredictionsError
        If it is broken JSON or a list of another kind.
    """
    text = text.removeprefix(_BYTE_ORDER_MARK)
    try:
        return objects(list_of_objects(text))
    except IrregularJsonError:
        pass
    try:
        arrays = lists_of_tables(text)
    except IrregularJsonError:
        document = _whole(text, where)
        if not document or all(isinstance(entry, dict) for entry in document):
            return objects(iter([document]))
        if len(document) == 2 and all(isinstance(part, list) for part in document):
            return tables(
                [_table(part, name, where) for part, name in zip(document, ("xyz", "verts"))]
            )
        raise PredictionsError(
            f"{where}: expected a predictions file (a JSON object), FreiHAND's [xyz, verts] or "
            f"COCO keypoint results, found a list of {len(document)} entries of another kind "
            f"({brief(document)}): see docs/predictions.md"
        ) from None
    if len(arrays) != 2:
        raise PredictionsError(
            f"{where}: expected FreiHAND's two lists [xyz, verts], found {len(arrays)}: write an "
            "empty list where there are no vertices"
        )
    return tables(arrays)


def _table(values: list[Any], name: str, where: str) -> npt.NDArray[np.float64]:
    block = numbers(values)
    if block is None:
        raise PredictionsError(
            f"{where}: expected {name!r} to be a regular nesting of numbers, found "
            f"{_irregular(values)}: write numbers for every hand, or a file with ids, in which "
            "hands may be missing (docs/predictions.md)"
        )
    return block


def _irregular(values: list[Any]) -> str:
    """What is wrong with the first hand that is unlike the others."""
    blocks = [numbers(value) for value in values]
    shapes = Counter(block.shape for block in blocks if block is not None)
    usual = shapes.most_common(1)[0][0] if shapes else ()
    for place, (value, block) in enumerate(zip(values, blocks)):
        if block is None:
            return f"{first_odd(value)} among the numbers of hand {place}, counted from 0"
        if block.shape != usual:
            return (
                f"shape {block.shape} for hand {place}, counted from 0, and {usual} for most others"
            )
    return "numbers of different kinds"


def _whole(text: bytes, where: str) -> Any:
    """The document, or one sentence about what is wrong with it."""
    start, end = text[:64].lstrip()[:1], text[-64:].rstrip()[-1:]
    closed = (start, end) in ((b"{", b"}"), (b"[", b"]"))
    if len(text) > (MOST_WHOLE_BYTES if closed else MOST_WHOLE_BYTES // 16):
        found = "that is broken or laid out unusually" if closed else "that breaks off"
        raise PredictionsError(
            f"{where}: expected predictions as JSON with one list of hands, found "
            f"{len(text) / 2**20:,.0f} MiB {found}: write it again, best as .npz"
        )
    try:
        return parse_json(text, "predictions", where, PredictionsError)
    except PredictionsError as error:
        # Python's json module writes NaN and Infinity, which no other JSON reader accepts.
        token = next((t for t in (b"NaN", b"Infinity") if t in text), None)
        if token is None or "breaks off" in str(error):
            raise
        raise PredictionsError(
            f"{where}: expected JSON numbers, found {token.decode()}: write finite numbers, or "
            "null for the whole hand when it was not found"
        ) from error
