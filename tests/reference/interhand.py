"""InterHand2.6M: MPJPE from each hand's own wrist, MRRPE and handedness, an image at a time.

Sources of the facts: facebookresearch/InterHand2.6M, ``dataset.py``, and mmpose's
``hand_metric.py``. An image has 42 joints in its own order: right hand 0-20 with the wrist last
(20), left hand 21-41 (wrist 41); millimetres in camera space. What the network's heatmaps and
depths go through before is not scored here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

RIGHT_WRIST, LEFT_WRIST = 20, 41
FROM_CANONICAL = (4, 3, 2, 1, 8, 7, 6, 5, 12, 11, 10, 9, 16, 15, 14, 13, 20, 19, 18, 17, 0)
"""``interhand[k] = canonical[FROM_CANONICAL[k]]`` for either hand: tips first, wrist last."""


@dataclass(frozen=True)
class Image:
    """Truth and prediction of a photo.

    Attributes
    ----------
    truth, prediction
        (42, 3) mm.
    valid
        (42,) bool as annotated.
    hand_type
        ``right``, ``left`` or ``interacting``.
    hand_type_valid
        Whether that annotation counts.
    probabilities
        Predicted presence of the right and of the left hand.
    """

    truth: Floats
    prediction: Floats
    valid: npt.NDArray[np.bool_]
    hand_type: str
    hand_type_valid: bool = True
    probabilities: tuple[float, float] = (1.0, 1.0)


def official_mpjpe(images: list[Image]) -> dict[str, float]:
    """Mean of the 42 joints' means: ``all``, ``single`` and ``interacting`` images."""
    collected: dict[str, list[list[float]]] = {
        group: [[] for _ in range(42)] for group in ("all", "single", "interacting")
    }
    for image in images:
        for joint, error in _errors(image):
            collected["all"][joint].append(error)
            collected[_group(image)][joint].append(error)
    return {
        group: _mean([_mean(column) for column in columns if column])
        for group, columns in collected.items()
    }


def pooled_mpjpe(images: list[Image]) -> dict[str, float]:
    """mmpose: one mean over all valid joints of the group."""
    collected: dict[str, list[float]] = {"all": [], "single": [], "interacting": []}
    for image in images:
        for _, error in _errors(image):
            collected["all"].append(error)
            collected[_group(image)].append(error)
    return {group: _mean(errors) for group, errors in collected.items()}


def mrrpe(images: list[Image]) -> float:
    """Error of the vector from the right to the left wrist, over interacting images."""
    errors = []
    for image in images:
        both = image.valid[RIGHT_WRIST] and image.valid[LEFT_WRIST]
        if image.hand_type == "interacting" and both:
            true = image.truth[LEFT_WRIST] - image.truth[RIGHT_WRIST]
            found = image.prediction[LEFT_WRIST] - image.prediction[RIGHT_WRIST]
            errors.append(math.dist(true, found))
    return _mean(errors)


def handedness_accuracy(images: list[Image]) -> float:
    """Share of images with a valid type where both probabilities are on their side of 0.5."""
    right = []
    for image in images:
        if image.hand_type_valid:
            there = {"right": (True, False), "left": (False, True), "interacting": (True, True)}
            answers = [
                probability > 0.5 if present else probability < 0.5
                for probability, present in zip(image.probabilities, there[image.hand_type])
            ]
            right.append(float(all(answers)))
    return _mean(right)


def _errors(image: Image) -> list[tuple[int, float]]:
    """Joint and error of whatever is valid; a hand without its wrist has nothing to start from."""
    found = []
    for wrist in (RIGHT_WRIST, LEFT_WRIST):
        if image.valid[wrist]:
            for joint in range(wrist - 20, wrist + 1):
                if image.valid[joint]:
                    true = image.truth[joint] - image.truth[wrist]
                    predicted = image.prediction[joint] - image.prediction[wrist]
                    found.append((joint, math.dist(true, predicted)))
    return found


def _group(image: Image) -> str:
    return "interacting" if image.hand_type == "interacting" else "single"


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else math.nan
