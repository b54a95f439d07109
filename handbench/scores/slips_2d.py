"""Slips of 2D keypoints: another frame, flipped, turned or resized images, 0 to 1 for pixels."""

from __future__ import annotations

import numpy as np

from handbench.camera import transform_points
from handbench.scores.evidence import (
    SAMPLED,
    Bools,
    Floats,
    Hands,
    Repair,
    diagonals,
    every_nth,
    middle,
)
from handbench.scores.matching import Matched

# A hand smaller than this could lie between 0 and 1 by itself.
_SMALLEST_HAND_PX = 5.0
# A hand smaller than this, as a share of the image or of the true hand, is collapsed to a point.
_SMALLEST_SHARE = 0.02
# A fitted factor nearer to 1 than this is a model that draws hands a little too large or small.
_SAME_SIZE = 0.1
# Factors of place and of size that differ by more than this have another cause than a resize.
_AGREES = 0.25
# A factor is fitted, so more must be gained: shrinking halves the error of pure noise.
_RESIZED = 0.25
_ORIENTATION = "were images read without their EXIF orientation? Turn keypoints back"
# x and y exchanged?, axes flipped afterwards, what it is, what to do.
_TURNS: tuple[tuple[bool, tuple[int, ...], str, str], ...] = (
    (False, (0,), "mirrored left to right", "flip x back (width - 1 - x) before writing"),
    (False, (1,), "upside down, y counted from the bottom", "write height - 1 - y"),
    (True, (), "written with y before x", "write every joint as [x, y]"),
    (False, (0, 1), "turned by 180°", _ORIENTATION),
    (True, (0,), "turned by 90°", _ORIENTATION),
    (True, (1,), "turned by 90°", _ORIENTATION),
)


def normalised(sample: Matched, hands: Hands) -> str | None:
    """Sentence if keypoints run over the image from 0 to 1, or from -1 to 1, instead of in pixels.

    Parameters
    ----------
    sample
        Predictions in the rows of the truth.
    hands
        Its 2D hands (:func:`~handbench.scores.evidence.pixels`).
    """
    written = sample.predictions.keypoints
    if written is None or hands.size < _SMALLEST_HAND_PX:
        return None
    # What stands in the file: the matched hands may have gone through a crop.
    written = every_nth(written[np.isfinite(written).all(axis=(1, 2))], SAMPLED)
    low, high = np.quantile(written, [0.005, 0.995])
    size = float(np.median(np.ptp(written, axis=1).max(axis=-1)))
    if low < -1.5 or high > 1.5 or size < _SMALLEST_SHARE:
        return None
    expected = hands.labelled
    if sample.predictions.frame == "stored":
        expected = transform_points(sample.truth.crop[hands.rows], expected)
    true_low, true_high = np.quantile(expected[hands.valid], [0.005, 0.995])
    span, advice = (
        ("-1 to 1", "write (x + 1) / 2 times its width and (y + 1) / 2 times its height")
        if low < -0.2
        else ("0 to 1", "multiply x by its width and y by its height")
    )
    return (
        f"2D keypoints look normalised to the image ({span}): expected pixels such as the truth's "
        f"{true_low:.0f} to {true_high:.0f}, found {low:.2f} to {high:.2f}; {advice}"
    )


def pixel_repairs(sample: Matched, hands: Hands) -> list[Repair]:
    """Repairs of another frame, a flipped or turned image, y before x, and a resized image.

    Parameters
    ----------
    sample
        Predictions in the rows of the truth.
    hands
        Its 2D hands (:func:`~handbench.scores.evidence.pixels`).
    """
    across = middle(diagonals(hands.predicted, np.ones_like(hands.valid)))
    if across < _SMALLEST_SHARE * hands.size:
        return []  # a point fits wherever a scaling brings it
    crop = sample.truth.crop[hands.rows]
    to_source = np.linalg.inv(crop)
    points, labelled = hands.predicted, hands.labelled
    stored, true_stored = transform_points(crop, points), transform_points(crop, labelled)
    if sample.predictions.frame == "stored":
        # The way back through the crop was taken for nothing: in `stored` is what was written.
        written = stored
        frame = Repair(
            stored, "pixels of the source image, though declared as stored", 'set "frame": "source"'
        )
    else:
        written = points
        frame = Repair(
            transform_points(to_source, points),
            "pixels of the stored crop",
            'set "frame": "stored" with its "crop_sha256", or map them back to the source image '
            "through the inverse of crop",
        )
    repairs = [frame]
    for exchanged, flipped, what, advice in _TURNS:
        in_stored = _turned(stored, true_stored, hands.valid, exchanged, flipped)
        in_source = _turned(points, labelled, hands.valid, exchanged, flipped)
        repairs.append(Repair(transform_points(to_source, in_stored), what, advice))
        repairs.append(Repair(in_source, what, advice))
    for true_written, back in ((labelled, None), (true_stored, to_source)):
        factor = _factor(written, true_written, hands.valid)
        if factor is not None:
            resized = factor * (written + 0.5) - 0.5
            repairs.append(
                Repair(
                    resized if back is None else transform_points(back, resized),
                    f"pixels of the {'source' if back is None else 'stored'} image at another size",
                    f"multiply them by about {factor:.3g} (this image's side over that of the "
                    "network's input or heatmap)"
                    + ("" if back is None else ' and set "frame": "stored" with its "crop_sha256"'),
                    enough=_RESIZED,
                )
            )
    return repairs


def _turned(
    points: Floats, labelled: Floats, valid: Bools, exchanged: bool, flipped: tuple[int, ...]
) -> Floats:
    """`points` (N, 21, 2) flipped back in an image whose side is known from the hands alone."""
    turned = (points[..., ::-1] if exchanged else points).copy()
    for axis in flipped:
        # x and width - 1 - x add up to the same number everywhere.
        turned[..., axis] = (
            np.median((turned[..., axis] + labelled[..., axis])[valid]) - turned[..., axis]
        )
    return turned


def _factor(written: Floats, labelled: Floats, valid: Bools) -> float | None:
    """Factor of a resized image, such as a network's input or heatmap: one for all hands."""
    # Pixel centres are at integers, so a resize by s maps x + 1/2 to s (x + 1/2).
    found, expected = (written[valid] + 0.5).mean(), (labelled[valid] + 0.5).mean()
    size, true_size = middle(diagonals(written, valid)), middle(diagonals(labelled, valid))
    if not (found > 0 and expected > 0 and size > 0 and true_size > 0):
        return None
    factor = float(expected / found)
    # Shrinking any bad prediction into one corner makes its errors smaller; sizes tell it apart.
    if abs(factor - 1) < _SAME_SIZE or abs(factor * size / true_size - 1) > _AGREES:
        return None
    return factor
