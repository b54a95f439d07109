"""``handbench predict``: run the baseline → a predictions file."""

from __future__ import annotations

from pathlib import Path

import click

from handbench.home import Home


@click.command()
@click.argument("model")
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="HDF5 file to predict.  [default: the dataset the model was trained on, in the home]",
)
@click.option(
    "--images",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Predict the pictures in this folder instead: one hand fills each.",
)
@click.option("--split", default="test", show_default=True, help="Split to predict.")
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    help="File to write: .json, .json.gz, .npz or .h5.",
)
@click.option(
    "--batch-size",
    type=click.IntRange(min=1),
    default=64,
    show_default=True,
    help="Images at a time.",
)
@click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda", "mps"]),
    default="auto",
    show_default=True,
    help="Where to compute.",
)
@click.option(
    "--precision",
    type=click.Choice(["auto", "fp32", "bf16", "fp16"]),
    default="auto",
    show_default=True,
    help="Arithmetic of the network.",
)
@click.option(
    "--workers", type=click.IntRange(min=0), default=0, show_default=True, help="Loading processes."
)
@click.option(
    "--flip-test", is_flag=True, help="Average with the mirror image; takes twice as long."
)
@click.option(
    "--decode",
    type=click.Choice(["subpixel", "dark", "dark-blur", "udp", "quarter", "argmax"]),
    help="How to find the peak of a heatmap.  [default: as the model's codec does]",
)
@click.pass_obj
def predict(
    home: Home,
    /,
    model: str,
    data: Path | None,
    images: Path | None,
    split: str,
    out: Path,
    batch_size: int,
    device: str,
    precision: str,
    workers: int,
    flip_test: bool,
    decode: str | None,
) -> None:
    """Predict a split with MODEL and write keypoints in source pixels.

    MODEL is a run directory (here or in the home folder; its best weights are used), a checkpoint,
    or `untrained` for the floor that random weights give.

    \b
    handbench predict runs/freihand-resnet50 --data freihand.h5 -o preds.json
    handbench predict runs/freihand-resnet50 --images photos -o photos.json
    """  # noqa: D301 - click wants the backspace character itself
    from typing import cast

    from tqdm import tqdm

    from handbench.hdf5.reader import HandFile
    from handbench.models.heatmaps import Decoding
    from handbench.predictions.run import find_images, open_model, predict_images, predict_split
    from handbench.predictions.write import suffix_of, write_predictions

    if data is not None and images is not None:
        raise click.UsageError("give either --data or --images, not both")
    suffix_of(out)  # a wrong suffix should not cost a run over the data
    decoding = cast("Decoding | None", decode)
    trained = open_model(_in_home(home, model))
    if images is not None:
        count = len(find_images(images)[0])
    else:
        data = data or _default_data(home, model, trained.training_data)
        with HandFile(data) as file:
            count = len(file[split])
    with tqdm(total=count, unit="image", disable=None) as bar:
        if images is not None:
            predictions = predict_images(
                trained,
                images,
                batch_size=batch_size,
                device=device,
                precision=precision,
                flip_test=flip_test,
                decoding=decoding,
                advance=bar.update,
            )
        elif data is not None:
            predictions = predict_split(
                trained,
                data,
                split,
                batch_size=batch_size,
                device=device,
                precision=precision,
                workers=workers,
                flip_test=flip_test,
                decoding=decoding,
                advance=bar.update,
            )
    write_predictions(predictions, out)
    click.echo(
        f"{out}: {len(predictions):,} hands of {predictions.dataset}/{predictions.split} by "
        f"{predictions.name}, {predictions.input['ms_per_image']:.1f} ms an image"
    )


def _in_home(home: Home, model: str) -> str:
    """A run that is not below the current folder is looked up in the home folder."""
    for folder in (home.root, home.runs):
        if not Path(model).exists() and (folder / model).exists():
            return str(folder / model)
    return model


def _default_data(home: Home, model: str, training_data: tuple[str, ...]) -> Path:
    """Converted file of the one dataset that a model was trained on."""
    from handbench.errors import TrainError

    names = sorted({name.split("/")[0] for name in training_data})
    if len(names) != 1 or names == ["unknown"]:
        raise TrainError(
            f"{model} was trained on {', '.join(names) or 'nothing'}: say with --data FILE.h5 "
            "what to predict"
        )
    return home.dataset(names[0])
