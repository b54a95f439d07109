"""Names of pages: short plain ASCII that any file system and any pages host can serve."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from handbench.files import sha256_bytes

_LONGEST = 60
# Windows opens devices by these names, whatever their ending; a host serves `index` for a folder.
_TAKEN = {"con", "prn", "aux", "nul", "index"} | {
    f"{port}{number}" for port in ("com", "lpt") for number in range(10)
}


def slug(text: str) -> str:
    """Lower-case ASCII letters, digits and hyphens that stand for `text`.

    Text that does not survive (other scripts, very long names) ends in 8 hex digits of its hash,
    so that two such names stay two.

    >>> slug("My Net (v2)")
    'my-net-v2'
    >>> slug("手")
    'x-48e3a023'
    """
    decomposed = unicodedata.normalize("NFKD", text)
    # Accents may go; letters of other scripts may not go unnoticed.
    letters = [c for c in decomposed if not unicodedata.combining(c)]
    plain = "".join(c if c.isascii() else "-" for c in letters).lower()
    short = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")
    lost = any(not c.isascii() and c.isalnum() for c in letters)
    if lost or not short or len(short) > _LONGEST or short in _TAKEN:
        digest = sha256_bytes(text.encode("utf-8", "surrogatepass"))[:8]
        short = f"{short[: _LONGEST - 9].strip('-') or 'x'}-{digest}"
    return short


def unique_slugs(texts: Iterable[str]) -> list[str]:
    """One slug a text, no two the same: of those with the same letters all but one get a number.

    A text keeps its plain address whatever comes beside it in other cases, scripts or marks:

    >>> unique_slugs(["NET", "net"])
    ['net-2', 'net']
    """
    listed = list(texts)
    chosen: dict[int, str] = {}
    taken: set[str] = set()
    for place in sorted(range(len(listed)), key=lambda place: (*_strange(listed[place]), place)):
        base = name = slug(listed[place])
        number = 2
        while name in taken:
            name, number = f"{base}-{number}", number + 1
        taken.add(name)
        chosen[place] = name
    return [chosen[place] for place in range(len(listed))]


def _strange(text: str) -> tuple[bool, bool, bool]:
    """How far a text is from being a slug itself."""
    return text != slug(text), not text.isascii(), text != text.lower()
