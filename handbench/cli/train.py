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

from handbench.home import Home
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
        add = click.option(
            option(field.name),
            type=value,
            multiple=several,
            help=text[0].upper() + text[1:],
            **more,
        )
        command = add(command)
    return command


@click.group()
def train() -> None:
    """Train a reference model."""


@train.command()
@_setting_options
@click.option("--resume", is_flag=True, help="Continue the run in --out with its own settings.")
@click.option(
    "--stop-after",
    type=click.IntRange(min=1),
    metavar="EPOCH",
    help="End after this epoch; --resume goes on from there.",
)
@click.pass_context
def baseline(ctx: click.Context, /, resume: bool, stop_after: int | None, **options: Any) -> None:
    """Train the ResNet-deconvolution baseline and print its run directory.

    \b
    handbench train baseline --data freihand.h5 --out runs/freihand
    handbench train baseline --resume --out runs/freihand
    """  # noqa: D301 - click wants the backspace character itself
    from handbench.models.training import train as run_training

    home: Home = ctx.obj
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
        out = options["out"] or _free_run(home, f"{data[0].stem}-resnet{options['depth']}")
        settings = TrainSettings(**{**options, "data": data, "out": out})
    run = run_training(
        settings,
        resume=resume,
        stop_after=stop_after,
        say=lambda line: click.echo(line, err=True),
        progress=True,
    )
    click.echo(str(run))


def _free_run(home: Home, name: str) -> Path:
    """Directory of a new run: `name`, else `name`-2 and so on."""
    number = 1
    while (run := home.runs / (name if number == 1 else f"{name}-{number}")).exists():
        number += 1
    return run
