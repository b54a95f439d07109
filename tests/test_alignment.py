from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from handbench.alignment import (
    MIN_POINTS,
    align_bone,
    align_procrustes,
    align_root,
    align_scale,
    alignable,
    bone_factor,
    fit_similarity,
    scale_factor,
)

Floats = npt.NDArray[np.float64]


def clouds(seed: int = 0, hands: int = 4, points: int = 21) -> Floats:
    return np.random.default_rng(seed).normal(0, 0.05, (hands, points, 3))


def rotation(seed: int) -> Floats:
    turned = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))[0]
    return turned * np.linalg.det(turned)


def everywhere(points: Floats) -> npt.NDArray[np.bool_]:
    return np.ones(points.shape[:2], dtype=bool)


# --- root, bone, scale ----------------------------------------------------------------------------


def test_root_of_any_joint_becomes_the_origin() -> None:
    hands = clouds()
    moved = align_root(hands, 9)
    assert not moved[:, 9].any()
    np.testing.assert_allclose(moved[:, 4], hands[:, 4] - hands[:, 9])
    hands[1, 9] = np.nan
    assert np.isnan(align_root(hands, 9)[1]).all()


def test_bone_by_hand() -> None:
    truth, found = np.zeros((2, 1, 21, 3))
    truth[0, 9] = [0.0, 6.0, 8.0]
    found[0, :] = [1.0, 1.0, 1.0]
    found[0, 9] += [5.0, 0.0, 0.0]
    found[0, 3] += [0.0, 2.0, 0.0]
    assert bone_factor(found, truth, (0, 9)) == 2.0
    moved = align_bone(found, truth, (0, 9))[0]
    np.testing.assert_array_equal(moved[[0, 3, 9]], [[0, 0, 0], [0, 4, 0], [10, 0, 0]])
    # About joint 9: it is in the origin and the wrist is ten away.
    np.testing.assert_array_equal(align_bone(found, truth, (0, 9), 9)[0, 0], [-10, 0, 0])


def test_a_bone_or_a_hand_without_size_stays_zero() -> None:
    truth = clouds()
    nothing = np.zeros_like(truth)
    assert not align_bone(nothing, truth, (0, 9)).any()
    assert not align_scale(nothing, truth, everywhere(truth)).any()


def test_scale_is_the_least_squares_factor_of_labelled_joints() -> None:
    truth = clouds()
    valid = everywhere(truth)
    valid[:, 5:] = False
    found = truth / 3
    found[:, 5:] = 100.0
    np.testing.assert_allclose(scale_factor(found, truth, valid), 3.0)
    np.testing.assert_allclose(align_scale(found, truth, valid)[:, :5], truth[:, :5])
    best = float(scale_factor(found + 0.01, truth, valid)[0])

    def squares(factor: float) -> float:
        return float(((factor * (found[0, :5] + 0.01) - truth[0, :5]) ** 2).sum())

    assert squares(best) < min(squares(best * 0.99), squares(best * 1.01))


# --- similarity -----------------------------------------------------------------------------------


@given(st.integers(0, 2**31 - 1), st.floats(0.01, 100.0), st.integers(MIN_POINTS, 21))
def test_a_fit_names_the_similarity_that_was_applied(
    seed: int, scale: float, labelled: int
) -> None:
    truth = clouds(seed, hands=1)
    turned = rotation(seed)
    found = (truth @ turned) / scale + 0.3
    valid = everywhere(truth)
    valid[:, labelled:] = False
    fit = fit_similarity(found, truth, valid)
    np.testing.assert_allclose(fit.rotation[0], turned, atol=1e-7)
    np.testing.assert_allclose(fit.scale, scale, rtol=1e-7)
    assert not fit.reflects().any()
    # What was not labelled moves along.
    np.testing.assert_allclose(fit.apply(found), truth, atol=1e-9)


@given(st.integers(0, 2**31 - 1), st.floats(0.0, 0.05), st.booleans())
def test_no_other_similarity_fits_better(seed: int, noise: float, reflect: bool) -> None:
    rng = np.random.default_rng(seed)
    truth = clouds(seed, hands=1)
    found = truth + rng.normal(0, noise, truth.shape)
    fit = fit_similarity(found, truth, everywhere(truth), reflect=reflect)
    best = ((fit.apply(found) - truth) ** 2).sum()
    nudge = rotation(seed)
    nudged = np.linalg.svd(np.eye(3) + 1e-3 * (nudge - nudge.T))
    small = nudged[0] @ nudged[2]
    for other in (
        (fit.apply(found) - fit.target[:, None]) @ small + fit.target[:, None],
        (fit.apply(found) - fit.target[:, None]) * 1.001 + fit.target[:, None],
        fit.apply(found) + 1e-4,
    ):
        assert ((other - truth) ** 2).sum() >= best - 1e-15


def test_reflections_only_where_they_are_allowed() -> None:
    truth = clouds(hands=6)
    found = truth.copy()
    found[::2] *= [1.0, 1.0, -1.0]
    free = fit_similarity(found, truth, everywhere(truth), reflect=True)
    proper = fit_similarity(found, truth, everywhere(truth), reflect=False)
    assert free.reflects().tolist() == [True, False] * 3
    assert not proper.reflects().any()
    np.testing.assert_allclose(free.apply(found), truth, atol=1e-12)
    errors = np.linalg.norm(proper.apply(found) - truth, axis=-1).mean(axis=1)
    assert errors[::2].min() > 0.01
    np.testing.assert_allclose(errors[1::2], 0.0, atol=1e-12)
    # Where no reflection is chosen both are the same fit.
    np.testing.assert_array_equal(free.rotation[1::2], proper.rotation[1::2])


def test_a_prediction_of_one_point_goes_to_the_middle() -> None:
    truth = clouds(hands=2)
    moved = align_procrustes(np.full_like(truth, 0.7), truth, everywhere(truth), reflect=True)
    np.testing.assert_allclose(moved, truth.mean(axis=1, keepdims=True) + 0 * truth, atol=1e-12)


def test_what_cannot_be_aligned_is_nan() -> None:
    truth = clouds(hands=5)
    truth[1] = np.linspace(0, 1, 21)[:, None] * [1.0, 2.0, 3.0]
    truth[2] = 0.5
    valid = everywhere(truth)
    valid[3, MIN_POINTS - 1 :] = False
    found = clouds(1, hands=5)
    found[4] = np.nan
    assert alignable(truth, valid).tolist() == [True, False, False, False, True]
    moved = align_procrustes(found, truth, valid)
    assert np.isnan(moved).all(axis=(1, 2)).tolist() == [False, True, True, True, True]
    # Four points in a plane are enough for a proper rotation.
    flat = clouds(hands=1, points=4) * [1.0, 1.0, 0.0]
    assert alignable(flat, everywhere(flat)).all()


def test_unlabelled_joints_have_no_say() -> None:
    truth = clouds()
    found = truth @ rotation(1) + 0.1
    valid = everywhere(truth)
    valid[:, 10:] = False
    plain = align_procrustes(found, truth, valid)
    labelled = truth.copy()
    labelled[:, 10:] = np.nan
    np.testing.assert_array_equal(align_procrustes(found, labelled, valid), plain)
    np.testing.assert_allclose(plain[:, :10], truth[:, :10], atol=1e-12)


def test_a_foreign_mesh_is_turned_about_its_own_middle_and_loses_its_size() -> None:
    truth, mesh = clouds(hands=1), clouds(2, hands=1, points=30)
    turned = rotation(3)
    fit = fit_similarity(2 * truth @ turned.T + 0.5, truth, everywhere(truth))
    far = 2 * mesh @ turned.T + 0.5
    moved = fit.apply_to_foreign_mesh(far)
    np.testing.assert_allclose(fit.apply(far), mesh, atol=1e-12)
    middle = far.mean(axis=1)
    shift = truth.mean(axis=1) - (2 * truth @ turned.T + 0.5).mean(axis=1)
    np.testing.assert_allclose(moved.mean(axis=1), middle + shift, atol=1e-12)
    size = np.linalg.norm(truth - truth.mean(axis=1))
    spread = np.linalg.norm(moved - moved.mean(axis=1))
    assert spread == pytest.approx(2 * np.linalg.norm(mesh - mesh.mean(axis=1)) * size)


def test_single_precision_is_aligned_in_double() -> None:
    truth = clouds()
    found = (truth @ rotation(4)).astype(np.float32)
    moved = align_procrustes(found, truth.astype(np.float32), everywhere(truth))
    assert moved.dtype == np.float64
    np.testing.assert_allclose(moved, truth, atol=1e-7)
