"""``handbench convert --dry-run``: counts, bytes, and whether there is room for them."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import numpy as np

from handbench.hdf5.convert import (
    ConvertSettings,
    crop_settings,
    native_splits,
    read_blocks,
    survey,
)
from handbench.samples.selection import Selector
from handbench.samples.shaping import Shaper, StoredBlock
from handbench.sources.block import Source

_PROBED_ROWS = 32
_EXTRA_BYTES = {"vertices": 778 * 3 * 4, "mano": 61 * 4, "mask": 1000}
"""Of a row: MANO's 778 vertices, its 61 parameters, and a one-bit PNG of a hand."""
_HEATMAP_BYTES = 14_000
"""Of a row at 224 px, compressed, as measured in docs/format.md; grows with the area."""


def print_plan(source: Source, settings: ConvertSettings, target: Path) -> None:
    """Print counts, an estimate of bytes from the first rows of each split, and the free disk."""
    click.echo(f"{source.path}:")
    narrowed = settings.selection.narrows or settings.selection.skip_bad
    total = 0.0
    for split in native_splits(source, settings):
        count = min(source.splits()[split], settings.limit or source.splits()[split])
        size = count * _bytes_a_row(source, split, settings)
        total += size
        most = "at most " if narrowed else ""
        click.echo(f"  {split}: {most}{count:,} samples, about {size / 1e6:,.1f} MB")
    selector = Selector(settings.selection, crop_settings(source, settings))
    selector.take_over(source.bad, native_splits(source, settings))
    for reason, count in selector.dropped.items():
        click.echo(f"  left out: {count:,} × {reason}")
    dealer = survey(source, settings)
    if dealer is not None:
        rows = ", ".join(f"{split} {count:,}" for split, count in dealer.rows().items())
        click.echo(f"  dealt out by {dealer.cut.column}: {rows} samples")
    elif source.cuts_val:
        click.echo(f"  val is cut from train, about 5 % by {source.split_unit}")
    folder = next(p for p in target.absolute().parents if p.exists())
    free = shutil.disk_usage(folder).free
    click.echo(f"would write {target}: about {total / 1e6:,.1f} MB; {free / 1e6:,.0f} MB free")
    if total > free:
        click.echo(f"note: the disk of {folder} has not enough room", err=True)


def _bytes_a_row(source: Source, split: str, settings: ConvertSettings) -> float:
    """Mean of the first rows: they are cut as they would be, and thrown away."""
    probe = replace(settings, extras=frozenset())
    crop = crop_settings(source, probe)
    lenient = probe.selection.skip_bad
    shaper = Shaper(crop, attributes=source.column_attributes(), lenient=lenient)
    extras: float = sum(_EXTRA_BYTES[name] for name in settings.extras)
    if settings.heatmaps:
        extras += _HEATMAP_BYTES * (settings.size / 224) ** 2
    probe = replace(probe, limit=min(_PROBED_ROWS, settings.limit or _PROBED_ROWS))
    for block in read_blocks(source, split, probe.extras, probe):
        kept = Selector(probe.selection, crop).keep(block)
        stored = shaper.shape(kept) if len(kept) else None
        if stored is not None and len(stored):
            return extras + _size(stored) / len(stored)
    return extras + settings.size**2 * 3 if settings.raw_images else extras


def _size(stored: StoredBlock) -> float:
    images = stored.images
    whole = images.nbytes if isinstance(images, np.ndarray) else sum(map(len, images))
    return whole + sum(_column_bytes(values) for values in stored.columns.values())


def _column_bytes(values: Any) -> int:
    if isinstance(values, np.ndarray):
        return values.nbytes
    # Texts are stored at the length of the longest.
    return len(values) * max((len(str(value).encode()) for value in values), default=0)
