from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from handbench import metrics as m
from handbench.errors import ScoreError
from handbench.hand import NUM_JOINTS

quick = settings(max_examples=25, derandomize=True, deadline=None)
errors_with_gaps = arrays(
    np.float64,
    (6, 5),
    elements=st.one_of(st.floats(0, 60), st.just(np.nan), st.just(np.inf)),
)


def same(error: float) -> m.FloatArray:
    return np.full((4, NUM_JOINTS), float(error))


def hand_cloud(seed: int = 0, hands: int = 3) -> m.FloatArray:
    return np.random.default_rng(seed).normal(size=(hands, NUM_JOINTS, 3))


# --- known answers (every joint and sample has the same error) ----------------------------------


@pytest.mark.parametrize(
    ("error_px", "mmpose", "zb2d"),
    [
        (0, 0.95, 1.0),
        (1, 0.95, 0.97368),
        (2, 0.90, 0.92105),
        (5, 0.80, 0.81579),
        (10, 0.65, 0.65789),
        (20, 0.30, 0.34211),
        (29, 0.00, 0.02632),
    ],
)
def test_auc_in_pixels_known_answers(error_px: float, mmpose: float, zb2d: float) -> None:
    errors = same(error_px)
    assert m.auc(errors, 0, 30, rule="left", n=20, cmp="lt") == pytest.approx(mmpose, abs=1e-9)
    assert m.auc(errors, 0, 30, rule="trapz", n=20) == pytest.approx(zb2d, abs=5e-6)


@pytest.mark.parametrize(
    ("error_mm", "freihand", "htt_percent"),
    [
        (0, 1.0, 100),
        (3, 0.94444, 94.5),
        (5, 0.90404, 90.5),
        (10, 0.80303, 80.5),
        (20, 0.60101, 60.5),
        (49, 0.01515, 2.5),
    ],
)
def test_auc_in_millimetres_known_answers(
    error_mm: float, freihand: float, htt_percent: float
) -> None:
    errors = same(error_mm)
    assert m.auc(errors, 0, 50, rule="trapz", n=100) == pytest.approx(freihand, abs=5e-6)
    pooled = m.auc(errors, 0, 50, rule="trapz", n=101, avg="pool")
    assert 100 * pooled == pytest.approx(htt_percent, abs=1e-9)


@pytest.mark.parametrize(("error_mm", "value"), [(20, 1.0), (31, 0.63333), (49, 0.03333)])
def test_auc_20_to_50_known_answers(error_mm: float, value: float) -> None:
    assert m.auc(same(error_mm), 20, 50, rule="trapz", n=16) == pytest.approx(value, abs=5e-6)


@pytest.mark.parametrize("error_mm", [0.2, 7.3, 33.3, 49.9])
def test_freihand_auc_closed_form(error_mm: float) -> None:
    k = np.ceil(error_mm / (50 / 99))
    value = m.auc(same(error_mm), 0, 50, rule="trapz", n=100)
    assert value == pytest.approx((99.5 - k) / 99)


def test_averaging_by_joint_and_pooled() -> None:
    errors = np.array([[1.0, 100.0], [1.0, np.nan]])
    assert m.pck(errors, 10, avg="joint") == 0.5
    assert m.pck(errors, 10, avg="pool") == pytest.approx(2 / 3)
    assert m.epe(errors, avg="pool") == 34.0
    assert m.epe(errors, avg="joint") == 50.5


def test_procrustes_of_a_mirrored_hand() -> None:
    truth = hand_cloud()
    mirrored = truth * [-1.0, 1.0, 1.0]
    valid = np.ones(truth.shape[:2], dtype=bool)
    official = m.align_procrustes(mirrored, truth, valid, reflect=True)
    proper = m.align_procrustes(mirrored, truth, valid)
    assert m.keypoint_errors(official, truth, valid).max() < 1e-9
    assert m.epe(m.keypoint_errors(proper, truth, valid)) == pytest.approx(1.37, abs=0.25)


def test_procrustes_of_zeros_is_the_distance_to_the_centre() -> None:
    truth = hand_cloud()
    valid = np.ones(truth.shape[:2], dtype=bool)
    aligned = m.align_procrustes(np.zeros_like(truth), truth, valid)
    np.testing.assert_allclose(aligned, truth.mean(axis=1, keepdims=True) + 0 * truth)


# --- properties ----------------------------------------------------------------------------------


@quick
@given(st.integers(0, 10_000), st.floats(0.1, 10))
def test_procrustes_undoes_any_similarity(seed: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    truth = hand_cloud(seed)
    rotation = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    rotation *= np.sign(np.linalg.det(rotation))
    moved = scale * truth @ rotation.T + rng.normal(size=3)
    valid = rng.random(truth.shape[:2]) < 0.8
    # What is not labelled must not pull on the fit.
    broken = np.where(valid[..., None], truth, 1e3)
    for reflect in (False, True):
        aligned = m.align_procrustes(moved, broken, valid, reflect=reflect)
        np.testing.assert_allclose(aligned[valid], truth[valid], atol=1e-9)


@quick
@given(errors_with_gaps)
def test_values_are_averages_of_scores(errors: m.FloatArray) -> None:
    for cmp in ("le", "lt"):
        for rule in ("trapz", "left"):
            expected = m.auc(errors, 3, 30, rule=rule, n=7, cmp=cmp)  # type: ignore[arg-type]
            scores = m.auc_scores(errors, 3, 30, rule=rule, n=7, cmp=cmp)  # type: ignore[arg-type]
            np.testing.assert_allclose(m.average(scores), expected, atol=1e-12)
        expected = m.pck(errors, 10, cmp=cmp)  # type: ignore[arg-type]
        scores = m.pck_scores(errors, 10, cmp=cmp)  # type: ignore[arg-type]
        np.testing.assert_allclose(m.average(scores), expected, atol=1e-12)


@quick
@given(errors_with_gaps, st.randoms(use_true_random=False))
def test_order_of_hands_and_unit_change_nothing(errors: m.FloatArray, random: object) -> None:
    shuffled = np.random.default_rng(1).permutation(errors, axis=0)
    for avg in ("joint", "pool"):
        a = m.auc(errors, 0, 30, avg=avg)  # type: ignore[arg-type]
        b = m.auc(shuffled * 1000, 0, 30_000, avg=avg)  # type: ignore[arg-type]
        np.testing.assert_allclose(a, b, atol=1e-12)


@quick
@given(errors_with_gaps)
def test_pck_rises_with_its_threshold_and_le_is_never_below_lt(errors: m.FloatArray) -> None:
    thresholds = np.linspace(0, 60, 13)
    loose = m.pck_curve(errors, thresholds, cmp="le")
    strict = m.pck_curve(errors, thresholds, cmp="lt")
    if not np.isnan(errors).all():
        assert (np.diff(loose) >= 0).all()
        assert (loose >= strict).all()


def test_exact_auc_is_the_limit_of_many_thresholds() -> None:
    errors = np.random.default_rng(0).gamma(2.0, 5.0, size=(50, NUM_JOINTS))
    many = m.auc(errors, 0, 30, rule="trapz", n=20_001)
    assert m.auc(errors, 0, 30) == pytest.approx(many, abs=1e-4)
    many = m.auc(errors, 20, 50, rule="trapz", n=20_001)
    assert m.auc(errors, 20, 50) == pytest.approx(many, abs=1e-4)


def test_a_perfect_prediction_scores_exactly_one() -> None:
    truth = np.random.default_rng(0).uniform(0, 224, (5, NUM_JOINTS, 2))
    errors = m.keypoint_errors(truth, truth, np.ones((5, NUM_JOINTS)))
    assert m.pck(errors, 0.0) == 1.0
    assert m.auc(errors, 0, 30) == 1.0
    assert m.epe(errors) == 0.0


# --- missing hands, missing labels ---------------------------------------------------------------


def test_missed_hands_are_wrong_or_left_out() -> None:
    truth = np.zeros((2, 3, 2))
    found = np.stack([np.full((3, 2), np.nan), np.ones((3, 2))])
    valid = np.array([[True, True, False], [True, True, True]])
    wrong = m.keypoint_errors(found, truth, valid)
    assert np.isinf(wrong[0, :2]).all()
    assert np.isnan(wrong[0, 2])
    assert m.pck(wrong, 2.0, avg="pool") == pytest.approx(3 / 5)
    dropped = m.keypoint_errors(found, truth, valid, missing="drop")
    assert m.pck(dropped, 2.0, avg="pool") == 1.0
    assert m.epe(wrong) == m.epe(dropped) == pytest.approx(np.sqrt(2))


def test_nothing_labelled_is_nan_not_zero() -> None:
    nothing = np.full((3, NUM_JOINTS), np.nan)
    assert np.isnan(m.pck(nothing, 1.0))
    assert np.isnan(m.auc(nothing, 0, 1))
    for stat in ("mean", "median", "p95"):
        assert np.isnan(m.epe(nothing, stat))
        assert np.isnan(m.epe(nothing, stat, avg="joint"))


def test_percentiles_ignore_missed_hands() -> None:
    errors = np.array([[1.0, 2.0], [3.0, 4.0], [np.inf, np.nan]])
    assert m.epe(errors, "median") == 2.5
    assert m.epe(errors, "p50", avg="joint") == 2.5
    assert m.epe(errors, "p95") == pytest.approx(np.percentile([1, 2, 3, 4], 95))


def test_whole_numbers_are_compared_as_numbers() -> None:
    errors = np.full((2, 3), 1)
    assert m.auc(errors, 0, 30, rule="left", n=20, cmp="lt") == pytest.approx(0.95)
    assert m.average(m.pck_scores(errors, 1.5, cmp="lt")) == 1.0
    assert m.average(m.auc_scores(errors, 0, 30, rule="left", n=20)) == pytest.approx(0.95)
    assert m.epe(errors) == 1.0


def test_thresholds_take_the_precision_of_the_errors() -> None:
    # 0.2 in float32 is larger than in float64, so only the float32 comparison is strict-false.
    errors = np.full((1, 1), 0.2, dtype=np.float32)
    assert m.pck(errors, 0.2, cmp="lt") == 0.0
    assert m.pck(errors.astype(np.float64), 0.2, cmp="le") == 0.0
    assert m.pck(errors, 0.2, cmp="le") == 1.0


# --- sizes ---------------------------------------------------------------------------------------


def test_sizes_of_a_hand() -> None:
    points = np.zeros((1, NUM_JOINTS, 2))
    points[0, :, 0] = np.arange(NUM_JOINTS)
    points[0, 9] = [3.0, 40.0]
    valid = np.ones((1, NUM_JOINTS), dtype=bool)
    assert m.tight_size(points, valid) == [40.0]
    assert m.palm_size(points, valid) == [np.hypot(14, 40)]  # middle knuckle to pinky knuckle
    valid[0, 9] = False
    assert m.tight_size(points, valid) == [20.0]
    assert np.isnan(m.palm_size(points, valid)).all()
    assert np.isnan(m.tight_size(points, np.zeros_like(valid))).all()
    assert m.box_size([[5, 5, 30, 20]]) == [30.0]


def test_a_fist_shrinks_its_box_but_not_its_palm() -> None:
    angles = np.radians([-120, -105, -90, -75, -60])
    open_hand = np.zeros((NUM_JOINTS, 2))
    for finger, angle in enumerate(angles):
        for k, radius in enumerate((0.5, 0.7, 0.85, 1.0)):
            way = radius * np.array([np.cos(angle), np.sin(angle)])
            open_hand[1 + 4 * finger + k] = way
    fist = open_hand.copy()
    for finger in range(5):
        base = 1 + 4 * finger
        fist[base + 1 : base + 4] = open_hand[base]
    hands = np.stack([open_hand, fist])
    valid = np.ones(hands.shape[:2], dtype=bool)
    tight, palm = m.tight_size(hands, valid), m.palm_size(hands, valid)
    assert tight[1] < 0.7 * tight[0]
    assert palm[1] == palm[0]


def test_normalise_leaves_out_hands_without_size() -> None:
    errors = np.array([[1.0, np.inf], [1.0, np.inf], [1.0, np.inf], [1.0, np.inf]])
    scaled = m.normalise(errors, [2.0, 0.0, -1.0, np.nan])
    np.testing.assert_array_equal(scaled[0], [0.5, np.inf])
    assert np.isnan(scaled[1:]).all()


# --- alignment -----------------------------------------------------------------------------------


def test_root_alignment_removes_a_translation() -> None:
    truth = hand_cloud()
    np.testing.assert_allclose(m.align_root(truth + 5, 3), m.align_root(truth, 3), atol=1e-12)
    assert (m.align_root(truth, 3)[:, 3] == 0).all()


def test_scale_alignment_is_the_least_squares_factor() -> None:
    truth = hand_cloud()
    valid = np.ones(truth.shape[:2], dtype=bool)
    np.testing.assert_allclose(m.align_scale(truth / 3, truth, valid), truth)
    assert (m.align_scale(0 * truth, truth, valid) == 0).all()


def test_procrustes_needs_four_joints_that_are_not_on_a_line() -> None:
    truth = hand_cloud(hands=3)
    truth[2] = truth[2, :1] + np.arange(NUM_JOINTS)[:, None] * [0.1, 0.2, -0.3]
    valid = np.zeros(truth.shape[:2], dtype=bool)
    valid[0, :3] = valid[1, :4] = valid[2] = True
    aligned = m.align_procrustes(truth, truth, valid)
    assert np.isnan(aligned[[0, 2]]).all()
    np.testing.assert_allclose(aligned[1], truth[1], atol=1e-9)


# --- errors --------------------------------------------------------------------------------------


def test_wrong_shapes_and_words_are_refused() -> None:
    with pytest.raises(ScoreError, match=r"found \(2, 21, 2\), \(1, 21, 2\)"):
        m.keypoint_errors(np.zeros((2, 21, 2)), np.zeros((1, 21, 2)), np.ones((1, 21)))
    with pytest.raises(ScoreError, match="cmp must be 'le' or 'lt', found 'ge'"):
        m.pck(same(1), 1, cmp="ge")  # type: ignore[arg-type]
    with pytest.raises(ScoreError, match="avg must be"):
        m.pck(same(1), 1, avg="mean")  # type: ignore[arg-type]
    with pytest.raises(ScoreError, match="stat must be"):
        m.epe(same(1), "p100")
    with pytest.raises(ScoreError, match="low < high, found 30 to 30"):
        m.auc(same(1), 30, 30)
    with pytest.raises(ScoreError, match="found 'trapz' with n = 1"):
        m.auc(same(1), 0, 30, rule="trapz", n=1)
