"""Watching: a change that has come to rest makes one rebuild, and an interrupt ends it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from handbench.leaderboard.watch import state, watch


def watched(paths: list[Path], actions: list[Callable[[], object] | None]) -> int:
    """Number of rebuilds when these things happen, one between two looks each."""
    happening = iter(actions)
    built: list[int] = []

    def sleep(seconds: float) -> None:
        assert seconds > 0
        try:
            action = next(happening)
        except StopIteration:
            raise KeyboardInterrupt from None
        if action is not None:
            action()

    watch(paths, lambda: built.append(1), sleep=sleep)
    return len(built)


def test_nothing_changes_and_nothing_is_built(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("1")
    assert watched([tmp_path], [None] * 5) == 0


def test_a_new_a_changed_and_a_removed_file_are_seen(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    file = tmp_path / "deep" / "a.json"
    actions = [
        lambda: file.write_text("1"),
        None,
        lambda: file.write_text("12"),
        None,
        lambda: os.utime(file, (1, 1)),
        None,
        file.unlink,
        None,
    ]
    assert watched([tmp_path], actions) == 4


def test_a_file_that_is_still_being_written_is_waited_for(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    actions: list[Callable[[], object] | None] = [
        lambda: file.write_text("1"),
        lambda: file.write_text("12"),
        lambda: file.write_text("123"),
        None,
        None,
    ]
    assert watched([tmp_path], actions) == 1


def test_a_file_given_by_name_may_come_and_go(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    actions = [lambda: file.write_text("1"), None, file.unlink, None]
    assert watched([file], actions) == 2
    assert state([file]) == {}


def test_what_is_built_among_the_results_is_no_change(tmp_path: Path) -> None:
    site = tmp_path / "site"
    site.mkdir()
    (tmp_path / "a.json").write_text("1")
    before = state([tmp_path], site)
    (site / "index.html").write_text("x")
    assert state([tmp_path], site) == before
    assert state([tmp_path]) != before
