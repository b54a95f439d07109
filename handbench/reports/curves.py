"""PCK curves of one or several models over the same thresholds."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from markupsafe import Markup

from handbench.metrics import epe, normalise, pck_curve
from handbench.reports.figures import Series, line_chart
from handbench.scores.results import Evaluation, SampleErrors

Floats = npt.NDArray[np.float64]

_POINTS = 61


@dataclass(frozen=True)
class CurveFamily:
    """One chart: a line a model.

    Attributes
    ----------
    name
        Metric name of the whole curve: ``"PCK@0-30px"``.
    title
        The same in plain words.
    x_label
        Threshold with its unit.
    series
        One line a model that has such errors.
    """

    name: str
    title: str
    x_label: str
    series: list[Series]

    @property
    def drawing(self) -> Markup:
        """The chart as SVG."""
        models = ", ".join(line.name for line in self.series)
        return line_chart(
            self.series,
            self.x_label,
            "correct joints",
            f"{self.name}: share of correct joints over the {self.x_label}, for {models}. The "
            "numbers are in the table below.",
        )

    @property
    def columns(self) -> list[Sequence[float]]:
        """Thresholds, then the fractions of each model."""
        return [self.series[0].x, *(line.y for line in self.series)]

    def table(self, steps: int) -> list[tuple[float, ...]]:
        """Return about `steps` rows of (threshold, fraction of each model)."""
        rows = list(zip(*self.columns, strict=True))
        return rows[:: max(1, (len(rows) - 1) // steps)]

    @property
    def file_name(self) -> str:
        """Name for the downloaded numbers."""
        return "pck-" + re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-") + ".csv"


def curve_families(evaluations: Sequence[Evaluation], names: Sequence[str]) -> list[CurveFamily]:
    """Return the curves in pixels, over the size of the hand, and in 3D where there are any.

    A joint counts as correct when its error is at most the threshold; joints of missed hands are
    wrong at every threshold; each joint is averaged over hands, then the joints.

    Parameters
    ----------
    evaluations, names
        Models and their names, in the order of their line styles.
    """
    # The range of the pixel curve follows the errors; the other ranges are those of the field.
    typical = [epe(e.errors.errors_px, "p95") for e in evaluations]
    known = [value for value in typical if np.isfinite(value)]
    limit_px = _round_up(max(known)) if known else 30.0
    families = [
        _family(
            f"PCK@0-{limit_px:g}px",
            "Within so many pixels of the truth",
            "threshold, px of the source image",
            limit_px,
            evaluations,
            names,
            lambda errors: errors.errors_px,
        ),
        _family(
            "PCK@0-0.3[tight]",
            "… as a fraction of the hand’s box",
            "threshold ÷ longer side of the hand’s box",
            0.3,
            evaluations,
            names,
            lambda errors: normalise(errors.errors_px, errors.tight_px),
        ),
        _family(
            "PCK@0-0.5[palm]",
            "… as a fraction of the palm",
            "threshold ÷ size of the palm",
            0.5,
            evaluations,
            names,
            lambda errors: normalise(errors.errors_px, errors.palm_px),
        ),
        _family(
            "PCK@0-50mm[root=0]",
            "3D, wrists aligned",
            "threshold, mm",
            50.0,
            evaluations,
            names,
            lambda errors: errors.root_mm,
        ),
        _family(
            "PCK@0-50mm[pa]",
            "3D, after proper Procrustes alignment",
            "threshold, mm",
            50.0,
            evaluations,
            names,
            lambda errors: errors.pa_mm,
        ),
    ]
    return [family for family in families if family.series]


def _family(
    name: str,
    title: str,
    x_label: str,
    limit: float,
    evaluations: Sequence[Evaluation],
    names: Sequence[str],
    errors_of: Callable[[SampleErrors], Floats | None],
) -> CurveFamily:
    thresholds = np.linspace(0.0, limit, _POINTS)
    series = []
    for slot, (evaluation, model) in enumerate(zip(evaluations, names, strict=True)):
        errors = errors_of(evaluation.errors)
        if errors is None or np.isnan(errors).all():
            continue
        fractions = pck_curve(errors, thresholds)
        series.append(Series(model, thresholds.tolist(), fractions.tolist(), slot))
    return CurveFamily(name, title, x_label, series)


def _round_up(value: float) -> float:
    """Next of 1, 1.5, 2, 3, 4, 5, 6, 8, 10 times a power of ten."""
    if value <= 0:
        return 1.0
    power = 10.0 ** np.floor(np.log10(value))
    steps = (1, 1.5, 2, 3, 4, 5, 6, 8, 10)
    return float(next(step * power for step in steps if step * power >= value * 0.9999))
