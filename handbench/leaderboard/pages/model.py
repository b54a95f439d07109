"""The page of one model: where it stands, and its numbers in each place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from handbench.hand import JOINT_NAMES
from handbench.leaderboard.board import Board, Column, Entry, Group, Model, Row, Table
from handbench.leaderboard.pages.group import EVIDENCE_CLASS, drawable
from handbench.leaderboard.pages.index import created, primary_value
from handbench.leaderboard.pages.shell import TOO_LONG, Shell, file_name, number
from handbench.leaderboard.paper import bibtex
from handbench.reports import figures
from handbench.reports.curves import CurveFamily, families
from handbench.reports.ranking import main_metrics
from handbench.scores.results import MetricValue, Results

_OPEN_PLACES = 2


@dataclass(frozen=True)
class Past:
    """One line of a model's history in a group: when, by which handbench, and what it got."""

    entry: Entry
    created: str
    handbench: str
    number: MetricValue | None
    change: float | None


@dataclass(frozen=True)
class Place:
    """A model in one table.

    Attributes
    ----------
    group, table, row
        Where.
    primary, number
        The column that ranks and this model's number in it.
    ranked
        How many rows of the table have a rank.
    numbers
        Columns in which the model has a number, with it.
    empty
        Names of the columns in which it has none.
    curves
        One chart a kind of PCK curve.
    hand, hand_words
        The schematic hand with the numbers of each joint, and what these are.
    joint_metrics, joints
        Names of the metrics by joint; (joint, its table cells) for each joint.
    history
        Newest first; empty where there is only one.
    report
        Address of the comparison report from the root, or None.
    opened
        Whether the page shows it unfolded.
    """

    group: Group
    table: Table
    row: Row
    primary: Column | None
    number: MetricValue | None
    ranked: int
    numbers: list[tuple[Column, MetricValue]]
    empty: list[str]
    curves: list[CurveFamily]
    hand: Markup | None
    hand_words: str
    joint_metrics: list[str]
    joints: list[tuple[str, Markup]]
    history: list[Past]
    report: str | None
    opened: bool


Standing = Mapping[tuple[str, str], tuple[Group, Table, int]]
"""(slug of the group, slug of the entry) → where it stands, and how many rows there have a rank."""


def standing(board: Board) -> Standing:
    """Find every entry once, for all model pages."""
    found: dict[tuple[str, str], tuple[Group, Table, int]] = {}
    for group in board.groups:
        for table in group.tables:
            ranked = sum(row.rank is not None for row in table.rows)
            for row in table.rows:
                found[group.slug, row.entry.slug] = (group, table, ranked)
    return found


def model_page(shell: Shell, model: Model, where: Standing) -> str:
    """Return the page of `model`."""
    places: list[Place] = []
    for slug, row in model.places:
        group, table, ranked = where[slug, row.entry.slug]
        opened = len(places) < _OPEN_PLACES
        past = model.history.get(slug, ())
        report = shell.reports.get((group.dataset, group.split)) if row.entry.evaluation else None
        places.append(_place(group, table, row, ranked, past, report, opened=opened))
    training = places[0].row.entry.training_data if places else None
    return shell.render(
        "model.html.j2",
        root="../",
        here=f"models/{file_name(model.slug, '.html')}",
        model=model,
        places=places,
        training=training,
        evidence_class=EVIDENCE_CLASS,
        bibtex=bibtex(model) if places else "",
    )


def _place(
    group: Group,
    table: Table,
    row: Row,
    ranked: int,
    past: Sequence[Entry],
    report: str | None,
    *,
    opened: bool,
) -> Place:
    results = row.entry.results
    metric, unit = _metric_by_joint(results)
    # The one that the hand shows stands first.
    by_joint = main_metrics(list(results.per_joint))
    by_joint.sort(key=lambda name: name != metric)
    pairs = list(zip(table.columns, row.values, strict=True))
    return Place(
        group=group,
        table=table,
        row=row,
        primary=next((c for c in table.columns if c.name == table.primary), None),
        number=primary_value(table, row),
        ranked=ranked,
        numbers=[(c, v) for c, v in pairs if v is not None and v.value is not None],
        empty=[c.name for c, v in pairs if v is None or v.value is None],
        curves=families([drawable(row.entry)], [row.entry.name]),
        hand=_hand(results.per_joint[metric], metric, unit, row.entry.name) if metric else None,
        hand_words=f"{metric}, in {'%' if unit == 'fraction' else unit}" if metric else "",
        joint_metrics=by_joint,
        joints=_joints(results, by_joint),
        history=_history(past, table) if len(past) > 1 else [],
        report=report,
        opened=opened,
    )


def _history(past: Sequence[Entry], table: Table) -> list[Past]:
    lines: list[Past] = []
    for entry in reversed(past):  # oldest first, each against the one before
        number = entry.results.metrics.get(table.primary)
        before = lines[-1].number if lines else None
        change = None
        if number and before and number.value is not None and before.value is not None:
            change = number.value - before.value
        version = str(entry.results.provenance.get("handbench") or "")
        lines.append(Past(entry, created(entry), version, number, change))
    return lines[::-1]


def _metric_by_joint(results: Results) -> tuple[str, str]:
    """The metric for the schematic hand: the first length, else the first that can be drawn."""
    known = {
        name: _unit(results, name)
        for name, values in results.per_joint.items()
        if any(value is not None for value in values)
        and all(value is None or 0 <= value < TOO_LONG for value in values)
    }
    lengths = [name for name, unit in known.items() if unit in ("px", "mm")]
    name = next(iter(lengths or known), "")
    return name, known.get(name, "")


def _joints(results: Results, names: Sequence[str]) -> list[tuple[str, Markup]]:
    """Name of each joint and its cells; made here, because a template is slow at 1,000 models."""
    columns = [(results.per_joint[name], _unit(results, name)) for name in names]
    return [
        (
            name.replace("_", " "),
            Markup(  # noqa: S704 - formatted numbers
                "".join(f'<td class="n">{number(v[joint], unit)}</td>' for v, unit in columns)
            ),
        )
        for joint, name in enumerate(JOINT_NAMES)
    ]


def _unit(results: Results, name: str) -> str:
    metric = results.metrics.get(name)
    return metric.unit if metric else "fraction" if name.startswith("PCK") else ""


def _hand(values: Sequence[float | None], metric: str, unit: str, name: str) -> Markup:
    known = [value for value in values if value is not None]
    # A hand has room for three digits: fractions are shown in per cent.
    scale, shown = (100, "%") if unit == "fraction" else (1, unit)
    return figures.hand(
        [None if value is None else scale * value for value in values],
        f"Schematic hand with {metric} of each joint of {name}, in {shown}; the table beside it "
        "holds the same numbers.",
        low=scale * min(known),
        high=scale * max(known),
        unit=shown,
    )
