"""Entries of one signature as a table: columns, ranks, and why a row has none."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import replace

from handbench.errors import ScoreError
from handbench.leaderboard.board import Column, Entry, Evidence, Row, Table
from handbench.reports.ranking import main_metrics
from handbench.scores import compare
from handbench.scores.definitions import define
from handbench.scores.names import Metric, parse
from handbench.scores.protocol import Protocol
from handbench.scores.protocols import PROTOCOLS, custom_protocol
from handbench.scores.results import MetricValue, Results

_LEADING = 5
_LACKING = re.compile(r"; ([\d,]+) hands predicted without .* count as missed")


def make_table(
    entries: Sequence[Entry], apart: dict[str, str], *, rank_self_reported: bool = False
) -> Table:
    """Rank entries that share a signature.

    Parameters
    ----------
    entries
        At least one, all with the same dataset, split, protocol and signature.
    apart
        See :class:`~handbench.leaderboard.board.Table`.
    rank_self_reported
        Rank numbers that nobody has checked, too.
    """
    entries = sorted(entries, key=lambda entry: (entry.name, entry.slug))
    # One bad file must not give a table of good ones another column, floor or order.
    sound = sorted(
        [entry for entry in entries if not entry.problems] or entries,
        key=lambda entry: list(Evidence).index(entry.evidence),
    )
    preset = preset_of(sound[0].results)
    names = _metric_names(sound, preset)
    primary = _primary(names, sound, preset)
    refused = {
        entry.slug: _refusal(entry, primary, rank_self_reported=rank_self_reported)
        for entry in entries
    }
    may = [entry for entry in entries if not refused[entry.slug]]
    remark = "" if primary else _no_primary(preset)
    if primary and may and over_found(primary):
        remark = _drop_other_coverage(may, primary, refused)
        may = [entry for entry in may if not refused[entry.slug]]
    ranks = _ranks(may, primary)
    if not ranks and not remark:
        remark = _why_nobody(refused)
    told_apart = _told_apart(may, ranks, preset)
    columns = _columns(names, primary, sound)
    best = _best(columns, may)
    rows = [
        Row(
            entry=entry,
            values=tuple(entry.results.metrics.get(column.name) for column in columns),
            rank=ranks.get(entry.slug),
            unranked="" if entry.slug in ranks else refused[entry.slug] or remark,
            best=frozenset(best.get(entry.slug, ())),
            distinguishable=told_apart.get(entry.slug),
            coverage=coverage(entry.results),
        )
        for entry in entries
    ]
    rows.sort(key=lambda row: _place(row, primary))
    return Table(
        signature=entries[0].results.signature,
        apart=apart,
        columns=columns,
        rows=tuple(rows),
        primary=primary,
        remark=remark,
    )


def preset_of(results: Results) -> Protocol | None:
    """The protocol that made `results`, in the version that it says; None if we do not know it."""
    for protocol in PROTOCOLS:
        # Another version may have other metrics and another order.
        if results.protocol == protocol.name:
            return protocol if f"protocol: {protocol.tag};" in results.signature else None
    if results.protocol == "custom":
        names = tuple(name for name in results.metrics if parsed(name) is not None)
        return custom_protocol(names) if names else None
    return None


def coverage(results: Results) -> float | None:
    """Share of expected hands that were predicted; None when none were expected."""
    expected = results.samples["expected"]
    return min(1.0, results.samples["predicted"] / expected) if expected else None


def parsed(name: str) -> Metric | None:
    """The metric of that name; None if this handbench does not know it."""
    try:
        return parse(name)
    except ScoreError:
        return None


def over_found(name: str) -> bool:
    """Whether a metric is of the hands that were found alone."""
    metric = parsed(name)
    return metric is not None and metric.quantity != "coverage" and metric.missing == "drop"


def value_of(results: Results, name: str) -> float | None:
    """The finite value of a metric, or None."""
    metric = results.metrics.get(name)
    return None if metric is None or not _finite(metric.value) else metric.value


def _finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


# --- columns -------------------------------------------------------------------------------------


def _metric_names(entries: Sequence[Entry], preset: Protocol | None) -> list[str]:
    """Every metric of the entries, in the protocol's order; others after them."""
    there = dict.fromkeys(name for entry in entries for name in entry.results.metrics)
    ordered = [] if preset is None else [str(m) for m in preset.metrics(with_3d=True)]
    first = [name for name in ordered if name in there]
    if preset is None or preset.name == "custom":
        # Whoever named the metrics chose their order.
        return [*first, *(name for name in there if name not in first)]
    return [*first, *sorted(set(there) - set(first))]


def _columns(names: Sequence[str], primary: str, entries: Sequence[Entry]) -> tuple[Column, ...]:
    main = main_metrics(names)
    filled = [n for n in main if any(value_of(e.results, n) is not None for e in entries)]
    leading = [name for name in ("coverage", primary) if name in filled]
    leading += [name for name in filled if name not in leading]
    return tuple(_column(name, entries, name in leading[:_LEADING]) for name in main)


def _column(name: str, entries: Sequence[Entry], leading: bool) -> Column:
    metric = parsed(name)
    values = [entry.results.metrics[name] for entry in entries if name in entry.results.metrics]
    return Column(
        name=name,
        unit=values[0].unit if metric is None else metric.result_unit,
        definition=values[0].definition if metric is None else define(metric),
        smaller_is_better=metric is not None and metric.is_distance,
        leading=leading,
        floor=None if metric is None else _floor(metric, entries),
    )


def _floor(metric: Metric, entries: Sequence[Entry]) -> MetricValue | None:
    if metric.of == "mean-pose":
        return None
    name = str(replace(metric, of="mean-pose"))
    found = (entry.results.metrics.get(name) for entry in entries)
    return next((value for value in found if value is not None and _finite(value.value)), None)


# --- ranks ---------------------------------------------------------------------------------------


def _primary(names: Sequence[str], entries: Sequence[Entry], preset: Protocol | None) -> str:
    """The metric that ranks: the protocol's first that any entry has a value for; "" if none."""
    wanted = [] if preset is None else [str(metric) for metric in preset.ranking_metrics]
    there = [name for name in wanted if name in names]
    valued = [n for n in there if any(value_of(e.results, n) is not None for e in entries)]
    return next(iter([*valued, *there]), "")


def _no_primary(preset: Protocol | None) -> str:
    if preset is None:
        return "not ranked: this handbench does not know this version of the protocol"
    return f"not ranked: the results lack {preset.primary}, by which {preset.tag} ranks"


def _refusal(entry: Entry, primary: str, *, rank_self_reported: bool) -> str:
    """Why an entry may not be ranked, by itself; "" if it may."""
    if entry.superseded_by:
        return "superseded by newer results of this model"
    if entry.problems:
        return entry.problems[0]
    if entry.evidence is Evidence.SELF_REPORTED and not rank_self_reported:
        return "self-reported: neither re-scored here nor reproduced with a command"
    if primary and value_of(entry.results, primary) is None:
        return f"no value of {primary}"
    return ""


def _why_nobody(refused: dict[str, str]) -> str:
    """Remark on a table in which every row is refused."""
    reasons = set(refused.values())
    if len(reasons) == 1:
        return f"not ranked: {reasons.pop()}"
    return "not ranked: no row may be, each for the reason beside it"


def _drop_other_coverage(may: Sequence[Entry], primary: str, refused: dict[str, str]) -> str:
    """Refuse entries over other hands than the rest; a remark where none can be ranked."""
    covered = {entry.slug: _covered(entry, primary) for entry in may}
    if len(set(covered.values())) < 2:
        return ""
    low, high = min(covered.values()), max(covered.values())
    if high < 1.0:
        remark = (
            f"not ranked: {primary} is over the hands found, and coverage differs ({low:.1%} to "
            f"{high:.1%})"
        )
        refused.update(dict.fromkeys(covered, remark))
        return remark
    for slug, share in covered.items():
        if share < 1.0:
            refused[slug] = (
                f"{primary} is over the hands found, {share:.1%} here and all of them in the rows "
                "that are ranked"
            )
    return ""


def _covered(entry: Entry, primary: str) -> float:
    share = coverage(entry.results) or 0.0
    # A model may predict hands in 2D and leave their 3D out; the definition says of how many.
    lacking = _LACKING.search(entry.results.metrics[primary].definition)
    lost = int(lacking[1].replace(",", "")) if lacking else 0
    return max(0.0, share - lost / max(1, entry.results.samples["expected"]))


def _ranks(may: Sequence[Entry], primary: str) -> dict[str, int]:
    """Slug → rank; ties share one."""
    metric = parsed(primary) if primary else None
    if metric is None:
        return {}
    values = {entry.slug: value_of(entry.results, primary) for entry in may}
    numbers = {slug: value for slug, value in values.items() if value is not None}
    sign = 1 if metric.is_distance else -1
    return {
        slug: 1 + sum(sign * other < sign * value for other in numbers.values())
        for slug, value in numbers.items()
    }


def _best(columns: Sequence[Column], ranked: Sequence[Entry]) -> dict[str, list[int]]:
    """Slug → columns in which a ranked entry has the best value."""
    best: dict[str, list[int]] = {}
    if len(ranked) < 2:
        return best  # nobody is best of one
    same_hands = len({coverage(entry.results) for entry in ranked}) < 2
    for place, column in enumerate(columns):
        if not same_hands and over_found(column.name):
            continue
        found = {entry.slug: value_of(entry.results, column.name) for entry in ranked}
        numbers = {slug: value for slug, value in found.items() if value is not None}
        if numbers:
            top = (min if column.smaller_is_better else max)(numbers.values())
            for slug, value in numbers.items():
                if value == top:
                    best.setdefault(slug, []).append(place)
    return best


def _told_apart(
    may: Sequence[Entry], ranks: dict[str, int], preset: Protocol | None
) -> dict[str, bool | None]:
    """Slug → whether it differs from the best by a paired test; only where errors are at hand."""
    tested = [entry for entry in may if entry.evaluation is not None and entry.slug in ranks]
    if preset is None or len(tested) < 2 or all(ranks[entry.slug] > 1 for entry in tested):
        return {}
    evaluations = [entry.evaluation for entry in tested if entry.evaluation is not None]
    rankings = compare.rank(evaluations, [entry.slug for entry in tested], preset)
    return {row.label: row.distinguishable for ranking in rankings for row in ranking.rows}


def _place(row: Row, primary: str) -> tuple[bool, float, bool, float, str, str]:
    """Ranked rows first, then by the primary metric; what has no value comes last."""
    value = value_of(row.entry.results, primary)
    metric = parsed(primary) if primary else None
    sign = 1.0 if metric is None or metric.is_distance else -1.0
    return (
        bool(row.entry.superseded_by),
        math.inf if row.rank is None else row.rank,
        value is None,
        sign * (value or 0.0),
        row.entry.name,
        row.entry.slug,
    )
