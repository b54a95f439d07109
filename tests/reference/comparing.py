"""handbench's public path on random hands, and what it must agree with."""

from __future__ import annotations

import math
from collections.abc import Mapping

from reference.random_hands import RandomHands

from handbench.scores.names import parse
from handbench.scores.protocols import custom_protocol, find_protocol
from handbench.scores.scoring import score

TOLERANCE = 1e-6
"""In px, mm or as a fraction: far below any printed digit."""

COMPARED: list[tuple[float, str]] = []
"""Difference and name of every value that the running test has compared so far."""


def protocol_values(hands: RandomHands, protocol: str) -> dict[str, float]:
    """Every value of a protocol by its printed name; nan where there is none."""
    evaluation = score(hands.predictions, hands.truth, [find_protocol(protocol)])
    return {
        name: math.nan if metric.value is None else metric.value
        for name, metric in evaluation.results[0].metrics.items()
    }


def metric_values(hands: RandomHands, *names: str) -> dict[str, float]:
    """Values of metrics named one by one, by their printed name."""
    evaluation = score(hands.predictions, hands.truth, [custom_protocol(names)])
    return {
        name: math.nan if metric.value is None else metric.value
        for name, metric in evaluation.results[0].metrics.items()
    }


def largest_difference(found: Mapping[str, float], expected: Mapping[str, float]) -> float:
    """Largest absolute difference over the names of `expected`, which `found` must all have.

    Where both are nan they agree; where one is, they do not, and the difference is infinite.
    """
    differences = []
    for name, value in expected.items():
        printed = str(parse(name))
        if printed not in found:
            raise AssertionError(f"no {printed} among {', '.join(found)}")
        other = found[printed]
        if math.isnan(value) or math.isnan(other):
            differences.append(0.0 if math.isnan(value) and math.isnan(other) else math.inf)
        else:
            differences.append(abs(value - other))
    return max(differences)


def assert_agree(
    found: Mapping[str, float], expected: Mapping[str, float], tolerance: float = TOLERANCE
) -> None:
    """Fail with a table of every value that is off by more than `tolerance`."""
    differences = {name: largest_difference(found, {name: expected[name]}) for name in expected}
    COMPARED.extend((difference, name) for name, difference in differences.items())
    off = {
        name: (found.get(str(parse(name))), expected[name])
        for name, difference in differences.items()
        if difference > tolerance
    }
    assert not off, "\n".join(f"{n}: handbench {a!r}, reference {b!r}" for n, (a, b) in off.items())
