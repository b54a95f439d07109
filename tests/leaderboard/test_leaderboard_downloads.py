"""Tables as CSV and JSON: whole numbers, nothing left out, nothing a spreadsheet would run."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

from boards import AUC, EPE, PCK, PUBLISHED, board, entry, full_board, group, matrix, results, table

from handbench.leaderboard.board import Group, Table
from handbench.leaderboard.downloads import write_matrix, write_published, write_table


def first(tmp_path: Path, shown: Group, which: Table) -> tuple[list[dict[str, str]], dict]:
    files = write_table(shown, which, "t", tmp_path)
    assert [file.address for file in files] == ["data/t.csv", "data/t.json"]
    text = (tmp_path / "data" / "t.csv").read_text("utf-8")
    document = json.loads((tmp_path / "data" / "t.json").read_bytes())
    return list(csv.DictReader(io.StringIO(text))), document


def test_a_table_keeps_every_row_and_every_digit(tmp_path: Path) -> None:
    shown = full_board().groups[0]
    rows, document = first(tmp_path, shown, shown.tables[0])
    assert [row["model"] for row in rows] == [
        "SRHand", "ResNet-18 deconv", "MediaPipe", "HandOld", "SRHand",
    ]  # fmt: skip
    assert [row["rank"] for row in rows] == ["1", "2", "", "", ""]
    assert float(rows[1][EPE]) == 12 * (1 - 0.829) + 3
    assert float(rows[0][f"{AUC} low"]) == 0.97 * 0.84
    assert rows[1]["training_data"] == "hanco/train; rhd/train"
    assert rows[2]["training_data"] == "unknown"
    assert rows[3]["overlap"] == "trained on the test images"
    assert document["signature"] == shown.tables[0].signature
    assert document["metrics"][EPE]["smaller_is_better"] is True
    assert document["rows"][2]["training_data"] is None
    assert document["rows"][2]["unranked"] == "self-reported"
    assert document["rows"][0]["metrics"][PCK]["ci95"] == [0.97 * 0.94, 1.02 * 0.94]
    assert document["rows"][4]["superseded"] is True


def test_a_missing_number_is_empty_and_not_zero(tmp_path: Path) -> None:
    bare = entry(results("net", {AUC: None}))
    shown = board([group([table([bare])])]).groups[0]
    rows, document = first(tmp_path, shown, shown.tables[0])
    assert rows[0][AUC] == rows[0][PCK] == ""
    assert document["rows"][0]["metrics"] == {AUC: {"value": None, "ci95": None}}


def test_a_name_that_is_a_formula_is_text(tmp_path: Path) -> None:
    evil = entry(results('=HYPERLINK("http://x")', {AUC: 0.5}))
    shown = board([group([table([evil])])]).groups[0]
    rows, document = first(tmp_path, shown, shown.tables[0])
    assert rows[0]["model"] == '\'=HYPERLINK("http://x")'
    assert document["rows"][0]["model"] == '=HYPERLINK("http://x")'


def test_published_rows_keep_what_was_printed(tmp_path: Path) -> None:
    shown = group((), published=PUBLISHED, reference_only="why")
    rows = (*PUBLISHED, replace(PUBLISHED[0], printed={"epe": 4.37}, note="a\nb"))
    write_published(shown, rows, "p", tmp_path)
    lines = list(csv.DictReader(io.StringIO((tmp_path / "data" / "p.csv").read_text("utf-8"))))
    assert [line["pa_mpjpe"] for line in lines] == ["6.6", "6.6", "6.6", ""]
    assert lines[3]["epe"] == "4.37"
    assert lines[2]["evidence"] == "secondary"
    document = json.loads((tmp_path / "data" / "p.json").read_bytes())
    assert document["reference_only"] == "why"
    assert len(document["rows"]) == 4


def test_a_matrix_is_one_line_a_pair(tmp_path: Path) -> None:
    write_matrix(matrix(), "m", tmp_path)
    lines = list(csv.DictReader(io.StringIO((tmp_path / "data" / "m.csv").read_text("utf-8"))))
    assert [(line["trained_on"], line["tested_on"], line["value"]) for line in lines] == [
        ("freihand", "freihand/test", "0.98"),
        ("freihand", "rhd/test", "0.71"),
        ("hanco + rhd", "freihand/test", "0.93"),
    ]
    assert lines[2]["mark"] == "HanCo shares its recordings with FreiHAND"
