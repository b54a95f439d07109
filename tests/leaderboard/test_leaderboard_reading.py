from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from many_results import document, write

from handbench.leaderboard.reading import read_results


def test_folders_are_read_at_any_depth_and_other_json_is_passed_over(tmp_path: Path):
    write(tmp_path / "a" / "b" / "net.json", document())
    (tmp_path / "net.diagnosis.json").write_text('{"handbench_diagnosis": 1}')
    (tmp_path / "preds.json").write_text('{"handbench_predictions": 1, "predictions": []}')
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "list.json").write_text("[1, 2]")
    (tmp_path / ".net.json.1-2.part.json").write_text('{"handbench_results": 1')
    write(tmp_path / ".git" / "net.json", document())
    found, unreadable = read_results([tmp_path])
    assert [file.file for file in found] == [(tmp_path / "a/b/net.json").as_posix()]
    assert unreadable == {}


def test_a_file_that_is_named_must_hold_results(tmp_path: Path):
    other = tmp_path / "preds.json"
    other.write_text('{"handbench_predictions": 1}')
    missing = tmp_path / "nothing.json"
    found, unreadable = read_results([other, missing])
    assert found == []
    assert "expected results JSON" in unreadable[other.as_posix()]
    assert "no such file" in unreadable[missing.as_posix()]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ('{"handbench_results": 2}', "results format 2, but this handbench reads format 1"),
        ('{"handbench_results": 1', "breaks off in the middle"),
        ('{"handbench_results": 1, "dataset": "x"}', "required property"),
        ('{"handbench_results": "<b>1</b>"}', "results format '<b>1</b>'"),
        ('{"models": [{"results": [{"handbench_results": 1}]}]}', "found none"),
    ],
)
def test_what_claims_to_be_results_and_is_not_says_why(tmp_path: Path, content: str, sentence: str):
    path = tmp_path / "net.json"
    path.write_text(content)
    found, unreadable = read_results([tmp_path])
    assert found == []
    assert list(unreadable) == [path.as_posix()]
    assert sentence in unreadable[path.as_posix()]


def test_a_name_of_a_thousand_brackets_ends_in_a_sentence(tmp_path: Path):
    text = json.dumps(document(model={"name": "?"}))
    path = tmp_path / "net.json"
    path.write_text(text.replace('"?"', "[" * 990 + "]" * 990))
    found, unreadable = read_results([tmp_path])
    assert found == []
    assert "net.json: " in unreadable[path.as_posix()]
    assert len(unreadable[path.as_posix()]) < 500


def test_a_file_that_is_reached_twice_counts_once(tmp_path: Path):
    path = write(tmp_path / "net.json", document())
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "link.json").symlink_to(path)
    found, _ = read_results([tmp_path, path, tmp_path / "." / "net.json"])
    assert [file.file for file in found] == [path.as_posix()]


def test_the_same_content_under_two_names_counts_once(tmp_path: Path):
    write(tmp_path / "b.json", document())
    write(tmp_path / "a.json", document())
    found, unreadable = read_results([tmp_path])
    assert [file.path.name for file in found] == ["a.json"]
    assert unreadable == {}


def test_a_folder_that_links_to_itself_ends(tmp_path: Path):
    write(tmp_path / "net.json", document())
    (tmp_path / "again").symlink_to(tmp_path, target_is_directory=True)
    found, _ = read_results([tmp_path])
    assert len(found) == 1


def test_a_file_that_may_not_be_read_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = write(tmp_path / "net.json", document())

    def refuse(self: Path) -> bytes:
        raise PermissionError(13, os.strerror(13), str(self))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    found, unreadable = read_results([tmp_path])
    assert found == []
    assert "Permission denied" in unreadable[path.as_posix()]


def test_huge_files_of_another_kind_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "preds.json"
    path.write_text(json.dumps({"handbench_results": 1}))
    monkeypatch.setattr("handbench.leaderboard.reading.MOST_BYTES", 3)
    assert read_results([tmp_path]) == ([], {})


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"model": {"name": "n" * 10**6}}, "model.name: expected at most 1,000 characters"),
        ({"model": {"name": "net", "note": "x" * 10**6}}, "model.note: expected at most"),
        (
            {"model": {"name": "net", "training_data": ["freihand"] * 5000}},
            "names in training_data: expected at most 500, found 5,000",
        ),
        (
            {"metrics": {f"PCK@{i}px": document()["metrics"]["coverage"] for i in range(1, 5000)}},
            "metrics: expected at most 500, found 4,999",
        ),
    ],
)
def test_what_would_fill_pages_that_nobody_can_open_is_not_shown(
    tmp_path: Path, changes: dict[str, object], sentence: str
):
    path = write(tmp_path / "net.json", document(**changes))
    found, unreadable = read_results([tmp_path])
    assert found == []
    assert sentence in unreadable[path.as_posix()]
