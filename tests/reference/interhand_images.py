"""Rows of handbench, one a hand, as photos of InterHand2.6M with 42 joints."""

from __future__ import annotations

import numpy as np
from reference import interhand
from reference.joint_errors import Floats
from reference.random_hands import RandomHands


def images_of(hands: RandomHands) -> list[interhand.Image]:
    """Hands of one photo side by side in InterHand2.6M's 42 joints, in mm."""
    truth, predictions = hands.truth, hands.predictions
    points, found = (1000 * joints for joints in hands.keypoints_3d)
    assert truth.hand_type is not None
    assert predictions.is_right is not None
    images = []
    for photo in dict.fromkeys(truth.image_id.tolist()):
        both: list[Floats] = [np.full((42, 3), np.nan), np.full((42, 3), np.nan)]
        valid = np.zeros(42, dtype=bool)
        sides = {}
        for row in np.flatnonzero(truth.image_id == photo):
            right = bool(truth.is_right[row])
            place = slice(0, 21) if right else slice(21, 42)
            order = list(interhand.FROM_CANONICAL)
            for target, source in zip(both, (points, found)):
                target[place] = source[row][order]
            valid[place] = truth.valid_3d[row][order]
            sides[right] = bool(predictions.is_right[row])
        kind = "interacting" if len(sides) == 2 else ("right" if True in sides else "left")
        # What is said of one hand is a vote for that side.
        said = set(sides.values())
        probabilities = (0.8 if True in said else 0.1, 0.7 if False in said else 0.2)
        images.append(interhand.Image(*both, valid, kind, probabilities=probabilities))
    return images
