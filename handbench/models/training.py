"""Train the baseline: from HDF5 files to a run directory, resumable after every step.

A run directory holds

``settings.json``
    every setting (:class:`~handbench.models.settings.TrainSettings`)
``provenance.json``
    command, versions, machine, and the fingerprint of the labels
``log.csv``, ``log.jsonl``
    one row an epoch
``curves.png``
    the same as a picture
``val/``
    sheets of validation images with predictions
``best.pt``, ``last.pt``
    weights of the best epoch, and everything needed to continue

The same program runs alone and as one of several processes under ``torchrun``.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import itertools
import math
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from handbench.errors import TrainError, TrainingStoppedError
from handbench.files import describe_names
from handbench.models import interruption, run_state
from handbench.models.baseline import count_parameters
from handbench.models.curves import draw_curves
from handbench.models.distributed import joined
from handbench.models.inference import choose_device
from handbench.models.interruption import Asked
from handbench.models.memory import freed_memory_kept
from handbench.models.preparation import Position, Row, Run, prepare
from handbench.models.settings import TrainSettings
from handbench.models.stepping import Part, Stepper
from handbench.models.validation import (
    Validation,
    best_epoch,
    draw_sheet,
    gets_a_sheet,
    is_better,
    out_of_patience,
    validate,
)
from handbench.models.watching import Tracker, epoch_line, time_left

CHECK_STEPS = 20
"""Looking at the loss makes a GPU wait, and asking the other processes takes time; a CPU has done
its work when a step ends."""

SAVE_PAUSE_S = 30.0
"""Epochs that end sooner after the last save are not saved: a few hundred photos are seen in
seconds, and writing half a gigabyte after each pass would take a third of the time."""


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
        Continue the run in ``settings.out`` where its last checkpoint stands. On a CPU the result
        is the one of an uninterrupted run, bit for bit.
    stop_after
        End after this epoch although ``settings.epochs`` says more; the run can be resumed.
    say
        Called with lines of text for people, in the first process only.
    progress
        Show a bar on standard error if that is a terminal.

    Returns
    -------
    The run directory.

    Raises
    ------
    TrainError
        If the run cannot start, continue, or its loss is no number.
    TrainingStoppedError
        When SIGTERM or SIGUSR1 asked the run to end, after saving it.
    """
    settings.check()
    device = choose_device(settings.device)
    with joined(device) as processes, freed_memory_kept(device):
        # Processes that start at different moments may have found different free names.
        settings = dataclasses.replace(settings, out=processes.from_first(settings.out))
        run = prepare(settings, processes, device)
        if resume:
            run_state.restore(run)
        else:
            run_state.start(run)
        tell = say if say is not None and processes.is_first else _silent
        _train(run, stop_after, tell, progress=progress and processes.is_first)
        processes.wait()
    return settings.out


def _silent(_line: str) -> None: ...


def _train(
    run: Run, stop_after: int | None, say: Callable[[str], object], *, progress: bool
) -> None:
    settings, position = run.settings, run.position
    first, last = position.epoch, min(settings.epochs, stop_after or settings.epochs)
    _introduce(run, last, say)
    stepper = Stepper(run)
    seconds: list[float] = []
    pause = min(SAVE_PAUSE_S, 60 * settings.save_minutes)
    tracker = Tracker(settings, first * run.steps + position.step, active=run.processes.is_first)
    with contextlib.closing(tracker), interruption.listening() as asked:
        for epoch in range(first, last):
            if out_of_patience(run.log, settings.select, settings.patience):
                say(
                    f"stopped early: no better epoch in {settings.patience} since epoch "
                    f"{best_epoch(run.log, settings.select)}"
                )
                break
            row, result = _epoch(run, stepper, tracker, asked, progress=progress)
            if is_better(row, run.log, settings.select):
                run.best = dataclasses.replace(
                    run.judged, network=copy.deepcopy(run.judged.network)
                )
            run.log.append(row)
            run.position = Position(epoch=epoch + 1)
            sheet = _draw_sheet(run, result)
            over = out_of_patience(run.log, settings.select, settings.patience)
            number, due = run.processes.largest([asked.signal, _since_save(run) >= pause])
            if number or due or over or epoch in (first, last - 1):
                _save_epoch(run)
            tracker.epoch((epoch + 1) * run.steps, row, sheet)
            seconds.append(row["seconds"])
            say(epoch_line(row, settings.epochs, time_left(seconds, last - epoch - 1)))
            _end_if_asked(run, number)


def _introduce(run: Run, last: int, say: Callable[[str], object]) -> None:
    settings, position = run.settings, run.position
    several = f", {run.processes.count} processes" if run.processes.count > 1 else ""
    say(
        f"{run.model.name}: {count_parameters(run.model.network) / 1e6:.1f} M parameters, input "
        f"{run.model.size}×{run.model.size} px, {len(run.training):,} training and "
        f"{len(run.validation or ()):,} validation images, {run.device.type} in {run.precision}"
        f"{several}, {run.workers} workers"
    )
    if position.step:
        say(
            f"continuing in epoch {position.epoch + 1} of {settings.epochs} after step "
            f"{position.step} of {run.steps}"
        )
    elif position.epoch:
        more = "continuing" if position.epoch < last else "nothing left to do"
        say(f"{more} after epoch {position.epoch} of {settings.epochs}")


def _epoch(
    run: Run, stepper: Stepper, tracker: Tracker, asked: Asked, *, progress: bool
) -> tuple[Row, Validation | None]:
    """Finish the epoch that the run is in and validate; return its row of the log."""
    rate = _train_epoch(run, stepper, tracker, asked, progress=progress)
    position = run.position
    start = time.perf_counter()
    loss = torch.stack(position.losses).mean()
    run.processes.average_([loss])
    result = validate(run)
    row: Row = {
        "epoch": position.epoch + 1,
        "loss": float(loss),
        "val_epe_px": math.nan if result is None else result.epe_px,
        "val_auc_0_30px": math.nan if result is None else result.auc,
        "lr": rate,
        "seconds": position.seconds + time.perf_counter() - start,
        "samples_per_s": run.steps * run.settings.batch_size / position.seconds,
    }
    return row, result


def _train_epoch(
    run: Run, stepper: Stepper, tracker: Tracker, asked: Asked, *, progress: bool
) -> float:
    """Take the steps that the epoch still lacks; return the last learning rate."""
    from tqdm import tqdm

    settings, position = run.settings, run.position
    run.order.epoch, run.order.start = position.epoch, position.step
    run.model.network.train()
    every = 1 if run.device.type == "cpu" else CHECK_STEPS
    recent: list[list[Part]] = []
    rate = 0.0
    begun, before = time.perf_counter(), position.seconds
    with (
        torch.backends.cudnn.flags(enabled=True, benchmark=True),
        tqdm(
            total=run.steps * settings.batch_size,
            initial=position.step * settings.batch_size,
            desc=f"epoch {position.epoch + 1}/{settings.epochs}",
            unit="image",
            leave=False,
            disable=None if progress else True,
        ) as bar,
    ):
        for parts in _in_steps(run):
            loss, rate = stepper.step(parts)
            position.losses.append(loss)
            position.step += 1
            position.seconds = before + time.perf_counter() - begun
            recent.append(parts)
            bar.update(settings.batch_size)
            if len(recent) < every and position.step < run.steps:
                continue
            losses = torch.stack(position.losses[-len(recent) :]).cpu()
            due = _since_save(run) >= 60 * settings.save_minutes
            bad, number, due_anywhere = run.processes.largest(
                [not losses.isfinite().all(), asked.signal, due]
            )
            if bad:
                _refuse_losses(run, losses, recent)
            recent.clear()
            tracker.step(position.epoch * run.steps + position.step, float(losses.mean()), rate)
            if position.step == run.steps:
                continue  # the end of the epoch saves
            if number or due_anywhere:
                run_state.save(run)
            _end_if_asked(run, number)
    return rate


def _in_steps(run: Run) -> Iterator[list[Part]]:
    """The parts of this process, step by step."""
    parts = iter(run.batches)
    while step := list(itertools.islice(parts, len(run.order.numbers))):
        yield step


def _refuse_losses(run: Run, losses: torch.Tensor, recent: list[list[Part]]) -> None:
    """Stop all processes with the ids of the first batch whose loss is no number."""
    ids: list[str] = []
    bad = (~losses.isfinite()).nonzero()
    if len(bad):
        positions = torch.cat([part[1] for part in recent[int(bad[0, 0])]])
        ids = run.training.labels.sample_id[positions.numpy()].tolist()
    first = next(found for found in run.processes.gathered(ids) if found)
    raise TrainError(
        f"the loss is no longer a number in epoch {run.position.epoch + 1}, first in the batch "
        f"with {describe_names(first)}: lower --lr, or look at these images with `handbench show`"
    )


def _since_save(run: Run) -> float:
    """Seconds."""
    return time.perf_counter() - run.saved


def _draw_sheet(run: Run, result: Validation | None) -> Path | None:
    settings, epoch = run.settings, run.position.epoch
    wanted = settings.sheet and gets_a_sheet(epoch, settings.epochs)
    if result is None or not wanted or not run.processes.is_first:
        return None
    with run_state.one_sentence(run):
        return draw_sheet(run, result, epoch)


def _save_epoch(run: Run) -> None:
    """Write everything up to the end of an epoch; ``last.pt`` comes last and makes it count."""
    if run.processes.is_first:
        with run_state.one_sentence(run):
            draw_curves(
                run.log,
                run.settings.out / "curves.png",
                f"{run.model.name}: {', '.join(run.training.names)}",
                best_epoch(run.log, run.settings.select),
            )
    run_state.save(run)


def _end_if_asked(run: Run, number: int) -> None:
    """Leave after a signal; the run is saved."""
    if not number:
        return
    position = run.position
    where = (
        f"in epoch {position.epoch + 1} after step {position.step} of {run.steps}"
        if position.step
        else f"after epoch {position.epoch}"
    )
    raise TrainingStoppedError(
        f"stopped {where} by {signal.Signals(number).name}; nothing is lost: go on with  handbench "
        f"train baseline --resume --out {run.settings.out}",
        number,
    )
