"""Published conventions for 2D hands: mmpose, Zimmermann and Brox, HInt, COCO-WholeBody."""

from __future__ import annotations

from handbench.scores.names import parse
from handbench.scores.protocol import WRONG_IF_MISSED, Curve, Protocol, metrics

MMPOSE = Protocol(
    name="mmpose",
    version=1,
    summary=(
        "2D hands as in mmpose 1.x: PCK@0.2 of the file's box and AUC over 30 px (both strict, "
        "mean of joints), pooled EPE, in source pixels"
    ),
    source=(
        "mmpose 1.x, evaluation/functional/keypoint_eval.py: keypoint_pck_accuracy, keypoint_auc, "
        "keypoint_epe"
    ),
    missing_rule=WRONG_IF_MISSED,
    primary=parse("AUC@0-30px[n=20,rule=left,cmp=lt]"),
    metrics_2d=metrics(
        "coverage", "PCK@0.2[bbox,cmp=lt]", "AUC@0-30px[n=20,rule=left,cmp=lt]", "EPE[px]"
    ),
    curves=(Curve("PCK[px,cmp=lt]", parse("PCK@28.5px[cmp=lt]"), 20),),
    single_precision=True,
    replaces_bad_boxes=True,
    cites=("mmpose2020",),
)
"""The AUC's ceiling is 0.95: its first threshold is 0 px, where a strict comparison is never true.
"""

ZB2D = Protocol(
    name="zb2d",
    version=1,
    summary=(
        "2D hands as in Zimmermann and Brox 2017: AUC from 0 to 30 px on 20 thresholds with both "
        "ends, visible joints, mean of joints, in source pixels (RHD: 320 x 320)"
    ),
    source="hand3d, utils/general.py (EvalUtil), eval2d.py and eval2d_gt_cropped.py",
    missing_rule=WRONG_IF_MISSED,
    primary=parse("AUC@0-30px[n=20,joints=visible]"),
    metrics_2d=metrics(
        "coverage",
        "AUC@0-30px[n=20,joints=visible]",
        "EPE[px,avg=joint,joints=visible]",
        "EPE[px,stat=median,avg=joint,joints=visible]",
    ),
    curves=(Curve("PCK[px,joints=visible]", parse("PCK@30px[joints=visible]"), 20),),
    cites=("zimmermann2017learning",),
)

HINT = Protocol(
    name="hint",
    version=1,
    summary=(
        "2D hands in the wild as in HaMeR and HInt: PCK at 0.05, 0.1 and 0.15 of the longer side "
        "of the unexpanded box, for all, visible and occluded joints"
    ),
    source="HaMeR, utils/pose_utils.py (EvaluatorPCK), and the HInt annotations",
    missing_rule=WRONG_IF_MISSED,
    primary=parse("PCK@0.05[bbox]"),
    metrics_2d=metrics(
        "coverage",
        *(
            f"PCK@{threshold}[bbox,joints={joints}]"
            for joints in ("all", "visible", "occluded")
            for threshold in (0.05, 0.1, 0.15)
        ),
    ),
    curves=(Curve("PCK[bbox]", parse("PCK@0.15[bbox]"), 16),),
    cites=("pavlakos2024reconstructing",),
)

WHOLEBODY_OKS = Protocol(
    name="wholebody_oks",
    version=1,
    summary=(
        "hand AP of COCO-WholeBody: OKS with 21 hand sigmas and the person's area, mean of left "
        "and right; beside it the same with the area of the hand's box"
    ),
    source="COCO-WholeBody (Jin et al. 2020): its sigmas and myeval_lefthand / myeval_righthand",
    missing_rule="a missed hand is a label without match and lowers the recall",
    primary=parse("OKS-AP[person]"),
    metrics_2d=metrics(
        "coverage",
        "OKS-AP[person]",
        "OKS-AP[person,hands=left]",
        "OKS-AP[person,hands=right]",
        "OKS-AP[hand]",
    ),
    cites=("jin2020whole",),
)
