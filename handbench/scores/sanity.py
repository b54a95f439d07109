"""Predictions that look wrong in a way with a name: crop pixels, mirror image, joint order.

Each check repairs the predictions in one known way and looks whether they fit the truth far
better. It warns and never changes a score. Median distances of at most 2,000 hands decide, so a
check costs nothing beside the evaluation.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from handbench.camera import transform_points
from handbench.files import describe_names
from handbench.hand import to_canonical
from handbench.metrics import align_procrustes, keypoint_errors
from handbench.scores.matching import Matched

Floats = npt.NDArray[np.float64]

_HANDS = 2000
# A repair must bring the median distance below this share of what it was. Honest models that are
# merely bad gain far less from it, and right-handed symmetry alone gains about a third.
_FAR_BETTER = 0.4

FOREIGN_ORDERS: dict[str, tuple[int, ...]] = {
    "RHD (tip first within each finger)": (
        *(0, 4, 3, 2, 1, 8, 7, 6, 5, 12, 11, 10, 9, 16, 15, 14, 13, 20, 19, 18, 17),
    ),
    "MANO / HO-3D (index, middle, pinky, ring, thumb, then tips)": (
        *(0, 13, 14, 15, 16, 1, 2, 3, 17, 4, 5, 6, 18, 10, 11, 12, 19, 7, 8, 9, 20),
    ),
    "InterHand2.6M (tip first, wrist last)": (
        *(20, 3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12, 19, 18, 17, 16),
    ),
    "STB (pinky first)": (
        *(0, 17, 18, 19, 20, 13, 14, 15, 16, 9, 10, 11, 12, 5, 6, 7, 8, 1, 2, 3, 4),
    ),
}
"""Orders that hands are published in: ``canonical[k] = native[order[k]]``."""


def warnings_about(matched: Matched) -> list[str]:
    """One sentence for everything about `matched` that looks like a mistake."""
    warnings = _counts(matched)
    for check in (_pixels, _three_d):
        warnings += check(_sample(matched))
    return warnings


def _sample(matched: Matched) -> Matched:
    """At most :data:`_HANDS` predicted hands, spread evenly over the split."""
    rows = np.flatnonzero(matched.predicted)
    rows = rows[:: max(1, -(-len(rows) // _HANDS))]
    return Matched(
        truth=matched.truth.rows(rows),
        predictions=matched.predictions,
        predicted=matched.predicted[rows],
        keypoints=None if matched.keypoints is None else matched.keypoints[rows],
        keypoints_3d=None if matched.keypoints_3d is None else matched.keypoints_3d[rows],
        missing=[],
        extra=[],
        duplicate=[],
    )


def _counts(matched: Matched) -> list[str]:
    warnings = []
    predicted, expected = int(matched.predicted.sum()), len(matched.truth)
    if predicted < expected:
        warnings.append(f"{predicted:,} predictions for {expected:,} samples{_pattern(matched)}")
    if matched.extra:
        warnings.append(
            f"{len(matched.extra):,} predictions have ids that are not in {matched.truth.dataset} "
            f"{matched.truth.split} and are left out: {describe_names(matched.extra)}"
        )
    if matched.duplicate:
        warnings.append(
            f"{len(matched.duplicate):,} ids were predicted more than once; the first prediction "
            f"counts: {describe_names(matched.duplicate)}"
        )
    return warnings


def _pattern(matched: Matched) -> str:
    """What the places of the missing hands say about how they went missing."""
    rows = np.flatnonzero(matched.predicted)
    expected = len(matched.truth)
    if len(rows) >= 4 and (np.diff(rows) == 2).all() and len(rows) >= expected // 2:
        return ": was every second one written?"
    if (
        4 <= len(rows) <= expected // 2 * 2
        and rows[-1] == len(rows) - 1
        and expected > len(rows) + 3
    ):
        return f": the first {len(rows):,} are there and all others are missing, did the run stop?"
    return f": missing {describe_names(matched.missing)}"


def _pixels(matched: Matched) -> list[str]:
    """Warn when 2D keypoints fit much better as crop pixels, as a mirror image, or reordered."""
    truth, points = matched.truth, matched.keypoints
    if points is None or not len(truth):
        return []
    declared = _median(points, truth.keypoints, truth.valid)
    if not declared > 0.1 * _hand_size(matched):
        return []
    repairs: dict[str, Floats] = {}
    to_source = np.linalg.inv(truth.crop)
    if matched.predictions.frame == "source":
        repairs['as pixels of the stored crop: set "frame": "stored" or map them back'] = (
            transform_points(to_source, points)
        )
    mirrored = transform_points(truth.crop, points)
    mirrored[..., 0] = truth.stored_width[:, None] - 1 - mirrored[..., 0]
    repairs["as their mirror image: flip x back before writing"] = transform_points(
        to_source, mirrored
    )
    for name, order in FOREIGN_ORDERS.items():
        repairs[f'in the joint order of {name}: reorder them or set "keypoint_order"'] = (
            to_canonical(points, order).astype(np.float64)
        )
    found = {how: _median(fixed, truth.keypoints, truth.valid) for how, fixed in repairs.items()}
    how = min(found, key=lambda key: found[key])
    if found[how] < _FAR_BETTER * declared:
        return [
            f"keypoints fit far better (median {found[how]:.1f} instead of {declared:.1f} px) {how}"
        ]
    return []


def _three_d(matched: Matched) -> list[str]:
    """Warn about the usual slips in 3D: OpenGL axes, a hidden root, a mirrored hand."""
    truth, points = matched.truth, matched.keypoints_3d
    if points is None or truth.keypoints_3d is None or not truth.valid_3d.any():
        return []
    known = ~np.isnan(points).any(axis=(1, 2))
    if not known.any():
        return []
    points, labelled, valid = points[known], truth.keypoints_3d[known], truth.valid_3d[known]
    warnings = []
    if matched.predictions.frame_3d == "camera":
        depth = float(np.median(points[..., 2]))
        if depth < -0.05 and float(np.nanmedian(labelled[..., 2])) > 0:
            warnings.append(
                f"3D keypoints lie behind the camera (median z {depth:.2f} m): they look like "
                'OpenGL axes, so set "axes": "opengl" or negate y and z'
            )
        reach = float(np.linalg.norm(points, axis=-1).max())
        if reach < 0.3 < float(np.nanmedian(labelled[..., 2])):
            warnings.append(
                "3D keypoints stay within 0.3 m of the camera while the truth does not: they look "
                'root-relative, so set "frame_3d": "root:wrist"'
            )
    proper = _median(align_procrustes(points, labelled, valid), labelled, valid)
    mirror = _median(align_procrustes(points, labelled, valid, reflect=True), labelled, valid)
    if mirror < _FAR_BETTER * proper and proper > 0.005:
        warnings.append(
            f"3D keypoints fit far better as a mirror image (median {1e3 * mirror:.1f} instead of "
            f"{1e3 * proper:.1f} mm): were images flipped and hands not flipped back?"
        )
    return warnings


def _median(points: Floats, truth: Floats, valid: npt.NDArray[np.bool_]) -> float:
    errors = keypoint_errors(points, truth, valid)
    return float(np.median(errors[np.isfinite(errors)])) if np.isfinite(errors).any() else np.inf


def _hand_size(matched: Matched) -> float:
    """Median longer side of the file's box, source px."""
    sides = matched.truth.bbox[:, 2:].max(axis=1)
    return float(np.nanmedian(sides)) if np.isfinite(sides).any() else 0.0
