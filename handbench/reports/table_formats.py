"""Tables for papers as text, Markdown, LaTeX, CSV and JSON.

The best of a column is bold (``*`` in plain text), ≈ marks models that the paired test cannot tell
from the best, and what a reader has to know stands below: definitions, signature, command.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Sequence
from typing import Any

from handbench.files import sha256_bytes
from handbench.reports.escape import csv_text, latex, markdown, markdown_code
from handbench.reports.table_columns import Choice, Column, parsed
from handbench.reports.tables import PaperTable, Row, short
from handbench.scores.results import MetricValue
from handbench.scores.text import table as aligned


def to_text(tables: Sequence[PaperTable], choice: Choice) -> str:
    """Aligned columns for a terminal."""
    return "\n\n".join(_text(table, choice) for table in tables)


def _text(table: PaperTable, choice: Choice) -> str:
    def shown(column: Column, value: MetricValue | None, best: bool) -> str:
        text = column.shown(None if value is None else value.value)
        return f"{text}{'*' if best else ''} {_ends(column, value, choice)}".rstrip()

    rows = [
        [row.label + (" ≈" if row.tied else ""), *_cells(table, row, shown)]
        for row in _all_rows(table)
    ]
    body = aligned(["model", *(column.head for column in table.columns)], rows)
    notes = _definitions(table)
    notes += [note.replace("bold: best", "*: best") for note in table.notes]
    return "\n".join(
        [table.title, body, *notes, f"signature: {short(table.signature)}", *_made(table)]
    )


def to_markdown(tables: Sequence[PaperTable], choice: Choice) -> str:
    """Tables of GitHub's Markdown, with notes as lists below."""
    return "\n\n".join(_markdown(table, choice) for table in tables)


def _markdown(table: PaperTable, choice: Choice) -> str:
    def shown(column: Column, value: MetricValue | None, best: bool) -> str:
        text = column.shown(None if value is None else value.value)
        ends = markdown(_ends(column, value, choice))
        return (f"**{text}**" if best else text) + (f" {ends}" if ends else "")

    heads = [_markdown_head(column) for column in table.columns]
    lines = [
        f"**{markdown(table.title)}**",
        "",
        f"| model | {' | '.join(heads)} |",
        f"|---|{'---:|' * len(heads)}",
    ]
    for row in _all_rows(table):
        label = markdown(row.label) + (" ≈" if row.tied else "")
        label = f"*{label}*" if row is table.floor else label
        lines.append(f"| {label} | {' | '.join(_cells(table, row, shown))} |")
    lines.append("")
    lines += [f"- {markdown(note)}" for note in (*_definitions(table), *table.notes)]
    lines.append(f"- signature: {markdown(short(table.signature))}")
    lines.append(f"- {markdown(f'handbench {_versions(table)}')}")
    lines += [f"- made by {markdown_code(command)}" for command in table.commands]
    return "\n".join(lines)


def _markdown_head(column: Column) -> str:
    # A name that parses holds no backtick; any other is data.
    if parsed(column.name) is None:
        return markdown(column.head)
    return f"`{column.name}`{column.head.removeprefix(column.name)}"


def to_latex(tables: Sequence[PaperTable], choice: Choice) -> str:
    """Tables for LaTeX with booktabs: ready to be included, with all that explains them."""
    labels: list[str] = []
    for label in map(_label, tables):
        labels.append(f"{label}-{labels.count(label) + 1}" if label in labels else label)
    return "\n\n".join(_latex(t, choice, label) for t, label in zip(tables, labels))


def _latex(table: PaperTable, choice: Choice, label: str) -> str:
    def shown(column: Column, value: MetricValue | None, best: bool) -> str:
        text = column.shown(None if value is None else value.value).replace("–", "--")
        ends = _ends(column, value, choice)
        text = rf"\textbf{{{text}}}" if best else text
        return text + (rf" {{\scriptsize {ends}}}" if ends else "")

    heads = _short_heads(table.columns)
    versions = _versions(table)
    sentences = [f"{head}: {c.definition}" for c, head in zip(table.columns, heads)]
    for note in table.notes:
        for column, head in zip(table.columns, heads):
            note = note.replace(column.name, head)
        sentences.append(note[:1].upper() + note[1:])
    caption = f"{table.title}, scored with handbench {versions}. {'. '.join(sentences)}."
    lines = [
        f"% {table.title}; scored with handbench {versions}",
        "% Needs \\usepackage{booktabs}. All rows have this signature:",
        f"% {table.signature}",
        *(f"% Made by: {command}" for command in table.commands),
        *(f"% Column {head}: {c.name}" for c, head in zip(table.columns, heads) if head != c.name),
        "\\begin{table}[t]",
        "  \\centering",
        f"  \\caption{{{latex(caption)}}}",
        f"  \\label{{tab:{label}}}",
        f"  \\begin{{tabular}}{{l{'r' * len(heads)}}}",
        "    \\toprule",
    ]
    arrows = [column.head.removeprefix(column.name) for column in table.columns]
    titles = ["Model", *(latex(head + arrow) for head, arrow in zip(heads, arrows))]
    lines += [f"    {' & '.join(titles)} \\\\", "    \\midrule"]
    for row in table.rows:
        name = latex(row.label) + (r" $\approx$" if row.tied else "")
        lines.append(f"    {' & '.join([name, *_cells(table, row, shown)])} \\\\")
    if table.floor is not None:
        name = rf"\textit{{{latex(table.floor.label)}}}"
        cells = [name, *_cells(table, table.floor, shown)]
        lines += ["    \\midrule", f"    {' & '.join(cells)} \\\\"]
    lines += ["    \\bottomrule", "  \\end{tabular}", "\\end{table}"]
    return "\n".join(lines)


def _short_heads(columns: Sequence[Column]) -> list[str]:
    """Names without brackets where these tell the columns apart; the caption has them in full.

    A distance keeps its unit, which the brackets hold.
    """
    plain = [re.sub(r"\[.*\]$", "", column.name) for column in columns]
    units = [f" ({column.unit})" if column.unit != "fraction" else "" for column in columns]
    relative = [column.smaller_is_better and column.unit == "fraction" for column in columns]
    return [
        column.name if keeps or plain.count(head) > 1 else head + unit
        for column, head, unit, keeps in zip(columns, plain, units, relative)
    ]


def _label(table: PaperTable) -> str:
    parts = [table.dataset, table.split, table.protocol.partition("/")[0]]
    return re.sub(r"[^a-z0-9]+", "-", " ".join(parts).lower()).strip("-") or "results"


def to_csv(tables: Sequence[PaperTable], choice: Choice) -> str:
    """One row a model, numbers in full unless decimals are chosen; for programs and spreadsheets.

    Several tables follow each other; the columns ``dataset``, ``split``, ``protocol`` and
    ``signature`` tell their rows apart.
    """
    names = list(dict.fromkeys(column.name for table in tables for column in table.columns))
    header = ["dataset", "split", "protocol", "model"]
    for name in names:
        unit = next(c.unit for t in tables for c in t.columns if c.name == name)
        unit = "percent" if unit == "fraction" and choice.percent else unit
        header.append(f"{name} ({unit})")
        header += [f"{name} ci95 {end}" for end in ("low", "high") if choice.intervals]
    tested = any(row.tied for table in tables for row in table.rows)
    header += ["not distinguishable from best"] if tested else []
    header += ["expected", "handbench", "signature", "signature sha256"]
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([csv_text(cell) for cell in header])
    for table in tables:
        places = {column.name: place for place, column in enumerate(table.columns)}
        for row in _all_rows(table):
            cells = [csv_text(t) for t in (table.dataset, table.split, table.protocol, row.label)]
            for name in names:
                place = places.get(name)
                value = None if place is None else row.values[place]
                column = None if place is None else table.columns[place]
                cells.append(_plain(column, None if value is None else value.value, choice))
                if choice.intervals:
                    ends = (None, None) if value is None or value.ci95 is None else value.ci95
                    cells += [_plain(column, end, choice) for end in ends]
            if tested:
                cells.append("" if row is table.floor else str(int(row.tied)))
            versions = " ".join(table.versions)
            # The whole signature is long: its hash says whether two rows may be compared.
            digest = sha256_bytes(table.signature.encode())[:16]
            cells += [
                str(table.hands),
                csv_text(versions),
                csv_text(short(table.signature)),
                digest,
            ]
            writer.writerow(cells)
    return stream.getvalue().rstrip("\n")


def _plain(column: Column | None, value: float | None, choice: Choice) -> str:
    if column is None or value is None:
        return ""
    if choice.decimals is not None:
        return column.shown(value)
    return repr(float(f"{100 * value:.12g}") if column.percent else value)


def to_data(tables: Sequence[PaperTable]) -> list[dict[str, Any]]:
    """Tables for JSON: numbers in full, fractions as fractions."""
    return [
        {
            "dataset": table.dataset,
            "split": table.split,
            "protocol": table.protocol,
            "expected": table.hands,
            "signature": table.signature,
            "sorted_by": table.sorted_by or None,
            "columns": [
                {
                    "name": column.name,
                    "unit": column.unit,
                    "definition": column.definition,
                    "smaller_is_better": column.smaller_is_better,
                }
                for column in table.columns
            ],
            "rows": [
                {
                    "model": row.label,
                    "floor": row is table.floor,
                    "not_distinguishable_from_best": row.tied,
                    "best": [table.columns[place].name for place in sorted(row.best)],
                    "values": {
                        column.name: None
                        if value is None
                        else {
                            "value": value.value,
                            "ci95": None if value.ci95 is None else list(value.ci95),
                        }
                        for column, value in zip(table.columns, row.values)
                    },
                }
                for row in _all_rows(table)
            ],
            "notes": list(table.notes),
            "commands": list(table.commands),
            "handbench": list(table.versions),
        }
        for table in tables
    ]


Shown = Callable[[Column, MetricValue | None, bool], str]


def _all_rows(table: PaperTable) -> list[Row]:
    return [*table.rows, *([table.floor] if table.floor is not None else [])]


def _cells(table: PaperTable, row: Row, shown: Shown) -> list[str]:
    return [
        shown(column, value, place in row.best)
        for place, (column, value) in enumerate(zip(table.columns, row.values))
    ]


def _ends(column: Column, value: MetricValue | None, choice: Choice) -> str:
    """The interval in brackets, "" where there is none or nobody asked."""
    if not choice.intervals or value is None or value.ci95 is None:
        return ""
    low, high = (column.shown(end) for end in value.ci95)
    return f"[{low}, {high}]"


def _definitions(table: PaperTable) -> list[str]:
    return [f"{column.name}: {column.definition}" for column in table.columns]


def _made(table: PaperTable) -> list[str]:
    """How to make the numbers again."""
    return [f"handbench {_versions(table)}", *(f"made by: {command}" for command in table.commands)]


def _versions(table: PaperTable) -> str:
    return ", ".join(table.versions) or "unknown"
