from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from handbench.errors import SourceError
from handbench.sources import flat_json
from handbench.sources.flat_json import keyed_records, parse_records, record_lists

LISTS: dict[str, Any] = {
    "info": {"year": 2020},
    "images": [{"id": i, "file_name": f"a{i}.jpg", "list": [[1], [i]]} for i in range(40)],
    "licenses": [],
    "annotations": [{"id": i, "bbox": [1.5, 2, 3, 4]} for i in range(25)],
    "end": "of file",
}
KEYED = {
    "3": {str(f): {"world": [[f, 1.5]], "type": "right"} for f in range(30)},
    "4": {},
    "11": {"7": {"world": [], "type": "left"}},
}


@pytest.fixture(params=[16, 100, 2**20])
def piece(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(flat_json, "_PIECE_BYTES", request.param)
    return int(request.param)


def write(path: Path, value: Any, **style: Any) -> Path:
    path.write_text(value if isinstance(value, str) else json.dumps(value, **style), "utf-8")
    return path


def lists_of(path: Path) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for name, text in record_lists(path):
        found.setdefault(name, []).extend(parse_records(text, path))
    return found


@pytest.mark.parametrize("style", [{}, {"indent": 1}, {"separators": (",", ":")}])
def test_lists_of_records_come_whole(tmp_path: Path, piece: int, style: dict[str, Any]):
    found = lists_of(write(tmp_path / "a.json", LISTS, **style))
    assert found == {name: LISTS[name] for name in ("images", "annotations")}


@pytest.mark.parametrize("style", [{}, {"indent": 1}, {"separators": (",", ":")}])
def test_records_under_two_keys_come_whole(tmp_path: Path, piece: int, style: dict[str, Any]):
    path = write(tmp_path / "a.json", KEYED, **style)
    found = [(outer, inner, record) for outer, inner, record in keyed_records(path)]
    assert found == [(o, i, record) for o, part in KEYED.items() for i, record in part.items()]


@pytest.mark.parametrize("cut", [1, 2, 3, 10, 30, 300, 700])
def test_a_file_that_breaks_off(tmp_path: Path, piece: int, cut: int):
    path = write(tmp_path / "a.json", json.dumps(LISTS)[:-cut])
    if "annotations" in json.dumps(LISTS)[:-cut]:
        with pytest.raises(SourceError, match=r"a whole JSON file at .*a\.json, .* breaks off"):
            lists_of(path)
    path = write(tmp_path / "b.json", json.dumps(KEYED)[:-cut])
    with pytest.raises(SourceError, match=r"a whole JSON file at .*b\.json, .* breaks off"):
        list(keyed_records(path))


@pytest.mark.parametrize("read", [lists_of, lambda path: list(keyed_records(path))])
def test_missing_empty_and_damaged_files(tmp_path: Path, read: Any):
    path = tmp_path / "a.json"
    with pytest.raises(SourceError, match=r"expected a\.json in .*, found no such file"):
        read(path)
    with pytest.raises(SourceError, match="cannot read "):
        read(tmp_path)
    for empty in ("", " \n"):
        with pytest.raises(SourceError, match=r"expected JSON at .*a\.json, found an empty file"):
            read(write(path, empty))
    path.unlink()
    path.symlink_to(path)
    with pytest.raises(SourceError, match=r"cannot read .*symbolic links"):
        read(path)


def test_records_that_are_no_json(tmp_path: Path):
    path = write(tmp_path / "a.json", json.dumps(LISTS).replace("1.5", "1.5.5"))
    with pytest.raises(SourceError, match=r"records as JSON at .*a\.json \(a part\), found no val"):
        lists_of(path)
    path = write(tmp_path / "a.json", json.dumps(KEYED).replace("1.5", "NaN"))
    with pytest.raises(SourceError, match=r"record 3/0 as JSON at .*a\.json, found NaN"):
        list(keyed_records(path))


@pytest.mark.parametrize("other", [LISTS, {"3": {"world": [1]}}, {"a": {"b": {"c": {}}}}])
def test_another_kind_of_file_is_refused(tmp_path: Path, other: Any):
    with pytest.raises(SourceError, match=r"records under two keys in .*a\.json"):
        list(keyed_records(write(tmp_path / "a.json", other)))


def test_a_list_instead_of_lists(tmp_path: Path):
    for read in (lists_of, lambda path: list(keyed_records(path))):
        with pytest.raises(
            SourceError, match=r"expected a JSON object at .*a\.json, .*begins with"
        ):
            read(write(tmp_path / "a.json", [{"id": 1}]))
    assert lists_of(write(tmp_path / "a.json", {"images": []})) == {}


def test_braces_in_strings_do_not_pass_unnoticed(tmp_path: Path, piece: int):
    path = write(tmp_path / "a.json", {"images": [{"id": 1, "name": "}, {"}] * 9})
    try:
        assert lists_of(path)["images"] == [{"id": 1, "name": "}, {"}] * 9
    except SourceError as error:
        assert "\n" not in str(error)  # whole or refused, never cut in silence
