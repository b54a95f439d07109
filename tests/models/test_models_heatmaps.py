from __future__ import annotations

import numpy as np
import pytest
import torch

from handbench import heatmaps as reference
from handbench.errors import TrainError
from handbench.heatmaps import GRIDS, Grid
from handbench.models.heatmaps import (
    DECODINGS,
    Decoding,
    blur,
    decode,
    gaussian_targets,
    heatmap_loss,
    to_grid,
    to_pixels,
)


def encode(cells: torch.Tensor, side: int = 56, sigma: float = 2.0) -> torch.Tensor:
    valid = torch.ones(cells.shape[:2], dtype=torch.bool)
    return gaussian_targets(to_pixels(cells, 4), valid, (side * 4, side * 4), sigma=sigma)[0]


def random_cells(low: float, high: float, count: int = 40) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return low + (high - low) * torch.rand(count, 21, 2, generator=generator)


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize(("stride", "sigma"), [(4, 2.0), (2, 1.0), (8, 3.0)])
def test_torch_and_numpy_targets_agree(grid: Grid, stride: int, sigma: float) -> None:
    rng = np.random.default_rng(0)
    points = rng.uniform(-80, 200, (8, 21, 2))
    points[0, 3] = np.nan
    valid = rng.random((8, 21)) < 0.8
    maps, weights = gaussian_targets(
        torch.from_numpy(points), torch.from_numpy(valid), (96, 128), stride, sigma, grid
    )
    arguments = (points, valid, (96, 128), stride, sigma, grid)
    np.testing.assert_allclose(maps, reference.gaussian_targets(*arguments), atol=1e-5)
    np.testing.assert_array_equal(weights, reference.target_weights(*arguments))
    assert 0 < weights.mean() < 0.8


def test_targets_can_be_written_into_an_old_batch() -> None:
    cells = random_cells(0, 55, 3)
    old = torch.full((3, 21, 56, 56), torch.nan)
    valid = torch.ones(3, 21, dtype=torch.bool)
    maps, _ = gaussian_targets(to_pixels(cells, 4), valid, (224, 224), out=old)
    assert maps.data_ptr() == old.data_ptr()
    torch.testing.assert_close(old, encode(cells))


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("argmax", (20.0, 31.0)),
        ("quarter", (20.25, 30.75)),
        ("dark", (20.3, 30.8)),
        ("dark-blur", (20.3, 30.8)),
        ("udp", (20.3, 30.8)),
        ("subpixel", (20.3, 30.8)),
    ],
)
def test_known_answers(method: Decoding, expected: tuple[float, float]) -> None:
    maps = encode(torch.tensor([[[20.3, 30.8]]]))
    points, peaks = decode(maps, method)
    # Second differences of a blurred, cut off Gaussian are off by a few ten thousandths.
    close = 1e-3 if method in ("dark-blur", "udp") else 1e-4
    torch.testing.assert_close(points, torch.tensor([[expected]]), atol=close, rtol=0)
    assert peaks.item() == maps.max().item()


@pytest.mark.parametrize("sigma", [1.0, 2.0, 3.0])
def test_subpixel_returns_what_was_encoded_up_to_the_border(sigma: float) -> None:
    cells = random_cells(-0.5, 55.5)
    points, _ = decode(encode(cells, sigma=sigma))
    assert (points - cells).norm(dim=-1).max() < 0.05


def test_mean_errors_of_the_decoders_on_ideal_gaussians() -> None:
    # Section "what each decoder can reach": argmax 0.384, quarter 0.191, dark 0.
    cells = random_cells(3, 52, 150)
    maps = encode(cells)
    errors = {
        method: (decode(maps, method)[0] - cells).norm(dim=-1).mean().item() for method in DECODINGS
    }
    assert errors["argmax"] == pytest.approx(0.384, abs=0.01)
    assert errors["quarter"] == pytest.approx(0.191, abs=0.01)
    assert errors["dark"] < 1e-3
    assert errors["subpixel"] < 1e-3
    # Its blur sees black outside the map, which bends maps near the border.
    assert errors["dark-blur"] < 5e-3
    assert errors["udp"] < 5e-3


def test_subpixel_is_the_best_decoder_of_noisy_maps_without_a_blur() -> None:
    cells = random_cells(3, 52, 100)
    noise = torch.randn(100, 21, 56, 56, generator=torch.Generator().manual_seed(2))
    maps = encode(cells) + 0.02 * noise
    errors = {method: (decode(maps, method)[0] - cells).norm(dim=-1).mean() for method in DECODINGS}
    sharp = ("subpixel", "dark", "quarter", "argmax")
    assert min(sharp, key=errors.__getitem__) == "subpixel"
    assert errors["dark-blur"] < errors["udp"] < errors["dark"]


@pytest.mark.parametrize("method", DECODINGS)
@pytest.mark.parametrize("fill", [0.0, -1.0, 1.0])
def test_flat_maps_decode_to_their_first_cell(method: Decoding, fill: float) -> None:
    points, peaks = decode(torch.full((2, 21, 16, 12), fill), method)
    # UDP's blur makes the corner of a white map darker, and it is decoded there too.
    assert points.abs().max() <= (0.5 if method == "udp" and fill > 0 else 0)
    assert (peaks == fill).all()


@pytest.mark.parametrize("method", ["subpixel", "quarter"])
def test_noise_decodes_to_points_near_its_highest_cell(method: Decoding) -> None:
    maps = torch.randn(8, 21, 16, 16, generator=torch.Generator().manual_seed(3))
    points, _ = decode(maps, method)
    highest, _ = decode(maps, "argmax")
    assert torch.isfinite(points).all()
    assert (points - highest).abs().max() <= 1.5


def test_a_lone_spike_stays_where_it_is() -> None:
    maps = torch.full((8, 64, 8, 8), -1.0)
    maps.view(8, 64, 64)[:, range(64), range(64)] = torch.linspace(0.5, 2.0, 8)[:, None]
    points, peaks = decode(maps)
    cells = torch.tensor([(i % 8, i // 8) for i in range(64)], dtype=torch.float32)
    away = (points - cells).abs().amax(dim=-1)
    assert away.max() < 1  # at the border half of the window says nothing
    inside = ((cells >= 2) & (cells <= 5)).all(dim=-1)
    assert away[:, inside].max() < 1e-3
    assert torch.equal(peaks, torch.linspace(0.5, 2.0, 8)[:, None].expand(8, 64))


def test_maps_without_a_positive_value_decode_to_their_highest_cell() -> None:
    maps = -1.0 - torch.rand(4, 21, 8, 8, generator=torch.Generator().manual_seed(0))
    assert torch.equal(decode(maps)[0], decode(maps, "argmax")[0])


def test_half_precision_maps_are_decoded_in_float32() -> None:
    cells = random_cells(3, 52, 4)
    points, _ = decode(encode(cells).to(torch.bfloat16))
    assert points.dtype == torch.float32
    assert (points - cells).norm(dim=-1).mean() < 0.1


def test_an_unknown_decoding_is_refused() -> None:
    with pytest.raises(
        TrainError, match="subpixel, dark, dark-blur, udp, quarter, argmax, found 'mean'"
    ):
        decode(torch.zeros(1, 1, 8, 8), "mean")  # type: ignore[arg-type]


@pytest.mark.parametrize("sigma", [2.0, 3.0])
def test_blur_keeps_maxima_and_is_never_done_in_half_precision(sigma: float) -> None:
    maps = encode(random_cells(0, 55, 3), sigma=sigma)
    maps[0, 0] = 0
    blurred = blur(maps, sigma)
    torch.testing.assert_close(blurred.amax((-1, -2)), maps.amax((-1, -2)))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(blur(maps, sigma), blurred)


def test_conversions_agree_with_numpy() -> None:
    points = torch.tensor([[3.0, 7.5]])
    for grid in GRIDS:
        np.testing.assert_allclose(
            to_grid(points, 4, grid), reference.to_grid(points.numpy(), 4, grid)
        )


def test_loss_by_hand() -> None:
    # Joint 0 misses by 2 in all four cells, joint 1 by 3 but has no weight:
    # ½ · (4 · 2² + 4 · 0) / 8 cells.
    predicted = torch.tensor([2.0, 3.0]).view(1, 2, 1, 1).expand(1, 2, 2, 2)
    loss = heatmap_loss(predicted, torch.zeros(1, 2, 2, 2), torch.tensor([[1.0, 0.0]]))
    assert loss.item() == 1.0


def test_loss_of_half_precision_is_float32() -> None:
    loss = heatmap_loss(torch.ones(1, 1, 2, 2).half(), torch.zeros(1, 1, 2, 2), torch.ones(1, 1))
    assert loss.dtype == torch.float32
