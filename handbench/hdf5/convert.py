"""Source → HDF5: read, cut, write, in bounded memory."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from handbench.errors import FormatError, HandbenchError, SourceError
from handbench.files import to_json
from handbench.hdf5.writer import HandFileWriter, SplitWriter
from handbench.heatmaps import Grid, gaussian_targets
from handbench.samples.grouping import val_rows
from handbench.samples.shaping import CropSettings, Shaper, StoredBlock
from handbench.sources.block import SampleBlock, Source


@dataclass(frozen=True)
class ConvertSettings:
    """What `convert` may be asked for.

    Attributes
    ----------
    size
        Side of the stored images, px.
    padding
        Factor on the longer side of the box; None takes the manifest's.
    raw_images
        Store decoded pixels: larger, quicker to read.
    heatmaps
        Store Gaussian targets too.
    sigma, stride, grid
        Of those heatmaps; see :mod:`handbench.heatmaps`.
    extras
        Optional parts of the source: `vertices`, `mano`, `mask`.
    splits
        Only these; None for all.
    limit
        At most so many rows of each split of the source.
    workers
        Threads that cut and encode images.
    """

    size: int = 224
    padding: float | None = None
    raw_images: bool = False
    heatmaps: bool = False
    sigma: float = 2.0
    stride: int = 4
    grid: Grid = "center"
    extras: frozenset[str] = field(default_factory=frozenset)
    splits: tuple[str, ...] | None = None
    limit: int | None = None
    workers: int = 1


@dataclass
class Conversion:
    """What came of it: the file, its dataset name, rows a split."""

    path: Path
    dataset: str
    rows: dict[str, int]


def convert(
    source: Source,
    out: Path,
    settings: ConvertSettings | None = None,
    *,
    overwrite: bool = False,
    progress: bool = False,
) -> Conversion:
    """Write a source as one HDF5 file of format 1.0.

    Parameters
    ----------
    source
        An opened source.
    out
        Target; appears only when the whole conversion succeeded.
    settings
        Size, crop, extras and so on.
    overwrite
        Replace an existing `out`.
    progress
        Show a bar on stderr (never when that is no terminal).

    Raises
    ------
    HandbenchError
        If `out` exists, nothing is to be converted, or the source is damaged.
    """
    settings = settings or ConvertSettings()
    out = Path(out)
    check_target(out, overwrite=overwrite)
    natives = native_splits(source, settings.splits)
    shaper = Shaper(
        CropSettings(
            settings.size,
            source.manifest.box_padding if settings.padding is None else settings.padding,
            raw=settings.raw_images,
        ),
        settings.workers,
    )
    name = dataset_name(source, settings)
    with contextlib.ExitStack() as stack:
        stack.callback(shaper.close)
        bar = stack.enter_context(_progress_bar(_row_count(source, natives, settings), progress))
        writer = stack.enter_context(HandFileWriter(out, _header(source, name)))
        splits: dict[str, SplitWriter] = {}
        for native in natives:
            for block in source.blocks(native, settings.extras, settings.limit):
                for split, rows in _route(source, native, block, settings.splits):
                    if split not in splits:
                        splits[split] = writer.split(split, source.split_unit, source.cluster_unit)
                    _append(splits[split], rows, shaper.shape(rows), settings)
                bar.update(len(block))
        if not splits:
            raise SourceError(f"expected samples in {source.path}, found none to convert")
        for split_writer in splits.values():
            split_writer.attributes = _attributes(source, shaper.settings, settings)
    return Conversion(out, name, {split: len(writer) for split, writer in splits.items()})


def check_target(out: Path, *, overwrite: bool) -> None:
    """Refuse to write over a file unless told to.

    Raises
    ------
    FormatError
        If `out` exists, or is a folder.
    """
    if out.is_dir():
        raise FormatError(f"expected a file name for --out, found the folder {out}")
    if out.exists() and not overwrite:
        raise FormatError(f"{out} exists already; pass --overwrite to replace it, or another --out")


def dataset_name(source: Source, settings: ConvertSettings) -> str:
    """Name for results. A file cut short by `limit` is a subset, if full counts are published."""
    cut = settings.limit is not None and any(n > settings.limit for n in source.splits().values())
    counted = any(split.samples for split in source.manifest.splits.values())
    if cut and counted and source.name == source.manifest.name:
        return f"{source.name}-subset"
    return source.name


def native_splits(source: Source, wanted: tuple[str, ...] | None) -> list[str]:
    """The splits of the source that have to be read for the `wanted` ones.

    Raises
    ------
    HandbenchError
        If one is wanted that the source does not have.
    """
    offered = list(source.splits())
    if wanted is None:
        return offered
    possible = set(offered) | ({"val"} if source.cuts_val and "train" in offered else set())
    unknown = sorted(set(wanted) - possible)
    if unknown:
        raise HandbenchError(
            f"{source.path} has no split {unknown[0]!r}; it has {', '.join(sorted(possible))}"
        )
    needed = {"train" if name == "val" and source.cuts_val else name for name in wanted}
    return [name for name in offered if name in needed]


def _row_count(source: Source, natives: list[str], settings: ConvertSettings) -> int:
    counts = source.splits()
    return sum(
        counts[n] if settings.limit is None else min(counts[n], settings.limit) for n in natives
    )


def _route(
    source: Source, native: str, block: SampleBlock, wanted: tuple[str, ...] | None
) -> Iterator[tuple[str, SampleBlock]]:
    """Split the rows of `train` into `train` and `val`, where the source has no `val`."""
    if native != "train" or not source.cuts_val:
        yield native, block
        return
    in_val = val_rows(block.ids[source.split_unit])
    for split, chosen in (("train", ~in_val), ("val", in_val)):
        if chosen.any() and (wanted is None or split in wanted):
            yield split, block if chosen.all() else block.take(np.flatnonzero(chosen))


def _append(
    writer: SplitWriter, block: SampleBlock, stored: StoredBlock, settings: ConvertSettings
) -> None:
    writer.add_truth(
        sample_id=block.sample_id,
        keypoints_2d=block.keypoints_2d,
        keypoints_3d=block.keypoints_3d,
        valid_2d=block.valid_2d,
        valid_3d=block.valid_3d,
        bbox=block.bbox,
    )
    columns = stored.columns
    if settings.heatmaps:
        columns["heatmaps"] = _heatmaps(columns, settings)
    writer.append(columns, stored.images, stored.masks)


def _heatmaps(columns: dict[str, Any], settings: ConvertSettings) -> npt.NDArray[np.float16]:
    return gaussian_targets(
        columns["keypoints_2d"],
        columns["valid_2d"],
        (settings.size, settings.size),
        settings.stride,
        settings.sigma,
        settings.grid,
    ).astype(np.float16)


def _attributes(
    source: Source, crop: CropSettings, settings: ConvertSettings
) -> dict[str, dict[str, Any]]:
    heatmaps = {"sigma": settings.sigma, "stride": settings.stride, "grid": settings.grid}
    return {
        "bbox": {"source": source.box_source, "padding": crop.padding},
        "heatmaps": heatmaps,
        **source.column_attributes(),
    }


def _header(source: Source, name: str) -> dict[str, Any]:
    manifest = source.manifest
    noise = {"label_noise_px": manifest.label_noise_px, "label_noise_mm": manifest.label_noise_mm}
    return {
        "dataset": name,
        "title": manifest.title,
        "license": manifest.license,
        "citation": manifest.citation,
        "homepage": manifest.homepage,
        "label_source": manifest.label_source,
        "publish_images": manifest.publish_images,
        "sources": source.files(),
        "dropped": to_json(source.dropped, indent=False).decode(),
        **{key: value for key, value in noise.items() if value is not None},
    }


def _progress_bar(total: int, show: bool) -> Any:
    from tqdm import tqdm

    # disable=None: no bar when stderr is no terminal.
    return tqdm(total=total, unit=" images", desc="convert", disable=None if show else True)
