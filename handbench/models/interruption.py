"""Signals that ask a run to end: what clusters send before they take a machine away."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

_NAMES = ("SIGTERM", "SIGUSR1")
"""SIGUSR1 is unknown to Windows."""


class Asked:
    """The signal that came, 0 as long as none did."""

    def __init__(self) -> None:
        self.signal = 0


@contextlib.contextmanager
def listening() -> Iterator[Asked]:
    """Note SIGTERM and SIGUSR1 instead of ending at once, for the length of a block.

    Only the main thread may do so; elsewhere signals stay as they are.
    """
    asked = Asked()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return

    def note(number: int, _frame: FrameType | None) -> None:
        asked.signal = number

    kinds = [getattr(signal, name) for name in _NAMES if hasattr(signal, name)]
    before = {kind: signal.signal(kind, note) for kind in kinds}
    try:
        yield asked
    finally:
        for kind, handler in before.items():
            signal.signal(kind, handler)


def ignore_signals(_worker: int = 0) -> None:
    """Leave signals that go to a whole group of processes to the one that saves.

    For loading processes, which end with the process that reads from them.
    """
    for name in _NAMES:
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
