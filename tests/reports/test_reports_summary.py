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
    ):
        assert sum(row.labelled for row in rows) == HANDS * 21
        assert sum(row.missed for row in rows) == 4 * 21


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
