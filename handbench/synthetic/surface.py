"""Skin of the synthetic hand: one template mesh, bent and stretched into every pose and shape.

The template is the zero level of a smooth union of cones along the rest bones, with pads and
knuckles, found once per process by marching cubes. Its triangles never change: vertex i is the
same point of the skin in every pose, so 778 of its vertices, chosen farthest-first, serve as the
dataset's ``verts``. (They are our own points, not those of the MANO model.)

Skinning has two steps. Bones are first scaled at rest (linear blend: no turning, no artefacts),
then turned with dual quaternions (Kavan et al., "Skinning with Dual Quaternions", I3D 2007),
which keep the volume of a bent finger.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
from skimage.measure import marching_cubes

from handbench.synthetic.anatomy import (
    BONE_PARENTS,
    FINGER_BASES_MM,
    FOREARM,
    METACARPAL_BASES_MM,
    NUM_BONES,
    PALM,
    PHALANX_MM,
    REST_DIRECTIONS,
    REST_LATERALS,
    REST_NORMALS,
    Floats,
    HandShape,
    Skeleton,
    finger_bone,
    rest_joints,
)
from handbench.synthetic.field import RADII_MM, cone, finger_field, forearm_section, hand_field

Ints = npt.NDArray[np.intp]

NUM_VERTS = 778
VOXEL_MM = 2.0
COARSE = 4
"""Voxels along a side of the cells that are searched for skin first."""
FOREARM_END_MM = -46.0
"""The template is cut here, below the wrist; :func:`forearm_tube` goes on from it."""
MASK_END_MM = -24.0
"""What lies beyond belongs to the arm: it is in no mask and holds none of the 778 points."""


def _step(x: Floats) -> Floats:
    """Smooth step from 0 at -1 to 1 at +1."""
    t = np.clip(0.5 * (x + 1.0), 0.0, 1.0)
    out: Floats = t * t * (3.0 - 2.0 * t)
    return out


def _skin_weights(p: Floats) -> tuple[Floats, Floats]:
    """Weights of the bones (V, B) and of the parts of the hand (V, 6) for points `p`, mm.

    Parts: thumb, index, middle, ring, pinky beyond their base; palm, wrist and arm last.
    """
    weights = np.zeros((len(p), NUM_BONES))
    distance = np.stack([finger_field(p, f) for f in range(5)])
    # Which metacarpal a point of the palm follows: by position across the palm.
    chains = np.array([_metacarpal_distance(p, f) for f in range(1, 5)])
    nearness = np.exp(-(chains - chains.min(0)) / 4.0)
    nearness /= nearness.sum(0)
    rank = np.exp(-(distance - distance.min(0)) / 1.5)
    rank /= rank.sum(0)
    parts = np.zeros((len(p), 6))
    fingers = np.zeros(len(p))
    for f in range(1, 5):
        s = (p - FINGER_BASES_MM[f]) @ REST_DIRECTIONS[f]
        ends = np.cumsum(PHALANX_MM[f])
        r = RADII_MM[f]
        belongs = rank[f] * _step((s - 4.0) / 11.0)
        parts[:, f] = belongs
        fingers += belongs
        outer = _step((s - ends[0]) / (0.75 * r[1]))
        tip = _step((s - ends[1]) / (0.75 * r[2]))
        weights[:, finger_bone(f, 1)] = belongs * (1.0 - outer)
        weights[:, finger_bone(f, 2)] = belongs * outer * (1.0 - tip)
        weights[:, finger_bone(f, 3)] = belongs * outer * tip
    s = (p - FINGER_BASES_MM[0]) @ REST_DIRECTIONS[0]
    ends = np.cumsum(PHALANX_MM[0])
    towards = distance[0] - np.minimum(distance[1:].min(0), chains.min(0) - 9.0)
    # The thenar follows the metacarpal softly, the tip of the thumb follows nothing else.
    belongs = _step((s - 8.0) / 20.0) * _step(-(towards - 2.0) / 12.0)
    belongs = np.maximum(belongs, (s > ends[0] + 8.0) * (distance[0] < 3.0)) * (1.0 - fingers)
    outer, tip = _step((s - ends[0]) / 8.5), _step((s - ends[1]) / 7.0)
    for bone, share in enumerate(((1 - outer), outer * (1 - tip), outer * tip)):
        weights[:, finger_bone(0, bone)] = belongs * share
    parts[:, 0] = belongs * _step((s - 0.6 * ends[0]) / 14.0)
    rest = np.maximum(1.0 - fingers - belongs, 0.0)
    arm = _step((-p[:, 1] - 2.0) / 25.0)
    weights[:, FOREARM] = rest * arm
    upper = _step((p[:, 1] - 42.0) / 34.0)
    for f in range(1, 5):
        weights[:, finger_bone(f, 0)] = rest * (1.0 - arm) * upper * nearness[f - 1]
    weights[:, PALM] = rest * (1.0 - arm) * (1.0 - upper)
    parts[:, 5] = 1.0 - parts[:, :5].sum(-1)
    return weights / weights.sum(-1, keepdims=True), parts


def _metacarpal_distance(p: Floats, finger: int) -> Floats:
    return cone(p, METACARPAL_BASES_MM[finger], FINGER_BASES_MM[finger], 0.0, 0.0)


@dataclass(frozen=True)
class Template:
    """The skin at rest. Lengths in metres, hand frame.

    Attributes
    ----------
    vertices, normals
        (V, 3).
    faces
        (F, 3) vertex indices, counter-clockwise seen from outside.
    weights
        (V, B) share of each bone in moving a vertex; rows sum to 1.
    parts
        (V, 6) soft membership: thumb … pinky, palm (with wrist and arm).
    face_part
        (F,) hard membership, 0-5.
    in_mask
        (F,) whether a face belongs to the hand rather than the arm.
    points
        (778,) vertex indices of the dataset's ``verts``, in order.
    """

    vertices: Floats
    normals: Floats
    faces: Ints
    weights: Floats
    parts: Floats
    face_part: Ints
    in_mask: npt.NDArray[np.bool_]
    points: Ints


def _farthest_points(vertices: Floats, candidates: Ints, count: int) -> Ints:
    """Greedy choice of `count` candidates, each the farthest from all chosen before."""
    points = vertices[candidates]
    chosen = np.zeros(count, dtype=np.intp)
    gap = np.full(len(points), np.inf)
    for k in range(1, count):
        offset = points - points[chosen[k - 1]]
        gap = np.minimum(gap, np.einsum("ij,ij->i", offset, offset))
        chosen[k] = int(gap.argmax())
    return candidates[chosen]


@cache
def template() -> Template:
    """Build the template (about a second, once per process)."""
    low = np.array([-108.0, FOREARM_END_MM, -46.0])
    high = np.array([82.0, 178.0, 24.0])
    counts = np.ceil((high - low) / VOXEL_MM).astype(int) + 1
    axes = [low[k] + VOXEL_MM * np.arange(counts[k]) for k in range(3)]
    # A coarse pass finds where skin can be; only there is the field worth its price. A cell is
    # skipped where even its far corner (√3 coarse steps away) lies off the skin.
    coarse = [a[::COARSE] for a in axes]
    grid = np.stack(np.meshgrid(*coarse, indexing="ij"), -1).reshape(-1, 3)
    field = hand_field(grid).reshape([len(a) for a in coarse])
    for axis in range(3):
        field = field.repeat(COARSE, axis)
    field = field[: counts[0], : counts[1], : counts[2]].copy()
    near = np.abs(field) < 1.2 * np.sqrt(3.0) * COARSE * VOXEL_MM
    index = np.argwhere(near)
    field[near] = hand_field(np.stack([axes[k][index[:, k]] for k in range(3)], -1))
    vertices, faces, _, _ = marching_cubes(  # type: ignore[no-untyped-call]
        field, 0.0, spacing=(VOXEL_MM,) * 3
    )
    mm = vertices.astype(np.float64) + low
    faces = faces.astype(np.intp)
    normals = vertex_normals(mm, faces)
    weights, parts = _skin_weights(mm)
    face_part = parts[faces].sum(1).argmax(-1)
    in_mask = mm[faces, 1].mean(-1) > MASK_END_MM
    candidates = np.flatnonzero(mm[:, 1] > MASK_END_MM)
    points = _farthest_points(mm, candidates, NUM_VERTS)
    return Template(mm * 1e-3, normals, faces, weights, parts, face_part, in_mask, points)


def _shape_motion(shape: HandShape) -> Floats:
    """(B, 3, 4) affine map of every bone from the mean hand at rest to `shape` at rest."""
    joints, _ = rest_joints(shape)
    out = np.zeros((NUM_BONES, 3, 4))
    palm = np.diag(shape.palm)
    out[:, :, :3] = palm
    for finger in range(5):
        first = 0 if finger == 0 else 1
        frame = np.stack([REST_LATERALS[finger], REST_DIRECTIONS[finger], REST_NORMALS[finger]])
        starts = (
            FINGER_BASES_MM[finger] * 1e-3
            + np.concatenate([[0.0], np.cumsum(PHALANX_MM[finger])[:2] * 1e-3])[:, None]
            * REST_DIRECTIONS[finger]
        )
        for k in range(3):
            thick = shape.thickness[finger]
            scale = frame.T @ np.diag([thick, shape.phalanx[finger, k], thick]) @ frame
            bone = finger_bone(finger, k + first)
            out[bone, :, :3] = scale
            out[bone, :, 3] = joints[4 * finger + 1 + k] - scale @ starts[k]
    return out


def _dual_quaternions(R: Floats, t: Floats) -> tuple[Floats, Floats]:
    """Rotation matrices (B, 3, 3) and translations (B, 3) as unit dual quaternions (B, 4) ×2."""
    m = R
    # The largest of the four squared components is safe to divide by.
    four = np.stack(
        [
            1 + m[:, 0, 0] + m[:, 1, 1] + m[:, 2, 2],
            1 + m[:, 0, 0] - m[:, 1, 1] - m[:, 2, 2],
            1 - m[:, 0, 0] + m[:, 1, 1] - m[:, 2, 2],
            1 - m[:, 0, 0] - m[:, 1, 1] + m[:, 2, 2],
        ],
        -1,
    )
    yz, zx, xy = m[:, 2, 1] - m[:, 1, 2], m[:, 0, 2] - m[:, 2, 0], m[:, 1, 0] - m[:, 0, 1]
    sxy, szx, syz = m[:, 1, 0] + m[:, 0, 1], m[:, 0, 2] + m[:, 2, 0], m[:, 2, 1] + m[:, 1, 2]
    rows = np.stack(
        [
            np.stack([four[:, 0], yz, zx, xy], -1),
            np.stack([yz, four[:, 1], sxy, szx], -1),
            np.stack([zx, sxy, four[:, 2], syz], -1),
            np.stack([xy, szx, syz, four[:, 3]], -1),
        ],
        1,
    )
    real = rows[np.arange(len(m)), four.argmax(-1)]
    real /= np.linalg.norm(real, axis=-1, keepdims=True)
    # q and -q turn alike, but a blend of neighbours needs both on one side. A fingertip may have
    # turned by more than 180° against the palm: compare each bone with its parent.
    for bone, parent in enumerate(BONE_PARENTS):
        if real[bone] @ real[parent] < 0:
            real[bone] *= -1.0
    dual = 0.5 * _quaternion_product(np.concatenate([np.zeros((len(t), 1)), t], -1), real)
    return real, dual


def _quaternion_product(a: Floats, b: Floats) -> Floats:
    w = a[:, :1] * b[:, :1] - (a[:, 1:] * b[:, 1:]).sum(-1, keepdims=True)
    v = a[:, :1] * b[:, 1:] + b[:, :1] * a[:, 1:] + np.cross(a[:, 1:], b[:, 1:])
    return np.concatenate([w, v], -1)


def skin(skeleton: Skeleton, shape: HandShape) -> Floats:
    """Bend the template.

    Parameters
    ----------
    skeleton
        Bone motions of the pose, from :func:`~handbench.synthetic.anatomy.forward_kinematics`
        with the same `shape`.
    shape
        Proportions.

    Returns
    -------
    (V, 3) vertices, metres, hand frame.
    """
    mesh = template()
    affine = (mesh.weights @ _shape_motion(shape).reshape(NUM_BONES, 12)).reshape(-1, 3, 4)
    rest = np.einsum("vij,vj->vi", affine[:, :, :3], mesh.vertices) + affine[:, :, 3]
    real, dual = _dual_quaternions(skeleton.rotations, skeleton.translations)
    q, e = mesh.weights @ real, mesh.weights @ dual
    length = np.linalg.norm(q, axis=-1, keepdims=True)
    q, e = q / length, e / length
    turned = rest + 2.0 * np.cross(q[:, 1:], np.cross(q[:, 1:], rest) + q[:, :1] * rest)
    shift = 2.0 * (q[:, :1] * e[:, 1:] - e[:, :1] * q[:, 1:] + np.cross(q[:, 1:], e[:, 1:]))
    out: Floats = turned + shift
    return out


def vertex_normals(vertices: Floats, faces: Ints) -> Floats:
    """(V, 3) outward unit normals of a mesh, area-weighted."""
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    across = np.cross(b - a, c - a)
    normals = np.empty_like(vertices)
    flat = faces.ravel()
    for axis in range(3):
        normals[:, axis] = np.bincount(flat, np.repeat(across[:, axis], 3), len(vertices))
    out: Floats = normals / np.maximum(np.linalg.norm(normals, axis=-1, keepdims=True), 1e-20)
    return out


def forearm_tube(skeleton: Skeleton, shape: HandShape) -> tuple[Floats, Ints, Floats]:
    """Skin of the rest of the arm, long enough to leave the picture.

    Returns
    -------
    (V, 3) vertices in metres, hand frame; (F, 3) faces; (V, 3) the same points at rest.
    """
    around, rings = 28, 18
    y = FOREARM_END_MM + 2.0 - np.linspace(0.0, 1.0, rings) ** 1.4 * 420.0
    angle = np.arange(around) * (2.0 * np.pi / around)
    width, thick = forearm_section(y)
    grid = np.empty((rings, around, 3))
    grid[..., 0] = width[:, None] * np.cos(angle)
    grid[..., 1] = y[:, None]
    grid[..., 2] = thick[:, None] * np.sin(angle) - 2.0
    rest = grid.reshape(-1, 3) * 1e-3
    points = (rest * shape.palm) @ skeleton.rotations[FOREARM].T + skeleton.translations[FOREARM]
    ring, k = np.meshgrid(np.arange(rings - 1), np.arange(around), indexing="ij")
    here, there = ring * around + k, ring * around + (k + 1) % around
    first = np.stack([here, there, here + around], -1).reshape(-1, 3)
    second = np.stack([there, there + around, here + around], -1).reshape(-1, 3)
    faces = np.concatenate([first, second])
    return points, faces, rest
