"""Numbers to take away: tables as CSV inside the page."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from itertools import chain
from urllib.parse import quote

import numpy as np

from handbench.hand import JOINT_NAMES
from handbench.reports.breakdowns import GroupTable
from handbench.reports.curves import CurveFamily
from handbench.reports.differences import JointDifferences
from handbench.reports.escape import no_formula
from handbench.reports.summary import Basis
from handbench.reports.views import ModelView
from handbench.scores.results import Evaluation

_MAX_NAMES = 5000


def curve_csv(family: CurveFamily) -> str:
    """Address of the thresholds and fractions of one chart."""
    header = [family.x_label, *(series.name for series in family.series)]
    return csv_address(header, zip(*family.columns, strict=True))


def joints_csv(models: Sequence[ModelView], basis: Basis) -> str:
    """Address of the errors of every joint of every model."""
    rows = [
        (model.name, row.name, row.labelled, row.missed, row.median, row.mean, row.p95)
        for model in models
        for row in model.joints
    ]
    statistics = [f"{name}_{basis.unit}" for name in ("median", "mean", "p95")]
    return csv_address(["model", "joint", "labelled", "missed", *statistics], rows)


def groups_csv(names: Sequence[str], table: GroupTable) -> str:
    """Address of one breakdown of every model: one row a model and group."""
    metrics = list(dict.fromkeys(name for slot in table.of_models for name in table.metrics(slot)))
    rows = []
    for slot, found in table.of_models.items():
        for subset in found.subsets[: table.kept]:
            sizes = (subset.expected, subset.predicted, subset.joints, subset.clusters)
            values = [
                (subset.metrics.get(name), *(subset.ci95.get(name) or (None, None)))
                for name in metrics
            ]
            rows.append((names[slot], subset.value, *sizes, *chain.from_iterable(values)))
    header = ["model", table.by, "hands", "predicted", "joints", "clusters"]
    header += [f"{name}{part}" for name in metrics for part in ("", " ci95 low", " ci95 high")]
    return csv_address(header, rows)


def diagnosis_csv(models: Sequence[ModelView]) -> str:
    """Address of the kinds of errors of every model and what each costs."""
    metrics = list(
        dict.fromkeys(
            name for m in models if m.diagnosis is not None for name in m.diagnosis.metrics
        )
    )
    rows = []
    for model in models:
        if model.diagnosis is None:
            continue
        for kind in model.diagnosis.kinds:
            costs = dict(zip(model.diagnosis.metrics, kind.costs, strict=True))
            about = (model.name, kind.name, kind.keypoints, kind.share, kind.hands, kind.by_chance)
            rows.append((*about, *(costs.get(name) for name in metrics)))
    header = ("model", "kind", "keypoints", "share", "hands", "by_chance")
    return csv_address((*header, *(f"cost in {name}" for name in metrics)), rows)


def differences_csv(names: Sequence[str], found: JointDifferences) -> str:
    """Address of the differences of every joint to the best model."""
    rows = [
        (names[slot], names[found.reference], joint, mark.value, *(mark.ci95 or (None, None)))
        for slot in found.slots
        for joint, row in zip(JOINT_NAMES, found.rows, strict=True)
        if (mark := row.get(slot)) is not None
    ]
    header = ("model", "minus", "joint", found.metric, "ci95_low", "ci95_high")
    return csv_address(header, rows)


def names_csv(evaluation: Evaluation) -> str:
    """Address of the ids that were missing, superfluous or given twice, up to 5,000 of each."""
    kinds = {
        "missing": evaluation.missing,
        "extra": evaluation.extra,
        "duplicate": evaluation.duplicate,
    }
    rows = [(kind, name) for kind, names in kinds.items() for name in names[:_MAX_NAMES]]
    return csv_address(("kind", "sample_id"), rows)


def csv_address(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a ``data:`` address that downloads a table as CSV."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([_cell(cell) for cell in header])
    writer.writerows([_cell(cell) for cell in row] for row in rows)
    # Escaping every comma would double the length; only %, # and what is not ASCII must be.
    return "data:text/csv;charset=utf-8," + quote(text.getvalue(), safe=",;:/[]()@=+*!'")


def _cell(value: object) -> object:
    if isinstance(value, str):
        return no_formula(value)
    if isinstance(value, float):
        return f"{value:.6g}" if np.isfinite(value) else ""
    return "" if value is None else value
