"""Writes that the system refuses: HDF5 reports them in a paragraph, or not at all."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from handbench.errors import HandbenchError

_HDF5_WRITE = re.compile(r"file write failed:.*\berrno = (\d+)", re.DOTALL)
"""Number of the system's error in HDF5's message."""


@contextlib.contextmanager
def refused_writes() -> Iterator[list[BaseException]]:
    """Gather the failed writes that h5py prints and forgets: those on letting a dataset go."""
    gathered: list[BaseException] = []
    excepthook, unraisablehook = sys.excepthook, sys.unraisablehook

    def is_ours(error: BaseException | None) -> bool:
        ours = error is not None and bool(failed_write(error))
        if error is not None and ours:
            gathered.append(error)
        return ours

    def printed(
        kind: type[BaseException], error: BaseException, trace: TracebackType | None
    ) -> None:
        if not is_ours(error):
            excepthook(kind, error, trace)

    def ignored(unraisable: sys.UnraisableHookArgs) -> None:
        if not is_ours(unraisable.exc_value):
            unraisablehook(unraisable)

    sys.excepthook, sys.unraisablehook = printed, ignored
    try:
        yield gathered
    finally:
        sys.excepthook, sys.unraisablehook = excepthook, unraisablehook


@contextlib.contextmanager
def one_sentence(path: Path) -> Iterator[None]:
    """Say what stopped the writing of `path`; HDF5 says it in a paragraph, as two classes."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        reason = failed_write(error)
        if not reason:
            raise
        raise HandbenchError(
            f"cannot write {path}: {reason}; nothing of it was kept: make room there or choose "
            "another place"
        ) from error


def failed_write(error: BaseException) -> str:
    """Why the system refused to write, where `error` says that it did; else nothing."""
    found = _HDF5_WRITE.search(str(error)) if isinstance(error, OSError | RuntimeError) else None
    return os.strerror(int(found[1])) if found else ""
