"""The pages about scores: their numbers are what the code returns, and nothing is left out."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import pytest

from handbench.scores.definitions import ALIGNMENTS, AREAS, KEYS, SIZES
from handbench.scores.metric import JOINT_SETS
from handbench.scores.names import NAMES, parse
from handbench.scores.protocol import Protocol
from handbench.scores.protocols import PROTOCOLS

DOCS = Path(__file__).parents[2] / "docs"
PAGES = ("metrics.md", "protocols.md", "rescoring.md")
EXAMPLES = re.compile(r"^```pycon\n(.*?)^```$", re.MULTILINE | re.DOTALL)
METRIC = re.compile(
    r"[`\"]((?:(?:PA-)?(?:EPE|PCK|AUC|MPJPE|MPVPE)|F|MRRPE|OKS-AP|coverage)[@\[][^`\"]*)[`\"]"
)


def page(name: str) -> str:
    return (DOCS / name).read_text("utf-8")


def sections(name: str) -> dict[str, str]:
    """Heading of the second level → its text."""
    parts = re.split(r"^## (.+)\n", page(name), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2]))


@pytest.mark.parametrize(("name", "least"), [("metrics.md", 40), ("protocols.md", 25)])
def test_worked_examples(name: str, least: int) -> None:
    text = "\n".join(EXAMPLES.findall(page(name)))
    examples = doctest.DocTestParser().get_doctest(text, {}, name, name, 0)
    assert len(examples.examples) >= least
    said: list[str] = []
    runner = doctest.DocTestRunner(verbose=False)
    runner.run(examples, out=said.append)
    assert runner.failures == 0, "".join(said)


def test_examples_use_the_public_functions_on_arrays_alone() -> None:
    imports = set()
    for name in PAGES:
        for text in EXAMPLES.findall(page(name)):
            imports |= set(re.findall(r"^>>> ((?:from|import) .+)$", text, re.MULTILINE))
    assert imports == {
        "import numpy as np",
        "import math",
        "from handbench import alignment",
        "from handbench import metrics",
        "from handbench import surfaces",
    }


@pytest.mark.parametrize("name", ["metrics.md", "protocols.md"])
def test_generated_parts_are_current(name: str) -> None:
    pytest.importorskip("faster_coco_eval", reason="OKS-AP is worked out on the pages")
    from tools.make_metrics_reference import refreshed

    assert page(name) == refreshed(page(name)), "run python tests/tools/make_metrics_reference.py"


def test_every_generated_part_stands_on_a_page() -> None:
    from tools.make_metrics_reference import PART, parts

    asked = [found["part"] for name in PAGES for found in PART.finditer(page(name))]
    assert sorted(asked) == sorted(parts())


def test_an_example_that_does_not_add_up_is_refused() -> None:
    from tools.make_metrics_reference import by_hand
    from tools.worked_examples import worked

    with pytest.raises(ValueError, match="the code gives 6"):
        by_hand(worked("picture", {"EPE[px]": "(5 + 13 + 2) / 2"}))


def test_every_metric_name_on_the_pages_parses() -> None:
    # A curve is named like the metrics it leads to, without their threshold.
    curves = {curve.name for protocol in PROTOCOLS for curve in protocol.curves}
    names = {found for name in PAGES for found in METRIC.findall(page(name))} - curves
    assert len(names) > 60
    for name in names:
        assert parse(name)


@pytest.mark.parametrize("name", NAMES)
def test_every_metric_has_a_section_with_an_example(name: str) -> None:
    section = sections("metrics.md")[name]
    assert "| by hand |" in section
    assert "- Source: " in section
    assert "```pycon" in section


@pytest.mark.parametrize("word", [*SIZES, *AREAS, *ALIGNMENTS, *KEYS, *JOINT_SETS])
def test_every_word_stands_in_a_table(word: str) -> None:
    assert re.search(rf"^\| `{re.escape(word)}` \|", page("metrics.md"), re.MULTILINE)


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=lambda protocol: protocol.name)
def test_every_protocol_has_a_section_with_all_its_metrics(protocol: Protocol) -> None:
    section = sections("protocols.md")[protocol.name]
    assert protocol.source in section
    assert protocol.missing_rule in section
    assert "*By hand*" in section
    plain = re.findall(r"^\| `([^`]+)`(?: \(ranks\))? \| .+ \| (.*) \|$", section, re.MULTILINE)
    listed = {parse(name) for name, _ in plain}
    for name, companions in plain:
        for option in re.findall(r"`([^`]+)`", companions):
            listed.add(parse(f"{name[:-1]},{option}]"))
    assert listed >= set(protocol.metrics(with_3d=True))
