"""The numbers worked out on the metric pages are what the functions return."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
EXAMPLES = re.compile(r"^```pycon\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize(("page", "least"), [("metrics.md", 15), ("protocols.md", 6)])
def test_worked_examples(page: str, least: int) -> None:
    text = "\n".join(EXAMPLES.findall((DOCS / page).read_text("utf-8")))
    examples = doctest.DocTestParser().get_doctest(text, {}, page, page, 0)
    assert len(examples.examples) >= least
    said: list[str] = []
    runner = doctest.DocTestRunner(verbose=False)
    runner.run(examples, out=said.append)
    assert runner.failures == 0, "".join(said)


def test_every_metric_name_on_the_pages_parses() -> None:
    from handbench.scores.names import parse

    names = set()
    for page in ("metrics.md", "protocols.md"):
        text = (DOCS / page).read_text("utf-8")
        names |= set(re.findall(r"[`\"]((?:PA-)?(?:EPE|PCK|AUC|MPJPE)[@\[][^`\"]*)[`\"]", text))
    assert len(names) > 20
    for name in names:
        assert parse(name)
