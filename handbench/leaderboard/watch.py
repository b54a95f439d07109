"""Rebuild when files change: by looking at sizes and times, which works on every disk."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

INTERVAL_S = 1.0
"""How often files are looked at."""

State = dict[str, tuple[int, int]]


def watch(
    paths: Sequence[Path],
    rebuild: Callable[[], None],
    *,
    ignore: Path | None = None,
    sleep: Callable[[float], None] = time.sleep,
    interval_s: float = INTERVAL_S,
) -> None:
    """Call `rebuild` whenever something below `paths` changes, until interrupted.

    Parameters
    ----------
    paths
        Files, or folders at any depth; they may come and go.
    rebuild
        Called after a change has come to rest: a file that is still being written is waited for.
    ignore
        A folder that does not count: what is built may lie among what is watched.
    sleep, interval_s
        How to wait between two looks, and how long.
    """
    built = seen = state(paths, ignore)
    try:
        while True:
            sleep(interval_s)
            now = state(paths, ignore)
            if now != built and now == seen:
                built = now
                rebuild()
            seen = now
    except KeyboardInterrupt:
        return


def state(paths: Sequence[Path], ignore: Path | None = None) -> State:
    """Size and time of change of every file below `paths` and not below `ignore`."""
    apart = None if ignore is None else ignore.resolve()
    found: State = {}
    for path in paths:
        files = path.rglob("*") if path.is_dir() else (path,)
        for file in files:
            try:
                facts = file.stat()
            except OSError:  # gone since it was listed
                continue
            if apart is not None and file.resolve().is_relative_to(apart):
                continue
            if not file.is_dir():
                found[str(file)] = (facts.st_size, facts.st_mtime_ns)
    return found
