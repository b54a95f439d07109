from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from generators.small_network import small_network
from generators.tiny_hdf5 import write_tiny
from torch import nn

from handbench.errors import TrainError
from handbench.models.distributed import Processes
from handbench.models.preparation import Run, prepare
from handbench.models.settings import TrainSettings
from handbench.models.stepping import Stepper
from handbench.models.training import train


@pytest.fixture(scope="module", autouse=True)
def _small() -> Iterator[None]:
    with small_network():
        yield


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> TrainSettings:
    folder = tmp_path_factory.mktemp("stepping")
    data = write_tiny(folder / "tiny.h5", {"train": 16, "val": 4}, size=32)
    return TrainSettings(
        data=(data,), out=folder / "run", depth=18, epochs=2, batch_size=8, device="cpu",
        precision="fp32", sheet=0,
    )  # fmt: skip


def stepped(settings: TrainSettings, **changes: Any) -> tuple[Run, float]:
    """A run after its first step, and that step's loss."""
    changed = dataclasses.replace(settings, **changes)
    run = prepare(changed, Processes(), torch.device("cpu"))
    run.model.network.train()
    parts = iter(run.batches)
    step = [next(parts) for _ in run.order.numbers]
    return run, float(Stepper(run).step(step)[0])


def gradients(run: Run) -> torch.Tensor:
    """All gradients of the last step."""
    return torch.cat([p.grad.flatten() for p in run.model.network.parameters()])


def test_accumulated_parts_give_the_mean_of_their_gradients(settings: TrainSettings) -> None:
    both, loss = stepped(settings, accumulate=2)
    # Each half alone, as the only part of a smaller batch with the same images.
    halves = []
    for number in (0, 1):
        run = prepare(dataclasses.replace(settings, accumulate=2), Processes(), torch.device("cpu"))
        run.model.network.train()
        parts = iter(run.batches)
        chosen = [next(parts) for _ in range(2)][number]
        run.order.numbers = range(number, number + 1)
        halves.append((run, float(Stepper(run).step([chosen])[0])))
    torch.testing.assert_close(
        gradients(both), (gradients(halves[0][0]) + gradients(halves[1][0])) / 2,
        rtol=1e-4, atol=1e-9,
    )  # fmt: skip
    assert loss == pytest.approx((halves[0][1] + halves[1][1]) / 2)


def test_the_loss_factor_scales_loss_and_gradients(settings: TrainSettings) -> None:
    (one, loss), (two, double) = stepped(settings), stepped(settings, loss_factor=2.0)
    assert double == pytest.approx(2 * loss)
    torch.testing.assert_close(gradients(two), 2 * gradients(one), rtol=1e-4, atol=1e-9)


def test_long_gradients_are_cut(settings: TrainSettings) -> None:
    free = gradients(stepped(settings)[0])
    assert free.norm() > 1e-4
    cut = gradients(stepped(settings, clip_norm=1e-4)[0])
    assert cut.norm() == pytest.approx(1e-4, rel=1e-2)
    torch.testing.assert_close(cut / cut.norm(), free / free.norm(), rtol=1e-3, atol=1e-6)


def test_a_compiler_that_fails_is_named(
    settings: TrainSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    failure = type("NoCompiler", (RuntimeError,), {"__module__": "torch._inductor.exc"})

    def fail(self: nn.Module, *_: Any, **__: Any) -> None:
        raise failure("no compiler\nand more")

    monkeypatch.setattr(nn.Module, "compile", lambda self: setattr(self, "forward", fail))
    with pytest.raises(TrainError, match=r"torch.compile failed here \(.*train without --compile"):
        stepped(settings, compile=True)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_a_compiled_network_learns_the_same(settings: TrainSettings, tmp_path: Path) -> None:
    plain, loss = stepped(settings)
    compiled, same = stepped(settings, compile=True)
    assert same == pytest.approx(loss, rel=1e-4)
    torch.testing.assert_close(gradients(compiled), gradients(plain), rtol=1e-2, atol=1e-6)
    out = train(dataclasses.replace(settings, compile=True, out=tmp_path / "run"))
    assert (out / "best.pt").exists()


@pytest.mark.parametrize(
    ("epoch", "side"), [(0, 32), (2, 32), (3, 64), (9, 64)], ids=lambda value: str(value)
)
def test_the_first_epochs_may_have_smaller_images(
    settings: TrainSettings, epoch: int, side: int
) -> None:
    changed = dataclasses.replace(settings, size=64, early_size=32, early_share=0.3, epochs=10)
    run = prepare(changed, Processes(), torch.device("cpu"))
    run.position.epoch = epoch
    run.model.network.train()
    seen = []
    run.model.network.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].shape[-1]))
    Stepper(run).step([next(iter(run.batches))])
    assert seen == [side]
