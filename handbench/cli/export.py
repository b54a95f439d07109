"""``handbench export``: HDF5, predictions and models → the layouts of others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from handbench.home import Home
from handbench.models.architecture import DECODINGS

if TYPE_CHECKING:
    from handbench.hdf5.export_folder import Exported

_SHARD_SIZE = 10_000


@click.group()
def export() -> None:
    """Write a converted file, predictions, or a model in the layout of others.

    Images keep their bytes; labels describe these stored images. Each folder carries the licence,
    the citation, and where it comes from with hashes.

    \b
    handbench export coco freihand.h5 --out freihand-coco
    handbench export webdataset freihand.h5 --out shards --split train
    handbench export onnx runs/freihand-resnet50 -o model.onnx
    """  # noqa: D301 - click wants the backspace character itself


def _folder_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """What all folders have in common."""
    options = (
        click.argument("file", type=click.Path(path_type=Path)),
        click.option(
            "--out",
            type=click.Path(path_type=Path),
            required=True,
            help="Folder to write; it appears only when everything went well.",
        ),
        click.option(
            "--split",
            "splits",
            multiple=True,
            help="Only this split; may be given several times.  [default: all]",
        ),
        click.option("--overwrite", is_flag=True, help="Replace an earlier export."),
    )
    for option in reversed(options):
        command = option(command)
    return command


@export.command()
@_folder_options
def coco(file: Path, out: Path, splits: tuple[str, ...], overwrite: bool) -> None:
    """Write FILE.h5 as COCO keypoints JSON.

    annotations/SPLIT.json and images/. Camera and 3D stand in cam_param and joint_cam (mm), what
    COCO has no field for in fields called handbench_...
    """
    from handbench.hdf5.export_coco import convert_command, export_coco
    from handbench.hdf5.reader import HandFile

    with HandFile(file) as opened:
        done = export_coco(opened, out, splits, overwrite=overwrite, progress=True)
        back = convert_command(opened, done)
    _say(done)
    if back is not None:
        click.echo(f"note: back again: {back}", err=True)


@export.command()
@_folder_options
def freihand(file: Path, out: Path, splits: tuple[str, ...], overwrite: bool) -> None:
    """Write FILE.h5 in FreiHAND v2's directory layout.

    Every hand needs 21 joints in 3D and a camera. Splits train and val become training, test
    becomes evaluation. What the layout has no place for stands in handbench_training.json and
    handbench_evaluation.json.
    """
    from handbench.hdf5.export_freihand import export_freihand
    from handbench.hdf5.reader import HandFile

    with HandFile(file) as opened:
        _say(export_freihand(opened, out, splits, overwrite=overwrite, progress=True))


@export.command()
@_folder_options
@click.option(
    "--shard-size",
    type=click.IntRange(min=1),
    default=_SHARD_SIZE,
    show_default=True,
    help="Hands in a tar file.",
)
def webdataset(
    file: Path, out: Path, splits: tuple[str, ...], overwrite: bool, shard_size: int
) -> None:
    """Write FILE.h5 as tar files for WebDataset.

    SPLIT-000000.tar and so on, with KEY.jpg or KEY.png and KEY.json for each hand. Needs the
    package webdataset: pip install 'handbench[webdataset]'.
    """
    from handbench.hdf5.export_webdataset import export_webdataset
    from handbench.hdf5.reader import HandFile

    with HandFile(file) as opened:
        done = export_webdataset(
            opened, out, splits, shard_size=shard_size, overwrite=overwrite, progress=True
        )
    _say(done)


@export.command("freihand-pred")
@click.argument("preds", type=click.Path(path_type=Path))
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="HDF5 file that was predicted on.  [default: the dataset named in the predictions, in "
    "the home folder]",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    help="File to write: .json, or .zip with pred.json in it.",
)
@click.option("--overwrite", is_flag=True, help="Replace an existing file.")
@click.pass_obj
def freihand_pred(
    home: Home, /, preds: Path, data: Path | None, out: Path, overwrite: bool
) -> None:
    """Write predictions PREDS as FreiHAND's pred.json.

    Two lists in the order of the images, 21 joints and 778 vertices in metres; zeros for hands
    and meshes that are not predicted.
    """
    from handbench.hdf5.reader import HandFile
    from handbench.predictions.pred_json import write_pred_json
    from handbench.predictions.read import read_predictions

    if data is None:
        data = home.dataset(read_predictions(preds).dataset)
    with HandFile(data) as opened:
        predictions = read_predictions(preds, opened)
        notes = [
            *predictions.notes,
            *write_pred_json(predictions, opened, out, overwrite=overwrite),
        ]
        count = len(opened[predictions.split])
    _say_notes(notes)
    click.echo(
        f"{out}: {predictions.dataset} {predictions.split}, {count:,} hands, "
        f"{out.stat().st_size / 1e6:,.1f} MB"
    )


def _model_options(suffix: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """What exports of a model have in common."""

    def add(command: Callable[..., Any]) -> Callable[..., Any]:
        options = (
            click.argument("run"),
            click.option(
                "-o",
                "--out",
                type=click.Path(path_type=Path),
                required=True,
                help=f"File to write: {suffix}.",
            ),
            click.option(
                "--license",
                "license_text",
                help="What may be done with the weights, for the file's metadata.  [default: names "
                "the licences of what the model was trained on]",
            ),
            click.option(
                "--decode",
                type=click.Choice(DECODINGS),
                help="How to find the peak of a heatmap.  [default: as the model's codec does]",
            ),
            click.option("--overwrite", is_flag=True, help="Replace an existing file."),
            click.pass_obj,
        )
        for option in reversed(options):
            command = option(command)
        return command

    return add


@export.command()
@_model_options(".onnx")
def onnx(
    home: Home,
    /,
    run: str,
    out: Path,
    license_text: str | None,
    decode: str | None,
    overwrite: bool,
) -> None:
    """Write the model RUN as one ONNX file that gives points.

    RUN is a run directory (here or in the home folder) or a checkpoint. Decoding is inside: images
    (N, 3, S, S), float32 RGB of 0 to 1, any N, give keypoints (N, 21, 2) in px of the input and
    scores (N, 21). Joint names, size, normalisation, licence, training data and the hash of the
    checkpoint stand in its metadata. The file is run before it is kept. Needs pip install
    'handbench[onnx]'.

    \b
    handbench export onnx runs/freihand-resnet50 -o model.onnx
    handbench predict model.onnx --data freihand.h5 -o preds.json
    """  # noqa: D301 - click wants the backspace character itself
    from handbench.models.export import export_onnx

    _export_model(home, run, out, ".onnx", license_text, decode, export_onnx, overwrite=overwrite)


@export.command()
@_model_options(".pt2")
def torch(
    home: Home,
    /,
    run: str,
    out: Path,
    license_text: str | None,
    decode: str | None,
    overwrite: bool,
) -> None:
    """Write the model RUN as a program of torch.export.

    As `export onnx`, for torch.export.load: no code of handbench is needed to run it. Only open
    such files of people you trust.
    """
    from handbench.models.export import export_program

    _export_model(home, run, out, ".pt2", license_text, decode, export_program, overwrite=overwrite)


def _export_model(
    home: Home,
    run: str,
    out: Path,
    suffix: str,
    license_text: str | None,
    decode: str | None,
    write: Callable[..., Any],
    *,
    overwrite: bool,
) -> None:
    from handbench.errors import TrainError
    from handbench.models.export import describe, load_for_export

    if out.suffix != suffix:
        raise click.UsageError(f"-o should end in {suffix}, found {out.name!r}")
    if out.exists() and not overwrite:
        raise TrainError(f"{out} exists: choose another name or add --overwrite")
    place = home.model(run)
    model, checkpoint = load_for_export(Path(place))
    facts = describe(
        model,
        checkpoint_sha256=checkpoint,
        license_text=license_text or _licences(model.training_data),
        decoding=decode,  # type: ignore[arg-type]
    )
    done = write(model, out, facts, decode)
    click.echo(
        f"{out}: {model.name}, input {model.size} px, {done.size / 1e6:,.1f} MB; keypoints within "
        f"{done.difference_px:.2g} px of the model's"
    )


def _licences(training_data: tuple[str, ...]) -> str:
    """What is known of the licences of the data that a model has seen."""
    from handbench.errors import HandbenchError
    from handbench.sources import manifest

    said = []
    for dataset in sorted({name.split("/")[0] for name in training_data}):
        try:
            said.append(f"{dataset}: {manifest.load(dataset).license}")
        except HandbenchError:
            said.append(f"{dataset}: licence not known to handbench")
    if not said:
        return "not stated; trained on nothing that has a licence"
    return f"not stated; trained on {'; '.join(said)}"


def _say(done: Exported) -> None:
    _say_notes(done.notes)
    rows = ", ".join(f"{split} {count:,}" for split, count in done.rows.items())
    click.echo(f"{done.path}: {done.layout}, {rows} samples, {done.size / 1e6:,.1f} MB")


def _say_notes(notes: list[str]) -> None:
    for note in notes:
        click.echo(f"note: {note}", err=True)
