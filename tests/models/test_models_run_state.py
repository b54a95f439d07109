from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from generators.small_network import small_network
from generators.tiny_hdf5 import write_tiny

from handbench.errors import TrainError
from handbench.models.settings import TrainSettings
from handbench.models.training import train

resource = pytest.importorskip("resource", reason="file sizes are limited on POSIX systems only")


@pytest.fixture(scope="module", autouse=True)
def _small() -> Iterator[None]:
    with small_network():
        yield


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> TrainSettings:
    folder = tmp_path_factory.mktemp("state")
    data = write_tiny(folder / "tiny.h5", {"train": 8, "val": 4}, size=32)
    return TrainSettings(
        data=(data,), out=folder / "run", depth=18, epochs=2, batch_size=4, device="cpu", sheet=0
    )


@pytest.fixture(scope="module")
def half(settings: TrainSettings) -> Path:
    """A run of two epochs that stopped after the first."""
    return train(settings, stop_after=1)


@pytest.fixture
def run(half: Path, settings: TrainSettings, tmp_path: Path) -> TrainSettings:
    """A copy of it."""
    shutil.copytree(half, tmp_path / "run")
    return dataclasses.replace(settings, out=tmp_path / "run")


@contextlib.contextmanager
def small_disk() -> Iterator[None]:
    """Files may have 20 kB, as on a disk that is full after that."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_disk_that_fills_up_leaves_the_last_checkpoint(run: TrainSettings) -> None:
    before = {name: (run.out / name).read_bytes() for name in ("last.pt", "best.pt", "log.csv")}
    message = (
        r"run cannot be written: File too large; make room there; what last\.pt held before is "
        r"still there: go on with --resume"
    )
    with pytest.raises(TrainError, match=message), small_disk():
        train(dataclasses.replace(run, save_minutes=0), resume=True)
    assert {name: (run.out / name).read_bytes() for name in before} == before
    assert not [path for path in run.out.iterdir() if path.name.endswith(".part")]


def test_the_run_goes_on_when_there_is_room_again(run: TrainSettings) -> None:
    train(run, resume=True)
    assert len((run.out / "log.csv").read_text().splitlines()) == 3


def test_a_new_run_on_a_full_disk_says_that_nothing_was_saved(
    settings: TrainSettings, tmp_path: Path
) -> None:
    new = dataclasses.replace(settings, out=tmp_path / "new")
    message = "File too large; make room there; nothing was saved yet"
    with pytest.raises(TrainError, match=message), small_disk():
        train(new)


def test_a_run_directory_that_became_a_file_is_refused(run: TrainSettings) -> None:
    shutil.rmtree(run.out)
    run.out.write_text("in the way")
    with pytest.raises(TrainError, match=r"expected a training run to resume in .*run"):
        train(run, resume=True)


def test_a_run_directory_that_may_not_be_written_is_seen_before_the_first_step(
    run: TrainSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(TrainError, match=r"run cannot be written: Permission denied; make it"):
        train(run, resume=True)


@pytest.mark.parametrize("kept", [0.0, 0.5, 0.999])
def test_a_truncated_state_is_refused_and_left_as_it_is(run: TrainSettings, kept: float) -> None:
    last = run.out / "last.pt"
    data = last.read_bytes()
    last.write_bytes(data[: int(kept * len(data))])
    with pytest.raises(TrainError, match=r"last\.pt cannot be read: it is cut off, damaged"):
        train(run, resume=True)
    assert len(last.read_bytes()) == int(kept * len(data))


@pytest.mark.parametrize("key", ["optimiser", "average", "step", "log"])
def test_a_state_without_all_its_parts_is_refused(run: TrainSettings, key: str) -> None:
    values = torch.load(run.out / "last.pt", weights_only=True)
    del values["training"][key]
    torch.save(values, run.out / "last.pt")
    with pytest.raises(TrainError, match=r"does not hold the state of this run .* with --init"):
        train(run, resume=True)


def test_weights_of_another_network_are_refused(run: TrainSettings) -> None:
    values = torch.load(run.out / "last.pt", weights_only=True)
    values["weights"].popitem()
    torch.save(values, run.out / "last.pt")
    with pytest.raises(TrainError, match=r"does not hold the state of this run"):
        train(run, resume=True)


def test_a_best_checkpoint_is_no_state(run: TrainSettings) -> None:
    shutil.copy(run.out / "best.pt", run.out / "last.pt")
    with pytest.raises(TrainError, match="holds weights but no state of training"):
        train(run, resume=True)


def test_a_resumed_run_computes_in_the_same_parts(run: TrainSettings) -> None:
    other = dataclasses.replace(run, accumulate=2)
    with pytest.raises(
        TrainError, match=r"a batch in 1 part, found 1 process × --accumulate 2: .*--accumulate 1$"
    ):
        train(other, resume=True)


def test_patience_may_change_and_ends_a_run(run: TrainSettings) -> None:
    lines: list[str] = []
    other = dataclasses.replace(run, patience=1, epochs=2, save_minutes=0.5, sheet=1)
    train(other, resume=True, say=lines.append)
    assert any(line.startswith("epoch 2/2") for line in lines)


@pytest.mark.parametrize("select", ["epe", "auc"])
def test_a_run_without_a_better_epoch_stops_early(
    settings: TrainSettings, tmp_path: Path, select: str
) -> None:
    lines: list[str] = []
    # Weights that do not move cannot get better.
    still = dataclasses.replace(
        settings, out=tmp_path / "still", epochs=9, patience=2, lr=1e-30, ema=0.0, select=select,
        weight_decay=0.0,
    )  # fmt: skip
    train(still, say=lines.append)
    rows = len((still.out / "log.csv").read_text().splitlines()) - 1
    assert 3 <= rows < 9
    assert lines[-1].startswith("stopped early: no better epoch in 2 since epoch")
