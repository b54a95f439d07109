from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from generators.small_network import small_network
from generators.tiny_hdf5 import write_tiny

from handbench.errors import TrainError
from handbench.models.distributed import Processes
from handbench.models.preparation import prepare, training_precision
from handbench.models.settings import TrainSettings

CPU = torch.device("cpu")


@pytest.mark.parametrize(("avx", "amx", "chosen"), [
    (False, False, "fp32"), (True, False, "bf16"), (False, True, "bf16"),
])  # fmt: skip
def test_a_cpu_trains_in_bf16_where_it_computes_it(
    avx: bool, amx: bool, chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx, raising=False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx, raising=False)
    assert training_precision("auto", CPU) == chosen
    assert training_precision("fp32", CPU) == "fp32"


def test_releases_of_torch_that_cannot_tell_train_in_fp32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.cpu, "_is_avx512_bf16_supported", raising=False)
    monkeypatch.delattr(torch.cpu, "_is_amx_tile_supported", raising=False)
    assert training_precision("auto", CPU) == "fp32"


def test_fp16_needs_cuda() -> None:
    with pytest.raises(TrainError, match="fp16 needs a CUDA device"):
        training_precision("fp16", CPU)


@pytest.fixture
def settings(tmp_path: Path) -> TrainSettings:
    data = write_tiny(tmp_path / "tiny.h5", {"train": 8, "val": 4}, size=32)
    return TrainSettings(data=(data,), out=tmp_path / "run", depth=18, batch_size=4)


def test_synchronised_batch_norm_needs_gpus(settings: TrainSettings) -> None:
    from dataclasses import replace

    with small_network(), pytest.raises(TrainError, match=r"--sync-batchnorm .* found 1 on cpu"):
        prepare(replace(settings, sync_batchnorm=True), Processes(), CPU)


def test_a_disk_without_room_for_the_checkpoints_is_seen_before_the_first_step(
    settings: TrainSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=10**8))
    with pytest.raises(TrainError, match=r"need 0\.6 GB in .*run, found 0\.1 GB free: make room"):
        prepare(settings, Processes(), CPU)
    with small_network():
        prepare(settings, Processes(), CPU)
