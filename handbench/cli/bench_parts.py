"""What ``handbench bench`` measures of the way from a dataset to a step of training."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from handbench.predictors.latency import time_calls

SIZE, DEPTH, BATCH = 128, 18, 16
"""Input px, layers of the ResNet and images a step: a training that a laptop can do."""
HANDS = 48
"""Synthetic annotations; each has four pictures."""
SCORED = 10_000
"""Hands whose errors are scored."""


@dataclass(frozen=True)
class Part:
    """One measurement.

    Attributes
    ----------
    what
        In words.
    median_ms
        Of one repetition.
    per_second
        `unit` a second at the median.
    unit
        What is counted.
    repeats
        How often it was timed.
    """

    what: str
    median_ms: float
    per_second: float
    unit: str
    repeats: int

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


def measure_parts(folder: Path, seconds: float, device: str) -> list[Part]:
    """Measure convert, loading, targets, metrics and a training step on synthetic hands.

    Parameters
    ----------
    folder
        Empty; may be removed afterwards.
    seconds
        How long each part is repeated.
    device
        Where the step is taken.
    """
    from handbench.synthetic.dataset import write_sample_dataset

    write_sample_dataset(folder / "hands", count=HANDS, size=SIZE, progress=False)
    convert, images = _converting(folder)
    return [
        _timed(f"convert, {SIZE} px", convert, images, "images", seconds),
        _timed("load and decode", *_loading(folder / "hands.h5"), "images", seconds),
        _timed("heatmap targets", _targets(), BATCH, "hands", seconds),
        _timed("PCK, AUC and EPE", _scoring(), SCORED, "hands", seconds),
        _timed(
            f"training step, ResNet-{DEPTH}, batch {BATCH}",
            _stepping(folder, device),
            BATCH,
            "images",
            seconds,
        ),
    ]


def _timed(what: str, work: Callable[[], object], count: int, unit: str, seconds: float) -> Part:
    times = time_calls(work, seconds, warm_up=1)
    median_ms = sorted(times)[len(times) // 2]
    return Part(what, round(median_ms, 3), round(1000 * count / median_ms, 1), unit, len(times))


def _converting(folder: Path) -> tuple[Callable[[], object], int]:
    from handbench.hdf5.convert import ConvertSettings, convert
    from handbench.sources import freihand, manifest

    source = freihand.open_source(folder / "hands", manifest.load("freihand"))
    settings = ConvertSettings(size=SIZE)

    def work() -> dict[str, int]:
        return convert(source, folder / "hands.h5", settings, overwrite=True).rows

    return work, sum(work().values())


def _loading(data: Path) -> tuple[Callable[[], object], int]:
    from handbench.models.batches import in_order
    from handbench.models.rows import HandRows

    rows = HandRows([(data, "train", None)])

    def work() -> None:
        for batch in in_order(len(rows), BATCH):
            rows[batch]

    return work, len(rows)


def _targets() -> Callable[[], object]:
    import torch

    from handbench.hand import NUM_JOINTS
    from handbench.models.heatmaps import gaussian_targets

    points = torch.rand(BATCH, NUM_JOINTS, 2, generator=torch.Generator().manual_seed(0)) * SIZE
    valid = torch.ones(BATCH, NUM_JOINTS, dtype=torch.bool)
    return lambda: gaussian_targets(points, valid, (SIZE, SIZE))


def _scoring() -> Callable[[], object]:
    import numpy as np

    from handbench import metrics
    from handbench.hand import NUM_JOINTS

    rng = np.random.default_rng(0)
    truth = rng.uniform(0, SIZE, (SCORED, NUM_JOINTS, 2))
    found = truth + rng.normal(0, 6, truth.shape)
    valid = np.ones(truth.shape[:2], dtype=bool)
    box = np.tile([0.0, 0.0, SIZE, SIZE], (SCORED, 1))

    def work() -> tuple[object, ...]:
        errors = metrics.keypoint_errors(found, truth, valid)
        relative = metrics.normalise(errors, metrics.box_size(box))
        auc = metrics.auc(errors, 0.0, 30.0, rule="trapz", n=20)
        return metrics.epe(errors), metrics.pck(relative, 0.2), auc

    return work


def _stepping(folder: Path, device: str) -> Callable[[], object]:
    from handbench.models.distributed import Processes
    from handbench.models.inference import choose_device
    from handbench.models.preparation import prepare
    from handbench.models.settings import TrainSettings
    from handbench.models.stepping import Stepper

    settings = TrainSettings(
        data=(folder / "hands.h5",),
        out=folder / "run",
        depth=DEPTH,
        size=SIZE,
        batch_size=BATCH,
        device=device,
    )
    run = prepare(settings, Processes(), choose_device(device))
    stepper = Stepper(run)
    batches = itertools.chain.from_iterable(iter(run.batches) for _ in itertools.count())
    run.model.network.train()
    return lambda: stepper.step([next(batches)])[0].item()
