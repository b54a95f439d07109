"""Large JSON files of flat records, read from disk a piece at a time.

A record is flat if it holds numbers, strings and lists, but no other object. Every ``}`` then ends
a record or closes the file, so text can be cut behind any of them and parsed on its own. A cut at a
wrong place (a brace in a string) cannot go unnoticed: the pieces would be no JSON.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from handbench.errors import SourceError
from handbench.files import parse_json

_PIECE_BYTES = 2**20
_SPACE = b" \t\r\n"
# `"images": [` before the first record of a list, and the bracket behind the last one.
_LIST_STARTS = re.compile(rb'"([^"\\]*)"\s*:\s*\[\s*(?=\{)')
_LIST_ENDS = re.compile(rb"\}\s*\]")
# `"3": {` of an outer key, or `"2017": {...}` with all of a flat record.
_KEYED = re.compile(rb'"([^"\\]*)"\s*:\s*(\{[^{}]*\}|\{)')


def record_lists(path: Path) -> Iterator[tuple[str, bytes]]:
    """Lists of records of a JSON object ``{"name": [{…}, …], …}``, in pieces.

    Parameters
    ----------
    path
        The file. What is no list of records in it is passed over.

    Yields
    ------
    Name of the list, and the text of a JSON list of some of its records, in file order. It is
    text so that a caller may simplify it before :func:`parse_records`.

    Raises
    ------
    SourceError
        If the file is missing, empty, or breaks off.
    """
    inside: str | None = None
    for text in _cut_behind_braces(path):
        position = 0
        if inside is not None and text.lstrip(_SPACE).startswith(b"]"):
            inside, position = None, text.index(b"]") + 1
        while position < len(text):
            if inside is None:
                start = _LIST_STARTS.search(text, position)
                if start is None:
                    break
                inside, position = start[1].decode("utf-8", "replace"), start.end()
            end = _LIST_ENDS.search(text, position)
            stop = len(text) if end is None else end.start() + 1
            yield inside, b"[" + text[position:stop].lstrip(_SPACE + b",") + b"]"
            position = stop
            if end is not None:
                inside, position = None, end.end()
    if inside is not None:
        raise _breaks_off(path, f"in the list {inside!r}")


def parse_records(text: bytes, path: Path) -> list[dict[str, Any]]:
    """The records of a piece of :func:`record_lists`.

    Raises
    ------
    SourceError
        If they are no JSON.
    """
    records: list[dict[str, Any]] = parse_json(text, "records", f"{path} (a part)", SourceError)
    return records


def keyed_records(path: Path) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Records of a JSON object of objects ``{"outer": {"inner": {…}, …}, …}``, one by one.

    Yields
    ------
    Outer key, inner key, record.

    Raises
    ------
    SourceError
        If the file is missing, empty, breaks off, or is built in another way.
    """
    outer: str | None = None
    depth = 0
    for text in _cut_behind_braces(path):
        position = 0
        if not depth and text.lstrip(_SPACE).startswith(b"{"):
            depth, position = 1, text.index(b"{") + 1
        for match in _KEYED.finditer(text, position):
            depth -= _closed(text[position : match.start()], path)
            position = match.end()
            key = match[1].decode("utf-8", "replace")
            if match[2] == b"{":
                outer, depth = key, depth + 1
            elif depth == 2 and outer is not None:
                record = parse_json(match[2], f"record {outer}/{key}", str(path), SourceError)
                yield outer, key, record
            elif depth > 1 or match[2].strip(b"{}" + _SPACE):
                raise SourceError(f"expected records under two keys in {path}, found {key!r} alone")
        depth -= _closed(text[position:], path)
    if depth:
        raise _breaks_off(path, f"after the key {outer!r}")


def _closed(gap: bytes, path: Path) -> int:
    """Braces that close between two records; nothing else but commas may stand there."""
    if gap.strip(_SPACE + b",}"):
        raise SourceError(
            f"expected records under two keys in {path}, found {gap.strip()[:40]!r}: damaged, or "
            "another kind of file"
        )
    return gap.count(b"}")


def _cut_behind_braces(path: Path) -> Iterator[bytes]:
    """The text of a file in pieces of about a megabyte, each of which ends with ``}``."""
    rest = b""
    begun = False
    try:
        with path.open("rb") as stream:
            while data := stream.read(_PIECE_BYTES):
                if not begun and data.strip():
                    begun = True
                    if not data.lstrip().startswith(b"{"):
                        raise SourceError(
                            f"expected a JSON object at {path}, found a file that begins with "
                            f"{data.lstrip()[:16]!r}: another kind of file"
                        )
                end = data.rfind(b"}") + 1
                if end:
                    yield rest + data[:end]
                    rest = data[end:]
                else:
                    rest += data
    except FileNotFoundError as error:
        raise SourceError(f"expected {path.name} in {path.parent}, found no such file") from error
    except OSError as error:
        raise SourceError(f"cannot read {path}: {error.strerror or error}") from error
    if not begun:
        raise SourceError(f"expected JSON at {path}, found an empty file; fetch it again")
    if rest.strip():
        raise _breaks_off(path, "at its end")


def _breaks_off(path: Path, where: str) -> SourceError:
    return SourceError(
        f"expected a whole JSON file at {path}, found one that breaks off {where}: copy or "
        "download it again"
    )
