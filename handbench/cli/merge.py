"""``handbench merge``: several files as one training set."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from handbench.hdf5.merge import Input, Merged

_LISTED = 20
"""Pairs of equal images that are listed one by one."""


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE[:WEIGHT]...")
@click.option(
    "--out", required=True, type=click.Path(path_type=Path), help="HDF5 file to write, a small one."
)
@click.option("--splits", help="Only these, separated by commas: train,val,test.")
@click.option("--name", help="Name of the merged dataset.  [default: stem of --out]")
@click.option(
    "--drop-duplicates", is_flag=True, help="Leave out images that another file holds too."
)
@click.option("--overwrite", is_flag=True, help="Replace an existing file.")
def merge(
    files: tuple[str, ...],
    out: Path,
    splits: str | None,
    name: str | None,
    drop_duplicates: bool,
    overwrite: bool,
) -> None:
    """Join converted FILEs to one training set without a copy.

    The new file points into the old ones: keep them where they are, or move all together. A hand
    of a file with WEIGHT 2 is drawn twice as often in training as one with weight 1, the default.

    \b
    handbench merge freihand.h5 rhd.h5:0.5 --out both.h5 --splits train,val
    handbench train baseline --data both.h5
    """  # noqa: D301 - click wants the backspace character itself
    from handbench.hdf5.merge import merge as merge_files

    done = merge_files(
        [_input(text) for text in files],
        out,
        name=name,
        splits=[part.strip() for part in splits.split(",") if part.strip()] if splits else None,
        drop_duplicates=drop_duplicates,
        overwrite=overwrite,
        progress=True,
    )
    for note in done.notes:
        click.echo(f"note: {note}", err=True)
    _say_copies(done)
    rows = ", ".join(f"{split} {count:,}" for split, count in done.rows.items())
    size = done.path.stat().st_size
    click.echo(f"{done.path}: {done.dataset}, {rows} samples, {size / 1e6:,.1f} MB")
    if done.drawn:
        shares = ", ".join(f"{dataset} {share:.1%}" for dataset, share in done.drawn.items())
        click.echo(f"drawn in training: {shares}")


def _input(text: str) -> Input:
    """A path, or a path and a weight: what exists as it stands has no weight."""
    from handbench.hdf5.merge import Input

    path, colon, number = text.rpartition(":")
    if not colon or Path(text).exists():
        return Input(Path(text))
    try:
        return Input(Path(path), float(number))
    except ValueError:
        return Input(Path(text))  # a drive letter, or a name with a colon


def _say_copies(done: Merged) -> None:
    for kept, copy in done.copies[:_LISTED]:
        click.echo(f"same image: {copy} is {kept}", err=True)
    if len(done.copies) > _LISTED:
        click.echo(f"same image: … and {len(done.copies) - _LISTED:,} more", err=True)
    if done.copies:
        what = "left out" if done.dropped else "kept; --drop-duplicates leaves them out"
        click.echo(f"note: {len(done.copies):,} images stand in another file too: {what}", err=True)
