"""A folder is replaced whole, and only when everything in it is ours."""

from __future__ import annotations

from pathlib import Path

import pytest

from handbench.errors import HandbenchError
from handbench.leaderboard.folder import MARKER, check_folder, replaced_folder


def write(out: Path, *names: str) -> None:
    with replaced_folder(out) as folder:
        for name in names:
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(name)


def listed(out: Path) -> list[str]:
    return sorted(p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file())


def test_a_new_folder_appears_with_its_parents(tmp_path: Path) -> None:
    out = tmp_path / "a" / "b" / "site"
    write(out, "index.html", "groups/one.html")
    assert listed(out) == [MARKER, "groups/one.html", "index.html"]


def test_an_older_one_is_replaced_and_leaves_nothing_behind(tmp_path: Path) -> None:
    out = tmp_path / "site"
    write(out, "index.html", "groups/old.html")
    write(out, "index.html", "groups/new.html")
    assert listed(out) == [MARKER, "groups/new.html", "index.html"]
    assert [path.name for path in tmp_path.iterdir()] == ["site"]


def test_an_empty_folder_is_taken(tmp_path: Path) -> None:
    out = tmp_path / "site"
    out.mkdir()
    write(out, "index.html")
    assert listed(out) == [MARKER, "index.html"]


def test_a_failure_leaves_the_old_one(tmp_path: Path) -> None:
    out = tmp_path / "site"
    write(out, "index.html")
    with pytest.raises(ZeroDivisionError), replaced_folder(out) as folder:
        (folder / "half.html").write_text("half")
        raise ZeroDivisionError
    assert listed(out) == [MARKER, "index.html"]
    assert [path.name for path in tmp_path.iterdir()] == ["site"]


def test_files_of_something_else_are_never_touched(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(HandbenchError, match=r"found something else: thesis\.tex"):
        write(tmp_path, "index.html")
    assert listed(tmp_path) == ["thesis.tex"]


def test_a_foreign_file_in_a_leaderboard_is_never_lost(tmp_path: Path) -> None:
    out = tmp_path / "site"
    write(out, "index.html")
    (out / "CNAME").write_text("hands.example.org")
    with pytest.raises(HandbenchError, match=r"no leaderboard wrote.*CNAME; move them away"):
        write(out, "index.html")
    assert (out / "CNAME").read_text() == "hands.example.org"


def test_a_file_put_there_while_the_site_was_made_is_not_lost(tmp_path: Path) -> None:
    out = tmp_path / "site"
    write(out, "index.html")
    with pytest.raises(HandbenchError, match="CNAME"), replaced_folder(out):
        (out / "CNAME").write_text("hands.example.org")
    assert (out / "CNAME").exists()


def test_a_link_to_a_folder_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    write(tmp_path / "link", "index.html")
    assert (tmp_path / "link").is_symlink()
    assert listed(tmp_path / "real") == [MARKER, "index.html"]


@pytest.mark.parametrize("text", ['{"files": 3}', "[]", "{", ""])
def test_a_broken_marker_says_so(tmp_path: Path, text: str) -> None:
    (tmp_path / MARKER).write_text(text)
    (tmp_path / "index.html").write_text("x")
    with pytest.raises(HandbenchError, match="the list of files"):
        check_folder(tmp_path)


def test_a_file_in_the_place_of_the_folder_says_so(tmp_path: Path) -> None:
    (tmp_path / "site").write_text("x")
    with pytest.raises(HandbenchError, match=r"expected a folder .* found a file"):
        check_folder(tmp_path / "site")
    with pytest.raises(HandbenchError, match="expected a folder"):
        check_folder(tmp_path / "site" / "below")


def test_a_large_tree_of_something_else_is_not_searched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "notes.txt").write_text("mine")

    def searched(*_: object) -> None:
        raise AssertionError("searched")

    monkeypatch.setattr(Path, "rglob", searched)
    with pytest.raises(HandbenchError, match=r"found something else: notes\.txt"):
        check_folder(tmp_path)
