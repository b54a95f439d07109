from __future__ import annotations

import itertools

import numpy as np
import pytest
from generators.freihand import right_hand
from hypothesis import given
from hypothesis import strategies as st

from handbench import hand
from handbench.errors import HandbenchError


def test_joint_names_are_those_of_the_published_order():
    assert hand.JOINT_NAMES[0] == "wrist"
    assert hand.JOINT_NAMES[1:5] == ("thumb_cmc", "thumb_mcp", "thumb_ip", "thumb_tip")
    parts = ("mcp", "pip", "dip", "tip")
    expected = [f"{f}_{p}" for f in ("index", "middle", "ring", "pinky") for p in parts]
    assert list(hand.JOINT_NAMES[5:]) == expected


def test_bones_are_the_five_published_chains():
    chains = [(0, *range(start, start + 4)) for start in (1, 5, 9, 13, 17)]
    expected = {(a, b) for chain in chains for a, b in itertools.pairwise(chain)}
    assert set(hand.BONES) == expected
    assert len(hand.BONES) == 20
    assert [child for _, child in hand.BONES] == list(range(1, 21))


def test_every_joint_has_one_type_and_one_finger():
    assert sorted(j for joints in hand.JOINT_TYPES.values() for j in joints) == list(range(21))
    fingers = [hand.finger_of(j) for j in range(21)]
    assert fingers == ["wrist"] + [f for f in hand.FINGERS for _ in range(4)]
    assert set(fingers) == set(hand.FINGER_COLORS)


@pytest.mark.parametrize("joint", [-1, 21])
def test_finger_of_an_impossible_joint(joint: int):
    with pytest.raises(IndexError, match=f"0 to 20, not {joint}"):
        hand.finger_of(joint)


@given(order=st.permutations(range(21)))
def test_orders_are_inverse_to_each_other(order: list[int]):
    native = np.arange(2 * 21 * 3.0).reshape(2, 21, 3)
    canonical = hand.to_canonical(native, order)
    assert np.array_equal(canonical[:, 4], native[:, order[4]])
    assert np.array_equal(hand.from_canonical(canonical, order), native)


def test_the_joint_axis_can_be_chosen():
    valid = np.arange(21)[None] + np.array([[0], [100]])
    order = [0, *range(20, 0, -1)]
    assert hand.to_canonical(valid, order, axis=-1)[1].tolist() == [100, *range(120, 100, -1)]


@pytest.mark.parametrize(
    ("order", "message"),
    [
        (list(range(20)), "must list 21 joints, found 20"),
        ([*range(20), 19], r"missing \[20\], repeated or out of range \[19\]"),
        ([*range(20), 21], r"missing \[20\], repeated or out of range \[21\]"),
        ([*range(20), -1], r"missing \[20\], repeated or out of range \[-1\]"),
    ],
)
def test_what_is_no_permutation_is_named(order: list[int], message: str):
    with pytest.raises(HandbenchError, match=message):
        hand.check_permutation(order)


def test_flipped_sides():
    sides = np.array([1, 0, -1], dtype=np.int8)
    flipped = hand.flip_is_right(sides)
    assert flipped.tolist() == [0, 1, -1]
    assert flipped.dtype == np.int8
    assert hand.flip_is_right(flipped).tolist() == sides.tolist()


def test_bone_lengths_of_a_straight_line():
    points = np.zeros((21, 2))
    for finger in hand.FINGERS.values():
        points[list(finger), 0] = [1, 3, 6, 10]
    assert hand.bone_lengths(points).tolist() == [1, 2, 3, 4] * 5


def test_chirality_tells_right_from_left_in_any_pose():
    rng = np.random.default_rng(1)
    hands = np.stack([right_hand(rng) for _ in range(50)])
    turns, _ = np.linalg.qr(rng.normal(size=(50, 3, 3)))
    turns *= np.linalg.det(turns)[:, None, None]  # proper rotations
    turned = np.einsum("nij,nkj->nki", turns, hands)
    assert (hand.chirality(turned) > 0).all()
    assert (hand.chirality(turned * [-1, 1, 1]) < 0).all()
    # OpenGL axes are right-handed too: the sign must not depend on them.
    assert (hand.chirality(turned * [1, -1, -1]) > 0).all()
