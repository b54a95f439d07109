from __future__ import annotations

import dataclasses
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from generators import small_network as small
from generators.tiny_hdf5 import write_tiny

from handbench.errors import TrainingStoppedError
from handbench.models.checkpoint import read_checkpoint
from handbench.models.interruption import ignore_signals, listening
from handbench.models.settings import TrainSettings
from handbench.models.stepping import Stepper
from handbench.models.training import train

pytestmark = pytest.mark.skipif(
    not hasattr(signal, "SIGUSR1"), reason="Windows has no such signals"
)


def test_signals_are_noted_and_handlers_put_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with listening() as asked:
        assert asked.signal == 0
        os.kill(os.getpid(), signal.SIGTERM)
        assert asked.signal == signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) is before


def test_another_thread_than_the_main_one_leaves_signals_alone() -> None:
    before = signal.getsignal(signal.SIGTERM)
    found: list[Any] = []

    def body() -> None:
        with listening() as asked:
            found.extend([asked.signal, signal.getsignal(signal.SIGTERM)])

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    assert found == [0, before]


def test_loading_processes_ignore_signals_to_the_group() -> None:
    kinds = (signal.SIGTERM, signal.SIGUSR1)
    before = [signal.getsignal(kind) for kind in kinds]
    try:
        ignore_signals(0)
        assert [signal.getsignal(kind) for kind in kinds] == [signal.SIG_IGN] * 2
    finally:
        for kind, handler in zip(kinds, before):
            signal.signal(kind, handler)


@pytest.fixture(scope="module", autouse=True)
def _small() -> Iterator[None]:
    with small.small_network():
        yield


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> TrainSettings:
    folder = tmp_path_factory.mktemp("interrupted")
    data = write_tiny(folder / "tiny.h5", {"train": 24, "val": 4}, size=32)
    return TrainSettings(
        data=(data,), out=folder / "whole", depth=18, epochs=3, batch_size=4, device="cpu", sheet=0
    )


@pytest.fixture(scope="module")
def whole(settings: TrainSettings) -> Path:
    """A run of three epochs of six steps without a break."""
    return train(settings)


def check_equal(whole: Path, parts: Path) -> None:
    """Both runs hold the same numbers, bit for bit, except for times and names."""
    for name in ("last.pt", "best.pt"):
        one, two = read_checkpoint(whole / name), read_checkpoint(parts / name)
        assert one["weights"].keys() == two["weights"].keys()
        for key, value in one["weights"].items():
            assert torch.equal(value, two["weights"][key]), key
    one, two = (read_checkpoint(run / "last.pt")["training"] for run in (whole, parts))
    for key, value in one["average"].items():
        assert torch.equal(value, two["average"][key]), key
    for key, state in one["optimiser"]["state"].items():
        for name, value in state.items():
            assert torch.equal(value, two["optimiser"]["state"][key][name])
    for row, other in zip(one["log"], two["log"], strict=True):
        for name in ("epoch", "loss", "val_epe_px", "val_auc_0_30px", "lr"):
            assert row[name] == other[name], name


@pytest.mark.parametrize(("kind", "step"), [("SIGTERM", 9), ("SIGUSR1", 6), ("SIGTERM", 1)])
def test_a_run_that_is_asked_to_end_saves_itself_and_goes_on(
    kind: str,
    step: int,
    settings: TrainSettings,
    whole: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stopped = dataclasses.replace(settings, out=tmp_path / "stopped")
    number = getattr(signal, kind)
    taken = 0

    def step_and_signal(self: Stepper, parts: Any) -> Any:
        nonlocal taken
        taken += 1
        if taken == step:
            os.kill(os.getpid(), number)
        return original(self, parts)

    original = Stepper.step
    monkeypatch.setattr(Stepper, "step", step_and_signal)
    # A signal in an epoch's last step ends the run after its validation.
    where = "after epoch 1" if step == 6 else f"epoch {step // 6 + 1} after step {step % 6} of 6"
    with pytest.raises(TrainingStoppedError, match=f"stopped .*{where} by {kind}") as error:
        train(stopped)
    assert error.value.signal == number
    assert "nothing is lost: go on with  handbench train baseline --resume --out" in str(
        error.value
    )
    assert taken == step
    train(stopped, resume=True)
    assert taken == 18
    check_equal(whole, stopped.out)


def start(settings: TrainSettings, *options: str) -> subprocess.Popen[str]:
    """The real command line, with a small network, saving after every step."""
    return subprocess.Popen(
        [
            *(sys.executable, small.__file__, "train", "baseline", "--device", "cpu"),
            *("--out", str(settings.out), "--save-minutes", "0", *options),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # The number of threads decides the order of sums.
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(sys.path),
            "OMP_NUM_THREADS": str(torch.get_num_threads()),
        },
    )


def new_run(settings: TrainSettings) -> tuple[str, ...]:
    return (
        *("--data", str(settings.data[0]), "--depth", "18", "--epochs", str(settings.epochs)),
        *("--batch-size", str(settings.batch_size), "--sheet", "0"),
    )


def wait_for_saves(process: subprocess.Popen[str], run: Path, count: int) -> None:
    """Return when the run has been saved so many times, or is over."""
    seen: set[int] = set()
    while process.poll() is None and len(seen) < count:
        if (run / "last.pt").exists():
            seen.add((run / "last.pt").stat().st_mtime_ns)
        time.sleep(0.001)


@pytest.mark.slow
def test_a_run_that_is_killed_at_any_moment_ends_with_the_same_weights(
    settings: TrainSettings, whole: Path, tmp_path: Path
) -> None:
    killed = dataclasses.replace(settings, out=tmp_path / "killed")
    draw = random.Random(7)  # noqa: S311 - moments, not secrets
    options, kills = new_run(killed), 0
    for _ in range(4):
        process = start(killed, *options)
        wait_for_saves(process, killed.out, draw.randint(2, 5))
        time.sleep(draw.uniform(0, 0.02))
        process.kill()
        process.communicate()
        kills += process.returncode == -signal.SIGKILL
        if (killed.out / "last.pt").exists():
            options = ("--resume",)
    assert kills >= 3
    assert not (killed.out / "card.json").exists()
    last = start(killed, "--resume")
    out, err = last.communicate()
    assert last.returncode == 0, err
    assert "continuing" in err
    assert out == f"{killed.out}\n"
    check_equal(whole, killed.out)


@pytest.mark.slow
def test_the_command_line_ends_as_signals_end_programs(
    settings: TrainSettings, whole: Path, tmp_path: Path
) -> None:
    stopped = dataclasses.replace(settings, out=tmp_path / "stopped")
    # A loading process gets what is sent to the whole group of processes, and must go on.
    process = start(stopped, *new_run(stopped), "--workers", "1")
    wait_for_saves(process, stopped.out, 3)
    process.terminate()
    out, err = process.communicate()
    assert process.returncode == 128 + signal.SIGTERM, err
    assert out == ""
    assert err.splitlines()[-1].startswith("stopped ")
    assert "Traceback" not in err
    last = start(stopped, "--resume")
    assert last.communicate()[1].count("continuing") == 1
    check_equal(whole, stopped.out)
