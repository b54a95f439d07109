"""Published conventions for 3D hands and meshes: FreiHAND, HO-3D, DexYCB, InterHand2.6M, RHD/STB.

Beside every alignment that allows reflections stands the one that does not.
"""

from __future__ import annotations

from handbench.scores.names import parse
from handbench.scores.protocol import WRONG_IF_MISSED, Curve, Protocol, metrics

_GRID = "AUC@0-50mm"
_JOINTS_AND_MESHES = (
    "coverage",
    "MPJPE[mm,pa-reflect,avg=joint]",
    f"{_GRID}[pa-reflect,n=100]",
    "MPJPE[mm,cam,avg=joint]",
    f"{_GRID}[cam,n=100]",
    "MPVPE[mm,pa-reflect]",
    f"{_GRID}[mesh,pa-reflect,n=100]",
    "F@5mm[pa-reflect]",
    "F@15mm[pa-reflect]",
    "MPVPE[mm,cam]",
    f"{_GRID}[mesh,cam,n=100]",
    "F@5mm[cam]",
    "F@15mm[cam]",
)
_WITHOUT_REFLECTIONS = (
    "PA-MPJPE[mm,avg=joint]",
    f"{_GRID}[pa,n=100]",
    "PA-MPVPE[mm]",
    f"{_GRID}[mesh,pa,n=100]",
    "F@5mm[pa]",
    "F@15mm[pa]",
)
_FROM_WRIST = ("MPJPE[mm,root=0,avg=joint]", f"{_GRID}[root=0,n=100]")


def _curves(*alignments: str) -> tuple[Curve, ...]:
    """The 100 thresholds from 0 to 50 mm that the official AUC is taken over."""
    return tuple(Curve(f"PCK[mm,{a}]", parse(f"PCK@50mm[{a}]"), 100) for a in alignments)


FREIHAND = Protocol(
    name="freihand",
    version=1,
    summary=(
        "FreiHAND's official scores of 3D joints and meshes: raw and after Procrustes that allows "
        "reflections, AUC from 0 to 50 mm on 100 thresholds, F-scores at 5 and 15 mm"
    ),
    source="FreiHAND, eval.py and utils/eval_util.py",
    missing_rule=WRONG_IF_MISSED,
    primary=parse("MPJPE[mm,pa-reflect,avg=joint]"),
    metrics_2d=(),
    metrics_3d=metrics(*_JOINTS_AND_MESHES, *_WITHOUT_REFLECTIONS, *_FROM_WRIST),
    curves=_curves("pa-reflect", "cam", "pa", "root=0"),
    list_convention=(("axes", "opencv"), ("keypoint_order", "canonical")),
    cites=("zimmermann2019freihand",),
)

HO3D = Protocol(
    name="ho3d",
    version=1,
    summary=(
        "HO-3D's official scores: like FreiHAND's, and joints with scale and wrist taken from the "
        "truth; a pred.json is in OpenGL axes and HO-3D's joint order"
    ),
    source="HO-3D, eval.py",
    missing_rule=WRONG_IF_MISSED,
    primary=parse("MPJPE[mm,pa-reflect,avg=joint]"),
    metrics_2d=(),
    metrics_3d=metrics(
        *_JOINTS_AND_MESHES,
        # Wrist and middle MCP are joints 0 and 4 there.
        "MPJPE[mm,root=0,bone=0-9,avg=joint]",
        f"{_GRID}[root=0,bone=0-9,n=100]",
        *_WITHOUT_REFLECTIONS,
        *_FROM_WRIST,
    ),
    curves=_curves("pa-reflect", "cam", "root=0,bone=0-9", "pa"),
    list_convention=(("axes", "opengl"), ("keypoint_order", "mano")),
    cites=("hampali2020honnotate",),
)

DEXYCB = Protocol(
    name="dexycb",
    version=1,
    summary=(
        "DexYCB's official scores of 3D joints: absolute, from the wrist (what papers quote) and "
        "after Procrustes that allows reflections, AUC from 0 to 50 mm on 100 thresholds"
    ),
    source="DexYCB toolkit, hpe_eval.py",
    missing_rule=WRONG_IF_MISSED,
    primary=parse("MPJPE[mm,root=0,avg=joint]"),
    metrics_2d=(),
    metrics_3d=metrics(
        "coverage",
        "MPJPE[mm,root=0,avg=joint]",
        f"{_GRID}[root=0,n=100]",
        "MPJPE[mm,cam,avg=joint]",
        f"{_GRID}[cam,n=100]",
        "MPJPE[mm,pa-reflect,avg=joint]",
        f"{_GRID}[pa-reflect,n=100]",
        "PA-MPJPE[mm,avg=joint]",
        f"{_GRID}[pa,n=100]",
    ),
    curves=_curves("root=0", "cam", "pa-reflect", "pa"),
    cites=("chao2021dexycb",),
)

INTERHAND = Protocol(
    name="interhand",
    version=1,
    summary=(
        "InterHand2.6M: each hand from its own wrist, mean of 42 joints (official) and pooled "
        "(mmpose), for all, single and interacting hands; relative wrist error; handedness"
    ),
    source="InterHand2.6M, dataset.py (evaluate); mmpose, InterHandMetric",
    missing_rule=(
        "distances are over the hands that were found; an image with a missed hand has the wrong "
        "sides"
    ),
    primary=parse("MPJPE[mm,root=0,avg=side]"),
    metrics_2d=(),
    metrics_3d=metrics(
        "coverage",
        "MPJPE[mm,root=0,avg=side]",
        "MPJPE[mm,root=0,avg=side,hands=single]",
        "MPJPE[mm,root=0,avg=side,hands=interacting]",
        "MPJPE[mm,root=0]",
        "MPJPE[mm,root=0,hands=single]",
        "MPJPE[mm,root=0,hands=interacting]",
        "MRRPE[mm]",
        "handedness",
    ),
    curves=_curves("root=0"),
    cites=("moon2020interhand",),
)

AUC3D_20_50 = Protocol(
    name="auc3d_20_50",
    version=1,
    summary=(
        "RHD and STB tables: AUC from 20 to 50 mm with the wrist (or root) given, on the grids of "
        "20, 16 and 15 thresholds in use, and with the scale of a bone fitted to the truth"
    ),
    source=(
        "hand3d, eval3d.py; minimal-hand, plot.py (16 thresholds); Minimal-Hand-pytorch (15, scale "
        "of bone 0-9 and joint 9 from the truth); BiHand, CMR, MobRecon (20)"
    ),
    missing_rule=WRONG_IF_MISSED,
    primary=parse("AUC@20-50mm[root=0,n=20]"),
    metrics_2d=(),
    metrics_3d=metrics(
        "coverage",
        *(f"AUC@20-50mm[root=0,n={n}]" for n in (20, 16, 15)),
        *(f"AUC@20-50mm[root=9,bone=0-9,n={n}]" for n in (15, 16, 20)),
        "AUC@0-50mm[root=0,n=20]",
        "MPJPE[mm,root=0,avg=joint]",
        "MPJPE[mm,root=0,stat=median,avg=joint]",
    ),
    curves=_curves("root=0", "root=9,bone=0-9"),
    cites=("zimmermann2017learning", "zhou2020monocular"),
)
