"""Are results possible? Checks of a results file before it enters a table or a leaderboard.

A results file is text that anybody can write. These checks need neither predictions nor data: they
ask whether the numbers of a file can stand together. F@15mm below F@5mm cannot, nor a 95th
percentile below the median, nor a signature that names other metrics than the file holds. Each
problem is one sentence that says what was found and what to do; what passes may still be wrong, but
it is wrong in a way that only scoring again can tell.
"""

from __future__ import annotations

import datetime as dt
import math
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from handbench.errors import ScoreError
from handbench.scores.bounds import AGAIN, SLACK, contradictions, value_of
from handbench.scores.metric import Metric
from handbench.scores.names import parse
from handbench.scores.protocol import Protocol
from handbench.scores.protocols import PROTOCOLS
from handbench.scores.results import MetricValue, Results, read_document

_SIGNED = ("protocol", "metrics", "expected", "truth", "ids", "gt_used", "box", "missing")
_NAME, _TEXT, _MOST = 1_000, 10_000, 500
"""Characters of a name and of a text, and entries of a list: far more than ever are written."""
_UNSEEN = ("Cc", "Cf", "Zl", "Zp")
_JOINERS = "\u200c\u200d"  # part of the spelling in some scripts
_HEX = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with the results file `file`, as a sentence with what to do."""

    file: str
    problem: str


def check_files(paths: Sequence[Path]) -> list[Problem]:
    """Everything that is wrong with results files, each by itself and with one another.

    Parameters
    ----------
    paths
        Results JSON. A file that cannot be read is a problem, not an error.
    """
    found: list[Problem] = []
    read: list[tuple[str, Results]] = []
    for path in paths:
        try:
            results = Results.from_dict(read_document(path), "results")
        except ScoreError as error:
            found.append(Problem(str(path), str(error).removeprefix("results: ")))
            continue
        read.append((str(path), results))
        found += [Problem(str(path), sentence) for sentence in problems(results)]
    return found + conflicts(read)


def problems(results: Results) -> list[str]:
    """What is impossible or missing in `results`; an empty list where nothing is.

    Returns
    -------
    Sentences that say what was found and what to do next.
    """
    long = too_long(results)
    if long:
        return [long]
    metrics, unknown = _parsed(results)
    return [
        *_name(results),
        *unknown,
        *_counts(results, metrics),
        *_ranges(results, metrics),
        *contradictions(results, metrics, _preset(results)),
        *_signature(results),
        *_provenance(results),
    ]


def too_long(results: Results) -> str:
    """Say what of `results` is far longer than anything an evaluation writes; "" if nothing is.

    Such a file makes pages that nobody can open, and every metric is compared with every other, so
    thousands of them would take minutes: it is better not read at all.
    """
    model, made = results.model, results.provenance
    trained = model.get("training_data")
    listed = trained if isinstance(trained, list) else []
    texts = {
        "dataset": (results.dataset, _NAME),
        "split": (results.split, _NAME),
        "protocol": (results.protocol, _NAME),
        "model.name": (model["name"], _NAME),
        "model.training_data": (max(map(str, listed), key=len, default=""), _NAME),
        "model.url": (model.get("url"), _TEXT),
        "model.note": (model.get("note"), _TEXT),
        "model.input": (model.get("input"), _TEXT),
        "model.gt_used": (model.get("gt_used"), _TEXT),
        "provenance": (made, 4 * _TEXT),
        "signature": (results.signature, 10 * _TEXT),
        "names of metrics": (max([*results.metrics, *results.curves], key=len, default=""), _NAME),
        "definitions": (
            max((metric.definition for metric in results.metrics.values()), key=len, default=""),
            _TEXT,
        ),
    }
    for what, (text, most) in texts.items():
        if len(str(text)) > most:
            return f"{what}: expected at most {most:,} characters, found {len(str(text)):,}: cut it"
    lengths = {
        "metrics": (len(results.metrics), _MOST),
        "per_joint": (len(results.per_joint), _MOST),
        "curves": (len(results.curves), _MOST),
        "names in training_data": (len(listed), _MOST),
        "thresholds of a curve": (
            max((len(curve["x"]) for curve in results.curves.values()), default=0),
            4 * _MOST,
        ),
    }
    for what, (length, most) in lengths.items():
        if length > most:
            return f"{what}: expected at most {most:,}, found {length:,}: {AGAIN}"
    return ""


def _name(results: Results) -> Iterator[str]:
    """A name that a reader cannot see, or that looks like another, is none."""
    for what, text in (
        ("model.name", str(results.model["name"])),
        ("dataset", results.dataset),
        ("split", results.split),
    ):
        hidden = [c for c in text if unicodedata.category(c) in _UNSEEN and c not in _JOINERS]
        if hidden:
            yield (
                f"{what} {text!r} holds {hidden[0]!a}, which nobody sees: write it with "
                "visible letters"
            )
        elif text != text.strip():
            yield f"{what} {text!r} begins or ends with a blank: remove it"


def conflicts(named: Sequence[tuple[str, Results]]) -> list[Problem]:
    """Files of one handbench that say different things of a model under the same signature.

    Parameters
    ----------
    named
        File name and its results.

    Returns
    -------
    One problem for each file after the first of its kind.
    """
    first: dict[tuple[str, ...], tuple[str, Results]] = {}
    found = []
    for file, results in named:
        name = str(results.model["name"])
        # Another version of handbench may compute other numbers: that is history.
        version = str(results.provenance.get("handbench"))
        place = (results.dataset, results.split, results.protocol, results.signature)
        key = (name, version, *place)
        other, before = first.setdefault(key, (file, results))
        differing = [
            metric
            for metric in results.metrics
            if not _same(results.metrics[metric], before.metrics.get(metric))
        ]
        if differing:
            metric = differing[0]
            numbers = " and ".join(_shown(one.metrics.get(metric)) for one in (results, before))
            found.append(
                Problem(
                    file,
                    f"model {name!r} on {results.dataset} {results.split} under "
                    f"{results.protocol} is also in {other}, with other numbers ({metric}: "
                    f"{numbers}): remove one of the files, or give the models names that tell "
                    "them apart",
                )
            )
    return found


def _parsed(results: Results) -> tuple[dict[str, Metric], list[str]]:
    """Metrics by the names that can be read, and a sentence for each that cannot."""
    metrics: dict[str, Metric] = {}
    unknown = []
    version = results.provenance.get("handbench", "unknown")
    for name in dict.fromkeys([*results.metrics, *results.per_joint]):
        try:
            metrics[name] = parse(name)
        except ScoreError as error:
            unknown.append(f"{error} (written by handbench {version}: is this one older?)")
            continue
        if str(metrics[name]) != name:
            unknown.append(
                f"metric {name!r} is spelt {str(metrics[name])!r} in full: rename it, so that "
                "equal metrics share a column"
            )
        if name not in results.metrics:
            unknown.append(f"per_joint has {name}, which metrics has not: {AGAIN}")
    if not results.metrics:
        unknown.append(f"metrics: expected at least one, found none: {AGAIN}")
    return metrics, unknown


# --- one number -----------------------------------------------------------------------------------


def _counts(results: Results, metrics: dict[str, Metric]) -> Iterator[str]:
    counts = results.samples
    expected, predicted = counts["expected"], counts["predicted"]
    if expected < 1:
        yield f"samples: expected is {expected}: a result needs at least one hand; {AGAIN}"
    if predicted + counts["missing"] != expected:
        yield (
            f"samples: {predicted:,} predicted and {counts['missing']:,} missing are not the "
            f"{expected:,} expected: {AGAIN}"
        )
    share = predicted / max(1, expected)
    for name, metric in metrics.items():
        value = value_of(results, name)
        if value is None or metric.quantity != "coverage" or metric.hands != "all":
            continue
        if abs(value - share) > SLACK:
            yield (
                f"{name} is {value:.6g}, but {predicted:,} of {expected:,} hands are "
                f"{share:.6g}: {AGAIN}"
            )


def _ranges(results: Results, metrics: dict[str, Metric]) -> Iterator[str]:
    for name, metric in metrics.items():
        entry = results.metrics.get(name)
        if entry is not None and entry.unit != metric.result_unit:
            yield f"{name} is in {entry.unit}, expected {metric.result_unit}: {AGAIN}"
        ends = () if entry is None or entry.ci95 is None else entry.ci95
        value = value_of(results, name)
        listed = [value, *ends, *results.per_joint.get(name, [])]
        for number in (number for number in listed if number is not None):
            if not math.isfinite(number):
                yield f"{name} holds {number}: expected a finite number; {AGAIN}"
            elif number < 0:
                yield f"{name} holds {number:.6g}: nothing it measures is below 0; {AGAIN}"
            elif (
                metric.result_unit == "fraction" and metric.quantity != "EPE" and number > 1 + SLACK
            ):
                yield (
                    f"{name} holds {number:.6g}: a fraction lies between 0 and 1; divide "
                    f"percent by 100, or {AGAIN}"
                )
            else:
                continue
            break
        if ends and value is None:
            yield f"{name} has an interval and no value: {AGAIN}"
        elif ends and value is not None:
            yield from _interval(name, metric, value, ends)


def _interval(name: str, metric: Metric, value: float, ends: tuple[float, float]) -> Iterator[str]:
    low, high = ends
    if low > high:
        yield f"{name}: the interval ends ({high:.6g}) before it begins ({low:.6g}): {AGAIN}"
        return
    # A mean of joints of which some are rarely labelled may lie outside its resamples.
    room = 0.0 if metric.avg in ("pool", "hand") else high - low
    if not low - room - SLACK <= value <= high + room + SLACK:
        yield (
            f"{name} is {value:.6g}, outside its own 95 % interval [{low:.6g}, {high:.6g}]: {AGAIN}"
        )


# --- where they come from -------------------------------------------------------------------------


def signed_parts(signature: str) -> dict[str, str]:
    """Parts of a signature by name: ``protocol``, ``metrics``, ``expected``, ``truth`` and so on.

    >>> signed_parts("protocol: mmpose/1; expected: 3")
    {'protocol': 'mmpose/1', 'expected': '3'}
    """
    parts = (part.partition(": ") for part in signature.split("; "))
    return {key: value for key, _, value in parts}


def _preset(results: Results) -> Protocol | None:
    """The protocol that made `results`, where this handbench knows that version of it."""
    tag = signed_parts(results.signature).get("protocol", "")
    return next((p for p in PROTOCOLS if p.tag == tag and p.name == results.protocol), None)


def _signature(results: Results) -> Iterator[str]:
    parts = signed_parts(results.signature)
    lacking = [key for key in _SIGNED if not parts.get(key)]
    if lacking:
        yield f"signature lacks {', '.join(lacking)}: {AGAIN}"
        return
    name, _, version = parts["protocol"].partition("/")
    known = {protocol.name: protocol for protocol in PROTOCOLS}
    if name != results.protocol:
        yield f"signature is of protocol {name!r}, the results of {results.protocol!r}: {AGAIN}"
    elif name in known and version.isdecimal() and int(version) > known[name].version:
        yield (
            f"protocol {parts['protocol']} is newer than {known[name].tag}, which this handbench "
            "knows: update handbench"
        )
    elif name not in known and name != "custom":
        yield f"unknown protocol {name!r}: update handbench, or score under one that it knows"
    if parts["metrics"].split(" ") != list(results.metrics):
        yield f"signature names other metrics than the file holds: {AGAIN}"
    elif (preset := _preset(results)) is not None:
        ranks = [str(metric) for metric in preset.ranking_metrics]
        if not set(ranks) & set(results.metrics):
            yield f"no {' or '.join(ranks)}, which ranks under {preset.tag}: {AGAIN}"
    if parts["expected"] != str(results.samples["expected"]):
        yield (
            f"signature expects {parts['expected']} hands, samples "
            f"{results.samples['expected']}: {AGAIN}"
        )
    if not _HEX.fullmatch(parts["truth"]):
        yield f"signature: truth is no SHA-256 ({parts['truth'][:20]!r}): {AGAIN}"


def _provenance(results: Results) -> Iterator[str]:
    made = results.provenance
    lacking = [
        key
        for key in ("handbench", "command", "created", "data_sha256", "predictions_sha256")
        if key not in made
    ]
    if lacking:
        yield f"provenance lacks {', '.join(lacking)}, so nobody can reproduce it: {AGAIN}"
    for key in ("data_sha256", "predictions_sha256"):
        # Predictions that were never a file have no hash.
        if made.get(key) is not None and not _HEX.fullmatch(str(made[key])):
            yield f"provenance: {key} is no SHA-256 ({str(made[key])[:20]!r}): {AGAIN}"
    times = {"created": made["created"]} if "created" in made else {}
    if isinstance(made.get("reproduced"), dict):
        times["reproduced.date"] = made["reproduced"].get("date")
    for key, value in times.items():
        try:
            dt.datetime.fromisoformat(str(value))
        except ValueError:
            todo = AGAIN if key == "created" else "write it as 2024-05-31"
            yield f"provenance: {key} is no time ({str(value)[:40]!r}): {todo}"


def _same(one: MetricValue, other: MetricValue | None) -> bool:
    if other is None or one.value is None or other.value is None:
        return other is not None and one.value == other.value
    return math.isclose(one.value, other.value, rel_tol=SLACK, abs_tol=1e-9)


def _shown(entry: MetricValue | None) -> str:
    return "no value" if entry is None or entry.value is None else f"{entry.value:.6g}"
