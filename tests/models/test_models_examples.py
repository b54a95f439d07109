from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from generators.small_network import small_network
from generators.tiny_hdf5 import write_tiny

from handbench.models.batches import in_order, loader
from handbench.models.checkpoint import untrained_model
from handbench.models.examples import Example, Examples
from handbench.models.rows import HandRows, keep_in_memory
from handbench.models.settings import TrainSettings
from handbench.models.training import train

CPU = torch.device("cpu")
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning"),  # torch's workers
    pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning"),  # few cores
]


@pytest.fixture(scope="module", autouse=True)
def _small() -> Iterator[None]:
    with small_network():
        yield


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("examples") / "tiny.h5"
    return write_tiny(path, {"train": 12, "val": 4}, size=64)


def settings(data: Path, **more: object) -> TrainSettings:
    values = {"data": (data,), "out": Path("unused"), "erase": 0.5, "tint": 0.1, "grey": 0.2}
    return TrainSettings(**{**values, **more})  # type: ignore[arg-type]


def made(data: Path, *, workers: int = 0, cache: str = "none", size: int = 64) -> list[Example]:
    """All examples of an epoch, as the loop of training makes them."""
    rows = HandRows([(data, "train", None)], least=size)
    keep_in_memory([rows], cache, workers=workers)
    examples = Examples(rows, untrained_model(18, size), settings(data), CPU)
    found = []
    for number, part in enumerate(loader(rows, in_order(12, 5), workers, pin=False)):
        example = examples.make(*part, torch.Generator().manual_seed(number))
        found.append(Example(*(value.clone() for value in vars(example).values())))
    return found


@pytest.mark.parametrize(
    ("workers", "cache"), [(0, "ram"), (0, "auto"), (1, "none"), (3, "none"), (2, "ram")]
)
def test_who_loads_and_what_is_kept_changes_no_bit(data: Path, workers: int, cache: str) -> None:
    for one, other in zip(made(data), made(data, workers=workers, cache=cache), strict=True):
        for name, value in vars(one).items():
            torch.testing.assert_close(
                getattr(other, name), value, atol=0, rtol=0, equal_nan=True, msg=name
            )


def test_points_and_targets_follow_the_pixels(data: Path) -> None:
    (example, *_) = made(data)
    model = untrained_model(18, 64)
    found, _ = model.codec.decode(example.targets)
    inside = ((example.points > 0) & (example.points < 63)).all(dim=-1) & (example.weights > 0)
    assert inside.float().mean() > 0.5
    torch.testing.assert_close(found[inside].float(), example.points[inside], atol=0.2, rtol=0)


def test_images_twice_as_large_as_the_input_are_halved_on_the_way(tmp_path: Path) -> None:
    path = write_tiny(tmp_path / "large.h5", {"train": 12}, size=128)
    small, large = made(path, size=64), made(path, size=128)
    assert small[0].pixels.shape[-1] == 64
    # The same draws in input pixels of half the size: x′ = (x + ½) / 2 - ½.
    halved = (large[0].points + 0.5) / 2 - 0.5
    torch.testing.assert_close(small[0].points, halved, atol=1e-3, rtol=0)


def test_without_augmentation_images_are_only_normalised(data: Path) -> None:
    rows = HandRows([(data, "train", None)])
    model = untrained_model(18, 64)
    images, positions = rows[[3, 0]]
    examples = Examples(rows, model, settings(data), CPU, augment=False)
    found = examples.make(images, positions, torch.Generator())
    expected = (images / 255 - model.network.mean) / model.network.std
    torch.testing.assert_close(found.pixels, expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(found.points, torch.from_numpy(rows.labels.keypoints[[3, 0]]))


def test_memory_is_used_again_and_not_mixed(data: Path) -> None:
    rows = HandRows([(data, "train", None)])
    examples = Examples(rows, untrained_model(18, 64), settings(data), CPU)
    first = examples.make(*rows[[0, 1, 2]], torch.Generator().manual_seed(1))
    before = first.pixels.clone()
    examples.make(*rows[[3, 4, 5]], torch.Generator().manual_seed(2))
    again = examples.make(*rows[[0, 1, 2]], torch.Generator().manual_seed(1))
    assert again.pixels.data_ptr() == first.pixels.data_ptr()
    assert torch.equal(again.pixels, before)


def test_a_run_is_the_same_whoever_loads(data: Path, tmp_path: Path) -> None:
    logs = []
    for number, (workers, cache) in enumerate([(0, "auto"), (2, "none"), (1, "ram")]):
        run = settings(
            data, out=tmp_path / str(number), depth=18, epochs=1, batch_size=4, device="cpu",
            sheet=0, workers=workers, cache=cache,
        )  # fmt: skip
        with (train(run) / "log.csv").open() as lines:
            rows = list(csv.DictReader(lines))
        logs.append([(row["loss"], row["val_epe_px"]) for row in rows])
    assert logs[0] == logs[1] == logs[2]
