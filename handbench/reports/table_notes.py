"""What a reader of a table has to know: sentences that stand below it or in its caption."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from handbench.reports.escape import one_line
from handbench.reports.table_columns import (
    Choice,
    Column,
    Models,
    missed,
    parsed,
    plain_definition,
    preset_of,
)
from handbench.scores.intervals import RELIABLE_CLUSTERS
from handbench.scores.text import signature_differences

_RESAMPLES = re.compile(r"\S+ resamples of \S+ groups \([^)]*\)")
_UNRELIABLE = ", unreliable"

FLOOR = "mean pose (floor)"
"""Label of the row that every model should beat."""


def notes_of(
    group: Models,
    columns: Sequence[Column],
    choice: Choice,
    *,
    floor: bool,
    tied_by: str,
    unequal: Collection[str],
    apart: str,
) -> list[str]:
    """Sentences without full stop about one table.

    Parameters
    ----------
    group, columns, choice
        The table.
    floor
        Whether it has a row of the mean pose.
    tied_by
        Metric by which some model is not distinguishable from the best; "" where none is.
    unequal
        Names of columns in which models are measured over different hands.
    apart
        See :func:`apart_because`.
    """
    notes = ["bold: best of its column"] if len(group) > 1 else []
    if unequal:
        names = [column.name for column in columns if column.name in unequal]
        notes.append(
            f"nobody is best at {', '.join(names)}: there the models are measured over different "
            "hands"
        )
    if tied_by:
        notes.append(
            f"≈: not distinguishable from the best model by {tied_by} (paired permutation test on "
            "whole groups, Holm-corrected, p ≥ 0.05)"
        )
    if choice.intervals:
        notes.append(f"[…]: 95 % interval, {_intervals(group, columns)}")
    if floor:
        notes.append(
            f"{FLOOR}: the mean pose of this truth drawn into every box, which every model should "
            "beat"
        )
    preset = preset_of(group)
    if preset is not None and any(map(missed, group.values())):
        notes.append(f"missing hands: {preset.missing_rule}")
    notes += _remarks(group, columns)
    return [one_line(note) for note in (*notes, apart) if note]


def _intervals(group: Models, columns: Sequence[Column]) -> str:
    """How the intervals of the shown metrics came about, as their definitions say."""
    values = (one.metrics.get(column.name) for one in group.values() for column in columns)
    said = [value.definition.rpartition("; interval: ")[2] for value in values if value is not None]
    made = sorted({found[0] for text in said if (found := _RESAMPLES.match(text))})
    if not made:
        return "none could be computed"
    doubt = f"; fewer than {RELIABLE_CLUSTERS} groups: unreliable"
    return " or ".join(made) + (doubt if any(_UNRELIABLE in text for text in said) else "")


def _remarks(group: Models, columns: Sequence[Column]) -> list[str]:
    """What definitions say beyond the metric: why there is no value, which hands are left out."""
    said: dict[str, list[str]] = {}
    for label, results in group.items():
        for column in columns:
            value = results.metrics.get(column.name)
            if value is None or parsed(column.name) is None:
                continue
            more = plain_definition(value).removeprefix(column.definition).strip("; ")
            if more and more != value.definition:
                said.setdefault(f"{label}: {more}", []).append(column.name)
    return [f"{remark} ({', '.join(names)})" for remark, names in said.items()]


def apart_because(signature: str, signatures: Sequence[str]) -> str:
    """Why models of one protocol stand in several tables."""
    if len(signatures) < 2:
        return ""
    try:
        differing = signature_differences(signatures)
    except ValueError:  # a signature that was written by hand
        differing = {}
    mine = signatures.index(signature)
    parts = [
        f"{part} ({values[mine]})" if values[mine] else part for part, values in differing.items()
    ]
    return (
        f"other models are in a table of their own, because their signatures differ in "
        f"{', '.join(parts) or 'some part'}: their numbers may not be compared with these"
    )
