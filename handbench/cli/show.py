"""``handbench show``: a contact sheet of samples, of the worst predictions, or of a raw source."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from handbench.cli.source_options import (
    is_dataset,
    open_source,
    own_data_options,
    say_notes,
    source_option,
    versions_option,
)
from handbench.home import Home
from handbench.models.recipes import RECIPES

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from handbench.drawing import Picture
    from handbench.hdf5.reader import HandFile

_CELL_PX = 256
_STORED_PX = 224
"""What `handbench convert` stores by default."""
_OF_DATASETS = ("source", "versions", "annotations", "images_dir", "joint_order", "padding")


@click.command()
@click.argument("target", metavar="FILE|DATASET")
@source_option
@click.option("--split", help="Split to show.  [default: test, else the first there is]")
@click.option("--augment", is_flag=True, help="Beside each hand, what training would make of it.")
@click.option(
    "--recipe",
    type=click.Choice(list(RECIPES)),
    help="With --augment: whose changes.  [default: handbench]",
)
@click.option(
    "--preds",
    type=click.Path(path_type=Path),
    help="Predictions to draw in colour over the truth in white.",
)
@click.option("--count", type=click.IntRange(1, 400), default=24, show_default=True, help="Hands.")
@click.option(
    "--worst/--random",
    "worst",
    default=None,
    help="With --preds: the largest mean errors first, or any samples.  [default: worst]",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="PNG to write.  [default: FILE-SPLIT.png or DATASET-SPLIT.png in the current folder]",
)
@click.option("--seed", default=0, show_default=True, help="Which random samples.")
@click.option(
    "--columns", type=click.IntRange(1, 40), default=6, show_default=True, help="Pictures in a row."
)
@click.option(
    "--padding",
    type=click.FloatRange(min=0, min_open=True),
    help="DATASET: factor on the longer side of the box.  [default: the dataset's own]",
)
@versions_option
@own_data_options
@click.pass_obj
def show(home: Home, /, target: str, columns: int, **options: Any) -> None:
    """Draw a contact sheet (PNG) of FILE.h5, or of the raw source of a DATASET.

    Of a file: pictures with their keypoints; hollow joints are occluded. Of a dataset: each image
    as published, with keypoints, box (thin) and crop, and beside it the crop that `handbench
    convert` would store. With --preds, the worst predictions come first; hands without a prediction
    are left out there, because `handbench evaluate` lists them.

    \b
    handbench show freihand.h5
    handbench show freihand.h5 --augment
    handbench show freihand.h5 --preds preds.json --count 12 --out worst.png
    handbench show rhd --source RHD_v1-1.zip --padding 2
    """  # noqa: D301 - click wants the backspace character itself
    from handbench.drawing import contact_sheet
    from handbench.files import atomic_path

    if options["worst"] and options["preds"] is None:
        raise click.UsageError("--worst needs predictions: add --preds FILE")
    of_dataset = is_dataset(target)
    _check_usage(target, of_dataset, options)
    draw = _draw_source if of_dataset else _draw_file
    sheet = draw(home, target, options)
    # The steps of one hand stay in one row.
    columns += -columns % sheet.steps
    pictures, titles = zip(*sheet.cells, strict=True)
    image = contact_sheet(pictures, titles, columns, cell_px=_CELL_PX, heading=sheet.heading)
    out = options["out"] or Path(f"{Path(target).stem}-{sheet.split}.png")
    with atomic_path(out) as temporary:
        image.save(temporary, "PNG")  # the temporary name does not end in .png
    shown = len(sheet.cells) // sheet.steps
    click.echo(f"{out}: {shown:,} of {sheet.total:,} samples")


@dataclass
class _Sheet:
    """What to lay out: cells, of which `steps` belong to one hand, and what they are of."""

    cells: list[tuple[Picture, str]]
    steps: int
    split: str
    total: int
    heading: str


def _check_usage(target: str, of_dataset: bool, options: dict[str, Any]) -> None:
    if options["preds"] is not None and (of_dataset or options["augment"]):
        raise click.UsageError("--preds needs a file, and goes without --augment")
    if options["recipe"] is not None and not options["augment"]:
        raise click.UsageError("--recipe says how --augment changes images: give both")
    given = [name for name in _OF_DATASETS if options[name]]
    if given and not of_dataset:
        word = given[0].replace("_", "-")
        raise click.UsageError(f"--{word} is for the source of a DATASET, and {target} is a file")


def _draw_file(home: Home, target: str, options: dict[str, Any]) -> _Sheet:
    from handbench.cli.before_after import add_augmented, stored_hands
    from handbench.hdf5.reader import HandFile

    path, split, preds = Path(target), options["split"], options["preds"]
    with HandFile(path) as data:
        if preds is not None:
            worst = options["worst"] is not False
            name, cells = _predictions(
                data, split, preds, options["count"], worst=worst, seed=options["seed"]
            )
            heading = f"{data.dataset} · {name} · {preds.name}"
            return _Sheet(cells, 1, name, len(data[name]), heading)
        name = split or ("test" if "test" in data.splits else next(iter(data.splits), "test"))
        reader = data[name]
        rows = _chosen(len(reader), options["count"], options["seed"])
        hands = stored_hands(reader, rows, _CELL_PX)
        if options["augment"]:
            add_augmented(hands, options["seed"], _CELL_PX, options["recipe"])
        cells = [cell for steps in hands.cells for cell in steps]
        heading = f"{data.dataset} · {name}"
        return _Sheet(cells, len(hands.cells[0]), name, len(reader), heading)


def _draw_source(home: Home, target: str, options: dict[str, Any]) -> _Sheet:
    from handbench.cli.before_after import add_augmented, source_hands
    from handbench.errors import HandbenchError
    from handbench.samples.frames import CropSettings
    from handbench.sources import manifest as manifests

    source = open_source(home, manifests.load(target), options)
    say_notes(source)
    splits = source.splits()
    name = options["split"] or ("test" if "test" in splits else next(iter(splits)))
    if name not in splits:
        raise HandbenchError(f"{source.path} has no split {name!r}; it has {', '.join(splits)}")
    crop = CropSettings(_STORED_PX, options["padding"] or source.manifest.box_padding)
    rows = _chosen(splits[name], options["count"], options["seed"])
    hands = source_hands(source, name, rows, crop, _CELL_PX)
    if options["augment"]:
        add_augmented(hands, options["seed"], _CELL_PX, options["recipe"])
    cells = [cell for steps in hands.cells for cell in steps]
    heading = f"{source.name} · {name} · {source.path.name}"
    return _Sheet(cells, len(hands.cells[0]), name, splits[name], heading)


def _predictions(
    data: HandFile, split: str | None, preds: Path, count: int, *, worst: bool, seed: int
) -> tuple[str, list[tuple[Picture, str]]]:
    """Name of the split, and predictions over truth: the worst first, or random ones."""
    import numpy as np

    from handbench.camera import transform_points
    from handbench.cli.before_after import side_text, whole
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
        square, matrix = whole(sample.image, _CELL_PX)
        picture = draw_comparison(
            square,
            transform_points(matrix @ sample.crop, errors.keypoints_px[row]),
            transform_points(matrix, sample.keypoints_2d),
            sample.valid_2d,
        )
        cells.append(
            (picture, f"{sample.sample_id}\n{means[row]:.1f} px · {side_text(sample.is_right)}")
        )
    return results.split, cells


def _chosen(total: int, count: int, seed: int) -> npt.NDArray[np.intp]:
    """Return `count` different rows in rising order."""
    import numpy as np

    return np.sort(np.random.default_rng(seed).choice(total, min(count, total), replace=False))
