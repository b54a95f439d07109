"""What a run says about itself when it is over: the training side of its result card."""

from __future__ import annotations

import math
import statistics
from pathlib import Path
from typing import Any

import orjson

from handbench.errors import TrainError
from handbench.files import read_json
from handbench.models.preparation import Row
from handbench.models.run_state import LOG_JSON, PROVENANCE
from handbench.models.settings import TrainSettings
from handbench.models.validation import best_epoch, out_of_patience
from handbench.models.watching import LOG_COLUMNS

CARD = "card.json"


def read_log(run: Path) -> list[Row]:
    """Rows of a run directory's log, one an epoch; none before the first is complete."""
    path = Path(run) / LOG_JSON
    try:
        rows = [orjson.loads(line) for line in path.read_bytes().splitlines()]
    except FileNotFoundError:
        return []
    except (OSError, orjson.JSONDecodeError) as error:
        raise TrainError(
            f"expected a JSON object a line in {path}, found something else ({error}): the file "
            "was changed; --resume writes it again after the next epoch"
        ) from error
    # JSON has no NaN: what was not validated is null there.
    return [{k: math.nan if v is None else v for k, v in row.items()} for row in rows]


def is_finished(settings: TrainSettings, rows: list[Row]) -> bool:
    """Whether a run with these epochs has nothing left to do."""
    return len(rows) >= settings.epochs or out_of_patience(rows, settings.select, settings.patience)


def describe_run(run: Path) -> dict[str, Any]:
    """Settings, data, machine, time and curve of a run directory.

    Parameters
    ----------
    run
        With at least one complete epoch.

    Returns
    -------
    ``recipe``, ``settings``, ``data`` (files with the hashes of their labels), ``machine``,
    ``epochs`` (``done``, ``best``, ``selected_by``), ``seconds`` (training and validation of all
    epochs), ``samples_per_s`` (median of the epochs), ``curve`` (a list an entry of the log) and
    ``started`` (version, command and time).
    """
    run = Path(run)
    settings = TrainSettings.read(run)
    origin = read_json(run / PROVENANCE, "the provenance of a run", TrainError)
    rows = read_log(run)
    return {
        "recipe": settings.recipe,
        "settings": settings.to_dict(),
        "data": origin["data"],
        "images": origin.get("images"),
        "machine": {
            name: origin.get(name)
            for name in ("device", "device_name", "precision", "processes", "threads", "torch")
        },
        "epochs": {
            "done": len(rows),
            "best": best_epoch(rows, settings.select),
            "selected_by": settings.select,
        },
        "seconds": sum(row["seconds"] for row in rows),
        "samples_per_s": statistics.median(row["samples_per_s"] for row in rows),
        "curve": {name: [row[name] for row in rows] for name in LOG_COLUMNS},
        "started": {name: origin.get(name) for name in ("handbench", "command", "created")},
    }
