from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scored_models import HANDS, scored

from handbench.hdf5.reader import HandFile
from handbench.reports import summary


def test_a_shift_is_the_error_of_every_group(tiny: HandFile) -> None:
    errors = scored(tiny, shift=3.0).errors
    for rows in (
        summary.by_joint(errors, summary.PIXELS),
        summary.by_finger(errors, summary.PIXELS),
        summary.by_joint_type(errors, summary.PIXELS),
        summary.by_visibility(errors, summary.PIXELS),
        summary.by_side(errors, summary.PIXELS),
    ):
        assert len(rows) > 1
        for row in rows:
            assert (row.median, row.mean, row.p95) == pytest.approx((3.0, 3.0, 3.0))
            assert row.missed == 0


def test_groups_share_out_all_labelled_joints(tiny: HandFile) -> None:
    errors = scored(tiny, missing=4).errors
    for rows in (
        summary.by_joint(errors, summary.PIXELS),
        summary.by_finger(errors, summary.PIXELS),
        summary.by_joint_type(errors, summary.PIXELS),
        summary.by_visibility(errors, summary.PIXELS),
        summary.by_side(errors, summary.PIXELS),
    ):
        assert sum(row.labelled for row in rows) == HANDS * 21
        assert sum(row.missed for row in rows) == 4 * 21


def test_occluded_joints_are_told_apart(tiny: HandFile) -> None:
    errors = scored(tiny).errors
    rows = {row.name: row.labelled for row in summary.by_visibility(errors, summary.PIXELS)}
    assert rows == {"visible": HANDS * 17, "occluded": HANDS * 4}


def test_one_kind_alone_needs_no_breakdown(tiny: HandFile) -> None:
    errors = dataclasses.replace(scored(tiny).errors, is_right=np.ones(HANDS, np.int8))
    assert summary.by_side(errors, summary.PIXELS) == []


def test_a_joint_without_labels_has_no_error(tiny: HandFile) -> None:
    errors = scored(tiny).errors
    values = errors.errors_px.copy()
    values[:, 8] = np.nan
    row = summary.by_joint(dataclasses.replace(errors, joints={"px": values}), summary.PIXELS)[8]
    assert row == summary.GroupErrors("index_tip", 0, 0, None, None, None, None, "index")


def test_share_of_the_box() -> None:
    values = np.array([[5.0, 5.0], [10.0, np.inf]])
    row = summary.group_errors("x", values, np.array([100.0, 100.0]))
    assert row.of_box == pytest.approx(0.05)
    assert (row.labelled, row.missed) == (4, 1)


def test_mean_of_a_hand_keeps_missed_and_unlabelled_apart() -> None:
    values = np.array(
        [[1.0, 3.0], [np.nan, 4.0], [np.inf, np.inf], [np.nan, np.nan], [2.0, np.inf]]
    )
    np.testing.assert_array_equal(summary.hand_means(values), [2.0, 4.0, np.inf, np.nan, 2.0])


def test_basis_is_millimetres_only_without_pixels(tiny: HandFile) -> None:
    plain = scored(tiny)
    assert summary.choose_basis([plain]) == summary.PIXELS
    nothing = np.full((HANDS, 21), np.nan)
    only_3d = dataclasses.replace(
        plain,
        errors=dataclasses.replace(plain.errors, joints={"px": nothing, "mm,root=0": nothing + 1}),
    )
    assert summary.choose_basis([only_3d]) == summary.MILLIMETRES
    assert summary.choose_basis([only_3d, plain]) == summary.PIXELS


@pytest.mark.parametrize("hands", range(13))
def test_picks_never_show_a_hand_twice(tiny: HandFile, hands: int) -> None:
    errors = scored(tiny, noise=2.0).errors
    kept = dataclasses.replace(
        errors, joints={"px": errors.errors_px[:hands]}, predicted=errors.predicted[:hands]
    )
    picks = summary.pick_samples(kept, 4)
    chosen = [*picks.worst, *picks.median, *picks.best]
    assert len(set(chosen)) == len(chosen)
    assert len(chosen) == (min(4, max(1, hands // 3)) * 3 if hands >= 3 else hands)


def test_picks_are_the_extremes(tiny: HandFile) -> None:
    errors = scored(tiny, noise=2.0, missing=2).errors
    means = summary.hand_means(errors.errors_px)
    picks = summary.pick_samples(errors, 3)
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
    assert summary.disagreements([one, other], 3) == ["test/0007", "test/0012"]
