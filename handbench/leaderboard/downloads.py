"""Tables to take away: each as CSV for spreadsheets and as JSON for programs, as static files."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from handbench.files import to_json
from handbench.leaderboard.board import Group, Matrix, PublishedRow, Row, Table
from handbench.reports.escape import csv_text

FOLDER = "data"
"""Where the files lie, below the root of the site."""


@dataclass(frozen=True)
class Download:
    """A file to take away.

    Attributes
    ----------
    words
        What a link says: ``"CSV"``.
    address
        From the root of the site.
    """

    words: str
    address: str


def write_table(group: Group, table: Table, stem: str, root: Path) -> list[Download]:
    """Write one table and return its files; numbers are as computed, unrounded."""
    document = {
        **_about(group),
        "signature": table.signature,
        "ranks_by": table.primary or None,
        "metrics": {
            column.name: {
                "unit": column.unit,
                "smaller_is_better": column.smaller_is_better,
                "definition": column.definition,
            }
            for column in table.columns
        },
        "rows": [_row(table, row) for row in table.rows],
    }
    header = ["rank", "model", "evidence", "training_data", "overlap", "coverage"]
    header += ["handbench", "created", "file"]
    for column in table.columns:
        header += [column.name, f"{column.name} low", f"{column.name} high"]
    lines = [_line(table, row) for row in table.rows]
    return _write(root, stem, document, header, lines)


def write_published(
    group: Group, rows: Sequence[PublishedRow], stem: str, root: Path
) -> list[Download]:
    """Write published rows as printed in their sources, and what maps to our names."""
    document = {
        **_about(group),
        "reference_only": group.reference_only or None,
        "rows": [_published(row) for row in rows],
    }
    names = list(dict.fromkeys(name for row in rows for name in row.printed))
    header = ["model", "backbone", "input_size", *names, "year", "evidence", "source", "note"]
    lines = [
        [
            *(row.model, row.backbone, row.input_size),
            *(row.printed.get(name) for name in names),
            *(row.year, row.evidence.value, row.source, row.note),
        ]
        for row in rows
    ]
    return _write(root, stem, document, header, lines)


def write_matrix(matrix: Matrix, stem: str, root: Path) -> list[Download]:
    """Write one matrix: one line a pair of datasets."""
    cells = [
        {
            "trained_on": trained,
            "tested_on": tested,
            "value": cell.value,
            "unit": cell.unit,
            "model": cell.model or None,
            "within": cell.within,
            "mark": cell.mark or None,
        }
        for (trained, tested), cell in matrix.cells.items()
    ]
    document = {
        "title": matrix.title,
        "metric": matrix.metric,
        "definition": matrix.definition,
        "smaller_is_better": matrix.smaller_is_better,
        "published": matrix.published,
        "remarks": list(matrix.remarks),
        "cells": cells,
    }
    header = ["trained_on", "tested_on", "value", "unit", "model", "within", "mark"]
    return _write(root, stem, document, header, [[cell[name] for name in header] for cell in cells])


def _about(group: Group) -> dict[str, Any]:
    return {"dataset": group.dataset, "split": group.split, "protocol": group.protocol}


def _row(table: Table, row: Row) -> dict[str, Any]:
    entry = row.entry
    return {
        "rank": row.rank,
        "unranked": row.unranked or None,
        "model": entry.name,
        "evidence": entry.evidence.value,
        "training_data": None if entry.training_data is None else list(entry.training_data),
        "overlap": entry.contamination.overlap.value,
        "overlap_sentence": entry.contamination.sentence,
        "coverage": row.coverage,
        "samples": dict(entry.results.samples),
        "distinguishable_from_best": row.distinguishable,
        "superseded": bool(entry.superseded_by),
        "problems": list(entry.problems),
        "command": entry.command or None,
        "handbench": entry.results.provenance.get("handbench"),
        "created": entry.results.provenance.get("created"),
        "file": entry.file,
        "metrics": {
            column.name: {
                "value": value.value,
                "ci95": None if value.ci95 is None else list(value.ci95),
            }
            for column, value in zip(table.columns, row.values, strict=True)
            if value is not None
        },
    }


def _line(table: Table, row: Row) -> list[Any]:
    entry = row.entry
    training = "unknown" if entry.training_data is None else "; ".join(entry.training_data)
    line: list[Any] = [
        *(row.rank, entry.name, entry.evidence.value, training),
        *(entry.contamination.overlap.value, row.coverage),
        entry.results.provenance.get("handbench"),
        entry.results.provenance.get("created"),
        entry.file,
    ]
    for value in row.values:
        low, high = (None, None) if value is None or value.ci95 is None else value.ci95
        line += [None if value is None else value.value, low, high]
    return line


def _published(row: PublishedRow) -> dict[str, Any]:
    return {
        "model": row.model,
        "backbone": row.backbone or None,
        "input_size": row.input_size or None,
        "printed": row.printed,
        "values": row.values,
        "year": row.year,
        "evidence": row.evidence.value,
        "source": row.source,
        "note": row.note or None,
    }


def _write(
    root: Path,
    stem: str,
    document: dict[str, Any],
    header: Sequence[str],
    lines: Iterable[Sequence[Any]],
) -> list[Download]:
    folder = root / FOLDER
    folder.mkdir(exist_ok=True)
    # The whole site takes its place at once, so these need no temporary names of their own.
    (folder / f"{stem}.csv").write_text(_csv(header, lines), "utf-8", newline="")
    (folder / f"{stem}.json").write_bytes(to_json(document) + b"\n")
    return [Download(kind.upper(), f"{FOLDER}/{stem}.{kind}") for kind in ("csv", "json")]


def _csv(header: Sequence[str], lines: Iterable[Sequence[Any]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([_cell(cell) for cell in header])
    writer.writerows([_cell(cell) for cell in line] for line in lines)
    return text.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, str):
        return csv_text(value)
    return "" if value is None else value
