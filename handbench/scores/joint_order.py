"""Joint order: whether another order of the 21 joints fits far better, and which one.

Orders that datasets publish are tried first, each also applied the wrong way round and once too
often. Then comes any order at all: centred hands of one size, the mean distance from every
predicted to every true joint, and the assignment of least total distance (Kuhn 1955, by
``scipy.optimize.linear_sum_assignment``). What the fit to the truth leaves open, the bones of the
predictions and their mesh may still tell.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from handbench.hand import (
    BONES,
    FINGERS,
    JOINT_NAMES,
    NATIVE_ORDERS,
    NUM_JOINTS,
    ORDER_WORDS,
    bone_lengths,
    to_canonical,
)
from handbench.metrics import align_procrustes, keypoint_errors
from handbench.scores.distances import MM_PER_M
from handbench.scores.evidence import (
    ALL_JOINTS,
    FEWEST,
    MOST,
    Floats,
    Hands,
    Repair,
    declare,
    every_nth,
    mean,
)
from handbench.scores.matching import Matched

Order = tuple[int, ...]

# No order but the right one helps an honest model, so less must be gained than by other repairs.
_ENOUGH = 0.7
# In fewer hands, joints of a noisy model change places, and bones their order, by chance.
_FEWEST_FOR_AVERAGES = 20
# Longest bone of a hand as a share of its diagonal: wrist to knuckle, about 0.5 when flat.
_LONGEST_BONE = 0.6
# One pose for all hands, such as their mean, has bones of any length; a wrong order varies fully.
_VARIED = 0.8
# How much worse than the truth a bone must be: noise alone lengthens bones, all of them alike.
_WORSE = 1.25
# Joints and mesh of one model are about equally good after alignment; MANO's order makes 35 mm
# beside 13 mm.
_JOINTS_OVER_MESH = 1.6
_MESH_HANDS = 200
_BAD_JOINTS_MM = 10.0


@dataclass(frozen=True)
class Slip:
    """A way to get a published order wrong: `order` has ``canonical[k] = found[order[k]]``."""

    order: Order
    what: str
    advice: str


def order_repairs(hands: Hands) -> list[Repair]:
    """Repairs of the joint order: every known slip, and the order that fits best.

    Parameters
    ----------
    hands
        2D or 3D hands (:mod:`~handbench.scores.evidence`).
    """
    if hands.collapsed:
        return []
    slips = known_slips()
    guessed = best_order(hands)
    if guessed is not None and all(guessed != slip.order for slip in slips):
        moved = [JOINT_NAMES[joint] for joint in ALL_JOINTS if guessed[joint] != joint]
        which = f" ({', '.join(moved)} changed places)" if len(moved) <= 4 else ""
        slips.append(Slip(guessed, f"in another joint order{which}", _list_advice(guessed)))
    return [
        Repair(
            to_canonical(hands.predicted, slip.order),
            slip.what,
            slip.advice,
            joints=tuple(joint for joint in ALL_JOINTS if slip.order[joint] != joint),
            enough=_ENOUGH,
        )
        for slip in slips
    ]


def known_slips() -> list[Slip]:
    """Slips with published orders; some coincide, since most orders undo themselves.

    A native hand may be left as it is, or reordered with the inverse; a canonical hand may be
    reordered as though it were native.
    """
    slips: list[Slip] = []
    for key, native in NATIVE_ORDERS.items():
        name, order = ORDER_WORDS[key], np.asarray(native)
        for found, what, advice in (
            (order, f"in the joint order of {name}", declare("keypoint_order", key)),
            (
                order[order],
                f"reordered the wrong way round from {name}",
                f'leave them in their order and set "keypoint_order": "{key}"',
            ),
            (
                np.argsort(order),
                f"reordered from {name} though they were canonical",
                f'leave that out, in the code or as "keypoint_order": "{key}"',
            ),
        ):
            as_tuple: Order = tuple(found.tolist())
            if as_tuple != ALL_JOINTS and all(as_tuple != slip.order for slip in slips):
                slips.append(Slip(as_tuple, what, advice))
    return slips


def _list_advice(order: Order) -> str:
    return (
        'write them in canonical order, or where "keypoint_order" is canonical now, set it to '
        f"{keypoint_order(order)}"
    )


def keypoint_order(order: Sequence[int]) -> list[int]:
    """The list for ``keypoint_order`` in a predictions file: which joint stands at each place.

    Parameters
    ----------
    order
        ``canonical[k] = found[order[k]]``.

    >>> keypoint_order([0, 4, 3, 2, 1, *range(5, 21)])[:6]
    [0, 4, 3, 2, 1, 5]
    """
    places: list[int] = np.argsort(np.asarray(order)).tolist()
    return places


def best_order(hands: Hands) -> Order | None:
    """The order that brings predicted joints nearest to the true ones, whatever it is.

    Parameters
    ----------
    hands
        2D or 3D hands; those with all joints labelled are used, since the centre of some joints
        depends on which they are.

    Returns
    -------
    `order` with ``canonical[k] = found[order[k]]``, or None: as it is, or too few hands.
    """
    whole = hands.valid.all(axis=1)
    if whole.sum() < _FEWEST_FOR_AVERAGES:
        return None
    found, expected = _shape(hands.predicted[whole]), _shape(hands.labelled[whole])
    cost = np.empty((NUM_JOINTS, NUM_JOINTS))
    for joint in ALL_JOINTS:
        away = np.sqrt(((found - expected[:, joint, None]) ** 2).sum(axis=-1))
        cost[joint] = away.mean(axis=0)
    if (cost.argmin(axis=1) == np.arange(NUM_JOINTS)).all():
        return None  # nothing is nearer than itself, and scipy takes a second to import

    from scipy.optimize import linear_sum_assignment

    order: Order = tuple(linear_sum_assignment(cost)[1].tolist())
    return None if order == ALL_JOINTS else order


def bone_faults(hands: Hands) -> str | None:
    """Sentence if the bones of the predictions alone cannot be those of a hand.

    Along a finger they get shorter on average, and none is longer than 0.6 of the hand. A rule
    that the truth itself breaks, as many fists or views along the fingers do, says nothing.

    Parameters
    ----------
    hands
        2D or 3D hands.
    """
    if hands.collapsed or _poses(hands.predicted) < _VARIED * _poses(hands.labelled):
        return None
    found = _bones(hands.predicted, np.ones_like(hands.valid))
    expected = _bones(hands.labelled, hands.valid)
    if min(len(found), len(expected)) < _FEWEST_FOR_AVERAGES:
        return None
    length, true_length = np.median(found, axis=0), np.median(expected, axis=0)
    longest = int(np.argmax(length - true_length))
    advice = 'are the joints in canonical order? See "keypoint_order"'
    if length[longest] > max(_LONGEST_BONE, _WORSE * true_length[longest]):
        parent, child = (JOINT_NAMES[joint] for joint in BONES[longest])
        return (
            f"{hands.space} hands have impossible bones: expected none longer than "
            f"{_LONGEST_BONE} of the hand, found {length[longest]:.2f} from {parent} to {child} "
            f"(truth {true_length[longest]:.2f}); {advice}"
        )
    levels, true_levels = _levels(length), _levels(true_length)
    grown = 1 + int(levels[1:].argmax())
    # The mean of many views has short fingers of any proportion, but none too long.
    too_long = levels[grown] > _WORSE * max(levels[0], true_levels[grown])
    # In noise the bones of a finger are equally long, and either one wins in half of the hands.
    if too_long and _grows(found, grown) >= MOST and _grows(expected, grown) < 1 - MOST:
        return (
            f"{hands.space} fingers grow towards their tips: expected bones in the ratio "
            f"{_ratio(true_levels)} from knuckle to tip, found {_ratio(levels)}; {advice}"
        )
    return None


def mesh_disagrees(sample: Matched) -> str | None:
    """Sentence if joints are much worse than the mesh of the same model, both aligned by itself.

    Parameters
    ----------
    sample
        Predictions in the rows of the truth, with vertices on both sides; else None.
    """
    truth = sample.truth
    if (
        sample.keypoints_3d is None
        or truth.keypoints_3d is None
        or sample.vertices is None
        or truth.vertices is None
        or sample.vertices.shape != truth.vertices.shape
    ):
        return None
    rows = np.flatnonzero(
        np.isfinite(sample.keypoints_3d).all(axis=(1, 2))
        & np.isfinite(sample.vertices).all(axis=(1, 2))
        & np.isfinite(truth.vertices).all(axis=(1, 2))
        & truth.valid_3d.all(axis=1)
    )
    rows = every_nth(rows, _MESH_HANDS)
    if len(rows) < FEWEST:
        return None
    joints = _aligned_mm(sample.keypoints_3d[rows], truth.keypoints_3d[rows])
    mesh = _aligned_mm(sample.vertices[rows], truth.vertices[rows])
    if joints < max(_BAD_JOINTS_MM, _JOINTS_OVER_MESH * mesh):
        return None
    return (
        f"joints are off by {joints:.1f} mm after Procrustes alignment, but the mesh only by "
        f"{mesh:.1f} mm ({len(rows):,} hands): expected about the same of one model; are the "
        'joints in canonical order ("keypoint_order"), and of the same hands as the mesh?'
    )


def _aligned_mm(points: npt.NDArray[np.floating], truth: npt.NDArray[np.floating]) -> float:
    valid = np.ones(points.shape[:2], dtype=bool)
    return MM_PER_M * mean(keypoint_errors(align_procrustes(points, truth, valid), truth, valid))


def _shape(points: Floats) -> Floats:
    """Hands (N, 21, D) about their centre in units of their own size."""
    centred = points - points.mean(axis=1, keepdims=True)
    size = np.sqrt((centred**2).sum(axis=-1).mean(axis=1))
    shape: Floats = centred / np.where(size > 0, size, 1.0)[:, None, None]
    return shape


def _poses(points: Floats) -> float:
    """How much hands vary about their mean, once they are centred and of one size."""
    shape = _shape(points[np.isfinite(points).all(axis=(1, 2))])
    return float(np.sqrt(shape.var(axis=0).sum())) if len(shape) else 0.0


def _bones(points: Floats, valid: npt.NDArray[np.bool_]) -> Floats:
    """Length (M, 20) of every bone of the whole hands, as a share of the hand's diagonal."""
    whole = points[valid.all(axis=1)]
    diagonal = np.linalg.norm(np.ptp(whole, axis=1), axis=-1) if len(whole) else np.zeros(0)
    whole, diagonal = whole[diagonal > 0], diagonal[diagonal > 0]
    lengths: Floats = bone_lengths(whole) / diagonal[:, None]
    return lengths


def _levels(bones: Floats) -> Floats:
    """Mean over fingers (..., 3) of the bones (..., 20) from knuckle to tip."""
    # Bone j - 1 ends in joint j.
    chains = [bones[..., [joint - 1 for joint in joints[1:]]] for joints in FINGERS.values()]
    levels: Floats = np.mean(chains, axis=0)
    return levels


def _grows(bones: Floats, level: int) -> float:
    """Share of hands whose bones of `level` are longer than those at the knuckles."""
    levels = _levels(bones)
    return float((levels[:, level] > levels[:, 0]).mean())


def _ratio(levels: Floats) -> str:
    return " : ".join(f"{length:.2f}" for length in levels)
