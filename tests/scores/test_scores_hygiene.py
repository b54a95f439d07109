from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from generators.scored import make_truth
from generators.scored_results import results_of

from handbench.scores.hygiene import check_files, conflicts, problems, signed_parts
from handbench.scores.protocols import PROTOCOLS
from handbench.scores.results import MetricValue, Results

GOOD = results_of(3.0)
PRIMARY = "AUC@0-0.2[tight,rule=exact]"


def changed(results: Results, name: str, **changes: Any) -> Results:
    entry = replace(results.metrics[name], **changes)
    return replace(results, metrics={**results.metrics, name: entry})


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=lambda protocol: protocol.name)
@pytest.mark.parametrize(
    ("noise", "missing", "groups"), [(0.0, 0, None), (3.0, 0, None), (9.0, 7, 8), (200.0, 39, 2)]
)
def test_what_is_scored_here_has_no_problem(
    protocol: Any, noise: float, missing: int, groups: int | None
) -> None:
    if protocol.name == "wholebody_oks":
        pytest.importorskip("faster_coco_eval")
    truth = make_truth(40, groups=groups)
    results = results_of(noise, protocol.name, truth=truth, missing=missing)
    assert problems(results) == []


def test_all_missing_and_one_sample_have_no_problem() -> None:
    assert problems(results_of(truth=make_truth(1))) == []
    assert problems(results_of(truth=make_truth(6), missing=6)) == []


def test_own_metrics_have_no_problem() -> None:
    from generators.scored_results import evaluated

    names = ("PCK@10px", "PCK@20px", "EPE[px,stat=median]", "EPE[px,stat=p95]")
    assert problems(evaluated(protocols=(), metrics=names).results[0]) == []


Change = Callable[[Results], Results]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: changed(r, PRIMARY, value=81.2), r"holds 81.2: a fraction lies between 0 and 1"),
        (lambda r: changed(r, "EPE[px]", value=-1.0), r"EPE\[px\] holds -1: nothing it measures"),
        (lambda r: changed(r, "EPE[px]", value=float("inf")), "expected a finite number"),
        (lambda r: changed(r, "EPE[px]", unit="mm"), r"EPE\[px\] is in mm, expected px"),
        (lambda r: changed(r, "EPE[px]", ci95=(1.0, 2.0)), "outside its own 95 % interval"),
        (lambda r: changed(r, "EPE[px]", ci95=(9.0, 2.0)), r"ends \(2\) before it begins \(9\)"),
        (lambda r: changed(r, "EPE[px]", value=None), "has an interval and no value"),
        (lambda r: changed(r, "coverage", value=0.5), r"coverage is 0.5, but 40 of 40"),
        (
            lambda r: replace(r, samples={**r.samples, "missing": 3}),
            "40 predicted and 3 missing are not the 40 expected",
        ),
        (
            lambda r: replace(r, samples={**r.samples, "expected": 0, "predicted": 0}),
            "a result needs at least one hand",
        ),
        (lambda r: replace(r, metrics={}), "expected at least one, found none"),
        (
            lambda r: replace(r, metrics={**r.metrics, "PKC@0.2[bbox]": r.metrics[PRIMARY]}),
            "did you mean 'PCK'.*is this one older",
        ),
        (
            lambda r: replace(r, metrics={**r.metrics, "PCK@0.20[bbox]": r.metrics[PRIMARY]}),
            r"is spelt 'PCK@0.2\[bbox\]' in full",
        ),
        (
            lambda r: replace(r, per_joint={"EPE[px,avg=joint]": [1.0] * 21}),
            r"per_joint has EPE\[px,avg=joint\], which metrics has not",
        ),
        (lambda r: replace(r, protocol="mmpose"), "is of protocol 'handbench', the results of"),
        (
            lambda r: replace(r, signature=r.signature.replace("handbench/1", "handbench/2")),
            "handbench/2 is newer than handbench/1.*update handbench",
        ),
        (
            lambda r: replace(
                r, protocol="secret", signature=r.signature.replace("handbench/1", "secret/1")
            ),
            "unknown protocol 'secret'",
        ),
        (
            lambda r: replace(r, signature=r.signature.replace("expected: 40", "expected: 41")),
            "signature expects 41 hands, samples 40",
        ),
        (
            lambda r: replace(r, signature=r.signature.replace(" EPE[px] ", " ")),
            "names other metrics than the file holds",
        ),
        (lambda r: replace(r, signature=r.signature.replace("0" * 64, "0" * 9)), "no SHA-256"),
        (
            lambda r: replace(r, signature="protocol: handbench/1"),
            "lacks metrics, expected, truth, ids, gt_used, box, missing",
        ),
        (lambda r: replace(r, provenance={}), "provenance lacks handbench, command, created"),
        (
            lambda r: replace(r, provenance={**r.provenance, "data_sha256": "abc"}),
            "data_sha256 is no SHA-256",
        ),
        (
            lambda r: replace(r, provenance={**r.provenance, "created": "yesterday"}),
            "created is no time",
        ),
    ],
)
def test_what_is_wrong_is_said_with_what_to_do(change: Change, message: str) -> None:
    found = problems(change(GOOD))
    assert found
    assert any(re.search(message, sentence) for sentence in found), found
    # What to do: an imperative after the finding.
    assert all(
        any(word in s for word in ("evaluate", "update", "rename", "score under", "did you mean"))
        for s in found
    ), found


def test_results_without_the_ranking_metric_are_no_results_of_their_protocol() -> None:
    kept = {name: entry for name, entry in GOOD.metrics.items() if not name.startswith("AUC")}
    signature = GOOD.signature.replace(" ".join(GOOD.metrics), " ".join(kept))
    found = problems(replace(GOOD, metrics=kept, per_joint={}, signature=signature))
    assert len(found) == 1
    assert "which ranks under handbench/1" in found[0]


def test_predictions_that_were_never_a_file_may_lack_a_hash() -> None:
    assert GOOD.provenance["predictions_sha256"] is None
    assert problems(GOOD) == []


def test_one_model_with_two_numbers() -> None:
    other = changed(GOOD, PRIMARY, value=0.123)
    (found,) = conflicts([("a.json", GOOD), ("b.json", other), ("c.json", GOOD)])
    assert found.file == "b.json"
    assert f"is also in a.json, with other numbers ({PRIMARY}: 0.123 and" in found.problem
    assert "remove one of the files" in found.problem


@pytest.mark.parametrize(
    "change",
    [
        {"model": {"name": "other"}},
        {"split": "val"},
        {"dataset": "other"},
        {"signature": "protocol: handbench/1; expected: 9"},
        {"protocol": "mmpose"},
    ],
)
def test_different_things_may_have_different_numbers(change: dict[str, Any]) -> None:
    other = replace(changed(GOOD, PRIMARY, value=0.123), **change)
    assert conflicts([("a.json", GOOD), ("b.json", other)]) == []


def test_rounding_of_another_machine_is_no_conflict() -> None:
    value = GOOD.metrics[PRIMARY].value
    assert value is not None
    other = changed(GOOD, PRIMARY, value=value * (1 + 1e-9))
    assert conflicts([("a.json", GOOD), ("b.json", other)]) == []


def test_files_are_read_checked_and_compared(tmp_path: Path) -> None:
    GOOD.write(tmp_path / "good.json")
    changed(GOOD, PRIMARY, value=0.123).write(tmp_path / "other.json")
    (tmp_path / "future.json").write_text(
        json.dumps({**GOOD.to_dict(), "handbench_results": 2}), "utf-8"
    )
    (tmp_path / "cut.json").write_text('{"handbench_results": 1,', "utf-8")
    (tmp_path / "bare.json").write_text('{"handbench_results": 1}', "utf-8")
    paths = sorted(tmp_path.glob("*.json"))
    found = {Path(p.file).name: p.problem for p in check_files(paths)}
    assert "good.json" not in found
    assert "is also in" in found["other.json"]
    assert "results format 2, but this handbench reads format 1: update" in found["future.json"]
    assert "breaks off" in found["cut.json"]
    assert "required property" in found["bare.json"]
    assert check_files([tmp_path / "good.json"]) == []


def test_parts_of_a_signature() -> None:
    parts = signed_parts(GOOD.signature)
    assert parts["protocol"] == "handbench/1"
    assert parts["truth"] == "0" * 64
    assert signed_parts("free text") == {"free text": ""}


def test_numbers_of_metrics_without_value_are_not_asked_for() -> None:
    empty = {
        name: MetricValue(None, entry.unit, entry.definition)
        for name, entry in GOOD.metrics.items()
    }
    assert problems(replace(GOOD, metrics=empty, per_joint={}, curves={})) == []


@pytest.mark.parametrize("name", ["net\u200b", "\u202eten", "a\x00b"])
def test_letters_that_nobody_sees_are_a_problem(name: str) -> None:
    (found,) = problems(replace(GOOD, model={**GOOD.model, "name": name}))
    assert "which nobody sees" in found


def test_blanks_around_a_name_are_a_problem_and_other_scripts_are_none() -> None:
    (found,) = problems(replace(GOOD, model={**GOOD.model, "name": " net"}))
    assert "begins or ends with a blank" in found
    assert problems(replace(GOOD, model={**GOOD.model, "name": "شبکه\u200cها 手"})) == []


def test_a_file_of_thousands_of_metrics_is_refused_at_once() -> None:
    value = GOOD.metrics[PRIMARY]
    many = replace(GOOD, metrics={f"PCK@{i}px": value for i in range(1, 6000)})
    (found,) = problems(many)
    assert "found 5,999" in found


def test_a_reproduction_has_a_date() -> None:
    said = {"command": "handbench evaluate", "by": "A. Reader", "date": "soon"}
    (found,) = problems(replace(GOOD, provenance={**GOOD.provenance, "reproduced": said}))
    assert "reproduced.date is no time ('soon'): write it as 2024-05-31" in found


def test_other_numbers_of_another_version_are_history() -> None:
    other = changed(GOOD, PRIMARY, value=0.1)
    other = replace(other, provenance={**GOOD.provenance, "handbench": "9.0.0"})
    assert conflicts([("a.json", GOOD), ("b.json", other)]) == []


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_among_results_is_a_problem(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "net.json")
    (found,) = check_files([tmp_path / "net.json"])
    assert "no regular file" in found.problem
