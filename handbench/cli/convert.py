"""``handbench convert``: source → HDF5."""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from handbench.cli.source_options import (
    open_source,
    own_data_options,
    say_notes,
    source_option,
    versions_option,
    words,
)
from handbench.home import Home

if TYPE_CHECKING:
    from handbench.hdf5.convert import Conversion
    from handbench.samples.grouping import Cut
    from handbench.samples.selection import Selection
    from handbench.sources.block import Source
    from handbench.sources.manifest import Manifest

_EXTRAS = ("vertices", "mano", "mask")
_RATIOS = "0.8,0.1,0.1"
_LISTED = 100
"""Left-out rows that are listed one by one."""


@click.command()
@click.argument("dataset")
@source_option
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
    type=click.Choice(["affine", "perspective"]),
    default="affine",
    show_default=True,
    help="Cut the image, or turn a virtual camera to each hand (needs intrinsics).",
)
@click.option("--mirror-left", is_flag=True, help="Flip left hands: all look like right ones.")
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
@versions_option
@click.option(
    "--cameras", "--views", "cameras", metavar="ID,ID,...", help="Only images of these cameras."
)
@click.option(
    "--only",
    multiple=True,
    metavar="COLUMN=ID,...",
    help="Only rows with these ids, such as subject_id=3,7; may be given several times.",
)
@click.option(
    "--min-valid", type=click.IntRange(1, 21), help="Only hands with so many labelled joints."
)
@click.option(
    "--skip-bad",
    is_flag=True,
    help="Leave out and list hands that cannot be cut, read or understood.  [default: stop]",
)
@click.option("--limit", type=click.IntRange(min=1), help="At most so many rows of each split.")
@click.option(
    "--split-by",
    type=click.Choice(["subject", "sequence", "instant"]),
    help="Deal all rows out to train, val and test anew, whole subjects (…) at a time.",
)
@click.option(
    "--ratios", metavar="A,B,C", help=f"Shares of train, val, test in that.  [default: {_RATIOS}]"
)
@click.option(
    "--seed", type=click.IntRange(min=0), help="Another one deals otherwise.  [default: 0]"
)
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    default=lambda: min(8, os.cpu_count() or 1),
    show_default="processors, at most 8",
    help="Threads that cut and encode images.",
)
@own_data_options
@click.option("--name", help="coco, points: name of the dataset.  [default: stem of --out]")
@click.option(
    "--split-blocks",
    metavar="SPLIT=N,...",
    help="coco, points: deal runs of annotations out to splits, for example train=2,test=1.",
)
@click.option(
    "--block-size",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    help="coco, points: annotations in such a run.",
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
    handbench convert freihand --split-by instant --ratios 8,1,1 --seed 1
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
    selection, cut = _selection(options), _cut(options)
    source = _open(home, manifests.load(dataset), options, extras)
    settings = ConvertSettings(
        size=options["size"],
        padding=options["padding"],
        perspective=options["crop"] == "perspective",
        mirror_left=options["mirror_left"],
        selection=selection,
        cut=cut,
        raw_images=options["image_storage"] == "raw",
        heatmaps=options["heatmaps"],
        sigma=options["sigma"],
        grid=options["grid"],
        extras=extras,
        splits=tuple(words(options["splits"])) or None,
        limit=options["limit"],
        workers=options["workers"],
    )
    # The file is called what its results will be called, so that `evaluate` finds it again.
    target = out or home.dataset(dataset_name(source, settings))
    check_target(target, overwrite=may_write)
    said = say_notes(source)
    if options["dry_run"]:
        from handbench.cli.convert_plan import print_plan

        print_plan(source, settings, target)
        return
    place, shortened = target, home.dataset(dataset_name(source, settings, shortened=True))
    if out is None and selection.skip_bad:
        # Whether rows are missing, and so the name, is known only at the end.
        check_target(shortened, overwrite=may_write)
        place = target.with_name(f".{target.name}.unnamed")
        place.unlink(missing_ok=True)
    done = convert_source(source, place, settings, overwrite=options["overwrite"], progress=True)
    if place != target:
        done.path = place.replace(shortened if done.bad else target)
    say_notes(source, said)  # what came up on the way
    _say_what_was_left_out(done)
    rows = ", ".join(f"{split} {count:,}" for split, count in done.rows.items())
    size = done.path.stat().st_size
    click.echo(f"{done.path}: {done.dataset}, {rows} samples, {size / 1e6:,.1f} MB")
    if cut is not None:
        units = ", ".join(f"{split} {count:,}" for split, count in done.units.items())
        click.echo(f"{cut.column}: {units}; none stands in two splits")


def _say_what_was_left_out(done: Conversion) -> None:
    for sentence in done.bad[:_LISTED]:
        click.echo(f"left out: {sentence}", err=True)
    if len(done.bad) > _LISTED:
        click.echo(f"left out: … and {len(done.bad) - _LISTED:,} more", err=True)
    for reason, count in done.dropped.items():
        click.echo(f"note: left out: {count:,} × {reason}", err=True)


def _open(
    home: Home, manifest: Manifest, options: dict[str, Any], extras: frozenset[str]
) -> Source:
    """Open the source after checking that its reader has the wanted extras."""
    reader = importlib.import_module(f"handbench.sources.{manifest.reader}")
    unknown = sorted(extras - reader.EXTRAS)
    if unknown:
        raise click.UsageError(f"--with {unknown[0]}: {manifest.name} has no such part")
    stem = options["out"].stem if options["out"] else None
    return open_source(home, manifest, options, name=stem, lenient=options["skip_bad"])


def _selection(options: dict[str, Any]) -> Selection:
    from handbench.hdf5.format import COLUMNS
    from handbench.samples.selection import Selection

    known = [name for name, column in COLUMNS.items() if column.dtype == "str"]
    chosen = {"camera_id": frozenset(words(options["cameras"]))} if options["cameras"] else {}
    for value in options["only"]:
        column, equals, ids = value.partition("=")
        if not equals or not words(ids) or column not in known:
            raise click.UsageError(
                f"--only takes COLUMN=ID,... with a column among {', '.join(known)}, not {value!r}"
            )
        if column in chosen:
            raise click.UsageError(f"{column} is chosen twice")
        chosen[column] = frozenset(words(ids))
    return Selection(chosen, options["min_valid"] or 0, options["skip_bad"])


def _cut(options: dict[str, Any]) -> Cut | None:
    from handbench.samples.grouping import Cut

    if options["split_by"] is None:
        for name in ("ratios", "seed"):
            if options[name] is not None:
                raise click.UsageError(f"--{name} needs --split-by")
        return None
    text = options["ratios"] or _RATIOS
    try:
        shares = [float(part) for part in words(text)]
    except ValueError:
        shares = []
    if (
        len(shares) != 3
        or not all(0 <= share < float("inf") for share in shares)
        or not sum(shares)
    ):
        raise click.UsageError(
            f"--ratios takes three shares of train, val and test such as {_RATIOS}, not {text!r}"
        )
    train, val, test = (share / sum(shares) for share in shares)
    return Cut(f"{options['split_by']}_id", (train, val, test), options["seed"] or 0)


def _chosen(text: str | None, known: tuple[str, ...], option: str) -> frozenset[str]:
    chosen = words(text)
    unknown = [name for name in chosen if name not in known]
    if unknown:
        raise click.UsageError(f"{option} knows {', '.join(known)}, not {unknown[0]!r}")
    return frozenset(chosen)
