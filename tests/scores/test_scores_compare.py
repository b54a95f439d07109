from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from generators.scored import make_predictions, make_truth

from handbench.scores.compare import rank
from handbench.scores.protocols import HANDBENCH, MMPOSE, custom_protocol
from handbench.scores.results import Evaluation
from handbench.scores.scoring import score
from handbench.scores.text import ranking_text, why_apart

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
    assert why_apart(rankings).endswith(
        "their signatures differ in gt_used (a, c: box; b: nothing)"
    )
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


def test_joint_means_weigh_rare_joints_as_the_metric_does() -> None:
    truth = replace(TRUTH, valid=np.random.default_rng(0).random(TRUTH.valid.shape) < 0.5)
    protocol = custom_protocol(("PCK@0.05[tight]",))
    one = score(make_predictions(truth, 3.0), truth, [protocol])
    other = score(make_predictions(truth, 9.0), truth, [protocol])
    (ranking,) = rank([one, other], ["one", "other"], protocol)
    values = [row.metric.value or 0 for row in ranking.rows]
    assert ranking.rows[1].difference == pytest.approx(values[1] - values[0])


def test_differences_below_the_labels_own_error_are_marked() -> None:
    truth = replace(TRUTH, label_noise={"px": 2.0})
    models = [
        score(make_predictions(truth, noise, seed=1), truth, [MMPOSE]) for noise in (3.0, 3.5, 9.0)
    ]
    (ranking,) = rank(models, ["good", "alike", "bad"], MMPOSE)
    assert [bool(row.below_noise) for row in ranking.rows] == [False, True, False]
    assert "EPE[px] differs by 0.6" in ranking.rows[1].below_noise
    assert ranking.rows[1].below_noise.endswith("px, less than the labels' own error (2)")
    assert "alike: EPE[px] differs by" in ranking_text(ranking)
    assert "d = " in ranking_text(ranking)
    in_mm = replace(TRUTH, label_noise={"mm": 2.0})
    models = [score(make_predictions(in_mm, noise), in_mm, [MMPOSE]) for noise in (3.0, 3.5)]
    (ranking,) = rank(models, ["good", "alike"], MMPOSE)
    assert ranking.rows[1].below_noise == ""


def test_hands_predicted_without_3d_lower_the_coverage_of_distances_in_3d() -> None:
    pa = custom_protocol(("PA-MPJPE[mm]",))
    full = make_predictions(TRUTH, 5.0)
    easy = make_predictions(TRUTH, 3.0)
    assert easy.keypoints_3d is not None
    easy.keypoints_3d[10:] = np.nan
    models = [score(predictions, TRUTH, [pa]) for predictions in (full, easy)]
    assert [model.results[0].samples["missing"] for model in models] == [0, 0]
    (ranking,) = rank(models, ["full", "easy"], pa)
    assert [row.rank for row in ranking.rows] == [None, None]
    assert "coverage differs (25.0% to 100.0%)" in ranking.remark
    assert {row.label: row.coverage for row in ranking.rows} == {"full": 1.0, "easy": 0.25}


def test_a_model_without_a_value_keeps_no_others_from_their_ranks() -> None:
    pa = custom_protocol(("PA-MPJPE[mm]",))
    flat = score(make_predictions(TRUTH, keypoints_3d=None, rows=slice(0, 30)), TRUTH, [pa])
    good, bad = (score(make_predictions(TRUTH, noise), TRUTH, [pa]) for noise in (3.0, 6.0))
    (ranking,) = rank([flat, bad, good], ["flat", "bad", "good"], pa)
    assert [(row.rank, row.label) for row in ranking.rows] == [
        (1, "good"),
        (2, "bad"),
        (None, "flat"),
    ]
