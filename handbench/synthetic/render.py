"""From a picture's scene to pixels: geometry once, then any number of versions of it.

Light is computed per sample in linear light: a sky and ground glow dimmed by ambient occlusion, one
main light with soft shadows between the fingers, a warm wrap-around where light bleeds through
skin, and a soft highlight.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from handbench.synthetic.anatomy import Floats, HandShape, Skeleton
from handbench.synthetic.background import green_screen, varied
from handbench.synthetic.raster import Fragments, rasterize
from handbench.synthetic.scene import Picture
from handbench.synthetic.skin import arm_color, hand_surface, paint, to_linear
from handbench.synthetic.surface import RADII_MM, forearm_tube, skin, template, vertex_normals

Ints = npt.NDArray[np.intp]
SAMPLES = 2
"""Samples along each side of a pixel."""


@dataclass(frozen=True)
class Layer:
    """The rendered foreground, before a background is put behind it.

    Attributes
    ----------
    light
        (size, size, 3) linear light, already multiplied by `cover`.
    cover
        (size, size) share of the pixel that hand, arm or object cover.
    hand
        (size, size) share of the pixel where the hand itself is seen.
    """

    light: Floats
    cover: Floats
    hand: Floats


@dataclass(frozen=True)
class Labels:
    """Exact geometry of a picture.

    Attributes
    ----------
    keypoints
        (21, 3) metres, camera frame, canonical order.
    vertices
        (778, 3) points of the skin, metres, camera frame.
    """

    keypoints: Floats
    vertices: Floats


def render(picture: Picture, size: int) -> tuple[Layer, Labels]:
    """Render hand, arm and objects of a picture.

    Parameters
    ----------
    picture
        What to draw; its generator is used for the colour of the light.
    size
        Width and height, pixels.

    Returns
    -------
    Foreground layer and labels.
    """
    instant, view, rng = picture.instant, picture.view, picture.rng
    mesh = template()
    hand = view.from_hand(skin(instant.skeleton, instant.shape))
    tube, tube_faces, below = forearm_tube(instant.skeleton, instant.shape)
    tube = view.from_hand(tube)
    solids = []
    if instant.held is not None:
        solids.append(instant.held.moved(view.rotation, view.translation))
    if view.occluder is not None:
        solids.append(view.occluder)

    parts = [hand, tube, *(s.vertices for s in solids)]
    starts = np.cumsum([0] + [len(p) for p in parts])
    groups = [mesh.faces, tube_faces, *(s.faces for s in solids)]
    first_face = np.cumsum([0] + [len(g) for g in groups])
    faces = np.concatenate([g + s for g, s in zip(groups, starts)])
    fragments = rasterize(np.concatenate(parts), faces, view.camera, size, SAMPLES)

    skin_normals = vertex_normals(hand, mesh.faces)
    normals = np.concatenate([skin_normals, vertex_normals(tube, tube_faces), *(s.normals for s in solids)])
    count = len(fragments.sample)
    of_hand = fragments.face < first_face[1]
    of_tube = (fragments.face >= first_face[1]) & (fragments.face < first_face[2])
    normal = _interpolate(normals, faces, fragments)
    normal /= np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-9)

    # How open the sky is, and how much of the main light arrives, per visible vertex.
    balls = _occluding_balls(instant.skeleton, instant.shape)
    centres = view.from_hand(balls[:, :3])
    everything = np.concatenate(parts)
    seen = np.unique(faces[fragments.face])
    openness, lit = np.ones(len(everything)), np.ones(len(everything))
    openness[seen], lit[seen] = _occlusion(
        everything[seen], normals[seen], centres, balls[:, 3], view.light
    )

    color, gloss = np.zeros((count, 3)), np.zeros(count)
    rows = np.flatnonzero(of_hand)
    own = fragments.keep(of_hand)
    points = _interpolate(mesh.vertices, mesh.faces, own) * 1e3
    coat = paint()
    fields = _interpolate(np.stack([coat.palm, coat.flush], -1), mesh.faces, own)
    surface = hand_surface(
        instant.person, points, mesh.face_part[own.face], fields[:, 0], fields[:, 1]
    )
    arm, arm_gloss = arm_color(instant.person, -points[:, 1])
    on_arm = points[:, 1] < -22.0
    color[rows] = np.where(on_arm[:, None] & _is_dressed(instant.person, points), arm, surface.color)
    gloss[rows] = np.where(on_arm & _is_dressed(instant.person, points)[:, 0], arm_gloss, surface.gloss)
    # Relief is painted on the flat back of the hand, which moves with the palm.
    tilt = surface.slope[:, :1] * view.rotation[:, 0] + surface.slope[:, 1:] * view.rotation[:, 1]
    bent = normal[rows] - tilt
    normal[rows] = bent / np.linalg.norm(bent, axis=-1, keepdims=True)

    rows = np.flatnonzero(of_tube)
    along = _interpolate(np.concatenate([np.zeros(starts[1]), below])[:, None], faces, fragments.keep(of_tube))
    color[rows], gloss[rows] = arm_color(instant.person, along[:, 0])
    fleshy = (of_hand | of_tube).astype(np.float64)
    for k, solid in enumerate(solids):
        chosen = (fragments.face >= first_face[2 + k]) & (fragments.face < first_face[3 + k])
        painted = np.zeros((len(everything), 3))
        painted[starts[2 + k] : starts[3 + k]] = solid.colors
        color[chosen] = _interpolate(painted, faces, fragments.keep(chosen))
        gloss[chosen] = 8.0 * solid.gloss

    shade = _interpolate(np.stack([openness, lit], -1), faces, fragments)
    position = _interpolate(everything, faces, fragments)
    towards = -position / np.linalg.norm(position, axis=-1, keepdims=True)
    radiance = _shade(rng, color, gloss, normal, towards, view.light, shade[:, 0], shade[:, 1], fleshy)

    in_mask = np.zeros(len(faces), dtype=bool)
    in_mask[: first_face[1]] = mesh.in_mask
    side = size * SAMPLES
    values = np.zeros((side * side, 5))
    values[fragments.sample, :3] = radiance
    values[fragments.sample, 3] = 1.0
    values[fragments.sample, 4] = in_mask[fragments.face]
    pixels = values.reshape(size, SAMPLES, size, SAMPLES, 5).mean((1, 3))
    layer = Layer(pixels[..., :3], pixels[..., 3], pixels[..., 4])
    return layer, Labels(view.from_hand(instant.skeleton.keypoints), hand[mesh.points])
