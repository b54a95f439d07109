from __future__ import annotations

import numpy as np
import pytest
from generators import moving_hand

from handbench.live.overlay import draw_frame, draw_panel, enlarged, mirrored
from handbench.predictors.interface import Hand


def test_a_frame_without_a_hand_is_left_as_it_is() -> None:
    image = moving_hand.empty()
    drawn = draw_frame(image, None)
    np.testing.assert_array_equal(drawn, image)
    assert drawn is not image


def test_the_skeleton_lies_where_the_hand_is() -> None:
    image, points = moving_hand.frame(50, 60)
    hand = Hand(points, np.ones(21), 0.9)
    changed = (draw_frame(image, hand) != image).any(axis=2)
    assert changed[tuple(points.round().astype(int)[:, ::-1].T)].all()
    ys, xs = np.nonzero(changed)
    assert xs.min() > points[:, 0].min() - 8
    assert ys.max() < points[:, 1].max() + 8


def test_a_mirror_image_is_one() -> None:
    image = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    assert mirrored(image)[0, 0].tolist() == image[0, 3].tolist()
    assert mirrored(image).flags.c_contiguous


@pytest.mark.parametrize("corner", ["top", "bottom"])
def test_a_panel_stands_in_its_corner(corner: str) -> None:
    image = np.full((240, 320, 3), 200, np.uint8)
    drawn = draw_panel(image, ["30 fps", "hand"], corner)  # type: ignore[arg-type]
    ys, xs = np.nonzero((drawn != image).any(axis=2))
    assert (ys.max() < 80) if corner == "top" else (ys.min() > 160)
    assert xs.min() < 10
    assert (drawn > 240).any(), "white letters"
    assert (image == 200).all()


def test_a_tiny_picture_takes_what_fits() -> None:
    image = np.full((12, 16, 3), 200, np.uint8)
    assert draw_panel(image, ["a long line of text"], "top").shape == image.shape
    assert draw_panel(image[:6, :6], ["text"], "top").shape == (6, 6, 3)


@pytest.mark.parametrize(("height", "factor"), [(100, 4), (240, 2), (399, 2), (400, 1), (1080, 1)])
def test_small_frames_are_enlarged_for_the_text(height: int, factor: int) -> None:
    image = np.full((height, 50, 3), 90, np.uint8)
    large = enlarged(image)
    assert large.shape == (factor * height, factor * 50, 3)
    assert (large == 90).all()
