"""Where a file comes from: the version, command and time that every file we write carries."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import shlex
import sys
from pathlib import Path

from handbench import __version__


def command_line() -> str:
    """Return the command that started this process, as one could type it again."""
    program = Path(sys.argv[0]).name if sys.argv and sys.argv[0] else "python"
    if program == "__main__.py":
        program = "python -m handbench"
    arguments = shlex.join(sys.argv[1:])
    return f"{program} {arguments}".strip()


def processor_name() -> str:
    """Return the name of the processor; Python itself knows its family at most on Linux."""
    import platform

    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def created_now() -> str:
    """Return the time as ISO 8601 in UTC.

    ``SOURCE_DATE_EPOCH`` (https://reproducible-builds.org) overrides the clock, so that two
    conversions of the same data can be equal byte for byte.
    """
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    moment = (
        dt.datetime.fromtimestamp(int(epoch), tz=dt.UTC) if epoch else dt.datetime.now(tz=dt.UTC)
    )
    return moment.isoformat(timespec="seconds")


def provenance() -> dict[str, str]:
    """Version, command and time: keys ``handbench``, ``command``, ``created``."""
    return {"handbench": __version__, "command": command_line(), "created": created_now()}
