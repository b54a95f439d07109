"""The page of the cross-dataset matrices: trained on × tested on, as heat tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from handbench.leaderboard.board import Cell, Matrix
from handbench.leaderboard.downloads import Download
from handbench.leaderboard.pages.shell import Shell

HEAT_STEPS = 6
"""Shades of a heat table, of which the style sheet has one class each."""


@dataclass(frozen=True)
class MatrixView:
    """A matrix ready for the template.

    Attributes
    ----------
    matrix
        As on the board.
    rows
        (trained on, cells with their shade).
    marks
        What the marks in its cells say, each once.
    downloads
        Files with its numbers.
    """

    matrix: Matrix
    rows: list[tuple[str, list[tuple[Cell | None, int]]]]
    marks: list[str]
    downloads: Sequence[Download]


def matrix_page(shell: Shell, downloads: Sequence[Sequence[Download]]) -> str:
    """Return the page with all matrices, given the files with the numbers of each."""
    views = [
        MatrixView(matrix, _rows(matrix), _marks(matrix), files)
        for matrix, files in zip(shell.board.matrices, downloads, strict=True)
    ]
    return shell.render("matrix.html.j2", root="", here="matrix.html", views=views)


def _marks(matrix: Matrix) -> list[str]:
    return list(dict.fromkeys(cell.mark for cell in matrix.cells.values() if cell.mark))


def _rows(matrix: Matrix) -> list[tuple[str, list[tuple[Cell | None, int]]]]:
    values = [cell.value for cell in matrix.cells.values()]
    low, high = min(values, default=0.0), max(values, default=0.0)

    def shade(cell: Cell | None) -> int:
        """0 for the worst number of the matrix, the last shade for the best."""
        if cell is None or high == low:
            return 0
        share = (cell.value - low) / (high - low)
        good = 1 - share if matrix.smaller_is_better else share
        return min(int(good * HEAT_STEPS), HEAT_STEPS - 1)

    return [
        (
            trained,
            [
                (cell, shade(cell))
                for cell in (matrix.cells.get((trained, tested)) for tested in matrix.tested_on)
            ],
        )
        for trained in matrix.trained_on
    ]
