"""Numbers to take away: tables as CSV inside the page."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from urllib.parse import quote

import numpy as np

from handbench.reports.curves import CurveFamily
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
    return "data:text/csv;charset=utf-8," + quote(text.getvalue())


def _cell(value: object) -> object:
    if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")):
        return "'" + value  # a spreadsheet would run =HYPERLINK(…) as a formula
    if isinstance(value, float):
        return f"{value:.6g}" if np.isfinite(value) else ""
    return "" if value is None else value
