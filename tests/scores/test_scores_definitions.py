"""What words of metric names mean: every word has a meaning and a source, every name a sentence."""

from __future__ import annotations

from typing import get_args

import pytest

from handbench.metrics import Average, Compare, Missing, Rule
from handbench.scores import names
from handbench.scores.definitions import (
    ALIGNMENTS,
    AREAS,
    KEYS,
    METRICS,
    SIZES,
    VALUES,
    Word,
    define,
)
from handbench.scores.metric import Alignment, Area, Frame, Hands, Scored, Size
from handbench.scores.names import NAMES, parse

TABLES = {
    "metrics": METRICS,
    "sizes": SIZES,
    "areas": AREAS,
    "alignments": ALIGNMENTS,
    "keys": KEYS,
}


def test_every_word_of_the_grammar_is_explained() -> None:
    assert list(METRICS) == list(NAMES)
    assert list(SIZES) == list(get_args(Size))
    assert list(AREAS) == list(get_args(Area))
    assert list(ALIGNMENTS) == list(get_args(Alignment))
    assert set(KEYS) == set(names._KEYS)


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("cmp", Compare),
        ("rule", Rule),
        ("avg", Average),
        ("missing", Missing),
        ("frame", Frame),
        ("hands", Hands),
        ("of", Scored),
    ],
)
def test_every_value_of_a_key_is_explained(key: str, values: object) -> None:
    assert set(VALUES[key]) == set(get_args(values))


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_every_word_has_a_phrase_and_a_source(table: dict[str, Word]) -> None:
    for word in table.values():
        assert word.phrase
        assert not word.phrase.endswith(".")
        assert word.source
        assert word.detail == "" or word.detail.endswith(".")


@pytest.mark.parametrize(
    ("name", "sentence"),
    {
        "EPE[px]": "mean 2D distance, px of the source image, pooled over labelled joints of the "
        "hands found",
        "EPE[px,stat=p95,avg=joint,frame=stored]": "95th percentile of the 2D distance, px of the "
        "stored image, mean of joints, over labelled joints of the hands found",
        "PCK@0.2[bbox,cmp=lt,missing=drop]": "share of labelled joints with 2D distance < 0.2 × "
        "the longer side of the file's box; mean of joints; over the hands found",
        "PCK@5px[joints=tip+occluded,hands=left,avg=pool]": "share of joints marked occluded (tip "
        "only) of left hands with 2D distance ≤ 5 px of the source image; pooled over joints; "
        "missed hands are wrong",
        "AUC@0-30px[n=20,rule=left,cmp=lt]": "area under PCK of labelled joints, 2D distance < t "
        "in px of the source image, 20 thresholds from 0 in steps of 1.5, plain mean; mean of "
        "joints; missed hands are wrong",
        "MPJPE[mm,root=0,bone=0-9]": "mean 3D distance with joint 0 (wrist) moved onto the "
        "truth's and the length of wrist to middle_mcp taken from the truth, mm, pooled over "
        "labelled joints of the hands found",
        "F@5mm[root=9]": "harmonic mean of the shares of predicted and of true vertices with a "
        "vertex of the other mesh nearer than 5 mm, with joint 9 (middle_mcp) moved onto the "
        "truth's; mean of hands; missed hands are wrong",
        "PA-MPVPE[mm,hands=right]": "mean 3D distance after Procrustes alignment by a proper "
        "rotation, mm, pooled over vertices of the right hands found",
        "OKS-AP[mask,sigma=0.05,hands=left]": "average precision over OKS 0.50, 0.55 … 0.95 with "
        "sigma 0.05 and the hand's area in the file under the distances; left hands; missed hands "
        "lower the recall",
        "EPE[palm,of=mean-pose]": "floor, the mean pose of this truth drawn into every box: mean "
        "2D distance, units of the projected palm (largest distance among wrist and knuckles), "
        "pooled over labelled joints of the hands found",
        "coverage[hands=right]": "share of the expected hands for which a hand was predicted, "
        "right hands only",
    }.items(),
)
def test_definitions_in_words(name: str, sentence: str) -> None:
    assert define(parse(name)) == sentence
