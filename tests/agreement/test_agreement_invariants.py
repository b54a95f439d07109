"""What must hold for every protocol: perfect scores, any order, errors of known distribution."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import alignment
from reference.comparing import assert_agree, metric_values, protocol_values
from reference.joint_errors import Floats
from reference.random_hands import RandomHands, random_hands

from handbench.alignment import align_procrustes
from handbench.scores.protocols import PROTOCOLS, find_protocol

NAMES = [protocol.name for protocol in PROTOCOLS]
HOLES = 0.1


def perfect(hands: RandomHands) -> RandomHands:
    truth = hands.truth
    return replace(
        hands,
        predictions=replace(
            hands.predictions,
            # What nobody labelled may be predicted anywhere.
            keypoints=np.nan_to_num(truth.keypoints, nan=-50.0),
            keypoints_3d=np.nan_to_num(hands.keypoints_3d[0], nan=0.5),
            vertices=hands.vertices[0],
            is_right=truth.is_right,
        ),
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_perfect_prediction_scores_one_or_zero(name: str) -> None:
    protocol = find_protocol(name)
    hands = perfect(random_hands(vertices=40, holes=HOLES))
    values = protocol_values(hands, name)
    checked = 0
    for metric in protocol.metrics(with_3d=True):
        if metric.of != "model":
            continue
        value, label = values[str(metric)], f"{name}: {metric}"
        aligned = metric.alignment not in (None, "cam", "root") or metric.bone is not None
        if metric.is_distance:
            assert value == 0.0 or (aligned and value < 1e-9), label
        elif metric.rule == "left" and metric.cmp == "lt":
            # Strictly below the first threshold of 0 is nobody, so one of 20 is lost.
            assert value == pytest.approx(0.95, abs=1e-12), label
        elif aligned and metric.quantity == "AUC":
            # A fit leaves rounding errors, and the first threshold of a grid is 0: up to half a
            # step of 99 is lost, in the official scripts all of it.
            assert 98.5 / 99 - 1e-12 <= value <= 1.0, label
        else:
            assert value == pytest.approx(1.0, abs=1e-12), label
        checked += 1
    assert checked > 2


@pytest.mark.parametrize("name", NAMES)
def test_the_order_of_samples_changes_nothing(name: str) -> None:
    hands = random_hands(vertices=40, holes=HOLES)
    assert_agree(
        protocol_values(hands.shuffled(), name), protocol_values(hands, name), tolerance=1e-9
    )


@pytest.mark.parametrize(
    ("error_px", "mmpose_auc", "zb2d_auc"),
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
def test_the_same_error_in_pixels_everywhere(
    error_px: float, mmpose_auc: float, zb2d_auc: float
) -> None:
    hands = perfect(random_hands(6, vertices=4, holes=HOLES))
    points = hands.keypoints[1] + [0.6 * error_px, -0.8 * error_px]
    hands = replace(hands, predictions=replace(hands.predictions, keypoints=points))
    names = {
        "mmpose": {"AUC@0-30px[n=20,rule=left,cmp=lt]": mmpose_auc},
        "zb2d": {"AUC@0-30px[n=20,joints=visible]": zb2d_auc},
    }
    for protocol, expected in names.items():
        found = protocol_values(hands, protocol)
        assert_agree(found, expected, tolerance=5e-6)
    assert_agree(metric_values(hands, "EPE[px]"), {"EPE[px]": error_px})


@pytest.mark.parametrize(
    ("error_mm", "freihand_auc", "percent_of_101", "from_20"),
    [
        (0, 1.0, 100, 1.0),
        (3, 0.94444, 94.5, 1.0),
        (5, 0.90404, 90.5, 1.0),
        (10, 0.80303, 80.5, 1.0),
        (20, 0.60101, 60.5, 1.0),
        (31, None, None, 0.63333),
        (49, 0.01515, 2.5, 0.03333),
    ],
)
def test_the_same_error_in_millimetres_everywhere(
    error_mm: float, freihand_auc: float | None, percent_of_101: float | None, from_20: float
) -> None:
    hands = perfect(random_hands(6, vertices=4, holes=HOLES))
    # A hair less: 20 and 5 mm stand on thresholds, and metres of float64 round either way.
    step = (error_mm - 1e-9) / 1000 if error_mm else 0.0
    points = hands.keypoints_3d[1] + [0.0, 0.6 * step, 0.8 * step]
    hands = replace(hands, predictions=replace(hands.predictions, keypoints_3d=points))
    expected = {"AUC@20-50mm[cam,n=16]": from_20}
    if freihand_auc is not None and percent_of_101 is not None:
        expected["AUC@0-50mm[cam,n=100]"] = freihand_auc
        expected["AUC@0-50mm[cam,n=101,avg=pool]"] = percent_of_101 / 100
    assert_agree(metric_values(hands, *expected), expected, tolerance=5e-6)


# --- alignment ------------------------------------------------------------------------------------


@settings(max_examples=50)
@given(
    st.integers(0, 2**31 - 1),
    st.floats(0.01, 100.0),
    st.floats(-1.0, 1.0),
    st.integers(4, 21),
)
def test_alignment_recovers_any_similarity(
    seed: int, scale: float, shift: float, labelled: int
) -> None:
    rng = np.random.default_rng(seed)
    truth = np.array([0.0, 0.0, 0.6]) + rng.normal(0, 0.05, (1, 21, 3))
    rotation = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    rotation *= np.linalg.det(rotation)
    moved = scale * truth @ rotation.T + shift * rng.normal(size=3)
    valid = np.zeros((1, 21), dtype=bool)
    valid[0, rng.permutation(21)[:labelled]] = True
    for reflect in (False, True):
        back = align_procrustes(moved, truth, valid, reflect=reflect)
        np.testing.assert_allclose(back, truth, rtol=0, atol=1e-9)
    mirrored = moved * [1.0, -1.0, 1.0]
    back = align_procrustes(mirrored, truth, valid, reflect=True)
    np.testing.assert_allclose(back, truth, rtol=0, atol=1e-9)


@settings(max_examples=25)
@given(st.integers(0, 2**31 - 1), st.floats(0.0, 0.03))
def test_alignment_agrees_with_both_references(seed: int, noise: float) -> None:
    rng = np.random.default_rng(seed)
    truth = np.array([0.0, 0.0, 0.6]) + rng.normal(0, 0.05, (21, 3))
    found = truth[:, [1, 0, 2]] * rng.uniform(0.3, 3.0) + rng.normal(0, noise, (21, 3))
    everywhere = np.ones((1, 21), dtype=bool)
    for reflect, reference in ((True, alignment.official), (False, alignment.proper)):
        ours = align_procrustes(found[None], truth[None], everywhere, reflect=reflect)[0]
        # The official script adds 1e-8 m to the size of either hand. That shows where a small
        # prediction fits perfectly, as some hundredths of a micrometre.
        atol = 1e-7 if reflect else 1e-12
        np.testing.assert_allclose(ours, reference(truth, found), rtol=0, atol=atol)


# --- errors of known distribution ----------------------------------------------------------------


def rayleigh_hands(sigma: float, photos: int = 300) -> RandomHands:
    """Predictions off by Gaussian noise of `sigma` px in x and in y: Rayleigh distances.

    The distances are the quantiles of the distribution instead of draws from it, so that closed
    forms hold to 1 / number of joints and not to its root.
    """
    hands = random_hands(photos)
    rng = np.random.default_rng(5)
    number = len(hands) * 21
    share = (rng.permutation(number) + 0.5) / number
    distance = sigma * np.sqrt(-2 * np.log1p(-share)).reshape(-1, 21)
    angle = rng.uniform(0, 2 * np.pi, distance.shape)
    step: Floats = distance[..., None] * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    found = hands.truth.keypoints + step
    boxes = np.tile([0.0, 0.0, 100.0, 60.0], (len(hands), 1))
    return RandomHands(
        replace(hands.truth, bbox=boxes), replace(hands.predictions, keypoints=found)
    )


def mean_pck(sigma: float, low: float, high: float) -> float:
    """Mean over thresholds from `low` to `high` of 1 - exp(-t² / 2σ²)."""

    def integral(t: float) -> float:
        return t - sigma * math.sqrt(math.pi / 2) * math.erf(t / (sigma * math.sqrt(2)))

    return (integral(high) - integral(low)) / (high - low)


@pytest.mark.parametrize("sigma", [2.0, 6.0, 15.0])
def test_rayleigh_errors(sigma: float) -> None:
    hands = rayleigh_hands(sigma)
    closed = {"EPE[px]": sigma * math.sqrt(math.pi / 2)}
    closed["EPE[px,stat=median]"] = sigma * math.sqrt(2 * math.log(2))
    closed["EPE[px,stat=p95]"] = sigma * math.sqrt(2 * math.log(20))
    for threshold in (1.0, 5.0, 20.0):
        hit = 1 - math.exp(-(threshold**2) / (2 * sigma**2))
        closed[f"PCK@{threshold:g}px[avg=pool]"] = hit
        closed[f"PCK@{threshold / 100}[bbox,avg=pool]"] = hit
    closed["AUC@0-30px[rule=exact,avg=pool]"] = mean_pck(sigma, 0, 30)
    closed["AUC@5-20px[rule=exact,avg=pool]"] = mean_pck(sigma, 5, 20)
    thresholds = np.linspace(0, 30, 20)
    curve = 1 - np.exp(-(thresholds**2) / (2 * sigma**2))
    closed["AUC@0-30px[n=20,avg=pool]"] = float((curve[1:] + curve[:-1]).mean()) / 2
    left = 1 - np.exp(-((1.5 * np.arange(20)) ** 2) / (2 * sigma**2))
    closed["AUC@0-30px[n=20,rule=left,cmp=lt,avg=pool]"] = float(left.mean())
    # The quantiles' grid: the tail of the mean is the coarsest.
    assert_agree(metric_values(hands, *closed), closed, tolerance=5e-4 * sigma)
    shares = {name: value for name, value in closed.items() if not name.startswith("EPE")}
    assert_agree(metric_values(hands, *shares), shares, tolerance=2e-4)
