from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from handbench.predictions import pieces
from handbench.predictions.pieces import (
    IrregularJsonError,
    list_of_objects,
    lists_of_tables,
    split_rows,
)

ROWS = [
    {"id": f"}}, {{{n}", "keypoints": [[n, 1.5], [2, 3]], "more": {"a": [{}]}} for n in range(9)
]
HEADER = {"handbench_predictions": 1, "model": {"name": "predictions", "training_data": ["x"]}}


@pytest.fixture(autouse=True, params=[1, 60, 2**20])
def piece_bytes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut after every entry, after a few, and never."""
    monkeypatch.setattr(pieces, "_PIECE_BYTES", request.param)


def joined(parts: Iterator[list[Any]]) -> list[Any]:
    return [row for part in parts for row in part]


@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize("last", [True, False])
def test_rows_are_split_from_the_header(indent: int | None, last: bool) -> None:
    plain = [{**row, "id": "x", "more": 1} for row in ROWS]
    document = {**HEADER, "predictions": plain} if last else {"predictions": plain, **HEADER}
    header, rows = split_rows(json.dumps(document, indent=indent).encode())
    assert {k: v for k, v in header.items() if k != "predictions"} == HEADER
    assert joined(rows) == plain


def test_a_cut_at_a_wrong_place_is_noticed() -> None:
    text = json.dumps({**HEADER, "predictions": ROWS}).encode()
    try:
        rows = joined(split_rows(text)[1])
    except IrregularJsonError:
        return
    assert rows == ROWS


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b'{"predictions": []}',
        b'{"predictions": [1]}',
        b'{"predictions": [{"id": 1}',
        b'{"predictions": [{"id": 1}]',
        b'{"predictions": [{"id": 1}]} x',
        b'{"predictions": [{"id": 1}, 2]}',
        b'{"predictions": [{"id": 1},, {"id": 2}]}',
        b'{"predictions": [{"id": NaN}]}',
        b'{"a": {"predictions": [{"id": 1}]}}',
        b'[{"predictions": [{"id": 1}]}]',
        b'{"predictions": [{"id": 1}], "predictions": 5}',
    ],
)
def test_other_documents_are_irregular(text: bytes) -> None:
    with pytest.raises(IrregularJsonError):
        joined(split_rows(text)[1])


@pytest.mark.parametrize("indent", [None, 2])
def test_lists_of_objects(indent: int | None) -> None:
    plain = [{"image_id": n, "keypoints": [n, 2.5]} for n in range(7)]
    assert joined(list_of_objects(json.dumps(plain, indent=indent).encode())) == plain


@pytest.mark.parametrize(
    "text", [b"", b"[]", b"[1]", b'[{"a": 1}', b'[{"a": 1}]]', b'[{"a": 1}] x']
)
def test_other_lists_are_irregular(text: bytes) -> None:
    with pytest.raises(IrregularJsonError):
        joined(list_of_objects(text))


@pytest.mark.parametrize("indent", [None, 1])
def test_lists_of_tables(indent: int | None) -> None:
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=(5, 21, 3)), rng.normal(size=(5, 4, 3))]
    text = json.dumps([array.tolist() for array in arrays], indent=indent).encode() + b"\n"
    for found, expected in zip(lists_of_tables(text), arrays, strict=True):
        np.testing.assert_array_equal(found, expected)
    found = lists_of_tables(json.dumps([arrays[0].tolist(), []], indent=indent).encode())
    assert [array.shape for array in found] == [(5, 21, 3), (0,)]


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"[[], []]",
        b"[[[[1, 2]]]",
        b"[[[[1, 2]]]] x",
        b"[[[[1, 2]], [[1]]], []]",
        b"[[[[1, 2]], [[1, 2], [3, 4]]], []]",
        b"[[[[1, 2], [3]]], []]",
        b'[[[["1", "2"]]], []]',
        b"[[[[1, null]]], []]",
        b"[[[[[1, 2]]]], []]",
        b"[[[[1, 2]]], 5]",
        b"[[[[1, 2]],, [[1, 2]]], []]",
    ],
)
def test_other_nestings_are_irregular(text: bytes) -> None:
    with pytest.raises(IrregularJsonError):
        lists_of_tables(text)
