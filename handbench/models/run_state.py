"""What a run keeps on disk between steps, and how it goes on from there.

``last.pt`` holds weights, optimiser, average, log and position; it is written at the end of every
epoch, now and then in between, and when a run is asked to end. Random numbers need no place in it:
they follow from seed, epoch and step.
"""

from __future__ import annotations

import contextlib
import csv
import io
import os
import time
from collections.abc import Iterator
from typing import Any

import torch

from handbench.errors import HandbenchError, TrainError
from handbench.files import describe_names, to_json, write_bytes, write_json, write_text
from handbench.home import BEST
from handbench.models.averaging import average_over_processes
from handbench.models.baseline import count_parameters
from handbench.models.checkpoint import LAST, read_checkpoint, save_model
from handbench.models.preparation import Run
from handbench.models.settings import TrainSettings
from handbench.models.watching import LOG_COLUMNS
from handbench.provenance import processor_name, provenance

SETTINGS = "settings.json"
PROVENANCE = "provenance.json"
LOG_CSV = "log.csv"
LOG_JSON = "log.jsonl"


def start(run: Run) -> None:
    """Begin a run directory; only process 0 writes.

    Raises
    ------
    TrainError
        If there is a run already, or the directory cannot be written.
    """
    out = run.settings.out
    if not run.processes.is_first:
        return
    if (out / LAST).exists():
        raise TrainError(
            f"{out} already holds a training run: continue it with --resume, or choose another "
            "--out"
        )
    try:
        write_json(out / SETTINGS, run.settings.to_dict())
        write_json(out / PROVENANCE, _provenance(run))
    except (HandbenchError, OSError) as error:
        raise TrainError(f"the run directory cannot be written: {error}") from error


def _provenance(run: Run) -> dict[str, Any]:
    import torchvision

    return {
        **provenance(),
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
        "device": str(run.device),
        "device_name": device_name(run.device),
        "precision": run.precision,
        "processes": run.processes.count,
        "threads": torch.get_num_threads(),
        "parameters": count_parameters(run.model.network),
        "images": {"training": len(run.training), "validation": len(run.validation or ())},
        "data": run.data,
    }


def device_name(device: torch.device) -> str:
    """Name of the GPU, else of the processor as far as the system tells it."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else processor_name()


def restore(run: Run) -> None:
    """Take up the run in ``settings.out``.

    Raises
    ------
    TrainError
        If there is none, it is damaged, or was made with other settings, labels or parts.
    """
    values = _saved(run)
    state = values["training"]
    if run.processes.is_first and not os.access(run.settings.out, os.W_OK):
        raise TrainError(
            f"the run directory {run.settings.out} cannot be written: Permission denied; make it "
            "writable, or copy it and resume the copy"
        )
    try:
        run.model.network.load_state_dict(values["weights"])
        run.optimiser.load_state_dict(state["optimiser"])
        run.scaler.load_state_dict(state["scaler"])
        if run.average is not None:
            run.average.network.load_state_dict(state["average"])
        run.log.extend(state["log"])
        run.position.epoch = len(run.log)
        run.position.step = state["step"]
        run.position.losses = list(state["losses"].to(run.device))
        run.position.seconds = state["seconds"]
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise TrainError(
            f"{run.settings.out / LAST} does not hold the state of this run ({error}): it was "
            "changed, or written by another version of handbench; start a new run from its weights "
            "with --init"
        ) from error


def _saved(run: Run) -> dict[str, Any]:
    """Contents of ``last.pt``, after checking that it is a run with these settings and labels."""
    settings = run.settings
    path = settings.out / LAST
    if not path.exists():
        raise TrainError(
            f"expected a training run to resume in {settings.out}, found no {LAST}: start it "
            "without --resume"
        )
    values = read_checkpoint(path)
    if "training" not in values:
        raise TrainError(f"{path} holds weights but no state of training: start a new run")
    state = values["training"]
    changed = TrainSettings.from_dict(state["settings"]).differences(settings)
    if changed:
        raise TrainError(
            f"the run in {settings.out} was started with other settings ({', '.join(changed)}): "
            "resume it with the old ones, or start a new run with --init"
        )
    if state["data"] != run.data:
        raise TrainError(
            f"the run in {settings.out} was started on other labels than "
            f"{describe_names(str(path) for path in settings.data)} now holds: put the old file "
            "back, or start a new run with --init"
        )
    parts = state.get("parts", 1)
    if parts != run.parts:
        processes = run.processes.count
        advice = (
            f"resume it with --accumulate {parts // processes}"
            if parts % processes == 0
            else f"resume it with a number of processes that divides {parts}"
        )
        raise TrainError(
            f"the run in {settings.out} computes a batch in {parts} "
            f"{'parts' if parts > 1 else 'part'}, found {processes} "
            f"{'processes' if processes > 1 else 'process'} × --accumulate {settings.accumulate}: "
            f"{advice}"
        )
    return values


def save(run: Run) -> None:
    """Write what is new in ``best.pt`` and the log, then ``last.pt``, which makes it count.

    All processes take part, process 0 writes.
    """
    average = run.average.network if run.average is not None else None
    average_over_processes(run.processes, run.model.network, average)
    position = run.position
    losses = torch.stack(position.losses) if position.losses else torch.empty(0)
    run.processes.average_([losses] if position.losses else [])
    position.losses = list(losses)
    best, run.best, run.saved = run.best, None, time.perf_counter()
    if not run.processes.is_first:
        return
    if best is not None:
        with one_sentence(run):
            save_model(run.settings.out / BEST, best)
    if run.log:
        _save_log(run)
    state = {
        "settings": run.settings.to_dict(),
        "data": run.data,
        "parts": run.parts,
        "optimiser": run.optimiser.state_dict(),
        "scaler": run.scaler.state_dict(),
        "average": None if average is None else average.state_dict(),
        "log": run.log,
        "step": position.step,
        "losses": losses.cpu(),
        "seconds": position.seconds,
    }
    with one_sentence(run):
        save_model(run.settings.out / LAST, run.model, state)


def _save_log(run: Run) -> None:
    """Write ``log.csv`` and ``log.jsonl`` anew, so that no row is there twice after a restart."""
    lines = io.StringIO()
    table = csv.DictWriter(lines, LOG_COLUMNS, lineterminator="\n")
    table.writeheader()
    table.writerows(run.log)
    with one_sentence(run):
        write_text(run.settings.out / LOG_CSV, lines.getvalue())
        rows = [to_json(row, indent=False) + b"\n" for row in run.log]
        write_bytes(run.settings.out / LOG_JSON, b"".join(rows))


@contextlib.contextmanager
def one_sentence(run: Run) -> Iterator[None]:
    """Say what stopped the writing into a run directory, and that nothing of the run is lost.

    Raises
    ------
    TrainError
        In place of what the system or torch raised.
    """
    try:
        yield
    except HandbenchError as error:
        raise TrainError(f"{error}; {_stands(run)}") from error
    except (OSError, RuntimeError) as error:
        # torch reports a refused write as an error of its own, raised on top of the system's.
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, OSError):
            cause = cause.__context__
        if cause is None:
            raise
        raise TrainError(
            f"the run directory {run.settings.out} cannot be written: "
            f"{cause.strerror or cause}; make room there; {_stands(run)}"
        ) from error


def _stands(run: Run) -> str:
    if (run.settings.out / LAST).exists():
        return f"what {LAST} held before is still there: go on with --resume"
    return "nothing was saved yet: start again"
