"""The page of one dataset, split and protocol: the tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from handbench.leaderboard.board import (
    Column,
    Entry,
    Evidence,
    Group,
    Overlap,
    PublishedEvidence,
    PublishedRow,
    Row,
    Table,
)
from handbench.leaderboard.downloads import Download
from handbench.leaderboard.pages.index import current
from handbench.leaderboard.pages.shell import Shell, file_name
from handbench.leaderboard.paper import PaperText, paper_text
from handbench.reports.curves import CurveFamily, Curves, families

_MODELS_IN_A_CHART = 6

EVIDENCE_CLASS = {
    Evidence.RESCORED: "rescored",
    Evidence.REPRODUCED: "reproduced",
    Evidence.SELF_REPORTED: "self",
}


@dataclass(frozen=True)
class TableView:
    """A table ready for the template.

    Attributes
    ----------
    table
        As on the board.
    number
        1 for the first of the group.
    order
        Positions of the columns, in the order they are shown: the ranking one, then leading ones.
    shown
        Positions of those that are shown before a reader asks for all.
    drawn, curves
        The models whose curves are drawn, and one chart a kind of curve.
    equal_coverage
        Whether all rows found the same share of hands.
    published
        Reference rows that stand in this table.
    downloads
        Files with its numbers.
    paper
        The ranked rows as LaTeX and Markdown; None where nothing is ranked.
    """

    table: Table
    number: int
    order: list[int]
    shown: frozenset[int]
    drawn: list[str]
    curves: list[CurveFamily]
    equal_coverage: bool
    published: Sequence[PublishedRow]
    downloads: Sequence[Download]
    paper: PaperText | None

    @property
    def primary(self) -> Column | None:
        """The column that orders."""
        return next((c for c in self.table.columns if c.name == self.table.primary), None)

    @property
    def with_coverage(self) -> bool:
        """Whether coverage needs a column of its own, because no metric tells it."""
        return all(column.name != "coverage" for column in self.table.columns)

    @property
    def ranked(self) -> int:
        """How many rows have a rank."""
        return sum(row.rank is not None for row in self.table.rows)

    @property
    def old(self) -> int:
        """How many rows a newer one replaces."""
        return len(self.table.rows) - len(current(self.table))

    @property
    def has_ties(self) -> bool:
        """Whether any row cannot be told from the best."""
        return any(row.distinguishable is False for row in self.table.rows)


def group_page(
    shell: Shell,
    group: Group,
    downloads: Sequence[Sequence[Download]],
    published_downloads: Sequence[Download],
) -> str:
    """Return the page of `group`.

    Parameters
    ----------
    shell
        Of the site.
    group
        Which.
    downloads
        Files with the numbers of each table.
    published_downloads
        Files with the published rows.
    """
    rows = [row for table in group.tables for row in table.rows]
    training = sorted({name for row in rows for name in row.entry.training_data or ()})
    views = [
        _view(table, number, group.published if number == 1 else (), files)
        for number, (table, files) in enumerate(zip(group.tables, downloads, strict=True), 1)
    ]
    address = f"groups/{file_name(group.slug, '.html')}"
    return shell.render(
        "group.html.j2",
        root="../",
        here=address,
        group=group,
        views=views,
        siblings=[
            other
            for other in shell.board.groups
            if (other.dataset, other.split) == (group.dataset, group.split)
        ],
        report=shell.reports.get((group.dataset, group.split)),
        slugs={model.name: model.slug for model in shell.board.models},
        rows=rows,
        evidence=[e for e in Evidence if any(row.entry.evidence is e for row in rows)],
        evidence_class=EVIDENCE_CLASS,
        published_evidence=[
            level
            for level in PublishedEvidence
            if any(p.evidence is level for p in group.published)
        ],
        overlaps=[o for o in Overlap if any(r.entry.contamination.overlap is o for r in rows)],
        training=training,
        training_number={name: number for number, name in enumerate(training)},
        has_unknown=any(row.entry.training_data is None for row in rows),
        has_more=any(len(view.shown) < len(view.order) for view in views),
        has_old=any(row.entry.superseded_by for row in rows),
        printed=list(dict.fromkeys(name for row in group.published for name in row.printed)),
        published_downloads=published_downloads,
    )


def _view(
    table: Table,
    number: int,
    published: Sequence[PublishedRow],
    downloads: Sequence[Download],
) -> TableView:
    printed = {name for row in published for name in row.values}
    # What published rows have a number for is what readers come to compare.
    shown = [i for i, c in enumerate(table.columns) if c.leading or c.name in printed]
    # On a phone the first number is the one in sight.
    shown.sort(key=lambda i: (table.columns[i].name != table.primary, i))
    rest = [i for i in range(len(table.columns)) if i not in shown]
    drawn = [row for row in current(table) if drawable(row.entry)]
    drawn = _best_first(drawn)[:_MODELS_IN_A_CHART]
    names = [row.entry.name for row in drawn]
    return TableView(
        table=table,
        number=number,
        order=shown + rest,
        shown=frozenset(shown),
        drawn=names,
        curves=families([drawable(row.entry) for row in drawn], names),
        equal_coverage=len({row.coverage for row in current(table)}) < 2,
        published=published,
        downloads=downloads,
        paper=paper_text(table),
    )


def drawable(entry: Entry) -> Curves:
    """Curves of an entry; none where the checks found a problem: they may not even be curves."""
    return {} if entry.problems else entry.results.curves


def _best_first(rows: Sequence[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: (row.rank is None, row.rank or 0))
