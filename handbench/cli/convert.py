"""``handbench convert``: source → HDF5."""

from __future__ import annotations

import importlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from handbench.home import Home

if TYPE_CHECKING:
    from handbench.hdf5.convert import ConvertSettings
    from handbench.sources.block import Source
    from handbench.sources.coco import SplitBlocks
    from handbench.sources.manifest import Manifest

_EXTRAS = ("vertices", "mano", "mask")
_OF_READERS = (
    *("source", "versions", "annotations", "images_dir", "name", "joint_order", "split_blocks"),
)
"""Options that belong to readers: each says which it takes (`OPTIONS`)."""


@click.command()
@click.argument("dataset")
@click.option(
    "--source",
    type=click.Path(path_type=Path),
    help="Folder or original archive.  [default: raw/DATASET in the home folder]",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="HDF5 file to write.  [default: datasets/DATASET.h5 in the home folder]",
)
@click.option("--splits", help="Only these, separated by commas: train,val,test.")
@click.option(
    "--size", type=click.IntRange(min=8), default=224, show_default=True, help="Stored image, px."
)
@click.option(
    "--padding",
    type=click.FloatRange(min=0, min_open=True),
    help="Factor on the longer side of the box.  [default: the dataset's own]",
)
@click.option(
    "--crop",
    type=click.Choice(["affine"]),
    default="affine",
    show_default=True,
    help="Kind of crop.",
)
@click.option(
    "--image-storage",
    type=click.Choice(["encoded", "raw"]),
    default="encoded",
    show_default=True,
    help="JPEG bytes (the original ones where nothing changes) or decoded pixels.",
)
@click.option("--heatmaps", is_flag=True, help="Store Gaussian targets too (rarely worth it).")
@click.option(
    "--sigma",
    type=click.FloatRange(min=0, min_open=True),
    default=2.0,
    show_default=True,
    help="Of those targets, in heatmap cells of 4 px.",
)
@click.option(
    "--grid",
    type=click.Choice(["center", "corner"]),
    default="center",
    show_default=True,
    help="Pixel of heatmap cell i: (i + 1/2) * 4 - 1/2, or i * 4.",
)
@click.option("--with", "extras", help=f"Also store: {', '.join(_EXTRAS)}, separated by commas.")
@click.option("--versions", help="FreiHAND layout: gs,hom,sample,auto (or 0 to 3).  [default: all]")
@click.option("--limit", type=click.IntRange(min=1), help="At most so many rows of each split.")
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    default=lambda: min(8, os.cpu_count() or 1),
    show_default="processors, at most 8",
    help="Threads that cut and encode images.",
)
@click.option(
    "--annotations",
    multiple=True,
    metavar="[SPLIT=]FILE",
    help="coco: keypoints JSON; give it once for each split.  [default split: test]",
)
@click.option(
    "--images-dir", type=click.Path(path_type=Path), help="coco: folder that file names start from."
)
@click.option("--name", help="coco: name of the dataset.  [default: stem of --out, else coco]")
@click.option(
    "--joint-order",
    metavar="I,I,...",
    help="coco: 21 indices with canonical[i] = native[I[i]].  [default: canonical already]",
)
@click.option(
    "--split-blocks",
    metavar="SPLIT=N,...",
    help="coco: deal runs of annotations out to splits, for example train=2,test=1.",
)
@click.option(
    "--block-size",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    help="coco: annotations in such a run.",
)
@click.option("--dry-run", is_flag=True, help="Check the source, print counts and bytes, stop.")
@click.option("--overwrite", is_flag=True, help="Replace an existing file.")
@click.pass_obj
def convert(home: Home, /, dataset: str, **options: Any) -> None:
    """Turn the raw DATASET into one HDF5 file.

    DATASET is a name from `handbench datasets`. The file appears only when everything went well.

    \b
    handbench convert freihand --source ~/FreiHAND_pub_v2
    handbench convert freihand --source FreiHAND_pub_v2.zip --splits test
    handbench convert coco --annotations train=a.json --annotations test=b.json --images-dir images
    """  # noqa: D301 - click wants the backspace character itself
    from handbench.hdf5.convert import ConvertSettings, check_target, dataset_name
    from handbench.hdf5.convert import convert as convert_source
    from handbench.sources import manifest as manifests

    out: Path | None = options["out"]
    may_write = options["overwrite"] or options["dry_run"]
    if out is not None:
        check_target(out, overwrite=may_write)
    # Before the source is opened: checking 32,560 labels takes a while, a typing error need not.
    extras = _chosen(options["extras"], _EXTRAS, "--with")
    source = _open(home, manifests.load(dataset), options)
    settings = ConvertSettings(
        size=options["size"],
        padding=options["padding"],
        raw_images=options["image_storage"] == "raw",
        heatmaps=options["heatmaps"],
        sigma=options["sigma"],
        grid=options["grid"],
        extras=extras,
        splits=tuple(_list(options["splits"])) or None,
        limit=options["limit"],
        workers=options["workers"],
    )
    # The file is called what its results will be called, so that `evaluate` finds it again.
    target = out or home.dataset(dataset_name(source, settings))
    check_target(target, overwrite=may_write)
    said = _say_notes(source, 0)
    if options["dry_run"]:
        _print_plan(source, settings, target)
        return
    done = convert_source(source, target, settings, overwrite=options["overwrite"], progress=True)
    _say_notes(source, said)  # what came up on the way
    rows = ", ".join(f"{split} {count:,}" for split, count in done.rows.items())
    size = done.path.stat().st_size
    click.echo(f"{done.path}: {done.dataset}, {rows} samples, {size / 1e6:,.1f} MB")


def _say_notes(source: Source, already: int) -> int:
    """Print the notes after the first `already`; returns how many there are now."""
    for note in source.notes[already:]:
        click.echo(f"note: {note}", err=True)
    return len(source.notes)


def _open(home: Home, manifest: Manifest, options: dict[str, Any]) -> Source:
    """Open the source with the options its reader knows; refuse those of other readers."""
    reader = importlib.import_module(f"handbench.sources.{manifest.reader}")
    given = {name: options[name] for name in _OF_READERS if options[name]}
    foreign = [name for name in given if name not in reader.OPTIONS]
    if foreign:
        word = foreign[0].replace("_", "-")
        raise click.UsageError(f"--{word} does not belong to `convert {manifest.name}`")
    unknown = sorted(_chosen(options["extras"], _EXTRAS, "--with") - reader.EXTRAS)
    if unknown:
        raise click.UsageError(f"--with {unknown[0]}: {manifest.name} has no such part")
    parsed = {name: _PARSERS.get(name, _as_given)(value) for name, value in given.items()}
    if "annotations" not in reader.OPTIONS:
        path = parsed.pop("source", None) or home.raw(manifest.name)
        return cast("Source", reader.open_source(path, manifest, **parsed))
    if not options["annotations"] or not options["images_dir"]:
        raise click.UsageError(
            f"convert {manifest.name} needs --annotations FILE and --images-dir DIR"
        )
    if "split_blocks" in parsed:
        parsed["blocks"] = _split_blocks(parsed.pop("split_blocks"), options["block_size"])
    parsed.setdefault("name", options["out"].stem if options["out"] else manifest.name)
    return cast(
        "Source",
        reader.open_source(parsed.pop("annotations"), parsed.pop("images_dir"), manifest, **parsed),
    )


def _annotation_files(values: tuple[str, ...]) -> dict[str, Path]:
    files: dict[str, Path] = {}
    for value in values:
        split, equals, path = value.partition("=")
        if not equals or split not in ("train", "val", "test"):
            split, path = "test", value
        if split in files:
            raise click.UsageError(
                f"--annotations gives split {split!r} twice; write train=FILE, val=FILE or "
                "test=FILE"
            )
        files[split] = Path(path)
    return files


def _joint_order(text: str) -> list[int]:
    from handbench.hand import check_permutation

    try:
        order = [int(part) for part in _list(text)]
    except ValueError as error:
        raise click.UsageError("--joint-order takes 21 numbers separated by commas") from error
    return [int(joint) for joint in check_permutation(order, "--joint-order")]


def _split_blocks(text: str, block_size: int) -> SplitBlocks:
    from handbench.sources.coco import SplitBlocks

    shares: dict[str, int] = {}
    for part in _list(text):
        split, _, share = part.partition("=")
        if split not in ("train", "val", "test") or not share.isdigit() or int(share) < 1:
            raise click.UsageError("--split-blocks takes SPLIT=N,... such as train=2,test=1")
        shares[split] = int(share)
    return SplitBlocks(shares, block_size)


def _list(text: str | None) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()] if text else []


def _chosen(text: str | None, known: tuple[str, ...], option: str) -> frozenset[str]:
    chosen = _list(text)
    unknown = [name for name in chosen if name not in known]
    if unknown:
        raise click.UsageError(f"{option} knows {', '.join(known)}, not {unknown[0]!r}")
    return frozenset(chosen)


def _as_given(value: Any) -> Any:
    return value


_PARSERS: dict[str, Callable[[Any], Any]] = {
    "versions": _list,
    "annotations": _annotation_files,
    "joint_order": _joint_order,
}
"""How the text of an option becomes what readers take."""


def _print_plan(source: Source, settings: ConvertSettings, target: Path) -> None:
    from handbench.hdf5.convert import native_splits

    click.echo(f"{source.path}:")
    total = 0.0
    for split in native_splits(source, settings.splits):
        count = min(source.splits()[split], settings.limit or source.splits()[split])
        block = next(iter(source.blocks(split, frozenset(), min(count, 64))))
        image = settings.size**2 * 3 if settings.raw_images else _mean_bytes(block.images)
        size = count * (image + 1024)
        total += size
        click.echo(f"  {split}: {count:,} samples, about {size / 1e6:,.1f} MB")
    folder = next(p for p in target.absolute().parents if p.exists())
    free = shutil.disk_usage(folder).free
    click.echo(f"would write {target}: about {total / 1e6:,.1f} MB; {free / 1e6:,.0f} MB free")


def _mean_bytes(images: list[bytes]) -> float:
    return sum(map(len, images)) / len(images)
