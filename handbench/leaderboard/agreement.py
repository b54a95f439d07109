"""Whether submitted numbers agree with those made here, as far as these can be known.

Deposited points lie up to ε from where they were predicted (:mod:`handbench.predictions.deposit`).
By the triangle inequality the error of a joint then differs by at most ε; with one joint moved onto
the truth's by 2 ε, because two points moved. Every metric of joints rises or falls with every
error, so its value over all errors + ε and over all errors - ε (not below 0) encloses what the
original predictions scored: the tolerance is computed for each number, not guessed. A PCK at a
steep place of its curve may differ more, one at a flat place not at all.

After a fit (scale, Procrustes, the length of a bone) there is no such bound; the multiples used are
several times what was found on hands with errors up to 30 mm. Scores that are no function of the
stored errors (F, PCK and AUC of meshes, OKS-AP) may differ by 0.02.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from handbench.leaderboard.tables import parsed
from handbench.scores.metric import Metric
from handbench.scores.numbers import make_numbers
from handbench.scores.protocol import Protocol
from handbench.scores.results import Evaluation, Results
from handbench.scores.sample_errors import SampleErrors

# Another processor rounds sums in another way.
_ROUNDING = 1e-6
_NOT_BOUNDED = 0.02
_MULTIPLES = {"px": 1.0, "cam": 1.0, "root": 2.0, "scale": 3.0, "pa": 4.0, "pa-reflect": 4.0}
_BONE = 20.0


@dataclass(frozen=True)
class Agreement:
    """Outcome of a comparison.

    Attributes
    ----------
    compared
        Numbers that agree.
    lacking
        Metrics that were submitted and have no value here.
    different
        Sentences, one a number that cannot be.
    """

    compared: int
    lacking: tuple[str, ...]
    different: tuple[str, ...]


def compare_results(
    submitted: Results, ours: Results, bounds: tuple[Results, Results] | None = None
) -> Agreement:
    """Compare number by number.

    Parameters
    ----------
    submitted, ours
        Of the same model, data and protocol.
    bounds
        `ours` from errors that are as small and as large as they may have been
        (:func:`bounds_of`); None where they are known exactly.
    """
    compared, lacking, different = 0, [], []
    for count in ("expected", "predicted"):
        said, found = submitted.samples[count], ours.samples[count]
        if said != found:
            different.append(f"{said:,} hands {count} were submitted, {found:,} are so here")
    for name, metric in submitted.metrics.items():
        said_value, here = metric.value, ours.metrics.get(name)
        if said_value is None:
            continue
        if here is None or here.value is None:
            lacking.append(name)
            continue
        low, high = _range(name, here.value, bounds)
        if low <= said_value <= high:
            compared += 1
        else:
            between = f"{here.value:.6g}"
            if high - low > 1e-3 * abs(here.value):
                between += f" ({low:.6g} to {high:.6g} within half precision)"
            different.append(f"{name} is {said_value:.6g} as submitted and {between} here")
    return Agreement(compared, tuple(lacking), tuple(different))


def bounds_of(
    evaluation: Evaluation, protocols: Sequence[Protocol], moved_px: float, moved_mm: float
) -> tuple[Evaluation, Evaluation]:
    """`evaluation` with errors as small, and as large, as they may have been.

    Parameters
    ----------
    evaluation
        Of deposited predictions under `protocols`.
    moved_px, moved_mm
        How far a point may lie from where it was predicted: px of the source image, mm.
    """
    # One group: no interval is made, and none is needed.
    errors = replace(evaluation.errors, cluster=np.zeros(len(evaluation.errors), dtype="U1"))
    low, high = (
        make_numbers(_shifted(errors, sign * moved_px, sign * moved_mm), protocols)
        for sign in (-1, 1)
    )
    return low, high


def _range(name: str, value: float, bounds: tuple[Results, Results] | None) -> tuple[float, float]:
    """Values that may be called the same."""
    ends = [value]
    slack = _ROUNDING * max(1.0, abs(value))
    if bounds is not None:
        ends += [v for r in bounds if (v := r.metrics[name].value) is not None]
        metric = parsed(name)
        slack += _NOT_BOUNDED if metric is not None and not _is_bounded(metric) else 0.0
    return min(ends) - slack, max(ends) + slack


def _is_bounded(metric: Metric) -> bool:
    return metric.per_joint or metric.is_distance or metric.quantity in ("coverage", "handedness")


def _shifted(errors: SampleErrors, px: float, mm: float) -> SampleErrors:
    """Errors that all differ by as much as points moved by `px` and `mm` can make them."""
    joints = {}
    for name, array in errors.joints.items():
        words = name.split(",")
        if "of=mean-pose" in words:
            joints[name] = array
            continue
        step: float | npt.NDArray[np.float64] = px if words[0] == "px" else mm
        if "frame=stored" in words:
            step = px * _stored_scale(array, errors.errors_px)
        joints[name] = np.maximum(array + step * _multiple(words), 0.0)
    hands = {}
    for name, array in errors.hands.items():
        metric = parsed(name)
        if metric is not None and metric.is_distance:
            multiple = _multiple([metric.alignment or "root"])  # MRRPE: between two points
            hands[name] = np.maximum(array + mm * multiple, 0.0)
        else:
            hands[name] = array
    return replace(errors, joints=joints, hands=hands)


def _multiple(words: Sequence[str]) -> float:
    if any(word.startswith("bone=") for word in words):
        return _BONE
    named = (word.partition("=")[0] for word in reversed(words))
    return next((_MULTIPLES[word] for word in named if word in _MULTIPLES), 1.0)


def _stored_scale(
    stored: npt.NDArray[np.float64], source: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """(N, 1) stored px a source px of every hand; 1 where no error tells it."""
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = np.where(np.isfinite(stored) & (source > 0), stored / source, np.nan)
    ratio = np.where(np.isfinite(ratio), ratio, -math.inf).max(axis=1)
    return np.where(np.isfinite(ratio), ratio, 1.0)[:, None]
