from __future__ import annotations

import json

import numpy as np
import pytest

from handbench.errors import SourceError
from handbench.sources.json_stream import iterate_entries

TABLES = np.random.default_rng(0).normal(size=(3, 5, 3)).tolist()


@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": "), (" ,\n\t", ":")])
@pytest.mark.parametrize("indent", [None, 2])
def test_entries_are_those_of_the_standard_parser(separators, indent):
    data = json.dumps(TABLES, separators=separators, indent=indent).encode()
    found = list(iterate_entries(data, "v.json"))
    assert np.array_equal(np.stack(found), TABLES)
    assert found[0].dtype == np.float64


def test_an_empty_array_has_no_entries():
    assert list(iterate_entries(b" [ ]\n", "v.json")) == []


def test_entries_come_before_the_damage_is_reached():
    entries = iterate_entries(json.dumps(TABLES).encode()[:-10], "v.json")
    assert np.array_equal(next(entries), TABLES[0])


@pytest.mark.parametrize("cut", [1, 2, 10, 200])
def test_truncation_is_found(cut: int):
    data = json.dumps(TABLES).encode()[:-cut]
    with pytest.raises(SourceError, match=r"v\.json breaks off after [23] entries|breaks off"):
        list(iterate_entries(data, "v.json"))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b'{"a": 1}', "expected a JSON array in v.json"),
        (b"", "expected a JSON array in v.json"),
        (b"[[[1, 2], [3]]]", "entry 0 of v.json is no rectangular table"),
        (b"[[[1, 2]], [[1, oops]]]", "expected an entry as JSON at v.json"),
        (b"[[[1, NaN]]]", "NaN or an infinity"),
    ],
)
def test_bad_entries_are_source_errors(data: bytes, message: str):
    with pytest.raises(SourceError, match=message):
        list(iterate_entries(data, "v.json"))


class Slowly:
    """A stream that gives a few bytes at a time."""

    def __init__(self, data: bytes, step: int) -> None:
        self.data, self.step = data, step

    def read(self, size: int, /) -> bytes:
        piece, self.data = self.data[: self.step], self.data[self.step :]
        return piece

    def close(self) -> None:
        pass


@pytest.mark.parametrize("step", [1, 2, 3, 7, 50])
@pytest.mark.parametrize("indent", [None, 2])
def test_pieces_may_end_anywhere(step: int, indent: int | None):
    data = json.dumps(TABLES, indent=indent).encode()
    assert np.array_equal(np.stack(list(iterate_entries(Slowly(data, step), "v.json"))), TABLES)
    with pytest.raises(SourceError, match="breaks off after 3 entries"):
        list(iterate_entries(Slowly(data.rstrip(b" \n]") + b"\n ] ]", step), "v.json"))
