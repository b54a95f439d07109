"""Object keypoint similarity of single hands, and COCO's average precision for one class.

Sources of the facts: jin-s13/COCO-WholeBody and its evaluation toolkit, ``cocoeval.py``. Hands
without a labelled joint do not appear here (there they are ignored).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

SIGMAS = (
    *(0.029, 0.022, 0.035, 0.037, 0.047, 0.026, 0.025, 0.024, 0.035, 0.018, 0.024),
    *(0.022, 0.026, 0.017, 0.021, 0.021, 0.032, 0.020, 0.019, 0.022, 0.031),
)
"""Wrist, then thumb to pinky, base to tip; the same for left and right."""
THRESHOLDS = tuple(np.linspace(0.5, 0.95, 10).tolist())
RECALLS = tuple(np.linspace(0.0, 1.0, 101).tolist())
MAX_DETECTIONS = 20


@dataclass(frozen=True)
class Hand:
    """A labelled hand: keypoints (21, 2) px, which are labelled, and the area that scales OKS."""

    image: str
    keypoints: Floats
    labelled: npt.NDArray[np.bool_]
    area: float


@dataclass(frozen=True)
class Detection:
    """A predicted hand."""

    image: str
    keypoints: Floats
    score: float


def oks(hand: Hand, keypoints: Floats) -> float:
    """Mean similarity of the labelled joints."""
    terms = []
    for joint, sigma in enumerate(SIGMAS):
        if hand.labelled[joint]:
            distance = math.dist(keypoints[joint], hand.keypoints[joint])
            terms.append(similarity(distance, sigma, hand.area))
    return sum(terms) / len(terms)


def similarity(distance: float, sigma: float, area: float) -> float:
    """exp(-d² / (2 (2σ)² A)) of one joint."""
    return math.exp(-(distance**2) / (2 * (2 * sigma) ** 2 * (area + float(np.spacing(1)))))


def average_precision(hands: list[Hand], detections: list[Detection]) -> float:
    """Mean over ten OKS thresholds of the 101-point interpolated precision."""
    images = sorted({item.image for item in (*hands, *detections)})
    values = []
    for threshold in THRESHOLDS:
        ranked: list[tuple[float, bool]] = []
        for image in images:
            ranked += _matches(
                [hand for hand in hands if hand.image == image],
                [found for found in detections if found.image == image],
                threshold,
            )
        # Stable: equal scores stay in the order of their images.
        ranked.sort(key=lambda pair: -pair[0])
        values.append(_interpolated([correct for _, correct in ranked], len(hands)))
    return sum(values) / len(values)


def _matches(
    hands: list[Hand], detections: list[Detection], threshold: float
) -> list[tuple[float, bool]]:
    """Greedy: each detection, best score first, takes the free hand it resembles most."""
    free = list(range(len(hands)))
    outcome = []
    for found in sorted(detections, key=lambda item: -item.score)[:MAX_DETECTIONS]:
        best, taken = min(threshold, 1 - 1e-10), None
        for number in free:
            similarity = oks(hands[number], found.keypoints)
            if similarity >= best:
                best, taken = similarity, number
        if taken is not None:
            free.remove(taken)
        outcome.append((found.score, taken is not None))
    return outcome


def _interpolated(correct: list[bool], expected: int) -> float:
    precisions, recalls, hits = [], [], 0
    for rank, right in enumerate(correct, start=1):
        hits += right
        precisions.append(hits / rank)
        recalls.append(hits / expected)
    total = 0.0
    for wanted in RECALLS:
        reached = [p for p, r in zip(precisions, recalls) if r >= wanted]
        total += max(reached, default=0.0)
    return total / len(RECALLS)
