"""Slips of 2D keypoints: pixels of another frame, 0 to 1 for pixels, mirrored, y before x."""

from __future__ import annotations

import numpy as np

from handbench.camera import transform_points
from handbench.scores.evidence import SAMPLED, Floats, Hands, Repair, diagonals, middle
from handbench.scores.matching import Matched

# A hand smaller than this could lie between 0 and 1 by itself.
_SMALLEST_HAND_PX = 5.0
# A hand smaller than this, as a share of the image or of the true hand, is collapsed to a point.
_SMALLEST_SHARE = 0.02
# A fitted factor nearer to 1 than this is a model that draws hands a little too large or small.
_SAME_SIZE = 0.1
# Factors of place and of size that differ by more than this have another cause than a resize.
_AGREES = 0.25
# A factor is fitted, so more must be gained: the image of pure noise shrinks, and its error with it.
_RESIZED = 0.25


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
    written = written[:: max(1, len(written) // SAMPLED)]
    written = written[np.isfinite(written).all(axis=(1, 2))]
    if not len(written):
        return None
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
    """Repairs of another frame, a mirror image, y before x, and a resized image.

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
    points, stored = hands.predicted, transform_points(crop, hands.predicted)
    mirrored = stored.copy()
    mirrored[..., 0] = sample.truth.stored_width[hands.rows, None] - 1 - mirrored[..., 0]
    if sample.predictions.frame == "stored":
        # The way back through the crop was taken for nothing: in `stored` is what was written.
        written, exchanged = stored, transform_points(to_source, stored[..., ::-1])
        frame = Repair(
            stored, "pixels of the source image, though declared as stored", 'set "frame": "source"'
        )
    else:
        written, exchanged = points, points[..., ::-1]
        frame = Repair(
            transform_points(to_source, points),
            "pixels of the stored crop",
            'set "frame": "stored" with its "crop_sha256", or map them back to the source image '
            "through the inverse of crop",
        )
    return [
        frame,
        Repair(
            transform_points(to_source, mirrored),
            "mirrored left to right",
            "flip x back (width - 1 - x) before writing",
        ),
        Repair(exchanged, "written with y before x", "write every joint as [x, y]"),
        *_resized(written, hands, None),
        *_resized(written, hands, crop),
    ]


def _resized(written: Floats, hands: Hands, crop: Floats | None) -> list[Repair]:
    """Pixels of a resized image, such as a network's input or heatmap: one factor for all hands.

    `crop` leads from source to stored pixels where the stored image was resized; None: the source.
    """
    labelled = hands.labelled if crop is None else transform_points(crop, hands.labelled)
    # Pixel centres are at integers, so a resize by s maps x + 1/2 to s (x + 1/2).
    found, expected = (written[hands.valid] + 0.5).mean(), (labelled[hands.valid] + 0.5).mean()
    size, true_size = (middle(diagonals(p, hands.valid)) for p in (written, labelled))
    if not (found > 0 and expected > 0 and size > 0 and true_size > 0):
        return []
    factor = float(expected / found)
    # Shrinking any bad prediction into one corner makes its errors smaller; sizes tell it apart.
    if abs(factor - 1) < _SAME_SIZE or abs(factor * size / true_size - 1) > _AGREES:
        return []
    resized = factor * (written + 0.5) - 0.5
    return [
        Repair(
            resized if crop is None else transform_points(np.linalg.inv(crop), resized),
            f"pixels of the {'source' if crop is None else 'stored'} image at another size",
            f"multiply them by about {factor:.3g} (this image's side over that of the network's "
            "input or heatmap)"
            + ("" if crop is None else ' and set "frame": "stored" with its "crop_sha256"'),
            enough=_RESIZED,
        )
    ]
