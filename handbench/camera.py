"""The camera: projection, crops with pixel-centre arithmetic, intrinsics of a crop, flip.

Pixels have x to the right and y down, with pixel *centres* at integers: ``(0, 0)`` is the centre
of the top-left pixel, and an image of width w spans -½ … w-½. A resize by s therefore maps
x′ = s(x + ½) - ½. Every geometric change of an image is a 3×3 homography from old to new pixels,
and image content, keypoints and intrinsics all move by that one matrix. 3D points are in metres
with OpenCV axes (x right, y down, z forward).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


def project(points_3d: npt.ArrayLike, camera: npt.ArrayLike) -> FloatArray:
    """Pinhole projection of camera-frame points.

    Parameters
    ----------
    points_3d
        (..., J, 3), metres, OpenCV camera axes. Points at z ≤ 0 give NaN or mirrored pixels: check
        depth before.
    camera
        (..., 3, 3) intrinsics in pixels; leading axes broadcast against those of `points_3d`.

    Returns
    -------
    (..., J, 2) pixels.

    >>> project([[0.1, 0.0, 1.0]], [[500, 0, 112], [0, 500, 112], [0, 0, 1]])
    array([[162., 112.]])
    """
    x, y, z = np.moveaxis(np.asarray(points_3d, dtype=np.float64), -1, 0)
    return _divided(_entries(camera), x, y, z)


def _entries(matrix: npt.ArrayLike) -> FloatArray:
    """(..., 3, 3) as (3, 3, ..., 1), to be multiplied with (..., J) coordinates.

    Written out by coordinate because NumPy's products of many 3×3 matrices are several times
    slower.
    """
    values = np.asarray(matrix, dtype=np.float64)
    entries: FloatArray = np.moveaxis(values, (-2, -1), (0, 1))[..., None]
    return entries


def _divided(m: FloatArray, x: FloatArray, y: FloatArray, z: FloatArray | float) -> FloatArray:
    with np.errstate(invalid="ignore", divide="ignore"):
        depth = m[2, 0] * x + m[2, 1] * y + m[2, 2] * z
        pixels: FloatArray = np.stack(
            [(m[row, 0] * x + m[row, 1] * y + m[row, 2] * z) / depth for row in (0, 1)], axis=-1
        )
    return pixels


def transform_points(homography: npt.ArrayLike, points: npt.ArrayLike) -> FloatArray:
    """Move pixels by a homography.

    Parameters
    ----------
    homography
        (..., 3, 3), from old to new pixels.
    points
        (..., J, 2) pixels; NaN stays NaN.

    Returns
    -------
    (..., J, 2) pixels.
    """
    x, y = np.moveaxis(np.asarray(points, dtype=np.float64), -1, 0)
    return _divided(_entries(homography), x, y, 1.0)


def crop_matrix(bbox: npt.ArrayLike, padding: float, size: int) -> FloatArray:
    """Homography of a square crop: side padding × max(w, h) about the box centre, to `size` px.

    Parameters
    ----------
    bbox
        (..., 4) x, y, w, h in source pixels.
    padding
        Factor on the longer side of the box.
    size
        Side of the square result in pixels.

    Returns
    -------
    (..., 3, 3) source px → crop px. The left edge of the square goes to -½, the right edge to
    size - ½, so the whole image (box -½, -½, size, size with padding 1) is the identity.

    >>> bool(np.allclose(crop_matrix([-0.5, -0.5, 224, 224], 1.0, 224), np.eye(3)))
    True
    """
    box = np.asarray(bbox, dtype=np.float64)
    side = padding * np.maximum(box[..., 2], box[..., 3])
    left = box[..., 0] + (box[..., 2] - side) / 2
    top = box[..., 1] + (box[..., 3] - side) / 2
    scale = size / side
    matrix = np.zeros((*box.shape[:-1], 3, 3))
    matrix[..., 0, 0] = matrix[..., 1, 1] = scale
    matrix[..., 0, 2] = -scale * left - 0.5
    matrix[..., 1, 2] = -scale * top - 0.5
    matrix[..., 2, 2] = 1.0
    return matrix


def perspective_crop(
    bbox: npt.ArrayLike, padding: float, size: int, camera: npt.ArrayLike
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Crop seen by a virtual camera in the same place, turned so that it looks at the box centre.

    A crop away from the image centre shows the hand from the side: two hands of one root-relative
    pose look different. Here every hand lies on the optical axis. The rotation is the smallest that
    takes the ray of the box centre to the axis. The focal length lets the four box corners, moved
    `padding` times as far from the centre, just fit; for a box in the middle of an image of square
    pixels this is :func:`crop_matrix`.

    Parameters
    ----------
    bbox
        (..., 4) x, y, w, h in source pixels.
    padding
        Factor on the box.
    size
        Side of the square result in pixels.
    camera
        (..., 3, 3) intrinsics of the source image, last row 0, 0, 1.

    Returns
    -------
    homography
        (..., 3, 3) source px → crop px; its third row gives positive numbers before the virtual
        camera.
    rotation
        (..., 3, 3) source camera axes → axes of the virtual camera.
    intrinsics
        (..., 3, 3) of the virtual camera, px: homography = intrinsics · rotation · camera⁻¹.
        All are NaN where a box reaches 90° from its own centre, which no plane image shows.
    """
    box = np.asarray(bbox, dtype=np.float64)
    rays = np.linalg.inv(np.asarray(camera, dtype=np.float64))
    x, y = box[..., 0, None], box[..., 1, None]
    w, h = box[..., 2, None], box[..., 3, None]
    # The centre and the four corners as directions of the source camera.
    across, down = np.array([0.5, 0, 1, 1, 0]), np.array([0.5, 0, 0, 1, 1])
    points = np.stack([x + w * across, y + h * down, np.ones_like(x + w * across)], axis=-1)
    directions = np.einsum("...ij,...kj->...ki", rays, points)
    a, b, c = np.moveaxis(
        directions[..., 0, :] / np.linalg.norm(directions[..., 0, :], axis=-1, keepdims=True), -1, 0
    )
    # Rodrigues' formula for the axis (a, b, c) × z.
    rotation = np.stack(
        [
            np.stack([1 - a * a / (1 + c), -a * b / (1 + c), -a], axis=-1),
            np.stack([-a * b / (1 + c), 1 - b * b / (1 + c), -b], axis=-1),
            np.stack([a, b, c], axis=-1),
        ],
        axis=-2,
    )
    turned = np.einsum("...ij,...kj->...ki", rotation, directions[..., 1:, :])
    depth = np.where(turned[..., 2] > 0, turned[..., 2], np.nan)
    focal = size / (2 * padding * np.abs(turned[..., :2] / depth[..., None]).max(axis=(-2, -1)))
    seen = np.isfinite(focal)[..., None, None]
    intrinsics = np.zeros_like(rotation)
    intrinsics[..., 0, 0] = intrinsics[..., 1, 1] = focal
    intrinsics[..., :2, 2] = (size - 1) / 2
    intrinsics[..., 2, 2] = 1.0
    intrinsics, rotation = (np.where(seen, matrix, np.nan) for matrix in (intrinsics, rotation))
    return intrinsics @ rotation @ rays, rotation, intrinsics


def crop_scale(homography: npt.ArrayLike, at: npt.ArrayLike | None = None) -> FloatArray:
    """Stored pixels per source pixel: the root of the area ratio.

    Parameters
    ----------
    homography
        (..., 3, 3), mirrored or not.
    at
        (..., 2) px of the crop. An affine crop has one scale; that of a perspective crop changes
        from place to place. Leading axes broadcast against those of `homography`.

    Returns
    -------
    (...) scales; NaN for a perspective crop without `at`.
    """
    matrix = np.asarray(homography, dtype=np.float64)
    scale: FloatArray = np.sqrt(np.abs(np.linalg.det(matrix[..., :2, :2]))) / np.abs(
        matrix[..., 2, 2]
    )
    turned = (matrix[..., 2, :2] != 0).any(axis=-1)
    if not turned.any():
        return scale if at is None else scale + 0 * np.asarray(at, dtype=np.float64)[..., 0]
    if at is None:
        return np.where(turned, np.nan, scale)
    # A homography stretches areas by det(H) / w³, w being its third coordinate.
    back = np.linalg.inv(matrix)
    x, y = np.moveaxis(np.asarray(at, dtype=np.float64), -1, 0)
    w = np.abs(back[..., 2, 0] * x + back[..., 2, 1] * y + back[..., 2, 2])
    return np.where(turned, np.sqrt(w**3 * np.abs(np.linalg.det(matrix))), scale)


def crop_intrinsics(homography: npt.ArrayLike, camera: npt.ArrayLike) -> FloatArray:
    """Intrinsics of the cropped image: projecting with them equals cropping the projection.

    Parameters
    ----------
    homography
        (..., 3, 3) affine, old → new pixels.
    camera
        (..., 3, 3) intrinsics of the old image.
    """
    product: FloatArray = np.asarray(homography, dtype=np.float64) @ np.asarray(
        camera, dtype=np.float64
    )
    return product


def flip_matrix(width: int) -> FloatArray:
    """Homography of a left-right flip: x → width - 1 - x, its own inverse."""
    return np.array([[-1.0, 0.0, width - 1.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])


def flip_camera(camera: npt.ArrayLike, width: int) -> FloatArray:
    """Intrinsics of the flipped image for 3D points whose x was negated (:func:`flip_points_3d`).

    The focal length stays positive; principal point cx → width - 1 - cx and skew changes sign.
    """
    mirror = np.diag([-1.0, 1.0, 1.0])
    flipped: FloatArray = flip_matrix(width) @ np.asarray(camera, dtype=np.float64) @ mirror
    return flipped


def flip_points_3d(points_3d: npt.ArrayLike) -> FloatArray:
    """Mirror camera-frame points left-right: x → -x. Twice is the identity."""
    mirrored: FloatArray = np.asarray(points_3d, dtype=np.float64) * np.array([-1.0, 1.0, 1.0])
    return mirrored


def keypoint_box(keypoints: npt.ArrayLike, valid: npt.ArrayLike) -> FloatArray:
    """Tight box around the labelled keypoints.

    Parameters
    ----------
    keypoints
        (..., J, 2) pixels.
    valid
        (..., J) bool.

    Returns
    -------
    (..., 4) x, y, w, h pixels; NaN where no joint is labelled.
    """
    points = np.asarray(keypoints, dtype=np.float64)
    keep = np.asarray(valid, dtype=bool)[..., None]
    low = np.where(keep, points, np.inf).min(axis=-2)
    high = np.where(keep, points, -np.inf).max(axis=-2)
    nothing = ~np.isfinite(low)
    low, high = np.where(nothing, np.nan, low), np.where(nothing, np.nan, high)
    box: FloatArray = np.concatenate([low, high - low], axis=-1)
    return box


def box_corners(bbox: npt.ArrayLike) -> FloatArray:
    """(4, 2) corners of a box x, y, width, height, clockwise as seen from the upper left."""
    x, y, width, height = np.asarray(bbox, dtype=np.float64)
    return np.array([[x, y], [x + width, y], [x + width, y + height], [x, y + height]])


def image_box(width: npt.ArrayLike, height: npt.ArrayLike) -> FloatArray:
    """Box of the whole image, edge to edge: -½, -½, width, height in pixel-centre coordinates."""
    w = np.asarray(width, dtype=np.float64)
    h = np.asarray(height, dtype=np.float64)
    return np.stack([np.full_like(w, -0.5), np.full_like(w, -0.5), w, h], axis=-1)
