from __future__ import annotations

import numpy as np
import pytest

from handbench.errors import ScoreError
from handbench.scores.paired import PairedTest, holm, paired_test


def named(count: int) -> np.ndarray:
    return np.arange(count).astype(str)


def test_p_of_a_constant_difference_is_the_chance_of_equal_signs() -> None:
    scores, other = np.ones((6, 21)), np.zeros((6, 21))
    test = paired_test(scores, other, named(6), "pool", permutations=20_000)
    assert test.difference == pytest.approx(1.0)
    assert test.p == pytest.approx(2 / 2**6, abs=0.004)
    assert (test.effect, test.groups) == (None, 6)


def test_p_is_uniform_when_models_are_alike() -> None:
    rng = np.random.default_rng(0)
    p_values = []
    for _ in range(200):
        scores, other = rng.normal(size=(2, 30, 1))
        p_values.append(paired_test(scores, other, named(30), "pool", permutations=199).p)
    assert np.mean(np.array(p_values) < 0.2) == pytest.approx(0.2, abs=0.08)


def test_groups_are_flipped_as_a_whole() -> None:
    rng = np.random.default_rng(0)
    per_group = rng.normal(0.4, 1.0, size=12)
    scores = np.repeat(per_group, 50)[:, None]
    grouped = paired_test(scores, 0 * scores, np.repeat(named(12), 50), "pool")
    single = paired_test(scores, 0 * scores, named(600), "pool")
    assert grouped.p is not None
    assert single.p is not None
    assert single.p < 0.001 < 0.05 < grouped.p
    assert (grouped.groups, single.groups) == (12, 600)


def test_effect_is_the_mean_over_the_spread_of_groups() -> None:
    per_group = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    scores = np.tile(per_group[:, None], (1, 21))
    test = paired_test(scores, 0 * scores, named(6), "joint")
    assert test.difference == pytest.approx(3.5)
    assert test.effect == pytest.approx(3.5 / per_group.std(ddof=1))
    # Ten times as many groups of the same kind: p falls, the effect stays.
    many = paired_test(np.tile(scores, (10, 1)), np.zeros((60, 21)), named(60), "joint")
    assert many.effect == pytest.approx(test.effect, rel=0.1)
    assert (many.p or 1) < (test.p or 0)
    assert paired_test(scores, scores, named(6), "joint") == PairedTest(0.0, 1.0, None, 6)


def test_only_shared_joints_are_compared() -> None:
    scores, other = np.full((8, 2), 3.0), np.full((8, 2), 1.0)
    scores[0, 0] = other[1, 1] = np.nan
    other[0, 0] = 100.0
    assert paired_test(scores, other, named(8), "pool").difference == pytest.approx(2.0)
    nothing = np.full((8, 2), np.nan)
    assert paired_test(scores, nothing, named(8), "pool") == PairedTest()
    few = paired_test(scores[:5], other[:5], named(8)[:5], "pool")
    assert (few.p, few.effect, few.groups) == (None, None, 5)
    with pytest.raises(ScoreError, match="same hands"):
        paired_test(scores, other[:3], named(8), "pool")


def test_a_group_without_a_shared_joint_is_no_group() -> None:
    scores, other = np.full((7, 2), 3.0), np.full((7, 2), 1.0)
    other[6] = np.nan
    assert paired_test(scores, other, named(7), "pool").groups == 6


def test_hands_and_sides_are_averaged_as_the_metric_does() -> None:
    scores, other = np.zeros((8, 2)), np.zeros((8, 2))
    scores[0] = [1.0, np.nan]  # a hand with one joint weighs as much as one with two
    assert paired_test(scores, other, named(8), "hand").difference == pytest.approx(1 / 8)
    assert paired_test(scores, other, named(8), "pool").difference == pytest.approx(1 / 15)
    left = np.array([0, 0, 1, 1, 1, 1, 1, 1], dtype=np.int8)
    scores = np.where(left[:, None] == 0, 1.0, np.zeros((8, 2)))
    assert paired_test(scores, other, named(8), "side", left).difference == pytest.approx(0.5)


def test_rounding_is_no_difference() -> None:
    scores = np.random.default_rng(0).uniform(0, 30, (40, 21))
    other = scores + np.random.default_rng(1).normal(0, 1e-13, scores.shape)
    assert paired_test(scores, other, named(40), "pool") == PairedTest(0.0, 1.0, None, 40)


def test_holm() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, None, 0.9]) == [1.0, None, 1.0]
    assert holm([]) == []
