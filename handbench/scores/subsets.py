"""Scores of subsets: one row a value of a column, from errors that are already there."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from handbench.errors import ScoreError
from handbench.hdf5.reader import SplitReader
from handbench.metrics import average, epe
from handbench.scores.protocols import Protocol
from handbench.scores.results import Evaluation


@dataclass(frozen=True)
class Subset:
    """Scores of the hands that share one value of a column.

    Attributes
    ----------
    value
        The shared value, as text.
    expected, predicted
        Number of hands.
    metrics
        Name of each protocol's primary metric, and ``EPE[px]``, → value; None where undefined.
    """

    value: str
    expected: int
    predicted: int
    metrics: dict[str, float | None]


def by_column(
    evaluation: Evaluation, split: SplitReader, column: str, protocols: list[Protocol]
) -> list[Subset]:
    """Score every group of hands with the same value in `column`.

    Parameters
    ----------
    evaluation
        Under `protocols`.
    split
        The split that was scored.
    column
        A column with one text, whole number or truth value a hand: ``subject_id``, ``is_right``.
    protocols
        Their primary metrics are shown.

    Returns
    -------
    Sorted by value.

    Raises
    ------
    ScoreError
        If there is no such column, or it holds something else.
    """
    values = _column(split, column)
    row_of = {name: row for row, name in enumerate(split.column("sample_id").tolist())}
    errors = evaluation.errors
    values = values[[row_of[name] for name in errors.sample_id.tolist()]]
    subsets = []
    for value in np.unique(values):
        rows = values == value
        metrics: dict[str, float | None] = {}
        for protocol in protocols:
            scores = evaluation.primary.get(protocol.name)
            if scores is not None:
                name = str(protocol.primary)
                metrics[name] = _number(average(scores[rows], protocol.primary.avg))
        metrics["EPE[px]"] = _number(epe(errors.errors_px[rows]))
        predicted = int(errors.predicted[rows].sum())
        subsets.append(Subset(str(value), int(rows.sum()), predicted, metrics))
    return subsets


def _column(split: SplitReader, column: str) -> npt.NDArray[Any]:
    usable = [name for name in split.names if name != "sample_id" and len(split.shape(name)) == 1]
    if column not in usable:
        near = difflib.get_close_matches(column, usable, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(usable)}"
        raise ScoreError(
            f"cannot group by {column!r}: split {split.name!r} has no such column with one value "
            f"a hand; {hint}"
        )
    values = split.column(column)
    if values.dtype.kind not in "Uiub":
        raise ScoreError(
            f"cannot group by {column!r}: it holds measurements, and nearly every hand would be a "
            "group of its own; choose a column of names or whole numbers"
        )
    return values


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
