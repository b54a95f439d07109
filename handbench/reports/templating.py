"""What every page is filled with: templates that escape, and the hash that lets its script run."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path

import jinja2
from markupsafe import Markup, escape


def environment(folder: Path) -> jinja2.Environment:
    """Templates of a folder: everything is escaped, and a name that is not given is an error.

    Filters of all pages: ``count`` and ``wrappable``.
    """
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    made.filters.update(count=count, wrappable=wrappable)
    return made


def script_hash(script: str) -> str:
    """Source of a content security policy that lets this very script run."""
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def count(value: int) -> str:
    """Return a whole number with commas at the thousands."""
    return f"{value:,}"


def wrappable(metric: str) -> Markup:
    """Let a long metric name break after commas and before brackets."""
    return Markup(re.sub(r"(,|@|(?=\[))", r"\1<wbr>", str(escape(metric))))  # noqa: S704 - escaped
