"""Comparison reports: where pictures and per-sample errors are at hand, the models side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from handbench.hdf5.reader import HandFile
from handbench.leaderboard.board import Board, Entry
from handbench.leaderboard.pages.shell import file_name
from handbench.reports.html import write_report
from handbench.scores.results import Evaluation

FOLDER = "reports"
MAX_MODELS = 8
"""Models in one report: as many as it has line styles, and pictures for under five megabytes."""


def write_comparisons(
    board: Board, data: Sequence[HandFile], root: Path, *, images: bool | None = None
) -> dict[tuple[str, str], str]:
    """Write a report for every dataset and split with errors and pictures.

    Parameters
    ----------
    board
        Its entries with per-sample errors are compared, the best eight.
    data
        Files with pictures. One is used for a split when both agree in dataset, split and truth.
    root
        Folder of the site.
    images
        As for :func:`~handbench.reports.html.write_report`.

    Returns
    -------
    (dataset, split) → address of its report from the root.
    """
    written: dict[tuple[str, str], str] = {}
    for (dataset, split), entries in _by_split(board).items():
        file = next((f for f in data if f.dataset == dataset and split in f.splits), None)
        if file is None:
            continue
        evaluations, names = _together(entries, str(file[split].truth_sha256))
        if not evaluations:
            continue
        slug = next(g.slug for g in board.groups if (g.dataset, g.split) == (dataset, split))
        address = f"{FOLDER}/{file_name(slug, '.html')}"
        (root / FOLDER).mkdir(exist_ok=True)
        write_report(evaluations, file, root / address, labels=names, images=images)
        written[dataset, split] = address
    return written


def _by_split(board: Board) -> dict[tuple[str, str], list[Entry]]:
    """Entries with errors that nothing replaces, best ranks first."""
    found: dict[tuple[str, str], list[tuple[int, Entry]]] = {}
    for group in board.groups:
        for table in group.tables:
            for row in table.rows:
                if row.entry.evaluation is not None and not row.entry.superseded_by:
                    ranked = found.setdefault((group.dataset, group.split), [])
                    ranked.append((row.rank or len(table.rows), row.entry))
    return {
        key: [entry for _, entry in sorted(ranked, key=lambda pair: pair[0])]
        for key, ranked in found.items()
    }


def _together(entries: Sequence[Entry], truth_sha256: str) -> tuple[list[Evaluation], list[str]]:
    """One evaluation a model, with its results under every protocol."""
    models: dict[tuple[str, str], Evaluation] = {}
    for entry in entries:
        evaluation = entry.evaluation
        if evaluation is None or evaluation.errors.about["truth_sha256"] != truth_sha256:
            continue
        # The same predictions under another protocol are the same model; others are another one.
        key = (entry.name, str(entry.results.provenance.get("predictions_sha256")))
        known = models.get(key)
        if known is None:
            models[key] = replace(evaluation, results=[entry.results])
        elif entry.results.protocol not in {results.protocol for results in known.results}:
            models[key] = replace(
                known,
                results=[*known.results, entry.results],
                primary={**evaluation.primary, **known.primary},
                ranks_by={**evaluation.ranks_by, **known.ranks_by},
            )
    chosen = list(models.items())[:MAX_MODELS]
    protocols = sorted({r.protocol for _, evaluation in chosen for r in evaluation.results})
    complete = [
        replace(
            evaluation,
            results=sorted(evaluation.results, key=lambda r: protocols.index(r.protocol)),
        )
        for _, evaluation in chosen
    ]
    return complete, [name for (name, _), _ in chosen]
