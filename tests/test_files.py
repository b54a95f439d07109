from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from handbench import files
from handbench.errors import FormatError, HandbenchError


def test_a_file_appears_only_when_it_is_whole(tmp_path: Path):
    target = tmp_path / "new" / "folder" / "a.txt"
    with files.atomic_path(target) as temporary:
        assert temporary.parent == target.parent
        assert temporary.name.startswith(".")
        temporary.write_text("whole")
        assert not target.exists()
    assert target.read_text() == "whole"
    assert [p.name for p in target.parent.iterdir()] == ["a.txt"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_nothing_is_left_after_a_failure_and_the_old_file_stays(tmp_path: Path, error):
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(error), files.atomic_path(target) as temporary:
        temporary.write_text("half")
        raise error
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_folders_are_renamed_or_removed_too(tmp_path: Path):
    target = tmp_path / "out"
    target.mkdir()  # an empty folder gives way
    with files.atomic_path(target) as temporary:
        temporary.mkdir()
        (temporary / "a").write_text("1")
    assert (target / "a").read_text() == "1"
    with pytest.raises(RuntimeError), files.atomic_path(tmp_path / "other") as temporary:
        (temporary / "deep").mkdir(parents=True)
        raise RuntimeError
    assert list(tmp_path.iterdir()) == [target]


def test_a_full_folder_is_never_replaced(tmp_path: Path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "precious").write_text("1")
    with pytest.raises(OSError), files.atomic_path(tmp_path / "out") as temporary:
        temporary.mkdir()
    assert [p.name for p in tmp_path.rglob("*")] == ["out", "precious"]


def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(HandbenchError, match=r"to .*file: it is no folder; choose another place"),
        files.atomic_path(tmp_path / "file" / "a.txt"),
    ):
        pytest.fail("the block must not run")


def test_json_of_arrays_and_of_what_is_not_finite(tmp_path: Path):
    strided = np.arange(6).reshape(2, 3)[:, ::2]
    value = {"a": strided, "b": np.float32(0.5), "c": [np.nan, np.inf], "d": Path("x/y")}
    value["e"] = np.array(["é"])
    files.write_json(tmp_path / "a.json", value)
    expected = {"a": [[0, 2], [3, 5]], "b": 0.5, "c": [None, None], "d": "x/y", "e": ["é"]}
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == expected
    assert files.read_json(tmp_path / "a.json", "numbers") == expected
    with pytest.raises(TypeError, match="object"):
        files.to_json(object())


WHOLE = '{"name": "Hände", "values": [[1.25, -3e-2], [true, null]]}'


@pytest.mark.parametrize("cut", range(1, len(WHOLE.encode())))
def test_json_that_breaks_off_anywhere_is_called_so(cut: int):
    data = WHOLE.encode()[:cut]
    expected = "breaks off in the middle"
    try:
        data.decode()
    except UnicodeDecodeError:
        expected = "no valid JSON"  # cut inside a character
    with pytest.raises(FormatError, match=expected):
        files.parse_json(data, "labels", "x.json", FormatError)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "expected labels as JSON at x.json, found an empty file"),
        (b"  \n", "found an empty file"),
        (b"[NaN]", "found NaN or an infinity, which JSON does not know"),
        (b"[1.0, -Infinity]", "found NaN or an infinity"),
        (b"[1,2]]", "no valid JSON .line 1, column 6"),
        (b'{"a": 1,\n oops}', "no valid JSON .line 2, column 2"),
        (b"\xff\xfe[]", "no valid JSON"),
    ],
)
def test_bad_json_says_what_is_wrong(data: bytes, message: str):
    with pytest.raises(FormatError, match=message):
        files.parse_json(data, "labels", "x.json", FormatError)


def test_a_missing_json_file_is_named(tmp_path: Path):
    with pytest.raises(FormatError, match=r"expected labels at .*a\.json, found no such file"):
        files.read_json(tmp_path / "a.json", "labels", FormatError)
    with pytest.raises(FormatError, match="cannot read labels at"):
        files.read_json(tmp_path, "labels", FormatError)


def test_hashes(tmp_path: Path):
    (tmp_path / "a").write_bytes(b"hand" * 1000)
    expected = hashlib.sha256(b"hand" * 1000).hexdigest()
    assert files.sha256_file(tmp_path / "a") == expected
    assert files.sha256_bytes(b"hand", b"hand" * 998, memoryview(b"hand")) == expected


def test_names_in_messages_are_shortened():
    assert files.describe_names([]) == ""
    assert files.describe_names("abc", limit=3) == "a, b, c"
    assert files.describe_names(map(str, range(2000)), limit=2) == "0, 1 and 1,998 more"
