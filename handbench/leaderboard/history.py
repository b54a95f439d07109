"""Several results of one model in one place: which one counts, and which contradict each other."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Sequence
from dataclasses import replace

from handbench.leaderboard.board import Entry, Evidence
from handbench.scores.results import MetricValue, Results

# Another processor may round the last bits in another way.
_SLACK = 1e-9


def with_history(entries: Sequence[Entry]) -> list[Entry]:
    """Mark conflicts and superseded entries.

    Parameters
    ----------
    entries
        Of any models; those of one model with the same dataset, split, protocol and signature
        are compared.
    """
    together: dict[tuple[str, ...], list[Entry]] = {}
    for entry in entries:
        results = entry.results
        place = (results.dataset, results.split, results.protocol, results.signature)
        together.setdefault((entry.name, *place), []).append(entry)
    marked: dict[str, Entry] = {}
    for same in together.values():
        for entry in _supersede(_contradict(same)):
            marked[entry.slug] = entry
    return [marked[entry.slug] for entry in entries]


def newest_first(entries: Sequence[Entry]) -> list[Entry]:
    """Entries by the time that they were made, the newest first; those without a time last."""
    by_file = sorted(entries, key=lambda entry: entry.file)
    return sorted(by_file, key=lambda entry: made(entry.results), reverse=True)


def made(results: Results) -> float:
    """Seconds since 1970 at which results were made; minus infinity where they do not say."""
    try:
        moment = dt.datetime.fromisoformat(str(results.provenance.get("created")))
        return moment.replace(tzinfo=moment.tzinfo or dt.UTC).timestamp()
    except (ValueError, OverflowError):
        return -math.inf


def version_of(results: Results) -> str:
    """The handbench version that made results, "unknown" where they do not say."""
    return str(results.provenance.get("handbench") or "unknown")


def _contradict(same: Sequence[Entry]) -> list[Entry]:
    """Entries with a problem for each that another of the same version contradicts."""
    marked = []
    for entry in same:
        others = [
            (other, name)
            for other in same
            if other is not entry and version_of(other.results) == version_of(entry.results)
            if (name := _differing(entry.results, other.results))
        ]
        problems = entry.problems
        if others:
            other, name = min(others, key=lambda pair: pair[0].file)
            problems += (
                f"{other.file} holds other numbers of {entry.name!r} under the same signature "
                f"({name}: {_shown(entry.results, name)} here, {_shown(other.results, name)} "
                "there): remove the wrong file, or name the models apart",
            )
        marked.append(replace(entry, problems=problems))
    return marked


def _supersede(same: Sequence[Entry]) -> list[Entry]:
    """Entries, each with the newest that takes its place.

    A clock can be set to any time, so being newer is not enough: what stands must be at least as
    well proved. Contradictions stand beside each other.
    """
    by_age = newest_first(same)
    marked = []
    for entry in same:
        newer = by_age[: by_age.index(entry)]
        heirs = (o for o in newer if _trust(o) >= _trust(entry) and not _equally_new(entry, o))
        heir = next(heirs, None)
        marked.append(entry if heir is None else replace(entry, superseded_by=heir.slug))
    return marked


_WORTH = {Evidence.RESCORED: 2, Evidence.REPRODUCED: 1, Evidence.SELF_REPORTED: 0}


def _trust(entry: Entry) -> tuple[bool, int]:
    """How well an entry is proved; what the checks found fault with is not."""
    return not entry.problems, _WORTH[entry.evidence]


def _equally_new(entry: Entry, newest: Entry) -> bool:
    if version_of(entry.results) != version_of(newest.results):
        return False
    # A contradiction is not settled by the clock: both stay in sight until one goes.
    return bool(_differing(entry.results, newest.results))


def _differing(one: Results, other: Results) -> str:
    """Name of the first metric with different values; "" if there is none."""
    names = dict.fromkeys([*one.metrics, *other.metrics])
    return next((n for n in names if not _same(one.metrics.get(n), other.metrics.get(n))), "")


def _same(one: MetricValue | None, other: MetricValue | None) -> bool:
    if one is None or other is None or one.value is None or other.value is None:
        return (one and one.value) is (other and other.value) is None
    return math.isclose(one.value, other.value, rel_tol=_SLACK, abs_tol=_SLACK)


def _shown(results: Results, name: str) -> str:
    metric = results.metrics.get(name)
    return "none" if metric is None or metric.value is None else f"{metric.value:.6g}"
