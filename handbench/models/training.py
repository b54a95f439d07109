"""Train the baseline: from HDF5 files to a run directory, resumable after every epoch.

A run directory holds

``settings.json``
    every setting (:class:`~handbench.models.settings.TrainSettings`)
``provenance.json``
    command, versions, device, and the fingerprint of the labels
``log.csv``
    one row an epoch
``curves.png``
    the same as a picture
``best.pt``, ``last.pt``
    weights of the best epoch, and everything needed to continue after the last one
"""

from __future__ import annotations

import csv
import io
import math
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from handbench.errors import HandbenchError, TrainError
from handbench.files import describe_names, write_json, write_text
from handbench.hdf5.reader import HandFile
from handbench.metrics import auc, epe, keypoint_errors
from handbench.models.architecture import STRIDE, check_input_size
from handbench.models.augment import (
    Augmentation,
    jitter_colours,
    sample_matrices,
    transform_points,
    warp_images,
)
from handbench.models.baseline import count_parameters, load_pretrained
from handbench.models.batches import (
    HandRows,
    ShuffledBatches,
    generator,
    loader,
    training_and_validation,
)
from handbench.models.checkpoint import (
    BEST,
    LAST,
    TrainedModel,
    copy_weights,
    new_network,
    read_checkpoint,
    save_model,
)
from handbench.models.curves import draw_curves
from handbench.models.heatmaps import gaussian_targets, heatmap_loss
from handbench.models.inference import autocast, choose_device, choose_precision, locate
from handbench.models.settings import TrainSettings
from handbench.provenance import provenance

AUC_LIMIT_PX = 30.0
LOSS_CHECK_STEPS = 20
"""Looking at the loss makes a GPU wait, so it is looked at this often."""

ADAM_EPSILON = 1e-12
"""The mean over all cells makes gradients of 1e-7 and less, which the usual 1e-8 would damp."""

LOG_COLUMNS = ("epoch", "loss", "val_epe_px", "val_auc_0_30px", "lr", "seconds", "samples_per_s")
Row = dict[str, float]


@dataclass
class _Run:
    """What an epoch needs, put together once."""

    settings: TrainSettings
    device: torch.device
    precision: str
    workers: int
    training: HandRows
    validation: HandRows
    order: ShuffledBatches
    batches: Iterable[tuple[torch.Tensor, torch.Tensor]]
    size: int
    model: TrainedModel
    optimiser: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    data: list[dict[str, Any]]
    log: list[Row]


def train(
    settings: TrainSettings,
    *,
    resume: bool = False,
    stop_after: int | None = None,
    say: Callable[[str], object] | None = None,
    progress: bool = False,
) -> Path:
    """Train the baseline.

    Parameters
    ----------
    settings
        Everything that decides the result.
    resume
        Continue the run in ``settings.out`` after its last complete epoch. On a CPU the result is
        the one of an uninterrupted run, bit for bit.
    stop_after
        End after this epoch although ``settings.epochs`` says more; the run can be resumed.
    say
        Called with lines of text for people.
    progress
        Show a bar on standard error if that is a terminal.

    Returns
    -------
    The run directory.

    Raises
    ------
    TrainError
        If the run cannot start, continue, or its loss is no number.
    """
    settings.check()
    say = say or (lambda _: None)
    run = _prepare(settings, resume=resume)
    first = len(run.log)
    last = min(settings.epochs, stop_after or settings.epochs)
    say(
        f"{run.model.name}: {count_parameters(run.model.network) / 1e6:.1f} M parameters, input "
        f"{run.size}×{run.size} px, {len(run.training):,} training and {len(run.validation):,} "
        f"validation images, {run.device.type} in {run.precision}, {run.workers} workers"
    )
    if first:
        more = "continuing" if first < last else "nothing left to do"
        say(f"{more} after epoch {first} of {settings.epochs}")
    for epoch in range(first, last):
        row = _epoch(run, epoch, progress=progress)
        best = min((earlier["val_epe_px"] for earlier in run.log), default=math.inf)
        run.log.append(row)
        _save(run, is_best=row["val_epe_px"] < best)
        say(
            f"epoch {epoch + 1}/{settings.epochs}: loss {row['loss']:.3e}, validation EPE "
            f"{row['val_epe_px']:.2f} px, AUC@0-30px {row['val_auc_0_30px']:.3f}, "
            f"{row['seconds']:.1f} s, {row['samples_per_s']:.0f} images/s"
        )
    return settings.out


def learning_rate(settings: TrainSettings, step: int, steps: int) -> float:
    """Learning rate of step 0 … steps - 1: a linear rise, then half a cosine or two steps down.

    The step schedule multiplies by 0.1 at 64 % and at 86 % of the run, where Simple Baselines
    does (epochs 90 and 120 of 140).
    """
    rise = settings.warmup * steps
    if step < rise:
        return settings.lr * (step + 1) / (math.ceil(rise) + 1)
    if settings.schedule == "step":
        return settings.lr * 0.1 ** ((step >= 90 / 140 * steps) + (step >= 120 / 140 * steps))
    return settings.lr * 0.5 * (1 + math.cos(math.pi * (step - rise) / max(steps - rise, 1)))


def _prepare(settings: TrainSettings, *, resume: bool) -> _Run:
    device = choose_device(settings.device)
    precision = choose_precision(settings.precision, device)
    workers = settings.workers
    if workers is None:
        workers = 0 if device.type == "cpu" else min(8, os.cpu_count() or 1)
    data = _fingerprints(settings)
    saved = _saved_state(settings, data) if resume else None
    training, validation = training_and_validation(
        settings.data,
        settings.split_train,
        settings.split_val,
        settings.val_fraction,
        settings.val_blocks,
        cache=workers == 0,
    )
    if len(training) < settings.batch_size:
        raise TrainError(
            f"a batch of {settings.batch_size} images needs at least as many to train on, found "
            f"{len(training)}: use a smaller --batch-size or more data"
        )
    size = settings.size or max(training.size)
    check_input_size(size)

    network = new_network(settings.depth, settings.seed)
    load_pretrained(network, settings.pretrained)
    seen = copy_weights(network, settings.init) if settings.init is not None else ()
    network.to(device)
    optimiser = torch.optim.AdamW(
        network.parameters(),
        lr=settings.lr,
        weight_decay=settings.weight_decay,
        eps=ADAM_EPSILON,
        fused=device.type in ("cpu", "cuda"),
    )
    order = ShuffledBatches(len(training), settings.batch_size, settings.seed, training.weights)
    run = _Run(
        settings=settings,
        device=device,
        precision=precision,
        workers=workers,
        training=training,
        validation=validation,
        order=order,
        # One loader for the whole run, so that its processes start only once.
        batches=loader(training, order, workers, pin=device.type == "cuda"),
        size=size,
        model=TrainedModel(
            network=network,
            size=size,
            sigma=settings.sigma,
            grid=settings.grid,
            name=settings.out.name,
            training_data=tuple(dict.fromkeys((*seen, *training.names))),
        ),
        optimiser=optimiser,
        scaler=torch.amp.GradScaler(device.type, enabled=precision == "fp16"),
        data=data,
        log=[],
    )
    if saved is None:
        _start_directory(run)
    else:
        _restore(run, saved)
    return run


def _start_directory(run: _Run) -> None:
    out = run.settings.out
    if (out / LAST).exists():
        raise TrainError(
            f"{out} already holds a training run: continue it with --resume, or choose another "
            "--out"
        )
    try:
        write_json(out / "settings.json", run.settings.to_dict())
        write_json(out / "provenance.json", _provenance(run))
    except HandbenchError as error:
        raise TrainError(f"the run directory cannot be written: {error}") from error


def _provenance(run: _Run) -> dict[str, Any]:
    import torchvision

    return {
        **provenance(),
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
        "device": str(run.device),
        "precision": run.precision,
        "parameters": count_parameters(run.model.network),
        "data": run.data,
    }


def _fingerprints(settings: TrainSettings) -> list[dict[str, Any]]:
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


def _saved_state(settings: TrainSettings, data: list[dict[str, Any]]) -> dict[str, Any]:
    """Contents of ``last.pt``, after checking that it is a run with these settings and labels."""
    path = settings.out / LAST
    if not path.exists():
        raise TrainError(
            f"expected a training run to resume in {settings.out}, found no {LAST}: start it "
            "without --resume"
        )
    values = read_checkpoint(path)
    if "training" not in values:
        raise TrainError(f"{path} holds weights but no state of training: start a new run")
    before = TrainSettings.from_dict(values["training"]["settings"])
    changed = before.differences(settings)
    if changed:
        raise TrainError(
            f"the run in {settings.out} was started with other settings ({', '.join(changed)}): "
            "resume it with the old ones, or start a new run with --init"
        )
    if values["training"]["data"] != data:
        raise TrainError(
            f"the run in {settings.out} was started on other labels than "
            f"{describe_names(str(path) for path in settings.data)} now holds: put the old file "
            "back, or start a new run with --init"
        )
    return values


def _restore(run: _Run, values: dict[str, Any]) -> None:
    state = values["training"]
    run.model.network.load_state_dict(values["weights"])
    run.optimiser.load_state_dict(state["optimiser"])
    run.scaler.load_state_dict(state["scaler"])
    run.log.extend(state["log"])


def _epoch(run: _Run, epoch: int, *, progress: bool) -> Row:
    """Train for one epoch and validate; return its row of the log."""
    start = time.perf_counter()
    loss, lr = _train_epoch(run, epoch, progress=progress)
    seconds = time.perf_counter() - start
    val_epe, val_auc = _validate(run)
    return {
        "epoch": epoch + 1,
        "loss": loss,
        "val_epe_px": val_epe,
        "val_auc_0_30px": val_auc,
        "lr": lr,
        "seconds": time.perf_counter() - start,
        "samples_per_s": len(run.order) * run.settings.batch_size / seconds,
    }


def _train_epoch(run: _Run, epoch: int, *, progress: bool) -> tuple[float, float]:
    """One pass over the training images; mean loss and last learning rate."""
    from tqdm import tqdm

    settings, network = run.settings, run.model.network
    augmentation = Augmentation(
        settings.flip, settings.rotation, settings.scale, settings.shift, settings.colour
    )
    draw = generator(settings.seed, epoch, "augmentation")
    steps = len(run.order)
    run.order.epoch = epoch
    keypoints = torch.from_numpy(run.training.labels.keypoints)
    valid = torch.from_numpy(run.training.labels.valid)
    targets: torch.Tensor | None = None
    losses: list[torch.Tensor] = []
    recent: list[torch.Tensor] = []
    lr = 0.0
    network.train()
    with (
        torch.backends.cudnn.flags(enabled=True, benchmark=True),
        tqdm(
            total=steps * settings.batch_size,
            desc=f"epoch {epoch + 1}/{settings.epochs}",
            unit="image",
            leave=False,
            disable=None if progress else True,
        ) as bar,
    ):
        for images, positions in run.batches:
            lr = learning_rate(settings, epoch * steps + len(losses), settings.epochs * steps)
            for group in run.optimiser.param_groups:
                group["lr"] = lr
            matrices = sample_matrices(len(images), run.training.size, run.size, augmentation, draw)
            points = transform_points(matrices, keypoints[positions].double())
            pixels = warp_images(images.to(run.device, non_blocking=True), matrices, run.size)
            pixels = jitter_colours(pixels, settings.colour, draw)
            targets, weights = gaussian_targets(
                points.float().to(run.device, non_blocking=True),
                valid[positions].to(run.device, non_blocking=True),
                (run.size, run.size),
                STRIDE,
                settings.sigma,
                settings.grid,
                out=targets,
            )
            with autocast(run.device, run.precision):
                maps = network(pixels)
            loss = heatmap_loss(maps, targets, weights)
            run.optimiser.zero_grad(set_to_none=True)
            run.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
            run.scaler.step(run.optimiser)
            run.scaler.update()
            losses.append(loss.detach())
            recent.append(positions)
            if len(recent) == LOSS_CHECK_STEPS or len(losses) == steps:
                _check_losses(run, epoch, losses[-len(recent) :], recent)
                recent.clear()
            bar.update(len(images))
    return float(torch.stack(losses).mean()), lr


def _check_losses(
    run: _Run, epoch: int, losses: list[torch.Tensor], batches: list[torch.Tensor]
) -> None:
    finite = torch.stack(losses).isfinite().cpu()
    if finite.all():
        return
    positions = batches[int((~finite).nonzero()[0, 0])]
    ids = run.training.labels.sample_id[positions.numpy()]
    raise TrainError(
        f"the loss is no longer a number in epoch {epoch + 1}, first in the batch with "
        f"{describe_names(ids.tolist())}: lower --lr, or look at these images with `handbench show`"
    )


def _validate(run: _Run) -> tuple[float, float]:
    """EPE (px) and AUC@0-30px in source pixels, by the functions that `evaluate` uses."""
    found = locate(
        run.model.network,
        run.validation,
        size=run.size,
        grid=run.settings.grid,
        batch_size=run.settings.batch_size,
        device=run.device.type,
        precision=run.precision,
        workers=run.workers,
    )
    labels = run.validation.labels
    errors = keypoint_errors(
        labels.to_source(found.keypoints), labels.to_source(labels.keypoints), labels.valid
    )
    return epe(errors), auc(errors, 0.0, AUC_LIMIT_PX)


def _save(run: _Run, *, is_best: bool) -> None:
    """Write everything after an epoch; ``last.pt`` comes last and makes the epoch count."""
    out = run.settings.out
    if is_best:
        save_model(out / BEST, run.model)
    lines = io.StringIO()
    table = csv.DictWriter(lines, LOG_COLUMNS, lineterminator="\n")
    table.writeheader()
    table.writerows(run.log)
    write_text(out / "log.csv", lines.getvalue())
    draw_curves(run.log, out / "curves.png", f"{run.model.name}: {', '.join(run.training.names)}")
    state = {
        "settings": run.settings.to_dict(),
        "data": run.data,
        "optimiser": run.optimiser.state_dict(),
        "scaler": run.scaler.state_dict(),
        "log": run.log,
    }
    save_model(out / LAST, run.model, state)
