"""What every page shares: templates, style, scripts and the policy that lets nothing else run.

Each page carries its style and scripts in itself, so that it works from a folder on disk, below
any path of any host, and when it is mailed alone. The content security policy names the two
scripts by their hashes and allows no request at all.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup, escape

from handbench.errors import HandbenchError
from handbench.leaderboard.board import Board, Column, Entry, Overlap
from handbench.reports import ranking, svg, templating
from handbench.reports.templating import script_hash
from handbench.scores.results import MetricValue

_TEMPLATES = Path(__file__).resolve().parents[1] / "templates"
_REPORT_STYLE = Path(svg.__file__).with_name("templates") / "report.css"
TOO_LONG = 1e7
"""A number that no metric has: written out it could be as wide as three screens."""

_SLUG = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_PLAIN_ADDRESS = re.compile(r"https?://[^\s<>\"']+")


@dataclass(frozen=True)
class Shell:
    """Fills templates of one site.

    Attributes
    ----------
    title
        Of the whole site.
    board
        What it shows.
    reports
        (dataset, split) → address of the comparison report, from the root of the site.
    """

    title: str
    board: Board
    reports: Mapping[tuple[str, str], str] = field(default_factory=dict)

    def render(self, template: str, *, root: str, here: str, **context: Any) -> str:
        """Return a page.

        Parameters
        ----------
        template
            Name of its template.
        root
            Way back to the root of the site: ``""`` or ``"../"``.
        here
            Address of the page from the root, so that the navigation can mark it.
        **context
            What the template asks for.
        """
        early, late = _script("theme.js"), _script("leaderboard.js")
        return (
            environment()
            .get_template(template)
            .render(
                site=self.title,
                board=self.board,
                root=root,
                here=here,
                reports=self.reports,
                trouble=self.trouble,
                early_script=Markup(early),  # noqa: S704 - our own file
                script=Markup(late),  # noqa: S704 - our own file
                hashes=[script_hash(early), script_hash(late)],
                style=Markup(_style()),  # noqa: S704 - our own file
                **context,
            )
        )

    @functools.cached_property
    def trouble(self) -> int:
        """How many files and entries the page of problems lists."""
        return len(self.board.unreadable) + len(flawed(self.board))


def flawed(board: Board) -> list[Entry]:
    """Entries with problems, each once, in the order of the board."""
    entries = (row.entry for group in board.groups for table in group.tables for row in table.rows)
    return list({entry.slug: entry for entry in entries if entry.problems}.values())


def unreadable(board: Board) -> dict[str, str]:
    """File → why it is not here, without the name of the file that most sentences begin with."""
    return {file: why.removeprefix(f"{file}: ") for file, why in board.unreadable.items()}


def file_name(slug: str, ending: str) -> str:
    """Return `slug` + `ending`; raises :class:`HandbenchError` if it could leave its folder."""
    if not _SLUG.fullmatch(slug):
        raise HandbenchError(
            f"expected a page name of letters, digits, '.', '-' and '_', found {slug!r}"
        )
    return slug + ending


@functools.cache
def environment() -> jinja2.Environment:
    """Templates, compiled once a process."""
    made = templating.environment(_TEMPLATES)
    made.filters.update(
        number=number,
        value=value,
        interval=interval,
        percent=percent,
        sentence=sentence,
        day=day,
        linked=linked,
        arrow=arrow,
        plural=plural,
    )
    made.globals.update(
        overlap_class=_OVERLAP_CLASS, overlap_words=_OVERLAP_WORDS, legend_key=svg.legend_key
    )
    return made


_OVERLAP_CLASS = {
    Overlap.NONE: "none",
    Overlap.POSSIBLE: "possible",
    Overlap.SAME: "same",
    Overlap.UNKNOWN: "unknown",
}
_OVERLAP_WORDS = {
    Overlap.NONE: "no overlap known",
    Overlap.POSSIBLE: "may overlap the test set",
    Overlap.SAME: "trained on the test images",
    Overlap.UNKNOWN: "training data unknown",
}


def number(value: float | None, unit: str) -> str:
    """Return a number as :func:`handbench.reports.ranking.number`, absurd ones in short."""
    if value is not None and abs(value) >= TOO_LONG:
        return f"{value:.1e}"
    return ranking.number(value, unit)


def value(metric: MetricValue | None) -> str:
    """Return the number of a metric as text; a dash for none."""
    return number(None, "") if metric is None else number(metric.value, metric.unit)


def interval(metric: MetricValue | None) -> str:
    """Return the 95 % interval as text; "" where there is none."""
    if metric is None or metric.value is None or metric.ci95 is None:
        return ""
    low, high = (number(end, metric.unit) for end in metric.ci95)
    return f"{low}\u202f–\u202f{high}"


def percent(share: float | None) -> str:
    """Return a fraction as per cent; 3,959 of 3,960 is not "100.0 %"."""
    if share is None:
        return "–"
    text = f"{100 * share:.1f}"
    return f"{'> 99.9' if share < 1 and text == '100.0' else text}\u202f%"


def sentence(text: str) -> str:
    """Return `text` with a capital, unless it begins with a name such as rhd/train, and a stop."""
    first = text.partition(" ")[0]
    start = text[:1].upper() + text[1:] if first.replace("-", "").isalpha() else text
    return start + ("" if text.endswith((".", "!", "?")) else ".")


def day(created: object) -> str:
    """Return the date of an ISO time stamp; "" if it is none."""
    found = re.match(r"\d{4}-\d{2}-\d{2}", str(created or ""))
    return found.group() if found else ""


def linked(text: object) -> Markup:
    """Return `text` escaped, as a link if it is a plain http address and nothing else."""
    shown = escape(str(text))
    if not _PLAIN_ADDRESS.fullmatch(str(text)):
        return shown
    return Markup('<a href="{0}" rel="nofollow noopener noreferrer">{0}</a>').format(str(text))


def arrow(column: Column) -> str:
    """Return ↓ where smaller is better, else ↑."""
    return "↓" if column.smaller_is_better else "↑"


def plural(count: int, one: str, many: str = "") -> str:
    """Return a count with its noun.

    >>> plural(1, "model"), plural(2000, "model"), plural(0, "entry", "entries")
    ('1 model', '2,000 models', '0 entries')
    """
    return f"{count:,} {one if count == 1 else many or one + 's'}"


@functools.cache
def _script(name: str) -> str:
    return (_TEMPLATES / name).read_text("utf-8")


@functools.cache
def _style() -> str:
    """The report's style and what the leaderboard adds, without comments and indentation."""
    text = _REPORT_STYLE.read_text("utf-8") + (_TEMPLATES / "leaderboard.css").read_text("utf-8")
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
    return re.sub(r"\s*\n\s*", "\n", text).strip()
