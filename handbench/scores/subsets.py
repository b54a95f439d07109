"""Breakdowns: scores of groups of hands or joints, from errors that are already there.

Nothing is measured again: a group's numbers are averages over its part of the (N, 21) scores and
errors of an :class:`~handbench.scores.results.Evaluation`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from handbench.errors import ScoreError
from handbench.hand import NUM_JOINTS
from handbench.hdf5.reader import HandFile
from handbench.metrics import arrange, average, epe
from handbench.scores.groupings import Group, Grouping, grouping, labelled
from handbench.scores.intervals import (
    MIN_CLUSTERS,
    RELIABLE_CLUSTERS,
    ClusterSums,
    bootstrap,
    cluster_sums,
)
from handbench.scores.metric import Metric
from handbench.scores.protocol import Protocol
from handbench.scores.results import Evaluation
from handbench.scores.truth import read_truth

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Subset:
    """Scores of one group of a breakdown.

    Attributes
    ----------
    value
        What the group shares, as text.
    expected, predicted
        Number of hands with a labelled joint in the group.
    metrics
        Name of each protocol's primary metric, ``EPE[px]`` where the predictions have 2D,
        ``PA-MPJPE[mm]`` and ``MPJPE[mm,root=0]`` where there is 3D → value; None where undefined.
    by
        Name of the grouping or column.
    joints
        Number of joints of the group that are labelled, in 2D or in 3D.
    clusters
        Number of groups of the bootstrap that these hands belong to.
    ci95
        Name of a primary metric → its 95 % interval; None with fewer than
        :data:`~handbench.scores.intervals.MIN_CLUSTERS` clusters.
    """

    value: str
    expected: int
    predicted: int
    metrics: dict[str, float | None]
    by: str = ""
    joints: int = 0
    clusters: int = 0
    ci95: dict[str, tuple[float, float] | None] = field(default_factory=dict)

    @property
    def reliable(self) -> bool:
        """Whether there are enough clusters for an interval to be trusted."""
        return self.clusters >= RELIABLE_CLUSTERS


@dataclass(frozen=True)
class Breakdown:
    """Scores of every group of one grouping.

    Attributes
    ----------
    by, definition
        Name of the grouping or column, and how its groups are made, in one line.
    cluster_unit
        What the intervals resample.
    subsets
        One a group, in the order of the grouping.
    """

    by: str
    definition: str
    cluster_unit: str
    subsets: list[Subset]

    def to_frame(self) -> pd.DataFrame:
        """One row a group and metric (:func:`handbench.scores.frames.groups_frame`)."""
        from handbench.scores.frames import groups_frame

        return groups_frame(self)


def breakdown(
    evaluation: Evaluation, data: HandFile, names: Sequence[str], protocols: Sequence[Protocol]
) -> list[Breakdown]:
    """Score groups of hands or of joints.

    Parameters
    ----------
    evaluation
        Under `protocols`.
    data
        The file that was predicted on.
    names
        Groupings (:data:`~handbench.scores.groupings.GROUPINGS`) or columns of the split with one
        value a hand.
    protocols
        Their primary metrics are shown.

    Returns
    -------
    One a name.

    Raises
    ------
    ScoreError
        If a name is unknown, a column cannot group, or the evaluation is of other hands.
    """
    split = evaluation.results[0].split
    truth = read_truth(data, split)
    errors = evaluation.errors
    row_of = {name: row for row, name in enumerate(truth.sample_id.tolist())}
    strangers = [name for name in errors.sample_id.tolist() if name not in row_of]
    if strangers:
        raise ScoreError(
            f"expected the evaluation of hands in split {split!r} of {data.path}, found "
            f"{len(strangers):,} hands that it does not label (first: {strangers[0]!r}): name the "
            "file that was scored"
        )
    truth = truth.rows(np.array([row_of[name] for name in errors.sample_id.tolist()]))
    there = labelled(truth).astype(np.float64)
    tables = []
    for name in dict.fromkeys(names):
        groups = grouping(name, truth, data[split])
        subsets = _subsets(evaluation, groups, protocols, there)
        tables.append(Breakdown(name, groups.definition, truth.cluster_unit, subsets))
    return tables


def _subsets(
    evaluation: Evaluation,
    groups: Grouping,
    protocols: Sequence[Protocol],
    there: Floats,
) -> list[Subset]:
    errors = evaluation.errors
    distances = _distances(evaluation)
    joint_wise = groups.groups[0].joints is not None
    primary = {
        str(metric): (metric, scores)
        for protocol in protocols
        if (scores := evaluation.primary.get(protocol.name)) is not None
        and (metric := evaluation.ranks_by[protocol.name])
        # Some metrics have one score a hand, which no group of joints can share.
        and not (joint_wise and scores.shape[1] != NUM_JOINTS)
    }
    _, cluster = np.unique(errors.cluster, return_inverse=True)
    intervals = _intervals(groups.groups, primary, cluster, errors.is_right)
    subsets = []
    for group, ci95 in zip(groups.groups, intervals):
        sides = errors.is_right[group.rows]
        metrics = {
            name: _value(group.of(scores), metric, sides)
            for name, (metric, scores) in primary.items()
        }
        for name, values in distances.items():
            metrics.setdefault(name, _number(epe(group.of(values))))
        subsets.append(
            Subset(
                value=group.value,
                expected=len(group.rows),
                predicted=int(errors.predicted[group.rows].sum()),
                metrics=metrics,
                by=groups.by,
                joints=int(np.nansum(group.of(there))),
                clusters=len(np.unique(cluster[group.rows])),
                ci95=ci95,
            )
        )
    return subsets


def _distances(evaluation: Evaluation) -> dict[str, Floats]:
    """Names and (N, 21) errors of the distances that stand beside the primary metrics."""
    errors = evaluation.errors
    distances = {
        "EPE[px]": errors.errors_px,
        "PA-MPJPE[mm]": errors.pa_mm,
        "MPJPE[mm,root=0]": errors.root_mm,
    }
    # Without 2D in truth or predictions every error in px is NaN.
    return {
        name: values
        for name, values in distances.items()
        if values is not None and not np.isnan(values).all()
    }


def _value(scores: Floats, metric: Metric, is_right: npt.NDArray[np.int8]) -> float | None:
    if metric.stat == "mean":
        return _number(average(scores, metric.avg, is_right))
    return _number(epe(scores, metric.stat, avg=metric.avg))


def _intervals(
    groups: Sequence[Group],
    primary: dict[str, tuple[Metric, Floats]],
    cluster: npt.NDArray[np.intp],
    is_right: npt.NDArray[np.int8],
) -> list[dict[str, tuple[float, float] | None]]:
    """Intervals of every group over the clusters of its own hands.

    Groups with the same clusters, as those of joints mostly are, share their resamples: drawing
    them is most of the work.
    """
    found: list[dict[str, tuple[float, float] | None]] = []
    shared: dict[bytes, list[tuple[int, str, ClusterSums]]] = {}
    for number, group in enumerate(groups):
        there, index = np.unique(cluster[group.rows], return_inverse=True)
        found.append(dict.fromkeys(primary))
        if len(there) < MIN_CLUSTERS:
            continue
        for name, (metric, scores) in primary.items():
            if metric.stat == "mean":
                arranged, avg = arrange(group.of(scores), metric.avg, is_right[group.rows])
                sums = cluster_sums(arranged, index, len(there), avg)
                shared.setdefault(there.tobytes(), []).append((number, name, sums))
    for members in shared.values():
        for (number, name, _), interval in zip(members, bootstrap([sums for *_, sums in members])):
            found[number][name] = interval
    return found


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
