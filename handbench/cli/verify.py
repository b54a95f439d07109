"""``handbench verify``: check a converted file."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import click


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--deep", is_flag=True, help="Decode every image instead of a few.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def verify(file: Path, deep: bool, as_json: bool) -> None:
    """Check FILE.h5: format, counts, labels, geometry, images.

    Prints a line for each check, then what was kept and dropped. Exit code 1 when one fails.
    """
    from handbench.files import to_json
    from handbench.hdf5.verify import verify as verify_file

    result = verify_file(file, deep=deep)
    if as_json:
        click.echo(to_json({"passed": result.passed, **dataclasses.asdict(result)}).decode())
    else:
        click.echo(f"{result.path}: {result.dataset}")
        words = {True: "ok", False: "FAILED", None: "-"}
        width = max(len(check.name) for check in result.checks)
        for check in result.checks:
            click.echo(
                f"  {words[check.passed]:<7} {check.split or 'file':<6} "
                f"{check.name:<{width}}  {check.detail}"
            )
        kept = ", ".join(f"{split} {rows:,}" for split, rows in result.kept.items())
        dropped = ", ".join(f"{n:,} × {reason}" for reason, n in result.dropped.items())
        click.echo(f"kept: {kept}\ndropped: {dropped or 'nothing'}")
    if not result.passed:
        failed = [f"{c.split or 'file'}: {c.name}" for c in result.checks if c.passed is False]
        plural = "" if len(failed) == 1 else "s"
        click.echo(f"Error: {len(failed)} check{plural} failed: {'; '.join(failed)}", err=True)
        sys.exit(1)
