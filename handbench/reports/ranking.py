"""Who is best at what: results that may share a ranked column, ordered and marked.

A protocol may report a metric three times: over all hands, over the hands that were found
(``missing=drop``), and for the mean pose (``of=mean-pose``), a floor to beat. A table shows these
as one line, because they are three views of one thing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from handbench.errors import ScoreError
from handbench.scores import compare
from handbench.scores.compare import Row, rank
from handbench.scores.names import Metric, parse
from handbench.scores.protocol import Protocol
from handbench.scores.protocols import known_protocol
from handbench.scores.results import Evaluation, MetricValue, Results
from handbench.scores.text import signature_differences

_LEADING = 5


@dataclass(frozen=True)
class MetricLine:
    """One metric of all ranked models.

    Attributes
    ----------
    name, unit, definition
        Full metric name, unit of its values and a sentence.
    smaller_is_better
        Whether it is an error.
    values
        One a ranked model, None where a model lacks it.
    found_only
        The same over the hands that were found; None where the protocol does not report it.
    floor
        What the mean pose gets; None where it has no value.
    best
        Positions in the ranking of the models with the best value.
    """

    name: str
    unit: str
    definition: str
    smaller_is_better: bool
    values: list[MetricValue | None]
    found_only: list[MetricValue | None] | None
    floor: MetricValue | None
    best: frozenset[int]

    @property
    def has_values(self) -> bool:
        """Whether any model has a number."""
        return any(value is not None and value.value is not None for value in self.values)


@dataclass(frozen=True)
class Ranking:
    """Models that may share ranked columns: same protocol, same signature.

    Attributes
    ----------
    protocol, summary, missing_rule
        Name, one sentence on what it computes, and one on hands without a prediction.
    signature
        What all rows share.
    slots, results, rows
        Position of each model on the page, its results, and its place with the test against the
        best; best first.
    remark
        Why there are no ranks, or "".
    lines
        Metrics in the protocol's order.
    primary
        Name of the metric that orders the models; "" when none does.
    apart
        Part of the signature → its value here, for parts in which other models of this protocol
        have another value; "" where it is too long to show.
    """

    protocol: str
    summary: str
    missing_rule: str
    signature: str
    slots: list[int]
    results: list[Results]
    rows: list[Row]
    remark: str
    lines: list[MetricLine]
    primary: str
    apart: dict[str, str] = field(default_factory=dict)

    @property
    def unequal_coverage(self) -> bool:
        """Whether distances are over different hands, so that nobody is best at them."""
        return len({_coverage(one) for one in self.results}) > 1

    @property
    def has_floor(self) -> bool:
        """Whether the mean pose has a value of any metric."""
        return any(line.floor is not None for line in self.lines)

    @property
    def leading(self) -> list[MetricLine]:
        """The few metrics for the first table: coverage, the ranking one, then the next."""
        first = [line for line in self.lines if line.name in ("coverage", self.primary)]
        first.sort(key=lambda line: line.name != "coverage")
        rest = [line for line in self.lines if line not in first and line.has_values]
        return (first + rest)[:_LEADING]


def rankings(
    evaluations: Sequence[Evaluation],
    names: Sequence[str],
    floors: Sequence[Evaluation | None] = (),
) -> list[Ranking]:
    """Rank the models under each protocol, apart for each signature.

    Parameters
    ----------
    evaluations, names
        Models and their unique names, in the order of the page.
    floors
        The mean pose, scored as each model was (:func:`handbench.reports.floors.floors`): a floor
        for metrics of which the protocol reports none.
    """
    protocols = dict.fromkeys(r.protocol for e in evaluations for r in e.results)
    tables = [
        one for protocol in protocols for one in _apart(_rankings(evaluations, names, protocol))
    ]
    return [_with_floor(table, floors[table.slots[0]]) for table in tables] if floors else tables


def _with_floor(table: Ranking, floor: Evaluation | None) -> Ranking:
    """The table with what the mean pose gets, where its protocol does not say."""
    if floor is None:
        return table
    metrics = next((r.metrics for r in floor.results if r.protocol == table.protocol), {})
    known = {name: value for name, value in metrics.items() if value.value is not None}
    lines = [
        line
        if line.floor is not None or line.name == "coverage"
        else replace(line, floor=known.get(line.name))
        for line in table.lines
    ]
    return replace(table, lines=lines)


def _apart(tables: list[Ranking]) -> list[Ranking]:
    """The tables of one protocol, each with what sets it apart."""
    differing = signature_differences([table.signature for table in tables])
    return [
        replace(table, apart={part: values[place] for part, values in differing.items()})
        for place, table in enumerate(tables)
    ]


def _rankings(
    evaluations: Sequence[Evaluation], names: Sequence[str], protocol: str
) -> list[Ranking]:
    of_slot = {
        slot: results
        for slot, evaluation in enumerate(evaluations)
        for results in evaluation.results
        if results.protocol == protocol
    }
    preset = known_protocol(protocol, list(next(iter(of_slot.values())).metrics))
    if preset is None:
        # Results of another handbench: show them in the given order, one table a signature.
        by_signature: dict[str, list[int]] = {}
        for slot, results in of_slot.items():
            by_signature.setdefault(results.signature, []).append(slot)
        return [
            _table(protocol, None, slots, [of_slot[slot] for slot in slots])
            for slots in by_signature.values()
        ]
    tables = []
    for ranking in rank(evaluations, names, preset):
        slots = [names.index(row.label) for row in ranking.rows]
        ranked = [of_slot[slot] for slot in slots]
        tables.append(_table(protocol, preset, slots, ranked, ranking))
    return tables


def _table(
    protocol: str,
    preset: Protocol | None,
    slots: list[int],
    results: list[Results],
    ranking: compare.Ranking | None = None,
) -> Ranking:
    names = list(dict.fromkeys(name for one in results for name in one.metrics))
    return Ranking(
        protocol=protocol,
        summary=preset.summary if preset else "",
        missing_rule=preset.missing_rule if preset else "",
        signature=results[0].signature,
        slots=slots,
        results=results,
        rows=ranking.rows if ranking else [],
        remark=ranking.remark if ranking else "",
        lines=_lines(names, results),
        primary=ranking.metric if ranking else "",
    )


def presets(evaluation: Evaluation) -> list[Protocol]:
    """The protocols that an evaluation was made under, as far as this handbench knows them."""
    found = [known_protocol(one.protocol, list(one.metrics)) for one in evaluation.results]
    return [preset for preset in found if preset is not None]


def main_metrics(names: Sequence[str]) -> list[str]:
    """Return `names` without those that only accompany another of them."""
    found_only, floors = _companions(names)
    accompanying = {*found_only.values(), *floors.values()}
    return [name for name in names if name not in accompanying]


def _lines(names: Sequence[str], results: Sequence[Results]) -> list[MetricLine]:
    found_only, floors = _companions(names)
    return [
        _line(name, results, found_only.get(name), floors.get(name)) for name in main_metrics(names)
    ]


def _companions(names: Sequence[str]) -> tuple[dict[str, str], dict[str, str]]:
    """Metric → its companion over found hands, and metric → its mean-pose floor."""
    found_only: dict[str, str] = {}
    floors: dict[str, str] = {}
    for name in names:
        metric = _parsed(name)
        if metric is None or metric.quantity == "coverage":
            continue
        if metric.of == "mean-pose":
            floors[str(replace(metric, of="model"))] = name
        elif metric.missing == "drop" and not metric.is_distance:
            found_only[str(replace(metric, missing="wrong"))] = name
    # A companion without the metric it accompanies stands for itself.
    return (
        {name: other for name, other in found_only.items() if name in names},
        {name: other for name, other in floors.items() if name in names},
    )


def _line(
    name: str, results: Sequence[Results], found_only: str | None, floor: str | None
) -> MetricLine:
    values = [one.metrics.get(name) for one in results]
    numbers = [_value(one, name) for one in results]
    present = [number for number in numbers if number is not None]
    if len({_coverage(one) for one in results}) > 1 and _over_found(name):
        present = []  # over different hands: nobody is best
    smaller = is_error(name)
    top = (min(present) if smaller else max(present)) if present else None
    # A definition says why there is no value: prefer that of a model which has one.
    known = [value for value in values if value is not None]
    about = next((value for value in known if value.value is not None), known[0])
    return MetricLine(
        name=name,
        unit=about.unit,
        definition=about.definition,
        smaller_is_better=smaller,
        values=values,
        found_only=[one.metrics.get(found_only) for one in results] if found_only else None,
        floor=next((one.metrics[floor] for one in results if floor in one.metrics), None)
        if floor
        else None,
        best=frozenset(i for i, value in enumerate(numbers) if value is not None and value == top),
    )


def _coverage(results: Results) -> float:
    return results.samples["predicted"] / max(1, results.samples["expected"])


def _over_found(name: str) -> bool:
    """Whether the metric is over the hands that were found."""
    metric = _parsed(name)
    return metric is not None and metric.quantity != "coverage" and metric.missing == "drop"


def is_error(name: str) -> bool:
    """Whether smaller values of the metric `name` are better."""
    metric = _parsed(name)
    return metric is not None and metric.is_distance


def _parsed(name: str) -> Metric | None:
    try:
        return parse(name)
    except ScoreError:  # results of a newer handbench may name metrics that this one does not know
        return None


def _value(results: Results, name: str) -> float | None:
    metric = results.metrics.get(name)
    if metric is None or metric.value is None or not np.isfinite(metric.value):
        return None
    return metric.value


def number(value: float | None, unit: str) -> str:
    """Return `value` as text: fractions with four decimals, lengths with two; a dash for none."""
    if value is None or not np.isfinite(value):
        return "–"
    return f"{value:.4f}" if unit == "fraction" else f"{value:,.2f}"
