"""``handbench verify``: check a converted file or a raw source."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from handbench.cli.source_options import (
    is_dataset,
    open_source,
    own_data_options,
    say_notes,
    source_option,
    versions_option,
)
from handbench.home import Home

if TYPE_CHECKING:
    from handbench.samples.checks import Verification


@click.command()
@click.argument("target", metavar="FILE|DATASET")
@source_option
@click.option("--deep", is_flag=True, help="Decode every image instead of a few.")
@click.option(
    "--limit", type=click.IntRange(min=1), help="DATASET: the first rows of each split only."
)
@versions_option
@own_data_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_obj
def verify(home: Home, /, target: str, deep: bool, as_json: bool, **options: Any) -> None:
    """Check a converted FILE.h5, or the raw source of a DATASET before it is converted.

    Looks at format, counts, labels, geometry and images; prints a line for each check, then what
    was kept and dropped. Exit code 1 when one fails. A source is read as `handbench convert` reads
    it, and nothing is written. With FILE.h5, --source compares its labels with those of its source.

    \b
    handbench verify freihand.h5
    handbench verify freihand --source FreiHAND_pub_v2.zip
    handbench verify freihand.h5 --source FreiHAND_pub_v2.zip
    handbench verify coco --annotations a.json --images-dir images --deep
    """  # noqa: D301 - click wants the backspace character itself
    if is_dataset(target):
        result = _verify_source(home, target, deep, options)
    else:
        result = _verify_file(home, Path(target), deep, options)
    _report(result, as_json)


def _verify_source(home: Home, name: str, deep: bool, options: dict[str, Any]) -> Verification:
    from handbench.samples.verify_source import verify_source
    from handbench.sources import manifest as manifests

    source = open_source(home, manifests.load(name), options)
    said = say_notes(source)
    result = verify_source(source, deep=deep, limit=options["limit"])
    say_notes(source, said)
    return result


def _verify_file(home: Home, path: Path, deep: bool, options: dict[str, Any]) -> Verification:
    from handbench.hdf5.reader import HandFile
    from handbench.hdf5.same_labels import compare_labels
    from handbench.hdf5.verify import verify as verify_file
    from handbench.sources import manifest as manifests

    if options["limit"]:
        raise click.UsageError("--limit is for the source of a DATASET, not for a file")
    result = verify_file(path, deep=deep)
    if not any(options.values()):
        return result
    name = result.dataset.removesuffix("-subset")
    if name not in manifests.names():
        raise click.UsageError(
            f"{path} holds {result.dataset!r}, one's own data: check its labels by themselves, as "
            "in `handbench verify coco --annotations FILE --images-dir DIR`"
        )
    broken = {
        check.split for check in result.checks if check.name == "columns" and not check.passed
    }
    if broken:
        return result  # there are no labels to compare
    # What --skip-bad left out is not in the file; the rest can be compared all the same.
    source = open_source(home, manifests.load(name), options, lenient=True)
    with HandFile(path) as file:
        result.checks.extend(compare_labels(file, source))
    return result


def _report(result: Verification, as_json: bool) -> None:
    """Print all; exit with 1 where a check failed."""
    from handbench.files import to_json

    if as_json:
        click.echo(to_json({"passed": result.passed, **dataclasses.asdict(result)}).decode())
    else:
        click.echo(f"{result.path}: {result.dataset}")
        words = {True: "ok", False: "FAILED", None: "-"}
        width = max(len(check.name) for check in result.checks)
        for check in result.checks:
            click.echo(
                f"  {words[check.passed]:<7} {check.split or 'all':<6} "
                f"{check.name:<{width}}  {check.detail}"
            )
        click.echo(_kept_and_dropped(result))
    if not result.passed:
        failed = [f"{c.split or 'all'}: {c.name}" for c in result.checks if c.passed is False]
        plural = "" if len(failed) == 1 else "s"
        click.echo(f"Error: {len(failed)} check{plural} failed: {'; '.join(failed)}", err=True)
        sys.exit(1)


def _kept_and_dropped(result: Verification) -> str:
    """A table: rows of each split, then label entries that are left out, by reason."""
    lines = [("kept", split, rows) for split, rows in result.kept.items()]
    lines += [("dropped", reason, count) for reason, count in result.dropped.items()]
    if not result.dropped:
        lines.append(("dropped", "nothing", 0))
    width = max(len(f"{count:,}") for _, _, count in lines)
    return "\n".join(f"  {what:<7} {count:>{width},}  {which}" for what, which, count in lines)
