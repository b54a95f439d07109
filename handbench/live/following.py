"""One hand followed from frame to frame: by its own last box, and searched for when it is lost."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from handbench.live.stages import StageTimes
from handbench.predictors.boxes import hand_box
from handbench.predictors.crops import DEFAULT_PADDING, predict_in_box
from handbench.predictors.interface import Hand, Predictor

Image = npt.NDArray[np.uint8]
Corners = npt.NDArray[np.float64]
"""(4,) left, top, right, bottom in px."""

PATIENCE = 3
"""Frames in a row without a hand after which it is lost: one blurred frame is no reason."""

_SECOND_LOOKS = (0.65, 0.8, 1.25, 1.6)
_REVIEW_EVERY = 8
_PLACES_A_FRAME = 4
_WINDOWS = (1.0, 0.7, 0.5)
"""Sides of the squares that are searched, as shares of the picture's shorter side."""


@dataclass(frozen=True)
class FollowSettings:
    """How a hand is followed.

    Attributes
    ----------
    min_score
        Below it there is no hand.
    padding
        Factor on the box around the keypoints of the last frame.
    follow
        False: every frame is searched anew, as if it were the first.
    """

    min_score: float = 0.4
    padding: float = DEFAULT_PADDING
    follow: bool = True


@dataclass(frozen=True)
class Sight:
    """What was seen in one frame.

    Attributes
    ----------
    hand
        Points in px of the frame; None: no hand.
    box
        (4,) left, top, right, bottom px of what the model looked at, unpadded; None: the whole
        image.
    """

    hand: Hand | None
    box: Corners | None


class Follower:
    """Finds the hand in each frame of a sequence.

    A model that finds hands by itself always gets the whole image. One that wants a crop gets the
    box around the last keypoints. Without them it gets what the detector finds; without a detector,
    the whole image and, a few in every frame, squares of it; where its score is best it looks a
    second time, closer.

    Parameters
    ----------
    predictor
        Any model.
    detector
        A model that finds hands in whole images, to say where to look.
    settings
        See :class:`FollowSettings`.
    times
        Told how long `crop` and `network` took.
    """

    def __init__(
        self,
        predictor: Predictor,
        *,
        detector: Predictor | None = None,
        settings: FollowSettings | None = None,
        times: StageTimes | None = None,
    ) -> None:
        self.settings = settings or FollowSettings()
        self.times = times or StageTimes()
        self._predictor = _Timed(predictor)
        self._detector = None if detector is None else _Timed(detector)
        self._box: Corners | None = None
        self._misses = 0
        self._shape: tuple[int, ...] = ()
        self._turn = self._looks = 0

    @property
    def following(self) -> bool:
        """Whether the next frame will be looked at where the hand was last."""
        return self._box is not None

    @property
    def detector_name(self) -> str | None:
        """What says where to look when there is no last box."""
        return None if self._detector is None else self._detector.name

    def reset(self) -> None:
        """Forget where the hand was."""
        self._box, self._misses, self._turn = None, 0, 0

    def see(self, image: Image) -> Sight:
        """Find the hand in the next frame, (H, W, 3) uint8 RGB."""
        if image.shape != self._shape or not self.settings.follow:
            self.reset()
            self._shape = image.shape
        clocks = [clock for clock in (self._predictor, self._detector) if clock is not None]
        for clock in clocks:
            clock.seconds = 0.0
        start = time.perf_counter()
        sight = self._look(image)
        network_s = sum(clock.seconds for clock in clocks)
        self.times.add("network", network_s)
        self.times.add("crop", max(time.perf_counter() - start - network_s, 0.0))
        self._remember(sight.hand, image)
        return sight

    def _look(self, image: Image) -> Sight:
        if self._predictor.whole_image:
            return self._checked(Sight(self._predictor([image])[0], None))
        if self._box is not None:
            return self._look_again(image, self._box)
        if self._detector is not None:
            return self._detect(image, self._detector)
        return self._search(image)

    def _look_again(self, image: Image, last: Corners) -> Sight:
        """Look where the hand was; where it is not seen, and now and then, in other boxes, too.

        They are larger and smaller: the box is made of the model's own points, so a model that
        draws its hands too large or too small would otherwise look further and further away.
        """
        sight = self._best(image, [last])
        self._looks += 1
        if sight.hand is None or self._looks % _REVIEW_EVERY == 0:
            others = [_scaled(last, factor) for factor in _SECOND_LOOKS]
            sight = max(sight, self._best(image, others), key=_score)
        return sight

    def _detect(self, image: Image, detector: Predictor) -> Sight:
        found = detector([image])[0]
        box = None if found is None else hand_box(found, image)
        if box is None:
            return Sight(None, None)
        return self._best(image, [box])

    def _search(self, image: Image) -> Sight:
        """Look at the whole image and at the next few squares of it, then closer at the best."""
        places = search_boxes(*image.shape[:2])
        taken: list[Corners | None] = [None]
        if places:
            count = min(_PLACES_A_FRAME, len(places)) if self.settings.follow else len(places)
            taken += [places[(self._turn + k) % len(places)] for k in range(count)]
            self._turn += count
        first = self._best(image, taken, padding=1.0, least=0.0)
        box = None if first.hand is None else hand_box(first.hand, image)
        if first.hand is None or box is None:
            return Sight(None, None)
        closer = self._best(image, [box])
        return max(closer, self._checked(first), key=_score)

    def _best(
        self,
        image: Image,
        boxes: Sequence[Corners | None],
        *,
        padding: float | None = None,
        least: float | None = None,
    ) -> Sight:
        """Look at boxes of an image; what has the best score, if it reaches `least`."""
        padding = self.settings.padding if padding is None else padding
        hands = predict_in_box(self._predictor, [image] * len(boxes), boxes, padding=padding)
        sights = [Sight(hand, box) for hand, box in zip(hands, boxes)]
        return self._checked(max(sights, key=_score), least)

    def _checked(self, sight: Sight, least: float | None = None) -> Sight:
        """The sight, without its hand where that is none."""
        least = self.settings.min_score if least is None else least
        hand = sight.hand
        whole = hand is not None and bool(np.isfinite(hand.keypoints).all())
        return sight if whole and _score(sight) >= least else Sight(None, sight.box)

    def _remember(self, hand: Hand | None, image: Image) -> None:
        if hand is not None:
            self._box, self._misses = hand_box(hand, image), 0
            return
        self._misses += 1
        if self._misses >= PATIENCE:
            self._box = None


def _score(sight: Sight) -> float:
    return -1.0 if sight.hand is None else sight.hand.score


def _scaled(box: Corners, factor: float) -> Corners:
    """A box with the same middle."""
    middle, half = (box[:2] + box[2:]) / 2, factor * (box[2:] - box[:2]) / 2
    return np.concatenate([middle - half, middle + half])


def search_boxes(height: int, width: int) -> list[Corners]:
    """Squares of an image in which a hand that is small in it is large; the middle ones first.

    They overlap by half, so that a hand half as large as a square lies within one.

    >>> [box.tolist() for box in search_boxes(100, 150)][:2]
    [[-0.5, -0.5, 99.5, 99.5], [49.5, -0.5, 149.5, 99.5]]
    """
    centre = np.array([width - 1, height - 1]) / 2

    def from_centre(box: Corners) -> float:
        return float(np.abs((box[:2] + box[2:]) / 2 - centre).sum())

    boxes: list[Corners] = []
    for share in _WINDOWS:
        side = share * min(height, width)
        spots = [
            np.array([left, top, left + side, top + side])
            for top in _starts(height, side)
            for left in _starts(width, side)
        ]
        if len(spots) > 1:  # a single one is the whole image
            boxes += sorted(spots, key=from_centre)
    return boxes


def _starts(length: int, side: float) -> list[float]:
    """Where squares of a side begin along an edge: spread evenly, at most half a side apart."""
    room = length - side
    steps = math.ceil(room / (side / 2))
    starts: list[float] = (np.linspace(0.0, room, steps + 1) - 0.5).tolist()
    return starts


class _Timed:
    """A predictor that adds up how long it was busy."""

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor
        self.seconds = 0.0
        self.name = predictor.name
        self.input_size = predictor.input_size
        self.whole_image = predictor.whole_image

    def describe(self) -> dict[str, Any]:
        return self._predictor.describe()

    def __call__(self, images: Sequence[Image]) -> list[Hand | None]:
        start = time.perf_counter()
        hands = self._predictor(images)
        self.seconds += time.perf_counter() - start
        return hands
