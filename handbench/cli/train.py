"""``handbench train``: train the reference model. Options are the fields of `TrainSettings`."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from handbench.cli.recipes import recipes
from handbench.cli.run_card import check_test, write_card
from handbench.home import Home
from handbench.models.recipes import resolve
from handbench.models.settings import TrainSettings, option


def _setting_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add one option a setting; type, choices, default and help come from its field."""
    kinds = typing.get_type_hints(TrainSettings)
    for field in reversed(dataclasses.fields(TrainSettings)):
        kind, several = kinds[field.name], field.name == "data"
        inner = [part for part in typing.get_args(kind) if part is not types.NoneType]
        value: Any = inner[0] if inner else kind
        if field.metadata["choices"]:
            value = click.Choice(field.metadata["choices"])
        elif value is Path:
            value = click.Path(path_type=Path)
        has_default = field.default not in (dataclasses.MISSING, None)
        more = {"default": field.default, "show_default": True} if has_default else {}
        text = f"{field.metadata['help'][0].upper()}{field.metadata['help'][1:]}."
        if field.metadata["unset"]:
            text += f"  [default: {field.metadata['unset']}]"
        name = option(field.name)
        if value is bool:
            name, value = f"{name}/--no-{name[2:]}", None
        add = click.option(name, type=value, multiple=several, help=text, **more)
        command = add(command)
    return command


@click.group()
def train() -> None:
    """Train a reference model."""


train.add_command(recipes)


@train.command()
@_setting_options
@click.option("--resume", is_flag=True, help="Continue the run in --out with its own settings.")
@click.option(
    "--stop-after",
    type=click.IntRange(min=1),
    metavar="EPOCH",
    help="End after this epoch; --resume goes on from there.",
)
@click.option(
    "--test",
    is_flag=True,
    help="Score the best weights on the split test at the end, for the result card.",
)
@click.option(
    "--overfit-one-batch",
    is_flag=True,
    help="Only learn the first batch by heart, to see that data and settings fit; writes nothing.",
)
@click.pass_context
def baseline(
    ctx: click.Context,
    /,
    resume: bool,
    stop_after: int | None,
    test: bool,
    overfit_one_batch: bool,
    **options: Any,
) -> None:
    """Train the ResNet-deconvolution baseline and print its run directory.

    A finished run has a result card (card.json): settings, time, curve and scores, which the
    leaderboard takes. SIGTERM and SIGUSR1 save a run and end it; --resume goes on from there.

    \b
    handbench train baseline --data freihand.h5 --out runs/freihand
    handbench train baseline --resume --out runs/freihand
    torchrun --nproc-per-node 4 -m handbench train baseline --data freihand.h5

    Defaults are those of the recipe `handbench`; `handbench train recipes` shows what others set.
    """  # noqa: D301 - click wants the backspace character itself
    home: Home = ctx.obj
    if overfit_one_batch and (resume or test or stop_after):
        raise click.UsageError("--overfit-one-batch makes no run to resume, stop or test")
    given = {
        name: value
        for name, value in options.items()
        if ctx.get_parameter_source(name) is not ParameterSource.DEFAULT
    }
    if resume:
        if "out" not in given:
            raise click.UsageError("--resume needs --out RUN_DIR: which run shall continue?")
        settings = dataclasses.replace(TrainSettings.read(given["out"]), **given)
    else:
        data = options["data"] or (home.dataset("freihand"),)
        chosen = resolve(options["recipe"], given)
        depth = chosen.get("depth", options["depth"])
        out = options["out"] or _free_run(home, f"{data[0].stem}-resnet{depth}")
        settings = TrainSettings(**{**chosen, "data": data, "out": out})
    if overfit_one_batch:
        from handbench.models.overfit import overfit_one_batch as overfit

        overfit(settings, say=click.echo)
        return
    if test:
        check_test(settings.data)
    run = _train(ctx, settings, resume=resume, stop_after=stop_after)
    if run is not None:
        _write_card(run, test=test)
        click.echo(str(run))


def _train(
    ctx: click.Context, settings: TrainSettings, *, resume: bool, stop_after: int | None
) -> Path | None:
    """Train; return the run directory in the process that writes, nothing in the others."""
    from handbench.errors import TrainingStoppedError
    from handbench.models.distributed import is_first_process
    from handbench.models.training import train as run_training

    try:
        run = run_training(settings, resume=resume, stop_after=stop_after, say=_say, progress=True)
    except TrainingStoppedError as interrupted:
        if is_first_process():
            _say(str(interrupted))
        # What a shell reports of a program that a signal has ended: nothing waits for its result.
        ctx.exit(128 + interrupted.signal)
    return run if is_first_process() else None


def _write_card(run: Path, *, test: bool) -> None:
    """Write the result card of a finished run; a run that cannot be scored is no failed run."""
    from handbench.errors import HandbenchError
    from handbench.models.card import is_finished, read_log

    if not is_finished(TrainSettings.read(run), read_log(run)):
        return
    try:
        _say(write_card(run, test=test))
    except HandbenchError as error:
        _say(f"no result card: {error}")


def _say(line: str) -> None:
    click.echo(line, err=True)


def _free_run(home: Home, name: str) -> Path:
    """Directory of a new run: `name`, else `name`-2 and so on."""
    number = 1
    while (run := home.runs / (name if number == 1 else f"{name}-{number}")).exists():
        number += 1
    return run
