"""``handbench leaderboard``: a static site from results JSON."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from handbench.home import Home

if TYPE_CHECKING:
    from handbench.leaderboard.board import Board

# Files are looked at where they are read: what is wrong with one is then one sentence and exit 1.
_PATH = click.Path(readable=False, path_type=Path)


@click.command()
@click.argument("results", nargs=-1, type=_PATH)
@click.option(
    "--out",
    required=True,
    type=_PATH,
    metavar="DIRECTORY",
    help="Folder of the site. An older leaderboard in it is replaced; a folder with other files "
    "is refused.",
)
@click.option(
    "--data",
    multiple=True,
    type=_PATH,
    help="HDF5 file that was predicted on; repeatable. Scores deposited predictions again, and "
    "gives comparison reports with pictures.",
)
@click.option(
    "--predictions",
    multiple=True,
    type=_PATH,
    help="Deposited predictions, files or folders; repeatable. With their --data they are scored "
    "again here.",
)
@click.option("--title", help="Title of the site.  [default: Hand-pose leaderboard]")
@click.option(
    "--rank-self-reported",
    is_flag=True,
    help="Also rank numbers that were neither scored again here nor reproduced with a command.",
)
@click.option(
    "--publish-images/--no-images",
    "images",
    default=None,
    help="Show photos in comparison reports, or skeletons on grey.  [default: as each --data file "
    "says]",
)
@click.option(
    "--watch", "watching", is_flag=True, help="Stay, and write the site anew on every change."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_obj
def leaderboard(
    home: Home,
    results: tuple[Path, ...],
    out: Path,
    data: tuple[Path, ...],
    predictions: tuple[Path, ...],
    title: str | None,
    rank_self_reported: bool,
    images: bool | None,
    watching: bool,
    as_json: bool,
) -> None:
    """Write a leaderboard from RESULTS: files, or folders of results JSON.

    Without RESULTS, those in the home folder. The site is static: open index.html, or put the
    folder on any web host. Published numbers stand beside the results for reference.

    \b
    handbench leaderboard results/ --out site
    handbench leaderboard results/ --data hands.h5 --out site --watch
    """  # noqa: D301 - click wants the backspace character itself
    if watching and as_json:
        raise click.UsageError("--json prints one document and --watch goes on: choose one")
    paths = results or (home.results,)
    inputs = (*paths, *predictions, *data)

    def build() -> dict[str, Any]:
        return _build(
            paths,
            out,
            data=data,
            predictions=predictions,
            title=title,
            rank_self_reported=rank_self_reported,
            images=images,
        )

    document = build()
    if as_json:
        from handbench.files import to_json

        click.echo(to_json(document).decode())
        return
    click.echo(_sentence(document))
    if watching:
        _watch(inputs, build, out)


def _build(
    paths: Sequence[Path],
    out: Path,
    *,
    data: Sequence[Path],
    predictions: Sequence[Path],
    title: str | None,
    rank_self_reported: bool,
    images: bool | None,
) -> dict[str, Any]:
    """Write the site once; problems go to stderr."""
    from handbench.errors import HandbenchError
    from handbench.hdf5.reader import HandFile
    from handbench.leaderboard.collect import collect
    from handbench.leaderboard.folder import check_folder
    from handbench.leaderboard.site import TITLE, write_site
    from handbench.reports.escape import one_line

    check_folder(out)  # before minutes of scoring
    for path in (*paths, *predictions):
        if not path.exists():
            raise HandbenchError(
                f"expected results JSON at {path}, found nothing there: write some with "
                "`handbench evaluate … --out`"
                if path in paths
                else f"expected predictions at {path}, found nothing there"
            )
    with contextlib.ExitStack() as opened:
        files = [opened.enter_context(HandFile(path)) for path in data]
        board = collect(
            paths, predictions=predictions, data=files, rank_self_reported=rank_self_reported
        )
        index = write_site(board, out, title=title or TITLE, data=files, images=images)
    document = _document(board, index)
    for file, why in document["unreadable"].items():
        click.echo(one_line(f"Warning: {file}: {why}"), err=True)
    for file, sentences in document["problems"].items():
        for sentence in sentences:
            click.echo(one_line(f"Warning: {file}: {sentence}"), err=True)
    return document


def _document(board: Board, index: Path) -> dict[str, Any]:
    from handbench.leaderboard.pages.shell import flawed, unreadable

    rows = [row for group in board.groups for table in group.tables for row in table.rows]
    return {
        "index": str(index),
        "groups": [
            {
                "dataset": group.dataset,
                "split": group.split,
                "protocol": group.protocol,
                "page": f"groups/{group.slug}.html",
                "rows": sum(len(table.rows) for table in group.tables),
                "ranked": sum(row.rank is not None for t in group.tables for row in t.rows),
                "published": len(group.published),
            }
            for group in board.groups
        ],
        "models": len(board.models),
        "results": len(rows),
        "ranked": sum(row.rank is not None for row in rows),
        "published": sum(len(group.published) for group in board.groups),
        "unreadable": unreadable(board),
        "problems": {entry.file: list(entry.problems) for entry in flawed(board)},
        "notes": list(board.notes),
    }


def _sentence(document: dict[str, Any]) -> str:
    tables = sum(group["rows"] > 0 for group in document["groups"])
    counted = [
        _count(document["models"], "model"),
        f"{_count(document['results'], 'result')} in {_count(tables, 'table')}",
        f"{document['ranked']:,} ranked",
        _count(document["published"], "published row"),
    ]
    return f"{', '.join(counted)}\nwrote {document['index']}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _watch(paths: Sequence[Path], build: Callable[[], dict[str, Any]], out: Path) -> None:
    from handbench.errors import HandbenchError
    from handbench.leaderboard.watch import watch

    def rebuild() -> None:
        try:
            click.echo(_sentence(build()))
        except HandbenchError as error:  # the site stays as it was; the next change may mend it
            click.echo(f"Error: {error}", err=True)

    click.echo(f"open {(out / 'index.html').resolve().as_uri()}\nwatching for changes; Ctrl-C ends")
    watch(paths, rebuild, ignore=out)
