from __future__ import annotations

import pytest
import torch
from generators.small_network import small_network

from handbench.models.architecture import Normalisation
from handbench.models.augment import (
    Augmentation,
    ColourChanges,
    Erasures,
    fit_matrix,
    sample_colours,
    sample_matrices,
    transform_points,
)
from handbench.models.baseline import Baseline
from handbench.models.pixels import MEAN_ROWS, erase_, make_pixels, warp_images

STRONG = Augmentation(flip=0.5, rotation=180, scale=0.4, shift=0.1)


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noise(count: int, height: int = 64, width: int = 64) -> torch.Tensor:
    """(N, 3, H, W) uint8, laid out as rows hand it out."""
    images = torch.randint(0, 256, (count, height, width, 3), dtype=torch.uint8, generator=rng())
    return images.permute(0, 3, 1, 2)


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
    assert (centroid(warped) - moved)[inside].norm(dim=-1).max() < 0.05


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


def test_outside_of_the_image_is_black() -> None:
    white = torch.full((1, 3, 32, 64), 255, dtype=torch.uint8)
    warped = warp_images(white, fit_matrix(32, 64, 64)[None], 64)
    assert (warped[..., :15, :] == 0).all()
    assert (warped[..., 17:47, :] == 1).all()


SINGLE = {
    "rotation": Augmentation(rotation=180),
    "flip": Augmentation(flip=1.0),
    "scale": Augmentation(scale=0.4),
    "shift": Augmentation(shift=0.12),
}


@pytest.mark.parametrize("change", SINGLE)
@pytest.mark.parametrize("threads", [1, 2])
def test_a_dot_lands_where_its_keypoint_goes(change: str, threads: int) -> None:
    points = 64 + (torch.rand(15, 2, generator=rng()) - 0.5) * 40
    matrices = sample_matrices(15, (128, 128), 128, SINGLE[change], rng(1))
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        warped = warp_images(dots(points, 128, 128), matrices, 128)
    finally:
        torch.set_num_threads(before)
    moved = transform_points(matrices, points[:, None].double())[:, 0]
    assert not torch.allclose(moved, points.double(), atol=0.5)
    assert (centroid(warped) - moved).norm(dim=-1).max() < 0.05


def test_pixels_are_sampled_as_a_plain_loop_samples_them() -> None:
    images = noise(2, 9, 12)
    matrices = sample_matrices(2, (9, 12), 8, STRONG, rng(3))
    found = warp_images(images, matrices, 8) * 255
    for number in range(2):
        back = torch.linalg.inv(matrices[number])
        for row in range(8):
            for column in range(8):
                x, y, _ = (back @ torch.tensor([column, row, 1.0]).double()).tolist()
                expected = torch.zeros(3)
                for v in range(9):
                    for u in range(12):
                        weight = max(0, 1 - abs(x - u)) * max(0, 1 - abs(y - v))
                        expected += weight * images[number, :, v, u]
                torch.testing.assert_close(
                    found[number, :, row, column], expected, atol=1e-2, rtol=0
                )


def step_by_step(
    images: torch.Tensor,
    mean: torch.Tensor,
    factors: dict[str, torch.Tensor],
    normalisation: Normalisation,
) -> torch.Tensor:
    """Change 0 … 1 images one thing after another; `factors` are (N, 1, 1, 1) or (N, 3, 1, 1)."""
    grey = images.mean(dim=1, keepdim=True)
    images = grey + factors["saturation"] * (images - grey)
    images = mean[:, None, None, None] + factors["contrast"] * (images - mean[:, None, None, None])
    images = images * factors["brightness"] * factors["gains"]
    images = images.clamp(0, 1)
    if normalisation.channel_order == "bgr":
        images = images.flip(1)
    shape = (1, 3, 1, 1)
    return (images - torch.tensor(normalisation.mean).view(shape)) / torch.tensor(
        normalisation.std
    ).view(shape)


@pytest.mark.parametrize("order", ["rgb", "bgr"])
def test_the_colour_matrix_is_every_step_after_the_other(order: str) -> None:
    count, augmentation = 6, Augmentation(colour=0.4, tint=0.2)
    images, matrices = noise(count), sample_matrices(count, (64, 64), 96, STRONG, rng(1))
    normalisation = Normalisation(order)  # type: ignore[arg-type]
    draws = rng(2)
    drawn = 1 + 0.4 * (2 * torch.rand(3, count, generator=draws) - 1)
    gains = 1 + 0.2 * (2 * torch.rand(count, 3, generator=draws) - 1)
    factors = {
        name: values[:, None, None, None]
        for name, values in zip(("brightness", "contrast", "saturation"), drawn)
    }
    factors["gains"] = gains[..., None, None]
    mean = images[:, :, ::MEAN_ROWS].float().mean(dim=(1, 2, 3)) / 255
    expected = step_by_step(warp_images(images, matrices, 96), mean, factors, normalisation)
    found = make_pixels(
        images,
        matrices,
        96,
        colours=sample_colours(count, augmentation, rng(2)),
        normalisation=normalisation,
    )
    limits = step_by_step(
        torch.tensor([0.0, 1.0])[:, None, None, None].expand(2, 3, 1, 1),
        torch.zeros(2),
        dict.fromkeys((*factors,), torch.ones(1, 1, 1, 1)),
        normalisation,
    )
    assert (found == limits[1]).any(), "nothing was clipped: the test says nothing about it"
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_images_without_colours_are_grey() -> None:
    images = noise(2)
    colours = sample_colours(2, Augmentation(grey=1.0), rng())
    found = make_pixels(images, torch.eye(3).double().expand(2, 3, 3), 64, colours=colours)
    grey = images.float().mean(dim=1, keepdim=True).expand(-1, 3, -1, -1) / 255
    torch.testing.assert_close(found, grey, atol=1e-5, rtol=0)


def test_pixels_outside_are_changed_as_black_ones_are() -> None:
    image = torch.full((1, 3, 32, 64), 255, dtype=torch.uint8)
    # Contrast of a half: black goes up to half of the mean, which is 1.
    colours = ColourChanges(torch.eye(3)[None] / 2, torch.full((1, 3), 0.5))
    found = make_pixels(image, fit_matrix(32, 64, 64)[None], 64, colours=colours)
    torch.testing.assert_close(found[..., :15, :], torch.full((1, 3, 15, 64), 0.5))


@pytest.mark.parametrize("order", ["rgb", "bgr"])
def test_a_network_makes_the_same_of_images_and_of_normalised_ones(order: str) -> None:
    normalisation = Normalisation(order)  # type: ignore[arg-type]
    with small_network():
        network = Baseline(18, normalisation=normalisation).eval()
    images, matrices = noise(2), sample_matrices(2, (64, 64), 64, STRONG, rng(1))
    with torch.inference_mode():
        plain = network(warp_images(images, matrices, 64))
        ready = network(
            make_pixels(images, matrices, 64, normalisation=normalisation), normalised=True
        )
    torch.testing.assert_close(ready, plain, atol=1e-6, rtol=1e-4)


def test_memory_is_used_again_if_it_fits() -> None:
    images, matrices = noise(3), sample_matrices(3, (64, 64), 32, STRONG, rng(1))
    first = make_pixels(images, matrices, 32)
    expected = first.clone()
    again = make_pixels(images, matrices, 32, out=first.fill_(7.0))
    assert again.data_ptr() == first.data_ptr()
    assert torch.equal(again, expected)
    assert len(make_pixels(images[:2], matrices[:2], 32, out=first)) == 2


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_the_number_of_threads_changes_nothing(threads: int) -> None:
    images, matrices = noise(5), sample_matrices(5, (64, 64), 64, STRONG, rng(1))
    colours = sample_colours(5, Augmentation(colour=0.4), rng(2))
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(5)
        expected = make_pixels(images, matrices, 64, colours=colours)
        torch.set_num_threads(threads)
        found = make_pixels(images, matrices, 64, colours=colours)
    finally:
        torch.set_num_threads(before)
    assert torch.equal(found, expected)


def test_colours_keep_their_precision_under_autocast() -> None:
    images, matrices = noise(2), sample_matrices(2, (64, 64), 64, STRONG, rng(1))
    expected = make_pixels(images, matrices, 64, normalisation=Normalisation())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = make_pixels(images, matrices, 64, normalisation=Normalisation())
    assert torch.equal(found, expected)


@pytest.mark.parametrize("order", ["rgb", "bgr"])
def test_rectangles_are_painted_in_the_colours_drawn(order: str) -> None:
    normalisation = Normalisation(order)  # type: ignore[arg-type]
    pixels = torch.zeros(2, 3, 8, 8)
    colour = torch.tensor([[0.2, 0.4, 0.6], [1.0, 1.0, 1.0]])
    boxes = torch.tensor([[1, 2, 4, 8], [0, 0, 0, 0]])
    erase_(pixels, Erasures(boxes, colour), normalisation)
    seen = colour[0].flip(0) if order == "bgr" else colour[0]
    expected = (seen - torch.tensor(normalisation.mean)) / torch.tensor(normalisation.std)
    torch.testing.assert_close(pixels[0, :, 2:8, 1:4], expected[:, None, None].expand(3, 6, 3))
    pixels[0, :, 2:8, 1:4] = 0
    assert not pixels.any()
    plain = torch.zeros(2, 3, 8, 8)
    erase_(plain, Erasures(boxes, colour))
    torch.testing.assert_close(plain[0, :, 5, 2], colour[0])
    erase_(plain, None)


@pytest.mark.gpu
def test_a_gpu_makes_the_same_pixels() -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    images, matrices = noise(5), sample_matrices(5, (64, 64), 96, STRONG, rng(1))
    colours = sample_colours(5, Augmentation(colour=0.4, tint=0.1), rng(2))
    more = {"colours": colours, "normalisation": Normalisation("bgr")}
    expected = make_pixels(images, matrices, 96, **more)  # type: ignore[arg-type]
    found = make_pixels(images.cuda(), matrices, 96, **more)  # type: ignore[arg-type]
    torch.testing.assert_close(found.cpu(), expected, atol=2e-4, rtol=0)
