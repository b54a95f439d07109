from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch.nn import functional

from handbench import heatmaps as reference
from handbench.errors import TrainError
from handbench.models.architecture import CODEC_GRIDS
from handbench.models.codecs import (
    CODECS,
    TEMPERATURE,
    Codec,
    Integral,
    Likely,
    Rounded,
    Udp,
    Unbiased,
    make_codec,
)
from handbench.models.heatmaps import decode

SIDE = 56
SHAPE = (SIDE, SIDE)
SIZE = (4 * SIDE, 4 * SIDE)
ALL = [Unbiased(), Unbiased(grid="corner"), Rounded(), Udp(), Integral(), Likely()]
named = pytest.mark.parametrize("codec", ALL, ids=lambda codec: f"{codec.name}-{codec.grid}")


def random_cells(low: float, high: float, count: int = 40, seed: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return low + (high - low) * torch.rand(count, 21, 2, generator=generator)


def perfect(codec: Codec, cells: torch.Tensor) -> torch.Tensor:
    """Maps of a network that gives exactly what it was taught."""
    targets, weights = encode(codec, cells)
    assert weights.all()
    # A softmax gives the target distribution back where maps are its logarithm.
    return targets.clamp(min=1e-30).log() if isinstance(codec, Integral) else targets


def encode(codec: Codec, cells: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    valid = torch.ones(cells.shape[:2], dtype=torch.bool)
    return codec.encode(codec.to_pixels(cells, SHAPE), valid, SIZE)


def errors_in_cells(codec: Codec, cells: torch.Tensor) -> torch.Tensor:
    points, _ = codec.decode(perfect(codec, cells))
    return (codec.to_cells(points, SHAPE) - cells).norm(dim=-1)


# What comes back


@pytest.mark.parametrize(
    ("codec", "margin"),
    [
        (Unbiased(), -0.5),  # beyond the outermost cells
        (Unbiased(1.0), -0.5),
        (Unbiased(3.0, "corner"), -0.5),
        (Udp(), 4.0),  # 2 sigma
        (Udp(1.5), 3.0),
        (Udp(3.0), 6.0),
        (Integral(), 6.0),  # 3 sigma
        (Likely(), 6.0),
        (Integral(1.5), 4.5),
    ],
    ids=str,
)
def test_unbiased_codecs_return_what_was_encoded(codec: Codec, margin: float) -> None:
    cells = random_cells(margin, SIDE - 1 - margin, 100)
    assert errors_in_cells(codec, cells).max() < 0.05


def test_a_perfect_network_of_rounded_targets_is_0_38_cells_off() -> None:
    errors = errors_in_cells(Rounded(), random_cells(0, SIDE - 1, 400))
    assert errors.mean().item() == pytest.approx(0.383, abs=0.005)
    assert errors.max() <= math.hypot(0.5, 0.5) + 1e-5


@pytest.mark.parametrize(
    ("codec", "expected"),
    [
        (Unbiased(), (20.3, 30.8)),
        (Rounded(), (20.0, 31.0)),  # the rounded centre: its neighbours tie
        (Udp(), (20.3, 30.8)),
        (Integral(), (20.3, 30.8)),
    ],
    ids=str,
)
def test_known_answers(codec: Codec, expected: tuple[float, float]) -> None:
    maps = perfect(codec, torch.tensor([[[20.3, 30.8]]]))
    points, scores = codec.decode(maps)
    cells = codec.to_cells(points, SHAPE)
    torch.testing.assert_close(cells, torch.tensor([[expected]]), atol=1e-3, rtol=0)
    assert 0.9 < scores.item() <= 1.0


def test_rounded_decoding_of_an_ideal_gaussian_is_a_quarter_aside() -> None:
    maps = perfect(Unbiased(grid="corner"), torch.tensor([[[20.3, 30.8]]]))
    points, _ = Rounded().decode(maps)
    torch.testing.assert_close(points, torch.tensor([[[4 * 20.25, 4 * 30.75]]]))


@named
@pytest.mark.parametrize("decoding", ["subpixel", "argmax"])
def test_another_decoding_keeps_the_grid(codec: Codec, decoding: str) -> None:
    cells = torch.tensor([[[20.0, 30.0]]])
    points, scores = codec.decode(perfect(codec, cells), decoding)  # type: ignore[arg-type]
    torch.testing.assert_close(points, codec.to_pixels(cells, SHAPE), atol=1e-3, rtol=0)
    assert scores.item() == pytest.approx(1.0, abs=1e-3)


# Where cells lie


@named
def test_points_and_cells_are_each_others_inverse(codec: Codec) -> None:
    points = 224 * torch.rand(5, 21, 2, generator=torch.Generator().manual_seed(0))
    back = codec.to_pixels(codec.to_cells(points, SHAPE), SHAPE)
    torch.testing.assert_close(back, points)


def test_grids_differ_as_published() -> None:
    cells = torch.tensor([[0.0, 0.0], [55.0, 55.0]])
    places = {codec: codec.to_pixels(cells, SHAPE)[:, 0].tolist() for codec in ALL}
    assert places[Unbiased()] == places[Integral()] == [1.5, 221.5]
    assert places[Unbiased(grid="corner")] == places[Rounded()] == [0.0, 220.0]
    # UDP's outer cells lie on the outer pixels: off the corner grid by 0 to stride - 1 px.
    assert places[Udp()] == pytest.approx([0.0, 223.0])


def test_udp_reads_maps_that_are_not_square() -> None:
    points = torch.tensor([[[63.0, 31.0], [0.0, 0.0]]])
    codec = Udp()
    targets, weights = codec.encode(points, torch.ones(1, 2, dtype=torch.bool), (32, 64))
    assert targets.shape == (1, 2, 8, 16)
    assert weights.all()
    assert targets[0, 0, 7, 15] == targets[0, 1, 0, 0] == 1.0


# Targets


def loops_target(cell: npt.NDArray[np.float64], sigma: float, *, rounded: bool) -> np.ndarray:
    """Section 8.1 of the reference, cell by cell: 13 cells wide for sigma 2."""
    middle = np.floor(cell + 0.5)
    center = middle if rounded else cell
    target = np.zeros(SHAPE)
    for y in range(SIDE):
        for x in range(SIDE):
            if abs(x - middle[0]) <= 3 * sigma and abs(y - middle[1]) <= 3 * sigma:
                squared = (x - center[0]) ** 2 + (y - center[1]) ** 2
                target[y, x] = np.exp(-squared / (2 * sigma**2))
    return target


@pytest.mark.parametrize("codec", [Rounded(), Udp(), Rounded(3.0), Udp(3.0)], ids=str)
def test_targets_of_the_references_are_cut_off(codec: Codec) -> None:
    cells = random_cells(-14, SIDE + 13, 2).double()
    targets, weights = codec.encode(
        codec.to_pixels(cells, SHAPE), torch.ones(2, 21, dtype=torch.bool), SIZE
    )
    expected = np.stack(
        [loops_target(cell, codec.sigma, rounded=codec.name == "rounded") for cell in
         cells.reshape(-1, 2).numpy()]
    )  # fmt: skip
    np.testing.assert_allclose(targets.flatten(0, 1), expected, atol=1e-5)
    touched = expected.any(axis=(1, 2))
    np.testing.assert_array_equal(weights.flatten().numpy() > 0, touched)
    assert 0.3 < touched.mean() < 1
    assert (expected > 0).sum(axis=(1, 2)).max() == (6 * codec.sigma + 1) ** 2


def test_unbiased_targets_are_those_that_files_store() -> None:
    points = 224 * np.random.default_rng(0).random((4, 21, 2))
    valid = np.random.default_rng(1).random((4, 21)) < 0.7
    targets, weights = Unbiased().encode(torch.from_numpy(points), torch.from_numpy(valid), SIZE)
    np.testing.assert_allclose(targets, reference.gaussian_targets(points, valid, SIZE), atol=1e-5)
    np.testing.assert_array_equal(weights, valid)


def test_integral_targets_are_distributions_of_joints_on_the_map() -> None:
    cells = torch.tensor([[[0.0, 0.0], [55.4, 20.0], [55.6, 20.0], [-0.6, 20.0], [20.3, 20.8]]])
    targets, weights = encode(Integral(), cells)
    assert weights.tolist() == [[1, 1, 0, 0, 1]]
    torch.testing.assert_close(targets.sum((-1, -2)), weights)


@named
def test_joints_without_labels_have_no_weight_and_no_influence(codec: Codec) -> None:
    cells = random_cells(8, 40, 2)
    points = codec.to_pixels(cells, SHAPE)
    points[0, 3] = torch.nan
    valid = torch.ones(2, 21, dtype=torch.bool)
    valid[0, 3] = valid[1, 4] = False
    targets, weights = codec.encode(points, valid, SIZE)
    assert torch.isfinite(targets).all()
    assert weights.sum() == 40
    assert weights[0, 3] == weights[1, 4] == 0
    maps = torch.zeros(2, 21, *SHAPE, requires_grad=True)
    loss = codec.loss(maps, targets, weights, points)
    loss.backward()  # type: ignore[no-untyped-call]
    assert torch.isfinite(loss)
    assert maps.grad is not None
    assert torch.isfinite(maps.grad).all()
    assert not maps.grad[0, 3].any()
    assert not maps.grad[1, 4].any()
    assert maps.grad[0, 2].any()


@named
def test_targets_can_be_written_into_an_old_batch(codec: Codec) -> None:
    cells = random_cells(8, 40, 2)
    expected, _ = encode(codec, cells)
    old = torch.full_like(expected, torch.nan)
    valid = torch.ones(2, 21, dtype=torch.bool)
    targets, _ = codec.encode(codec.to_pixels(cells, SHAPE), valid, SIZE, out=old)
    assert targets.data_ptr() == old.data_ptr()
    torch.testing.assert_close(old, expected)


# Loss


@named
def test_the_loss_is_smallest_where_the_network_is_right(codec: Codec) -> None:
    cells = random_cells(8, 40, 2)
    points = codec.to_pixels(cells, SHAPE)
    targets, weights = encode(codec, cells)
    right = perfect(codec, cells)
    beside = perfect(codec, cells + 1)
    losses = [codec.loss(maps, targets, weights, points) for maps in (right, beside)]
    assert losses[0] < losses[1]
    assert codec.loss(right.bfloat16(), targets, weights, points).dtype == torch.float32


def test_integral_loss_by_hand() -> None:
    # A flat map of 8 × 8 cells: cross-entropy log 64, mean at (3.5, 3.5), keypoint at (0.5, 7.5).
    codec = Integral()
    points = codec.to_pixels(torch.tensor([[[0.5, 7.5], [3.0, 3.0]]]), (8, 8))
    targets, weights = codec.encode(points, torch.tensor([[True, False]]), (32, 32))
    loss = codec.loss(torch.zeros(1, 2, 8, 8), targets, weights, points)
    assert loss.item() == pytest.approx(math.log(64) + 5.0, abs=1e-5)


def test_the_integral_loss_can_be_learnt_down_to_its_floor() -> None:
    codec = Integral()
    cells = torch.tensor([[[1.0, 14.2], [7.3, 7.8]]])
    points = codec.to_pixels(cells, (16, 16))
    targets, weights = codec.encode(points, torch.ones(1, 2, dtype=torch.bool), (64, 64))
    maps = torch.zeros(1, 2, 16, 16, requires_grad=True)
    optimiser = torch.optim.Adam([maps], lr=0.1)
    for _ in range(200):
        optimiser.zero_grad()
        codec.loss(maps, targets, weights, points).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    found = codec.to_cells(codec.decode(maps)[0], (16, 16))
    # Also beside the border, where the target alone would draw the mean inwards by a cell.
    assert (found - cells).norm(dim=-1).max() < 0.05


# Mirror images


@named
def test_averaging_with_the_mirror_image_changes_nothing_for_a_perfect_network(
    codec: Codec,
) -> None:
    cells = random_cells(10, 40, 4)
    points = codec.to_pixels(cells, SHAPE)
    mirrored = points.clone()
    mirrored[..., 0] = SIZE[1] - 1 - points[..., 0]
    # Targets of the corner grid do not mirror into each other: shifted, they are ¼ cell off.
    allowed = {"rounded": 3.0, "unbiased": 0.6 if codec.grid == "corner" else 0.01}
    once, _ = codec.decode(perfect(codec, cells))
    twice, _ = codec.decode(
        codec.average(perfect(codec, cells), perfect(codec, codec.to_cells(mirrored, SHAPE)))
    )
    assert (twice - once).abs().max() <= allowed.get(codec.name, 0.05)


def test_the_corner_grid_is_shifted_back_by_one_cell() -> None:
    maps = torch.rand(1, 2, 6, 6, generator=torch.Generator().manual_seed(0))
    for codec in (Rounded(), Unbiased(grid="corner")):
        averaged = codec.average(torch.zeros_like(maps), maps.flip(-1))
        torch.testing.assert_close(averaged[..., 1:], maps[..., :-1] / 2)
        torch.testing.assert_close(averaged[..., 0], maps[..., 0] / 2)
    for codec in (Udp(), Unbiased()):
        averaged = codec.average(torch.zeros_like(maps), maps.flip(-1))
        torch.testing.assert_close(averaged, maps / 2)


def test_likely_takes_the_likelier_of_two_places() -> None:
    one, other = (encode(Likely(), torch.full((1, 1, 2), place))[0] for place in (12.0, 40.0))
    maps = (0.6 * one + 0.4 * other).clamp(min=1e-30).log()
    cells = Likely().to_cells(Likely().decode(maps)[0], SHAPE)
    mean = Integral().to_cells(Integral().decode(maps)[0], SHAPE)
    assert mean[0, 0, 0] == pytest.approx(0.6 * 12 + 0.4 * 40, abs=0.05)
    assert cells[0, 0].tolist() == pytest.approx([12, 12], abs=2.0)  # drawn towards the other


def test_likely_has_the_least_expected_distance() -> None:
    """Under what its maps say, sharpened."""
    maps = 1.2 * torch.randn(3, 21, 20, 20, generator=torch.Generator().manual_seed(5))
    sharpened = maps / TEMPERATURE
    chances = functional.softmax(sharpened.flatten(-2), dim=-1)
    y, x = torch.meshgrid(torch.arange(20.0), torch.arange(20.0), indexing="ij")
    grid = torch.stack([x, y], dim=-1).view(-1, 2)

    def expected(cells: torch.Tensor) -> torch.Tensor:
        return (torch.cdist(cells, grid.expand(3, -1, -1)) * chances).sum(-1)

    def found(codec: Codec, given: torch.Tensor) -> torch.Tensor:
        return expected(codec.to_cells(codec.decode(given)[0], (20, 20)))

    likely = found(Likely(), maps)
    assert (likely <= found(Integral(), sharpened) + 1e-3).all()
    everywhere = (torch.cdist(grid, grid)[None, None] * chances[:, :, None]).sum(-1).amin(-1)
    assert (likely <= everywhere + 0.05).all()


def test_a_little_of_everything_hardly_draws_likely_to_the_middle() -> None:
    target = encode(Likely(), torch.full((1, 1, 2), 8.0))[0]
    maps = (0.8 * target + 0.2 / target[0, 0].numel()).log()
    cells = Likely().to_cells(Likely().decode(maps)[0], SHAPE)
    mean = Integral().to_cells(Integral().decode(maps)[0], SHAPE)
    assert cells[0, 0].tolist() == pytest.approx([8, 8], abs=0.2)
    assert mean[0, 0, 0] > 10


def test_likely_loss_is_the_cross_entropy_alone() -> None:
    codec = Likely()
    points = codec.to_pixels(torch.tensor([[[0.5, 7.5], [3.0, 3.0]]]), (8, 8))
    targets, weights = codec.encode(points, torch.tensor([[True, False]]), (32, 32))
    loss = codec.loss(torch.zeros(1, 2, 8, 8), targets, weights, points)
    assert loss.item() == pytest.approx(math.log(64), abs=1e-5)


def test_integral_averages_distributions() -> None:
    generator = torch.Generator().manual_seed(0)
    one, other = torch.randn(2, 1, 2, 6, 6, generator=generator)
    averaged = Integral().average(one, other.flip(-1))
    expected = (
        functional.softmax(one.flatten(2), -1) + functional.softmax(other.flatten(2), -1)
    ) / 2
    torch.testing.assert_close(averaged.exp().flatten(2), expected)


# Decoders of the references, from their published rules


def loops_blur(target: npt.NDArray[np.float64], sigma: float) -> npt.NDArray[np.float64]:
    radius = int(3 * sigma - 1)
    steps = np.arange(-radius, radius + 1)
    kernel = np.exp(-0.5 * (steps / (0.3 * (radius - 1) + 0.8)) ** 2)
    kernel /= kernel.sum()
    padded = np.pad(target, radius)
    blurred = np.zeros_like(target)
    for y in range(SIDE):
        for x in range(SIDE):
            window = padded[y : y + 2 * radius + 1, x : x + 2 * radius + 1]
            blurred[y, x] = kernel @ window @ kernel
    return blurred * target.max() / blurred.max()


def loops_dark(target: npt.NDArray[np.float64], sigma: float) -> npt.NDArray[np.float64]:
    y, x = np.unravel_index(target.argmax(), SHAPE)
    m = np.array([x, y], dtype=float)
    if not (1 < x < SIDE - 2 and 1 < y < SIDE - 2):
        return m
    L = np.log(np.maximum(loops_blur(target, sigma), 1e-10))
    g = np.array([L[y, x + 1] - L[y, x - 1], L[y + 1, x] - L[y - 1, x]]) / 2
    xx = (L[y, x + 2] - 2 * L[y, x] + L[y, x - 2]) / 4
    yy = (L[y + 2, x] - 2 * L[y, x] + L[y - 2, x]) / 4
    xy = (L[y + 1, x + 1] - L[y - 1, x + 1] - L[y + 1, x - 1] + L[y - 1, x - 1]) / 4
    return m - np.linalg.solve(np.array([[xx, xy], [xy, yy]]), g)


def loops_udp(target: npt.NDArray[np.float64], sigma: float) -> npt.NDArray[np.float64]:
    y, x = np.unravel_index(target.argmax(), SHAPE)
    L = np.pad(np.log(loops_blur(target, sigma).clip(1e-3, 50)), 1, mode="edge")
    m = np.array([x, y], dtype=float)
    x, y = x + 1, y + 1
    g = np.array([L[y, x + 1] - L[y, x - 1], L[y + 1, x] - L[y - 1, x]]) / 2
    xx = L[y, x + 1] - 2 * L[y, x] + L[y, x - 1]
    yy = L[y + 1, x] - 2 * L[y, x] + L[y - 1, x]
    xy = (
        L[y + 1, x + 1] - L[y, x + 1] - L[y + 1, x] + 2 * L[y, x] - L[y, x - 1] - L[y - 1, x]
        + L[y - 1, x - 1]
    ) / 2  # fmt: skip
    hessian = np.array([[xx, xy], [xy, yy]]) + np.finfo(np.float32).eps * np.eye(2)
    return m - np.linalg.solve(hessian, g)


@pytest.mark.parametrize("sigma", [2.0, 3.0])
@pytest.mark.parametrize(("method", "loops"), [("dark-blur", loops_dark), ("udp", loops_udp)])
def test_decoders_follow_their_published_rules(method: str, loops: object, sigma: float) -> None:
    assert callable(loops)
    cells = torch.cat([random_cells(6, 49, 1)[:, :12], random_cells(-0.5, 55.5, 1)[:, :9]], dim=1)
    noise = torch.rand(1, 21, *SHAPE, generator=torch.Generator().manual_seed(4))
    maps = perfect(Unbiased(sigma), cells) + 0.02 * noise
    found, _ = decode(maps, method, sigma)  # type: ignore[arg-type]
    expected = np.stack([loops(each.double().numpy(), sigma) for each in maps[0]])
    np.testing.assert_allclose(found[0], expected, atol=2e-3)


@pytest.mark.parametrize("fill", [0.0, -1.0])
def test_rounded_decoding_of_a_map_without_a_positive_value_is_the_first_cell(fill: float) -> None:
    maps = torch.full((1, 1, 8, 8), fill - 1)
    maps[0, 0, 4, 5] = fill
    points, scores = Rounded().decode(maps)
    assert points.tolist() == [[[0.0, 0.0]]]
    assert scores.item() == fill


@named
def test_noise_decodes_to_numbers(codec: Codec) -> None:
    maps = torch.randn(4, 21, 16, 16, generator=torch.Generator().manual_seed(3))
    for each in (maps, maps * 1e4, torch.zeros_like(maps)):
        points, scores = codec.decode(each)
        assert torch.isfinite(points).all()
        assert torch.isfinite(scores).all()


@named
def test_half_precision_is_decoded_in_float32_also_under_autocast(codec: Codec) -> None:
    maps = perfect(codec, random_cells(10, 40, 2)).bfloat16()
    expected, _ = codec.decode(maps.float())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        points, _ = codec.decode(maps)
    assert torch.equal(points, expected)


# Names


def test_every_codec_has_its_name_and_grids() -> None:
    assert list(CODECS) == list(CODEC_GRIDS)
    for name in CODECS:
        codec = make_codec(name, 1.5)
        assert (codec.name, codec.sigma) == (name, 1.5)
        assert make_codec(name, 1.5, codec.grid) == codec


def test_unknown_codecs_and_grids_are_refused() -> None:
    with pytest.raises(TrainError, match="unbiased, rounded, udp, integral, likely, found 'dark'"):
        make_codec("dark")
    with pytest.raises(TrainError, match="rounded has the grid corner, found center: leave"):
        make_codec("rounded", 2.0, "center")
    with pytest.raises(TrainError, match="udp has the grid of UDP, found corner"):
        Udp(2.0, "corner")
