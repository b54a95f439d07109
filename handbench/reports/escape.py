"""Text from data, made safe for the place it is written to: one line, CSV, Markdown, LaTeX.

Names of models, datasets and metrics come from files that anybody can write. None of them may start
a new line in a comment, become a formula in a spreadsheet, markup on a page or a command of TeX.
"""

from __future__ import annotations

import re

_STEERING = re.compile("[\\x00-\\x1f\\x7f-\\x9f\\u2028-\\u202e\\u2066-\\u2069]")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_MARKDOWN = re.compile(r"([\\`*_\[\]$~|])")
_LATEX = {
    **{mark: f"\\{mark}" for mark in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",
    # Signs of our own definitions, which the fonts of old engines lack.
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "≈": r"$\approx$",
    "×": r"$\times$",
    "²": r"$^2$",
    "σ": r"$\sigma$",
    "Σ": r"$\Sigma$",
    "·": r"$\cdot$",
    "÷": r"$\div$",
    "–": "--",
    "…": r"\ldots{}",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
}


def one_line(text: str) -> str:
    r"""`text` on one line, without characters that steer a terminal or turn the reading direction.

    >>> one_line("my\nnet\x1b[2J")
    'my net [2J'
    """
    return " ".join(_STEERING.sub(" ", text).split())


def no_formula(text: str) -> str:
    """`text` for a cell of a CSV file: a spreadsheet would run ``=HYPERLINK(…)`` as a formula."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def csv_text(text: str) -> str:
    """Text for a cell of a CSV file, on one line and no formula.

    >>> csv_text("=1+1"), csv_text("my-net")
    ("'=1+1", 'my-net')
    """
    return no_formula(one_line(text))


def markdown(text: str) -> str:
    r"""Text that Markdown shows as it is, in a paragraph as in a cell.

    >>> markdown("a|b <i>*c*</i>")
    'a\\|b &lt;i&gt;\\*c\\*&lt;/i&gt;'
    """
    line = one_line(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    line = _MARKDOWN.sub(r"\\\1", line)
    # These make a list, a heading or a quotation at the beginning of a line.
    return re.sub(r"^([-+=#]|\d+(?=[.)]))", lambda found: _first(found[0]), line)


def markdown_code(text: str) -> str:
    """Text in a code span, where a reader copies it from: nothing in it is escaped.

    >>> markdown_code("handbench evaluate a.json")
    '`handbench evaluate a.json`'
    """
    line = one_line(text)
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", line)), default=0))
    inside = f" {line} " if "`" in line else line
    return f"{fence}{inside}{fence}"


def _first(text: str) -> str:
    return f"\\{text}" if not text.isdecimal() else f"{text[:-1]}&#{ord(text[-1])};"


def latex(text: str) -> str:
    r"""Text that LaTeX sets as it is.

    >>> latex("50 % of R&D_1")
    '50 \\% of R\\&D\\_1'
    """
    line = "".join(_LATEX.get(mark, mark) for mark in one_line(text))
    # After the \\ of the row above, these would be its optional arguments.
    return f"{{}}{line}" if line.startswith(("[", "*")) else line
