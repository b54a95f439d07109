"""Evaluations as plain text for a terminal: aligned columns, the definition beside each number."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import replace

from handbench.files import describe_names
from handbench.scores.compare import Ranking
from handbench.scores.definitions import define
from handbench.scores.intervals import MIN_CLUSTERS, RELIABLE_CLUSTERS
from handbench.scores.names import Metric, parse
from handbench.scores.protocol import Protocol
from handbench.scores.results import Evaluation, MetricValue, Results
from handbench.scores.subsets import Breakdown, Subset

NOTHING = "–"
_LONGEST_PART = 60


def table(headers: Sequence[str], rows: Sequence[Sequence[str]], *, width: int = 0) -> str:
    """Left-aligned columns two spaces apart.

    Parameters
    ----------
    headers
        One a column.
    rows
        Cells as text.
    width
        The last column is wrapped so that lines stay within this; 0 never wraps.
    """
    lines = [list(headers), *map(list, rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(headers))]
    indent = sum(widths[:-1]) + 2 * len(widths[:-1])
    room = max(30, width - indent) if width else 0
    text = []
    for line in lines:
        start = "  ".join(cell.ljust(size) for cell, size in zip(line[:-1], widths))
        wrapped = textwrap.wrap(line[-1], room) if room else [line[-1]]
        for number, part in enumerate(wrapped or [""]):
            text.append(((start if number == 0 else "").ljust(indent - 2) + "  " + part).rstrip())
    return "\n".join(text)


def samples_line(evaluation: Evaluation) -> str:
    """What was expected and what was found, before any number."""
    counts = evaluation.results[0].samples
    share = counts["predicted"] / max(1, counts["expected"])
    parts = [
        f"{counts['expected']:,} expected",
        f"{counts['predicted']:,} predicted ({share:.1%})",
    ]
    for what in ("missing", "extra", "duplicate"):
        names = getattr(evaluation, what)
        parts.append(f"{counts[what]:,} {what}" + (f" ({describe_names(names)})" if names else ""))
    return "samples: " + ", ".join(parts)


def report_text(
    labels: Sequence[str],
    evaluations: Sequence[Evaluation],
    protocols: Sequence[Protocol],
    rankings: Sequence[Ranking],
    width: int = 0,
) -> str:
    """Everything about one or several models: samples first, then a table a protocol.

    Parameters
    ----------
    labels
        A name for each evaluation, unique.
    evaluations
        All under the same protocols.
    protocols
        In the order of each evaluation's results.
    rankings
        Of all protocols; their signatures say which models may share a table.
    width
        Of the terminal; 0 never wraps.
    """
    blocks = []
    for label, evaluation in zip(labels, evaluations):
        first = evaluation.results[0]
        blocks.append(f"{label} on {first.dataset} {first.split}\n{samples_line(evaluation)}")
    for number, protocol in enumerate(protocols):
        blocks.append(f"{protocol.tag}: {protocol.summary}")
        ranked = [ranking for ranking in rankings if ranking.protocol == protocol.tag]
        blocks += [why_apart(ranked)] if len(ranked) > 1 else []
        groups: dict[str, dict[str, Results]] = {}
        for label, evaluation in zip(labels, evaluations):
            results = evaluation.results[number]
            groups.setdefault(results.signature, {})[label] = results
        for signature, models in groups.items():
            # Nobody is first of one: a model that stands apart has a table, and no rank.
            several = [r for r in ranked if r.signature == signature and len(r.rows) > 1]
            blocks += [ranking_text(ranking) for ranking in several]
            alone = len(evaluations) > 1 and len(models) == 1
            text = metrics_text(models, width)
            blocks.append(f"{next(iter(models))} under {protocol.tag}\n{text}" if alone else text)
        blocks.append(f"missing hands: {protocol.missing_rule}")
    return "\n\n".join(blocks)


def metrics_text(models: Mapping[str, Results], width: int = 0) -> str:
    """One row a metric, one column a model; all with the same signature.

    For one model, a metric over the hands found is a column beside the same metric over all. Where
    no hand was missed the two are equal, and only one is shown. Metrics that no model has a value
    for share one line below the table.
    """
    results = list(models.values())
    columns = [{parse(name): value for name, value in r.metrics.items()} for r in results]
    metrics = list(columns[0])
    alone = len(models) == 1
    covered = [r.samples["predicted"] / max(1, r.samples["expected"]) for r in results]
    nothing_missed = min(covered) == 1
    rows_of = [m for m in metrics if not _is_beside(m, metrics, alone or nothing_missed)]
    empty = [m for m in rows_of if all(column[m].value is None for column in columns)]
    rows_of = [metric for metric in rows_of if metric not in empty] or rows_of
    found = {
        metric: columns[0].get(other)
        for metric in rows_of
        if alone and not nothing_missed and (other := _found_only(metric)) is not None
    }
    floor = {metric: columns[0].get(replace(metric, of="mean-pose")) for metric in rows_of}
    show_found = any(value is not None for value in found.values())
    show_floor = any(value is not None for value in floor.values())
    headers = ["metric", *(["value"] if alone else models)]
    headers += ["found only"] if show_found else []
    headers += ["mean pose"] if show_floor else []
    rows = []
    for metric in rows_of:
        row = [str(metric), *(_with_interval(column[metric]) for column in columns)]
        row += [_or_blank(found.get(metric))] if show_found else []
        row += [_or_blank(floor[metric])] if show_floor else []
        reasons = _why_empty([column[metric] for column in columns])
        definition = define(metric) if any(c[metric].value is not None for c in columns) else ""
        notes = [definition, *(f"no value: {reason}" for reason in reasons)]
        rows.append([*row, "; ".join(filter(None, notes))])
    headers.append("definition")
    text = textwrap.indent(table(headers, rows, width=max(0, width - 2)), "  ")
    remarks = [text, _interval_remark(results[0])]
    if rows_of != empty:
        remarks += _empty_remarks({m: [column[m] for column in columns] for m in empty})
    if min(covered) < max(covered):
        remarks.append(
            f"coverage differs ({min(covered):.1%} to {max(covered):.1%}), so EPE, MPJPE and "
            "missing=drop are over different hands: do not rank by them"
        )
    remarks.append(f"signature: {short_signature(results[0].signature)}")
    return "\n".join(filter(None, remarks))


def short_signature(signature: str) -> str:
    """The signature without what stands around it anyway: metric names and missing rule.

    Results hold it whole.

    >>> short_signature(
    ...     "protocol: mmpose/1; metrics: EPE[px]; expected: 3; truth: 0123456789abcdef; ids: all; "
    ...     "gt_used: box; box: image; missing: dropped"
    ... )
    'mmpose/1; 3 hands; truth 0123456789ab; ids all; gt_used box; box image'
    """
    parts = dict(item.split(": ", 1) for item in signature.split("; "))
    expected = int(parts["expected"])
    return "; ".join(
        [
            parts["protocol"],
            f"{expected:,} hand{'s' * (expected != 1)}",
            f"truth {parts['truth'][:12]}",
            *(f"{key} {parts[key]}" for key in ("ids", "gt_used", "box")),
        ]
    )


def _why_empty(values: Sequence[MetricValue]) -> list[str]:
    """Reasons why models have no value, each once."""
    reasons = (value.definition.partition("; no value: ")[2] for value in values)
    # What is said of the interval means nothing without a value.
    return sorted({re.split("; (?:no )?interval: ", reason)[0] for reason in reasons if reason})


def _empty_remarks(empty: Mapping[Metric, Sequence[MetricValue]]) -> list[str]:
    """One line a reason, with the metrics that have no value because of it."""
    by_reason: dict[str, list[str]] = {}
    for metric, values in empty.items():
        if (
            replace(metric, missing="wrong") == metric
            or replace(metric, missing="wrong") not in empty
        ):
            by_reason.setdefault(" or ".join(_why_empty(values)), []).append(str(metric))
    return [f"no value, because {why}: {', '.join(names)}" for why, names in by_reason.items()]


def _found_only(metric: Metric) -> Metric | None:
    """The same metric over the hands found, for metrics that count missed hands as wrong."""
    return replace(metric, missing="drop") if metric.missing == "wrong" else None


def _is_beside(metric: Metric, metrics: Sequence[Metric], with_found: bool) -> bool:
    """Whether `metric` stands in the row of another one."""
    if metric.of == "mean-pose":
        return replace(metric, of="model") in metrics
    return with_found and any(_found_only(other) == metric for other in metrics)


def _with_interval(metric: MetricValue) -> str:
    ends = interval(metric)
    return number(metric) if ends == NOTHING else f"{number(metric)} [{ends}]"


def _or_blank(metric: MetricValue | None) -> str:
    return "" if metric is None else number(metric)


def _interval_remark(results: Results) -> str:
    """What holds for most intervals, and a line for each metric group of which something else does.

    Metrics without a value say why elsewhere.
    """
    metrics_of: dict[str, list[str]] = {}
    for name, metric in results.metrics.items():
        _, found, remark = metric.definition.rpartition("interval: ")
        if found and metric.value is not None and " groups (" in remark:
            kind = "[95 % interval]" if metric.ci95 is not None else "no interval"
            metrics_of.setdefault(f"{kind}: {remark}", []).append(name)
    usual = max(metrics_of, key=lambda remark: len(metrics_of[remark]), default="")
    others = [
        f"{remark} ({', '.join(names)})" for remark, names in metrics_of.items() if remark != usual
    ]
    return "\n".join(filter(None, [usual, *others]))


def number(metric: MetricValue | None) -> str:
    """A value with its unit: four decimals for fractions, two for lengths."""
    if metric is None or metric.value is None:
        return NOTHING
    return _plain(metric.value, metric.unit)


def _plain(value: float, unit: str, sign: str = "") -> str:
    return f"{value:{sign}.4f}" if unit == "fraction" else f"{value:{sign}.2f} {unit}"


def interval(metric: MetricValue) -> str:
    """Lower and upper end in the precision of the value."""
    if metric.ci95 is None:
        return NOTHING
    digits = 4 if metric.unit == "fraction" else 2
    return f"{metric.ci95[0]:.{digits}f}, {metric.ci95[1]:.{digits}f}"


def ranking_text(ranking: Ranking) -> str:
    """A ranked table of the models that share a signature."""
    rows = []
    for row in ranking.rows:
        verdict = ""
        if row.p is not None and row.difference is not None:
            sign = "differs" if row.distinguishable else "not distinguishable"
            effect = "" if row.effect is None else f", d = {row.effect:+.2f}"
            away = _plain(row.difference, row.metric.unit, "+")
            verdict = f"{sign} from the best ({away}, p = {row.p:.4f}{effect})"
        place = NOTHING if row.rank is None else str(row.rank)
        value, ends = number(row.metric), interval(row.metric)
        rows.append([place, row.label, value, ends, f"{row.coverage:.1%}", verdict])
    head = f"ranking under {ranking.protocol} by {ranking.metric}"
    headers = ["rank", "model", "value", "95 % interval", "coverage", "paired test"]
    lines = [head, textwrap.indent(table(headers, rows), "  ")]
    if any(row.p is not None for row in ranking.rows):
        lines.append(
            "paired test: signs of whole groups flipped at random, two-sided, Holm-corrected; "
            "not distinguishable means p ≥ 0.05; d: mean difference of groups over its standard "
            "deviation"
        )
    lines += [f"{row.label}: {row.below_noise}" for row in ranking.rows if row.below_noise]
    if ranking.remark:
        lines.append(ranking.remark)
    return "\n".join(lines)


def why_apart(rankings: Sequence[Ranking]) -> str:
    """Say in which parts the signatures of several rankings differ, or "" for one ranking."""
    if len(rankings) < 2:
        return ""
    named = []
    for part, values in signature_differences([r.signature for r in rankings]).items():
        of_models = (
            f"{', '.join(row.label for row in ranking.rows)}: {value}"
            for ranking, value in zip(rankings, values)
        )
        named.append(f"{part} ({'; '.join(of_models)})" if all(values) else part)
    return (
        f"{rankings[0].protocol}: models are shown in {len(rankings)} tables and not ranked "
        f"together, because their signatures differ in {', '.join(named)}"
    )


def signature_differences(signatures: Sequence[str]) -> dict[str, list[str]]:
    """Parts in which signatures differ, each with its value in every one of them.

    Hashes are shortened. Lists of metrics are too long to be told apart by reading: theirs are "".

    >>> signature_differences(["box: image; truth: 5", "box: detector; truth: 5"])
    {'box': ['image', 'detector']}
    """
    parts = [dict(item.split(": ", 1) for item in text.split("; ")) for text in signatures]
    return {
        key: [_short(part.get(key, "")) for part in parts]
        for key in parts[0]
        if len({part.get(key) for part in parts}) > 1
    }


def _short(value: str) -> str:
    if re.fullmatch("[0-9a-f]{40,}", value):
        return value[:8]
    return value if len(value) <= _LONGEST_PART else ""


def subsets_text(label: str, breakdown: Breakdown) -> str:
    """One row a group of a breakdown, and below the table how the groups and intervals are made."""
    subsets = breakdown.subsets
    names = list(subsets[0].metrics)
    rows = [
        [
            subset.value,
            f"{subset.expected:,}",
            f"{subset.predicted / subset.expected:.1%}",
            f"{subset.joints:,}",
            f"{subset.clusters:,}",
            *(_subset_cell(name, subset) for name in names),
        ]
        for subset in subsets
    ]
    headers = [breakdown.by, "hands", "coverage", "joints", "clusters", *names]
    lines = [
        f"{label} by {breakdown.by}",
        textwrap.indent(table(headers, rows), "  "),
        f"{breakdown.by}: {breakdown.definition}",
    ]
    if [subset.value for subset in subsets] == ["unknown"]:
        lines.append(f"{breakdown.by}: the labels do not say it of any hand (docs/breakdowns.md)")
    given = [subset for subset in subsets if any(subset.ci95.values())]
    if given:
        doubtful = f"; ~ marks fewer than {RELIABLE_CLUSTERS} clusters, unreliable"
        lines.append(
            f"[95 % interval]: resamples of each group's own clusters ({breakdown.cluster_unit}), "
            f"none below {MIN_CLUSTERS}" + ("" if all(s.reliable for s in given) else doubtful)
        )
    return "\n".join(lines)


def _subset_cell(name: str, subset: Subset) -> str:
    value, ends = subset.metrics[name], subset.ci95.get(name)
    text = _subset_number(name, value)
    if value is None or ends is None:
        return text
    digits = 2 if text.endswith(("px", "mm")) else 4
    mark = "" if subset.reliable else "~"
    return f"{text} {mark}[{ends[0]:.{digits}f}, {ends[1]:.{digits}f}]"


def _subset_number(name: str, value: float | None) -> str:
    if value is None:
        return NOTHING
    unit = "px" if "[px" in name else "mm" if "[mm" in name else "fraction"
    return _plain(value, unit)
