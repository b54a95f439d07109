from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from generators.scored import make_predictions, make_truth

from handbench.errors import ScoreError
from handbench.scores.compare import holm, paired_test, rank
from handbench.scores.names import parse
from handbench.scores.protocols import HANDBENCH, MMPOSE, custom_protocol
from handbench.scores.results import Evaluation
from handbench.scores.scoring import score
from handbench.scores.text import why_apart

TRUTH = make_truth(40)


def scored(noise: float, seed: int = 1, **changes: object) -> Evaluation:
    predictions = make_predictions(TRUTH, noise, seed=seed, **changes)  # type: ignore[arg-type]
    return score(predictions, TRUTH, [HANDBENCH, MMPOSE])


def test_models_are_ranked_and_tested_against_the_best() -> None:
    models = [scored(8.0), scored(3.0), scored(3.0, seed=2)]
    for protocol in (HANDBENCH, MMPOSE):
        (ranking,) = rank(models, ["bad", "good", "twin"], protocol)
        assert [row.rank for row in ranking.rows] == [1, 2, 3]
        assert ranking.rows[2].label == "bad"
        assert ranking.rows[0].p is None
        assert ranking.rows[0].difference is None
        assert ranking.rows[1].distinguishable is False
        assert ranking.rows[2].distinguishable is True
        assert ranking.rows[2].difference == pytest.approx(
            (ranking.rows[2].metric.value or 0) - (ranking.rows[0].metric.value or 0)
        )
        assert ranking.remark == ""
    assert rank(models, ["bad", "good", "twin"], MMPOSE) == rank(
        models, ["bad", "good", "twin"], MMPOSE
    )


def test_equal_models_share_a_rank() -> None:
    (ranking,) = rank([scored(3.0), scored(3.0), scored(9.0)], ["a", "b", "c"], MMPOSE)
    assert [row.rank for row in ranking.rows] == [1, 1, 3]
    assert ranking.rows[1].p == 1.0


def test_different_signatures_are_never_ranked_together() -> None:
    models = [scored(3.0), scored(5.0, gt_used=()), scored(8.0)]
    rankings = rank(models, ["a", "b", "c"], MMPOSE)
    assert [[row.label for row in ranking.rows] for ranking in rankings] == [["a", "c"], ["b"]]
    assert why_apart(rankings).endswith("their signatures differ in: gt_used")
    assert why_apart(rankings[:1]) == ""


def test_epe_is_not_ranked_at_unequal_coverage() -> None:
    epe = custom_protocol(("EPE[px]",))
    full = score(make_predictions(TRUTH, 5.0), TRUTH, [epe])
    easy = score(make_predictions(TRUTH, 3.0, rows=slice(0, 30)), TRUTH, [epe])
    (ranking,) = rank([full, easy], ["full", "easy"], epe)
    assert [row.rank for row in ranking.rows] == [None, None]
    assert "not ranked: EPE[px] is over the hands found, and coverage differs" in ranking.remark
    assert "(75.0% to 100.0%)" in ranking.remark
    worse = score(make_predictions(TRUTH, 7.0), TRUTH, [epe])
    (ranking,) = rank([worse, full], ["worse", "full"], epe)
    assert [(row.rank, row.label) for row in ranking.rows] == [(1, "full"), (2, "worse")]


def test_models_without_a_value_stand_last_and_unranked() -> None:
    pa = custom_protocol(("PA-MPJPE[mm]",))
    flat = score(make_predictions(TRUTH, keypoints_3d=None), TRUTH, [pa])
    full = score(make_predictions(TRUTH), TRUTH, [pa])
    (ranking,) = rank([flat, full], ["flat", "full"], pa)
    assert [(row.rank, row.label) for row in ranking.rows] == [(1, "full"), (None, "flat")]


def test_ranking_by_coverage_has_no_test() -> None:
    coverage = custom_protocol(("coverage",))
    half = score(make_predictions(TRUTH, rows=slice(0, 20)), TRUTH, [coverage])
    full = score(make_predictions(TRUTH), TRUTH, [coverage])
    (ranking,) = rank([half, full], ["half", "full"], coverage)
    assert [(row.rank, row.label, row.p) for row in ranking.rows] == [
        (1, "full", None),
        (2, "half", None),
    ]


# --- the test itself -----------------------------------------------------------------------------


def test_p_of_a_constant_difference_is_the_chance_of_equal_signs() -> None:
    scores, other = np.ones((6, 21)), np.zeros((6, 21))
    cluster = np.arange(6).astype(str)
    difference, p = paired_test(scores, other, cluster, parse("EPE[px]"), permutations=20_000)
    assert difference == pytest.approx(1.0)
    assert p == pytest.approx(2 / 2**6, abs=0.004)


def test_p_is_uniform_when_models_are_alike() -> None:
    rng = np.random.default_rng(0)
    cluster = np.arange(30).astype(str)
    p_values = []
    for _ in range(200):
        scores, other = rng.normal(size=(2, 30, 1))
        _, p = paired_test(scores, other, cluster, parse("EPE[px]"), permutations=199)
        p_values.append(p)
    assert np.mean(np.array(p_values) < 0.2) == pytest.approx(0.2, abs=0.08)


def test_groups_are_flipped_as_a_whole() -> None:
    rng = np.random.default_rng(0)
    per_group = rng.normal(0.4, 1.0, size=12)
    scores = np.repeat(per_group, 50)[:, None]
    cluster = np.repeat(np.arange(12), 50).astype(str)
    _, grouped = paired_test(scores, 0 * scores, cluster, parse("EPE[px]"))
    _, single = paired_test(scores, 0 * scores, np.arange(600).astype(str), parse("EPE[px]"))
    assert single is not None
    assert grouped is not None
    assert single < 0.001 < 0.05 < grouped


def test_only_shared_joints_are_compared() -> None:
    scores, other = np.full((8, 2), 3.0), np.full((8, 2), 1.0)
    scores[0, 0] = other[1, 1] = np.nan
    other[0, 0] = 100.0
    difference, _ = paired_test(scores, other, np.arange(8).astype(str), parse("EPE[px]"))
    assert difference == pytest.approx(2.0)
    nothing = np.full((8, 2), np.nan)
    assert paired_test(scores, nothing, np.arange(8).astype(str), parse("EPE")) == (None, None)
    few = np.arange(8).astype(str) < "5"
    assert (
        paired_test(scores[few], other[few], np.arange(8).astype(str)[few], parse("EPE"))[1] is None
    )
    with pytest.raises(ScoreError, match="same hands"):
        paired_test(scores, other[:3], np.arange(8).astype(str), parse("EPE"))


def test_joint_means_weigh_rare_joints_as_the_metric_does() -> None:
    truth = replace(TRUTH, valid=np.random.default_rng(0).random(TRUTH.valid.shape) < 0.5)
    protocol = custom_protocol(("PCK@0.05[tight]",))
    one = score(make_predictions(truth, 3.0), truth, [protocol])
    other = score(make_predictions(truth, 9.0), truth, [protocol])
    (ranking,) = rank([one, other], ["one", "other"], protocol)
    values = [row.metric.value or 0 for row in ranking.rows]
    assert ranking.rows[1].difference == pytest.approx(values[1] - values[0])


def test_holm() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, None, 0.9]) == [1.0, None, 1.0]
    assert holm([]) == []
