"""A request for one picture, and its answer as JSON."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from handbench.hand import BONES, JOINT_NAMES
from handbench.predictors.interface import Hand
from handbench.web.guards import Photo, decode_photo
from handbench.web.limits import Limits
from handbench.web.models import LoadedModel
from handbench.web.problems import Problem

_DECIMALS_PX, _DECIMALS_SCORE = 2, 4

Box = tuple[float, float, float, float]
"""x, y, width, height in px of the upright picture."""


@dataclass(frozen=True)
class Answer:
    """What was found in a picture.

    Attributes
    ----------
    photo
        The picture.
    model
        Who looked.
    box
        Where, or None for the whole picture.
    hand
        What was found, if anything.
    decode_ms, model_ms
        How long it took.
    """

    photo: Photo
    model: LoadedModel
    box: Box | None
    hand: Hand | None
    decode_ms: float
    model_ms: float

    def document(self, request_id: str) -> dict[str, Any]:
        """As JSON; the OpenAPI description says what each field means."""
        return {
            "request_id": request_id,
            "model": {"id": self.model.id, "name": self.model.predictor.name},
            "image": {
                "width": self.photo.width,
                "height": self.photo.height,
                "format": self.photo.format,
                "turned_upright": self.photo.turned,
            },
            "box": None if self.box is None else list(self.box),
            "hand": None if self.hand is None else _hand(self.hand),
            "joint_names": list(JOINT_NAMES),
            "bones": [list(bone) for bone in BONES],
            "ms": {"decode": round(self.decode_ms, 2), "model": round(self.model_ms, 2)},
        }


def answer(data: bytes, model: LoadedModel, box: Box | None, limits: Limits) -> Answer:
    """Decode a picture and find the hand in it.

    Raises
    ------
    Problem
        If the picture is refused, or the box does not fit it.
    """
    start = time.perf_counter()
    photo = decode_photo(data, limits)
    decoded = time.perf_counter()
    hand = model(photo.pixels, None if box is None else _corners(box, photo, limits))
    done = time.perf_counter()
    return Answer(photo, model, box, hand, 1e3 * (decoded - start), 1e3 * (done - decoded))


def read_box(text: str | None) -> Box | None:
    """The box a visitor wrote; None and "" are the whole picture.

    Raises
    ------
    Problem
        If it is not four numbers.

    >>> read_box("10, 20, 100, 120.5")
    (10.0, 20.0, 100.0, 120.5)
    """
    if text is None or not text.strip():
        return None
    try:
        left, top, width, height = (float(word) for word in text.split(","))
        if not all(map(math.isfinite, (left, top, width, height))):
            raise ValueError(text)
    except ValueError:
        raise Problem(
            "bad_box",
            "Expected the box as four numbers x,y,width,height in pixels, such as 10,20,100,120; "
            "found something else.",
        ) from None
    return left, top, width, height


def _corners(box: Box, photo: Photo, limits: Limits) -> Box:
    """Left, top, right, bottom of the part of a box that lies in the picture."""
    left, top, width, height = box
    inside = (
        max(left, -0.5),
        max(top, -0.5),
        min(left + width, photo.width - 0.5),
        min(top + height, photo.height - 0.5),
    )
    if min(inside[2] - inside[0], inside[3] - inside[1]) < limits.min_side_px:
        raise Problem(
            "bad_box",
            f"Expected a box of at least {limits.min_side_px} × {limits.min_side_px} pixels inside "
            f"the picture of {photo.width:,} × {photo.height:,}, found "
            f"{','.join(f'{value:g}' for value in box)}; draw it around the hand.",
        )
    return inside


def _hand(hand: Hand) -> dict[str, Any]:
    points, scores = np.asarray(hand.keypoints, float), np.asarray(hand.scores, float)
    return {
        "keypoints": [_numbers(point, _DECIMALS_PX) for point in points],
        "scores": _numbers(scores, _DECIMALS_SCORE) if np.isfinite(scores).any() else None,
        "score": _number(hand.score, _DECIMALS_SCORE),
        "is_right": None if hand.is_right is None else bool(hand.is_right),
        "keypoints_3d": None
        if hand.keypoints_3d is None
        else [_numbers(point, _DECIMALS_PX) for point in np.asarray(hand.keypoints_3d, float)],
    }


def _numbers(values: Any, decimals: int) -> list[float | None]:
    return [_number(value, decimals) for value in values]


def _number(value: float, decimals: int) -> float | None:
    """JSON has no NaN."""
    return round(float(value), decimals) if math.isfinite(value) else None
