"""``handbench predict --box-jitter``: what it prints and writes at the end."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from handbench.predictions.record import Predictions


def write_curve(tried: Sequence[Predictions], data: Path, stem: Path) -> None:
    """Score all predictions of a model, print a table, write it and the curve."""
    from handbench.reports.box_jitter import METRICS, score_jitter, write_jitter

    rows = score_jitter(tried, data)
    names = ("jitter", "mean IoU", *METRICS)
    click.echo("  ".join(f"{name:>13}" for name in names))
    for row in rows:
        values = (row.amount, row.mean_iou, *row.values.values())
        click.echo("  ".join(f"{value:>13.4g}" for value in values))
    for path in write_jitter(rows, tried[0].name, stem):
        click.echo(str(path))
