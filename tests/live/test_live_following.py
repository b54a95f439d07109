from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from generators import moving_hand

from handbench.live.following import PATIENCE, Follower, FollowSettings, search_boxes
from handbench.predictors.callables import FunctionPredictor
from handbench.predictors.interface import Hand

# The hand fills three quarters of its frame, which must lie within the crop.
SETTINGS = FollowSettings(padding=2.0)


class Counting:
    """The model of `moving_hand`, which counts the crops it is shown."""

    name = "counting"
    whole_image = False
    input_size = 96

    def __init__(self) -> None:
        self.inner = FunctionPredictor("find", moving_hand.find, 96)
        self.crops = 0

    def describe(self) -> dict[str, Any]:
        return {}

    def __call__(self, images: Sequence[npt.NDArray[np.uint8]]) -> list[Hand | None]:
        self.crops += len(images)
        return self.inner(images)


class WholeImage(Counting):
    """The same as a model that finds hands in images of any size."""

    whole_image = True
    input_size = None  # type: ignore[assignment]

    def __call__(self, images: Sequence[npt.NDArray[np.uint8]]) -> list[Hand | None]:
        self.crops += len(images)
        self.shapes = [image.shape for image in images]
        return FunctionPredictor("find", moving_hand.find, 320)(images)


def test_a_hand_is_found_followed_lost_and_found_again() -> None:
    model = Counting()
    follower = Follower(model, settings=SETTINGS)
    seen = []
    for number, (image, truth) in enumerate(moving_hand.frames(40)):
        before = model.crops
        was_following = follower.following
        sight = follower.see(image)
        if was_following and sight.hand is not None:
            assert model.crops - before in (1, 5), "one crop, now and then four more"
            assert sight.box is not None
        if truth is None:
            assert sight.hand is None
        elif sight.hand is not None:
            assert np.abs(sight.hand.keypoints - truth).max() < 3.0, number
        seen.append(sight.hand is not None)
    gone = moving_hand.GONE
    # Searching takes a few frames, since only some squares are looked at in each.
    assert seen[8 : gone.start] == [True] * (gone.start - 8)
    assert not any(seen[i] for i in gone)
    assert all(seen[gone.stop + 8 :])


def test_a_missed_frame_does_not_lose_the_hand() -> None:
    follower = Follower(Counting(), settings=SETTINGS)
    picture, truth = moving_hand.frame(100, 60)
    while follower.see(picture).hand is None:
        pass
    for _ in range(PATIENCE - 1):
        assert follower.see(moving_hand.empty()).hand is None
        assert follower.following
    found = follower.see(picture).hand
    assert found is not None
    assert np.abs(found.keypoints - truth).max() < 3.0
    for _ in range(PATIENCE):
        follower.see(moving_hand.empty())
    assert not follower.following


def test_a_detector_says_where_to_look() -> None:
    model, detector = Counting(), WholeImage()
    follower = Follower(model, detector=detector, settings=SETTINGS)
    picture, truth = moving_hand.frame(10, 20, side=80)
    found = follower.see(picture)
    assert found.hand is not None
    assert found.box is not None
    assert np.abs(found.hand.keypoints - truth).max() < 3.0
    assert (model.crops, detector.crops) == (1, 1)
    follower.see(picture)
    assert (model.crops, detector.crops) == (2, 1), "followed, not detected again"
    follower.reset()
    assert follower.see(moving_hand.empty()).hand is None
    assert (model.crops, detector.crops) == (2, 2)


def test_a_model_that_finds_hands_by_itself_gets_the_whole_image() -> None:
    model = WholeImage()
    follower = Follower(model, settings=FollowSettings(min_score=0.1))
    for _ in range(3):
        picture, truth = moving_hand.frame(150, 90)
        sight = follower.see(picture)
        assert sight.hand is not None
        assert sight.box is None
        assert np.abs(sight.hand.keypoints - truth).max() < 3.0
        assert model.shapes == [picture.shape]


def test_without_following_every_frame_is_searched() -> None:
    model = Counting()
    follower = Follower(model, settings=FollowSettings(padding=2.0, follow=False))
    count = 1 + len(search_boxes(moving_hand.HEIGHT, moving_hand.WIDTH))
    for left in (12, 200):
        before = model.crops
        sight = follower.see(moving_hand.frame(left, 100)[0])
        assert sight.hand is not None
        assert model.crops - before == count + 1


def test_another_size_of_image_starts_anew() -> None:
    follower = Follower(Counting(), settings=SETTINGS)
    picture, _ = moving_hand.frame(100, 60)
    while follower.see(picture).hand is None:
        pass
    follower.see(np.zeros((100, 100, 3), np.uint8))
    assert not follower.following


def test_a_low_score_is_no_hand() -> None:
    picture, _ = moving_hand.frame(100, 60)
    follower = Follower(Counting(), settings=FollowSettings(padding=2.0, min_score=1.0))
    assert all(follower.see(picture).hand is None for _ in range(12))


def test_times_of_crop_and_network_are_told() -> None:
    follower = Follower(Counting(), settings=SETTINGS)
    follower.see(moving_hand.empty())
    assert set(follower.times.of_last_frame_ms()) == {"crop", "network"}


@pytest.mark.parametrize(("height", "width"), [(240, 320), (720, 1280), (500, 100)])
def test_a_hand_anywhere_lies_within_a_searched_square(height: int, width: int) -> None:
    boxes = np.array(search_boxes(height, width))
    assert boxes.min() >= -0.5
    assert boxes[:, 2].max() <= width - 0.5 + 1e-9
    assert boxes[:, 3].max() <= height - 0.5 + 1e-9
    side = 0.25 * min(height, width)  # half of the smallest squares
    corners = np.random.default_rng(0).uniform(0, 1, (50, 2)) * [width - side, height - side]
    for left, top in corners - 0.5:
        inside = (boxes[:, :2] <= [left, top]) & (boxes[:, 2:] >= [left + side, top + side])
        assert inside.all(axis=1).any()


def test_a_square_image_is_not_searched_twice() -> None:
    assert all(box[2] - box[0] < 100 for box in search_boxes(100, 100))
