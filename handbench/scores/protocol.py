"""What a protocol is: a named preset of metrics that reproduces one convention, as plain data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from handbench.scores.metric import Metric
from handbench.scores.names import parse


@dataclass(frozen=True)
class Curve:
    """A PCK swept over `points` thresholds from 0 to that of `metric`, both included."""

    name: str
    metric: Metric
    points: int


@dataclass(frozen=True)
class Protocol:
    """A preset.

    Attributes
    ----------
    name, version
        What the signature says. The version is raised only when scores change.
    summary
        One sentence for tables and reports.
    source
        Paper or script that it reproduces.
    cites
        BibTeX keys of the papers behind it (:mod:`handbench.scores.papers`).
    missing_rule
        What becomes of hands without prediction, in words.
    primary, primary_3d
        The metric that ranks, and the one that ranks where no model has a value for it, because
        all of them predict 3D alone.
    metrics_2d, metrics_3d
        What is computed; the 3D ones where the truth has 3D.
    curves
        PCK curves; those in mm where truth and predictions have 3D.
    list_convention
        What a list without header, such as ``pred.json``, is written in under this convention:
        keys of :func:`handbench.predictions.read.parse_assumptions`.
    single_precision
        Round normalised distances to float32 before comparing, as the original does.
    replaces_bad_boxes
        mmpose's rule for boxes: a side of 0 drops the hand, a negative one counts as 1e6.
    """

    name: str
    version: int
    summary: str
    source: str
    missing_rule: str
    primary: Metric
    metrics_2d: tuple[Metric, ...]
    metrics_3d: tuple[Metric, ...] = ()
    curves: tuple[Curve, ...] = ()
    list_convention: tuple[tuple[str, str], ...] = ()
    single_precision: bool = False
    replaces_bad_boxes: bool = False
    primary_3d: Metric | None = None
    cites: tuple[str, ...] = ()

    @property
    def tag(self) -> str:
        """Name and version: ``mmpose/1``."""
        return f"{self.name}/{self.version}"

    @property
    def ranking_metrics(self) -> tuple[Metric, ...]:
        """The primary metric, then the one that stands in for it."""
        return (self.primary,) if self.primary_3d is None else (self.primary, self.primary_3d)

    @property
    def needs_meshes(self) -> bool:
        """Whether any metric measures meshes."""
        return any(metric.mesh for metric in self.metrics_3d)

    def metrics(self, *, with_3d: bool) -> tuple[Metric, ...]:
        """Metrics for truth with or without 3D.

        The list depends on the truth alone, never on the predictions: a model without 3D then
        still shares its 2D columns with one that has it.
        """
        return self.metrics_2d + (self.metrics_3d if with_3d else ())

    def measured(self, *, with_3d: bool) -> tuple[Metric, ...]:
        """Metrics, and those that the curves sweep."""
        curves = (curve.metric for curve in self.curves)
        swept = tuple(metric for metric in curves if with_3d or not metric.is_3d)
        return self.metrics(with_3d=with_3d) + swept


def metrics(*names: str) -> tuple[Metric, ...]:
    """Metrics of these names; each that counts missed hands also over the hands that were found."""
    return tuple(_with_found(names))


def _with_found(names: tuple[str, ...]) -> Iterator[Metric]:
    for metric in map(parse, names):
        yield metric
        # A missed hand is a wrong side and an unmatched truth: these have no such twin.
        if metric.missing == "wrong" and metric.quantity in ("PCK", "AUC", "F"):
            yield replace(metric, missing="drop")


WRONG_IF_MISSED = (
    "PCK, AUC and F count a missed hand as wrong, and again with missing=drop over the hands that "
    "were found; distances are over the hands that were found"
)
