"""3D protocols without meshes against loops: ``dexycb``, ``auc3d_20_50`` and ``interhand``."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from reference import auc3d, dexycb, interhand
from reference.comparing import assert_agree, metric_values, protocol_values
from reference.interhand_images import images_of
from reference.random_hands import RandomHands, random_hands

SEEDS = (0, 1, 2)


@pytest.mark.parametrize("seed", SEEDS)
def test_dexycb(seed: int) -> None:
    hands = random_hands(seed=seed)
    truth, prediction = hands.keypoints_3d
    samples = dict(enumerate(truth))
    # A sample of -1 is one that the script skips; handbench's file has no such row.
    samples[len(hands)] = np.full((21, 3), -1.0)
    scores = dexycb.scores(samples, dict(enumerate(1000 * prediction)))
    expected = {
        "MPJPE[mm,cam,avg=joint]": scores["cam"],
        "AUC@0-50mm[cam,n=100]": scores["cam_auc"],
        "MPJPE[mm,root=0,avg=joint]": scores["root"],
        "AUC@0-50mm[root=0,n=100]": scores["root_auc"],
        "MPJPE[mm,pa-reflect,avg=joint]": scores["pa"],
        "AUC@0-50mm[pa-reflect,n=100]": scores["pa_auc"],
    }
    assert 5 < scores["pa"] < min(scores["root"], scores["cam"])
    assert_agree(protocol_values(hands, "dexycb"), expected)


@pytest.mark.parametrize("seed", SEEDS)
def test_areas_from_20_to_50(seed: int) -> None:
    hands = random_hands(seed=seed)
    truth, prediction = (list(1000 * points) for points in hands.keypoints_3d)
    expected = {
        f"AUC@20-50mm[root=0,n={n}]": auc3d.root_given(truth, prediction, n) for n in (15, 16, 20)
    }
    for n in (15, 16, 20):
        name = f"AUC@20-50mm[root=9,bone=0-9,n={n}]"
        expected[name] = auc3d.scale_fitted(truth, prediction, n)
    given = auc3d.errors_with_root_given(truth, prediction)
    expected |= {
        "AUC@0-50mm[root=0,n=20]": given.auc(0.0, 50.0, 20),
        "MPJPE[mm,root=0,avg=joint]": given.mean(),
        "MPJPE[mm,root=0,stat=median,avg=joint]": given.median(),
    }
    assert len({round(value, 6) for value in expected.values()}) == len(expected)
    assert_agree(protocol_values(hands, "auc3d_20_50"), expected)


@pytest.mark.parametrize("seed", SEEDS)
def test_interhand(seed: int) -> None:
    hands = random_hands(60, seed=seed, holes=0.15)
    images = images_of(hands)
    official, pooled = interhand.official_mpjpe(images), interhand.pooled_mpjpe(images)
    assert len({round(value, 6) for value in (*official.values(), *pooled.values())}) == 6
    expected = {
        "MPJPE[mm,root=0,avg=side]": official["all"],
        "MPJPE[mm,root=0,avg=side,hands=single]": official["single"],
        "MPJPE[mm,root=0,avg=side,hands=interacting]": official["interacting"],
        "MPJPE[mm,root=0]": pooled["all"],
        "MPJPE[mm,root=0,hands=single]": pooled["single"],
        "MPJPE[mm,root=0,hands=interacting]": pooled["interacting"],
        "MRRPE[mm]": interhand.mrrpe(images),
    }
    assert_agree(protocol_values(hands, "interhand"), expected)


@pytest.mark.parametrize("seed", SEEDS)
def test_handedness_of_photos(seed: int) -> None:
    hands = random_hands(60, seed=seed)
    expected = interhand.handedness_accuracy(images_of(hands))
    assert 0.4 < expected < 1.0
    assert_agree(protocol_values(hands, "interhand"), {"handedness": expected})


def test_a_hand_without_its_wrist_counts_nowhere_in_interhand() -> None:
    hands = random_hands(12)
    valid = hands.truth.valid_3d.copy()
    valid[0, 0] = False
    points, _ = hands.keypoints_3d
    labelled = np.where(valid[..., None], points, np.nan)
    truth = replace(hands.truth, valid_3d=valid, keypoints_3d=labelled)
    without = RandomHands(truth, hands.predictions)
    kept = RandomHands(hands.truth.rows(np.arange(1, len(hands))), hands.predictions)
    name = "MPJPE[mm,root=0,avg=side]"
    assert_agree(metric_values(without, name), metric_values(kept, name))
    assert_agree(
        metric_values(without, name),
        {name: interhand.official_mpjpe(images_of(without))["all"]},
    )
