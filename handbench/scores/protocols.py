"""Protocols: named presets of metrics that reproduce a convention, as plain data.

A version is raised only when scores change; it is part of every signature. ``docs/protocols.md``
says in words what each protocol does and works one example.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass, replace

from handbench.errors import ScoreError
from handbench.scores.names import Metric, parse


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
        What the signature says.
    summary
        One sentence for tables and reports.
    missing_rule
        What becomes of hands without prediction, in words.
    primary
        The metric that ranks.
    metrics_2d, metrics_3d
        What is computed; the 3D ones where the truth has 3D.
    curves
        PCK curves; those in mm where truth and predictions have 3D.
    single_precision
        Round normalised distances to float32 before comparing, as the original does.
    replaces_bad_boxes
        mmpose's rule for boxes: a side of 0 drops the hand, a negative one counts as 1e6.
    """

    name: str
    version: int
    summary: str
    missing_rule: str
    primary: Metric
    metrics_2d: tuple[Metric, ...]
    metrics_3d: tuple[Metric, ...] = ()
    curves: tuple[Curve, ...] = ()
    single_precision: bool = False
    replaces_bad_boxes: bool = False

    @property
    def tag(self) -> str:
        """Name and version: ``mmpose/1``."""
        return f"{self.name}/{self.version}"

    def metrics(self, *, with_3d: bool) -> tuple[Metric, ...]:
        """Metrics for truth with or without 3D.

        The list depends on the truth alone, never on the predictions: a model without 3D then
        still shares its 2D columns with one that has it.
        """
        return self.metrics_2d + (self.metrics_3d if with_3d else ())


def _parse_all(*names: str) -> tuple[Metric, ...]:
    return tuple(parse(name) for name in names)


MMPOSE = Protocol(
    name="mmpose",
    version=1,
    summary=(
        "2D hands as in mmpose 1.x: PCK@0.2 of the file's box and AUC over 30 px (both strict, "
        "mean of joints), pooled EPE, in source pixels"
    ),
    missing_rule="PCK and AUC count a missed hand as wrong; EPE is over the hands that were found",
    primary=parse("AUC@0-30px[n=20,rule=left,cmp=lt]"),
    metrics_2d=_parse_all(
        "coverage", "PCK@0.2[bbox,cmp=lt]", "AUC@0-30px[n=20,rule=left,cmp=lt]", "EPE[px]"
    ),
    curves=(Curve("PCK[px,cmp=lt]", parse("PCK@28.5px[cmp=lt]"), 20),),
    single_precision=True,
    replaces_bad_boxes=True,
)
"""mmpose 1.x ``keypoint_pck_accuracy``, ``keypoint_auc``, ``keypoint_epe``.

The AUC's ceiling is 0.95: its first threshold is 0 px, where a strict comparison is never true.
"""


def _with_companions(*names: str) -> tuple[Metric, ...]:
    """Each metric, then itself over the hands that were found, then its mean-pose floor."""
    listed: list[Metric] = []
    for metric in _parse_all(*names):
        listed.append(metric)
        if metric.missing == "wrong":
            listed.append(replace(metric, missing="drop"))
        if not metric.is_3d and metric.stat == "mean":
            listed.append(replace(metric, of="mean-pose"))
    return tuple(listed)


HANDBENCH = Protocol(
    name="handbench",
    version=1,
    summary=(
        "2D error in units of the tight box and of the projected palm, PCK at 0.05, 0.1 and 0.2, "
        "threshold-free AUC; 3D in camera space, from the wrist and after proper Procrustes"
    ),
    missing_rule=(
        "PCK and AUC count a missed hand as wrong, and again with missing=drop over the hands that "
        "were found; distances are over the hands that were found"
    ),
    primary=parse("AUC@0-0.2[tight,rule=exact]"),
    metrics_2d=(
        parse("coverage"),
        *_with_companions(
            "AUC@0-0.2[tight,rule=exact]",
            "PCK@0.05[tight]",
            "PCK@0.1[tight]",
            "PCK@0.2[tight]",
            "EPE[tight]",
            "AUC@0-0.2[palm,rule=exact]",
            "PCK@0.05[palm]",
            "PCK@0.1[palm]",
            "PCK@0.2[palm]",
            "EPE[palm]",
            "EPE[px]",
            "EPE[px,stat=median]",
            "EPE[px,stat=p95]",
        ),
    ),
    metrics_3d=_with_companions(
        "MPJPE[mm,cam]",
        "MPJPE[mm,root=0]",
        "PA-MPJPE[mm]",
        "AUC@0-50mm[cam,rule=exact]",
        "AUC@0-50mm[root=0,rule=exact]",
        "AUC@0-50mm[pa,rule=exact]",
    ),
    curves=(
        Curve("PCK[tight]", parse("PCK@0.5[tight]"), 101),
        Curve("PCK[palm]", parse("PCK@0.5[palm]"), 101),
        Curve("PCK[px]", parse("PCK@30px"), 61),
        Curve("PCK[mm,cam]", parse("PCK@50mm[cam]"), 101),
        Curve("PCK[mm,root=0]", parse("PCK@50mm[root=0]"), 101),
        Curve("PCK[mm,pa]", parse("PCK@50mm[pa]"), 101),
    ),
)
"""Our default: sizes that every dataset has, and no grid that a reader would have to know."""

PROTOCOLS: tuple[Protocol, ...] = (HANDBENCH, MMPOSE)


def find_protocol(name: str) -> Protocol:
    """Protocol of that name; raises :class:`ScoreError` with the nearest one if there is none."""
    for protocol in PROTOCOLS:
        if protocol.name == name:
            return protocol
    known = [protocol.name for protocol in PROTOCOLS]
    near = difflib.get_close_matches(name.lower(), known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
    raise ScoreError(f"unknown protocol {name!r}; {hint}")


def custom_protocol(names: tuple[str, ...]) -> Protocol:
    """Preset of metrics that the user names, without convention behind it.

    The first metric ranks.

    Raises
    ------
    ScoreError
        If `names` is empty or a name does not parse.
    """
    if not names:
        raise ScoreError("expected at least one metric name, found none")
    # One name twice is one metric; dict keeps the order.
    metrics = tuple(dict.fromkeys(parse(name) for name in names))
    return Protocol(
        name="custom",
        version=1,
        summary="metrics named by the user: " + ", ".join(map(str, metrics)),
        missing_rule="as each metric name says (PCK and AUC: wrong; distances: left out)",
        primary=metrics[0],
        metrics_2d=tuple(metric for metric in metrics if not metric.is_3d),
        metrics_3d=tuple(metric for metric in metrics if metric.is_3d),
    )
