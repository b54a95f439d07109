"""``handbench train recipes``: what each recipe of the baseline sets."""

from __future__ import annotations

import dataclasses
import json

import click

from handbench.models.recipes import RECIPES
from handbench.models.settings import TrainSettings, option


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def recipes(as_json: bool) -> None:
    """List the recipes of `train baseline`: the options in which they differ.

    \b
    handbench train baseline --data freihand.h5 --recipe simple-baselines --pretrained none
    """  # noqa: D301 - click wants the backspace character itself
    from handbench.scores.text import table

    differing = differing_settings()
    if as_json:
        document = {
            recipe: {name: values[recipe] for name, values in differing.items()}
            for recipe in RECIPES
        }
        click.echo(json.dumps(document, indent=2))
        return
    unset = {field.name: field.metadata["unset"] for field in dataclasses.fields(TrainSettings)}
    rows = [
        [option(name), *(unset[name] if each is None else str(each) for each in values.values())]
        for name, values in differing.items()
    ]
    click.echo(table(["option", *RECIPES], rows))
    click.echo("\nOther options have one default for all recipes; an option that is given wins.")


def differing_settings() -> dict[str, dict[str, object]]:
    """Setting → recipe → value, for the settings that any recipe sets."""
    return {
        field.name: {
            name: recipe.get(field.name, field.default) for name, recipe in RECIPES.items()
        }
        for field in dataclasses.fields(TrainSettings)
        if any(field.name in recipe for recipe in RECIPES.values())
    }
