"""``handbench results``: results files printed, drawn and checked again, without predictions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from handbench.cli.paper_options import Layout, table_options

if TYPE_CHECKING:
    from handbench.scores.results import Results

_FILE = click.Path(readable=False, path_type=Path)
_protocol_option = click.option(
    "--protocol",
    "protocols",
    multiple=True,
    metavar="NAME",
    help="Only results under this protocol; repeatable.  [default: all]",
)


@click.group()
def results() -> None:
    """Print, draw and check results JSON that `handbench evaluate --out` wrote.

    FILES are results files, or folders that hold some.
    """


@results.command()
@click.argument("files", nargs=-1, required=True, type=_FILE)
@_protocol_option
@table_options
def show(
    files: tuple[Path, ...],
    protocols: tuple[str, ...],
    layout: str,
    columns: tuple[str, ...],
    decimals: int | None,
    percent: bool,
    intervals: bool,
) -> None:
    """Print the numbers of results FILES as a table for a paper.

    Only results with equal signatures share a table; its notes say what every column means. There
    is no paired test here, which needs the hands: `handbench evaluate … --format` has it.
    """
    chosen = Layout(layout, columns, decimals, percent, intervals)
    chosen.check()
    click.echo(chosen.write(read_results(files, protocols)))


@results.command()
@click.argument("files", nargs=-1, required=True, type=_FILE)
@click.option(
    "--out", type=_FILE, metavar="DIRECTORY", required=True, help="Folder for the figures."
)
@_protocol_option
@click.option(
    "--kind",
    "kinds",
    type=click.Choice(["curves", "joints", "intervals"]),
    multiple=True,
    help="PCK curves, joints, or models with intervals; repeatable.  [default: all]",
)
@click.option(
    "--width",
    type=click.Choice(["column", "page"]),
    default="column",
    show_default=True,
    help="3.35 or 6.9 inches, a column or the page of a two-column paper.",
)
def figures(
    files: tuple[Path, ...],
    out: Path,
    protocols: tuple[str, ...],
    kinds: tuple[str, ...],
    width: str,
) -> None:
    """Draw results FILES for a paper: SVG, PDF and PNG.

    Models share a figure where their signatures are equal. Joints and intervals are of the metric
    that ranks.
    """
    from handbench.cli.evaluation_files import check_out
    from handbench.reports.paper_figures import KINDS, write_figures

    check_out(out)
    named = read_results(files, protocols)
    drawn = write_figures(named, out, kinds=kinds or KINDS, width=width)
    for note in drawn.notes:
        click.echo(f"Note: {note}", err=True)
    for path in drawn.paths:
        click.echo(path)


@results.command()
@click.argument("files", nargs=-1, required=True, type=_FILE)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def validate(files: tuple[Path, ...], as_json: bool) -> None:
    """Check results FILES before they enter a leaderboard; exit 1 when something is wrong.

    Schema and version, names of metrics, numbers that can be and can stand together, the signature,
    where the numbers come from, and files that say different things of one model. One line a
    problem: file, what was found, what to do.
    """
    from handbench.files import to_json
    from handbench.scores.hygiene import check_files

    paths = _paths(files)
    found = check_files(paths)
    claims = _reproduced(paths)
    bad = {problem.file for problem in found}
    if as_json:
        problems = [{"file": problem.file, "problem": problem.problem} for problem in found]
        document = {
            "files": [str(path) for path in paths],
            "problems": problems,
            "reproduced": claims,
        }
        click.echo(to_json(document).decode())
    else:
        for problem in found:
            click.echo(f"{_shown(problem.file)}: {_shown(problem.problem)}")
        for claim in claims:
            said = f"{claim['file']} says that {claim['by']} reproduced it on {claim['date']}"
            click.echo(_shown(f"Note: {said}: ask them, nothing here can tell"), err=True)
        good = len(paths) - len(bad)
        click.echo(f"{good:,} of {len(paths):,} results files have no problem")
    if found:
        raise click.exceptions.Exit(1)


def _reproduced(paths: list[Path]) -> list[dict[str, str]]:
    """Which files claim that somebody reproduced them: a word that only a person can check."""
    from handbench.errors import ScoreError
    from handbench.scores.results import Results

    claims = []
    for path in paths:
        try:
            said = Results.read(path).provenance.get("reproduced")
        except ScoreError:
            continue
        if said:
            claims.append(
                {"file": str(path), **{k: str(said[k]) for k in ("by", "date", "command")}}
            )
    return claims


def read_results(
    files: tuple[Path, ...], protocols: tuple[str, ...] = ()
) -> list[tuple[str, Results]]:
    """Results of all files, with labels that are unique among those of one signature.

    Parameters
    ----------
    files
        Results files and folders.
    protocols
        Only results under these; empty for all.
    """
    from handbench.cli.evaluation_files import unique_labels
    from handbench.errors import ScoreError
    from handbench.scores.results import Results

    groups: dict[tuple[str, str, str], list[tuple[Path, Results]]] = {}
    order: list[tuple[Path, Results]] = []
    for path in _paths(files):
        one = Results.read(path)
        groups.setdefault((one.dataset, one.split, one.signature), []).append((path, one))
        order.append((path, one))
    labels: dict[Path, str] = {}
    for members in groups.values():
        names = unique_labels([(str(one.model["name"]), path) for path, one in members])
        labels.update({path: name for name, (path, _) in zip(names, members)})
    chosen = [(labels[path], o) for path, o in order if not protocols or o.protocol in protocols]
    if not chosen:
        there = ", ".join(sorted({one.protocol for _, one in order}))
        raise ScoreError(
            f"expected results under {' or '.join(protocols)}, found results under {there}"
        )
    return chosen


def _paths(files: tuple[Path, ...]) -> list[Path]:
    """Results files among files and folders, each once."""
    from handbench.scores.results import results_files

    return list(dict.fromkeys(path for file in files for path in results_files(file)))


def _shown(text: str) -> str:
    from handbench.reports.escape import one_line

    return one_line(text)
