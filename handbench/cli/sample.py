"""``handbench sample``: a synthetic hand dataset, for trying everything without a download."""

from __future__ import annotations

import os
from pathlib import Path

import click


@click.command("sample")
@click.argument("out_dir", type=click.Path(path_type=Path))
@click.option(
    "--count",
    type=click.IntRange(min=1),
    default=64,
    show_default=True,
    help="Training annotations. Each has 4 pictures (FreiHAND's four versions); a quarter as "
    "many evaluation pictures, at least 1, are written as well.",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Equal seeds give equal bytes; annotation i is the same whatever --count is.",
)
@click.option(
    "--size",
    type=click.IntRange(min=32, max=2048),
    default=224,
    show_default=True,
    help="Width and height of the pictures, pixels.",
)
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    default=lambda: min(8, os.cpu_count() or 1),
    show_default="processors, at most 8",
    help="Processes that render; the result is the same.",
)
def sample(out_dir: Path, count: int, seed: int, size: int, workers: int) -> None:
    """Write a synthetic right hand into OUT_DIR, in FreiHAND v2's directory layout.

    OUT_DIR must be new or empty. The marker file handbench_source.json names the dataset
    "sample", so that it never passes for FreiHAND.
    """
    from handbench.synthetic.dataset import VERSIONS, evaluation_count, write_sample_dataset

    write_sample_dataset(out_dir, count=count, seed=seed, size=size, workers=workers)
    click.echo(
        f"{out_dir}: {count * VERSIONS} training images of {count} annotations, "
        f"{evaluation_count(count)} evaluation images"
    )
