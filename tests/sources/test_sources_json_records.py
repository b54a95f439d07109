from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handbench.errors import SourceError
from handbench.sources import json_records
from handbench.sources.json_records import iterate_records

LISTS = ("images", "annotations")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.json"


@pytest.fixture(autouse=True, params=[7, 1 << 22])
def chunk(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Every test with a window of a few characters, too: records and words are cut anywhere."""
    monkeypatch.setattr(json_records, "_CHUNK_CHARS", request.param)
    return int(request.param)


def read(path: Path, text: str | bytes) -> list[tuple[str, object]]:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return list(iterate_records(path, LISTS, "labels"))


def test_records_come_in_the_order_of_the_file(path: Path):
    value = {
        "info": {"images": [1]},  # not at the top level
        "annotations": [{"id": 1, "k": [0.5, -1e-3]}, {"id": 2, "s": 'a "quoted" ] } ö 写'}],
        "licenses": [[], {}],
        "n": 12345678901234,
        "images": [],
        "categories": None,
    }
    expected = [("annotations", record) for record in value["annotations"]]  # type: ignore[union-attr]
    for text in (json.dumps(value), json.dumps(value, indent=3, ensure_ascii=False) + "\n"):
        assert read(path, text) == expected
        assert read(path, b"\xef\xbb\xbf" + text.encode()) == expected


@given(
    st.lists(
        st.dictionaries(
            st.text(max_size=4), st.floats(allow_nan=False) | st.text(max_size=9) | st.integers()
        ),
        max_size=5,
    ),
    st.sampled_from([None, 1]),
)
def test_any_records_are_what_json_reads(
    tmp_path_factory: pytest.TempPathFactory, records: list[object], indent: int | None
):
    path = tmp_path_factory.mktemp("json") / "a.json"
    text = json.dumps({"a": 1, "images": records, "b": 2.5}, indent=indent)
    assert read(path, text) == [("images", record) for record in records]


def test_nothing_at_all(path: Path):
    assert read(path, " { } ") == []
    assert read(path, '{"images": [ ]}') == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "found an empty file"),
        (" \n", "found an empty file"),
        ("[1]", r"found no valid JSON at character 0: '\[' where '\{' should be"),
        ('{"images": {"a": 1}}', r"expected a list of images in .*a\.json, found dict; is this"),
        ('{"images": [{"a": 1}, {"a": 2', "found a file that breaks off after 1 records: copy"),
        ('{"images": [{"a": 1}, {"a": "xyz', "found a file that breaks off after 1 records: copy"),
        ('{"images": [{"a": 1}', "found a file that breaks off after 1 records: copy"),
        ('{"images"', "found a file that breaks off: copy"),
        ('{"images": [', "found a file that breaks off: copy"),
        ('{"images": [{"a": 1} {"a": 2}], "b": 1}', "no valid JSON at character 21: '{' where"),
        ('{"images": [{"a": oops, "b": "cde"}], "c": 1}', "no valid JSON at character 18: Expect"),
        ('{5: 1, "images": []}', "no valid JSON at character 2: a name that is no string"),
        ('{"images": []} {}', "no valid JSON at character 15: text after the end"),
        ('{"x": ' + "[" * 100_000, "lists within lists without end|breaks off"),
        (b'{"images": ["\xff"]}', "found bytes that are no UTF-8 text"),
    ],
)
def test_damage_is_one_sentence(path: Path, text: str | bytes, message: str):
    with pytest.raises(SourceError, match=message) as caught:
        read(path, text)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_damage_in_the_middle_of_a_large_file_is_found_before_its_end(
    path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(json_records, "_CHUNK_CHARS", 1000)
    monkeypatch.setattr(json_records, "_LARGEST_VALUE_CHARS", 5000)
    path.write_text('{"images": [{"a": oops}' + ', {"a": 1}' * 100_000 + "]}")
    with pytest.raises(SourceError, match="no valid JSON at character 18: Expecting value"):
        list(iterate_records(path, LISTS, "labels"))


def test_a_missing_file_and_a_folder(path: Path, tmp_path: Path):
    with pytest.raises(SourceError, match=r"expected labels at .*a\.json, found no such file"):
        list(iterate_records(path, LISTS, "labels"))
    with pytest.raises(SourceError, match=r"cannot read labels at .*: "):
        list(iterate_records(tmp_path, LISTS, "labels"))
