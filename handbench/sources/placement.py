"""Where hands lie: inside their image, inside their crop. Labels that lie elsewhere are no use."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from handbench.errors import SourceError


def inside_image(
    points: npt.NDArray[np.float64], image_size: npt.NDArray[np.integer]
) -> npt.NDArray[np.bool_]:
    """Which keypoints lie on their image.

    Parameters
    ----------
    points
        (N, J, 2) source px, NaN where unlabelled.
    image_size
        (N, 2) height, width in px, -1 where unknown: every labelled point then counts as inside.

    Returns
    -------
    (N, J) bool; False where unlabelled. Pixel centres are integers, so an image reaches from
    -½ to its width - ½.
    """
    size = image_size[:, None, ::-1].astype(np.float64)
    size = np.where(size > 0, size, np.inf)
    with np.errstate(invalid="ignore"):
        low = (points >= -0.5) | ~np.isfinite(size)
        return np.asarray((low & (points <= size - 0.5) & np.isfinite(points)).all(axis=-1))


def inside_crop(
    points: npt.NDArray[np.float64], bbox: npt.NDArray[np.float64], padding: float
) -> npt.NDArray[np.bool_]:
    """Which keypoints lie in the square that is cut out around their box.

    Parameters
    ----------
    points
        (N, J, 2) source px, NaN where unlabelled.
    bbox
        (N, 4) x, y, w, h in source px.
    padding
        Factor on the longer side of the box.

    Returns
    -------
    (N, J) bool; False where unlabelled.
    """
    centre = (bbox[:, :2] + bbox[:, 2:] / 2)[:, None]
    half = padding / 2 * bbox[:, 2:].max(axis=1)[:, None, None]
    with np.errstate(invalid="ignore"):
        return np.asarray((np.abs(points - centre) <= half).all(axis=-1))


def check_placed(
    points: npt.NDArray[np.float64], bbox: npt.NDArray[np.float64], padding: float, where: str
) -> None:
    """Refuse a whole label file whose keypoints and boxes speak of different places.

    A few wrong boxes are the publisher's; when most keypoints lie outside the squares around their
    boxes, x and y are swapped or the units differ. Arguments as in :func:`inside_crop`; boxes
    without an area, or NaN, have no say. `where` names the file.

    Raises
    ------
    SourceError
        If fewer than half of the labelled keypoints lie in their squares.
    """
    with np.errstate(invalid="ignore"):
        known = (bbox[:, 2:] > 0).all(axis=1)
    labelled = int(np.isfinite(points[known]).all(axis=-1).sum())
    inside = int(inside_crop(points[known], bbox[known], padding).sum())
    if inside < labelled / 2:
        raise SourceError(
            f"expected the keypoints of {where} around their boxes, found {inside:,} of "
            f"{labelled:,} there: are x and y swapped, or the units not px of the image?"
        )
