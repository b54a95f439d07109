from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from handbench.hand import FINGERS, PARENTS
from handbench.models.augment import Augmentation
from handbench.models.pixels import make_pixels
from handbench.models.warps import Warps, sample_warps

SIZE = 128
STRONG = Augmentation(bend=0.15, fingers=25.0)


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def flat_hand(count: int = 1) -> torch.Tensor:
    """(N, 21, 2) px: a wrist below, and five straight fingers that fan out."""
    points = torch.empty(21, 2)
    points[0] = torch.tensor([76.0, 104.0])
    for finger, angle in zip(FINGERS.values(), (-70, -25, -5, 15, 35)):
        direction = torch.tensor([math.sin(math.radians(angle)), -math.cos(math.radians(angle))])
        for place, joint in enumerate(finger):
            points[joint] = points[0] + direction * (26 + 12 * place)
    return points.repeat(count, 1, 1)


def drawn(points: torch.Tensor, augmentation: Augmentation, seed: int = 0) -> Warps:
    warps = sample_warps(points, SIZE, augmentation, rng(seed))
    assert warps is not None
    return warps


def test_nothing_bends_without_being_asked() -> None:
    assert sample_warps(flat_hand(), SIZE, Augmentation(rotation=30), rng()) is None


def test_the_same_generator_gives_the_same_warps() -> None:
    first, again, other = (drawn(flat_hand(3), STRONG, seed) for seed in (1, 1, 2))
    assert torch.equal(first.field, again.field)
    assert torch.equal(first.points, again.points)
    assert not torch.equal(first.field, other.field)


def test_fingers_turn_about_their_bases_within_their_range() -> None:
    before = flat_hand(2000)
    warps = drawn(before, Augmentation(fingers=20.0))
    fingers = torch.tensor(list(FINGERS.values()))
    assert torch.equal(warps.points[:, 0], before[:, 0])
    assert torch.equal(warps.points[:, fingers[:, 0]], before[:, fingers[:, 0]])

    def bones(points: torch.Tensor) -> torch.Tensor:
        return points[:, fingers[:, 1:]] - points[:, fingers[:, :1]]

    old, new = (
        torch.view_as_complex(bones(points).contiguous()) for points in (before, warps.points)
    )
    change = new / old
    # A finger is one similarity: all its joints turn by one angle and move by one factor.
    torch.testing.assert_close(change, change[..., :1].expand_as(change), atol=1e-4, rtol=1e-4)
    turn, factor = change[..., 0].angle() * 180 / math.pi, change[..., 0].abs()
    assert turn.abs().max() == pytest.approx(20, abs=0.2)
    assert factor.log().max() == pytest.approx(0.4 * math.radians(20), abs=0.005)
    assert factor.log().min() == pytest.approx(-0.8 * math.radians(20), abs=0.005)
    still = (warps.points == before).all(-1).all(-1)
    assert still.float().mean() == pytest.approx(0.3, abs=0.04)


@pytest.mark.parametrize(
    ("augmentation", "seen_share"),
    [(Augmentation(bend=0.15), 0.999), (Augmentation(fingers=25.0), 0.85), (STRONG, 0.85)],
    ids=["bends", "fingers", "both"],
)
def test_what_the_picture_shows_at_a_keypoint_moves_with_it(
    augmentation: Augmentation, seen_share: float
) -> None:
    """A picture whose colours are its coordinates has each joint's old place at its new one."""
    count = 40
    before = flat_hand(count)
    warps = drawn(before, augmentation, seed=3)
    y, x = torch.meshgrid(torch.arange(SIZE), torch.arange(SIZE), indexing="ij")
    picture = torch.stack([x, y, y]).byte().expand(count, 3, SIZE, SIZE)
    identity = torch.eye(3, dtype=torch.float64).expand(count, 3, 3)
    found = make_pixels(picture, identity, SIZE, field=warps.field) * 255
    places = ((2 * warps.points + 1) / SIZE - 1)[:, None]
    seen = functional.grid_sample(found[:, :2], places, align_corners=False)[:, :, 0]
    inside = (warps.points > 2).all(-1) & (warps.points < SIZE - 3).all(-1)
    off = (seen.transpose(1, 2) - before).norm(dim=-1)[inside]
    assert inside.float().mean() > 0.8
    assert (warps.points - before).norm(dim=-1).max() > 5
    assert off.median() < 0.05
    # Where two fingers come to lie on each other, only one can be seen.
    assert (off < 1).float().mean() > seen_share


def test_unlabelled_joints_stay_unlabelled_and_their_finger_still() -> None:
    before = flat_hand(200)
    before[:, 7] = torch.nan
    warps = drawn(before, Augmentation(fingers=25.0))
    assert warps.field.isfinite().all()
    assert warps.points[:, 7].isnan().all()
    kept = [5, 6, 8]
    assert torch.equal(warps.points[:, kept], before[:, kept])
    assert not torch.equal(warps.points[:, 12], before[:, 12])


def test_a_hand_without_any_label_changes_nothing_but_by_bends() -> None:
    nothing = torch.full((3, 21, 2), torch.nan)
    assert not drawn(nothing, Augmentation(fingers=25.0)).field.any()
    warps = drawn(nothing, STRONG)
    assert warps.field.isfinite().all()
    assert warps.points.isnan().all()


def test_folded_hands_and_joints_on_top_of_each_other_stay_finite() -> None:
    before = torch.full((50, 21, 2), 64.0)
    warps = drawn(before, STRONG)
    assert warps.field.isfinite().all()
    assert warps.points.isfinite().all()
    assert len(PARENTS) == before.shape[1]


@pytest.mark.parametrize("size", [32, 96, 224])
def test_a_field_has_a_cell_for_every_four_pixels(size: int) -> None:
    warps = sample_warps(flat_hand() * size / SIZE, size, STRONG, rng())
    assert warps is not None
    assert warps.field.shape == (1, size // 4, size // 4, 2)
