from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from handbench.surfaces import f_scores, nearest_squares

Floats = npt.NDArray[np.float64]


def cloud(seed: int, points: int, size: float = 0.05) -> Floats:
    return np.random.default_rng(seed).normal(0, size, (points, 3))


def all_distances(first: Floats, second: Floats) -> Floats:
    return np.linalg.norm(first[:, None] - second[None], axis=-1)


def by_hand(first: Floats, second: Floats, threshold: float) -> float:
    distances = all_distances(first, second)
    precision = (distances.min(axis=1) < threshold).mean()
    recall = (distances.min(axis=0) < threshold).mean()
    total = precision + recall
    return float(2 * precision * recall / total) if total else 0.0


def test_one_vertex_a_mesh() -> None:
    truth = np.zeros((1, 1, 3))
    found = np.array([[[0.0, 0.25, 0.0]]])
    # Strictly nearer: at the threshold itself it is too far.
    assert f_scores(found, truth, [0.25, 0.2500001]).tolist() == [[0.0, 1.0]]


def test_precision_and_recall_differ() -> None:
    truth = np.array([[[0.0, 0, 0], [1.0, 0, 0], [2.0, 0, 0], [3.0, 0, 0]]])
    found = np.array([[[0.0, 0, 0.1], [0.0, 0.1, 0]]])
    # Both predicted vertices are near one, one of four true ones is.
    assert f_scores(found, truth, [0.2])[0, 0] == pytest.approx(2 * 1 * 0.25 / 1.25)


@given(
    st.integers(0, 2**31 - 1),
    st.integers(1, 200),
    st.integers(1, 200),
    st.floats(0.001, 0.1),
    st.floats(-0.3, 0.3),
)
def test_it_is_what_comparing_all_with_all_gives(
    seed: int, points: int, others: int, threshold: float, shift: float
) -> None:
    truth = cloud(seed, others)
    found = np.add(cloud(seed + 1, points), [shift, 0.0, 0.5 * shift])
    distances = all_distances(found, truth)
    # Where rounding could decide, either answer is right.
    if np.abs(distances - threshold).min() > 1e-9:
        score = f_scores(found[None], truth[None], [threshold])[0, 0]
        assert score == pytest.approx(by_hand(found, truth, threshold), abs=1e-12)


def test_nearest_squares_up_to_the_reach() -> None:
    first, second = cloud(0, 300), np.add(cloud(1, 170), [0.05, 0.0, 0.0])
    distances = all_distances(first, second)
    for reach in (0.01, 0.03, 1.0):
        for squares, nearest in zip(
            nearest_squares(first, second, reach), (distances.min(axis=1), distances.min(axis=0))
        ):
            found, expected = np.sort(np.sqrt(np.abs(squares))), np.sort(nearest)
            near = int((expected <= reach).sum())
            np.testing.assert_allclose(found[:near], expected[:near], atol=1e-9)
            assert (found[near:] > reach).all()


def test_order_shift_and_turn_change_nothing() -> None:
    rng = np.random.default_rng(0)
    truth, found = cloud(0, 150), cloud(1, 150)
    plain = f_scores(found[None], truth[None], [0.005, 0.015])
    mixed = f_scores(found[None, rng.permutation(150)], truth[None, rng.permutation(150)], [0.005])
    np.testing.assert_array_equal(mixed, plain[:, :1])
    turned = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    moved = [(points @ turned + [3.0, -2.0, 0.7])[None] for points in (found, truth)]
    np.testing.assert_allclose(f_scores(*moved, [0.005, 0.015]), plain, atol=1e-12)
    np.testing.assert_array_equal(f_scores(truth[None], found[None], [0.005, 0.015]), plain)


def test_scores_rise_with_the_threshold_and_perfect_is_one() -> None:
    truth = np.stack([cloud(seed, 90) for seed in range(5)])
    found = truth + np.random.default_rng(9).normal(0, 0.01, truth.shape)
    scores = f_scores(found, truth, [0.002, 0.005, 0.015, 0.05])
    assert (np.diff(scores, axis=1) >= 0).all()
    assert (f_scores(truth, truth, [0.005, 0.015]) == 1.0).all()


def test_far_away_is_nothing_and_missing_is_nan() -> None:
    truth = np.stack([cloud(seed, 40) for seed in range(3)])
    found = truth + 10.0
    found[1, 7, 2] = np.nan
    scores = f_scores(found, truth, [0.005])
    assert scores[:, 0].tolist() == pytest.approx([0.0, np.nan, 0.0], nan_ok=True)
    assert f_scores(found[:0], truth[:0], [0.005, 0.015]).shape == (0, 2)


def test_single_precision_and_thresholds_in_any_order() -> None:
    truth, found = cloud(0, 80), cloud(1, 80)
    narrow = f_scores(found[None].astype(np.float32), truth[None].astype(np.float32), [0.02, 0.005])
    wide = f_scores(found[None], truth[None], [0.005, 0.02])
    np.testing.assert_allclose(narrow[:, ::-1], wide, atol=0.03)
    assert narrow.dtype == np.float64
