"""Which metrics a table for a paper shows, and how their numbers look."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from handbench.errors import ScoreError
from handbench.reports.escape import one_line
from handbench.reports.ranking import main_metrics
from handbench.scores.definitions import define
from handbench.scores.metric import Metric
from handbench.scores.names import parse
from handbench.scores.protocol import Protocol
from handbench.scores.protocols import known_protocol
from handbench.scores.results import MetricValue, Results

ALL = "all"
"""Column word for every metric."""
COVERAGE = "coverage"
_LEADING = 5
_DIGITS = {"fraction": 3, "px": 2, "mm": 2}
_INTERVAL = re.compile("; (?:no )?interval: ")

Models = Mapping[str, Results]
"""Label → results, all with one signature."""


@dataclass(frozen=True)
class Choice:
    """What the user wants to see.

    Attributes
    ----------
    columns
        Metric names in order, or their unambiguous beginnings; :data:`ALL`, or empty for the
        leading ones.
    decimals
        Of every number; None for 3 of fractions, 1 of percent, 2 of px and mm.
    percent
        Fractions times 100.
    intervals
        95 % intervals beside the values.
    """

    columns: tuple[str, ...] = ()
    decimals: int | None = None
    percent: bool = False
    intervals: bool = False


@dataclass(frozen=True)
class Column:
    """A metric.

    Attributes
    ----------
    name, unit, definition
        Full name, unit of the values as stored, one sentence.
    smaller_is_better
        None where this handbench does not know the metric.
    digits, percent
        How values are shown.
    """

    name: str
    unit: str
    definition: str
    smaller_is_better: bool | None
    digits: int
    percent: bool

    @property
    def head(self) -> str:
        """Name with its unit, where that is not part of it, and the better direction."""
        arrow = {True: " ↓", False: " ↑", None: ""}[self.smaller_is_better]
        return f"{self.name}{' (%)' if self.percent else ''}{arrow}"

    def shown(self, value: float | None) -> str:
        """`value` rounded, or a dash."""
        if value is None or not math.isfinite(value):
            return "–"
        return f"{100 * value if self.percent else value:.{self.digits}f}"


def split_columns(text: str) -> tuple[str, ...]:
    """Names joined by commas, of which some stand inside brackets.

    >>> split_columns("AUC@0-30px[n=20,rule=left], EPE[px]")
    ('AUC@0-30px[n=20,rule=left]', 'EPE[px]')
    """
    parts = re.split(r",(?![^\[]*\])", text)
    return tuple(part.strip() for part in parts if part.strip())


def resolve(asked: str, known: Sequence[str]) -> str:
    """Full name of the metric that `asked` names or begins."""
    try:
        asked_in_full = str(parse(asked))
    except ScoreError:
        asked_in_full = asked
    for name in (asked, asked_in_full):
        if name in known or name == COVERAGE:
            return name
    plain = main_metrics(known)
    for begins in (f"{asked}[", asked):
        for listed in (plain, known):
            found = [name for name in listed if name.startswith(begins)]
            if len(found) == 1:
                return found[0]
            if found:
                raise ScoreError(
                    f"column {asked!r} could be any of {', '.join(found)}: name one of them in full"
                )
    near = difflib.get_close_matches(asked, known, n=3, cutoff=0.4) or plain[:8]
    raise ScoreError(
        f"expected a column among the metrics of these results, found {asked!r}; near: "
        f"{', '.join(near)}. Other metrics are scored with `handbench evaluate … --metric NAME`"
    )


def columns_of(group: Models, choice: Choice, asked: Sequence[str]) -> tuple[Column, ...]:
    """Columns for models that share a table; none where they have nothing of what is asked."""
    results = list(group.values())
    there = list(dict.fromkeys(name for one in results for name in one.metrics))
    if ALL in choice.columns:
        names = [name for name in there if not _is_floor(name)]
    elif asked:
        names = [name for name in dict.fromkeys(asked) if name in there or name == COVERAGE]
        if names == [COVERAGE] and asked != [COVERAGE]:
            return ()
    else:
        names = _leading(group, there)
    # A number over the hands that were found means nothing without their share.
    if names and COVERAGE not in names and any(missed(one) for one in results):
        names = [COVERAGE, *names]
    return tuple(_column(name, results, choice) for name in names)


def _leading(group: Models, there: Sequence[str]) -> list[str]:
    preset = preset_of(group)
    ranks = [str(m) for m in preset.ranking_metrics] if preset else []
    filled = [
        name
        for name in main_metrics(there)
        if any(number_of(one, name) is not None for one in group.values())
    ]
    names = [name for name in ranks if name in filled][:1]
    names += [name for name in filled if name not in names and name != COVERAGE]
    return names[:_LEADING]


def _column(name: str, results: Sequence[Results], choice: Choice) -> Column:
    metric = parsed(name)
    values = [one.metrics[name] for one in results if name in one.metrics]
    unit = values[0].unit if values else "fraction"
    percent = choice.percent and unit == "fraction"
    digits = _DIGITS[unit] - 2 * percent if choice.decimals is None else choice.decimals
    if metric is None:
        definition = plain_definition(values[0]) if values else ""
        return Column(one_line(name), unit, one_line(definition), None, digits, percent)
    return Column(name, unit, define(metric), metric.is_distance, digits, percent)


def parsed(name: str) -> Metric | None:
    """Metric of that name; None if a newer handbench wrote it."""
    try:
        return parse(name)
    except ScoreError:
        return None


def number_of(results: Results, name: str) -> float | None:
    """The same as a finite number, or None."""
    cell = cell_of(results, name)
    return (
        None if cell is None or cell.value is None or not math.isfinite(cell.value) else cell.value
    )


def cell_of(results: Results, name: str) -> MetricValue | None:
    """Value of the metric `name`; coverage follows from the counts where it was not scored."""
    if name == COVERAGE and name not in results.metrics:
        share = results.samples["predicted"] / max(1, results.samples["expected"])
        return MetricValue(share, "fraction", define(parse(COVERAGE)))
    return results.metrics.get(name)


def missed(results: Results) -> bool:
    """Whether a hand was expected and not predicted."""
    return results.samples["predicted"] < results.samples["expected"]


def plain_definition(value: MetricValue) -> str:
    """What is measured and over which hands: a definition without what it says of the interval."""
    return _INTERVAL.split(value.definition)[0]


def preset_of(group: Models) -> Protocol | None:
    """The protocol of these models; None if this handbench does not know it."""
    first = next(iter(group.values()))
    return known_protocol(first.protocol, list(first.metrics))


def _is_floor(name: str) -> bool:
    metric = parsed(name)
    return metric is not None and metric.of == "mean-pose"
