"""Source → HDF5: read, cut, write, in bounded memory."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from handbench.errors import FormatError, HandbenchError, SourceError
from handbench.files import to_json
from handbench.hdf5.writer import HandFileWriter, SplitWriter
from handbench.heatmaps import Grid, gaussian_targets
from handbench.samples.earlier_cut import first_frame
from handbench.samples.grouping import Cut, Dealer, val_rows
from handbench.samples.selection import MALFORMED, UNREADABLE, Selection, Selector
from handbench.samples.shaping import CropSettings, Shaper, Shaping, StoredBlock
from handbench.sources.block import SampleBlock, Source

# Threads cut one block while the next one is read; photos of many megabytes are not piled up.
_BLOCKS_AT_WORK = 2
_BYTES_AT_WORK = 256 * 1024**2


@dataclass(frozen=True)
class ConvertSettings:
    """What `convert` may be asked for.

    Attributes
    ----------
    size
        Side of the stored images, px.
    padding
        Factor on the longer side of the box; None takes the manifest's.
    perspective, mirror_left
        See :class:`handbench.samples.frames.CropSettings`.
    selection
        Which rows to keep.
    cut
        Deal all rows out to train, val and test anew; None keeps the source's splits.
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
        At most so many rows of each split of the source, counted before the selection.
    workers
        Threads that cut and encode images.
    """

    size: int = 224
    padding: float | None = None
    perspective: bool = False
    mirror_left: bool = False
    selection: Selection = field(default_factory=Selection)
    cut: Cut | None = None
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
    """What came of it.

    Attributes
    ----------
    path, dataset
        The file and its dataset name.
    rows
        Split → how many.
    dropped
        Why → how many rows of the source were left out here; a malformed label entry counts once,
        whether or not it would have made several rows.
    bad
        A sentence for each row that was left out because it could not be cut, read or understood.
    units
        Split → units, where all rows were dealt out anew.
    """

    path: Path
    dataset: str
    rows: dict[str, int]
    dropped: dict[str, int] = field(default_factory=dict)
    bad: list[str] = field(default_factory=list)
    units: dict[str, int] = field(default_factory=dict)


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
    natives = native_splits(source, settings)
    crop = crop_settings(source, settings)
    lenient = settings.selection.skip_bad
    shaper = Shaper(crop, settings.workers, source.column_attributes(), lenient=lenient)
    selector = Selector(settings.selection, crop)
    selector.take_over(source.bad, natives)
    dealer = survey(source, settings)
    name = dataset_name(source, settings)
    with contextlib.ExitStack() as stack:
        stack.callback(shaper.close)
        bar = stack.enter_context(_progress_bar(_row_count(source, natives, settings), progress))
        writer = stack.enter_context(HandFileWriter(out, _header(source, name)))
        splits: dict[str, SplitWriter] = {}
        for native, read, block, stored in _shaped(source, natives, shaper, selector, settings):
            if dealer is not None:
                parts = dealer.deal(block)
            else:
                parts = _official(source, native, block, settings.splits)
            for split, rows in parts:
                if split not in splits:
                    unit = source.split_unit if settings.cut is None else settings.cut.column
                    splits[split] = writer.split(split, unit, source.cluster_unit)
                everything = len(rows) == len(block)
                _append(
                    splits[split],
                    block if everything else block.take(rows),
                    stored if everything else stored.take(rows),
                    settings,
                )
            bar.update(read)
        selector.check_all_found()
        if not splits:
            reasons = ", ".join(f"{n:,} × {reason}" for reason, n in selector.dropped.items())
            left_out = f" (left out: {reasons})" if reasons else ""
            raise SourceError(f"expected samples in {source.path}, found none to convert{left_out}")
        for split_writer in splits.values():
            split_writer.attributes = _attributes(source, crop, settings)
        name = dataset_name(source, settings, shortened=bool(selector.bad))
        writer.update(_findings(source, name, selector, dealer))
    source.notes.extend(shaper.notes())
    return Conversion(
        out,
        name,
        {split: len(splits[split]) for split in splits},
        dict(selector.dropped),
        selector.bad,
        {} if dealer is None else dealer.units(),
    )


def crop_settings(source: Source, settings: ConvertSettings) -> CropSettings:
    """How the rows of `source` are cut."""
    return CropSettings(
        settings.size,
        source.manifest.box_padding if settings.padding is None else settings.padding,
        raw=settings.raw_images,
        perspective=settings.perspective,
        mirror_left=settings.mirror_left,
    )


def _shaped(
    source: Source,
    natives: list[str],
    shaper: Shaper,
    selector: Selector,
    settings: ConvertSettings,
) -> Iterator[tuple[str, int, SampleBlock, StoredBlock]]:
    """Native split, rows read, and the rows kept as they were and as they are stored.

    A block is begun before the one before it is finished: the threads always have work.
    """
    at_work: deque[tuple[str, int, Shaping]] = deque()
    most = _BLOCKS_AT_WORK if settings.workers > 1 else 1
    read = size = 0

    def finish() -> tuple[str, int, SampleBlock, StoredBlock]:
        nonlocal size
        native, count, begun = at_work.popleft()
        size -= sum(map(len, begun.block.images))
        stored = shaper.finish(begun)
        block = begun.block
        for sentence in stored.damaged.values():
            selector.leave_out(UNREADABLE, sentence)
        for sentence in stored.bad_masks.values():
            selector.leave_out(MALFORMED, sentence)
        if lost := stored.damaged.keys() | stored.bad_masks.keys():
            whole = [row for row in range(len(block)) if row not in lost]
            block = block.take(np.array(whole, dtype=np.intp))
        return native, count, block, stored

    for native in natives:
        for block in read_blocks(source, native, settings.extras, settings):
            read += len(block)
            kept = selector.keep(block)
            if not len(kept):
                continue
            at_work.append((native, read, shaper.start(kept)))
            read, size = 0, size + sum(map(len, kept.images))
            while at_work and (len(at_work) >= most or size > _BYTES_AT_WORK):
                yield finish()
    while at_work:
        yield finish()


def read_blocks(
    source: Source, native: str, extras: frozenset[str], settings: ConvertSettings
) -> Iterator[SampleBlock]:
    """Blocks of a split of the source; past damaged images and masks, if bad rows are skipped."""
    source.lenient = settings.selection.skip_bad
    return source.blocks(native, extras, settings.limit)


def survey(source: Source, settings: ConvertSettings) -> Dealer | None:
    """Read all rows once to see which units there are, and deal these out to splits.

    Returns
    -------
    None where the source's own splits are kept.

    Raises
    ------
    SourceError
        If rows have no unit, or the units do not fill the splits.
    """
    if settings.cut is None:
        return None
    dealer = Dealer(settings.cut)
    # What is wrong with a row is said when its turn comes to be cut.
    quiet = Selector(replace(settings.selection, skip_bad=True), crop_settings(source, settings))
    for native in native_splits(source, settings):
        for block in read_blocks(source, native, frozenset(), settings):
            kept = quiet.keep(block)
            if len(kept):
                dealer.survey(kept)
    quiet.check_all_found()
    dealer.settle()
    return dealer


def _findings(
    source: Source, name: str, selector: Selector, dealer: Dealer | None
) -> dict[str, Any]:
    """Root attributes that are known at the end."""
    dropped = dict(source.dropped)
    for reason, count in selector.dropped.items():
        dropped[reason] = dropped.get(reason, 0) + count
    found: dict[str, Any] = {"dataset": name, "dropped": _json(dropped)}
    if dealer is not None:
        found["split_by"] = _json({**dealer.cut.describe(), "units": dealer.units()})
    return found


def _json(value: Any) -> str:
    return to_json(value, indent=False).decode()


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


def dataset_name(source: Source, settings: ConvertSettings, *, shortened: bool = False) -> str:
    """Name for results: a file that differs from a dataset with published counts is a subset.

    Parameters
    ----------
    source, settings
        What is converted, and how: a limit that cuts, a selection and splits of our own make a
        subset.
    shortened
        Rows were left out because they could not be cut, read or understood.
    """
    cut = settings.limit is not None and any(n > settings.limit for n in source.splits().values())
    other = cut or shortened or settings.selection.narrows or settings.cut is not None
    published = source.manifest.splits.values()
    counted = any(split.samples or split.annotations for split in published)
    if other and counted and source.name == source.manifest.name:
        return f"{source.name}-subset"
    return source.name


def native_splits(source: Source, settings: ConvertSettings) -> list[str]:
    """The splits of the source that have to be read for the wanted ones.

    Raises
    ------
    HandbenchError
        If one is wanted that the source does not have.
    """
    wanted = settings.splits
    offered = list(source.splits())
    if wanted is None:
        return offered
    # Rows that are dealt out anew come from the source's own splits: there is no `val` to ask for.
    cuts_val = source.cuts_val and settings.cut is None
    possible = set(offered) | ({"val"} if cuts_val and "train" in offered else set())
    unknown = sorted(set(wanted) - possible)
    if unknown:
        raise HandbenchError(
            f"{source.path} has no split {unknown[0]!r}; it has {', '.join(sorted(possible))}"
        )
    needed = {"train" if name == "val" and cuts_val else name for name in wanted}
    return [name for name in offered if name in needed]


def _row_count(source: Source, natives: list[str], settings: ConvertSettings) -> int:
    counts = source.splits()
    return sum(
        counts[n] if settings.limit is None else min(counts[n], settings.limit) for n in natives
    )


def _official(
    source: Source, native: str, block: SampleBlock, wanted: tuple[str, ...] | None
) -> Iterator[tuple[str, npt.NDArray[np.intp]]]:
    """Split and rows: the source's own, with `val` cut from `train` where the source has none."""
    if not len(block):
        return
    if native != "train" or not source.cuts_val:
        yield native, np.arange(len(block))
        return
    in_val = val_rows(block.ids[source.split_unit])
    for split, chosen in (("train", ~in_val), ("val", in_val)):
        if chosen.any() and (wanted is None or split in wanted):
            yield split, np.flatnonzero(chosen)


def _append(
    writer: SplitWriter, block: SampleBlock, stored: StoredBlock, settings: ConvertSettings
) -> None:
    truth = first_frame(block)
    writer.add_truth(
        sample_id=truth.sample_id,
        keypoints_2d=truth.keypoints_2d,
        keypoints_3d=truth.keypoints_3d,
        valid_2d=truth.valid_2d,
        valid_3d=truth.valid_3d,
        bbox=truth.bbox,
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
        "crop": {"kind": "perspective" if crop.perspective else "affine"},
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
        "dropped": _json(source.dropped),
        **{key: value for key, value in noise.items() if value is not None},
    }


def _progress_bar(total: int, show: bool) -> Any:
    from tqdm import tqdm

    # disable=None: no bar when stderr is no terminal.
    return tqdm(total=total, unit=" images", desc="convert", disable=None if show else True)
