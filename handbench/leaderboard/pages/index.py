"""The first page: what is here, who leads where, what is new."""

from __future__ import annotations

from dataclasses import dataclass

from handbench.leaderboard.board import Board, Entry, Group, Row, Table
from handbench.leaderboard.pages.shell import Shell, file_name
from handbench.scores.results import MetricValue

_NEWEST = 6


@dataclass(frozen=True)
class Card:
    """One group on the first page.

    Attributes
    ----------
    group, address
        Which, and its page.
    leader, metric, number
        Row of rank 1, the metric that ranks, and the leader's number; None and "" where nobody is
        ranked.
    ranked, listed
        How many models have a rank, and how many are listed in all.
    newest
        Date of the newest results.
    """

    group: Group
    address: str
    leader: Row | None
    metric: str
    number: MetricValue | None
    ranked: int
    listed: int
    newest: str


@dataclass(frozen=True)
class News:
    """A model's newest place in one group."""

    group: Group
    row: Row
    table: Table
    created: str


def index_page(shell: Shell) -> str:
    """Return the first page."""
    board = shell.board
    cards = [_card(group) for group in board.groups]
    slugs = {model.name: model.slug for model in board.models}
    return shell.render(
        "index.html.j2",
        root="",
        here="index.html",
        ours=[card for card in cards if card.group.tables],
        published=[card for card in cards if not card.group.tables],
        news=_news(board),
        slugs=slugs,
        places={model.slug: len(model.places) for model in board.models},
        published_rows=sum(len(group.published) for group in board.groups),
        results=sum(len(table.rows) for group in board.groups for table in group.tables),
        datasets=sorted({card.group.dataset for card in cards}),
        splits=sorted({card.group.split for card in cards}),
        protocols=sorted({card.group.protocol for card in cards}),
    )


def current(table: Table) -> list[Row]:
    """Rows that no newer results of the same model replace."""
    return [row for row in table.rows if not row.entry.superseded_by]


def primary_value(table: Table, row: Row) -> MetricValue | None:
    """The number that orders the table; None where there is none."""
    places = [place for place, column in enumerate(table.columns) if column.name == table.primary]
    return row.values[places[0]] if places else None


def created(entry: Entry) -> str:
    """When the results were made, as they say; "" where they do not."""
    return str(entry.results.provenance.get("created") or "")


def _card(group: Group) -> Card:
    rows = [(table, row) for table in group.tables for row in current(table)]
    table, leader = next(((t, r) for t, r in rows if r.rank == 1), (None, None))
    return Card(
        group=group,
        address=f"groups/{file_name(group.slug, '.html')}",
        leader=leader,
        metric=table.primary if table else "",
        number=primary_value(table, leader) if table and leader else None,
        ranked=len({row.entry.name for _, row in rows if row.rank is not None}),
        listed=len({row.entry.name for _, row in rows}),
        newest=max((created(row.entry) for _, row in rows), default=""),
    )


def _news(board: Board) -> list[News]:
    dated = [
        News(group, row, table, created(row.entry))
        for group in board.groups
        for table in group.tables
        for row in current(table)
        if created(row.entry)
    ]
    dated.sort(key=lambda one: (one.created, one.row.entry.slug), reverse=True)
    # One line a model and split: its other protocols came the same minute.
    first = {(n.row.entry.name, n.group.dataset, n.group.split): n for n in reversed(dated)}
    chosen = sorted(first.values(), key=lambda n: (n.created, n.row.entry.slug), reverse=True)
    return chosen[:_NEWEST]
