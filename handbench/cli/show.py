"""``handbench show``: a contact sheet of samples, or of the worst predictions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from handbench.drawing import Picture
    from handbench.hdf5.reader import HandFile, SplitReader

_CELL_PX = 256


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--split", help="Split to show.  [default: test, else the first of the file]")
@click.option(
    "--preds",
    type=click.Path(path_type=Path),
    help="Predictions to draw in colour over the truth in white.",
)
@click.option(
    "--count", type=click.IntRange(1, 400), default=24, show_default=True, help="Pictures."
)
@click.option(
    "--worst/--random",
    "worst",
    default=None,
    help="With --preds: the largest mean errors first, or any samples.  [default: worst]",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="PNG to write.  [default: FILE-SPLIT.png in the current folder]",
)
@click.option("--seed", default=0, show_default=True, help="Which random samples.")
@click.option(
    "--columns", type=click.IntRange(1, 40), default=6, show_default=True, help="Pictures in a row."
)
def show(
    file: Path,
    split: str | None,
    preds: Path | None,
    count: int,
    worst: bool | None,
    out: Path | None,
    seed: int,
    columns: int,
) -> None:
    """Draw a contact sheet (PNG) of FILE.h5: pictures with their keypoints.

    Hollow joints are occluded. With --preds, the worst predictions come first; hands without a
    prediction are left out there, because `handbench evaluate` lists them.

    \b
    handbench show freihand.h5
    handbench show freihand.h5 --preds preds.json --count 12 --out worst.png
    """  # noqa: D301 - click wants the backspace character itself
    if worst and preds is None:
        raise click.UsageError("--worst needs predictions: add --preds FILE")
    from handbench.drawing import contact_sheet
    from handbench.files import atomic_path
    from handbench.hdf5.reader import HandFile

    with HandFile(file) as data:
        if preds is None:
            name = split or ("test" if "test" in data.splits else next(iter(data.splits), "test"))
            cells = _samples(data[name], count, seed)
            heading = f"{data.dataset} · {name}"
        else:
            name, cells = _predictions(
                data, split, preds, count, worst=worst is not False, seed=seed
            )
            heading = f"{data.dataset} · {name} · {preds.name}"
        total = len(data[name])
    pictures, titles = zip(*cells, strict=True)
    sheet = contact_sheet(pictures, titles, columns, cell_px=_CELL_PX, heading=heading)
    target = out or Path(f"{file.stem}-{name}.png")
    with atomic_path(target) as temporary:
        sheet.save(temporary, "PNG")  # the temporary name does not end in .png
    click.echo(f"{target}: {len(cells):,} of {total:,} samples")


def _samples(reader: SplitReader, count: int, seed: int) -> list[tuple[Picture, str]]:
    """Random samples in the order of the file, with the truth in colour."""
    from handbench.camera import transform_points
    from handbench.drawing import draw_hand
    from handbench.errors import HandbenchError
    from handbench.hand import OCCLUDED

    if len(reader) == 0:
        raise HandbenchError(f"split {reader.name!r} holds no samples to show: choose another one")
    cells = []
    for row in _chosen(len(reader), count, seed):
        sample = reader[row]
        square, matrix = _square(sample.image)
        picture = draw_hand(
            square,
            transform_points(matrix, sample.keypoints_2d),
            sample.valid_2d,
            occluded=sample.visibility == OCCLUDED,
        )
        cells.append((picture, f"{sample.sample_id}\n{_side(sample.is_right)}"))
    return cells


def _predictions(
    data: HandFile, split: str | None, preds: Path, count: int, *, worst: bool, seed: int
) -> tuple[str, list[tuple[Picture, str]]]:
    """Name of the split, and predictions over truth: the worst first, or random ones."""
    import numpy as np

    from handbench.camera import transform_points
    from handbench.drawing import draw_comparison
    from handbench.errors import PredictionsError
    from handbench.reports.summary import hand_means
    from handbench.scores.scoring import evaluate

    evaluation = evaluate(preds, data)
    results = evaluation.results[0]
    if split not in (None, results.split):
        raise PredictionsError(
            f"{preds}: these are predictions for split {results.split!r}, not {split!r}: leave out "
            "--split or choose other predictions"
        )
    errors = evaluation.errors
    means = hand_means(errors.errors_px)
    found = np.flatnonzero(np.isfinite(means))
    if len(found) == 0:
        raise PredictionsError(
            f"{preds}: no labelled hand has a 2D prediction, so there is nothing to draw"
        )
    if worst:
        rows = found[np.argsort(-means[found], kind="stable")][:count]
    else:
        rows = found[_chosen(len(found), count, seed)]
    reader = data[results.split]
    place = {name: i for i, name in enumerate(reader.column("sample_id").tolist())}
    cells = []
    for row in rows.tolist():
        sample = reader[place[str(errors.sample_id[row])]]
        square, matrix = _square(sample.image)
        picture = draw_comparison(
            square,
            transform_points(matrix @ sample.crop, errors.keypoints_px[row]),
            transform_points(matrix, sample.keypoints_2d),
            sample.valid_2d,
        )
        cells.append(
            (picture, f"{sample.sample_id}\n{means[row]:.1f} px · {_side(sample.is_right)}")
        )
    return results.split, cells


def _square(picture: Picture) -> tuple[Picture, npt.NDArray[np.float64]]:
    """The whole picture at the size of a cell, and the map to it: lines are drawn after scaling."""
    import numpy as np

    from handbench.drawing import zoom

    return zoom(picture, np.empty((0, 2)), _CELL_PX)


def _chosen(total: int, count: int, seed: int) -> list[int]:
    """Return `count` different rows in rising order."""
    import numpy as np

    rows = np.random.default_rng(seed).choice(total, min(count, total), replace=False)
    return sorted(rows.tolist())


def _side(is_right: int) -> str:
    return {1: "right hand", 0: "left hand"}.get(is_right, "side unknown")
