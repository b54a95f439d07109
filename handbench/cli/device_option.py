"""``--device``, which every command that runs a network has."""

from __future__ import annotations

import click

from handbench.models.settings import DEVICES

device_option = click.option(
    "--device",
    type=click.Choice(DEVICES),
    default="auto",
    show_default=True,
    help="Where to compute.",
)
