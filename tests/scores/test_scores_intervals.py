from __future__ import annotations

import numpy as np
import pytest
from generators.scored import make_predictions, make_truth

from handbench import metrics as m
from handbench.scores.intervals import ClusterSums, bootstrap, cluster_sums
from handbench.scores.protocols import HANDBENCH, custom_protocol
from handbench.scores.scoring import score


def scores_with_gaps(hands: int = 60, seed: int = 0) -> m.FloatArray:
    rng = np.random.default_rng(seed)
    scores = rng.gamma(2.0, 3.0, size=(hands, 5))
    scores[rng.random(scores.shape) < 0.3] = np.nan
    return scores


@pytest.mark.parametrize("avg", ["joint", "pool"])
def test_cluster_sums_hold_the_metric(avg: m.Average) -> None:
    scores = scores_with_gaps()
    cluster = np.arange(60) % 7
    sums = cluster_sums(scores, cluster, 7, avg)
    means = sums.totals.sum(axis=0) / sums.counts.sum(axis=0)
    assert means.mean() == pytest.approx(m.average(scores, avg))


def test_joints_labelled_together_need_one_column() -> None:
    scores = np.random.default_rng(0).uniform(size=(40, 21))
    scores[3] = np.nan
    sums = cluster_sums(scores, np.arange(40), 40, "joint")
    assert sums.totals.shape == (40, 1)
    assert sums.totals.sum() / sums.counts.sum() == pytest.approx(m.average(scores, "joint"))


@pytest.mark.parametrize("avg", ["joint", "pool"])
def test_bootstrap_agrees_with_resampling_hands_one_by_one(avg: m.Average) -> None:
    scores = scores_with_gaps()
    cluster = np.arange(60) // 4
    found = bootstrap([cluster_sums(scores, cluster, 15, avg)], resamples=400, seed=5)[0]
    rng = np.random.default_rng(5)
    values = []
    for _ in range(400):
        drawn = rng.integers(0, 15, size=15)
        rows = np.concatenate([np.flatnonzero(cluster == group) for group in drawn])
        values.append(m.average(scores[rows], avg))
    assert found == pytest.approx(tuple(np.percentile(values, [2.5, 97.5])))


def test_intervals_of_independent_hands_match_the_normal_approximation() -> None:
    scores = np.random.default_rng(0).normal(10, 2, size=(400, 1))
    low, high = bootstrap([cluster_sums(scores, np.arange(400), 400, "pool")])[0] or (0, 0)
    half = 1.96 * scores.std() / np.sqrt(400)
    assert low == pytest.approx(scores.mean() - half, abs=0.03)
    assert high == pytest.approx(scores.mean() + half, abs=0.03)


def test_copies_within_a_group_do_not_narrow_the_interval() -> None:
    scores = np.random.default_rng(0).normal(10, 2, size=(30, 1))
    once = bootstrap([cluster_sums(scores, np.arange(30), 30, "pool")])[0]
    four_times = np.repeat(scores, 4, axis=0)
    grouped = bootstrap([cluster_sums(four_times, np.arange(120) // 4, 30, "pool")])[0]
    assert grouped == pytest.approx(once)


def test_several_metrics_share_their_resamples_and_the_seed_decides() -> None:
    one = cluster_sums(scores_with_gaps(seed=1), np.arange(60), 60, "joint")
    other = cluster_sums(scores_with_gaps(seed=2), np.arange(60), 60, "pool")
    together = bootstrap([one, other], resamples=200)
    assert together == [
        pytest.approx(bootstrap([block], resamples=200)[0]) for block in (one, other)
    ]
    assert bootstrap([one], resamples=200, seed=1) != bootstrap([one], resamples=200, seed=2)


def test_few_groups_give_no_interval_and_rare_joints_no_nan() -> None:
    five = cluster_sums(np.ones((5, 2)), np.arange(5), 5, "joint")
    assert bootstrap([five]) == [None]
    assert bootstrap([]) == []
    rare = np.full((8, 2), 1.0)
    rare[1:, 1] = np.nan  # in many resamples joint 1 does not occur
    assert bootstrap([cluster_sums(rare, np.arange(8), 8, "joint")]) == [(1.0, 1.0)]
    empty = ClusterSums(np.zeros((8, 1)), np.zeros((8, 1)))
    assert bootstrap([empty]) == [None]


@pytest.mark.parametrize(
    ("groups", "remark", "has_interval"),
    [
        (5, "no interval: only 5 groups (instant_id)", False),
        (6, "interval: 1,000 resamples of 6 groups (instant_id), unreliable", True),
        (19, "unreliable", True),
        (20, "interval: 1,000 resamples of 20 groups (instant_id)", True),
    ],
)
def test_definitions_say_how_far_to_trust_an_interval(
    groups: int, remark: str, has_interval: bool
) -> None:
    truth = make_truth(20, groups=groups)
    results = score(make_predictions(truth), truth, [HANDBENCH]).results[0]
    metric = results.metrics["EPE[px]"]
    assert remark in metric.definition
    assert ("unreliable" in metric.definition) is (6 <= groups < 20)
    unseen = "without the variance between training runs"
    assert metric.definition.endswith(unseen) is has_interval
    assert (metric.ci95 is not None) is has_interval
    if metric.ci95 is not None and metric.value is not None:
        assert metric.ci95[0] < metric.value < metric.ci95[1]
    assert results.metrics["EPE[px,stat=median]"].ci95 is None
    assert results.metrics["EPE[px,of=mean-pose]"].ci95 is None


def test_intervals_are_the_same_on_every_run() -> None:
    truth = make_truth(30)
    protocol = custom_protocol(("PCK@0.05[tight]",))
    first, second = (
        score(make_predictions(truth), truth, [protocol]).results[0].metrics for _ in range(2)
    )
    assert first == second


@pytest.mark.parametrize(
    ("scored", "remark"),
    [
        (5, "no interval: only 5 groups (instant_id)"),
        (6, "1,000 resamples of 40 groups (instant_id), 6 with a score, unreliable"),
        (20, "1,000 resamples of 40 groups (instant_id), 20 with a score; without"),
    ],
)
def test_groups_without_a_score_make_no_interval_reliable(scored: int, remark: str) -> None:
    kinds = np.array(["interacting"] * scored + ["right"] * (40 - scored))
    truth = make_truth(40, hand_type=kinds)
    custom = custom_protocol(("EPE[px]", "EPE[px,hands=interacting]"))
    metrics = score(make_predictions(truth), truth, [custom]).results[0].metrics
    some = metrics["EPE[px,hands=interacting]"]
    assert remark in some.definition
    assert (some.ci95 is None) is (scored < 6)
    assert "with a score" not in metrics["EPE[px]"].definition
