"""Numbers as they go into a paper: one table for every set of results that may share columns.

A table is built from :class:`~handbench.scores.results.Results` alone, so that results files print
as well as a fresh evaluation does. Rows are models and columns are metrics; only results with equal
signatures share a table. :mod:`handbench.reports.table_formats` writes it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from handbench.errors import ScoreError
from handbench.reports.escape import one_line
from handbench.reports.table_columns import (
    ALL,
    COVERAGE,
    Choice,
    Column,
    Models,
    cell_of,
    columns_of,
    number_of,
    parsed,
    plain_definition,
    preset_of,
    resolve,
)
from handbench.reports.table_notes import FLOOR, apart_because, notes_of
from handbench.scores.compare import Ranking, over_found
from handbench.scores.results import MetricValue, Results
from handbench.scores.text import short_signature


@dataclass(frozen=True)
class Row:
    """A model.

    Attributes
    ----------
    label
        Its name, unique in the table.
    values
        One a column; None where it has no such metric.
    best
        Positions of the columns in which nobody is better.
    tied
        Not distinguishable from the best model by the paired test.
    """

    label: str
    values: tuple[MetricValue | None, ...]
    best: frozenset[int] = frozenset()
    tied: bool = False


@dataclass(frozen=True)
class PaperTable:
    """Models whose numbers may stand in one column.

    Attributes
    ----------
    dataset, split, protocol, hands
        What was scored: names, protocol with version, number of expected hands.
    columns, rows
        Rows are ordered, best first, by `sorted_by`; "" where they may not be.
    floor
        What the mean pose gets; None where no column has it.
    notes
        Sentences that a reader of the table needs, beside the definitions of the columns.
    signature, commands, versions
        What all rows share, how to make them again, and by which handbench.
    """

    dataset: str
    split: str
    protocol: str
    hands: int
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    floor: Row | None
    sorted_by: str
    notes: tuple[str, ...]
    signature: str
    commands: tuple[str, ...] = ()
    versions: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """What was scored, in one line."""
        hands = f"{self.hands:,} hand{'s' * (self.hands != 1)}"
        return f"{self.dataset} {self.split}, {hands}, protocol {self.protocol}"


@dataclass(frozen=True)
class Ties:
    """What the paired test said of one table: its metric, and who is not distinguishable."""

    metric: str
    tied: frozenset[str] = frozenset()


def paper_tables(
    results: Sequence[tuple[str, Results]],
    choice: Choice | None = None,
    ties: Mapping[str, Ties] | None = None,
) -> list[PaperTable]:
    """Tables of results, one for every dataset, split and signature.

    Parameters
    ----------
    results
        Label of the model and its results. Within a table labels are unique.
    choice
        Columns and how numbers are shown.
    ties
        Signature → what the paired test said, where hands were there to test on
        (:func:`ties_of`).

    Returns
    -------
    In the order in which signatures occur; those without any chosen column are left out.

    Raises
    ------
    ScoreError
        If a column is unknown or ambiguous, or a label occurs twice in a table.
    """
    choice = choice or Choice()
    groups: dict[tuple[str, str, str, str], dict[str, Results]] = {}
    for label, one in results:
        key = (one.dataset, one.split, one.protocol, one.signature)
        group = groups.setdefault(key, {})
        if label in group:
            raise ScoreError(f"expected one result a model in a table, found {label!r} twice")
        group[label] = one
    known = list(dict.fromkeys(name for _, one in results for name in one.metrics))
    asked = [resolve(name, known) for name in choice.columns if name != ALL]
    tables = []
    for key, group in groups.items():
        siblings = [other for other in groups if other[:3] == key[:3]]
        columns = columns_of(group, choice, asked)
        if columns:
            apart = apart_because(key[3], [other[3] for other in siblings])
            tables.append(_table(group, columns, choice, (ties or {}).get(key[3]), apart))
    if results and not tables:
        raise ScoreError("no table to print: the results hold no metric")
    return tables


def ties_of(rankings: Sequence[Ranking]) -> dict[str, Ties]:
    """What paired tests say: signature → models that cannot be told from the best."""
    return {
        ranking.signature: Ties(
            ranking.metric,
            frozenset(row.label for row in ranking.rows if row.distinguishable is False),
        )
        for ranking in rankings
        if any(row.p is not None for row in ranking.rows)
    }


# --- rows -----------------------------------------------------------------------------------------


def _table(
    group: Models,
    columns: tuple[Column, ...],
    choice: Choice,
    ties: Ties | None,
    apart: str,
) -> PaperTable:
    first = next(iter(group.values()))
    names = [column.name for column in columns]
    unequal = {name for name in names if _differs(name, list(group.values()))}
    sorted_by = _sorting(names, group, unequal)
    labels = _sorted(group, sorted_by)
    cells = {label: [cell_of(group[label], name) for name in names] for label in labels}
    best: dict[str, set[int]] = {label: set() for label in labels}
    if len(labels) > 1:
        for place, column in enumerate(columns):
            if column.name not in unequal and column.smaller_is_better is not None:
                for label in _best(column, {label: cells[label][place] for label in labels}):
                    best[label].add(place)
    tied = ties.tied if ties else frozenset()
    rows = tuple(
        Row(label, tuple(cells[label]), frozenset(best[label]), label in tied) for label in labels
    )
    floor = _floor(first, names)
    return PaperTable(
        dataset=one_line(first.dataset),
        split=one_line(first.split),
        protocol=_tag(first),
        hands=first.samples["expected"],
        columns=columns,
        rows=rows,
        floor=floor,
        sorted_by=sorted_by if len(labels) > 1 else "",
        notes=tuple(
            notes_of(
                group,
                columns,
                choice,
                floor=floor is not None,
                tied_by=ties.metric if ties and any(row.tied for row in rows) else "",
                unequal=unequal,
                apart=apart,
            )
        ),
        signature=one_line(first.signature),
        commands=_each(group, "command"),
        versions=_each(group, "handbench"),
    )


def _sorting(names: Sequence[str], group: Models, unequal: Collection[str]) -> str:
    """Metric that orders the rows: the one that ranks if it is shown, else the first column."""
    preset = preset_of(group)
    ranks = [str(metric) for metric in preset.ranking_metrics] if preset else []
    wanted = [name for name in ranks if name in names] + [n for n in names if n != COVERAGE]
    filled = [n for n in wanted if any(number_of(r, n) is not None for r in group.values())]
    if not filled or filled[0] in unequal or parsed(filled[0]) is None:
        return ""
    return filled[0]


def _sorted(group: Models, by: str) -> list[str]:
    labels = list(group)
    metric = parsed(by)
    if metric is None:
        return labels
    sign = 1.0 if metric.is_distance else -1.0

    def key(label: str) -> float:
        value = number_of(group[label], by)
        return math.inf if value is None else sign * value

    return sorted(labels, key=key)


def _best(column: Column, cells: Mapping[str, MetricValue | None]) -> list[str]:
    """Labels with the best value, and those whose rounded value is the same."""
    numbers = {
        label: cell.value
        for label, cell in cells.items()
        if cell is not None and cell.value is not None
    }
    if not numbers:
        return []
    top = min(numbers.values()) if column.smaller_is_better else max(numbers.values())
    return [label for label, value in numbers.items() if column.shown(value) == column.shown(top)]


def _floor(results: Results, names: Sequence[str]) -> Row | None:
    values = []
    for name in names:
        metric = parsed(name)
        floor = None if metric is None else str(replace(metric, of="mean-pose"))
        values.append(results.metrics.get(floor) if floor and floor != name else None)
    there = any(value is not None and value.value is not None for value in values)
    return Row(FLOOR, tuple(values)) if there else None


def _differs(name: str, results: Sequence[Results]) -> bool:
    """Whether a metric over the hands found is over different hands in several models.

    A model may also predict a hand in 2D and leave its 3D out, which its definition says.
    """
    metric = parsed(name)
    if metric is None or not over_found(metric):
        return False
    made = {
        (one.samples["predicted"], plain_definition(one.metrics[name]))
        for one in results
        if number_of(one, name) is not None
    }
    return len(made) > 1


def short(signature: str) -> str:
    """A signature without metric names, or as it is where it was written by hand."""
    try:
        return short_signature(signature)
    except (KeyError, ValueError):
        return signature


def _tag(results: Results) -> str:
    """Protocol with its version, as the signature has it."""
    found = re.match(r"protocol: ([^;]+);", results.signature)
    return one_line(found[1] if found else results.protocol)


def _each(group: Models, key: str) -> tuple[str, ...]:
    made = (one.provenance.get(key) for one in group.values())
    return tuple(dict.fromkeys(one_line(str(value)) for value in made if value))
