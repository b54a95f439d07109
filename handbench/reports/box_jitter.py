"""How a model's scores fall as its boxes get worse: a table and a curve."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from handbench.files import write_bytes, write_text
from handbench.predictions.record import Predictions
from handbench.reports.escape import no_formula
from handbench.reports.paper_figures import COLORS, METADATA, PNG_DPI, STYLE, WIDTHS
from handbench.scores.scoring import evaluate

METRICS = ("PCK@0.2[bbox]", "EPE[px]", "coverage")
_LABELS = {"PCK@0.2[bbox]": "PCK@0.2 [bbox]", "EPE[px]": "mean error, source px"}


@dataclass(frozen=True)
class JitterRow:
    """Scores with boxes moved by up to `amount` of their side.

    Attributes
    ----------
    amount
        0 for the boxes as they are.
    mean_iou
        Of moved boxes with true ones.
    values
        Metric name → value; NaN where there is none.
    """

    amount: float
    mean_iou: float
    values: dict[str, float]


def score_jitter(tried: Sequence[Predictions], data: Path) -> list[JitterRow]:
    """Score predictions that differ in their boxes alone, in the order they are given."""
    rows = []
    for predictions in tried:
        jitter = predictions.input.get("jitter", {})
        scored = evaluate(predictions, data, (), metrics=METRICS).results[0].metrics
        values = {name: scored[name].value if name in scored else None for name in METRICS}
        rows.append(
            JitterRow(
                float(jitter.get("amount", 0.0)),
                float(jitter.get("mean_iou", 1.0)),
                {name: math.nan if value is None else value for name, value in values.items()},
            )
        )
    return rows


def write_jitter(rows: Sequence[JitterRow], model: str, stem: Path) -> list[Path]:
    """Write ``stem.csv``, ``stem.svg`` and ``stem.png``; return their paths.

    Parameters
    ----------
    rows
        From :func:`score_jitter`.
    model
        Name of the model.
    stem
        Path without a suffix.
    """
    table = stem.with_name(f"{stem.name}.csv")
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["model", "jitter", "mean_iou", *METRICS])
    for row in rows:
        values = ["" if math.isnan(v) else f"{v:.6g}" for v in row.values.values()]
        writer.writerow([no_formula(model), f"{row.amount:g}", f"{row.mean_iou:.4f}", *values])
    write_text(table, stream.getvalue())
    return [table, *_draw(rows, model, stem)]


def _draw(rows: Sequence[JitterRow], model: str, stem: Path) -> list[Path]:
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    amounts = [row.amount for row in rows]
    paths = []
    with mpl.rc_context(cast("Any", STYLE)):
        figure = Figure(figsize=(WIDTHS["page"], 2.4))
        FigureCanvasAgg(figure)
        for axes, (name, label) in zip(figure.subplots(1, len(_LABELS)), _LABELS.items()):
            values = [row.values[name] for row in rows]
            axes.plot(amounts, values, "o-", color=COLORS[0], clip_on=False)
            axes.set_xlabel("boxes moved and resized by up to … of their side")
            axes.set_ylabel(label)
            axes.set_xlim(left=0)
            axes.set_ylim(bottom=0, top=1 if name.startswith("PCK") else None)
            for row, value in zip(rows, values):
                if math.isfinite(value):
                    axes.annotate(
                        f"IoU {row.mean_iou:.2f}",
                        (row.amount, value),
                        xytext=(0, -11 if name.startswith("PCK") else 6),
                        textcoords="offset points",
                        ha="left" if row.amount == 0 else "center",
                        fontsize=6,
                    )
        figure.suptitle(model if len(model) <= 60 else f"{model[:59]}…", fontsize=8)
        for ending in ("svg", "png"):
            picture = io.BytesIO()
            figure.savefig(picture, format=ending, dpi=PNG_DPI, metadata=METADATA[ending])
            paths.append(stem.with_name(f"{stem.name}.{ending}"))
            write_bytes(paths[-1], picture.getvalue())
    return paths
