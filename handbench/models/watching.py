"""What a run tells while it goes on: lines for people, and TensorBoard where it is asked for."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from handbench.errors import MissingExtraError
from handbench.models.settings import TrainSettings

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

LOG_COLUMNS = ("epoch", "loss", "val_epe_px", "val_auc_0_30px", "lr", "seconds", "samples_per_s")
"""Of ``log.csv`` and keys of ``log.jsonl``."""

TENSORBOARD = "tensorboard"


def epoch_line(row: Mapping[str, float], epochs: int, left_s: float) -> str:
    """Say how an epoch went and how long the rest will take."""
    line = f"epoch {row['epoch']:g}/{epochs}: loss {row['loss']:.3e}, "
    if not math.isnan(row["val_epe_px"]):
        line += (
            f"validation EPE {row['val_epe_px']:.2f} px, AUC@0-30px {row['val_auc_0_30px']:.3f}, "
        )
    line += f"{row['seconds']:.1f} s, {row['samples_per_s']:.0f} images/s"
    return f"{line}, {duration(left_s)} left" if left_s > 0 else line


def time_left(seconds: Sequence[float], epochs_left: int) -> float:
    """Seconds that `epochs_left` more epochs take, by those that this process has made.

    The median: the first epoch also starts processes and reads files for the first time.
    """
    if not seconds:
        return 0.0
    return sorted(seconds)[len(seconds) // 2] * epochs_left


def duration(seconds: float) -> str:
    """Roughly how long, for people.

    >>> [duration(s) for s in (42, 600, 9000, 200_000)]
    ['42 s', '10 min', '2 h 30 min', '2 d 7 h']
    """
    whole = round(seconds)
    if whole < 90:
        return f"{whole} s"
    minutes = round(whole / 60)
    if minutes < 90:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes} min"
    return f"{hours // 24} d {hours % 24} h"


class Tracker:
    """Sends numbers to TensorBoard, or nowhere.

    Parameters
    ----------
    settings
        Of the run; without `track` nothing is sent.
    first_step
        What comes after it replaces what an interrupted run has sent.

    Raises
    ------
    MissingExtraError
        If TensorBoard is asked for and not installed.
    """

    def __init__(self, settings: TrainSettings, first_step: int, *, active: bool = True) -> None:
        self._writer: SummaryWriter | None = None
        if settings.track and active:
            self._writer = _writer(settings.out / TENSORBOARD, first_step)

    def step(self, step: int, loss: float, rate: float) -> None:
        """Send the mean loss of the steps before `step`, and the learning rate."""
        if self._writer is not None:
            self._writer.add_scalar("train/loss", loss, step)
            self._writer.add_scalar("train/lr", rate, step)

    def epoch(self, step: int, row: Mapping[str, float], sheet: Path | None) -> None:
        """Send what an epoch's row of the log says, and its contact sheet."""
        if self._writer is None:
            return
        for name in LOG_COLUMNS[1:]:
            if not math.isnan(row[name]):
                self._writer.add_scalar(f"epoch/{name}", row[name], step)
        if sheet is not None:
            import numpy as np
            from PIL import Image

            with Image.open(sheet) as picture:
                self._writer.add_image("val/sheet", np.asarray(picture), step, dataformats="HWC")
        self._writer.flush()

    def close(self) -> None:
        """Write out what is pending."""
        if self._writer is not None:
            self._writer.close()


def _writer(folder: Path, first_step: int) -> SummaryWriter:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise MissingExtraError("tensorboard", "track", "--track") from error
    return SummaryWriter(str(folder), purge_step=first_step)
