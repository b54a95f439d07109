from __future__ import annotations

import csv
import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handbench.reports.escape import csv_text, latex, markdown, markdown_code, one_line

TEXT = st.text(max_size=60)


@given(TEXT)
def test_everything_stays_on_one_line(text: str) -> None:
    for written in (one_line(text), csv_text(text), markdown(text), latex(text)):
        assert len(written.splitlines()) <= 1


@given(TEXT)
def test_no_formula_begins_a_cell(text: str) -> None:
    stream = io.StringIO()
    csv.writer(stream).writerow([csv_text(text)])
    (row,) = csv.reader(io.StringIO(stream.getvalue()))
    assert not row[0].startswith(("=", "+", "-", "@", "\t", "\r"))


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\n=1", "\x00=1"])
def test_formulas_are_quoted_and_other_text_is_not(text: str) -> None:
    assert csv_text(text).startswith("'")
    assert csv_text(f"a{text}").startswith("a")


@given(TEXT)
def test_no_markup_of_html_is_left_in_markdown(text: str) -> None:
    assert not re.search(r"[<>]|&(?!(?:lt|gt|amp|#\d+);)", markdown(text))


@given(TEXT)
def test_no_cell_of_markdown_is_left(text: str) -> None:
    assert not re.search(r"(?<!\\)(?:\\\\)*[|`*_\[\]~]", markdown(text).replace("\\\\", ""))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("- item", "\\- item"),
        ("# head", "\\# head"),
        ("1. one", "&#49;. one"),
        ("12) two", "1&#50;) two"),
        ("2 hands", "2 hands"),
        ("a - b", "a - b"),
    ],
)
def test_beginnings_of_lines(text: str, expected: str) -> None:
    assert markdown(text) == expected


def test_commands_are_copied_as_they_are() -> None:
    assert markdown_code("evaluate 'a[b]_c'") == "`evaluate 'a[b]_c'`"
    assert markdown_code("a `b` c") == "`` a `b` c ``"


@given(TEXT)
def test_latex_has_no_command_of_the_data(text: str) -> None:
    ours = re.sub(
        r"\\(?:text(?:backslash|asciitilde|asciicircum|less|greater|bar)|ldots)\{\}"
        r"|\$(?:\\(?:leq|geq|approx|times|sigma|Sigma|cdot|div|uparrow|downarrow)|\^2)\$"
        r"|\\[&%$#_{}]|^\{\}",
        "",
        latex(text),
    )
    assert not re.search(r"[\\&%$#_{}~^<>\"]", ours)


@pytest.mark.parametrize("text", ["[1cm]", "*", "*x"])
def test_rows_do_not_begin_with_an_argument(text: str) -> None:
    assert latex(text).startswith("{}")


def test_direction_and_terminal_marks_are_gone() -> None:
    assert one_line("a\u202eb\u2066c\x1b[31md\x07") == "a b c [31md"
    assert one_line("手 × ≤ é") == "手 × ≤ é"
