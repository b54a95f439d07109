"""Examples small enough for pencil and paper, and the arithmetic that belongs to each.

The pages print the arithmetic beside the value that the real code gives; both must agree.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from generators.scored import make_truth

from handbench.hand import JOINT_NAMES, NUM_JOINTS
from handbench.predictions.record import Predictions
from handbench.scores.protocol import Protocol
from handbench.scores.protocols import custom_protocol, find_protocol
from handbench.scores.scoring import score
from handbench.scores.truth import Truth

Floats = npt.NDArray[np.float64]
Points = Mapping[int, tuple[float, ...]]
"""Joint → coordinates: px, or mm in the camera."""

_OF_THE_TRUTH = (
    *("bbox", "image_px", "is_right", "image_id", "hand_type"),
    *("person_area_px2", "head_size_px"),
)
"""Columns of the truth that :attr:`Hand.more` may hold."""


@dataclass(frozen=True)
class Hand:
    """One hand of an example.

    `predicted` is None where it was missed. `more` holds columns of the truth, and what the model
    said beside joints: `predicted_side` and `score`.
    """

    name: str
    labels: Points
    predicted: Points | None
    occluded: tuple[int, ...] = ()
    more: Mapping[str, Any] = field(default_factory=dict)

    def array(self, points: Points, axes: int, otherwise: float) -> Floats:
        filled = np.full((NUM_JOINTS, axes), otherwise)
        for joint, place in points.items():
            filled[joint] = place
        return filled


@dataclass(frozen=True)
class Example:
    """Hands in px (`axes` 2) or in mm (`axes` 3); `meshes`, true and predicted, of a single one."""

    hands: tuple[Hand, ...]
    axes: int
    meshes: tuple[Floats, Floats] | None = None

    @property
    def joints(self) -> list[int]:
        """Joints that are labelled somewhere."""
        return sorted({joint for hand in self.hands for joint in hand.labels})

    def truth(self) -> Truth:
        ids = np.array([hand.name for hand in self.hands])
        labelled = np.array([[j in h.labels for j in range(NUM_JOINTS)] for h in self.hands])
        points = np.stack([h.array(h.labels, self.axes, np.nan) for h in self.hands])
        visibility = np.where(labelled, 2, 0).astype(np.uint8)
        for row, hand in enumerate(self.hands):
            visibility[row, list(hand.occluded)] = 1
        plain = make_truth(len(ids), sample_id=ids, image_id=ids, known=frozenset(ids.tolist()))
        flat = self.axes == 2
        nowhere = np.zeros_like(labelled)
        truth = replace(
            plain,
            visibility=visibility,
            keypoints=points if flat else np.full((len(ids), NUM_JOINTS, 2), np.nan),
            valid=labelled if flat else nowhere,
            keypoints_3d=None if flat else points / 1000,
            valid_3d=nowhere if flat else labelled,
            cluster=ids,
        )
        for name in _OF_THE_TRUTH:
            truth = self._filled(truth, name)
        if self.meshes is not None:
            truth = replace(truth, vertices=(self.meshes[0][None] / 1000).astype(np.float32))
        return truth

    def _filled(self, truth: Truth, name: str) -> Truth:
        said = [hand.more.get(name) for hand in self.hands]
        return truth if said[0] is None else replace(truth, **{name: np.array(said)})

    def predictions(self) -> Predictions:
        found = [hand for hand in self.hands if hand.predicted is not None]
        # What a model says about joints without label does not matter.
        points = np.stack([h.array(h.predicted or {}, self.axes, 1.0) for h in found])
        sides = [hand.more.get("predicted_side") for hand in found]
        scores = [hand.more.get("score") for hand in found]
        return Predictions(
            dataset="sample",
            split="test",
            model={"name": "by hand"},
            id=np.array([hand.name for hand in found]),
            keypoints=points if self.axes == 2 else None,
            keypoints_3d=points / 1000 if self.axes == 3 else None,
            vertices=None if self.meshes is None else self.meshes[1][None] / 1000,
            is_right=None if sides[0] is None else np.array(sides, dtype=np.int8),
            score=None if scores[0] is None else np.array(scores),
        )

    def value(self, name: str, protocol: str | None = None) -> float:
        """What the real code gives for a metric, alone or as part of a protocol."""
        preset: Protocol = find_protocol(protocol) if protocol else custom_protocol((name,))
        found = score(self.predictions(), self.truth(), [preset]).results[0].metrics[name]
        if found.value is None:
            raise ValueError(f"{name} has no value in this example: {found.definition}")
        return found.value


@dataclass(frozen=True)
class Row:
    """A metric and the arithmetic that gives it, in Python."""

    name: str
    by_hand: str

    @property
    def result(self) -> float:
        # Only the arithmetic of this file is evaluated.
        return float(eval(self.by_hand, {"__builtins__": {}, "sqrt": math.sqrt}))  # noqa: S307

    @property
    def shown(self) -> str:
        """The arithmetic as one writes it."""
        text = self.by_hand.replace("**2", "²").replace("*", "×").replace("sqrt", "√")
        return text.replace("-", "−")


@dataclass(frozen=True)
class Worked:
    """An example with the metrics that are worked out on it."""

    example: str
    rows: tuple[Row, ...]


def worked(example: str, rows: Mapping[str, str]) -> Worked:
    return Worked(example, tuple(Row(name, by_hand) for name, by_hand in rows.items()))


# --- the examples ---------------------------------------------------------------------------------

_PICTURE = Example(
    (
        Hand(
            "A",
            {1: (10, 10), 2: (40, 50)},
            {1: (13, 14), 2: (40, 63)},
            occluded=(2,),
            more={"bbox": (0, 10, 50, 40), "is_right": 1},
        ),
        Hand("B", {1: (0, 0)}, {1: (0, 2)}, more={"bbox": (0, 0, 20, 20), "is_right": 1}),
        Hand("C", {1: (5, 5), 2: (5, 25)}, None, more={"bbox": (0, 0, 30, 30), "is_right": 1}),
    ),
    axes=2,
)
_SIZES = Example(
    (
        Hand(
            "hand",
            {0: (50, 90), 5: (20, 50), 9: (40, 50), 13: (60, 50), 17: (80, 50), 12: (50, 10)},
            {0: (50, 102), 5: (20, 62), 9: (40, 62), 13: (60, 62), 17: (80, 62), 12: (50, 22)},
            more={"bbox": (0, 0, 100, 96), "image_px": 200.0, "head_size_px": 120.0},
        ),
    ),
    axes=2,
)
_CROSS_TRUE = {0: (0, 40, 600), 5: (-30, 0, 600), 9: (0, -40, 600), 17: (30, 0, 600)}
_CROSS_FOUND = {0: (0, 70, 600), 5: (-70, 0, 600), 9: (0, -70, 600), 17: (70, 0, 600)}
_CROSS = Example(
    (Hand("hand", _CROSS_TRUE, _CROSS_FOUND),),
    axes=3,
    meshes=(
        np.array(list(_CROSS_TRUE.values()), float),
        np.array(list(_CROSS_FOUND.values()), float),
    ),
)
_LINE = replace(
    _CROSS,
    meshes=(
        np.array([(x, 0, 600) for x in (0, 10, 20, 30)], float),
        np.array([(x, 0, 600) for x in (1, 3, 21, 50)], float),
    ),
)
_FAR = Example(
    (Hand("hand", {0: (0, 0, 600), 5: (0, 0, 600)}, {0: (0, 0, 600), 5: (31, 0, 600)}),), 3
)
_TWO = Example(
    (
        Hand(
            "1/right",
            {0: (0, 0, 500), 9: (0, 90, 500)},
            {0: (0, 0, 520), 9: (0, 100, 520)},
            more={"image_id": "1", "hand_type": "interacting", "is_right": 1, "predicted_side": 1},
        ),
        Hand(
            "1/left",
            {0: (100, 0, 500), 9: (100, 90, 500)},
            {0: (103, 0, 524), 9: (103, 110, 524)},
            more={"image_id": "1", "hand_type": "interacting", "is_right": 0, "predicted_side": 0},
        ),
        Hand(
            "2",
            {0: (0, 0, 500), 9: (0, 90, 500)},
            {0: (0, 0, 500), 9: (40, 90, 500)},
            more={"image_id": "2", "hand_type": "right", "is_right": 1, "predicted_side": 0},
        ),
    ),
    axes=3,
)
_PEOPLE = Example(
    tuple(
        Hand(
            name,
            {0: (10, 10)},
            {0: (10 + off, 10)},
            more={
                "is_right": side,
                "score": confidence,
                "person_area_px2": 10000.0,
                "bbox": (0, 0, 50, 50),
            },
        )
        for name, side, off, confidence in (("A", 1, 5, 0.8), ("B", 1, 0, 0.9), ("C", 0, 0, 0.7))
    ),
    axes=2,
)

EXAMPLES: dict[str, Example] = {
    "picture": _PICTURE,
    "sizes": _SIZES,
    "cross": _CROSS,
    "line": _LINE,
    "far": _FAR,
    "two": _TWO,
    "people": _PEOPLE,
}

# --- what is worked out on them -------------------------------------------------------------------

METRICS: dict[str, Worked] = {
    "EPE": worked(
        "picture",
        {
            "EPE[px]": "(5 + 13 + 2) / 3",
            "EPE[px,avg=joint]": "((5 + 2) / 2 + 13) / 2",
            "EPE[px,avg=hand]": "((5 + 13) / 2 + 2) / 2",
            "EPE[px,stat=median]": "5",
            "EPE[px,joints=visible]": "(5 + 2) / 2",
            "EPE[bbox]": "(5/50 + 13/50 + 2/20) / 3",
        },
    ),
    "PCK": worked(
        "picture",
        {
            "PCK@10px": "(2/3 + 0/2) / 2",
            "PCK@10px[avg=pool]": "2 / 5",
            "PCK@10px[avg=hand]": "(1/2 + 1/1 + 0/2) / 3",
            "PCK@10px[missing=drop]": "(2/2 + 0/1) / 2",
            "PCK@5px": "(2/3 + 0/2) / 2",
            "PCK@5px[cmp=lt]": "(1/3 + 0/2) / 2",
            "PCK@0.1[bbox]": "(2/3 + 0/2) / 2",
        },
    ),
    "AUC": worked(
        "picture",
        {
            "AUC@0-30px[rule=exact]": "((25/30 + 28/30 + 0) / 3 + (17/30 + 0) / 2) / 2",
            "AUC@0-30px[n=20]": "((15.5/19 + 17.5/19 + 0) / 3 + (10.5/19 + 0) / 2) / 2",
            "AUC@0-30px[n=20,rule=left,cmp=lt]": "((16/20 + 18/20 + 0) / 3 + (11/20 + 0) / 2) / 2",
        },
    ),
    "MPJPE": worked(
        "cross",
        {
            "MPJPE[mm,cam]": "(30 + 40 + 30 + 40) / 4",
            "MPJPE[mm,root=0]": "(0 + sqrt(40**2 + 30**2) + 60 + sqrt(40**2 + 30**2)) / 4",
            "MPJPE[mm,root=0,bone=0-9]": "(0 + 10 + 0 + 10) / 4",
            "MPJPE[mm,pa-reflect]": "(5 + 5 + 5 + 5) / 4",
        },
    ),
    "PA-MPJPE": worked("cross", {"PA-MPJPE[mm]": "(5 + 5 + 5 + 5) / 4"}),
    "MPVPE": worked("line", {"MPVPE[mm,cam]": "(1 + 7 + 1 + 20) / 4"}),
    "PA-MPVPE": worked("cross", {"PA-MPVPE[mm]": "(5 + 5 + 5 + 5) / 4"}),
    "F": worked(
        "line",
        {
            "F@5mm[cam]": "2 * 3/4 * 2/4 / (3/4 + 2/4)",
            "F@15mm[cam]": "2 * 3/4 * 4/4 / (3/4 + 4/4)",
        },
    ),
    "MRRPE": worked("two", {"MRRPE[mm]": "sqrt(3**2 + 0**2 + 4**2)"}),
    "handedness": worked("two", {"handedness": "(1 + 0) / 2"}),
    "OKS-AP": worked(
        "people",
        {
            "OKS-AP[person,hands=right]": "(4 * 1 + 6 * 51/101) / 10",
            "OKS-AP[person,hands=left]": "10 * 1 / 10",
            "OKS-AP[person]": "((4 * 1 + 6 * 51/101) / 10 + 1) / 2",
        },
    ),
    "coverage": worked("picture", {"coverage": "2 / 3"}),
}
"""Metric name → its example."""

NORMALISERS = worked(
    "sizes",
    {
        "EPE[px]": "12",
        "EPE[bbox]": "12 / 100",
        "EPE[tight]": "12 / 80",
        "EPE[image]": "12 / 200",
        "EPE[palm]": "12 / 60",
        "EPE[head]": "12 / 120",
    },
)

PROTOCOLS: dict[str, Worked] = {
    "handbench": worked(
        "picture",
        {
            "AUC@0-0.2[tight,rule=exact]": "((0.075/0.2 + 0) / 2 + (0 + 0) / 2) / 2",
            "PCK@0.2[tight]": "(1/2 + 0/2) / 2",
            "EPE[tight]": "(5/40 + 13/40) / 2",
            "EPE[px]": "(5 + 13 + 2) / 3",
            "coverage": "2 / 3",
        },
    ),
    "mmpose": worked(
        "picture",
        {
            "PCK@0.2[bbox,cmp=lt]": "(2/3 + 0/2) / 2",
            "AUC@0-30px[n=20,rule=left,cmp=lt]": "((16/20 + 18/20 + 0) / 3 + (11/20 + 0) / 2) / 2",
            "EPE[px]": "(5 + 13 + 2) / 3",
        },
    ),
    "freihand": worked(
        "cross",
        {
            "MPJPE[mm,cam,avg=joint]": "(30 + 40 + 30 + 40) / 4",
            "AUC@0-50mm[cam,n=100]": "(39.5 + 19.5 + 39.5 + 19.5) / 99 / 4",
            "MPJPE[mm,pa-reflect,avg=joint]": "(5 + 5 + 5 + 5) / 4",
            "AUC@0-50mm[pa-reflect,n=100]": "89.5 / 99",
            "MPVPE[mm,pa-reflect]": "(5 + 5 + 5 + 5) / 4",
            "F@15mm[pa-reflect]": "2 * 4/4 * 4/4 / (4/4 + 4/4)",
        },
    ),
    "ho3d": worked(
        "cross",
        {
            "MPJPE[mm,cam,avg=joint]": "(30 + 40 + 30 + 40) / 4",
            "MPJPE[mm,root=0,bone=0-9,avg=joint]": "(0 + 10 + 0 + 10) / 4",
            "AUC@0-50mm[root=0,bone=0-9,n=100]": "(99 + 79.5 + 99 + 79.5) / 99 / 4",
            "MPJPE[mm,pa-reflect,avg=joint]": "(5 + 5 + 5 + 5) / 4",
        },
    ),
    "dexycb": worked(
        "cross",
        {
            "MPJPE[mm,root=0,avg=joint]": "(0 + 50 + 60 + 50) / 4",
            "MPJPE[mm,cam,avg=joint]": "(30 + 40 + 30 + 40) / 4",
            "MPJPE[mm,pa-reflect,avg=joint]": "(5 + 5 + 5 + 5) / 4",
            "AUC@0-50mm[pa-reflect,n=100]": "89.5 / 99",
        },
    ),
    "interhand": worked(
        "two",
        {
            "MPJPE[mm,root=0,avg=side]": "(0 + (10 + 40) / 2 + 0 + 20) / 4",
            "MPJPE[mm,root=0]": "(0 + 10 + 0 + 20 + 0 + 40) / 6",
            "MPJPE[mm,root=0,avg=side,hands=single]": "(0 + 40) / 2",
            "MPJPE[mm,root=0,avg=side,hands=interacting]": "(0 + 10 + 0 + 20) / 4",
            "MRRPE[mm]": "sqrt(3**2 + 4**2)",
            "handedness": "(1 + 0) / 2",
        },
    ),
    "zb2d": worked(
        "picture",
        {
            "AUC@0-30px[n=20,joints=visible]": "((15.5/19 + 17.5/19 + 0) / 3 + 0/1) / 2",
            "EPE[px,avg=joint,joints=visible]": "(5 + 2) / 2",
        },
    ),
    "auc3d_20_50": worked(
        "far",
        {
            "AUC@20-50mm[root=0,n=20]": "(1 + 12.5/19) / 2",
            "AUC@20-50mm[root=0,n=16]": "(1 + 9.5/15) / 2",
            "AUC@20-50mm[root=0,n=15]": "(1 + 8.5/14) / 2",
        },
    ),
    "hint": worked(
        "picture",
        {
            "PCK@0.05[bbox]": "(0/3 + 0/2) / 2",
            "PCK@0.1[bbox]": "(2/3 + 0/2) / 2",
            "PCK@0.15[bbox,joints=visible]": "(2/3 + 0/1) / 2",
            "PCK@0.15[bbox,joints=occluded]": "0/1",
        },
    ),
    "wholebody_oks": worked(
        "people",
        {
            "OKS-AP[person,hands=right]": "(4 * 1 + 6 * 51/101) / 10",
            "OKS-AP[person]": "((4 * 1 + 6 * 51/101) / 10 + 1) / 2",
        },
    ),
}
"""Protocol → its example."""


def offset(error: float, axes: int) -> Example:
    """One hand whose 21 joints are all off by `error` px or mm."""
    labels = {joint: (0.0, float(joint), 600.0)[:axes] for joint in range(len(JOINT_NAMES))}
    found = {joint: (error, *place[1:]) for joint, place in labels.items()}
    return Example((Hand("hand", labels, found, more={"bbox": (0, 0, 100, 100)}),), axes)
