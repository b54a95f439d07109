from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scored_models import scored

from handbench.hdf5.reader import HandFile
from handbench.reports import summary
from handbench.reports.picks import (
    OFF,
    codes_from_size,
    disagreements,
    pick_of_each_kind,
    pick_of_each_pair,
    pick_samples,
)
from handbench.scores.error_classes import NOT_DIAGNOSED, KeypointClass

SWAP, MISS = KeypointClass.SWAP, KeypointClass.MISS


@pytest.mark.parametrize("hands", range(13))
def test_picks_never_show_a_hand_twice(tiny: HandFile, hands: int) -> None:
    errors = scored(tiny, noise=2.0).errors
    kept = dataclasses.replace(
        errors, joints={"px": errors.errors_px[:hands]}, predicted=errors.predicted[:hands]
    )
    picks = pick_samples(kept, 4)
    chosen = [*picks.worst, *picks.median, *picks.best]
    assert len(set(chosen)) == len(chosen)
    assert len(chosen) == (min(4, max(1, hands // 3)) * 3 if hands >= 3 else hands)


def test_picks_are_the_extremes(tiny: HandFile) -> None:
    errors = scored(tiny, noise=2.0, missing=2).errors
    means = summary.hand_means(errors.errors_px)
    picks = pick_samples(errors, 3)
    order = np.argsort(means[np.isfinite(means)]) + 2
    assert picks.best == order[:3].tolist()
    assert picks.worst == order[::-1][:3].tolist()
    assert set(picks.median) <= set(order[7:15].tolist())
    assert picks.missed == [0, 1]


def test_disagreement_is_the_widest_gap_among_hands_both_found(tiny: HandFile) -> None:
    one, other = scored(tiny, "a"), scored(tiny, "b", missing=3)
    values = other.errors.errors_px.copy()
    values[7] += 40.0
    values[12] += 20.0
    other = dataclasses.replace(
        other, errors=dataclasses.replace(other.errors, joints={"px": values})
    )
    assert disagreements([one, other], 3) == ["test/0007", "test/0012"]


def test_codes_by_size_alone_know_good_jitter_off_and_missed(tiny: HandFile) -> None:
    errors = scored(tiny, missing=1).errors
    size = errors.tight_px[5]
    values = errors.errors_px.copy()
    values[5, :4] = np.array([0.05, 0.1, 0.11, np.nan]) * size
    codes = codes_from_size(dataclasses.replace(errors, joints={"px": values}))
    good, jitter = KeypointClass.GOOD, KeypointClass.JITTER
    assert codes[5, :4].tolist() == [good, jitter, OFF, NOT_DIAGNOSED]
    assert (codes[0] == KeypointClass.MISSED_HAND).all()


def test_the_hands_with_most_of_a_kind_are_its_examples() -> None:
    codes = np.zeros((5, 21), np.uint8)
    codes[1, :2] = SWAP
    codes[3, :7] = SWAP
    codes[3, 7] = MISS
    codes[4, 0] = SWAP
    assert pick_of_each_kind(codes, [SWAP], 2) == [3, 1]
    # A hand that shows two kinds is shown once.
    assert pick_of_each_kind(codes, [SWAP, MISS], 2) == [3, 1]
    assert pick_of_each_kind(codes, [KeypointClass.INVERSION], 2) == []


def test_every_kind_is_shown_at_every_joint_that_has_it() -> None:
    codes = np.zeros((12, 21), np.uint8)
    codes[3, 8] = MISS
    codes[4, [8, 12]] = MISS
    codes[7, [8, 12]] = SWAP
    codes[9, [4, 8, 12]] = SWAP
    assert pick_of_each_pair(codes, [SWAP, MISS], []) == [9, 4]
    # Row 3 is on the page and shows a missed index tip, but no missed middle tip.
    assert pick_of_each_pair(codes, [MISS], [3]) == [4]
    assert pick_of_each_pair(codes, [MISS], [4]) == []


@pytest.mark.parametrize("seed", range(5))
def test_no_filter_comes_back_empty_for_what_occurs(seed: int) -> None:
    codes = np.random.default_rng(seed).choice(
        np.arange(9, dtype=np.uint8), (60, 21), p=[0.8, *([0.025] * 8)]
    )
    kinds = list(range(2, 9))
    rows = pick_of_each_pair(codes, kinds, [])
    assert len(set(rows)) == len(rows)
    for kind in kinds:
        np.testing.assert_array_equal(
            (codes[rows] == kind).any(axis=0), (codes == kind).any(axis=0)
        )
