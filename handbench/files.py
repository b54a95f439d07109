"""Files written whole or not at all: temporary name, check, rename. Also hashes and JSON."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import orjson

from handbench.errors import HandbenchError


@contextlib.contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """Give a temporary path beside `target`; rename it to `target` when the block succeeds.

    Works for files and for directories the block creates. When the block fails, what it wrote is
    removed and an existing `target` stays as it was.

    Raises
    ------
    HandbenchError
        If the folder of `target` cannot be made or written.
    """
    target = Path(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        # A dot hides the unfinished file from globs such as `datasets/*.h5`.
        temporary = target.with_name(f".{target.name}.{os.getpid()}-{secrets.token_hex(4)}.part")
        temporary.touch(exist_ok=False)
        temporary.unlink()
    except OSError as error:
        reason = error.strerror or error  # a file in the place of the folder: "File exists"
        if isinstance(error, FileExistsError | NotADirectoryError):
            reason = "it is no folder"
        raise HandbenchError(
            f"cannot write to {target.parent}: {reason}; choose another place "
            "or make the folder writable"
        ) from error
    try:
        yield temporary
        if temporary.is_dir() and target.is_dir():
            target.rmdir()  # only an empty folder gives way
        temporary.replace(target)
    except BaseException:
        if temporary.is_dir():
            shutil.rmtree(temporary, ignore_errors=True)
        else:
            temporary.unlink(missing_ok=True)
        raise


def write_bytes(path: Path, data: bytes) -> None:
    """Write `data` to `path` atomically."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 `text` to `path` atomically."""
    write_bytes(path, text.encode())


def to_json(value: Any, *, indent: bool = True) -> bytes:
    """JSON bytes of `value`; numpy arrays and scalars are numbers, NaN and infinity are null."""
    options = orjson.OPT_SERIALIZE_NUMPY | (orjson.OPT_INDENT_2 if indent else 0)
    return orjson.dumps(value, option=options, default=_jsonable)


def _jsonable(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "tolist"):  # numpy arrays that are strided or hold strings
        return value.tolist()
    raise TypeError(f"{type(value).__name__} has no JSON form")


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, atomically."""
    write_bytes(path, to_json(value) + b"\n")


def read_json(path: Path, what: str, error: type[HandbenchError] = HandbenchError) -> Any:
    """Parse a JSON file.

    Parameters
    ----------
    path
        The file.
    what
        What it should hold, for the message: ``"intrinsics"``.
    error
        Class to raise.

    Raises
    ------
    HandbenchError
        Of the class `error`: missing, unreadable, truncated, or no JSON.
    """
    try:
        data = Path(path).read_bytes()
    except FileNotFoundError as missing:
        raise error(f"expected {what} at {path}, found no such file") from missing
    except OSError as failed:
        raise error(f"cannot read {what} at {path}: {failed.strerror or failed}") from failed
    return parse_json(data, what, str(path), error)


def parse_json(
    data: bytes, what: str, where: str, error: type[HandbenchError] = HandbenchError
) -> Any:
    """Parse JSON bytes; see :func:`read_json`. `where` names the file in messages."""
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as invalid:
        if not data.strip():
            found = "an empty file: copy or download it again"
        elif _breaks_off(invalid):
            found = "a file that breaks off in the middle: copy or download it again"
        elif invalid.doc[invalid.pos :].startswith(("NaN", "Infinity")):
            found = f"NaN or an infinity, which JSON does not know (line {invalid.lineno})"
        else:
            found = f"no valid JSON (line {invalid.lineno}, column {invalid.colno}: {invalid.msg})"
        raise error(f"expected {what} as JSON at {where}, found {found}") from invalid


def _breaks_off(invalid: orjson.JSONDecodeError) -> bool:
    # Positions count characters, not bytes. An error at the end is a cut, unless the document was
    # already whole there.
    at_end = invalid.pos >= len(invalid.doc.rstrip()) - 1
    return bool(invalid.doc) and at_end and "after document" not in invalid.msg


def sha256_bytes(*chunks: bytes | memoryview) -> str:
    """Hex SHA-256 of the chunks, one after another."""
    digest = hashlib.sha256()
    for chunk in chunks:
        digest.update(chunk)
    return digest.hexdigest()


def sha256_file(path: Path) -> str:
    """Hex SHA-256 of a file, read in blocks."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def describe_names(names: Iterable[str], limit: int = 5) -> str:
    """Join names for a message and say how many were left out.

    >>> describe_names("abcdefg", limit=3)
    'a, b, c and 4 more'
    """
    listed = list(names)
    shown = ", ".join(listed[:limit])
    return shown if len(listed) <= limit else f"{shown} and {len(listed) - limit:,} more"
