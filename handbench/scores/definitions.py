"""The sentence beside every number: how the value of a metric comes about."""

from __future__ import annotations

from dataclasses import replace

from handbench.hand import JOINT_NAMES
from handbench.scores.metric import JOINT_SETS, OCCLUDED, VISIBLE, Metric, number

_SIZES = {
    "bbox": "the longer side of the file's box",
    "tight": "the longer side of the labelled keypoints' box",
    "image": "the longer side of the stored image",
    "palm": "the projected palm (largest distance among wrist and knuckles)",
    "head": "the file's head size",
}
_AREAS = {
    "person": "the person's area",
    "hand": "width × height of the file's box",
    "mask": "the hand's area in the file",
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
    if metric.of == "mean-pose":
        plain = define(replace(metric, of="model"))
        return f"floor, the mean pose of this truth drawn into every box: {plain}"
    whole = {
        "coverage": "share of the expected hands for which a hand was predicted",
        "MRRPE": (
            "mean distance, mm, between predicted and true position of the left wrist relative to "
            "the right one, over images of both hands"
        ),
        "handedness": "share of images for which exactly the sides they show were predicted",
    }
    if metric.quantity in whole:
        return whole[metric.quantity] + _hands(metric)
    if metric.quantity == "OKS-AP":
        return _define_oks(metric)
    if metric.quantity == "F":
        return _define_f(metric)
    if metric.is_distance:
        return _define_distance(metric)
    return _define_share(metric)


def _define_share(metric: Metric) -> str:
    """PCK and AUC."""
    low, high = number(metric.low), number(metric.high)
    sign = "≤" if metric.cmp == "le" else "<"
    if metric.quantity == "PCK":
        head = f"share of {_points(metric)} with {_distance(metric)} {sign} {_limit(metric)}"
    elif metric.rule == "exact":
        shape = (
            f"1 - d/{high}"
            if metric.low == 0
            else (f"({high} - d)/{_rounded(metric.high - metric.low)}")
        )
        head = (
            f"mean of {shape}, kept within 0 to 1, d = {_distance(metric)} of {_points(metric)} in "
            f"{_unit(metric)}"
        )
    else:
        grid = (
            f"{metric.n} thresholds from {low} to {high}, both included, trapezoid"
            if metric.rule == "trapz"
            else f"{metric.n} thresholds from {low} in steps of "
            f"{_rounded((metric.high - metric.low) / metric.n)}, plain mean"
        )
        head = (
            f"area under PCK of {_points(metric)}, {_distance(metric)} {sign} t in "
            f"{_unit(metric)}, {grid}"
        )
    averaging = {
        "joint": f"mean of {'vertices' if metric.mesh else 'joints'}",
        "pool": "pooled over joints",
        "hand": "mean of each hand, then of hands",
        "side": "mean of joints, left and right told apart",
    }[metric.avg]
    return f"{head}; {averaging}; {_missing(metric)}"


def _define_distance(metric: Metric) -> str:
    stat = {"mean": "mean", "median": "median"}.get(
        metric.stat, f"{metric.stat[1:]}th percentile of the"
    )
    averaging = {
        "pool": "pooled over",
        "joint": "mean of joints, over",
        "hand": "mean of each hand, then of hands, over",
        "side": "mean of joints, left and right told apart, over",
    }[metric.avg]
    return f"{stat} {_distance(metric)}, {_unit(metric)}, {averaging} {_points(metric)}"


def _define_f(metric: Metric) -> str:
    return (
        f"harmonic mean of the shares of predicted and of true vertices with a vertex of the other "
        f"mesh nearer than {_limit(metric)}, {_ALIGNMENTS.get(metric.alignment or '', '')}"
        f"{_moved(metric)}{_hands(metric)}; mean of hands; {_missing(metric)}"
    )


def _define_oks(metric: Metric) -> str:
    sigma = f"sigma {number(metric.sigma)}" if metric.sigma else "COCO-WholeBody's 21 sigmas"
    side = "mean of left and right hands" if metric.hands == "all" else f"{metric.hands} hands"
    return (
        f"average precision over OKS 0.50, 0.55 … 0.95 with {sigma} and "
        f"{_AREAS[metric.area or 'person']} under the distances; {side}; missed hands lower the "
        "recall"
    )


def _missing(metric: Metric) -> str:
    return "missed hands are wrong" if metric.missing == "wrong" else "over the hands found"


def _points(metric: Metric) -> str:
    """Which points are counted, in words."""
    if metric.mesh:
        return "vertices" + _of_hands(metric)
    parts = metric.joints.split("+")
    seen = {VISIBLE: "labelled joints not marked occluded", OCCLUDED: "joints marked occluded"}
    words = seen.get(metric.visibility or "", "labelled joints")
    sets = [part for part in parts if part in JOINT_SETS]
    sets += [JOINT_NAMES[int(part)] for part in parts if part.isdecimal()]
    return words + (f" ({', '.join(sets)} only)" if sets else "") + _of_hands(metric)


def _hands(metric: Metric) -> str:
    return "" if metric.hands == "all" else f", {metric.hands} hands only"


def _of_hands(metric: Metric) -> str:
    """Ends a phrase about points: of which hands."""
    if metric.is_distance:
        return (
            " of the hands found"
            if metric.hands == "all"
            else f" of the {metric.hands} hands found"
        )
    return "" if metric.hands == "all" else f" of {metric.hands} hands"


def _distance(metric: Metric) -> str:
    if not metric.is_3d:
        return "2D distance"
    return f"3D distance {_ALIGNMENTS.get(metric.alignment or 'cam', '')}{_moved(metric)}"


def _moved(metric: Metric) -> str:
    if metric.alignment != "root":
        return ""
    moved = f"with joint {metric.root} ({JOINT_NAMES[metric.root]}) moved onto the truth's"
    if metric.bone is None:
        return moved
    ends = " to ".join(JOINT_NAMES[end] for end in metric.bone)
    return f"{moved} and the length of {ends} taken from the truth"


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
