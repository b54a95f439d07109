"""Parts of results JSON that plainly fit its schema: a thousand files are then read in a second."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from handbench.hand import NUM_JOINTS
from handbench.scores.metric import Unit

_UNITS = frozenset(get_args(Unit))
_NUMBERS = frozenset({float, int, type(None)})


def doubtful(document: Mapping[str, Any]) -> dict[str, Any]:
    """`document` without entries of its three large parts that plainly fit the schema.

    They are nine tenths of it, and the validator takes 10 µs for each of their thousands of
    numbers. What is left over is judged by the schema alone.
    """
    plain = dict(document)
    for part, fits in (("metrics", _fits), ("per_joint", _is_per_joint), ("curves", _is_curve)):
        entries = document.get(part)
        if type(entries) is dict:
            plain[part] = {name: entry for name, entry in entries.items() if not fits(entry)}
    return plain


def _fits(metric: Any) -> bool:
    if type(metric) is not dict:
        return False
    unit, ends = metric.get("unit"), metric.get("ci95")
    return (
        type(unit) is str
        and unit in _UNITS
        and _are_numbers([metric.get("value", "")])
        and (ends is None or (type(ends) is list and len(ends) == 2 and None not in ends))
        and _are_numbers(ends or [])
        and type(metric.get("definition")) is str
        and metric["definition"] != ""
    )


def _is_per_joint(entry: Any) -> bool:
    return type(entry) is list and len(entry) == NUM_JOINTS and _are_numbers(entry)


def _is_curve(entry: Any) -> bool:
    if type(entry) is not dict:
        return False
    x, y = entry.get("x"), entry.get("y")
    return type(x) is type(y) is list and _are_numbers(x) and None not in x and _are_numbers(y)


def _are_numbers(values: list[Any]) -> bool:
    """Whether all are numbers or null, as JSON has them: true and false are neither."""
    return {*map(type, values)} <= _NUMBERS
