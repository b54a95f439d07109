from __future__ import annotations

from pathlib import Path

import pytest
import torch
from generators.tiny_hdf5 import write_tiny

from handbench.errors import TrainError
from handbench.models.baseline import Baseline
from handbench.models.codecs import Unbiased
from handbench.models.heatmaps import gaussian_targets
from handbench.models.inference import (
    choose_device,
    choose_precision,
    locate,
    predict_heatmaps,
    view_matrices,
)
from handbench.models.looks import Looks
from handbench.models.rows import HandRows


class Brightest(Baseline):
    """Stands in for a network: every heatmap is the image's red channel, averaged 4×4."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        maps = torch.nn.functional.avg_pool2d(images[:, :1], 4)
        return maps.expand(-1, self.joints, -1, -1)


class Dots:
    """64×48 images with one Gaussian dot each, at `points` in stored px."""

    size = (48, 64)

    def __init__(self, points: torch.Tensor) -> None:
        everything = torch.ones(len(points), 1, dtype=torch.bool)
        maps, _ = gaussian_targets(points[:, None], everything, self.size, stride=1, sigma=5.0)
        self.images = (255 * maps).to(torch.uint8).expand(-1, 3, -1, -1)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, positions: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
        return self.images[positions], torch.tensor(positions)


@pytest.mark.parametrize("size", [64, 128])
@pytest.mark.parametrize(
    "looks",
    [
        Looks(),
        Looks(flip=True),
        Looks(views=True),
        Looks(sides=True),
        Looks(flip=True, views=True),
        Looks(views=True, sides=True),
    ],
    ids=str,
)
def test_points_come_back_in_stored_pixels(size: int, looks: Looks) -> None:
    points = torch.tensor([[20.0, 15.0], [41.3, 30.6], [33.2, 22.2]])
    network = Brightest(18)
    found = locate(
        network,
        Dots(points),
        size=size,
        codec=Unbiased(),
        device="cpu",
        batch_size=2,
        looks=looks,
    )
    assert found.keypoints.shape == (3, 21, 2)
    assert torch.from_numpy(found.keypoints[:, 0]).sub(points).abs().max() < 0.3
    assert found.peaks.shape == (3, 21)
    assert found.ms_per_image > 0


def test_a_view_in_which_the_network_errs_does_not_count() -> None:
    """Four of nine views find the dot elsewhere; the median is the place of the other five."""
    calls = 0

    def err(_: Baseline, inputs: tuple[torch.Tensor]) -> tuple[torch.Tensor]:
        nonlocal calls
        calls += 1
        return (inputs[0].roll((12, -8), (-1, -2)),) if calls in (1, 2, 6, 8) else inputs

    network = Brightest(18)
    network.register_forward_pre_hook(err)
    points = torch.tensor([[32.0, 24.0], [36.3, 27.6]])
    found = locate(
        network, Dots(points), size=64, codec=Unbiased(), device="cpu", looks=Looks(views=True)
    )
    assert calls == 9
    assert torch.from_numpy(found.keypoints[:, 0]).sub(points).abs().max() < 0.3


def seen_twice(dim: float, wrong: dict[int, int]) -> tuple[torch.Tensor, torch.Tensor]:
    """Dots, and where the side test finds them.

    The network takes images in this order: all as they are, then all mirrored. Call `c` finds the
    dot of image `wrong[c]` elsewhere, and with only a share `dim` of its brightness.
    """
    calls = 0

    def err(_: Baseline, inputs: tuple[torch.Tensor]) -> tuple[torch.Tensor]:
        nonlocal calls
        calls += 1
        images = inputs[0].clone()
        if calls in wrong:
            image = wrong[calls]
            images[image] = dim * images[image].roll((12, -8), (-1, -2))
        return (images,)

    network = Brightest(18)
    network.register_forward_pre_hook(err)
    points = torch.tensor([[32.0, 24.0], [26.3, 27.6]])
    looks = Looks(sides=True)
    found = locate(network, Dots(points), size=64, codec=Unbiased(), device="cpu", looks=looks)
    assert calls == 2
    return points, torch.from_numpy(found.keypoints[:, 0])


def test_the_surer_side_counts_hand_by_hand() -> None:
    points, found = seen_twice(0.7, {1: 0, 2: 1})
    assert (found - points).abs().max() < 0.3


def test_a_side_that_is_hardly_surer_does_not_count() -> None:
    points, found = seen_twice(0.97, {1: 0})
    assert (found[0] - points[0]).abs().max() > 5
    points, found = seen_twice(1.0, {2: 0})
    assert (found - points).abs().max() < 0.3


def test_views_turn_and_resize_about_the_centre() -> None:
    views = view_matrices(64)
    assert len(views) == 9
    center = torch.tensor([31.5, 31.5, 1.0], dtype=torch.float64)
    for view in views:
        torch.testing.assert_close(view @ center, center)
    assert sorted({round(float(view[:2, :2].det()) ** 0.5, 6) for view in views}) == [0.9, 1, 1.1]
    assert torch.equal(views[4], torch.eye(3, dtype=torch.float64))
    turns = [float(torch.rad2deg(torch.atan2(view[1, 0], view[0, 0]))) for view in views]
    assert turns == pytest.approx([-15] * 3 + [0] * 3 + [15] * 3)


def test_a_box_factor_shows_the_middle_of_the_image() -> None:
    points = torch.tensor([[32.0, 24.0], [41.3, 30.6]])
    seen: list[torch.Tensor] = []
    network = Brightest(18)
    network.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    found = locate(network, Dots(points), size=64, codec=Unbiased(), box_factor=0.5, device="cpu")
    assert torch.from_numpy(found.keypoints[:, 0]).sub(points).abs().max() < 0.3
    # Twice as large: the second dot is as far from the centre as twice its stored distance.
    y, x = divmod(int(seen[0][1, 0].argmax()), 64)
    assert (x, y) == (round(31.5 + 2 * (41.3 - 31.5)), round(31.5 + 2 * (30.6 - 23.5)))


def test_progress_counts_images() -> None:
    seen: list[int] = []
    dots = Dots(torch.full((5, 2), 20.0))
    locate(
        Brightest(18),
        dots,
        size=64,
        codec=Unbiased(),
        device="cpu",
        batch_size=2,
        advance=seen.append,
    )
    assert seen == [2, 2, 1]


def test_flip_test_on_the_center_grid_changes_nothing_for_a_symmetric_network() -> None:
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    network = Brightest(18)
    once = predict_heatmaps(network, images, codec=Unbiased(), flip_test=False)
    twice = predict_heatmaps(network, images, codec=Unbiased(), flip_test=True)
    torch.testing.assert_close(once, twice)


def test_flip_test_on_the_corner_grid_shifts_the_mirror_image_by_one_cell() -> None:
    images = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    network = Brightest(18)
    once = predict_heatmaps(network, images, codec=Unbiased(grid="corner"), flip_test=False)
    twice = predict_heatmaps(network, images, codec=Unbiased(grid="corner"), flip_test=True)
    torch.testing.assert_close(twice[..., 1:], (once[..., 1:] + once[..., :-1]) / 2)
    torch.testing.assert_close(twice[..., 0], once[..., 0])


def test_the_network_predicts_in_evaluation_mode(tmp_path: Path) -> None:
    data = write_tiny(tmp_path / "t.h5", {"test": 3}, size=32)
    network = Baseline(18)
    rows = HandRows([(data, "test", None)])
    alone = locate(network.train(), rows, size=32, codec=Unbiased(), device="cpu", batch_size=1)
    together = locate(network.train(), rows, size=32, codec=Unbiased(), device="cpu", batch_size=3)
    assert not network.training
    assert alone.peaks == pytest.approx(together.peaks, rel=1e-3)


def test_absent_devices_are_refused() -> None:
    absent = "mps" if not torch.backends.mps.is_available() else "cuda"
    with pytest.raises(TrainError, match=f"--device {absent} was asked for"):
        choose_device(absent)
    assert choose_device("cpu") == torch.device("cpu")


def test_precision_of_a_cpu_is_fp32_and_never_fp16() -> None:
    cpu = torch.device("cpu")
    assert choose_precision("auto", cpu) == "fp32"
    assert choose_precision("bf16", cpu) == "bf16"
    with pytest.raises(TrainError, match="fp16 needs a CUDA device, found cpu"):
        choose_precision("fp16", cpu)
