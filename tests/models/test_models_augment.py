from __future__ import annotations

import math

import pytest
import torch

from handbench.models.augment import (
    Augmentation,
    fit_matrix,
    jitter_colours,
    sample_matrices,
    transform_points,
    warp_images,
)

STRONG = Augmentation(flip=0.5, rotation=180, scale=0.4, shift=0.1)


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def dots(points: torch.Tensor, height: int, width: int, radius: float = 4.0) -> torch.Tensor:
    """(N, 3, H, W) uint8 with a soft bright dot at every (N, 2) point."""
    y = torch.arange(height)[:, None] - points[:, 1, None, None]
    x = torch.arange(width)[None, :] - points[:, 0, None, None]
    image = 255 * torch.exp(-(x * x + y * y) / (2 * radius**2))
    return image[:, None].expand(-1, 3, -1, -1).round().to(torch.uint8)


def centroid(images: torch.Tensor) -> torch.Tensor:
    """(N, 2) centre of brightness of (N, 3, H, W)."""
    weight = images[:, 0].double()
    total = weight.sum(dim=(1, 2))
    x = (weight.sum(dim=1) * torch.arange(weight.shape[2])).sum(dim=1) / total
    y = (weight.sum(dim=2) * torch.arange(weight.shape[1])).sum(dim=1) / total
    return torch.stack([x, y], dim=-1)


@pytest.mark.parametrize(
    ("stored", "size"), [((128, 128), 128), ((200, 200), 96), ((96, 128), 160)]
)
def test_a_bright_dot_follows_its_keypoint(stored: tuple[int, int], size: int) -> None:
    height, width = stored
    middle = torch.tensor([width, height]) / 2
    points = middle + (torch.rand(64, 2, generator=rng()) - 0.5) * 0.3 * min(stored)
    matrices = sample_matrices(64, stored, size, STRONG, rng(1))
    warped = warp_images(dots(points, height, width), matrices, size)
    moved = transform_points(matrices, points[:, None].double())[:, 0]
    inside = ((moved > 25) & (moved < size - 25)).all(dim=-1)
    assert inside.sum() > 20
    assert (centroid(warped) - moved)[inside].norm(dim=-1).max() < 0.1


def test_without_augmentation_pixels_stay_as_they_are() -> None:
    images = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8, generator=rng())
    matrices = sample_matrices(2, (64, 64), 64, Augmentation(), rng())
    torch.testing.assert_close(matrices, torch.eye(3, dtype=torch.float64).expand(2, 3, 3))
    torch.testing.assert_close(warp_images(images, matrices, 64), images / 255)


def test_a_flip_mirrors_pixels_exactly_and_keypoints_to_width_minus_one_minus_x() -> None:
    images = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8, generator=rng())
    matrices = sample_matrices(2, (64, 64), 64, Augmentation(flip=1.0), rng())
    warped = warp_images(images, matrices, 64)
    torch.testing.assert_close(warped, images.flip(-1) / 255, atol=1e-4, rtol=0)
    points = torch.tensor([[[0.0, 5.0], [10.25, 7.0]]]).double().expand(2, 2, 2)
    expected = torch.tensor([[[63.0, 5.0], [52.75, 7.0]]]).double().expand(2, 2, 2)
    torch.testing.assert_close(transform_points(matrices, points), expected)


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


def test_outside_of_the_image_is_black() -> None:
    white = torch.full((1, 3, 32, 64), 255, dtype=torch.uint8)
    warped = warp_images(white, fit_matrix(32, 64, 64)[None], 64)
    assert (warped[..., :15, :] == 0).all()
    assert (warped[..., 17:47, :] == 1).all()


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


def test_the_same_generator_gives_the_same_matrices() -> None:
    first, again, other = (sample_matrices(3, (64, 64), 64, STRONG, rng(s)) for s in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_unlabelled_points_stay_unlabelled() -> None:
    matrices = sample_matrices(1, (64, 64), 64, STRONG, rng())
    moved = transform_points(matrices, torch.tensor([[[torch.nan, torch.nan], [1, 2]]]).double())
    assert moved.isnan().all(dim=-1).tolist() == [[True, False]]


def test_colours_change_within_0_and_1_and_only_on_request() -> None:
    images = torch.rand(4, 3, 16, 16, generator=rng())
    changed = jitter_colours(images, 0.4, rng())
    assert jitter_colours(images, 0.0, rng()) is images
    assert changed.shape == images.shape
    assert changed.min() >= 0
    assert changed.max() <= 1
    assert (changed - images).abs().mean(dim=(1, 2, 3)).min() > 0.005
