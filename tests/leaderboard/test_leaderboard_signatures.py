from __future__ import annotations

import doctest

import pytest
from many_results import document

from handbench.leaderboard import signatures
from handbench.leaderboard.signatures import differences, parts, protocol_tag
from handbench.scores.results import Results


def test_examples():
    assert doctest.testmod(signatures).failed == 0


@pytest.mark.parametrize("text", ["", "x", "; ; ", ": ", "a: b: c; a: d", "<script>; =1+1"])
def test_any_text_can_be_taken_apart(text: str):
    assert isinstance(parts(text), dict)
    assert len(differences([text, "box: image", text + "!"])) == 3


def test_what_differs_is_said_with_its_values():
    assert differences(["box: image; truth: 5", "box: detector; truth: 5"]) == [
        {"box": "image"},
        {"box": "detector"},
    ]
    assert differences(["box: image"]) == [{}]
    assert differences(["one", "two"]) == [{"signature": ""}, {"signature": ""}]


def test_the_version_comes_from_the_signature_where_it_fits_the_protocol():
    results = Results.from_dict(document())
    assert protocol_tag(results) == "mmpose/1"
    foreign = Results.from_dict(document(signature="protocol: freihand/1; expected: 3"))
    assert protocol_tag(foreign) == "mmpose"
    assert protocol_tag(Results.from_dict(document(signature="?"))) == "mmpose"
