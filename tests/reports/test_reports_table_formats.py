from __future__ import annotations

import csv
import io
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from generators.scored_results import evaluated, results_of

from handbench.files import to_json
from handbench.reports.table_columns import Choice
from handbench.reports.table_formats import to_csv, to_data, to_latex, to_markdown, to_text
from handbench.reports.tables import PaperTable, Ties, paper_tables
from handbench.scores.results import Results

PRIMARY = "AUC@0-0.2[tight,rule=exact]"
GOOD, BAD = results_of(2.0), results_of(9.0)
HOSTILE = (
    "[1cm] 50 % & $x_1^2$ #1 \\input{/etc/passwd} ~<script>alert(1)</script>|\"'`",
    "*star\n\\end{document}",
    "=HYPERLINK(1)",
    "手のモデル",
)


def made(
    choice: Choice, *named: tuple[str, Results], tied: tuple[str, ...] = ()
) -> list[PaperTable]:
    ties = {named[0][1].signature: Ties(PRIMARY, frozenset(tied))}
    return paper_tables(named, choice, ties)


TWO = (("good", GOOD), ("bad", BAD))


def value(results: Results, name: str) -> float:
    number = results.metrics[name].value
    assert number is not None
    return number


def test_text_has_aligned_columns_and_marks() -> None:
    choice = Choice(("EPE[px]", "PCK@0.1[tight]"))
    lines = to_text(made(choice, *TWO, tied=("bad",)), choice).splitlines()
    assert lines[0] == "sample test, 40 hands, protocol handbench/1"
    assert lines[1].split() == ["model", "EPE[px]", "↓", "PCK@0.1[tight]", "↑"]
    assert lines[2].split() == [
        *("good", f"{value(GOOD, 'EPE[px]'):.2f}*", f"{value(GOOD, 'PCK@0.1[tight]'):.3f}*"),
    ]
    assert lines[3].startswith("bad ≈ ")
    assert lines[4].startswith("mean pose (floor) ")
    assert "EPE[px]: mean 2D distance" in "\n".join(lines)
    assert "*: best of its column" in lines
    assert lines[-1] == f"made by: {GOOD.provenance['command']}"


def test_markdown_is_a_table_with_bold_and_notes() -> None:
    choice = Choice(("EPE[px]",), intervals=True)
    lines = to_markdown(made(choice, *TWO, tied=("bad",)), choice).splitlines()
    assert lines[:4] == [
        "**sample test, 40 hands, protocol handbench/1**",
        "",
        "| model | `EPE[px]` ↓ |",
        "|---|---:|",
    ]
    ends = GOOD.metrics["EPE[px]"].ci95
    assert ends is not None
    assert lines[4] == (
        f"| good | **{value(GOOD, 'EPE[px]'):.2f}** \\[{ends[0]:.2f}, {ends[1]:.2f}\\] |"
    )
    assert lines[5].startswith("| bad ≈ | ")
    assert lines[6].startswith("| *mean pose (floor)* | ")
    assert lines[7] == ""
    assert all(line.startswith("- ") for line in lines[8:])
    assert f"- made by `{GOOD.provenance['command']}`" in lines


def test_every_row_of_markdown_has_as_many_cells() -> None:
    choice = Choice(("EPE[px]", "PCK@0.1[tight]"))
    named = [(name, GOOD) for name in HOSTILE]
    text = to_markdown(made(choice, *named), choice)
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len(rows) == 2 + len(HOSTILE) + 1
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {4}
    assert "<script" not in text


def test_latex_is_a_floating_table_with_caption_label_and_origin() -> None:
    choice = Choice(("EPE[px]", "PCK@0.1[tight]"))
    text = to_latex(made(choice, *TWO, tied=("bad",)), choice)
    comments = [line for line in text.splitlines() if line.startswith("%")]
    assert comments == [
        "% sample test, 40 hands, protocol handbench/1; scored with handbench "
        f"{GOOD.provenance['handbench']}",
        "% Needs \\usepackage{booktabs}. All rows have this signature:",
        f"% {GOOD.signature}",
        f"% Made by: {GOOD.provenance['command']}",
        "% Column EPE (px): EPE[px]",
        "% Column PCK@0.1: PCK@0.1[tight]",
    ]
    assert "    Model & EPE (px) $\\downarrow$ & PCK@0.1 $\\uparrow$ \\\\" in text
    good = f"\\textbf{{{value(GOOD, 'EPE[px]'):.2f}}}"
    assert f"    good & {good} & \\textbf{{" in text
    assert "    bad $\\approx$ & " in text
    assert "\\label{tab:sample-test-handbench}" in text
    caption = re.search(r"\\caption\{(.*)\}\n", text)
    assert caption
    assert "EPE (px): mean 2D distance" in caption[1]
    assert "$\\approx$: not distinguishable" in caption[1]
    assert text.count("\\begin{") == text.count("\\end{") == 2


def test_latex_labels_are_unique() -> None:
    choice = Choice(("EPE[px]",))
    tables = made(choice, ("a", GOOD), ("b", results_of(2.0, gt_used=())))
    labels = re.findall(r"\\label\{(.*)\}", to_latex(tables, choice))
    assert labels == ["tab:sample-test-handbench", "tab:sample-test-handbench-2"]


def test_short_heads_of_latex_stay_unique_and_say_what_a_distance_is_in() -> None:
    choice = Choice(("PCK@0.1[tight]", "PCK@0.1[palm]", "EPE[tight]", "MPJPE[mm,cam]"))
    text = to_latex(made(choice, ("a", GOOD)), choice)
    (head,) = (line for line in text.splitlines() if line.startswith("    Model"))
    heads = [cell.split(" $")[0] for cell in head.strip().split(" & ")[1:]]
    assert heads == ["PCK@0.1[tight]", "PCK@0.1[palm]", "EPE[tight]", "MPJPE (mm)"]


def test_rows_of_latex_have_as_many_cells_whatever_the_names() -> None:
    choice = Choice(("EPE[px]", "PCK@0.1[tight]"))
    text = to_latex(made(choice, *((name, GOOD) for name in HOSTILE)), choice)
    body = text.partition("\\midrule")[2].partition("\\bottomrule")[0]
    rows = [line for line in body.splitlines() if line.endswith("\\\\")]
    assert len(rows) == len(HOSTILE) + 1
    assert {len(re.findall(r"(?<!\\)&", row)) for row in rows} == {2}
    assert not any(line.strip().startswith(("[", "*")) for line in rows)
    assert "\\input" not in text.replace("\\textbackslash{}input", "")
    # A name never leaves its comment.
    assert "\\end{document}" not in text


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex")
def test_latex_compiles(tmp_path: Path) -> None:
    choice = Choice(intervals=True, percent=True)
    named = [*TWO, *((name, GOOD) for name in HOSTILE if name.isascii())]
    page = (
        "\\documentclass{article}\\usepackage{booktabs}\\begin{document}\n"
        f"{to_latex(made(choice, *named, tied=('bad',)), choice)}\n\\end{{document}}\n"
    )
    (tmp_path / "page.tex").write_text(page, "utf-8")
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "page.tex"],
        cwd=tmp_path,
        capture_output=True,
    )
    assert done.returncode == 0, done.stdout.decode(errors="replace")


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_csv_holds_whole_numbers() -> None:
    choice = Choice(("EPE[px]", "PCK@0.1[tight]"), intervals=True)
    rows = rows_of(to_csv(made(choice, *TWO, tied=("bad",)), choice))
    assert [row["model"] for row in rows] == ["good", "bad", "mean pose (floor)"]
    assert float(rows[0]["EPE[px] (px)"]) == value(GOOD, "EPE[px]")
    ends = GOOD.metrics["PCK@0.1[tight]"].ci95
    assert ends is not None
    assert float(rows[0]["PCK@0.1[tight] ci95 low"]) == ends[0]
    assert rows[2]["EPE[px] ci95 low"] == ""
    assert [row["not distinguishable from best"] for row in rows] == ["0", "1", ""]
    assert {row["expected"] for row in rows} == {"40"}
    assert len({row["signature sha256"] for row in rows}) == 1


def test_csv_of_chosen_decimals_and_percent() -> None:
    choice = Choice(("PCK@0.1[tight]",), percent=True)
    (row, _) = rows_of(to_csv(made(choice, ("a", GOOD)), choice))
    percent = 100 * value(GOOD, "PCK@0.1[tight]")
    assert float(row["PCK@0.1[tight] (percent)"]) == pytest.approx(percent, rel=1e-11)
    choice = Choice(("PCK@0.1[tight]",), decimals=2, percent=True)
    (row, _) = rows_of(to_csv(made(choice, ("a", GOOD)), choice))
    assert row["PCK@0.1[tight] (percent)"] == f"{percent:.2f}"


def test_csv_of_several_tables_has_the_columns_of_all() -> None:
    evaluation = evaluated(2.0, protocols=("handbench", "mmpose"))
    choice = Choice(("EPE[px]", "AUC@0-30px"))
    rows = rows_of(to_csv(made(choice, *(("a", one) for one in evaluation.results)), choice))
    assert [row["protocol"] for row in rows] == ["handbench/1", "handbench/1", "mmpose/1"]
    head = "AUC@0-30px[n=20,rule=left,cmp=lt] (fraction)"
    assert [bool(row[head]) for row in rows] == [False, False, True]
    assert len({row["signature sha256"] for row in rows}) == 2


def test_formulas_in_csv_are_text() -> None:
    choice = Choice(("EPE[px]",))
    evil = replace(GOOD, dataset="=1+1", split="@x")
    (row, _) = rows_of(to_csv(made(choice, ("=HYPERLINK(1)", evil)), choice))
    assert (row["model"], row["dataset"], row["split"]) == ("'=HYPERLINK(1)", "'=1+1", "'@x")


def test_data_for_json() -> None:
    choice = Choice(("all",))
    (table,) = to_data(made(choice, *TWO, tied=("bad",)))
    good, bad, floor = table["rows"]
    assert good["values"]["EPE[px]"]["value"] == value(GOOD, "EPE[px]")
    assert bad["not_distinguishable_from_best"]
    assert floor["floor"]
    assert "EPE[px]" in good["best"]
    assert table["sorted_by"] == PRIMARY
    assert table["signature"] == GOOD.signature
    assert to_json(table)


def test_empty_cells_are_dashes() -> None:
    flat = results_of(2.0, keypoints_3d=None)
    choice = Choice(("PA-MPJPE[mm]",))
    tables = made(choice, ("flat", flat))
    assert "| flat | – |" in to_markdown(tables, choice)
    assert "    flat & -- \\\\" in to_latex(tables, choice)
    assert rows_of(to_csv(tables, choice))[0]["PA-MPJPE[mm] (mm)"] == ""
