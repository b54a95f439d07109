"""Large JSON arrays, one entry at a time.

FreiHAND's vertices are 1.5 GB of JSON: parsed whole they would take ten times that as Python
floats. Here each entry is parsed and turned into an array before the next one is touched.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from handbench.errors import SourceError
from handbench.files import parse_json

# An entry is a list of lists of numbers; it ends where both close.
_ENTRY_END = re.compile(rb"\]\s*\]")


def iterate_entries(data: bytes, where: str) -> Iterator[npt.NDArray[np.float64]]:
    """Entries of a JSON array of 2-D arrays: ``[[[x, y, z], …], …]``.

    Parameters
    ----------
    data
        The JSON text.
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
    start = data.find(b"[") + 1
    if start == 0:
        raise SourceError(f"expected a JSON array in {where}, found none")
    index = 0
    for match in _ENTRY_END.finditer(data, start):
        entry = parse_json(
            data[start : match.end()].lstrip(b", \r\n\t"), "an entry", where, SourceError
        )
        try:
            table = np.array(entry, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise SourceError(
                f"entry {index} of {where} is no rectangular table of numbers ({error})"
            ) from error
        yield table
        index += 1
        start = match.end()
    if data[start:].strip() != b"]":
        raise SourceError(f"{where} breaks off after {index:,} entries: copy or download it again")
