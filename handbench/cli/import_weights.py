"""``handbench import-weights``: a checkpoint of Simple Baselines or MMPose → one of ours."""

from __future__ import annotations

from pathlib import Path

import click

from handbench.models.architecture import CHANNEL_ORDERS, CODEC_GRIDS, ChannelOrder


@click.command(name="import-weights")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    help="Checkpoint to write, which `predict` and `train baseline --init` take.",
)
@click.option(
    "--size",
    default=256,
    show_default=True,
    help="Side of the input it was trained with, in px.",
)
@click.option(
    "--codec",
    type=click.Choice(list(CODEC_GRIDS)),
    default="rounded",
    show_default=True,
    help="Targets it was trained on.",
)
@click.option(
    "--sigma", default=2.0, show_default=True, help="Standard deviation of these, in cells."
)
@click.option(
    "--grid",
    type=click.Choice(["center", "corner"]),
    help="Where their cells lie.  [default: corner with the codec unbiased, as elsewhere]",
)
@click.option(
    "--box-factor",
    default=1.0,
    show_default=True,
    help="Side of what it saw, as a share of the image that will be stored: 0.8 for MMPose's "
    "FreiHAND models.",
)
@click.option(
    "--channel-order",
    type=click.Choice(list(CHANNEL_ORDERS)),
    help="Order of its channels.  [default: bgr for Simple Baselines, rgb for MMPose]",
)
@click.option(
    "--joints",
    metavar="I,I,...|ORDER",
    help="Its 21 channels in our order of joints, or the name of its order (rhd, interhand, mano, "
    "stb).  [default: our order already]",
)
@click.option("--name", help="Name in predictions and tables.  [default: the file's]")
@click.option(
    "--trained-on",
    multiple=True,
    metavar="DATASET/SPLIT",
    help="What it has seen; may be repeated.  [default: unknown]",
)
@click.option("--overwrite", is_flag=True, help="Replace an existing file.")
def import_weights(
    file: Path,
    out: Path,
    size: int,
    codec: str,
    sigma: float,
    grid: str | None,
    box_factor: float,
    channel_order: ChannelOrder | None,
    joints: str | None,
    name: str | None,
    trained_on: tuple[str, ...],
    overwrite: bool,
) -> None:
    """Turn the weights in FILE, of Simple Baselines or MMPose, into a checkpoint of handbench.

    Names, order of channels and normalisation follow from the file; what only its configuration
    says is given by options. No code in FILE is run. Layers that do not fit are named, and nothing
    is written then.

    \b
    handbench import-weights pose_resnet_50_256x256.pth.tar -o resnet50.pt --joints 0,1,...
    handbench import-weights res50_freihand2d_224x224.pth -o freihand.pt --size 224 --box-factor 0.8
    """  # noqa: D301 - click wants the backspace character itself
    from typing import cast

    from handbench.errors import TrainError
    from handbench.heatmaps import Grid
    from handbench.models.baseline import count_parameters
    from handbench.models.checkpoint import save_model
    from handbench.models.codecs import make_codec
    from handbench.models.foreign import import_weights as read_weights

    if out.exists() and not overwrite:
        raise TrainError(f"{out} exists: choose another --out, or replace it with --overwrite")
    if not sigma > 0 or not box_factor > 0:
        raise click.UsageError("--sigma and --box-factor must be positive")
    if grid is None and codec == "unbiased":
        grid = "corner"  # what DARK and MMPose have
    done = read_weights(
        file,
        codec=make_codec(codec, sigma, cast("Grid | None", grid)),
        size=size,
        box_factor=box_factor,
        channel_order=channel_order,
        joints=None if joints is None else _channels(joints),
        name=name,
        training_data=trained_on,
    )
    if done.left_out:
        from handbench.files import describe_names

        click.echo(f"not needed and left out: {describe_names(done.left_out)}", err=True)
    save_model(out, done.model)
    network = done.model.network
    click.echo(
        f"{out}: ResNet-{network.depth} of {done.layout}, {count_parameters(network) / 1e6:.1f} M "
        f"parameters, {network.normalisation.channel_order.upper()} input of {size}×{size} px, "
        f"codec {codec}, sigma {sigma:g}, box factor {box_factor:g}, trained on "
        f"{', '.join(done.model.training_data)}"
    )


def _channels(text: str) -> list[int]:
    from handbench.hand import NATIVE_ORDERS

    if text in NATIVE_ORDERS:
        return list(NATIVE_ORDERS[text])
    try:
        return [int(part) for part in text.split(",")]
    except ValueError as error:
        raise click.UsageError(
            f"--joints takes 21 numbers separated by commas, or {', '.join(NATIVE_ORDERS)}; found "
            f"{text!r}"
        ) from error
