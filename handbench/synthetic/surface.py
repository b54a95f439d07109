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

Ints = npt.NDArray[np.intp]

NUM_VERTS = 778
VOXEL_MM = 2.0
FOREARM_END_MM = -46.0
"""The template is cut here, below the wrist; :func:`forearm_tube` goes on from it."""
MASK_END_MM = -24.0
"""What lies beyond belongs to the arm: it is in no mask and holds none of the 778 points."""

# Radii along the rest bones, millimetres: base knuckle, middle, outer joint, fingertip.
RADII_MM: Floats = np.array(
    [
        (13.5, 11.2, 10.2, 8.2),
        (10.6, 9.3, 8.1, 6.8),
        (10.7, 9.5, 8.3, 7.0),
        (10.1, 8.9, 7.9, 6.7),
        (8.9, 7.8, 6.9, 6.0),
    ]
)


def _smooth_min(a: Floats, b: Floats, width: float) -> Floats:
    """Union of two distance fields with a fillet of about `width`."""
    h = np.maximum(width - np.abs(a - b), 0.0) / width
    out: Floats = np.minimum(a, b) - 0.25 * width * h * h
    return out


def _cone(p: Floats, a: Floats, b: Floats, ra: float, rb: float) -> Floats:
    """Distance from `p` (N, 3) to a bone from `a` to `b` with radii `ra`, `rb`."""
    axis = b - a
    along = np.clip((p - a) @ axis / (axis @ axis), 0.0, 1.0)
    out: Floats = np.linalg.norm(p - a - along[:, None] * axis, axis=-1) - (ra + along * (rb - ra))
    return out


def forearm_section(y: Floats) -> tuple[Floats, Floats]:
    """Half width and half thickness of wrist and forearm at height `y` (mm, negative)."""
    down = np.maximum(-y, 0.0)
    width = 26.0 + 13.0 * (1.0 - np.exp(-down / 110.0))
    thick = 18.0 + 15.0 * (1.0 - np.exp(-down / 120.0))
    return width, thick


def _finger_field(p: Floats, finger: int) -> Floats:
    """Distance to one finger: three phalanges, swollen joints, flattened tip, fleshy pads."""
    d, n = REST_DIRECTIONS[finger], REST_NORMALS[finger]
    ends = np.concatenate([[0.0], np.cumsum(PHALANX_MM[finger])])
    joints = FINGER_BASES_MM[finger] + ends[:, None] * d
    r = RADII_MM[finger]
    if finger == 0:
        field = _cone(p, joints[0] + 4 * d, joints[1], r[0] * 0.9, r[1])
        waist = (1.0, 0.94, 0.97)
    else:
        # Skin starts in the hand, a little below the bone, where the palm is thickest.
        field = _cone(p, joints[0] - 1.5 * n, joints[1], r[0], r[1])
        waist = (1.0, 0.96, 0.97)
    # The tip keypoint lies in the pad; flesh and nail reach about half a radius beyond it.
    tip = joints[3] - 0.25 * r[3] * d + 0.2 * n
    field = _smooth_min(field, _cone(p, joints[1], joints[2], r[1] * waist[1], r[2]), 3.0)
    field = _smooth_min(field, _cone(p, joints[2], tip, r[2] * waist[2], r[3]), 3.0)
    # Pads of flesh on the palm's side of each bone; the joints between them are creases.
    for k, share in ((0, 0.6), (1, 0.5), (2, 0.6)):
        middle = joints[k] + share * (joints[k + 1] - joints[k])
        radius = 0.5 * (r[k] + r[k + 1]) - 1.0
        half = 0.18 * (joints[k + 1] - joints[k])
        lower = middle - 1.5 * n
        field = _smooth_min(field, _cone(p, lower - half, lower + half, radius, radius), 6.0)
    for k in (1, 2):
        ball = np.linalg.norm(p - joints[k] - 1.0 * n, axis=-1) - (r[k] - 0.7)
        field = _smooth_min(field, ball, 5.0)
    # A fingertip is flatter than it is wide, above all under the nail.
    along = np.clip(((p - joints[2]) @ d) / (joints[3] - joints[2]).dot(d), 0.0, 1.3)
    over = (p - joints[2]) @ n - (0.62 * r[3] + (1.0 - np.minimum(along, 1.0)) * 2.6)
    nail_bed = np.where(along > 0.3, over, -99.0)
    return -_smooth_min(-field, -nail_bed, 2.5)


def _hand_field(p: Floats) -> Floats:
    """Signed distance (about, mm) of points (N, 3) from the skin at rest."""
    palm = np.full(len(p), 1e3)
    tops = np.array([12.2, 12.4, 11.6, 10.6])
    for k in range(4):
        base = METACARPAL_BASES_MM[k + 1] + (0.0, 0.0, -3.0)
        head = FINGER_BASES_MM[k + 1] + (0.0, -3.0, -4.5)
        palm = _smooth_min(palm, _cone(p, base, head, 14.5, tops[k]), 9.0)
        knuckle = FINGER_BASES_MM[k + 1] + (0.0, -3.0, 2.5)
        palm = _smooth_min(palm, np.linalg.norm(p - knuckle, axis=-1) - 7.8, 6.0)
    pads = (
        # thenar: two cones towards the thumb's MCP; hypothenar; pads under the four fingers
        ((-17.0, 17.0, -13.0), (-35.0, 44.0, -19.0), 14.5, 11.0),
        ((-12.0, 26.0, -11.0), (-24.0, 58.0, -11.0), 12.5, 8.0),
        ((20.0, 16.0, -11.0), (31.0, 56.0, -11.0), 14.0, 10.5),
        ((-23.0, 79.0, -8.5), (31.0, 69.0, -10.5), 9.6, 8.6),
    )
    for a, b, ra, rb in pads:
        palm = _smooth_min(palm, _cone(p, np.array(a), np.array(b), ra, rb), 11.0)
    width, thick = forearm_section(p[:, 1])
    arm = (np.hypot(p[:, 0] / width, (p[:, 2] + 2.0) / thick) - 1.0) * thick
    arm = -_smooth_min(-arm, 16.0 - p[:, 1], 22.0)
    field = _smooth_min(palm, arm, 20.0)
    # The web between thumb and index is thin: a sheet from metacarpal to metacarpal.
    field = _smooth_min(
        field, _cone(p, np.array((-33.0, 40.0, -12.0)), np.array((-24.0, 62.0, -6.0)), 7.5, 7.5), 10.0
    )
    for finger in range(5):
        field = _smooth_min(field, _finger_field(p, finger), 7.0 if finger == 0 else 5.5)
    return field


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
    distance = np.stack([_finger_field(p, f) for f in range(5)])
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
    rest = 1.0 - fingers - belongs
    arm = _step((-p[:, 1] - 4.0) / 22.0)
    weights[:, FOREARM] = rest * arm
    upper = _step((p[:, 1] - 42.0) / 34.0)
    for f in range(1, 5):
        weights[:, finger_bone(f, 0)] = rest * (1.0 - arm) * upper * nearness[f - 1]
    weights[:, PALM] = rest * (1.0 - arm) * (1.0 - upper)
    parts[:, 5] = 1.0 - parts[:, :5].sum(-1)
    return weights / weights.sum(-1, keepdims=True), parts


def _metacarpal_distance(p: Floats, finger: int) -> Floats:
    return _cone(p, METACARPAL_BASES_MM[finger], FINGER_BASES_MM[finger], 0.0, 0.0)


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
    # A coarse pass finds where skin can be; only there is the field worth its price.
    coarse = [a[::4] for a in axes]
    grid = np.stack(np.meshgrid(*coarse, indexing="ij"), -1).reshape(-1, 3)
    rough = _hand_field(grid).reshape([len(a) for a in coarse])
    near = np.abs(rough) < 4 * VOXEL_MM * 1.8
    for axis in range(3):
        near = near.repeat(4, axis)
    near = near[: counts[0], : counts[1], : counts[2]]
    near = _grown(near, 4)
    field = np.repeat(np.repeat(np.repeat(rough, 4, 0), 4, 1), 4, 2)
    field = field[: counts[0], : counts[1], : counts[2]].copy()
    index = np.argwhere(near)
    field[near] = _hand_field(np.stack([axes[k][index[:, k]] for k in range(3)], -1))
    vertices, faces, _, _ = marching_cubes(field, 0.0, spacing=(VOXEL_MM,) * 3)
    mm = vertices.astype(np.float64) + low
    eps = 0.5
    steps = np.eye(3) * eps
    gradient = np.stack([_hand_field(mm + h) - _hand_field(mm - h) for h in steps], -1)
    normals = gradient / np.linalg.norm(gradient, axis=-1, keepdims=True)
    faces = faces.astype(np.intp)
    across = np.cross(mm[faces[:, 1]] - mm[faces[:, 0]], mm[faces[:, 2]] - mm[faces[:, 0]])
    if (across * normals[faces[:, 0]]).sum() < 0:
        faces = faces[:, ::-1].copy()
    weights, parts = _skin_weights(mm)
    face_part = parts[faces].sum(1).argmax(-1)
    in_mask = mm[faces, 1].mean(-1) > MASK_END_MM
    candidates = np.flatnonzero(mm[:, 1] > MASK_END_MM)
    points = _farthest_points(mm, candidates, NUM_VERTS)
    return Template(mm * 1e-3, normals, faces, weights, parts, face_part, in_mask, points)


def _grown(mask: npt.NDArray[np.bool_], cells: int) -> npt.NDArray[np.bool_]:
    """`mask` with every True cell spread by `cells` along each axis."""
    out = mask
    for axis in range(3):
        grown = out.copy()
        for shift in range(1, cells + 1):
            ahead = [slice(None)] * 3
            behind = [slice(None)] * 3
            ahead[axis], behind[axis] = slice(shift, None), slice(None, -shift)
            grown[tuple(ahead)] |= out[tuple(behind)]
            grown[tuple(behind)] |= out[tuple(ahead)]
        out = grown
    return out


def _shape_motion(shape: HandShape) -> Floats:
    """(B, 3, 4) affine map of every bone from the mean hand at rest to `shape` at rest."""
    joints, _ = rest_joints(shape)
    out = np.zeros((NUM_BONES, 3, 4))
    palm = np.diag(shape.palm)
    out[:, :, :3] = palm
    for finger in range(5):
        first = 0 if finger == 0 else 1
        frame = np.stack([REST_LATERALS[finger], REST_DIRECTIONS[finger], REST_NORMALS[finger]])
        starts = FINGER_BASES_MM[finger] * 1e-3 + np.concatenate(
            [[0.0], np.cumsum(PHALANX_MM[finger])[:2] * 1e-3]
        )[:, None] * REST_DIRECTIONS[finger]
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
    return normals / np.maximum(np.linalg.norm(normals, axis=-1, keepdims=True), 1e-20)


def forearm_tube(skeleton: Skeleton, shape: HandShape) -> tuple[Floats, Ints, Floats]:
    """Skin of the rest of the arm, long enough to leave the picture.

    Returns
    -------
    (V, 3) vertices in metres, hand frame; (F, 3) faces; (V, 3) the same points at rest.
    """
    around, rings = 28, 15
    y = FOREARM_END_MM + 2.0 - np.linspace(0.0, 1.0, rings) ** 1.3 * 260.0
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
