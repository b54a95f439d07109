"""``handbench deposit``: predictions → small files to keep beside results."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

_FILE = click.Path(readable=False, path_type=Path)


@click.command()
@click.argument("preds", nargs=-1, required=True, type=_FILE)
@click.option(
    "-o",
    "--out",
    type=_FILE,
    required=True,
    metavar="DIRECTORY|FILE.npz",
    help="Folder for <name of PREDS>.npz, or the file itself for a single PREDS.",
)
@click.option(
    "--data",
    type=_FILE,
    help="HDF5 file that was predicted on; only files without a header need it.",
)
@click.option(
    "--assume",
    "assumptions",
    multiple=True,
    metavar="KEY=VALUE",
    help="What a predictions file leaves unsaid, as for evaluate; repeatable.",
)
@click.option("--vertices", is_flag=True, help="Keep meshes, too: most of a file that has them.")
@click.option("--overwrite", is_flag=True, help="Replace existing files.")
def deposit(
    preds: tuple[Path, ...],
    out: Path,
    data: Path | None,
    assumptions: tuple[str, ...],
    vertices: bool,
    overwrite: bool,
) -> None:
    """Write predictions PREDS as small half-precision files.

    A deposit lies beside results, so that `handbench leaderboard --predictions` can score it again.
    No point moves by more than 0.05 px or 0.05 mm; the header names the file it was made from and
    its hash. Every command reads a deposit as predictions.
    """
    from contextlib import nullcontext

    from handbench.hdf5.reader import HandFile
    from handbench.predictions.assume import parse_assumptions
    from handbench.predictions.deposit import write_deposit
    from handbench.predictions.read import read_predictions

    targets = _targets(preds, out, overwrite=overwrite)
    assume = parse_assumptions(assumptions)
    with nullcontext() if data is None else HandFile(data) as file:
        for path, target in zip(preds, targets):
            predictions = read_predictions(path, file, assume=assume)
            for note in predictions.notes:
                click.echo(f"note: {note}", err=True)
            done = write_deposit(predictions, target, vertices=vertices)
            for name in done.single:
                click.echo(
                    f"note: {name} stayed in single precision: half would move a point further",
                    err=True,
                )
            for name in done.left_out:
                click.echo(f"note: {name} are left out; --{name} keeps them", err=True)
            moved = [
                f"{distance:.3f} {unit}"
                for distance, unit in ((done.moved_px, "px"), (done.moved_mm, "mm"))
                if distance is not None
            ]
            click.echo(
                f"wrote {target}: {len(predictions):,} hands, {_size(done.size)} of "
                f"{_size(path.stat().st_size)}, points moved by at most {' and '.join(moved)}"
            )


def _targets(preds: Sequence[Path], out: Path, *, overwrite: bool) -> list[Path]:
    """The file for each of `preds`, none of which may be lost by writing."""
    from handbench.errors import PredictionsError

    if out.suffix.lower() == ".npz" and not out.is_dir():
        if len(preds) > 1:
            raise click.UsageError(f"several PREDS need a folder; --out {out} is one file")
        targets = [out]
    else:
        targets = [out / f"{path.name.split('.')[0] or path.name}.npz" for path in preds]
    for number, target in enumerate(targets):
        if target in targets[:number]:
            raise PredictionsError(
                f"several PREDS would become {target}: deposit them one by one under names of "
                "your own"
            )
        if any(target.resolve() == path.resolve() for path in preds):
            raise PredictionsError(
                f"{target} would replace the predictions themselves: choose another --out"
            )
        if target.exists() and not overwrite:
            raise PredictionsError(f"{target} exists already: choose another name or --overwrite")
    return targets


def _size(count: int) -> str:
    """Bytes in a unit that a person can read."""
    return f"{count / 1e6:,.1f} MB" if count >= 1e6 else f"{count / 1e3:,.1f} kB"
