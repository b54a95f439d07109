"""A z-buffer in numpy: which triangle each sample of the picture sees.

Everything is an array operation over all triangles at once. Small triangles are tested against
a little square of samples each; large ones are sorted into larger squares.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Fragments:
    """The samples that a mesh covers, one row a sample.

    Attributes
    ----------
    sample
        (P,) flat index into the sample grid, row by row; each at most once.
    face
        (P,) the face seen there.
    barycentric
        (P, 3) perspective-correct weights of the face's corners.
    depth
        (P,) metres along the camera's axis.
    """

    sample: Ints
    face: Ints
    barycentric: Floats
    depth: Floats

    def keep(self, rows: npt.NDArray[np.bool_]) -> Fragments:
        """The fragments where `rows` is True."""
        return Fragments(
            self.sample[rows], self.face[rows], self.barycentric[rows], self.depth[rows]
        )


def rasterize(vertices: Floats, faces: Ints, camera: Floats, size: int, samples: int) -> Fragments:
    """Find the nearest front face at every sample of a square picture.

    Parameters
    ----------
    vertices
        (V, 3) metres, camera frame (OpenCV axes).
    faces
        (F, 3) counter-clockwise seen from outside; faces seen from behind are skipped, and so
        are faces that reach behind the camera.
    camera
        (3, 3) intrinsics in pixels; pixel centres lie at integers.
    size
        Width and height of the picture, pixels.
    samples
        Samples along each side of a pixel (2 → 4 samples a pixel).

    Returns
    -------
    Fragments on a grid of (size·samples)² samples.
    """
    side = size * samples
    depth = vertices[:, 2]
    ahead = np.maximum(depth, 1e-4)
    x = camera[0, 0] * vertices[:, 0] / ahead + camera[0, 2]
    y = camera[1, 1] * vertices[:, 1] / ahead + camera[1, 2]
    # Sample k of pixel p sits at p + (k + ½)/samples - ½: pixel centres are integers.
    x, y = (x + 0.5) * samples - 0.5, (y + 0.5) * samples - 0.5
    inverse = 1.0 / ahead

    fx, fy = x[faces], y[faces]
    area = (fx[:, 1] - fx[:, 0]) * (fy[:, 2] - fy[:, 0]) - (fx[:, 2] - fx[:, 0]) * (
        fy[:, 1] - fy[:, 0]
    )
    x0 = np.maximum(np.ceil(fx.min(-1)), 0).astype(np.intp)
    y0 = np.maximum(np.ceil(fy.min(-1)), 0).astype(np.intp)
    x1 = np.minimum(np.floor(fx.max(-1)), side - 1).astype(np.intp)
    y1 = np.minimum(np.floor(fy.max(-1)), side - 1).astype(np.intp)
    # Image y points down, so counter-clockwise faces turned towards us have negative area.
    seen = (area < -1e-12) & (x1 >= x0) & (y1 >= y0) & (depth[faces].min(-1) > 0.02)
    index = np.flatnonzero(seen)
    extent = np.maximum(x1 - x0, y1 - y0)[index] + 1

    hits: list[tuple[Ints, Ints, Floats]] = []
    lower = 0
    # Half steps between squares: a triangle seldom fills more than half of its own.
    for square in (2, 3, 4, 6, 8, 12, 16, 24, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192):
        chosen = index[(extent > lower) & (extent <= square)]
        lower = square
        # Bound the working set: squares of large triangles are taken a few at a time.
        step = max(1, 400_000 // (square * square))
        for start in range(0, len(chosen), step):
            rows = chosen[start : start + step]
            hits.append(_hits(rows, square, fx, fy, area, x0, y0, x1, y1, side))
        if lower >= side:
            break
    if not hits:
        empty = np.zeros(0, dtype=np.intp)
        return Fragments(empty, empty, np.zeros((0, 3)), np.zeros(0))
    sample, face, weights = (np.concatenate(parts) for parts in zip(*hits))

    weights = weights * inverse[faces[face]]  # 1/z is linear on the screen
    nearness = weights.sum(-1)
    buffer = np.zeros(side * side)
    np.maximum.at(buffer, sample, nearness)
    front = np.flatnonzero(nearness >= buffer[sample])
    # A sample on a shared edge is found twice; one of the two is enough.
    owner = np.full(side * side, -1, dtype=np.intp)
    owner[sample[front]] = front
    winner = np.flatnonzero(owner >= 0)
    row = owner[winner]
    return Fragments(winner, face[row], weights[row] / nearness[row, None], 1.0 / nearness[row])


def _hits(
    rows: Ints,
    square: int,
    fx: Floats,
    fy: Floats,
    area: Floats,
    x0: Ints,
    y0: Ints,
    x1: Ints,
    y1: Ints,
    side: int,
) -> tuple[Ints, Ints, Floats]:
    """Samples inside the triangles `rows`: flat index, face, screen barycentrics."""
    step = np.arange(square)
    px = x0[rows, None, None] + step[None, None, :]
    py = y0[rows, None, None] + step[None, :, None]
    ax, ay = fx[rows][:, :, None, None], fy[rows][:, :, None, None]
    scale = 1.0 / area[rows][:, None, None]
    b1 = ((px - ax[:, 0]) * (ay[:, 2] - ay[:, 0]) - (py - ay[:, 0]) * (ax[:, 2] - ax[:, 0])) * scale
    b2 = ((ax[:, 1] - ax[:, 0]) * (py - ay[:, 0]) - (ay[:, 1] - ay[:, 0]) * (px - ax[:, 0])) * scale
    b0 = 1.0 - b1 - b2
    slack = -1e-9
    inside = (b0 >= slack) & (b1 >= slack) & (b2 >= slack)
    inside &= (px <= x1[rows, None, None]) & (py <= y1[rows, None, None])
    which, row, column = np.nonzero(inside)
    sample = (y0[rows[which]] + row) * side + x0[rows[which]] + column
    weights = np.stack([b0[inside], b1[inside], b2[inside]], -1)
    return sample, rows[which], weights
