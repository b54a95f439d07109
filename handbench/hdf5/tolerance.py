"""How far projected 3D labels may lie from 2D labels: what rounding in the source explains."""

from __future__ import annotations

from handbench.hdf5.reader import HandFile, SplitReader
from handbench.sources import manifest as manifests

ATTRIBUTE = "reprojection_tolerance_px"
"""Of `camera`: where the dataset's own manifest cannot say it, as after an export."""
_DEFAULT_PX = 0.5


def reprojection_tolerance_px(file: HandFile, split: SplitReader) -> float:
    """Largest distance in px of the source, where `crop` leads, not of the stored image."""
    said = split.attributes("camera").get(ATTRIBUTE) if split.has("camera") else None
    if said is not None:
        return float(said)
    parts = [part["dataset"] for part in file.attributes.get("merged_from", [])]
    return max(map(_of_dataset, parts or [file.dataset]))


def _of_dataset(dataset: str) -> float:
    name = dataset.removesuffix("-subset")
    if name in manifests.names():
        return manifests.load(name).reprojection_tolerance_px
    return _DEFAULT_PX
