"""Results as pandas frames: one fact a row, tidy columns, ready to filter, group and plot.

Every frame of results begins with the columns ``model``, ``dataset``, ``split`` and ``protocol``,
so that frames of several results can be put below each other. pandas is imported when a frame is
made.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from handbench.errors import ScoreError
from handbench.hand import JOINT_NAMES, finger_of
from handbench.scores.compare import over_found
from handbench.scores.error_classes import NAMES
from handbench.scores.metric import Metric
from handbench.scores.names import parse
from handbench.scores.results import Results, results_files

if TYPE_CHECKING:
    import pandas as pd

    from handbench.scores.diagnosis import Diagnosis
    from handbench.scores.sample_errors import SampleErrors
    from handbench.scores.subsets import Breakdown

OF_RESULTS = ("model", "dataset", "split", "protocol")
_METRICS = (
    *OF_RESULTS,
    *(
        "metric",
        "value",
        "unit",
        "ci95_low",
        "ci95_high",
        "quantity",
        "joints",
        "smaller_is_better",
    ),
    *("floor", "found_only", "expected", "predicted", "coverage", "definition", "signature"),
    *("handbench", "created"),
)
_PER_JOINT = (*OF_RESULTS, "metric", "joint", "finger", "value")
_CURVES = (*OF_RESULTS, "curve", "threshold", "fraction")
_GROUPS = (
    *("by", "group", "metric", "value", "ci95_low", "ci95_high"),
    *("expected", "predicted", "joints", "clusters", "reliable"),
)
_DIAGNOSIS = ("model", "dataset", "split", "kind", "metric", "cost", "keypoints", "share", "hands")


def metrics_frame(results: Results) -> pd.DataFrame:
    """One row a metric, in the protocol's order; see :func:`results_frame` for the columns."""
    return results_frame(results)


def results_frame(
    results: str | os.PathLike[str] | Results | Iterable[str | os.PathLike[str] | Results],
) -> pd.DataFrame:
    """Many results below each other: one row a metric and model.

    Parameters
    ----------
    results
        Results, results files, or folders of results files; one or several.

    Returns
    -------
    Columns ``model``, ``dataset``, ``split``, ``protocol``; ``metric`` (full name), ``value`` (NaN
    where there is none), ``unit``, ``ci95_low`` and ``ci95_high``, ``quantity``, ``joints`` and
    ``smaller_is_better`` (None for names that this handbench cannot read), ``floor`` (of the mean
    pose, not of the model), ``found_only`` (over the hands found: compare it at equal ``coverage``
    alone), ``expected``, ``predicted``, ``coverage``, ``definition``, ``signature`` (only rows with
    equal ones may be ranked together), ``handbench`` (version) and ``created``.

    Raises
    ------
    ScoreError
        If a file is no results JSON, or there is none.
    """
    import pandas as pd

    given = [results] if isinstance(results, str | os.PathLike | Results) else list(results)
    read: list[Results] = []
    for one in given:
        if isinstance(one, Results):
            read.append(one)
        else:
            read += [Results.read(path) for path in results_files(Path(one))]
    if not read:
        raise ScoreError("expected at least one result, found none")
    rows = [row for one in read for row in _metric_rows(one)]
    numbers = dict.fromkeys(("value", "ci95_low", "ci95_high"), "float64")
    return pd.DataFrame(rows, columns=list(_METRICS)).astype(numbers)


def _metric_rows(results: Results) -> Iterator[tuple[Any, ...]]:
    counts = results.samples
    share = counts["predicted"] / max(1, counts["expected"])
    for name, entry in results.metrics.items():
        metric = _parsed(name)
        low, high = (None, None) if entry.ci95 is None else entry.ci95
        about: tuple[Any, ...] = (None, None, None)
        if metric is not None:
            about = (metric.quantity, metric.joints, metric.is_distance)
        yield (
            *_of(results),
            *(name, entry.value, entry.unit, low, high, *about),
            metric is not None and metric.of == "mean-pose",
            metric is not None and over_found(metric),
            *(counts["expected"], counts["predicted"], share),
            *(entry.definition, results.signature),
            *(results.provenance.get("handbench"), results.provenance.get("created")),
        )


def joints_frame(results: Results) -> pd.DataFrame:
    """One row a metric and joint: columns ``metric``, ``joint``, ``finger``, ``value``."""
    import pandas as pd

    rows = [
        (*_of(results), name, JOINT_NAMES[joint], finger_of(joint), value)
        for name, values in results.per_joint.items()
        for joint, value in enumerate(values)
    ]
    return pd.DataFrame(rows, columns=list(_PER_JOINT)).astype({"value": "float64"})


def curves_frame(results: Results) -> pd.DataFrame:
    """One row a threshold of every curve: columns ``curve``, ``threshold``, ``fraction``."""
    import pandas as pd

    rows = [
        (*_of(results), name, x, y)
        for name, curve in results.curves.items()
        for x, y in zip(curve["x"], curve["y"])
    ]
    numbers = {"threshold": "float64", "fraction": "float64"}
    return pd.DataFrame(rows, columns=list(_CURVES)).astype(numbers)


def groups_frame(breakdown: Breakdown) -> pd.DataFrame:
    """One row a group and metric of a breakdown.

    Returns
    -------
    Columns ``by``, ``group``, ``metric``, ``value``, ``ci95_low`` and ``ci95_high``, ``expected``,
    ``predicted``, ``joints``, ``clusters`` and ``reliable`` (enough clusters for the interval).
    """
    import pandas as pd

    rows = []
    for subset in breakdown.subsets:
        for name, value in subset.metrics.items():
            low, high = subset.ci95.get(name) or (None, None)
            rows.append(
                (
                    *(breakdown.by, subset.value, name, value, low, high),
                    *(subset.expected, subset.predicted, subset.joints, subset.clusters),
                    subset.reliable,
                )
            )
    numbers = dict.fromkeys(("value", "ci95_low", "ci95_high"), "float64")
    return pd.DataFrame(rows, columns=list(_GROUPS)).astype(numbers)


def diagnosis_frame(diagnosis: Diagnosis) -> pd.DataFrame:
    """One row a kind of error and metric.

    Returns
    -------
    Columns ``model``, ``dataset``, ``split``, ``kind``, ``metric``, ``cost`` (what the metric would
    gain), ``keypoints`` and their ``share`` of those diagnosed, ``hands`` with at least one.
    """
    import pandas as pd

    total = max(1, diagnosis.keypoints)
    rows = [
        (
            *(diagnosis.model, diagnosis.dataset, diagnosis.split, kind, metric),
            *(float(cost), int(keypoints), int(keypoints) / total, int(hands)),
        )
        for metric, costs in diagnosis.costs.items()
        for kind, cost, keypoints, hands in zip(NAMES, costs, diagnosis.counts, diagnosis.hands)
    ]
    return pd.DataFrame(rows, columns=list(_DIAGNOSIS))


def samples_frame(errors: SampleErrors) -> pd.DataFrame:
    """One row a hand, in the order of the data.

    Returns
    -------
    Columns ``sample_id``, ``predicted``, ``cluster``, ``is_right``, ``hand_type`` where known, the
    numbers of joints ``labelled_2d`` and ``labelled_3d``; ``size:<name>`` px of every normaliser;
    ``mean:<kind>`` of every kind of joint errors, in its unit, over the labelled joints (NaN where
    nothing is labelled, inf where the hand was missed); and the score of every metric that has one
    a hand under its own name.
    """
    import pandas as pd

    columns: dict[str, Any] = {
        "sample_id": errors.sample_id,
        "predicted": errors.predicted,
        "cluster": errors.cluster,
        "is_right": errors.is_right,
    }
    if errors.hand_type is not None:
        columns["hand_type"] = errors.hand_type
    columns["labelled_2d"] = errors.labelled_2d.sum(axis=1)
    columns["labelled_3d"] = errors.labelled_3d.sum(axis=1)
    columns |= {f"size:{name}": sizes for name, sizes in errors.sizes.items()}
    for kind, values in errors.joints.items():
        there = ~np.isnan(values)
        count = there.sum(axis=1)
        total = np.where(there, values, 0.0).sum(axis=1)
        columns[f"mean:{kind}"] = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return pd.DataFrame({**columns, **errors.hands})


def _of(results: Results) -> tuple[str, str, str, str]:
    return str(results.model["name"]), results.dataset, results.split, results.protocol


def _parsed(name: str) -> Metric | None:
    try:
        return parse(name)
    except ScoreError:
        return None
