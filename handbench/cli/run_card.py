"""The result card of a training run: its best weights, scored, beside how they came about.

It is made here, after training, because a network knows nothing of predictions and scores
(docs/architecture.md). ``card.json`` is results JSON of format 1, so that whatever reads results
takes it as it is, with one more key ``run``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from handbench.errors import TrainError
from handbench.models.settings import TrainSettings

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from handbench.scores.results import Results

PROTOCOLS = ("handbench", "mmpose")
"""The first makes the card; the others lie in ``results/``."""
TEST = "test"
_METRIC = "EPE[px]"


@dataclass(frozen=True)
class _Part:
    """Rows of a file that are scored."""

    path: Path
    split: str
    rows: npt.NDArray[np.int64] | None
    what: str


def check_test(data: Sequence[Path]) -> None:
    """Raise :class:`TrainError` before a run if no file has a split to test on."""
    from handbench.hdf5.reader import HandFile

    for path in data:
        with HandFile(path) as file:
            if TEST in file and file[TEST].column("valid_2d").any():
                return
    names = ", ".join(str(path) for path in data)
    raise TrainError(
        f"--test scores the split {TEST!r}, but {names} has none with labels: leave it away, or "
        "evaluate on another file afterwards"
    )


def write_card(run: Path, *, test: bool) -> str:
    """Score the best weights of a finished run and write ``card.json`` and ``results/``.

    Parameters
    ----------
    run
        Run directory.
    test
        Score the split ``test`` as well; the card then shows that one.

    Returns
    -------
    A line that says where the card lies and what it says.
    """
    from handbench.files import write_json
    from handbench.models.card import CARD, describe_run

    settings = TrainSettings.read(run)
    scored = [
        (part, results)
        for part in _parts(settings, test)
        for results in _score(run, settings, part)
    ]
    if not scored:
        raise TrainError(
            "nothing was held out to score; a split test is scored by  handbench train baseline "
            f"--resume --out {run} --test"
        )
    # The split test comes first where it is asked for, and the first protocol.
    (part, shown), others = scored[0], scored[1:]
    for number, (_, results) in enumerate(others):
        name = f"{results.dataset}-{results.split}.{results.protocol}.json"
        if any(
            (results.dataset, results.split, results.protocol)
            == (other.dataset, other.split, other.protocol)
            for _, other in others[:number]
        ):
            name = f"{number}-{name}"
        results.write(run / "results" / name)
    described = {**describe_run(run), "scored_on": part.what}
    write_json(run / CARD, {**shown.to_dict(), "run": described})
    epe = shown.metrics[_METRIC]
    value = "no EPE" if epe.value is None else f"EPE {epe.value:.2f} px"
    if epe.ci95 is not None:
        value += f" ({epe.ci95[0]:.2f} to {epe.ci95[1]:.2f})"
    hands = shown.samples["expected"]
    return f"result card {run / CARD}: {value} on {hands:,} hands of {part.what}"


def _parts(settings: TrainSettings, test: bool) -> list[_Part]:
    from handbench.hdf5.reader import HandFile
    from handbench.models.batches import part_rows

    parts = []
    if test:
        for path in settings.data:
            with HandFile(path) as file:
                if TEST in file:
                    parts.append(_Part(path, TEST, None, f"the split {TEST}"))
    _, validation = part_rows(
        settings.data,
        settings.split_train,
        settings.split_val,
        settings.val_fraction,
        settings.val_blocks,
    )
    what = "the validation images, which also chose the epoch"
    return parts + [_Part(path, split, rows, what) for path, split, rows in validation]


def _score(run: Path, settings: TrainSettings, part: _Part) -> list[Results]:
    from handbench.predictions.run import predict_split
    from handbench.scores.scoring import evaluate

    predictions = predict_split(
        run,
        part.path,
        part.split,
        chosen=part.rows,
        device=settings.device,
        looks=settings.looks,
    )
    ids = None if part.rows is None else predictions.id.tolist()
    return evaluate(predictions, part.path, PROTOCOLS, ids=ids, ids_from="the run").results
