"""What the page is made of beside its text: style, scripts, samples; read once, from the wheel."""

from __future__ import annotations

import functools
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from handbench.hand import FINGER_COLORS

_HERE = Path(__file__).parent
_REPORT_STYLE = _HERE.parent / "reports" / "templates" / "report.css"
_THEME = _HERE.parent / "leaderboard" / "templates" / "theme.js"


@dataclass(frozen=True)
class Asset:
    """A file that a browser asks for."""

    data: bytes
    media_type: str

    @property
    def version(self) -> str:
        """Changes with the bytes, so that browsers may keep them for ever."""
        return hashlib.sha256(self.data).hexdigest()[:12]


@dataclass(frozen=True)
class Sample:
    """A picture to try: our own synthetic hands, so that there is no photo of anybody."""

    name: str
    words: str
    data: bytes


@functools.cache
def samples() -> dict[str, Sample]:
    """Name → sample, in the order of the page."""
    found = {}
    for path in sorted((_HERE / "samples").glob("*.jpg")):
        name = path.stem.split("-", 1)[1]
        found[name] = Sample(name, name.replace("-", " "), path.read_bytes())
    return found


@functools.cache
def assets() -> dict[str, Asset]:
    """Address below ``static/`` → asset."""
    script = "text/javascript; charset=utf-8"
    return {
        "style.css": Asset(_style().encode(), "text/css; charset=utf-8"),
        "theme.js": Asset(_THEME.read_bytes(), script),
        **{
            path.name: Asset(path.read_bytes(), script)
            for path in sorted((_HERE / "static").glob("*.js"))
        },
        "icon.svg": Asset((_HERE / "static" / "icon.svg").read_bytes(), "image/svg+xml"),
        **{
            f"samples/{sample.name}.jpg": Asset(sample.data, "image/jpeg")
            for sample in samples().values()
        },
    }


def address(name: str) -> str:
    """Address of an asset from the root of the site."""
    return f"static/{name}?v={assets()[name].version}"


def _style() -> str:
    """The report's style and what this page adds, without comments and indentation."""
    text = _REPORT_STYLE.read_text("utf-8") + (_HERE / "static" / "web.css").read_text("utf-8")
    for finger, color in FINGER_COLORS.items():
        text += f"\n.f-{finger} {{ background: {color}; fill: {color}; stroke: {color}; }}"
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
    return re.sub(r"\s*\n\s*", "\n", text).strip()
