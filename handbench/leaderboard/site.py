"""The leaderboard as static files: pages, tables to take away, comparison reports.

Nothing runs on the host: any pages host serves it below any path, and a double click on
``index.html`` opens it from disk. The same board makes the same bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from handbench.hdf5.reader import HandFile
from handbench.leaderboard.board import Board
from handbench.leaderboard.comparisons import write_comparisons
from handbench.leaderboard.downloads import write_matrix, write_published, write_table
from handbench.leaderboard.folder import replaced_folder
from handbench.leaderboard.pages.group import group_page
from handbench.leaderboard.pages.index import index_page
from handbench.leaderboard.pages.matrix import matrix_page
from handbench.leaderboard.pages.model import model_page, standing
from handbench.leaderboard.pages.shell import Shell, file_name, flawed, unreadable

TITLE = "Hand-pose leaderboard"


def write_site(
    board: Board,
    out: Path,
    *,
    title: str = TITLE,
    data: Sequence[HandFile] = (),
    images: bool | None = None,
) -> Path:
    """Write a leaderboard into a folder of its own, whole or not at all.

    Parameters
    ----------
    board
        What to show.
    out
        The folder. An older leaderboard in it is replaced; anything else there is an error.
    title
        Of the site.
    data
        Files with pictures, for comparison reports.
    images
        Show photos there. By default as each file's attribute ``publish_images`` says.

    Returns
    -------
    Path of ``index.html``.

    Raises
    ------
    HandbenchError
        If `out` holds files of something else or cannot be written.
    """
    with replaced_folder(Path(out)) as folder:
        # Hosts that run Jekyll over a site would otherwise leave files out.
        (folder / ".nojekyll").write_bytes(b"")
        shell = Shell(title, board, write_comparisons(board, data, folder, images=images))
        _write(folder / "index.html", index_page(shell))
        _write_groups(shell, folder)
        where = standing(board)
        for model in board.models:
            name = file_name(model.slug, ".html")
            _write(folder / "models" / name, model_page(shell, model, where))
        if board.matrices:
            files = [
                write_matrix(matrix, f"matrix-{number}", folder)
                for number, matrix in enumerate(board.matrices, 1)
            ]
            _write(folder / "matrix.html", matrix_page(shell, files))
        how = shell.render("how.html.j2", root="", here="how-to-read.html")
        _write(folder / "how-to-read.html", how)
        problems = shell.render(
            "problems.html.j2",
            root="",
            here="problems.html",
            flawed=flawed(board),
            unreadable=unreadable(board),
        )
        _write(folder / "problems.html", problems)
    return Path(out) / "index.html"


def _write_groups(shell: Shell, folder: Path) -> None:
    for group in shell.board.groups:
        name = file_name(group.slug, ".html")
        files = [
            write_table(group, table, f"{group.slug}.table-{number}", folder)
            for number, table in enumerate(group.tables, 1)
        ]
        published = (
            write_published(group, group.published, f"{group.slug}.published", folder)
            if group.published
            else []
        )
        _write(folder / "groups" / name, group_page(shell, group, files, published))


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, "utf-8", newline="")
