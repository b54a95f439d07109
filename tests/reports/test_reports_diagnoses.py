from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from generators.scored import make_predictions, make_truth

from handbench.reports.diagnoses import (
    codes_of,
    diagnosis_of,
    diagnosis_view,
    kinds_that_occur,
    largest_cost,
)
from handbench.scores.error_classes import KeypointClass
from handbench.scores.protocols import HANDBENCH
from handbench.scores.results import Evaluation
from handbench.scores.scoring import score
from handbench.scores.truth import Truth

TRUTH = make_truth(20)


def swapped(truth: Truth = TRUTH, **options: object) -> Evaluation:
    """Index and middle finger of the first five hands are exchanged; the last hand is missed."""
    points = truth.keypoints.copy()
    points[:5, 5:13] = points[:5][:, [9, 10, 11, 12, 5, 6, 7, 8]]
    predictions = make_predictions(truth, 0.0, keypoints=points)
    rows = slice(0, 19)
    assert predictions.keypoints_3d is not None
    predictions = dataclasses.replace(
        predictions,
        id=truth.sample_id[rows],
        keypoints=points[rows],
        keypoints_3d=predictions.keypoints_3d[rows],
    )
    return score(predictions, truth, [HANDBENCH], **options)  # type: ignore[arg-type]


def test_costs_and_shares_are_those_of_the_diagnosis() -> None:
    diagnosis = swapped(diagnosis=True).diagnosis
    assert diagnosis is not None
    view = diagnosis_view(diagnosis, "net", largest_cost([diagnosis, None]))
    assert view.keypoints == 20 * 21
    assert [kind.name for kind in view.kinds] == ["swap", "missed hand", "good"]
    swap = view.kind(KeypointClass.SWAP)
    assert swap is not None
    assert (swap.keypoints, swap.hands, swap.share) == (40, 5, pytest.approx(40 / 420))
    # What is missing to a perfect score is shared out among the kinds.
    for place, value in enumerate(view.metrics.values()):
        assert sum(kind.costs[place] for kind in view.kinds) == pytest.approx(1 - value)
    assert "swap 9.5 %" in view.shares
    assert any(line.startswith("swaps: index at middle 20") for line in view.remarks)


def test_stored_points_are_diagnosed_as_the_predictions_were() -> None:
    whole, stored = swapped(diagnosis=True), swapped()
    found = diagnosis_of(stored, TRUTH)
    assert found is not None
    assert whole.diagnosis is not None
    np.testing.assert_array_equal(found.classified.codes, whole.diagnosis.classified.codes)
    assert diagnosis_of(whole, TRUTH) is whole.diagnosis
    # Their depth is not stored.
    assert "diagnosis=True" in found.not_judged["depth flip"]
    assert "depth flip" not in whole.diagnosis.not_judged


def test_without_points_or_truth_there_is_none() -> None:
    evaluation = swapped()
    assert diagnosis_of(evaluation, None) is None
    errors = evaluation.errors
    nothing = dataclasses.replace(
        errors, keypoints_px=np.full_like(errors.keypoints_px, np.nan), joints={}
    )
    assert diagnosis_of(dataclasses.replace(evaluation, errors=nothing), TRUTH) is None
    assert largest_cost([None, None]) == 0.0


def test_examples_are_looked_for_in_the_order_of_costs() -> None:
    evaluation = swapped(diagnosis=True)
    codes = codes_of(evaluation, evaluation.diagnosis)
    kinds = kinds_that_occur(codes, evaluation.diagnosis)
    assert kinds == [KeypointClass.SWAP, KeypointClass.MISSED_HAND]
    assert set(kinds_that_occur(codes_of(evaluation, None), None)) == {9, 254}
