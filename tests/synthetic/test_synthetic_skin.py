from __future__ import annotations

import numpy as np

from handbench.synthetic.anatomy import MEAN_SHAPE, PHALANX_MM, rest_joints
from handbench.synthetic.person import Person, mottling, sample_person, to_linear
from handbench.synthetic.skin import finger_coordinates, hand_surface, paint, palm_maps
from handbench.synthetic.surface import template


def people(count: int) -> list[Person]:
    return [sample_person(np.random.default_rng(k)) for k in range(count)]


def test_srgb_is_decoded_as_the_standard_says() -> None:
    np.testing.assert_allclose(to_linear([0, 255]), [0.0, 1.0])
    np.testing.assert_allclose(to_linear(188), 0.5029, atol=1e-3)


def test_people_have_skin_of_all_tones() -> None:
    tones = np.array([p.back.mean() for p in people(200)])
    assert tones.min() < 0.07
    assert tones.max() > 0.5
    for person in people(50):
        assert person.back[0] > person.back[1] > person.back[2]  # skin is never blue
        assert person.palm.mean() > 0.95 * person.back.mean()


def test_palm_and_back_are_told_apart() -> None:
    mesh, coat = template(), paint()
    flat = (mesh.parts[:, 5] > 0.9) & (mesh.vertices[:, 1] > 0.02)
    assert coat.palm[flat & (mesh.normals[:, 2] < -0.8)].min() > 0.9
    assert coat.palm[flat & (mesh.normals[:, 2] > 0.8)].max() < 0.1


def test_joints_have_their_own_coordinates() -> None:
    joints, _ = rest_joints(MEAN_SHAPE)
    for finger in range(5):
        points = joints[4 * finger + 1 : 4 * finger + 5] * 1e3
        along, across, above = finger_coordinates(points, np.full(4, finger))
        np.testing.assert_allclose(along, [0.0, *np.cumsum(PHALANX_MM[finger])], atol=1e-9)
        np.testing.assert_allclose([across, above], 0.0, atol=1e-9)


def painted(person: Person) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    mesh, coat = template(), paint()
    points = mesh.vertices * 1e3
    part = mesh.parts.argmax(-1)
    surface = hand_surface(person, points, part, coat.palm, coat.flush, mottling(person, points))
    return points, part, np.concatenate([surface.color, surface.gloss[:, None]], -1)


def test_every_finger_has_one_nail_on_its_back() -> None:
    person = people(1)[0]
    points, part, values = painted(person)
    for finger in range(5):
        own = part == finger
        along, across, above = finger_coordinates(points[own], part[own])
        shiny = values[own, 3] > 2.0
        assert shiny.sum() > 5
        assert above[shiny].min() > 0.0
        assert along[shiny].min() > PHALANX_MM[finger, :2].sum() + 5.0
        assert abs(np.median(across[shiny])) < 2.0


def test_colours_stay_within_what_a_surface_reflects() -> None:
    for person in people(10):
        _, _, values = painted(person)
        assert values[:, :3].min() > 0.0
        assert values[:, :3].max() < 1.0


def test_palm_lines_are_thin() -> None:
    lines, _, _ = palm_maps()
    assert lines.max() > 0.8
    assert 0.02 < (lines > 0.4).mean() < 0.15
