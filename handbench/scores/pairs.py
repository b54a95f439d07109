"""Metrics of images with two hands: relative position of the wrists, and which sides are there.

References
----------
InterHand2.6M, ``data/InterHand2.6M/dataset.py`` (MRRPE and handedness accuracy).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from handbench.hand import WRIST
from handbench.scores.distances import MM_PER_M
from handbench.scores.matching import Matched
from handbench.scores.truth import Truth, image_of

Floats = npt.NDArray[np.float64]


def relative_root_errors(matched: Matched) -> Floats:
    """Error of the left wrist's position relative to the right one's, in camera space.

    Counted are images with one right and one left hand, both wrists labelled in 3D, and, where the
    split says so, interacting hands.

    Returns
    -------
    (N, 1) mm, in the row of the right hand; NaN elsewhere, and where a hand was missed.
    """
    truth, predicted = matched.truth, matched.keypoints_3d
    errors = np.full((len(truth), 1), np.nan)
    if predicted is None or truth.keypoints_3d is None:
        return errors
    right, left = pairs_of(truth)
    true_step = truth.keypoints_3d[left, WRIST] - truth.keypoints_3d[right, WRIST]
    step = predicted[left, WRIST] - predicted[right, WRIST]
    errors[right, 0] = np.linalg.norm(step - true_step, axis=-1) * MM_PER_M
    return errors


def pairs_of(truth: Truth) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Rows of the right and the left hand of every image that counts for the relative position."""
    usable = truth.valid_3d[:, WRIST]
    if truth.hand_type is not None:
        usable = usable & (truth.hand_type == "interacting")
    rows: dict[str, dict[int, list[int]]] = {}
    for row in np.flatnonzero(usable).tolist():
        sides = rows.setdefault(str(truth.image_id[row]), {})
        sides.setdefault(int(truth.is_right[row]), []).append(row)
    both = [
        (sides[1][0], sides[0][0])
        for sides in rows.values()
        if len(sides.get(1, ())) == 1 and len(sides.get(0, ())) == 1
    ]
    table = np.array(both, dtype=np.intp).reshape(-1, 2)
    return table[:, 0], table[:, 1]


def handedness(matched: Matched) -> Floats:
    """Whether exactly the sides that an image shows were predicted for it.

    The sides that an image shows are what its hand type says, labelled or not; where the split
    stores no hand types, the sides of its labelled hands. The sides predicted for it are those of
    all its predictions, extra ones included. Images of unknown type or side are left out.

    Returns
    -------
    (N, 1): 1 or 0 in the row of each image's first hand, NaN elsewhere.
    """
    truth, predictions = matched.truth, matched.predictions
    image_of_sample = dict(zip(truth.sample_id.tolist(), truth.image_id.tolist()))
    found: dict[str, set[int]] = {}
    counted: set[str] = set()
    sides = predictions.is_right if predictions.is_right is not None else np.empty(0, np.int8)
    present = _present(matched)
    for name, side, there in zip(predictions.id.tolist(), sides.tolist(), present.tolist()):
        if there and name not in counted:
            counted.add(name)
            image = image_of_sample.get(name) or image_of(name)
            found.setdefault(image, set()).add(side)
    expected: dict[str, set[int]] = {}
    first: dict[str, int] = {}
    for row, (image, sides_shown) in enumerate(zip(truth.image_id.tolist(), _sides_shown(truth))):
        expected.setdefault(image, set()).update(sides_shown)
        first.setdefault(image, row)
    scores = np.full((len(truth), 1), np.nan)
    for image, row in first.items():
        if min(expected[image]) >= 0:
            scores[row, 0] = float(found.get(image, set()) == expected[image])
    return scores


def _sides_shown(truth: Truth) -> list[tuple[int, ...]]:
    """Sides that the image of each hand shows, as far as its row tells; -1 for unknown."""
    if truth.hand_type is None:
        return [(side,) for side in truth.is_right.tolist()]
    of_type = {"right": (1,), "left": (0,), "interacting": (0, 1)}
    return [of_type.get(name, (-1,)) for name in truth.hand_type.tolist()]


def _present(matched: Matched) -> npt.NDArray[np.bool_]:
    """(M,) predictions that hold a hand: rows of NaN say that none was found."""
    predictions = matched.predictions
    present = np.zeros(len(predictions), dtype=bool)
    for points in (predictions.keypoints, predictions.keypoints_3d):
        if points is not None:
            present |= ~np.isnan(points).any(axis=(1, 2))
    return present
