from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from handbench.camera import transform_points
from handbench.predictors.crops import cut, move, network_cut, predict_in_box
from handbench.predictors.interface import Hand, Predictor


@dataclass(frozen=True)
class Brightest:
    """All joints on the brightest pixel."""

    input_size: int | None
    whole_image: bool = False
    name: str = "brightest"

    def describe(self) -> dict[str, Any]:
        return {"name": self.name}

    def __call__(self, images: Sequence[np.ndarray]) -> list[Hand | None]:
        hands: list[Hand | None] = []
        for image in images:
            grey = image.sum(axis=-1).astype(float)
            if self.input_size is not None:
                assert grey.shape == (self.input_size, self.input_size)
            if not grey.any():
                hands.append(None)
                continue
            y, x = np.indices(grey.shape)
            place = np.array([(x * grey).sum(), (y * grey).sum()]) / grey.sum()
            hands.append(Hand(np.tile(place, (21, 1)), np.ones(21), 1.0))
        return hands


def spot(x: int, y: int, shape: tuple[int, int] = (90, 120)) -> np.ndarray:
    """A bright square of 5 px with its centre at x, y."""
    image = np.zeros((*shape, 3), dtype=np.uint8)
    image[y - 2 : y + 3, x - 2 : x + 3] = 255
    return image


def test_a_whole_image_of_the_right_size_is_left_alone() -> None:
    image = spot(20, 30, (64, 64))
    crop, matrix = cut(image, None, 1.7, 64)
    assert crop is image
    np.testing.assert_allclose(matrix, np.eye(3))


def test_a_cut_shows_the_padded_box_and_its_matrix_leads_there() -> None:
    crop, matrix = cut(spot(50, 40), (40, 30, 60, 50), 2.0, 80)
    assert crop.shape == (80, 80, 3)
    # 40 px wide about (50, 40), twice as large: its centre lies in the middle.
    np.testing.assert_allclose(transform_points(matrix, [[50, 40]]), [[39.5, 39.5]])
    np.testing.assert_allclose(matrix[0, 0], 2.0)
    bright = np.argwhere(crop[..., 0] > 127).mean(axis=0)
    np.testing.assert_allclose(bright, [39.5, 39.5], atol=0.01)


@pytest.mark.parametrize("predictor", [Brightest(48), Brightest(None, whole_image=True)])
@pytest.mark.parametrize("box", [None, (30, 20, 80, 70)])
def test_points_come_back_to_the_whole_image(predictor: Predictor, box: Any) -> None:
    assert isinstance(predictor, Predictor)
    images = [spot(50, 40), np.zeros((50, 70, 3), dtype=np.uint8), spot(60, 44)]
    first, none, last = predict_in_box(predictor, images, [box, None, box], padding=1.25)
    assert none is None
    assert first is not None
    assert last is not None
    np.testing.assert_allclose(first.keypoints[0], [50, 40], atol=0.1)
    np.testing.assert_allclose(last.keypoints[20], [60, 44], atol=0.1)


def test_as_many_boxes_as_images() -> None:
    with pytest.raises(ValueError, match="argument 2 is shorter"):
        predict_in_box(Brightest(32), [spot(9, 9), spot(9, 9)], [None])


def test_a_network_sees_the_middle_of_its_crop() -> None:
    image = spot(50, 45, (100, 100))
    middle, matrix = network_cut(image, 80, 100, 0.8)
    assert middle.shape == (80, 80, 3)
    np.testing.assert_array_equal(middle, image[10:90, 10:90])
    np.testing.assert_allclose(transform_points(matrix, [[10, 10]]), [[0, 0]], atol=1e-12)
    whole, same = network_cut(image, 100, 100, 1.0)
    assert whole is image
    np.testing.assert_allclose(same, np.eye(3))


def test_a_hand_moves_without_its_other_values() -> None:
    hand = Hand(np.ones((21, 2)), np.zeros(21), 0.3, is_right=True)
    moved = move(hand, np.array([[2.0, 0, 1], [0, 2, 0], [0, 0, 1]]))
    np.testing.assert_allclose(moved.keypoints, np.tile([3.0, 2.0], (21, 1)))
    assert (moved.score, moved.is_right) == (0.3, True)
