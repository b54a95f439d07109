from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from generators import small_network
from generators.tiny_hdf5 import write_tiny

from handbench.errors import TrainError
from handbench.models.checkpoint import read_checkpoint
from handbench.models.distributed import Processes, is_first_process, joined

CPU = torch.device("cpu")


def test_one_process_needs_nobody() -> None:
    with joined(CPU) as processes:
        assert processes == Processes()
        assert processes.from_first("a") == "a"
        assert processes.gathered(3) == [3]
        assert processes.largest([True, 0]) == [1, 0]
        values = torch.rand(3, 2)
        assert torch.equal(processes.whole(values, processes.share(3), 3), values)
        assert not torch.distributed.is_initialized()


@pytest.mark.parametrize(("total", "count"), [(7, 3), (6, 3), (1, 4), (5, 1)])
def test_shares_are_equally_long_and_cover_everything(total: int, count: int) -> None:
    shares = [Processes(rank, count).share(total) for rank in range(count)]
    assert len({len(share) for share in shares}) == 1
    given = [position for share in shares for position in share]
    assert set(given) == set(range(total))
    assert len(given) < total + count


@pytest.mark.parametrize(
    ("environment", "device", "message"),
    [
        ({"WORLD_SIZE": "two"}, "cpu", "WORLD_SIZE, found 'two': start several processes with"),
        ({"WORLD_SIZE": "2"}, "cpu", "environment variable RANK, found ''"),
        ({"WORLD_SIZE": "2", "RANK": "0"}, "mps", "on CPUs or CUDA devices, found mps"),
        ({"WORLD_SIZE": "2", "RANK": "0"}, "cpu", "process 0 of 2 cannot reach the others"),
    ],
)
def test_an_incomplete_launch_is_explained(
    environment: dict[str, str], device: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(TrainError, match=message), joined(torch.device(device)):
        pass


def test_the_launcher_says_who_is_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert is_first_process()
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert not is_first_process()


def training(folder: Path, *options: str, processes: int = 1, out: str) -> str:
    """Run `handbench train baseline` with a small network in real processes; what it said."""
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    words = [
        *(sys.executable, "-W", "error"),
        *(launcher if processes > 1 else []),
        *(small_network.__file__, "train", "baseline", "--data", "tiny.h5", "--out", out),
        *("--depth", "18", "--device", "cpu", "--precision", "fp32", *options),
    ]
    path = os.pathsep.join(sys.path)
    done = subprocess.run(
        words,
        cwd=folder,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{out}\n"
    return done.stderr


@pytest.mark.slow
def test_two_processes_equal_one_that_accumulates(tmp_path: Path) -> None:
    # Five validation images: one is given out twice and must count once.
    write_tiny(tmp_path / "tiny.h5", {"train": 24, "val": 5}, size=32)
    options = ("--epochs", "3", "--batch-size", "8")
    alone = training(tmp_path, *options, "--accumulate", "2", out="alone")
    together = training(tmp_path, *options, processes=2, out="together")
    assert "2 processes" in together
    # Both say the same, once: only the first process talks.
    epochs = [re.findall(r"epoch \d/3: loss \S+", text) for text in (alone, together)]
    assert epochs[0] == epochs[1]
    assert len(epochs[0]) == 3
    one, two = (read_checkpoint(tmp_path / name / "last.pt") for name in ("alone", "together"))
    for row, other in zip(one["training"]["log"], two["training"]["log"], strict=True):
        for name in ("loss", "val_epe_px", "val_auc_0_30px"):
            assert row[name] == pytest.approx(other[name], rel=1e-4), name
    pairs = [(one["weights"], two["weights"])]
    pairs.append((one["training"]["average"], two["training"]["average"]))
    for mine, other in pairs:
        for name, value in mine.items():
            if not name.endswith("num_batches_tracked"):  # counts parts
                torch.testing.assert_close(value, other[name], atol=1e-4, rtol=1e-4, msg=name)
    assert [(tmp_path / name / "card.json").exists() for name in ("alone", "together")] == [
        True, True,
    ]  # fmt: skip

    # What two processes began, one goes on with, if it computes the same parts.
    more = (*options, "--resume", "--accumulate")
    with pytest.raises(AssertionError, match=r"computes a batch in 2 parts.*--accumulate 2"):
        training(tmp_path, *more, "1", out="together")
    assert "nothing left to do" in training(tmp_path, *more, "2", out="together")


@pytest.mark.gpu
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two CUDA devices")
def test_two_gpus_equal_one_that_accumulates(tmp_path: Path) -> None:
    write_tiny(tmp_path / "tiny.h5", {"train": 24, "val": 5}, size=32)
    options = ("--epochs", "2", "--batch-size", "8", "--device", "cuda")
    training(tmp_path, *options, "--accumulate", "2", out="alone")
    training(tmp_path, *options, processes=2, out="together")
    one, two = (read_checkpoint(tmp_path / name / "last.pt") for name in ("alone", "together"))
    for row, other in zip(one["training"]["log"], two["training"]["log"], strict=True):
        assert row["loss"] == pytest.approx(other["loss"], rel=1e-3)
