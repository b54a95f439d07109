"""A folder that is written whole or not at all, and never over files of someone else.

A leaderboard is written again and again into the same place, which people also commit, serve and
put files into. So the new one is made beside the old one and then takes its place; and a folder
gives way only when a marker in it says that this program wrote everything it holds.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from handbench.errors import HandbenchError
from handbench.files import describe_names, read_json, write_json

MARKER = ".handbench-leaderboard.json"
"""Name of the file that lists what was written; paths relative to the folder."""


def check_folder(out: Path) -> None:
    """Raise :class:`HandbenchError` unless `out` is absent, empty, or all of it ours."""
    out = Path(out)
    if out.exists() and not out.is_dir():
        raise HandbenchError(f"expected a folder for the leaderboard at {out}, found a file")
    there = next(path for path in (out, *out.absolute().parents) if path.exists())
    if not there.is_dir():
        raise HandbenchError(f"expected a folder for the leaderboard at {out}, found {there}")
    if not out.is_dir():
        return
    if not (out / MARKER).is_file():
        # Only what lies at the top is looked at: this may be somebody's home, or the whole disk.
        top = sorted(path.name for path in out.iterdir())
        if any(not (out / name).is_dir() for name in top) or any(_files(out)):
            raise HandbenchError(
                f"expected an empty or new folder at {out}, or an older leaderboard, found "
                f"something else: {describe_names(top)}; choose another place"
            )
        return
    found = sorted(_files(out))
    ours = {MARKER, *_listed(out / MARKER)}
    foreign = [name for name in found if name not in ours]
    if foreign:
        raise HandbenchError(
            f"{out} holds files that no leaderboard wrote, and that would be lost: "
            f"{describe_names(foreign)}; move them away or choose another place"
        )


@contextlib.contextmanager
def replaced_folder(out: Path) -> Iterator[Path]:
    """Give an empty folder beside `out`; when the block succeeds it takes the place of `out`.

    When the block fails, what it wrote is removed and `out` stays as it was.

    Raises
    ------
    HandbenchError
        If `out` holds foreign files or cannot be written.
    """
    out = Path(out).resolve()  # a link stays a link: what it points to is replaced
    check_folder(out)
    made = out.with_name(f".{out.name}.{os.getpid()}-{secrets.token_hex(4)}.part")
    try:
        made.mkdir(parents=True)
    except OSError as error:
        raise HandbenchError(
            f"cannot write to {out.parent}: {error.strerror or error}; choose another place or "
            "make the folder writable"
        ) from error
    try:
        yield made
        write_json(made / MARKER, {"handbench_leaderboard": 1, "files": sorted(_files(made))})
        check_folder(out)  # something may have been put there meanwhile
        _swap(made, out)
    except BaseException:
        shutil.rmtree(made, ignore_errors=True)
        raise


def _swap(made: Path, out: Path) -> None:
    if not out.exists():
        made.replace(out)
        return
    old = made.with_suffix(".old")
    out.rename(old)
    try:
        made.replace(out)
    except BaseException:
        old.rename(out)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _files(folder: Path) -> Iterator[str]:
    for path in folder.rglob("*"):
        if path.is_symlink() or not path.is_dir():
            yield path.relative_to(folder).as_posix()


def _listed(marker: Path) -> list[str]:
    document = read_json(marker, "the list of files of a leaderboard")
    files = document.get("files") if isinstance(document, dict) else None
    if not isinstance(files, list):
        raise HandbenchError(
            f"{marker}: expected the list of files that a leaderboard wrote, found something "
            "else; choose another place, or remove the folder yourself"
        )
    return [str(name) for name in files]
