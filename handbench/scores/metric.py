"""A metric as a value: everything that decides its number, and the name that says so.

The grammar is ``NAME@range[normaliser or alignment, key=value…]``. :func:`str` of a metric leaves
out exactly the defaults; :func:`handbench.scores.names.parse` reads it back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from handbench.hand import FINGERS, FINGERTIPS, NUM_JOINTS, WRIST
from handbench.metrics import Average, Compare, Missing, Rule

Quantity = Literal["EPE", "PCK", "AUC", "MPJPE", "F", "MRRPE", "handedness", "OKS-AP", "coverage"]
Unit = Literal["px", "mm", "fraction"]
Size = Literal["bbox", "tight", "image", "palm", "head"]
Area = Literal["person", "hand", "mask"]
Alignment = Literal["cam", "root", "scale", "pa", "pa-reflect"]
Frame = Literal["source", "stored"]
Hands = Literal["all", "right", "left", "single", "interacting"]
Scored = Literal["model", "mean-pose"]

JOINT_SETS: dict[str, tuple[int, ...]] = {
    "wrist": (WRIST,),
    **FINGERS,
    "mcp": (1, 5, 9, 13, 17),
    "pip": (2, 6, 10, 14, 18),
    "dip": (3, 7, 11, 15, 19),
    "tip": FINGERTIPS,
}
"""Joint sets of ``joints=``: fingers, and joints by their place (the thumb's CMC, MCP and IP stand
with the fingers' MCP, PIP and DIP)."""

VISIBLE, OCCLUDED = "visible", "occluded"


@dataclass(frozen=True)
class Metric:
    """One metric, fully specified.

    Attributes
    ----------
    quantity
        ``EPE`` (2D distance), ``MPJPE`` (3D distance), ``PCK``, ``AUC``, ``F`` (of surfaces),
        ``MRRPE`` (relative position of two wrists), ``handedness``, ``OKS-AP`` or ``coverage``.
    unit
        Of distances and thresholds: px, mm, or fraction of `size`.
    low, high
        Range of thresholds of an AUC; `high` alone is the threshold of a PCK or F.
    size
        What 2D distances are divided by, or None.
    area
        Area under the distances of an OKS, or None.
    alignment
        For 3D: ``cam`` (none), ``root`` (joint `root` onto the truth's), ``scale``, ``pa``,
        ``pa-reflect``.
    bone
        With ``root``: scale the prediction so that this bone is as long as the truth's.
    mesh
        Measure the vertices of meshes instead of the joints.
    joints
        Which joints count: ``all``, or names of :data:`JOINT_SETS` and numbers joined by ``+``,
        and ``visible`` or ``occluded``.
    hands
        Which hands count: ``all``, one side, or by what the image shows.
    cmp, rule, n
        See :mod:`handbench.metrics`.
    avg
        ``joint`` and ``pool``: see :func:`handbench.metrics.average`. ``hand``: the mean of each
        hand, then of hands. ``side``: like ``joint``, with the joints of left and right hands
        told apart (42 joints).
    missing
        ``wrong``: a missed hand is wrong at every threshold; ``drop``: it is left out.
    frame
        Pixels of the ``source`` or of the ``stored`` image.
    stat
        ``mean``, ``median`` or a percentile ``p95`` of distances.
    sigma
        Of an OKS: 0 for the 21 published ones, else one for all joints.
    of
        ``model``, or ``mean-pose``: the floor that any model should beat.
    """

    quantity: Quantity
    unit: Unit
    low: float = 0.0
    high: float = 0.0
    size: Size | None = None
    area: Area | None = None
    alignment: Alignment | None = None
    root: int = 0
    bone: tuple[int, int] | None = None
    mesh: bool = False
    joints: str = "all"
    hands: Hands = "all"
    cmp: Compare = "le"
    rule: Rule = "exact"
    n: int = 0
    avg: Average = "joint"
    missing: Missing = "wrong"
    frame: Frame = "source"
    stat: str = "mean"
    sigma: float = 0.0
    of: Scored = "model"

    @property
    def is_3d(self) -> bool:
        """Whether the metric compares 3D points."""
        return self.unit == "mm"

    @property
    def is_distance(self) -> bool:
        """Whether smaller is better."""
        return self.quantity in ("EPE", "MPJPE", "MRRPE")

    @property
    def per_joint(self) -> bool:
        """Whether it has a value for each of the 21 joints."""
        return self.quantity in ("EPE", "MPJPE", "PCK", "AUC") and not self.mesh

    @property
    def result_unit(self) -> Unit:
        """Unit of the metric's value: px or mm for plain distances, else fraction."""
        return self.unit if self.is_distance else "fraction"

    @property
    def joint_indices(self) -> tuple[int, ...]:
        """Joints that count, 0-20, whatever their visibility."""
        chosen: set[int] = set()
        for part in self.joints.split("+"):
            if part.isdecimal():
                chosen.add(int(part))
            else:
                chosen.update(JOINT_SETS.get(part, ()))
        return tuple(sorted(chosen)) or tuple(range(NUM_JOINTS))

    @property
    def truth_columns(self) -> tuple[str, ...]:
        """Columns beside labels and boxes that decide its number; ``crop`` is all of the crop.

        Not the sides that the mean pose is mirrored by: a floor ranks nobody.
        """
        columns: list[str] = []
        if self.frame == "stored" or self.size == "image":
            columns.append("crop")
        if self.size == "head":
            columns.append("head_size_px")
        if self.area in ("person", "mask"):
            columns.append("person_area_px2" if self.area == "person" else "hand_area_px2")
        if self.visibility is not None:
            columns.append("visibility")
        of_images = self.quantity in ("MRRPE", "handedness", "OKS-AP")
        if of_images:
            columns.append("image_id")
        if of_images or self.avg == "side" or self.hands in ("left", "right"):
            columns.append("is_right")
        if self.quantity in ("MRRPE", "handedness") or self.hands in ("single", "interacting"):
            columns.append("hand_type")
        return tuple(columns)

    @property
    def visibility(self) -> str | None:
        """``visible`` or ``occluded`` where only such joints count, else None."""
        parts = self.joints.split("+")
        return next((word for word in (VISIBLE, OCCLUDED) if word in parts), None)

    def __str__(self) -> str:
        name, alignment = str(self.quantity), self.alignment
        if name in ("coverage", "handedness"):
            return name + self._bracket(self._changed())
        if name == "MPJPE":
            name = "MPVPE" if self.mesh else name
            if alignment == "pa":
                name, alignment = f"PA-{name}", None
        unit = "" if self.unit == "fraction" else self.unit
        options: list[str] = []
        if self.quantity in ("PCK", "F"):
            name += f"@{number(self.high)}{unit}"
        elif self.quantity == "AUC":
            name += f"@{number(self.low)}-{number(self.high)}{unit}"
        elif unit:
            options.append(unit)
        options += [word for word in (self.size, self.area) if word is not None]
        if self.mesh and self.quantity in ("PCK", "AUC"):
            options.append("mesh")
        if alignment is not None:
            options.append(f"root={self.root}" if alignment == "root" else alignment)
        if self.bone is not None:
            options.append(f"bone={self.bone[0]}-{self.bone[1]}")
        if self.quantity == "AUC":
            options += ["rule=exact"] if self.rule == "exact" else [f"n={self.n}"]
            options += ["rule=left"] if self.rule == "left" else []
        return name + self._bracket(options + self._changed())

    def _changed(self) -> list[str]:
        """``key=value`` of everything that is not as usual."""
        options = [f"sigma={number(self.sigma)}"] if self.sigma else []
        usual = usual_options(self.quantity)
        for key in ("stat", "cmp", "avg", "missing", "frame", "joints", "hands", "of"):
            value = getattr(self, key)
            if value != usual[key]:
                options.append(f"{key}={value}")
        return options

    @staticmethod
    def _bracket(options: list[str]) -> str:
        return f"[{','.join(options)}]" if options else ""


def usual_options(quantity: str) -> dict[str, str]:
    """What a name means that does not say otherwise, for the keys that every name may have."""
    distance = quantity in ("EPE", "MPJPE", "MRRPE")
    pooled = quantity in ("EPE", "MPJPE", "MRRPE", "coverage", "handedness")
    return {
        "cmp": "lt" if quantity == "F" else "le",
        "avg": "pool" if pooled else "hand" if quantity == "F" else "joint",
        "missing": "drop" if distance or quantity == "coverage" else "wrong",
        "frame": "source",
        "joints": "all",
        "hands": "all",
        "stat": "mean",
        "of": "model",
    }


def number(value: float) -> str:
    """The shortest decimal that reads back as `value`, without exponent.

    >>> number(0.2), number(30.0), number(1e6), number(1e-5)
    ('0.2', '30', '1000000', '0.00001')
    """
    return np.format_float_positional(value, trim="-")
