"""Large JSON arrays, one entry at a time.

FreiHAND's vertices are 1.5 GB of JSON: parsed whole they would take ten times that as Python
floats. Here each entry is parsed and turned into an array before the next one is touched.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from handbench.errors import SourceError
from handbench.files import parse_json
from handbench.sources.archive import Readable

# An entry is a list of lists of numbers; it ends where both close.
_ENTRY_END = re.compile(rb"\]\s*\]")
_PIECE_BYTES = 2**22
_BETWEEN = b", \r\n\t"


def iterate_entries(text: bytes | Readable, where: str) -> Iterator[npt.NDArray[np.float64]]:
    """Entries of a JSON array of 2-D arrays: ``[[[x, y, z], …], …]``.

    Parameters
    ----------
    text
        The JSON text, or a stream of it, of which a few megabytes are held at a time.
    where
        Name of the file, for messages.

    Yields
    ------
    2-D float64 arrays.

    Raises
    ------
    SourceError
        If the text breaks off or an entry is no rectangular table of numbers.
    """
    stream: Readable = io.BytesIO(text) if isinstance(text, bytes) else text
    held = b""
    while b"[" not in held:
        piece = stream.read(_PIECE_BYTES)
        if not piece:
            raise SourceError(f"expected a JSON array in {where}, found none")
        held += piece
    held = held[held.index(b"[") + 1 :]
    index, searched = 0, 0
    while True:
        start = 0
        for match in _ENTRY_END.finditer(held, searched):
            yield _entry(held[start : match.end()], index, where)
            index += 1
            start = match.end()
        held = held[start:]
        # Both brackets may be cut apart, with blanks between them.
        searched = max(0, len(held.rstrip(_BETWEEN + b"]")) - 1)
        piece = stream.read(_PIECE_BYTES)
        if not piece:
            break
        held += piece
    if held.strip() != b"]":
        raise SourceError(f"{where} breaks off after {index:,} entries: copy or download it again")


def _entry(text: bytes, index: int, where: str) -> npt.NDArray[np.float64]:
    entry = parse_json(text.lstrip(_BETWEEN), "an entry", where, SourceError)
    try:
        return np.array(entry, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise SourceError(
            f"entry {index} of {where} is no rectangular table of numbers ({error})"
        ) from error
