"""The sentence beside every number: how the value of a metric comes about."""

from __future__ import annotations

from dataclasses import replace

from handbench.hand import JOINT_NAMES
from handbench.scores.names import Metric, number

_SIZES = {
    "bbox": "the longer side of the file's box",
    "tight": "the longer side of the labelled keypoints' box",
    "palm": "the projected palm (largest distance among wrist and knuckles)",
}
_ALIGNMENTS = {
    "cam": "in camera space",
    "scale": "after the least-squares scale",
    "pa": "after Procrustes alignment by a proper rotation",
    "pa-reflect": "after Procrustes alignment that allows reflections",
}


def define(metric: Metric) -> str:
    """One sentence, without full stop, that defines `metric`.

    >>> from handbench.scores.names import parse
    >>> define(parse("EPE[px]"))
    'mean 2D distance, px of the source image, pooled over labelled joints of the hands found'
    """
    if metric.quantity == "coverage":
        return "share of the expected hands for which a hand was predicted"
    if metric.of == "mean-pose":
        plain = define(replace(metric, of="model"))
        return f"floor, the mean pose of this truth drawn into every box: {plain}"
    if metric.is_distance:
        return _define_distance(metric)
    low, high = number(metric.low), number(metric.high)
    if metric.quantity == "PCK":
        sign = "≤" if metric.cmp == "le" else "<"
        head = f"share of labelled joints with {_distance(metric)} {sign} {_limit(metric)}"
    elif metric.rule == "exact":
        shape = (
            f"1 - d/{high}"
            if metric.low == 0
            else (f"({high} - d)/{_rounded(metric.high - metric.low)}")
        )
        head = f"mean of {shape}, kept within 0 to 1, d = {_distance(metric)} in {_unit(metric)}"
    else:
        grid = (
            f"{metric.n} thresholds from {low} to {high}, both included, trapezoid"
            if metric.rule == "trapz"
            else f"{metric.n} thresholds from {low} in steps of "
            f"{_rounded((metric.high - metric.low) / metric.n)}, plain mean"
        )
        sign = "≤" if metric.cmp == "le" else "<"
        head = f"area under PCK of {_distance(metric)} {sign} t in {_unit(metric)}, {grid}"
    averaging = "mean of joints" if metric.avg == "joint" else "pooled over joints"
    missing = "missed hands are wrong" if metric.missing == "wrong" else "over the hands found"
    return f"{head}; {averaging}; {missing}"


def _define_distance(metric: Metric) -> str:
    stat = {"mean": "mean", "median": "median"}.get(
        metric.stat, f"{metric.stat[1:]}th percentile of the"
    )
    averaging = "pooled over" if metric.avg == "pool" else "mean of joints, over"
    return (
        f"{stat} {_distance(metric)}, {_unit(metric)}, {averaging} labelled "
        "joints of the hands found"
    )


def _distance(metric: Metric) -> str:
    if not metric.is_3d:
        return "2D distance"
    if metric.alignment == "root":
        name = JOINT_NAMES[metric.root]
        return f"3D distance with joint {metric.root} ({name}) moved onto the truth's"
    return f"3D distance {_ALIGNMENTS[metric.alignment or 'cam']}"


def _unit(metric: Metric) -> str:
    if metric.size is not None:
        return f"units of {_SIZES[metric.size]}"
    return f"px of the {metric.frame} image" if metric.unit == "px" else metric.unit


def _limit(metric: Metric) -> str:
    if metric.size is not None:
        return f"{number(metric.high)} × {_SIZES[metric.size]}"
    return f"{number(metric.high)} {_unit(metric)}"


def _rounded(difference: float) -> str:
    """A computed number without the noise of its last bits: 0.3 - 0.1 is 0.2."""
    return number(float(f"{difference:.12g}"))
