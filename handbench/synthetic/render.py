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
from handbench.synthetic.field import RADII_MM
from handbench.synthetic.person import mottling
from handbench.synthetic.raster import rasterize
from handbench.synthetic.scene import Picture
from handbench.synthetic.skin import PALM_PART, hand_surface, paint
from handbench.synthetic.surface import forearm_tube, skin, template, vertex_normals

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
    instant, view = picture.instant, picture.view
    mesh = template()
    hand = view.from_hand(skin(instant.skeleton, instant.shape))
    tube, tube_faces, tube_rest = forearm_tube(instant.skeleton, instant.shape)
    tube = view.from_hand(tube)
    solids = []
    if instant.held is not None:
        solids.append(instant.held.moved(view.rotation, view.translation))
    if view.occluder is not None:
        solids.append(view.occluder)

    # One soup of triangles, one z-buffer: whatever is in front hides the rest.
    parts = [hand, tube, *(s.vertices for s in solids)]
    first = np.cumsum([0, *(len(p) for p in parts)])
    soups = [mesh.faces, tube_faces, *(s.faces for s in solids)]
    first_face = np.cumsum([0, *(len(f) for f in soups)])
    vertices = np.concatenate(parts)
    faces = np.concatenate([f + start for f, start in zip(soups, first)])
    normals = np.concatenate(
        [
            vertex_normals(hand, mesh.faces),
            vertex_normals(tube, tube_faces),
            *(s.normals for s in solids),
        ]
    )
    seen = rasterize(vertices, faces, view.camera, size, SAMPLES)
    corners, weights = faces[seen.face], seen.barycentric[:, None, :]
    used = np.unique(corners)

    def at_samples(values: Floats, rows: slice | npt.NDArray[np.bool_] = slice(None)) -> Floats:
        """Values (V, C) of the corners, blended at the samples `rows`."""
        out: Floats = (weights[rows] @ values[corners[rows]])[:, 0]
        return out

    normal = _unit(at_samples(normals))
    position = at_samples(vertices)
    color, gloss = np.zeros((len(corners), 3)), np.zeros(len(corners))

    fleshy = seen.face < first_face[2]
    rest = np.concatenate([mesh.vertices, tube_rest]) * 1e3
    coat = np.zeros((len(rest), 3))
    coat[: first[1], 0], coat[: first[1], 1] = paint().palm, paint().flush
    shown = used[used < len(rest)]
    coat[shown, 2] = mottling(instant.person, rest[shown])
    part = np.concatenate([mesh.face_part, np.full(len(tube_faces), PALM_PART)])
    coated = at_samples(coat, fleshy)
    surface = hand_surface(
        instant.person,
        at_samples(rest, fleshy),
        part[seen.face[fleshy]],
        *coated.T,
    )
    color[fleshy], gloss[fleshy] = surface.color, surface.gloss
    # Relief is painted on the flat back of the hand, which moves with the palm.
    normal[fleshy] = _unit(normal[fleshy] - surface.slope @ view.rotation.T[:2])
    for k, solid in enumerate(solids, start=2):
        chosen = (seen.face >= first_face[k]) & (seen.face < first_face[k + 1])
        painted = np.zeros((len(vertices), 3))
        painted[first[k] : first[k + 1]] = solid.colors
        color[chosen], gloss[chosen] = at_samples(painted, chosen), 8.0 * solid.gloss

    # Occlusion is smooth: vertices are enough, and only those that are seen.
    air = np.ones((len(vertices), 2))
    balls, radii = _occluding_balls(instant.skeleton, instant.shape)
    air[used] = _occlusion(vertices[used], normals[used], view.from_hand(balls), radii, view.light)
    lamp = sample_lamp(picture.rng, view.light)
    light = _shade(lamp, color, gloss, normal, _unit(-position), at_samples(air), fleshy)

    in_mask = np.zeros(len(faces))
    in_mask[: first_face[1]] = mesh.in_mask
    row, column = np.divmod(seen.sample, size * SAMPLES)
    pixel = row // SAMPLES * size + column // SAMPLES
    sums = [
        np.bincount(pixel, channel, size * size).reshape(size, size) / SAMPLES**2
        for channel in (*light.T, np.ones(len(pixel)), in_mask[seen.face])
    ]
    layer = Layer(np.stack(sums[:3], -1), sums[3], sums[4])
    return layer, Labels(view.from_hand(instant.skeleton.keypoints), hand[mesh.points])


def _unit(vectors: Floats) -> Floats:
    out: Floats = vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9)
    return out


def _occluding_balls(skeleton: Skeleton, shape: HandShape) -> tuple[Floats, Floats]:
    """Balls that stand for the hand when it shades itself: centres (K, 3) and radii (K,).

    Metres, hand frame.
    """
    joints = skeleton.keypoints
    centres, radii = [], []
    for finger in range(5):
        r = RADII_MM[finger] * 0.92e-3 * shape.thickness[finger]
        for k in range(3):
            a, b = joints[4 * finger + 1 + k], joints[4 * finger + 2 + k]
            for share in (0.25, 0.75) if k < 2 else (0.2, 0.7):
                centres.append(a + share * (b - a))
                radii.append(r[k] + share * (r[k + 1] - r[k]))
    for finger in range(1, 5):
        knuckle = joints[4 * finger + 1]
        for share in (0.3, 0.55, 0.8):
            centres.append(share * knuckle - (0.0, 0.0, 4e-3))
            radii.append(0.0115 * shape.palm[2])
    return np.array(centres), np.array(radii)


def _occlusion(
    points: Floats, normals: Floats, centres: Floats, radii: Floats, light: Floats
) -> Floats:
    """(V, 2): share of the sky that each point sees, share of the main light that arrives."""
    # Products of small matrices instead of a (V, K, 3) array of ways from points to balls.
    from_light = centres @ light - (points @ light)[:, None]
    square = (points**2).sum(-1)[:, None] + (centres**2).sum(-1) - 2.0 * points @ centres.T
    square = np.maximum(square, radii**2)
    towards = normals @ centres.T - (normals * points).sum(-1)[:, None]
    facing = towards / np.sqrt(square)
    # Share of a point's sky, weighted by cosine, that a distant ball takes.
    hidden = np.clip(facing, 0.0, 1.0) * (radii**2 / square)
    openness = np.prod(1.0 - 0.9 * np.clip(hidden, 0.0, 1.0), axis=1)
    beside = np.sqrt(np.maximum(square - from_light**2, 0.0))
    soft = 0.35 * radii + 0.12 * np.maximum(from_light, 0.0)
    shade = np.clip((radii + soft - beside) / (2.0 * soft), 0.0, 1.0)
    # A ball just under the skin is the finger itself: it must not shade its own surface.
    shade *= np.clip((from_light - 0.55 * radii) / (0.6 * radii), 0.0, 1.0)
    lit = np.prod(1.0 - shade, axis=1)
    return np.stack([openness, lit], -1)


@dataclass(frozen=True)
class Lamp:
    """Light of a scene: direction (3,) and colours (3,), linear."""

    direction: Floats
    main: Floats
    sky: Floats
    ground: Floats


def sample_lamp(rng: np.random.Generator, direction: Floats) -> Lamp:
    """Draw how bright and how warm the lights are."""
    warm = rng.normal(0.0, 0.09)
    main = np.array([1.0 + warm, 1.0, 1.0 - warm]) * rng.uniform(0.5, 1.0)
    cool = rng.normal(-0.03, 0.06)
    sky = np.array([1.0 + cool, 1.0, 1.0 - cool]) * rng.uniform(0.34, 0.56)
    ground = sky * rng.uniform(0.4, 0.75) * (1.0, 0.94, 0.86)
    return Lamp(direction, main, sky, ground)


_BLEED: Floats = np.array([0.30, 0.12, 0.07])
"""How far light wraps around skin, by colour: red travels farthest inside it."""


def _shade(
    lamp: Lamp,
    color: Floats,
    gloss: Floats,
    normal: Floats,
    towards: Floats,
    air: Floats,
    fleshy: npt.NDArray[np.bool_],
) -> Floats:
    """Linear light (P, 3) that leaves each sample towards the camera."""
    openness, lit = air[:, :1], air[:, 1:]
    upward = 0.5 - 0.5 * normal[:, 1:2]
    ambient = lamp.ground + upward * (lamp.sky - lamp.ground)
    # Light that reaches a crevice has bounced off skin and is red.
    ambient = ambient * openness ** np.array([0.8, 1.05, 1.1])
    cosine = normal @ lamp.direction
    wrap = np.where(fleshy[:, None], _BLEED, 0.04)
    diffuse = np.clip((cosine[:, None] + wrap) / (1.0 + wrap), 0.0, None)
    shadow = lit ** np.where(fleshy[:, None], np.array([0.75, 1.0, 1.05]), 1.0)
    half = _unit(lamp.direction + towards)
    mirror = np.clip((normal * half).sum(-1), 0.0, 1.0)
    grazing = 0.4 + 0.6 * (1.0 - np.clip((normal * towards).sum(-1), 0.0, 1.0)) ** 3
    spark = gloss * (0.05 * mirror**14 + 0.045 * mirror**60) * (cosine > 0.0)
    sheen = 0.05 * np.minimum(gloss, 1.0) * grazing * openness[:, 0]
    out: Floats = color * (ambient + lamp.main * diffuse * shadow)
    out += (spark * lit[:, 0])[:, None] * lamp.main + sheen[:, None] * lamp.sky
    return out


@dataclass(frozen=True)
class Look:
    """How one version of a picture was processed."""

    gain: Floats
    saturation: float
    gamma: float
    blur: float
    grain: float


def sample_look(rng: np.random.Generator, version: int) -> Look:
    """Draw the processing of a version: 0 is close to the camera's, the others are recoloured."""
    wide = 0.02 if version == 0 else 0.07
    return Look(
        gain=rng.uniform(0.8, 1.15) * (1.0 + rng.normal(0.0, wide, 3)),
        saturation=float(rng.uniform(0.9, 1.1) if version == 0 else rng.uniform(0.7, 1.2)),
        gamma=float(rng.uniform(0.92, 1.1)),
        blur=float(max(0.0, rng.normal(0.25, 0.3))),
        grain=float(rng.uniform(0.002, 0.016)),
    )


def finish(layer: Layer, rng: np.random.Generator, version: int) -> npt.NDArray[np.uint8]:
    """Put a background behind the foreground and develop the photo.

    Parameters
    ----------
    layer
        Foreground from :func:`render`.
    rng
        Source of randomness of this version.
    version
        0 for the green screen, anything else for a varied background.

    Returns
    -------
    (size, size, 3) sRGB.
    """
    size = len(layer.cover)
    scene = green_screen(rng, size) if version == 0 else varied(rng, size)
    look = sample_look(rng, version)
    front = (layer.light * look.gain).astype(np.float32)
    grey = front.mean(-1, keepdims=True)
    front = grey + look.saturation * (front - grey)
    behind = (1.0 - layer.cover[..., None]).astype(np.float32)
    linear = np.maximum(front + behind * scene.astype(np.float32) ** 2.2, 0.0)
    # Highlights roll off instead of clipping.
    high = linear > 0.7
    linear[high] = 0.7 + 0.3 * np.tanh((linear[high] - 0.7) / 0.3)
    photo = linear ** (look.gamma / 2.2)
    photo += np.float32(look.grain) * rng.standard_normal(photo.shape, dtype=np.float32)
    image = Image.fromarray((np.clip(photo, 0.0, 1.0) * 255.0 + 0.5).astype(np.uint8))
    if look.blur > 0.15:
        image = image.filter(ImageFilter.GaussianBlur(look.blur * size / 224.0))
    return np.asarray(image)
