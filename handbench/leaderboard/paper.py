"""Tables and citations that go from a page into a paper: LaTeX, Markdown and BibTeX as text."""

from __future__ import annotations

from dataclasses import dataclass

from handbench.leaderboard.board import Model, Table
from handbench.reports.table_columns import Choice
from handbench.reports.table_formats import to_latex, to_markdown
from handbench.reports.tables import Ties, paper_tables
from handbench.scores.papers import Citations, cite_results

MAX_ROWS = 30
"""Rows of a table to copy; the files beside it hold all."""


@dataclass(frozen=True)
class PaperText:
    """One table, ready to be pasted; `rows` of its ranked models, the best first."""

    rows: int
    latex: str
    markdown: str


def paper_text(table: Table) -> PaperText | None:
    """Return the ranked rows of `table`, or None where nothing is ranked."""
    ranked = [row for row in table.rows if row.rank is not None][:MAX_ROWS]
    # Two files of one model share no table of a paper; the better one stands for both.
    rows = list({row.entry.name: row for row in reversed(ranked)}.values())[::-1]
    if not rows or not table.columns:
        return None
    tied = frozenset(row.entry.name for row in rows if row.distinguishable is False)
    choice = Choice()
    tables = paper_tables(
        [(row.entry.name, row.entry.results) for row in rows],
        choice,
        {table.signature: Ties(table.primary, tied)},
    )
    return PaperText(len(rows), to_latex(tables, choice), to_markdown(tables, choice))


def bibtex(model: Model) -> str:
    """Return the BibTeX of everything that the model's current numbers rest on."""
    citations = Citations()
    cite_results([(model.name, row.entry.results) for _, row in model.places], citations)
    return citations.text()
