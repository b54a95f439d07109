from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import handbench.scores.results
from handbench.predictions.schema import first_violation
from handbench.scores.plain_entries import doubtful

SCHEMA = Path(handbench.scores.results.__file__).with_name("results.schema.json")
GOOD: dict[str, Any] = {
    "handbench_results": 1,
    "dataset": "x",
    "split": "test",
    "model": {"name": "net"},
    "protocol": "mmpose",
    "signature": "s",
    "samples": {"expected": 1, "predicted": 1, "missing": 0, "extra": 0, "duplicate": 0},
    "metrics": {
        "EPE[px]": {"value": 1.5, "unit": "px", "ci95": [1, 2.0], "definition": "d"},
        "coverage": {"value": None, "unit": "fraction", "ci95": None, "definition": "d"},
    },
    "per_joint": {"EPE[px]": [1.0] * 20 + [None]},
    "curves": {"PCK": {"x": [0, 1.5], "y": [0.0, None]}},
    "provenance": {},
}
ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 2),
    st.floats(-2, 2),
    st.sampled_from(["", "px", "mm", "d", "<b>"]),
    st.lists(st.one_of(st.none(), st.booleans(), st.floats(0, 1)), max_size=3),
    st.lists(st.floats(0, 1), min_size=20, max_size=22),
    st.dictionaries(st.sampled_from(["x", "y", "value"]), st.lists(st.floats(0, 1), max_size=2)),
)


def places(document: Any, here: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Paths of all keys of nested objects."""
    found = []
    for key, value in document.items():
        found.append((*here, key))
        if isinstance(value, dict):
            found += places(value, (*here, key))
    return found


def changed(path: tuple[str, ...], value: Any) -> dict[str, Any]:
    document = copy.deepcopy(GOOD)
    holder: Any = document
    for key in path[:-1]:
        holder = holder[key]
    if value is ...:
        del holder[path[-1]]
    else:
        holder[path[-1]] = value
    return document


def test_plain_entries_are_left_out_and_the_rest_stays():
    assert first_violation(GOOD, SCHEMA) is None
    left = doubtful(GOOD)
    assert (left["metrics"], left["per_joint"], left["curves"]) == ({}, {}, {})
    assert {k: v for k, v in left.items() if v != {}} == {
        k: v for k, v in GOOD.items() if k not in ("metrics", "per_joint", "curves", "provenance")
    }


@given(st.sampled_from(places(GOOD)), st.one_of(st.just(...), ODD))
def test_the_verdict_is_that_of_the_schema(path: tuple[str, ...], value: Any):
    document = changed(path, value)
    assert first_violation(doubtful(document), SCHEMA) == first_violation(document, SCHEMA)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("per_joint", "EPE[px]"), [1.0] * 20),
        (("per_joint", "EPE[px]"), [1.0] * 20 + [True]),
        (("curves", "PCK", "x"), [0, None]),
        (("curves", "PCK", "y"), ["1"]),
        (("metrics", "EPE[px]", "unit"), ["px"]),
        (("metrics", "EPE[px]", "value"), False),
        (("metrics", "EPE[px]", "ci95"), [1, None]),
        (("metrics", "EPE[px]", "ci95"), [1]),
        (("metrics", "EPE[px]", "definition"), ""),
        (("metrics", "EPE[px]", "value"), ...),
        (("metrics",), []),
        (("provenance",), {"reproduced": {"command": "x", "by": "y"}}),
    ],
)
def test_what_breaks_the_schema_still_does(path: tuple[str, ...], value: Any):
    document = changed(path, value)
    found = first_violation(doubtful(document), SCHEMA)
    assert found is not None
    assert found == first_violation(document, SCHEMA)


def test_a_reproduction_that_is_whole_fits():
    told = {"reproduced": {"command": "x", "by": "y", "date": "z"}}
    assert first_violation(doubtful({**GOOD, "provenance": told}), SCHEMA) is None
    assert json.loads(SCHEMA.read_text("utf-8"))["properties"]["provenance"]["properties"]
