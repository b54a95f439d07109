"""Validation after an epoch, by the functions that `evaluate` uses, and its contact sheet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from handbench.drawing import contact_sheet, draw_comparison, zoom
from handbench.files import atomic_path
from handbench.metrics import auc, epe, keypoint_errors
from handbench.models.averaging import average_over_processes
from handbench.models.inference import locate
from handbench.models.looks import Looks
from handbench.models.preparation import Row, Run
from handbench.models.rows import HandRows

AUC_LIMIT_PX = 30.0
SHEETS = "val"
_CELL_PX = 224
_ROUND = (1, 2, 5)
"""First digits of the epochs after which a sheet is drawn: few, and close together early."""


@dataclass(frozen=True)
class Validation:
    """What a network made of the validation images.

    Attributes
    ----------
    rows
        The images.
    epe_px, auc
        Mean error, and area under the PCK curve from 0 to 30 px, in source pixels.
    keypoints
        (N, 21, 2) float64 px of the stored images.
    errors
        (N, 21) float64 source px, NaN where unlabelled.
    """

    rows: HandRows
    epe_px: float
    auc: float
    keypoints: npt.NDArray[np.float64]
    errors: npt.NDArray[np.float64]


class _Chosen:
    """Rows at some positions, as :class:`~handbench.models.inference.Pictures`."""

    def __init__(self, rows: HandRows, positions: Sequence[int]) -> None:
        self._rows, self._positions = rows, positions
        self.size = rows.size

    def __len__(self) -> int:
        return len(self._positions)

    def __getitem__(self, positions: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
        return self._rows[[self._positions[position] for position in positions]]


def validate(run: Run) -> Validation | None:
    """Validate the run's model; every process takes its share and gets the whole result.

    A run that trains on everything has None.
    """
    average = None if run.average is None else run.average.network
    average_over_processes(run.processes, run.model.network, average)
    model, settings, rows = run.judged, run.settings, run.validation
    if rows is None:
        return None
    positions = run.processes.share(len(rows))
    found = locate(
        model.network,
        _Chosen(rows, positions),
        size=model.size,
        codec=model.codec,
        box_factor=model.box_factor,
        batch_size=max(1, settings.batch_size // run.parts),
        device=run.device.type,
        precision=run.precision,
        workers=run.workers,
        # Other looks are for the end: they would take longer than the training itself.
        looks=Looks(flip=settings.flip_test),
    )
    # What several processes were given so that all have equally many counts once.
    whole = run.processes.whole(torch.from_numpy(found.keypoints), positions, len(rows))
    keypoints = whole.numpy()
    labels = rows.labels
    errors = keypoint_errors(
        labels.to_source(keypoints), labels.to_source(labels.keypoints), labels.valid
    )
    return Validation(rows, epe(errors), auc(errors, 0.0, AUC_LIMIT_PX), keypoints, errors)


def is_better(row: Row, rows: Sequence[Row], select: str) -> bool:
    """Whether an epoch beats all of `rows` by the score that selects."""
    return best_epoch([*rows, row], select) > len(rows)


def best_epoch(rows: Sequence[Row], select: str) -> int:
    """Number (from 1) of the best epoch: the earliest among equals, the last without scores."""
    scores = [goodness(row, select) for row in rows]
    best = max(scores)
    return scores.index(best) + 1 if np.isfinite(best) else len(scores)


def goodness(row: Row, select: str) -> float:
    """The score that selects, larger is better; an error that is no number is worst."""
    value = row["val_auc_0_30px"] if select == "auc" else -row["val_epe_px"]
    return value if np.isfinite(value) else -np.inf


def out_of_patience(rows: Sequence[Row], select: str, patience: int | None) -> bool:
    """Whether the last `patience` epochs brought nothing better."""
    return (
        patience is not None and bool(rows) and (len(rows) - best_epoch(rows, select) >= patience)
    )


def gets_a_sheet(epoch: int, last: int) -> bool:
    """Whether a sheet is drawn after this epoch: 1, 2, 5, 10, 20, 50, 100 … and the last."""
    digits = str(epoch)
    return epoch == last or (int(digits[0]) in _ROUND and not digits[1:].strip("0"))


def draw_sheet(run: Run, result: Validation, epoch: int) -> Path:
    """Draw some validation images with truth (white) and prediction (coloured).

    The images are the same after every epoch, evenly spread over the validation rows.

    Returns
    -------
    The JPEG, ``val/epoch-010.jpg`` in the run directory.
    """
    rows = result.rows
    count = min(run.settings.sheet, len(rows))
    chosen = np.linspace(0, len(rows) - 1, count).round().astype(int).tolist()
    images = rows[chosen][0].permute(0, 2, 3, 1).numpy()
    pictures, titles = [], []
    for image, position in zip(images, chosen):
        corners = np.array([[0.0, 0.0], [image.shape[1] - 1.0, image.shape[0] - 1.0]])
        square, matrix = zoom(np.ascontiguousarray(image), corners, _CELL_PX, padding=1.0)
        truth = rows.labels.keypoints[position].astype(np.float64)
        pictures.append(
            draw_comparison(
                square,
                _moved(matrix, result.keypoints[position]),
                _moved(matrix, truth),
                rows.labels.valid[position],
            )
        )
        errors = result.errors[position]
        known = errors[np.isfinite(errors)]
        mean = f"{known.mean():.1f} px" if len(known) else "no labels"
        titles.append(f"{rows.labels.sample_id[position]}\n{mean}")
    heading = f"{run.model.name} · epoch {epoch} · EPE {result.epe_px:.2f} px"
    sheet = contact_sheet(pictures, titles, cell_px=_CELL_PX, heading=heading)
    path = run.settings.out / SHEETS / f"epoch-{epoch:03d}.jpg"
    with atomic_path(path) as temporary:
        sheet.save(temporary, "JPEG", quality=90)
    return path


def _moved(
    matrix: npt.NDArray[np.float64], points: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    moved: npt.NDArray[np.float64] = points @ matrix[:2, :2].T + matrix[:2, 2]
    return moved
