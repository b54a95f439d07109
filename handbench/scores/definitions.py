"""What the words of metric names mean: the sentence beside every number, and its sources.

:func:`define` says how the value of a metric comes about. The tables above it are the one place
where a word of a name has its meaning and its source; the reference part of ``docs/metrics.md`` is
written from them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from handbench.hand import JOINT_NAMES
from handbench.scores.metric import JOINT_SETS, OCCLUDED, VISIBLE, Metric, number


@dataclass(frozen=True)
class Word:
    """A name, word or key of metric names.

    Attributes
    ----------
    phrase
        How it reads in a sentence.
    detail
        What else one must know to compute it; "" for nothing.
    source
        Paper or script.
    """

    phrase: str
    detail: str
    source: str


_FREIHAND = "FreiHAND, eval.py"
_HAND3D = "hand3d (Zimmermann and Brox 2017), utils/general.py: EvalUtil"
_INTERHAND = "InterHand2.6M (Moon et al. 2020), dataset.py: evaluate"
_MMPOSE = "mmpose, keypoint_eval.py"
_OURS = "handbench"

METRICS: dict[str, Word] = {
    "EPE": Word(
        "distance in the image",
        "A missed hand has no distance: read it beside its coverage.",
        f"{_MMPOSE}: keypoint_epe (pooled); {_HAND3D} (mean of joints)",
    ),
    "PCK": Word(
        "share of points that are near enough",
        "Percentage of correct keypoints, as a fraction. Of a mesh: share of its vertices.",
        "Yang and Ramanan, PAMI 2013; "
        f"{_MMPOSE}: keypoint_pck_accuracy (strict); {_HAND3D} (loose)",
    ),
    "AUC": Word(
        "area under the PCK over its threshold, divided by the range",
        "Which thresholds, and how they are summed, is part of the name.",
        f"{_HAND3D} (trapezoid); {_MMPOSE}: keypoint_auc (left sum); handbench (exact)",
    ),
    "MPJPE": Word(
        "distance of joints in 3D",
        "Mean per joint position error. A missed hand has no distance.",
        "Ionescu et al., Human3.6M, PAMI 2014; "
        f"{_FREIHAND} (mean of joints); {_MMPOSE}: keypoint_mpjpe (pooled)",
    ),
    "PA-MPJPE": Word(
        "MPJPE after Procrustes alignment by a proper rotation",
        "Another spelling of `MPJPE[mm,pa]`.",
        "Kanazawa et al., HMR, CVPR 2018; HaMeR, utils/pose_utils.py",
    ),
    "MPVPE": Word(
        "distance of the vertices of meshes",
        "Vertex i of the prediction belongs to vertex i of the truth.",
        f"{_FREIHAND} (mesh error)",
    ),
    "PA-MPVPE": Word(
        "MPVPE after Procrustes alignment by a proper rotation",
        "Another spelling of `MPVPE[mm,pa]`: the vertices are fitted by themselves.",
        "HMR's alignment on FreiHAND's mesh error",
    ),
    "F": Word(
        "how much of two meshes lies near the other",
        "Needs no partners, so it also compares meshes of different topology.",
        f"Knapitsch et al., Tanks and Temples, 2017; {_FREIHAND}: calculate_fscore",
    ),
    "MRRPE": Word(
        "where the left hand is, seen from the right one",
        "Mean relative root position error. Images with one labelled hand of each side count; "
        "where the split says which hands interact, those alone.",
        _INTERHAND,
    ),
    "handedness": Word(
        "whether the sides shown were recognised",
        "An image counts once. It shows what its hand type says (column hand_type), labelled or "
        "not; without that column, the sides of its labelled hands. Its predicted sides are those "
        "of all predictions for it. Images of unknown type or side are left out.",
        _INTERHAND,
    ),
    "OKS-AP": Word(
        "average precision of hands by object keypoint similarity",
        "OKS is the mean over labelled joints of exp(-d² / (2 (2 sigma)² area)). Predictions of an "
        "image, 20 at most, are matched by falling confidence; precision is read at 101 recalls.",
        "COCO keypoint evaluation; COCO-WholeBody (Jin et al. 2020), myeval_lefthand and "
        "myeval_righthand",
    ),
    "coverage": Word(
        "share of hands that were predicted",
        "Belongs beside every distance.",
        _OURS,
    ),
}
"""Metric name → what it is. Keys are those of :data:`handbench.scores.names.NAMES`."""

SIZES: dict[str, Word] = {
    "bbox": Word(
        "the longer side of the file's box",
        "The box as the dataset delivers it, before padding.",
        "mmpose, PCKAccuracy (norm_item bbox); HaMeR, EvaluatorPCK",
    ),
    "tight": Word(
        "the longer side of the labelled keypoints' box",
        "0, and so without use, where a single joint is labelled.",
        "Simon et al., CVPR 2017 (CMU hands), as in NSRMhand",
    ),
    "image": Word(
        "the longer side of the stored image",
        "In source px: the side of the crop that the file holds.",
        "mmpose on FreiHAND, whose box is the whole 224 px image",
    ),
    "palm": Word(
        "the projected palm (largest distance among wrist and knuckles)",
        "Wrist and the MCP joints of index, middle, ring and pinky; all five must be labelled.",
        _OURS,
    ),
    "head": Word(
        "the file's head size",
        "Column `head_size_px`.",
        "mmpose, PCKAccuracy (norm_item head): PCKh of CMU Panoptic hands",
    ),
}
"""Normaliser → what 2D distances are divided by."""

AREAS: dict[str, Word] = {
    "person": Word(
        "the person's area",
        "Column `person_area_px2`: much larger than a hand, so that this OKS is lenient.",
        "COCO-WholeBody, whose hand AP this is",
    ),
    "hand": Word("width × height of the file's box", "", _OURS),
    "mask": Word(
        "the hand's area in the file", "Column `hand_area_px2`.", "DexYCB toolkit, coco_eval.py"
    ),
}
"""Area under the distances of an OKS."""

ALIGNMENTS: dict[str, Word] = {
    "cam": Word(
        "in camera space",
        "Nothing is aligned.",
        f"{_FREIHAND} (xyz)",
    ),
    "root": Word(
        "with one joint moved onto the truth's",
        "`root=<joint>`: a hand without a label there is left out.",
        f"DexYCB toolkit, hpe_eval.py; {_INTERHAND}",
    ),
    "scale": Word(
        "after the least-squares scale",
        "Prediction times Σ p·g / Σ p·p over labelled joints; nothing is centred.",
        f"{_MMPOSE}: keypoint_mpjpe (alignment scale)",
    ),
    "pa": Word(
        "after Procrustes alignment by a proper rotation",
        "Best rotation, scale and translation of each hand; a mirrored hand stays wrong.",
        "Umeyama, PAMI 1991; HMR and HaMeR, compute_similarity_transform",
    ),
    "pa-reflect": Word(
        "after Procrustes alignment that allows reflections",
        "The same without a check of the determinant; a mirrored hand scores 0.",
        f"{_FREIHAND} and HO-3D, eval.py: align_w_scale; DexYCB toolkit",
    ),
}
"""What is done to a prediction in 3D before it is measured."""

KEYS: dict[str, Word] = {
    "cmp": Word(
        "comparison with the threshold",
        "F is always strict.",
        "`le`: FreiHAND, hand3d; `lt`: mmpose",
    ),
    "n": Word(
        "number of thresholds",
        "Without it an AUC is exact.",
        "20: mmpose, hand3d; 100: FreiHAND",
    ),
    "rule": Word("how the thresholds are summed", "", "`trapz`: hand3d; `left`: mmpose"),
    "avg": Word(
        "order of averaging", "", "`joint`: FreiHAND; `pool`: mmpose; `side`: InterHand2.6M"
    ),
    "missing": Word("what becomes of missed hands", "Distances leave them out.", _OURS),
    "frame": Word("whose pixels", "", _OURS),
    "stat": Word("which statistic of the distances", "", "median: hand3d; percentiles: handbench"),
    "of": Word("what is scored", "", _OURS),
    "root": Word(
        "joint moved onto the truth's",
        "Name or number of a joint, 0 to 20.",
        "see `root` above",
    ),
    "bone": Word(
        "bone whose length is taken from the truth",
        "With `root`: the prediction is scaled about its root until this bone is as long as the "
        "truth's.",
        "HO-3D, eval.py: align_sc_tr; Minimal-Hand-pytorch",
    ),
    "joints": Word(
        "joints that count",
        "Names of sets, joints by name or number, and `visible` or `occluded`, joined by `+`. "
        "`visible` are labelled joints that are not marked occluded.",
        "`visible`: hand3d; `visible`, `occluded`: HInt",
    ),
    "hands": Word(
        "hands that count",
        "By side, or by what the image shows (column `hand_type`).",
        "InterHand2.6M; COCO-WholeBody",
    ),
    "sigma": Word(
        "one sigma for all joints of an OKS",
        "Without it the 21 sigmas of COCO-WholeBody.",
        "0.05: DexYCB toolkit, coco_eval.py",
    ),
}
"""Key → what it decides."""

VALUES: dict[str, dict[str, str]] = {
    "cmp": {"le": "error ≤ threshold is right", "lt": "error < threshold is right"},
    "rule": {
        "trapz": "n thresholds with both ends, trapezoid divided by the range",
        "left": "n thresholds without the upper end, plain mean",
        "exact": "no thresholds: the limit of infinitely many",
    },
    "avg": {
        "joint": "mean of each joint over hands, then of the joints that have values",
        "pool": "one mean over all labelled joints",
        "hand": "mean of each hand over its joints, then of hands",
        "side": "as `joint`, with left and right hands told apart: 42 joints",
    },
    "missing": {
        "wrong": "a missed hand is wrong at every threshold",
        "drop": "a missed hand is left out",
    },
    "frame": {"source": "of the published image", "stored": "of the image in the file"},
    "hands": {
        "all": "every hand",
        "right": "right hands",
        "left": "left hands",
        "single": "hands of images that show one hand",
        "interacting": "hands of images that show both",
    },
    "of": {
        "model": "the predictions",
        "mean-pose": "the mean-pose floor in their place",
    },
    "stat": {
        "mean": "mean",
        "median": "median",
        "p95": "a percentile, `p1` to `p99`",
    },
}
"""Key → value → what it means; the other keys take numbers or joints."""


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
        f"mesh nearer than {_limit(metric)}, {_aligned(metric)}"
        f"{_hands(metric)}; mean of hands; {_missing(metric)}"
    )


def _define_oks(metric: Metric) -> str:
    sigma = f"sigma {number(metric.sigma)}" if metric.sigma else "COCO-WholeBody's 21 sigmas"
    area = AREAS[metric.area or "person"].phrase
    side = "mean of left and right hands" if metric.hands == "all" else f"{metric.hands} hands"
    return (
        f"average precision over OKS 0.50, 0.55 … 0.95 with {sigma} and {area} under the "
        f"distances; {side}; missed hands lower the recall"
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
    return f"3D distance {_aligned(metric)}"


def _aligned(metric: Metric) -> str:
    if metric.alignment != "root":
        return ALIGNMENTS[metric.alignment or "cam"].phrase
    moved = f"with joint {metric.root} ({JOINT_NAMES[metric.root]}) moved onto the truth's"
    if metric.bone is None:
        return moved
    ends = " to ".join(JOINT_NAMES[end] for end in metric.bone)
    return f"{moved} and the length of {ends} taken from the truth"


def _unit(metric: Metric) -> str:
    if metric.size is not None:
        return f"units of {SIZES[metric.size].phrase}"
    return f"px of the {metric.frame} image" if metric.unit == "px" else metric.unit


def _limit(metric: Metric) -> str:
    if metric.size is not None:
        return f"{number(metric.high)} × {SIZES[metric.size].phrase}"
    return f"{number(metric.high)} {_unit(metric)}"


def _rounded(difference: float) -> str:
    """A computed number without the noise of its last bits: 0.3 - 0.1 is 0.2."""
    return number(float(f"{difference:.12g}"))
