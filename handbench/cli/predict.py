"""``handbench predict``: run a model → a predictions file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from handbench.cli.device_option import device_option
from handbench.cli.predict_images import check_image_usage, image_options
from handbench.home import Home
from handbench.models.architecture import DECODINGS

if TYPE_CHECKING:
    from handbench.predictions.record import Predictions
    from handbench.predictors.interface import Predictor
    from handbench.predictors.jitter import BoxJitter

AS_TRAINED = "[default: as the run's recipe says]"


@click.command()
@click.argument("model")
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="HDF5 file to predict.  [default: the dataset the model was trained on, in the home]",
)
@image_options
@click.option("--split", default="test", show_default=True, help="Split to predict.")
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    help="File to write: .json, .json.gz, .npz or .h5.",
)
@click.option(
    "--source",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="--data: folder of the published images, which are then looked at instead of the stored "
    "ones: whole by a model that finds hands by itself, cut about the box by any other.",
)
@click.option(
    "--padding",
    type=click.FloatRange(min=0, min_open=True),
    help="Cut a square of so many times the longer side of the box.  [default: as converted]",
)
@click.option(
    "--box-jitter",
    metavar="F[,F...]",
    help="--data: predict again with boxes moved and resized by up to these shares of their side; "
    "writes a predictions file each, a table (.jitter.csv) and a curve (.jitter.svg).",
)
@click.option(
    "--jitter-seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Another one moves the boxes otherwise.",
)
@click.option(
    "--input-size",
    type=click.IntRange(min=8),
    help="module:function: side of the pictures it gets, px.  [default: 224]",
)
@click.option(
    "--detection-confidence",
    type=click.FloatRange(0, 1),
    help="mediapipe: score from which on its palm detector takes a place for a hand.  "
    "[default: MediaPipe's own 0.5]",
)
@click.option(
    "--batch-size",
    type=click.IntRange(min=1),
    default=64,
    show_default=True,
    help="Images at a time.",
)
@device_option
@click.option(
    "--precision",
    type=click.Choice(["auto", "fp32", "bf16", "fp16"]),
    default="auto",
    show_default=True,
    help="Arithmetic of the baseline's network.",
)
@click.option(
    "--workers",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Loading processes of the baseline.",
)
@click.option(
    "--flip-test/--no-flip-test",
    default=None,
    help=f"Baseline: average with the mirror image; takes twice as long.  {AS_TRAINED}",
)
@click.option(
    "--view-test/--no-view-test",
    default=None,
    help="Baseline: the median over nine turned and resized views; takes nine times as long.  "
    f"{AS_TRAINED}",
)
@click.option(
    "--side-test/--no-side-test",
    default=None,
    help="Baseline: look at the mirror image too and keep the surer answer, hand by hand, for a "
    f"model of one side (trained with --flip 0); takes twice as long.  {AS_TRAINED}",
)
@click.option(
    "--decode",
    type=click.Choice(DECODINGS),
    help="Baseline: how to find the peak of a heatmap.  [default: as the model's codec does]",
)
@click.pass_obj
def predict(home: Home, /, model: str, **options: Any) -> None:
    """Predict a split with MODEL and write keypoints in source pixels.

    MODEL is a run directory (here or in the home folder; its best weights are used), a checkpoint,
    `untrained` for the floor that random weights give, an ONNX file, a FILE.pt2 of `export torch`,
    `mediapipe` (or mediapipe:lite, mediapipe:hand_landmarker.task), or any Python function
    `module:function` that takes a batch (N, S, S, 3) of uint8 RGB and returns points (N, 21, 2).

    \b
    handbench predict runs/freihand-resnet50 --data freihand.h5 -o preds.json
    handbench predict rtmpose-hand.onnx --data freihand.h5 -o rtmpose.json
    handbench predict mediapipe --data freihand.h5 --source FreiHAND/evaluation/rgb -o mp.json
    handbench predict my_net:predict --input-size 256 --data freihand.h5 -o mine.json
    handbench predict runs/freihand-resnet50 --images photos -o photos.json --draw drawn
    """  # noqa: D301 - click wants the backspace character itself
    from handbench.predictions.write import suffix_of, write_predictions
    from handbench.predictors.opening import open_predictor

    amounts = _amounts(options["box_jitter"])
    check_image_usage(options)
    if options["images"] and options["data"]:
        raise click.UsageError("give either --data or --images, not both")
    if options["images"] and (amounts or options["source"]):
        raise click.UsageError("--box-jitter and --source go with --data, not with --images")
    out: Path = options["out"]
    suffix_of(out)  # a wrong suffix should not cost a run over the data
    predictor = open_predictor(
        home.model(model),
        device=options["device"],
        precision=options["precision"],
        flip_test=options["flip_test"],
        view_test=options["view_test"],
        side_test=options["side_test"],
        decoding=options["decode"],
        input_size=options["input_size"],
        detection_confidence=options["detection_confidence"],
    )
    if options["images"]:
        from handbench.cli.predict_images import predict_pictures

        predictions = predict_pictures(predictor, options)
        write_predictions(predictions, out)
        _say(predictions, out)
        return
    data: Path = options["data"] or _default_data(home, model, predictor)
    if amounts and predictor.whole_image and options["source"] and options["padding"] is None:
        # Whole photos are nothing that moved boxes could be compared with: the true box is.
        options["padding"] = _box_padding(data, options["split"])
    _say_what_it_sees(predictor, data, options)
    predictions = _predict(predictor, data, options, None)
    write_predictions(predictions, out)
    _say(predictions, out)
    if amounts:
        _predict_jittered(predictor, data, options, amounts, predictions)


def _predict(
    predictor: Predictor, data: Path, options: dict[str, Any], jitter: BoxJitter | None
) -> Predictions:
    from tqdm import tqdm

    from handbench.hdf5.reader import HandFile
    from handbench.predictions.run import predict_split

    with HandFile(data) as file:
        count = len(file[options["split"]])
    label = None if jitter is None else f"jitter {jitter.amount:g}"
    with tqdm(total=count, unit="image", disable=None, desc=label) as bar:
        return predict_split(
            predictor,
            data,
            options["split"],
            batch_size=options["batch_size"],
            workers=options["workers"],
            source=options["source"],
            padding=options["padding"],
            jitter=jitter,
            advance=bar.update,
        )


def _predict_jittered(
    predictor: Predictor,
    data: Path,
    options: dict[str, Any],
    amounts: list[float],
    straight: Predictions,
) -> None:
    """Predictions of worse and worse boxes, and how the score falls."""
    from handbench.cli.box_jitter import write_curve
    from handbench.predictions.write import suffix_of, write_predictions
    from handbench.predictors.jitter import BoxJitter

    out: Path = options["out"]
    stem = out.name.removesuffix(suffix_of(out))
    tried = [straight]
    for amount in amounts:
        moved = _predict(predictor, data, options, BoxJitter(amount, options["jitter_seed"]))
        place = out.with_name(f"{stem}.jitter-{amount:g}{suffix_of(out)}")
        write_predictions(moved, place)
        _say(moved, place)
        tried.append(moved)
    write_curve(tried, data, out.with_name(f"{stem}.jitter"))


def _say(predictions: Predictions, out: Path) -> None:
    import numpy as np

    found = predictions.input
    line = (
        f"{out}: {len(predictions):,} hands of {predictions.dataset}/{predictions.split} by "
        f"{predictions.name}"
    )
    if predictions.keypoints is not None:
        missed = int(np.isnan(predictions.keypoints).all(axis=(1, 2)).sum())
        line += f", {missed:,} not found" if missed else ""
    if "ms_per_image" in found:
        line += f", {found['ms_per_image']:.1f} ms an image"
    if "ms_p50" in found:
        line += " ({ms_p50:.1f} p50, {ms_p90:.1f} p90, {ms_p99:.1f} p99)".format(**found)
    click.echo(line)


def _say_what_it_sees(predictor: Predictor, data: Path, options: dict[str, Any]) -> None:
    """Notes where a row may not be what one thinks it is."""
    from handbench.hdf5.reader import HandFile

    with HandFile(data) as file:
        reader = file[options["split"]]
        box, padding = reader.box_source, reader.box_padding
    wanted = getattr(predictor, "padding", None)
    given = options["padding"] or padding
    notes = []
    if predictor.whole_image and options["source"] is None and box != "image":
        notes.append(
            f"{predictor.name} finds hands by itself, but sees the stored crops, which are cut "
            "about the true box: --source FOLDER shows it the published images"
        )
    if wanted is not None and abs(wanted - given) > 0.01 and not predictor.whole_image:
        notes.append(
            f"{predictor.name} was made for boxes padded by {wanted:g}, these are padded by "
            f"{given:g}: --padding {wanted:g} cuts as it expects"
        )
    if (options["box_jitter"] or given > padding) and options["source"] is None:
        notes.append(
            "stored images end where they were cut, and what lies beyond is black: --source "
            "FOLDER cuts the published images, or convert with a larger --padding"
        )
    for note in notes:
        click.echo(f"note: {note}", err=True)


def _box_padding(data: Path, split: str) -> float:
    from handbench.hdf5.reader import HandFile

    with HandFile(data) as file:
        return file[split].box_padding


def _amounts(text: str | None) -> list[float]:
    """``0.1,0.2`` → the numbers, sorted and without 0, which is predicted anyway."""
    if text is None:
        return []
    try:
        found = sorted({float(word) for word in text.split(",")})
    except ValueError:
        found = [-1.0]
    if not all(0 <= amount <= 2 for amount in found):
        raise click.BadParameter(
            f"expected shares of the box's side from 0 to 2 such as 0.1,0.2,0.4, found {text!r}",
            param_hint="--box-jitter",
        )
    return [amount for amount in found if amount > 0]


def _default_data(home: Home, model: str, predictor: Predictor) -> Path:
    """Converted file of the one dataset that a model was trained on."""
    from handbench.errors import TrainError

    found = predictor.describe().get("training_data")
    training_data = found if isinstance(found, list) else []
    names = sorted({name.split("/")[0] for name in training_data})
    if len(names) != 1 or names == ["unknown"]:
        unknown = "nothing" if found == [] else "data that nobody names"
        raise TrainError(
            f"{model} was trained on {', '.join(names) or unknown}: say with --data FILE.h5 "
            "what to predict"
        )
    return home.dataset(names[0])
