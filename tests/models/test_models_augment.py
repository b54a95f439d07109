from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from handbench.models.augment import (
    Augmentation,
    fit_matrix,
    sample_colours,
    sample_erasures,
    sample_matrices,
    transform_points,
)
from handbench.models.settings import TrainSettings

STRONG = Augmentation(flip=0.5, rotation=180, scale=0.4, shift=0.1)


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_halving_keeps_the_edges_of_the_image() -> None:
    # x′ = s(x + ½) - ½: the left edge -½ stays, the right edge 127.5 goes to 63.5.
    matrix = fit_matrix(128, 128, 64)
    edges = transform_points(matrix[None], torch.tensor([[[-0.5, 127.5]]]).double())
    torch.testing.assert_close(edges, torch.tensor([[[-0.5, 63.5]]]).double())


def test_a_wide_image_fits_and_is_centred() -> None:
    matrix = fit_matrix(96, 128, 64)
    corners = torch.tensor([[[-0.5, -0.5], [127.5, 95.5]]]).double()
    expected = torch.tensor([[[-0.5, 7.5], [63.5, 55.5]]]).double()
    torch.testing.assert_close(transform_points(matrix[None], corners), expected)


def test_draws_stay_in_their_ranges() -> None:
    augmentation = Augmentation(flip=0.25, rotation=30, scale=0.25, shift=0.1)
    matrices = sample_matrices(4000, (64, 64), 64, augmentation, rng())
    linear = matrices[:, :2, :2]
    determinant = torch.linalg.det(linear)
    factor = determinant.abs().sqrt()
    assert (determinant < 0).float().mean() == pytest.approx(0.25, abs=0.03)
    assert factor.min() == pytest.approx(0.8, abs=0.005)
    assert factor.max() == pytest.approx(1.25, abs=0.005)
    angle = torch.atan2(-linear[:, 0, 1], linear[:, 1, 1]) * 180 / math.pi
    assert angle.abs().max() == pytest.approx(30, abs=0.1)
    centre = transform_points(matrices, torch.full((4000, 1, 2), 31.5).double())
    assert (centre - 31.5).abs().max() == pytest.approx(6.4, abs=0.02)


def test_stretches_keep_area_and_centre_and_stay_in_their_range() -> None:
    matrices = sample_matrices(2000, (64, 64), 64, Augmentation(stretch=0.5), rng())
    linear = matrices[:, :2, :2]
    torch.testing.assert_close(torch.linalg.det(linear), torch.ones(2000, dtype=torch.float64))
    widths = torch.linalg.svdvals(linear)
    ratio = widths[:, 0] / widths[:, 1]
    assert ratio.max() == pytest.approx(1.5, abs=0.01)
    assert ratio.min() == pytest.approx(1.0, abs=0.01)
    centre = torch.full((2000, 1, 2), 31.5).double()
    torch.testing.assert_close(transform_points(matrices, centre), centre)
    # Along any direction: the first axis is as often made longer as shorter.
    assert (linear[:, 0, 0] > 1).float().mean() == pytest.approx(0.5, abs=0.05)


def test_the_same_generator_gives_the_same_matrices() -> None:
    first, again, other = (sample_matrices(3, (64, 64), 64, STRONG, rng(s)) for s in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_unlabelled_points_stay_unlabelled() -> None:
    matrices = sample_matrices(1, (64, 64), 64, STRONG, rng())
    moved = transform_points(matrices, torch.tensor([[[torch.nan, torch.nan], [1, 2]]]).double())
    assert moved.isnan().all(dim=-1).tolist() == [[True, False]]


def test_colours_of_the_same_generator_are_the_same_and_none_without_changes() -> None:
    assert sample_colours(3, Augmentation(), rng()) is None
    every = Augmentation(colour=0.3, tint=0.1, grey=0.5)
    first, again, other = (sample_colours(3, every, rng(s)) for s in (1, 1, 2))
    assert first is not None
    assert again is not None
    assert other is not None
    assert torch.equal(first.matrices, again.matrices)
    assert torch.equal(first.pivots, again.pivots)
    assert not torch.equal(first.matrices, other.matrices)


def test_grey_images_are_as_many_as_asked_for_and_have_three_equal_rows() -> None:
    changes = sample_colours(4000, Augmentation(colour=0.3, tint=0.2, grey=0.25), rng())
    assert changes is not None
    same = (changes.matrices - changes.matrices[:, :1]).abs().amax(dim=(1, 2)) < 1e-6
    assert same.float().mean().item() == pytest.approx(0.25, abs=0.03)
    assert torch.equal(changes.pivots[same], changes.pivots[same][:, :1].expand(-1, 3))


def test_a_setting_of_zero_takes_no_draws() -> None:
    one, other = rng(), rng()
    sample_colours(5, Augmentation(colour=0.25), one)
    torch.rand(3, 5, generator=other)
    assert torch.equal(one.get_state(), other.get_state())
    assert sample_erasures(5, 64, Augmentation(), one) is None
    assert torch.equal(one.get_state(), other.get_state())


def test_rectangles_lie_within_the_image_and_are_as_many_as_asked_for() -> None:
    erasures = sample_erasures(4000, 100, Augmentation(erase=0.4), rng())
    assert erasures is not None
    left, top, right, bottom = erasures.boxes.T
    there = right > 0
    assert there.float().mean().item() == pytest.approx(0.4, abs=0.03)
    assert (erasures.boxes[~there] == 0).all()
    sides = torch.stack([right - left, bottom - top])[:, there]
    assert (sides.min(), sides.max()) == (10, 35)
    assert (left.min(), top.min(), right.max(), bottom.max()) == (0, 0, 100, 100)


def test_augmentation_is_what_the_settings_say() -> None:
    settings = TrainSettings(data=(), out=Path(), rotation=33, erase=0.2, spread="clipped")
    augmentation = Augmentation.of(settings)
    assert (augmentation.rotation, augmentation.erase, augmentation.spread) == (33, 0.2, "clipped")
    assert augmentation.colour == TrainSettings.colour


def drawn(augmentation: Augmentation, count: int = 20000) -> tuple[torch.Tensor, ...]:
    """Angles in degrees, sizes of the hand and shifts in sides (N, 2) of many matrices."""
    matrices = sample_matrices(count, (64, 64), 64, augmentation, rng())
    angle = torch.rad2deg(torch.atan2(matrices[:, 1, 0], matrices[:, 0, 0]))
    factor = matrices[:, :2, 0].norm(dim=-1)
    center = torch.full((count, 1, 2), 31.5, dtype=torch.float64)
    shift = (transform_points(matrices, center)[:, 0] - 31.5) / 64
    return angle, factor, shift


def test_clipped_changes_are_those_of_simple_baselines() -> None:
    angle, factor, shift = drawn(
        Augmentation(rotation=80, scale=0.3, spread="clipped", rotation_share=0.6)
    )
    turned = angle[angle.abs() > 1e-9]
    assert len(turned) / len(angle) == pytest.approx(0.6, abs=0.02)
    # clip(40 n, -80, 80): 68.3 % within one deviation, 4.6 % clipped.
    assert (turned.abs() < 40).double().mean().item() == pytest.approx(0.683, abs=0.02)
    assert (turned.abs() > 80 - 1e-6).double().mean().item() == pytest.approx(0.0455, abs=0.01)
    # clip(1 + 0.3 n, 0.7, 1.3) is the box: 31.7 % at one of its ends.
    box = 1 / factor
    assert box.min().item() == pytest.approx(0.7)
    assert box.max().item() == pytest.approx(1.3)
    at_ends = ((box < 0.7 + 1e-9) | (box > 1.3 - 1e-9)).double().mean()
    assert at_ends.item() == pytest.approx(0.317, abs=0.02)
    assert shift.abs().max() < 1e-9


def test_truncated_changes_are_those_of_mmpose() -> None:
    angle, factor, shift = drawn(
        Augmentation(
            rotation=180, scale=0.3, shift=0.25, spread="truncated", rotation_share=0.6,
            shift_share=0.3,
        )
    )  # fmt: skip
    # A normal distribution cut at ±1 has 56.1 % within half a deviation and deviation 0.5396.
    turned = angle[angle.abs() > 1e-9]
    assert len(turned) / len(angle) == pytest.approx(0.6, abs=0.02)
    assert (turned.abs() < 90).double().mean().item() == pytest.approx(0.561, abs=0.02)
    box = 1 / factor
    assert 0.7 <= box.min() < 0.71
    assert 1.29 < box.max() <= 1.3
    assert box.std().item() == pytest.approx(0.3 * 0.5396, rel=0.03)
    moved = shift[(shift.abs() > 1e-9).any(dim=-1)]
    # Both axes of an image move, or none.
    assert (moved.abs() > 1e-9).all()
    assert len(moved) / len(shift) == pytest.approx(0.3, abs=0.02)
    assert 0.24 < moved.abs().max() <= 0.25


def test_shares_of_one_take_no_further_draws() -> None:
    one, other = rng(), rng()
    sample_matrices(5, (64, 64), 64, STRONG, one)
    torch.rand(5, 5, generator=other, dtype=torch.float64)
    assert torch.equal(one.get_state(), other.get_state())


def test_a_box_factor_magnifies_about_the_centre() -> None:
    matrix = fit_matrix(100, 100, 64, 0.8)
    corners = torch.tensor([[[9.5, 9.5], [89.5, 89.5]]], dtype=torch.float64)
    moved = transform_points(matrix[None], corners)
    torch.testing.assert_close(moved, torch.tensor([[[-0.5, -0.5], [63.5, 63.5]]]).double())
