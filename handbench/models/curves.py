"""The picture of a training run: loss and validation error over epochs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from handbench.files import atomic_path

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LOSS_COLOR = "#2e86de"
ERROR_COLOR = "#e4572e"
INK = "#2b2f36"
GRID_COLOR = "#e3e6ea"


def draw_curves(
    rows: Sequence[Mapping[str, float]], path: Path, title: str, best_epoch: int | None = None
) -> None:
    """Draw training loss and validation error, one above the other, with the best epoch marked.

    Without validation there is the loss alone.

    Parameters
    ----------
    rows
        Rows of ``log.csv``: `epoch`, `loss`, `val_epe_px`, NaN in all of them without validation.
    path
        PNG to write.
    title
        Line above the picture.
    best_epoch
        Number of the epoch to mark; by default the one with the smallest error.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    epochs = [row["epoch"] for row in rows]
    errors = [row["val_epe_px"] for row in rows]
    panels = [([row["loss"] for row in rows], LOSS_COLOR, "training loss")]
    validated = not all(math.isnan(error) for error in errors)
    if validated:
        panels.append((errors, ERROR_COLOR, "validation EPE (source px)"))

    # The figure is made without pyplot, which would choose a backend and keep global state.
    figure = Figure(figsize=(7.2, 0.4 + 2.4 * len(panels)), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    column = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    figure.suptitle(title, x=0.01, ha="left", color=INK, fontsize=12, fontweight="bold")
    marker = "o" if len(rows) <= 40 else None
    for axes, (values, color, name) in zip(column, panels):
        axes.plot(epochs, values, color=color, linewidth=1.8, marker=marker, markersize=3.5)
        axes.set_title(name, loc="left", color=color, fontsize=10)
        _scale(axes, values)
        axes.grid(which="both", color=GRID_COLOR, linewidth=0.7)
        axes.set_axisbelow(True)
        axes.tick_params(which="both", length=0, colors=INK, labelsize=9)
        for side in ("top", "right", "left"):
            axes.spines[side].set_visible(False)
        axes.spines["bottom"].set_color(GRID_COLOR)
    lowest = column[-1]
    if validated:
        best = (
            min(range(len(rows)), key=errors.__getitem__)
            if best_epoch is None
            else epochs.index(best_epoch)
        )
        _mark(lowest, epochs[best], errors[best])
    lowest.set_xlabel("epoch", color=INK, fontsize=9)
    lowest.set_xlim(epochs[0] - 0.5, epochs[-1] + 0.5)
    lowest.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", facecolor="white")


def _mark(axes: Axes, epoch: float, error: float) -> None:
    """Ring round the best epoch, and its error in words."""
    axes.plot(
        epoch,
        error,
        marker="o",
        markersize=9,
        markerfacecolor="none",
        markeredgecolor=ERROR_COLOR,
        markeredgewidth=1.6,
    )
    axes.set_title(
        f"best: {error:.2f} px after epoch {epoch:g}", loc="right", color=INK, fontsize=9
    )


def _scale(axes: Axes, values: Sequence[float]) -> None:
    """Logarithmic where values span much, with few plain numbers beside it; else linear."""
    from matplotlib.ticker import LogLocator, NullLocator

    low, high = min(values), max(values)
    if low > 0 and high > 4 * low:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 5, 7)))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(_plain_number)
    else:
        axes.set_ylim(bottom=0, top=1.1 * high if high > 0 else 1)


def _plain_number(value: float, _position: float = 0) -> str:
    return f"{value:.4g}"
