"""What exported label files say about the dataset they were made of, each and all together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from handbench.sources.manifest import Manifest

_STRONGEST = ("keypoints", "annotation", "detector", "image")
"""Sources of boxes, those first that take most from the labels: of several, rather too much."""


@dataclass(frozen=True)
class Origin:
    """The dataset that a label file was made of.

    Attributes
    ----------
    terms
        Fields of the manifest that are its own: title, licence and so on.
    box_source, split_unit, cluster_unit
        See :class:`~handbench.sources.block.Source`.
    attributes
        Column → its HDF5 attributes.
    padding
        With which its images were cut; NaN where it was not one. As what is asked for, NaN means
        images as they are.
    tolerance_px
        Largest distance between 2D labels and projected 3D labels, px of the first source.
    """

    terms: dict[str, Any]
    box_source: str
    split_unit: str
    cluster_unit: str
    attributes: dict[str, dict[str, Any]]
    padding: float
    tolerance_px: float

    def manifest(self, layout: Manifest) -> Manifest:
        """The facts of the `layout` with what is the dataset's own."""
        return replace(
            layout,
            box_padding=self.padding,
            reprojection_tolerance_px=self.tolerance_px,
            **self.terms,
        )

    def column_attributes(self) -> dict[str, dict[str, Any]]:
        """HDF5 attributes of columns: the camera's hold the tolerance, wherever labels go."""
        camera = {"reprojection_tolerance_px": self.tolerance_px}
        return {**self.attributes, "camera": camera}


def joined(origins: Sequence[Origin | None]) -> Origin | None:
    """What the splits of one dataset say together; None where they are not of one.

    Splits may hold different columns, and after merging differ in boxes, padding and tolerance.
    """
    known = [origin for origin in origins if origin is not None]
    if not known or len(known) < len(origins):
        return None
    first = known[0]
    attributes: dict[str, dict[str, Any]] = {}
    for origin in known:
        same = (origin.terms, origin.split_unit, origin.cluster_unit)
        for column, given in origin.attributes.items():
            if attributes.setdefault(column, given) != given:
                return None
        if same != (first.terms, first.split_unit, first.cluster_unit):
            return None
    paddings = {origin.padding for origin in known}
    boxes = {origin.box_source for origin in known}
    return replace(
        first,
        box_source=min(boxes, key=_STRONGEST.index),
        attributes=attributes,
        padding=paddings.pop() if len(paddings) == 1 else math.nan,
        tolerance_px=max(origin.tolerance_px for origin in known),
    )
