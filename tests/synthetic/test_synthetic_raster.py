from __future__ import annotations

import numpy as np

from handbench.synthetic.raster import rasterize

SIZE = 16
CAMERA = np.array([[10.0, 0.0, 8.0], [0.0, 10.0, 8.0], [0.0, 0.0, 1.0]])


def quad(z: float, half: float = 0.3) -> tuple[np.ndarray, np.ndarray]:
    """A square at depth z, turned towards the camera."""
    vertices = np.array(
        [(-half, -half, z), (half, -half, z), (half, half, z), (-half, half, z)], dtype=np.float64
    )
    return vertices, np.array([(0, 2, 1), (0, 3, 2)])


def test_pixel_centres_lie_at_integers() -> None:
    # Corners project to 5 and 11 exactly: both rows of pixel centres are on the edge.
    vertices, faces = quad(1.0)
    seen = rasterize(vertices, faces, CAMERA, SIZE, 1)
    rows, columns = np.divmod(seen.sample, SIZE)
    assert set(rows) == set(columns) == set(range(5, 12))
    # Moved by less than half a pixel, the centre at 5 is outside.
    seen = rasterize(vertices + np.array([0.04, 0.0, 0.0]), faces, CAMERA, SIZE, 1)
    assert set(seen.sample % SIZE) == set(range(6, 12))


def test_supersampling_measures_area() -> None:
    vertices, faces = quad(1.0, half=0.313)
    seen = rasterize(vertices, faces, CAMERA, SIZE, 16)
    assert abs(len(seen.sample) / 256.0 - 6.26**2) < 0.5


def test_each_sample_is_seen_once() -> None:
    vertices, faces = quad(1.0)
    seen = rasterize(vertices, faces, CAMERA, SIZE, 2)
    assert len(np.unique(seen.sample)) == len(seen.sample)


def test_the_nearest_face_wins() -> None:
    near, faces = quad(1.0, half=0.1)
    far, _ = quad(2.0, half=0.9)
    for order in ((near, far), (far, near)):
        seen = rasterize(np.concatenate(order), np.concatenate([faces, faces + 4]), CAMERA, SIZE, 1)
        middle = seen.sample == 8 * SIZE + 8
        np.testing.assert_allclose(seen.depth[middle], 1.0)
        corner = seen.sample == 5 * SIZE + 5
        np.testing.assert_allclose(seen.depth[corner], 2.0)


def test_faces_seen_from_behind_are_skipped() -> None:
    vertices, faces = quad(1.0)
    assert len(rasterize(vertices, faces[:, ::-1], CAMERA, SIZE, 1).sample) == 0


def test_faces_behind_the_camera_are_skipped() -> None:
    vertices, faces = quad(-1.0)
    assert len(rasterize(vertices, faces, CAMERA, SIZE, 1).sample) == 0
    assert len(rasterize(vertices, faces[:, ::-1], CAMERA, SIZE, 1).sample) == 0


def test_values_are_blended_in_perspective() -> None:
    rng = np.random.default_rng(0)
    vertices = np.array([(-0.8, -0.6, 1.0), (2.0, -0.5, 3.0), (-0.5, 1.0, 1.6)])
    faces = np.array([(0, 2, 1)])
    seen = rasterize(vertices, faces, CAMERA, SIZE, 1)
    assert len(seen.sample) > 20
    np.testing.assert_allclose(seen.barycentric.sum(-1), 1.0)
    # The blended 3D point must lie on the ray through its pixel.
    points = (seen.barycentric[:, None] @ vertices[faces[seen.face]])[:, 0]
    projected = points @ CAMERA.T
    rows, columns = np.divmod(seen.sample, SIZE)
    np.testing.assert_allclose(projected[:, 0] / projected[:, 2], columns, atol=1e-9)
    np.testing.assert_allclose(projected[:, 1] / projected[:, 2], rows, atol=1e-9)
    np.testing.assert_allclose(points[:, 2], seen.depth)
    kept = seen.keep(rng.random(len(seen.sample)) < 0.5)
    assert len(kept.sample) == len(kept.depth) == len(kept.face) == len(kept.barycentric)


def test_triangles_of_every_size_are_filled_without_holes() -> None:
    for half in (0.12, 0.3, 0.7):
        vertices, faces = quad(1.0, half)
        seen = rasterize(vertices, faces, CAMERA, SIZE, 4)
        rows, columns = np.divmod(seen.sample, SIZE * 4)
        assert len(seen.sample) == len(np.unique(rows)) * len(np.unique(columns))
