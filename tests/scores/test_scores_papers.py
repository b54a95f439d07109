from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from generators.scored_results import results_of

import handbench
from handbench.scores.papers import (
    BASELINE,
    Citations,
    cite_dataset,
    cite_handbench,
    cite_protocol,
    cite_results,
    papers,
)
from handbench.scores.protocols import PROTOCOLS
from handbench.scores.results import Results
from handbench.sources import manifest


def cited(*named: tuple[str, Results]) -> Citations:
    citations = Citations()
    cite_results(named, citations)
    return citations


def of_model(**model: Any) -> tuple[str, Results]:
    results = results_of(3.0, "mmpose")
    return "net", replace(results, dataset="freihand", model={"name": "net", **model})


def keys(citations: Citations) -> list[str]:
    return re.findall(r"^@\w+\{([^,]+),", citations.text(), re.MULTILINE)


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=lambda protocol: protocol.name)
def test_every_protocol_that_reproduces_a_paper_cites_it(protocol: Any) -> None:
    assert all(key in papers() for key in protocol.cites)
    assert bool(protocol.cites) == (protocol.name != "handbench")


@pytest.mark.parametrize("key", sorted(papers()))
def test_entries_are_bibtex(key: str) -> None:
    entry = papers()[key]
    assert re.match(rf"@(inproceedings|article|misc)\{{{re.escape(key)},\n", entry)
    fields = dict(re.findall(r"^  (\w+)\s*= \{(.*)\},?$", entry, re.MULTILINE))
    assert {"title", "author", "year"} <= set(fields)
    assert entry.count("{") == entry.count("}")
    assert entry.endswith("\n}")
    # Every field but the last ends with a comma.
    lines = entry.splitlines()[1:-1]
    assert all(line.endswith("},") for line in lines[:-1])
    assert lines[-1].endswith("}")


def test_every_publication_of_a_manifest_is_found() -> None:
    published = [n for n in manifest.names() if manifest.load(n).citation.strip()]
    entries = set(papers().values())
    assert published
    assert all(manifest.load(name).citation.strip() in entries for name in published)


def test_a_result_cites_data_protocol_and_tool() -> None:
    found = cited(of_model(training_data=["freihand/train", "rhd/train"]))
    assert keys(found) == [
        *("zimmermann2019freihand", "zimmermann2017learning", "mmpose2020", "handbench"),
    ]
    text = found.text()
    assert "% tested on freihand test\n% net was trained on freihand/train\n@inproc" in text
    assert "% net was trained on rhd/train\n@inproceedings{zimmermann2017learning" in text
    assert "% protocol mmpose reproduces mmpose 1.x" in text
    assert f"note   = {{Version {handbench.__version__}}}" in text


@pytest.mark.parametrize("training", [None, "unknown"])
def test_undeclared_training_data_is_unknown(training: str | None) -> None:
    model = {} if training is None else {"training_data": training}
    assert "% training data of net: not declared, so unknown" in cited(of_model(**model)).text()


def test_no_training_data_is_not_unknown_training_data() -> None:
    text = cited(of_model(training_data=[])).text()
    assert "% training data of net: none, as it declares" in text
    assert "unknown" not in text


def test_strange_datasets_are_said_to_be_strange() -> None:
    text = cited(of_model(training_data=["my-own/train"])).text()
    assert "% net was trained on my-own/train: handbench has no dataset of that name" in text


def test_parts_of_a_dataset_are_that_dataset() -> None:
    citations = Citations()
    cite_dataset("freihand-subset", "tested", citations)
    assert keys(citations) == ["zimmermann2019freihand"]
    cite_dataset("sample", "tested on sample", citations)
    assert citations.unknown == ["tested on sample: its manifest names no publication"]


def test_the_baseline_is_cited_where_it_was_used() -> None:
    # The note is what `handbench predict` writes.
    baseline = of_model(training_data=[], note="handbench baseline, ResNet-18, input 128 px")
    assert BASELINE in keys(cited(baseline))
    assert BASELINE not in keys(cited(of_model(training_data=[], note="better than the baseline")))


def test_each_entry_once_with_all_reasons() -> None:
    one = of_model(training_data=["freihand/train"])
    found = cited(one, ("twin", one[1]), one)
    assert len(keys(found)) == len(set(keys(found)))
    assert "% twin was trained on freihand/train" in found.text()


def test_two_versions_of_handbench_are_one_entry() -> None:
    label, one = of_model(training_data=[])
    old = replace(one, provenance={**one.provenance, "handbench": "0.0.9} \\evil{"})
    found = cited((label, one), ("old", old))
    assert keys(found).count("handbench") == 1
    assert f"Version {handbench.__version__} and 0.0.9evil}}" in found.text()


def test_names_from_files_stay_in_their_comment() -> None:
    label, one = of_model(training_data=["a\n@misc{evil,\n}/train"])
    text = cited((f"{label}\n@article{{x,", one)).text()
    assert all(line.startswith(("%", "@", "  ", "}")) or not line for line in text.splitlines())
    assert not re.search(r"^@(misc\{evil|article\{x)", text, re.MULTILINE)


def test_protocols_without_a_paper() -> None:
    citations = Citations()
    for name in ("handbench", "custom", "secret"):
        cite_protocol(name, citations)
    assert citations.entries == {}
    assert citations.unknown == [
        "protocol handbench: handbench's own, no publication",
        "protocol custom: handbench's own, no publication",
        "protocol secret: unknown to this handbench",
    ]


def test_the_tool_alone() -> None:
    citations = Citations()
    cite_handbench(citations)
    assert keys(citations) == ["handbench"]
