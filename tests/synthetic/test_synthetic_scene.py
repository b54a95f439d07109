from __future__ import annotations

from itertools import islice, pairwise

import numpy as np
import pytest

from handbench.synthetic.render import finish, render
from handbench.synthetic.scene import Picture, Split, pictures
from handbench.synthetic.surface import template

SIZE = 112


@pytest.fixture(scope="module")
def drawn() -> list[Picture]:
    return list(islice(pictures(0, Split.TRAINING, 224), 80))


def distances(picture: Picture) -> np.ndarray:
    joints = picture.view.from_hand(picture.instant.skeleton.keypoints)
    return np.linalg.norm(joints[:, None] - joints[None], axis=-1)


def test_views_of_an_instant_share_its_geometry(drawn: list[Picture]) -> None:
    shared = [a.instant is b.instant for a, b in pairwise(drawn)]
    alike = [np.allclose(distances(a), distances(b), atol=1e-12) for a, b in pairwise(drawn)]
    assert shared == alike
    assert 0.2 < np.mean(shared) < 0.7
    for a, b, same in zip(drawn, drawn[1:], shared):
        if same:
            turn = np.trace(a.view.rotation.T @ b.view.rotation)
            assert np.rad2deg(np.arccos((turn - 1) / 2)) > 30.0


def test_training_and_evaluation_share_no_instant(drawn: list[Picture]) -> None:
    unseen = list(islice(pictures(0, Split.EVALUATION, 224), 20))
    gaps = [np.abs(distances(a) - distances(b)).max() for a in drawn for b in unseen]
    assert min(gaps) > 1e-3


def test_cameras_look_like_freihands(drawn: list[Picture]) -> None:
    K = np.array([p.view.camera for p in drawn])
    np.testing.assert_array_equal(K[:, :2, 2], 112.0)
    np.testing.assert_array_equal(K[:, [0, 1, 2, 2], [1, 0, 0, 1]], 0.0)
    assert K[:, 0, 0].min() >= 212.0
    assert K[:, 0, 0].max() <= 898.0
    assert 440.0 < np.median(K[:, 0, 0]) < 550.0
    assert np.abs(K[:, 0, 0] - K[:, 1, 1]).max() <= 1.4
    R = np.array([p.view.rotation for p in drawn])
    np.testing.assert_allclose(np.linalg.det(R), 1.0)


def test_hands_fill_the_picture_like_freihands(drawn: list[Picture]) -> None:
    extents, centres = [], []
    for p in drawn:
        joints = p.view.from_hand(p.instant.skeleton.keypoints)
        assert joints[:, 2].min() > 0.1
        uv = (joints @ p.view.camera.T)[:, :2] / joints[:, 2:]
        extents.append((uv.max(0) - uv.min(0)).max() / 224.0)
        centres.append(uv[9])
    assert 0.35 < np.quantile(extents, 0.1) < np.quantile(extents, 0.9) < 0.75
    np.testing.assert_allclose(np.median(centres, axis=0), 112.0, atol=8.0)


def test_all_sides_of_the_hand_are_seen(drawn: list[Picture]) -> None:
    palm_to_camera = np.array([p.view.rotation[2, 2] for p in drawn])
    assert 0.25 < (palm_to_camera > 0).mean() < 0.75
    assert palm_to_camera.min() < -0.8
    assert palm_to_camera.max() > 0.8


def test_pictures_do_not_depend_on_how_many_are_asked_for(drawn: list[Picture]) -> None:
    again = list(islice(pictures(0, Split.TRAINING, 224), 5))
    for a, b in zip(again, drawn):
        np.testing.assert_array_equal(a.view.camera, b.view.camera)
        np.testing.assert_array_equal(distances(a), distances(b))
    other = next(pictures(1, Split.TRAINING, 224))
    assert np.abs(distances(other) - distances(drawn[0])).max() > 1e-3


def test_labels_lie_on_the_rendered_hand() -> None:
    inside, on_hand = [], []
    for picture in islice(pictures(3, Split.TRAINING, SIZE), 25):
        layer, labels = render(picture, SIZE)
        assert (layer.hand <= layer.cover + 1e-12).all()
        for points, found, image in (
            (labels.keypoints, inside, layer.cover),
            (labels.vertices, on_hand, _dilated(layer.cover)),
        ):
            uv = (points @ picture.view.camera.T)[:, :2] / points[:, 2:]
            column, row = uv.round().astype(int).T
            seen = (column >= 0) & (row >= 0) & (column < SIZE) & (row < SIZE)
            found.append(image[row[seen], column[seen]] > 0.0)
    assert np.concatenate(inside).mean() > 0.99
    assert np.concatenate(on_hand).mean() > 0.999


def _dilated(image: np.ndarray) -> np.ndarray:
    padded = np.pad(image, 1)
    size = len(image)
    return np.max([padded[i : i + size, j : j + size] for i in range(3) for j in range(3)], axis=0)


def test_visible_skin_is_skin_coloured_and_edges_are_soft() -> None:
    layer, _ = render(next(pictures(0, Split.TRAINING, SIZE)), SIZE)
    whole = layer.cover == 1.0
    red, green, blue = layer.light[whole].mean(0)
    assert red > green > blue
    assert ((layer.cover > 0.0) & (layer.cover < 1.0)).sum() > 20


def test_vertices_are_points_of_the_skin() -> None:
    picture = next(pictures(0, Split.TRAINING, SIZE))
    _, labels = render(picture, SIZE)
    again = next(pictures(0, Split.TRAINING, SIZE * 2))
    _, larger = render(again, SIZE * 2)
    # The same 778 points whatever the size of the picture (distance and aim scale alike).
    span = np.linalg.norm(labels.vertices[0] - labels.vertices, axis=-1)
    np.testing.assert_allclose(np.linalg.norm(larger.vertices[0] - larger.vertices, axis=-1), span)
    assert labels.vertices.shape == (len(template().points), 3)


def test_versions_differ_in_background_and_not_in_geometry() -> None:
    picture = next(pictures(2, Split.TRAINING, SIZE))
    layer, _ = render(picture, SIZE)
    screens = [finish(layer, np.random.default_rng(k), min(k, 1)) for k in range(4)]
    border = [s[layer.cover == 0.0].astype(int) for s in screens]
    assert border[0][:, 1].mean() > 1.3 * border[0][:, [0, 2]].mean()
    for k in range(1, 4):
        assert np.abs(border[k] - border[0]).mean() > 8.0
