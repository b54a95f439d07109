"""Put a training run together: device, data, network and optimiser, from settings alone."""

from __future__ import annotations

import dataclasses
import inspect
import os
import shutil
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from handbench.errors import TrainError
from handbench.hdf5.reader import HandFile
from handbench.models.architecture import Normalisation, check_input_size
from handbench.models.averaging import MovingAverage
from handbench.models.baseline import load_pretrained
from handbench.models.batches import ShuffledBatches, loader, training_and_validation
from handbench.models.checkpoint import TrainedModel, copy_weights, new_network
from handbench.models.codecs import make_codec
from handbench.models.distributed import Processes
from handbench.models.examples import Examples
from handbench.models.inference import choose_precision
from handbench.models.optimiser import make_optimiser
from handbench.models.rows import HandRows, keep_in_memory
from handbench.models.sampling import BatchParts
from handbench.models.settings import TrainSettings

_BUFFERS = next(
    # Newer releases of torch call it the first and warn about the second.
    name
    for name in ("forward_sync_buffers", "broadcast_buffers")
    if name in inspect.signature(nn.parallel.DistributedDataParallel).parameters
)

Row = dict[str, float]
"""One epoch in the log; the keys are :data:`handbench.models.watching.LOG_COLUMNS`."""


@dataclass
class Position:
    """How far a run has come.

    Attributes
    ----------
    epoch, step
        Complete epochs, and complete steps of the one after them.
    losses
        Of these steps, scalars.
    seconds
        Spent on them.
    """

    epoch: int = 0
    step: int = 0
    losses: list[torch.Tensor] = field(default_factory=list)
    seconds: float = 0.0


@dataclass
class Run:
    """Everything that an epoch needs, put together once.

    Attributes
    ----------
    network
        What computes: `model.network`, wrapped for several processes or compiled.
    data
        Fingerprints of the labels.
    validation
        None where everything is trained on.
    best
        A copy of the best model so far, if it is not on disk yet.
    saved
        When the run was last saved, by :func:`time.perf_counter`.
    parts
        In which a step is computed, over all processes.
    """

    settings: TrainSettings
    processes: Processes
    device: torch.device
    precision: str
    workers: int
    training: HandRows
    validation: HandRows | None
    order: BatchParts
    batches: Iterable[tuple[torch.Tensor, torch.Tensor]]
    steps: int
    examples: Examples
    model: TrainedModel
    network: nn.Module
    average: MovingAverage | None
    optimiser: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    data: list[dict[str, Any]]
    parts: int
    log: list[Row] = field(default_factory=list)
    best: TrainedModel | None = None
    saved: float = field(default_factory=time.perf_counter)
    position: Position = field(default_factory=Position)

    @property
    def judged(self) -> TrainedModel:
        """The model that is validated and may become the best: the average, where there is one."""
        if self.average is None:
            return self.model
        return dataclasses.replace(self.model, network=self.average.network)


def prepare(settings: TrainSettings, processes: Processes, device: torch.device) -> Run:
    """Build a run that has not taken a step yet.

    Parameters
    ----------
    settings
        Checked ones.
    processes
        Those that train together.
    device
        From :func:`~handbench.models.inference.choose_device`.

    Raises
    ------
    TrainError
        If data, device or weights do not allow the run.
    """
    precision = training_precision(settings.precision, device)
    workers = settings.workers
    if workers is None:
        workers = 0 if device.type == "cpu" else min(8, os.cpu_count() or 1)
    training, validation = training_and_validation(
        settings.data,
        settings.split_train,
        settings.split_val,
        settings.val_fraction,
        settings.val_blocks,
        least=None if settings.size is None else settings.size / settings.box_factor,
    )
    if validation is None and settings.patience is not None:
        raise TrainError(
            "--patience waits for a better validation score, and --val-fraction 0 leaves no image "
            "to validate on: leave one of them away"
        )
    sets = (training,) if validation is None else (training, validation)
    keep_in_memory(sets, settings.cache, workers=workers, processes=processes.on_machine)
    if len(training) < settings.batch_size:
        raise TrainError(
            f"a batch of {settings.batch_size} images needs at least as many to train on, found "
            f"{len(training)}: use a smaller --batch-size or more data"
        )
    size = settings.size or max(training.size)
    check_input_size(size)
    batches = ShuffledBatches(len(training), settings.batch_size, settings.seed, training.weights)
    order = BatchParts(batches, settings.batch_size, processes, settings.accumulate)

    model = _start_model(settings, size, training.names)
    check_room(model.network, settings)
    model.network.to(device)
    average = MovingAverage(model.network, settings.ema) if settings.ema else None
    if settings.sync_batchnorm:
        _synchronise(model.network, processes, device)
    return Run(
        settings=settings,
        processes=processes,
        device=device,
        precision=precision,
        workers=workers,
        training=training,
        validation=validation,
        order=order,
        # One loader for the whole run, so that its processes start only once.
        batches=loader(training, order, workers, pin=device.type == "cuda"),
        steps=len(batches),
        examples=Examples(training, model, settings, device),
        model=model,
        network=_wrapped(model.network, processes, device, compiled=settings.compile),
        average=average,
        optimiser=make_optimiser(model.network, settings, device),
        scaler=torch.amp.GradScaler(device.type, enabled=precision == "fp16"),
        data=fingerprints(settings),
        parts=processes.count * settings.accumulate,
    )


def training_precision(name: str, device: torch.device) -> str:
    """Resolve ``auto`` for training: as for prediction, but bf16 also on CPUs that compute it.

    A CPU without bf16 instructions converts every number to and fro and is slower than in fp32.

    Raises
    ------
    TrainError
        If fp16 is asked for without CUDA.
    """
    if name == "auto" and device.type == "cpu":
        return "bf16" if cpu_has_bf16() else "fp32"
    return choose_precision(name, device)


def cpu_has_bf16() -> bool:
    """Whether this processor multiplies bf16 numbers itself (AVX512-BF16 or AMX)."""
    # torch names these tests with an underscore, and not every release has them.
    tests = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, name, lambda: False)() for name in tests)


def fingerprints(settings: TrainSettings) -> list[dict[str, Any]]:
    """What the run is trained on: file, dataset and hashes of its labels, parts if merged."""
    data: list[dict[str, Any]] = []
    for path in settings.data:
        with HandFile(path) as file:
            hashes = {split: file[split].truth_sha256 for split in file.splits}
            facts = {"file": path.name, "dataset": file.dataset, "truth_sha256": hashes}
            if "merged_from" in file.attributes:
                facts["merged_from"] = file.attributes["merged_from"]  # with the weights
            data.append(facts)
    return data


def check_room(network: nn.Module, settings: TrainSettings) -> None:
    """Refuse to start where the checkpoints would not fit on the disk.

    ``last.pt`` holds the weights, their average and two moments of the gradient, twice while a
    new one replaces an old one; ``best.pt`` holds weights.

    Raises
    ------
    TrainError
        With what is needed and what is there.
    """
    weights = sum(value.numel() * value.element_size() for value in network.state_dict().values())
    needed = weights * (2 * (3 + bool(settings.ema)) + 2)
    there = next(p for p in (settings.out, *settings.out.absolute().parents) if p.exists())
    free = shutil.disk_usage(there).free
    if free < needed:
        raise TrainError(
            f"the checkpoints of this run need {needed / 1e9:.1f} GB in {settings.out}, found "
            f"{free / 1e9:.1f} GB free: make room there or choose another --out"
        )


def _start_model(settings: TrainSettings, size: int, names: tuple[str, ...]) -> TrainedModel:
    network = new_network(settings.depth, settings.seed, Normalisation(settings.channel_order))
    load_pretrained(network, settings.pretrained)
    seen = copy_weights(network, settings.init) if settings.init is not None else ()
    return TrainedModel(
        network=network,
        size=size,
        codec=make_codec(settings.codec, settings.sigma, settings.grid),
        name=settings.out.name,
        training_data=tuple(dict.fromkeys((*seen, *names))),
        box_factor=settings.box_factor,
        looks=settings.looks,
    )


def _synchronise(network: nn.Module, processes: Processes, device: torch.device) -> None:
    if device.type != "cuda" or processes.count == 1:
        raise TrainError(
            "--sync-batchnorm normalises over several processes with a GPU each, found "
            f"{processes.count} on {device.type}: start several with torchrun on CUDA devices, or "
            "leave it away"
        )
    # In place: only layers within the network are replaced.
    nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]


def _wrapped(
    network: nn.Module, processes: Processes, device: torch.device, *, compiled: bool
) -> nn.Module:
    """What computes forward and backward: the network, its gradients averaged over processes."""
    if processes.count > 1:
        unsynchronised: dict[str, Any] = {_BUFFERS: False}
        network = nn.parallel.DistributedDataParallel(
            network,
            device_ids=[processes.local_rank] if device.type == "cuda" else None,
            gradient_as_bucket_view=True,
            # Running statistics are averaged when they are needed: handbench.models.averaging.
            **unsynchronised,
        )
    if compiled:
        network.compile()
    return network
