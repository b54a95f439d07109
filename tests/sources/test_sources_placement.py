from __future__ import annotations

import numpy as np
import pytest

from handbench.errors import SourceError
from handbench.sources.placement import check_placed, inside_crop, inside_image

NAN = np.nan


def test_an_image_reaches_from_edge_to_edge_of_its_pixels():
    points = np.array([[(-0.5, -0.5), (9.5, 4.5), (9.6, 0), (0, -0.6), (NAN, NAN)]])
    found = inside_image(points, np.array([[5, 10]]))
    assert found.tolist() == [[True, True, False, False, False]]


def test_without_a_size_every_labelled_point_is_inside():
    points = np.array([[(-300.0, 9000.0), (NAN, NAN)]])
    assert inside_image(points, np.array([[-1, -1]])).tolist() == [[True, False]]


def test_a_crop_is_a_square_about_the_box():
    # Box 10 × 4 about (5, 2): with padding 1.2 the square reaches 6 px to every side.
    points = np.array([[(-1, -4), (11, 8), (-1.1, 2), (5, 8.1), (NAN, NAN)]])
    found = inside_crop(points, np.array([[0.0, 0.0, 10.0, 4.0]]), 1.2)
    assert found.tolist() == [[True, True, False, False, False]]


def test_a_box_of_nothing_holds_nothing():
    assert not inside_crop(np.zeros((1, 21, 2)), np.full((1, 4), NAN), 1.25).any()


def test_keypoints_far_from_most_boxes_are_refused():
    points = np.zeros((4, 21, 2))
    boxes = np.tile([-5.0, -5.0, 10.0, 10.0], (4, 1))
    boxes[:2] += [100, 0, 0, 0]
    check_placed(points, boxes, 1.25, "a.json")  # half of them: the publisher's own errors
    boxes[2] += [100, 0, 0, 0]
    with pytest.raises(SourceError, match=r"keypoints of a\.json around .* 21 of 84 there: are x"):
        check_placed(points, boxes, 1.25, "a.json")
    boxes[:3] = NAN  # unknown boxes have no say
    check_placed(points, boxes, 1.25, "a.json")
