"""Records of a large JSON file, one at a time.

A COCO file is one object whose lists ``images`` and ``annotations`` hold hundreds of thousands of
records: a gigabyte of text, and several as Python objects. Here one record exists at a time.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, TextIO

from handbench.errors import SourceError

_CHUNK_CHARS = 1 << 22
_LARGEST_VALUE_CHARS = 1 << 25
_NUMBER_CHARS = 64
_SPACE = re.compile(r"[ \t\r\n]*")
_DECODER = json.JSONDecoder()


def iterate_records(path: Path, lists: Collection[str], what: str) -> Iterator[tuple[str, Any]]:
    """Records of the lists at the top level of a JSON object, in the order of the file.

    Parameters
    ----------
    path
        File that holds ``{"list": [record, …], …}``; a byte order mark is no harm.
    lists
        Names of the lists to walk through; everything else is passed over.
    what
        What the file should hold, for messages.

    Yields
    ------
    (name of the list, record).

    Raises
    ------
    SourceError
        If the file is missing, unreadable, empty, breaks off, is no valid JSON, or one of `lists`
        is no list. What comes before the damage has been yielded by then.
    """
    try:
        with path.open(encoding="utf-8-sig") as stream:
            yield from _Scanner(stream, path, what).records(frozenset(lists))
    except FileNotFoundError as error:
        raise SourceError(f"expected {what} at {path}, found no such file") from error
    except UnicodeDecodeError as error:
        raise SourceError(
            f"expected {what} as JSON at {path}, found bytes that are no UTF-8 text: copy or "
            "download it again"
        ) from error
    except OSError as error:
        raise SourceError(f"cannot read {what} at {path}: {error.strerror or error}") from error


class _Scanner:
    """Walks through JSON text of which only a window is in memory."""

    def __init__(self, stream: TextIO, path: Path, what: str) -> None:
        self._stream = stream
        self._path = path
        self._what = what
        self._text = ""
        self._at = 0
        self._passed = 0  # characters of the file before the window
        self._ended = False
        self._count = 0

    def records(self, lists: frozenset[str]) -> Iterator[tuple[str, Any]]:
        """Yield (list, record) for every record of `lists`."""
        self._expect("{")
        if self._peek() == "}":
            self._expect("}")
        else:
            yield from self._members(lists)
        if self._peek():
            raise self._invalid("text after the end of the object")

    def _members(self, lists: frozenset[str]) -> Iterator[tuple[str, Any]]:
        more = True
        while more:
            name = self._value()
            if not isinstance(name, str):
                raise self._invalid("a name that is no string")
            self._expect(":")
            if name in lists:
                for record in self._entries(name):
                    yield name, record
            else:
                self._value()
            more = self._continues("}")

    def _entries(self, name: str) -> Iterator[Any]:
        self._count = 0
        if self._peek() not in ("[", ""):
            raise SourceError(
                f"expected a list of {name} in {self._path}, found "
                f"{type(self._value()).__name__}; is this {self._what}?"
            )
        self._expect("[")
        if self._peek() == "]":
            self._expect("]")
            return
        more = True
        while more:
            yield self._value()
            self._count += 1
            more = self._continues("]")

    def _continues(self, end: str) -> bool:
        """Pass a comma (True) or `end` (False)."""
        if self._peek() == ",":
            self._expect(",")
            return True
        self._expect(end)
        return False

    def _value(self) -> Any:
        self._peek()
        while True:
            try:
                value, end = _DECODER.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                # The window may just end too early, but no record is as long as all that.
                if len(self._text) - self._at <= _LARGEST_VALUE_CHARS and self._more():
                    continue
                raise self._not_decoded(error) from error
            except ValueError as error:
                raise self._invalid(str(error)) from error  # a number of thousands of digits
            except RecursionError as error:
                raise self._invalid("lists within lists without end") from error
            # A number near the end of the window may go on behind it: 2 of 2.5e-300.
            near_end = len(self._text) - end < _NUMBER_CHARS
            if isinstance(value, int | float) and near_end and self._more():
                continue
            self._at = end
            return value

    def _peek(self) -> str:
        """The next character that is no space; "" at the end of the file."""
        while True:
            match = _SPACE.match(self._text, self._at)
            self._at = match.end() if match else self._at
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._more():
                return ""

    def _expect(self, char: str) -> None:
        found = self._peek()
        if not found:
            raise self._cut()
        if found != char:
            raise self._invalid(f"{found!r} where {char!r} should be")
        self._at += 1

    def _more(self) -> bool:
        """Slide the window on; False at the end of the file."""
        chunk = self._stream.read(_CHUNK_CHARS)
        self._ended = not chunk
        if chunk:
            self._passed += self._at
            self._text, self._at = self._text[self._at :] + chunk, 0
        return bool(chunk)

    def _not_decoded(self, error: json.JSONDecodeError) -> SourceError:
        at_end = error.pos >= len(self._text.rstrip()) - 1 or error.msg.startswith("Unterminated")
        if self._ended and at_end:
            return self._cut()
        self._at = error.pos
        return self._invalid(error.msg)

    def _cut(self) -> SourceError:
        if not self._passed and not self._text.strip():
            found = "an empty file: copy or download it again"
        else:
            after = f" after {self._count:,} records" if self._count else ""
            found = f"a file that breaks off{after}: copy or download it again"
        return SourceError(f"expected {self._what} as JSON at {self._path}, found {found}")

    def _invalid(self, found: str) -> SourceError:
        return SourceError(
            f"expected {self._what} as JSON at {self._path}, found no valid JSON at character "
            f"{self._passed + self._at:,}: {found}"
        )
