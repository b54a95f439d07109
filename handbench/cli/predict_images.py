"""``handbench predict --images``: plain pictures → predictions, a table, drawn pictures."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from handbench.predictions.pictures import PictureHand
    from handbench.predictions.record import Predictions
    from handbench.predictors.boxes import Box, BoxFile
    from handbench.predictors.interface import Predictor
    from handbench.predictors.pictures import PictureFile

_ONLY_WITH_IMAGES = ("more", "boxes", "box", "detector", "csv", "draw", "skip_bad")


def image_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options of ``predict`` that are about plain pictures."""
    for add in reversed(
        (
            click.argument(
                "more", nargs=-1, metavar="[PICTURE]...", type=click.Path(path_type=Path)
            ),
            click.option(
                "--images",
                multiple=True,
                metavar="DIR|FILE",
                type=click.Path(path_type=Path),
                help="Predict pictures instead: a folder, or one or several files (photos/*.jpg).",
            ),
            click.option(
                "--boxes",
                type=click.Path(path_type=Path, dir_okay=False),
                help="--images: JSON or CSV with the box of each hand.  [default: the whole "
                "picture]",
            ),
            click.option("--box", metavar="X,Y,W,H", help="--images: one box for all, px."),
            click.option(
                "--detector",
                metavar="MODEL",
                help="--images: model that finds hands in whole pictures, such as mediapipe; its "
                "hand makes the box.",
            ),
            click.option(
                "--csv",
                type=click.Path(path_type=Path, dir_okay=False),
                help="--images: also write the keypoints as a table.",
            ),
            click.option(
                "--draw",
                type=click.Path(path_type=Path, file_okay=False),
                help="--images: also draw the skeletons, as JPEGs in this folder.",
            ),
            click.option(
                "--skip-bad",
                is_flag=True,
                help="--images: leave out and list pictures that cannot be read.  [default: stop]",
            ),
        )
    ):
        command = add(command)
    return command


def check_image_usage(options: dict[str, Any]) -> None:
    """Refuse options that are about pictures when there are none."""
    if options["images"]:
        if sum(options[name] is not None for name in ("boxes", "box", "detector")) > 1:
            raise click.UsageError("give one of --boxes, --box and --detector, or none of them")
        return
    for name in _ONLY_WITH_IMAGES:
        if options[name]:
            word = f"{options['more'][0]}" if name == "more" else f"--{name.replace('_', '-')}"
            raise click.UsageError(f"{word} goes with --images")


def predict_pictures(predictor: Predictor, options: dict[str, Any]) -> Predictions:
    """Predict what ``--images`` names, and write what --csv and --draw ask for."""
    from tqdm import tqdm

    from handbench.files import describe_names
    from handbench.predictions.pictures import dataset_name
    from handbench.predictions.pictures import predict_pictures as run
    from handbench.predictors.boxes import BoxFile
    from handbench.predictors.pictures import find_pictures

    places = [*options["images"], *options["more"]]
    pictures = find_pictures(places)
    boxes = _boxes(options)
    draw: Path | None = options["draw"]
    if draw is not None:
        _check_draw(draw, pictures)
    with tqdm(total=len(pictures), unit="picture", disable=None) as bar:
        seen = run(
            predictor,
            pictures,
            dataset=dataset_name(places),
            boxes=boxes,
            detector=_detector(options),
            padding=options.get("padding"),
            batch_size=options["batch_size"],
            skip_bad=options["skip_bad"],
            look=(lambda *found: None) if draw is None else _Drawer(draw).draw,
            advance=bar.update,
        )
    for sentence in seen.left_out:
        click.echo(f"left out: {sentence}", err=True)
    if isinstance(boxes, BoxFile) and (unused := boxes.unused()):
        click.echo(f"boxes of no picture here: {describe_names(unused)}", err=True)
    if options["csv"] is not None:
        _write_table(options["csv"], seen.hands)
        click.echo(f"{options['csv']}: a row a hand")
    if draw is not None:
        click.echo(f"{draw}: {len(pictures) - len(seen.left_out):,} drawn pictures")
    return seen.predictions


def _boxes(options: dict[str, Any]) -> BoxFile | Box | None:
    from handbench.predictors.boxes import BoxFile, check_box

    if options["boxes"] is not None:
        return BoxFile(options["boxes"])
    if options["box"] is not None:
        return check_box(options["box"].split(","), "--box")
    return None


def _detector(options: dict[str, Any]) -> Predictor | None:
    from handbench.predictors.opening import open_predictor

    if options["detector"] is None:
        return None
    home = click.get_current_context().obj
    return open_predictor(home.model(options["detector"]), device=options["device"], once=True)


def _check_draw(folder: Path, pictures: Sequence[PictureFile]) -> None:
    """Drawn pictures must not replace those they are drawn on."""
    from handbench.errors import PredictionsError

    for picture in pictures:
        if _drawn_path(folder, picture).resolve() == picture.path.resolve():
            raise PredictionsError(
                f"--draw {folder} would replace {picture.path}: choose another folder"
            )


def _drawn_path(folder: Path, picture: PictureFile) -> Path:
    return folder / f"{picture.id}.jpg"


class _Drawer:
    """Writes every picture with its skeletons, and the box where one was given or detected."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def draw(
        self, picture: PictureFile, image: npt.NDArray[np.uint8], hands: list[PictureHand]
    ) -> None:
        from handbench.camera import box_corners
        from handbench.drawing import draw_hand, draw_outline
        from handbench.files import write_bytes
        from handbench.images import encode_jpeg

        for found in hands:
            if found.box is not None:
                line_px = max(1.5, max(image.shape[:2]) / 500)
                image = draw_outline(image, box_corners(found.box), line_px=line_px)
            if found.hand is not None:
                image = draw_hand(image, found.hand.keypoints)
        write_bytes(_drawn_path(self._folder, picture), encode_jpeg(image))


def _write_table(path: Path, hands: Sequence[PictureHand]) -> None:
    """A row a hand: what it is of, where the model looked, what it found; empty where nothing."""
    from handbench.files import write_text
    from handbench.hand import JOINT_NAMES
    from handbench.reports.escape import csv_text

    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    joints = [f"{name}_{part}" for name in JOINT_NAMES for part in ("x", "y", "score")]
    head = ["id", "file", "width", "height", "box_x", "box_y", "box_w", "box_h", "found", "score"]
    table.writerow([*head, "side", *joints])
    for found in hands:
        hand = found.hand
        row: list[Any] = [csv_text(found.id), csv_text(str(found.picture.path))]
        row += [found.width, found.height]
        row += [""] * 4 if found.box is None else [round(number, 2) for number in found.box]
        if hand is None:
            row += ["no", *[""] * (2 + len(joints))]
        else:
            row += ["yes", _number(hand.score)]
            row.append("" if hand.is_right is None else "right" if hand.is_right else "left")
            for (x, y), score in zip(hand.keypoints.tolist(), hand.scores.tolist()):
                row += [round(x, 3), round(y, 3), _number(score)]
        table.writerow(row)
    write_text(path, text.getvalue())


def _number(score: float) -> float | str:
    return "" if score != score else round(score, 4)  # NaN: the model gives none
