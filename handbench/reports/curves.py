"""PCK curves of one or several models, as the results hold them, side by side in one chart."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from handbench.reports.figures import Series, line_chart
from handbench.reports.svg import FLOOR
from handbench.scores.results import Evaluation

# Curve name → heading, axis title. Other names stand for themselves.
_WORDS = {
    "PCK[px]": ("Within so many pixels", "threshold, px of the source image"),
    "PCK[px,cmp=lt]": ("Within so many pixels", "threshold, px of the source image"),
    "PCK[tight]": ("Relative to the hand’s box", "threshold ÷ longer side of the tight box"),
    "PCK[palm]": ("Relative to the palm", "threshold ÷ size of the projected palm"),
    "PCK[mm,cam]": ("3D, in camera space", "threshold, mm"),
    "PCK[mm,root=0]": ("3D, wrists aligned", "threshold, mm"),
    "PCK[mm,pa]": ("3D, after proper Procrustes", "threshold, mm"),
    "PCK[mm,pa-reflect]": ("3D, Procrustes with reflections", "threshold, mm"),
    "PCK[mm,root=0,bone=0-9]": ("3D, wrist and scale from the truth", "threshold, mm"),
    "PCK[mm,root=9,bone=0-9]": ("3D, middle MCP and scale from the truth", "threshold, mm"),
    "PCK[bbox]": ("Relative to the file’s box", "threshold ÷ longer side of the box"),
    "PCK[px,joints=visible]": ("In pixels, visible joints", "threshold, px of the source image"),
}


@dataclass(frozen=True)
class CurveFamily:
    """One chart: a line a model.

    Attributes
    ----------
    name
        Name of the curve in the results: ``"PCK[tight]"``.
    title, x_label
        The same in plain words, and the threshold with its unit.
    series
        One line a model that has this curve; all over the same thresholds.
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
    def has_floor(self) -> bool:
        """Whether the mean pose is drawn too."""
        return any(line.slot == FLOOR for line in self.series)

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
        return re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-") + ".csv"


FLOOR_NAME = "floor: mean pose"
"""What curves call the mean pose; a model may have the plain name."""


def curve_families(
    evaluations: Sequence[Evaluation], names: Sequence[str], floor: Evaluation | None = None
) -> list[CurveFamily]:
    """Return the curves of the first protocol that has any, one chart a name.

    Other protocols sweep the same errors with other comparisons, which look the same in a chart.

    Parameters
    ----------
    evaluations, names
        Models and their names, in the order of their line styles.
    floor
        The mean pose, scored as the models were.
    """
    return families(
        [
            next((results.curves for results in evaluation.results if results.curves), {})
            for evaluation in evaluations
        ],
        names,
        _floor_curves(evaluations, floor),
    )


Curves = Mapping[str, Mapping[str, Sequence[float]]]
"""Name → ``{"x": thresholds, "y": fractions}``, as in results."""


def families(
    curves: Sequence[Curves], names: Sequence[str], floor: Curves | None = None
) -> list[CurveFamily]:
    """Return one chart a name of a curve, with a line for each model that has it.

    Parameters
    ----------
    curves
        Of each model.
    names
        Of the models, in the order of their line styles.
    floor
        Curves of the mean pose, drawn where a model has the same.
    """
    lines: dict[str, list[Series]] = {}
    for slot, (of_model, model) in enumerate(zip(curves, names, strict=True)):
        for name, curve in of_model.items():
            series = Series(model, curve["x"], curve["y"], slot)
            drawn = lines.setdefault(name, [])
            # Curves over other thresholds cannot share the table of numbers.
            if _has_values(series) and (not drawn or list(drawn[0].x) == list(series.x)):
                drawn.append(series)
    for name, curve in (floor or {}).items():
        series = Series(FLOOR_NAME, curve["x"], curve["y"], FLOOR)
        drawn = lines.get(name, [])
        if drawn and _has_values(series) and list(drawn[0].x) == list(series.x):
            drawn.append(series)
    return [
        CurveFamily(name, *_WORDS.get(name, (name, "threshold")), series)
        for name, series in lines.items()
        if series
    ]


def _floor_curves(
    evaluations: Sequence[Evaluation], floor: Evaluation | None
) -> dict[str, dict[str, list[float]]]:
    """Curves of the mean pose under the first protocol with curves of the first model."""
    drawn = next((r.protocol for r in evaluations[0].results if r.curves), "")
    found = floor.results if floor is not None else []
    return next((r.curves for r in found if r.protocol == drawn), {})


def _has_values(series: Series) -> bool:
    # A results file from elsewhere may hold any two lists.
    whole = len(series.x) > 1 and len(series.x) == len(series.y)
    return whole and all(y is not None and math.isfinite(y) for y in series.y)
