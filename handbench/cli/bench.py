"""``handbench bench``: how fast this machine converts, loads, scores, trains and predicts."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from handbench.cli.device_option import device_option
from handbench.home import Home

if TYPE_CHECKING:
    from handbench.predictors.interface import Predictor
    from handbench.predictors.latency import Latency


@click.command()
@click.argument("model", required=False)
@click.option(
    "--batch",
    "batches",
    default="1,8,32",
    show_default=True,
    metavar="N[,N...]",
    help="MODEL: images a call.",
)
@click.option(
    "--seconds",
    type=click.FloatRange(min=0),
    default=2.0,
    show_default=True,
    help="How long each measurement is repeated.",
)
@device_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_obj
def bench(
    home: Home,
    /,
    model: str | None,
    batches: str,
    seconds: float,
    device: str,
    as_json: bool,
) -> None:
    """Measure convert, loading, targets, metrics and a training step; or the latency of MODEL.

    Without MODEL, synthetic hands are made in a temporary folder. MODEL is what `predict` takes; a
    run or a checkpoint is measured in PyTorch and, with the extra onnx, also as an exported ONNX
    file on the CPU. Times are of whole calls, from uint8 crops to points.

    \b
    handbench bench
    handbench bench runs/freihand-resnet50 --batch 1,8,32
    """  # noqa: D301 - click wants the backspace character itself
    from handbench.cli.doctor import machine
    from handbench.files import to_json

    sizes = _sizes(batches)
    about = machine()
    rows: list[dict[str, Any]]
    if model is None:
        from handbench.cli.bench_parts import measure_parts

        click.echo("making synthetic hands …", err=True)
        with tempfile.TemporaryDirectory() as folder:
            rows = [part.to_dict() for part in measure_parts(Path(folder), seconds, device)]
    else:
        rows = [each.to_dict() for each in _latencies(home.model(model), sizes, seconds, device)]
    if as_json:
        key = "parts" if model is None else "latency"
        click.echo(to_json({"machine": about, "model": model, key: rows}).decode())
        return
    click.echo(
        f"{about['processor']}, {about['threads']} threads, torch {about['torch']}"
        + (f", {about['device_name']}" if about["device_name"] else "")
    )
    for line in _table(rows):
        click.echo(line)


def _sizes(text: str) -> list[int]:
    try:
        sizes = [int(word) for word in text.split(",")]
    except ValueError:
        sizes = []
    if not sizes or min(sizes) < 1:
        raise click.BadParameter(
            f"expected numbers of images such as 1,8,32, found {text!r}", param_hint="--batch"
        )
    return sizes


def _latencies(model: str, batches: list[int], seconds: float, device: str) -> Iterator[Latency]:
    from handbench.predictors.latency import measure_latency
    from handbench.predictors.opening import is_baseline, open_predictor

    predictor = open_predictor(model, device=device, once=True)
    runner = _runner(predictor)
    yield from measure_latency(runner, predictor, batches, seconds=seconds)
    if not is_baseline(model):
        return
    with tempfile.TemporaryDirectory() as folder:
        exported = _exported(model, Path(folder))
        if exported is not None:
            yield from measure_latency("ONNX, cpu", exported, batches, seconds=seconds)


def _runner(predictor: Predictor) -> str:
    from handbench.predictors.baseline import BaselinePredictor

    if isinstance(predictor, BaselinePredictor):
        from handbench.models.inference import choose_device

        return f"PyTorch, {choose_device(predictor.device)}"
    return ", ".join(
        f"{name} {version}" for name, version in predictor.describe()["versions"].items()
    )


def _exported(model: str, folder: Path) -> Predictor | None:
    """The same model as an ONNX file; None, and a note, where that cannot be made here."""
    from handbench.errors import MissingExtraError, TrainError
    from handbench.models.export import describe, export_onnx
    from handbench.predictors.onnx_file import open_onnx
    from handbench.predictors.opening import open_baseline

    trained = open_baseline(model)
    facts = describe(trained, checkpoint_sha256="", license_text="not stated")
    try:
        export_onnx(trained, folder / "model.onnx", facts)
        return open_onnx(folder / "model.onnx", "cpu")
    except (MissingExtraError, TrainError) as error:  # no extra, or a torch without the exporter
        click.echo(f"note: no ONNX row: {error}", err=True)
        return None


def _table(rows: list[dict[str, Any]]) -> Iterator[str]:
    """Columns of equal width; the first on the left."""
    texts = [[name.replace("_", " ") for name in rows[0]]]
    texts += [[f"{v:,.2f}" if isinstance(v, float) else str(v) for v in r.values()] for r in rows]
    widths = [max(len(text) for text in column) for column in zip(*texts)]
    for text in texts:
        first, *others = zip(text, widths)
        cells = [first[0].ljust(first[1]), *(word.rjust(width) for word, width in others)]
        yield "  ".join(cells)
