"""``handbench quickstart``: the main job on embedded data, with the commands it runs shown."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from handbench.errors import HandbenchError, TrainError

if TYPE_CHECKING:
    from handbench.predictions.record import Predictions

_METRIC, _PROTOCOL = "EPE[px]", "handbench"


@click.command()
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("handbench-quickstart"),
    show_default=True,
    help="Folder for everything it makes; must not exist.",
)
@click.option(
    "--poses",
    type=click.IntRange(min=8),
    default=400,
    show_default=True,
    help="Training annotations: one to three views of a pose, each before four backgrounds. A "
    "quarter as many for the test.",
)
@click.option(
    "--epochs", type=click.IntRange(min=1), default=3, show_default=True, help="Of training."
)
@click.option("--seed", type=int, default=0, show_default=True, help="Everything follows from it.")
@click.option(
    "--publish-images/--no-images",
    default=True,
    help="Show the synthetic pictures in the report, or skeletons on grey.",
)
def quickstart(out: Path, poses: int, epochs: int, seed: int, publish_images: bool) -> None:
    """Make synthetic hands, train on them, score on unseen poses, write a report.

    Takes a few minutes on a laptop without a GPU. Each step is the command that is printed before
    it, so that it can be repeated with other data. Ends with the scores beside two honest floors:
    the same network untrained, and the mean pose of the training hands.
    """
    if out.exists():
        raise HandbenchError(
            f"expected no folder at {out}, found one; remove it or choose another with --out"
        )
    data = out / "sample.h5"
    run = out / "resnet18"
    predictions = {name: out / f"{name}.json" for name in ("trained", "untrained", "mean-pose")}
    _run("sample", out / "hands", "--count", poses, "--seed", seed)
    _run("convert", "sample", "--source", out / "hands", "--out", data)
    _run("verify", data)
    # A small input, small batches and mild augmentation: what learns most in three minutes.
    _run(
        *("train", "baseline", "--data", data, "--out", run, "--seed", seed, "--epochs", epochs),
        *("--depth", 18, "--size", 96, "--batch-size", 8, "--warmup", 0.1),
        *("--flip", 0, "--rotation", 15, "--scale", 0.1, "--shift", 0.04),
    )
    _run("predict", run, "--data", data, "--out", predictions["trained"], "--flip-test")
    _run("predict", "untrained", "--data", data, "--out", predictions["untrained"])
    _write_mean_pose(data, predictions["mean-pose"])
    plain = () if publish_images else ("--no-images",)
    _run("evaluate", *predictions.values(), "--data", data, "--out", out / "results", *plain)
    _print_verdict(out / "results", trained=run.name)


def _run(*arguments: object) -> None:
    """Run a command as if it was typed, after printing it."""
    from handbench.cli import cli

    words = [str(argument) for argument in arguments]
    click.secho(f"\n$ handbench {shlex.join(words)}", bold=True)
    cli.main(words, prog_name="handbench", standalone_mode=False)


def _write_mean_pose(data: Path, out: Path) -> None:
    """Predict the mean pose of the training hands for every test image: the second floor."""
    from handbench.hdf5.reader import HandFile
    from handbench.predictions.write import write_predictions

    with HandFile(data) as file:
        mean = _mean_pose(file)
    write_predictions(mean, out)
    click.secho(f"\n# {out}: the mean pose of the training hands, for every test image", bold=True)


def _mean_pose(file: Any) -> Predictions:
    import numpy as np

    from handbench.camera import transform_points
    from handbench.predictions.record import Predictions

    train, test = file["train"], file["test"]
    mean = np.nanmean(train.column("keypoints_2d"), axis=0)
    stored = np.broadcast_to(mean, (len(test), *mean.shape))
    return Predictions(
        dataset=file.dataset,
        split="test",
        model={"name": "mean pose", "training_data": [f"{file.dataset}/train"]},
        id=test.column("sample_id"),
        keypoints=transform_points(np.linalg.inv(test.column("crop")), stored),
        input={"box": "image"},
        gt_used=(),
    )


def _print_verdict(results: Path, trained: str) -> None:
    """Scores beside the floors; an error where the model called `trained` did not learn."""
    from handbench.scores.results import Results

    scores: dict[str, tuple[float, tuple[float, float] | None]] = {}
    for path in results.glob("*.json"):
        result = Results.read(path)
        epe = result.metrics[_METRIC]
        if result.protocol == _PROTOCOL and epe.value is not None:
            scores[result.model["name"]] = epe.value, epe.ci95
    click.secho("\nMean distance to the truth on poses never seen in training:", bold=True)
    for name, (value, ends) in sorted(scores.items(), key=lambda item: item[1][0]):
        interval = f"95 % interval {ends[0]:.2f} to {ends[1]:.2f}" if ends else "no interval"
        click.echo(f"  {name:<28} {value:6.2f} px   {interval}")
    click.echo(f"\nReport: {results / 'report.html'}")
    value, _ = scores.pop(trained)
    for name, (_, ends) in scores.items():
        if ends is None:
            raise TrainError(
                "expected intervals around the floors, found too few test poses for any: use more "
                "--poses"
            )
        if ends[0] <= value:
            raise TrainError(
                f"expected the trained model below the interval of every floor, found it at "
                f"{value:.2f} px and {name} from {ends[0]:.2f} px: train longer with --epochs, or "
                "on more --poses"
            )
