"""2D protocols against loops: ``mmpose``, ``zb2d``, ``hint`` and ``wholebody_oks``."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from reference import mmpose, oks, pixels
from reference.comparing import assert_agree, metric_values, protocol_values
from reference.random_hands import RandomHands, random_hands

SEEDS = (0, 1, 2)
HOLES = 0.2


def mmpose_reference(hands: RandomHands) -> dict[str, float]:
    truth, prediction = hands.keypoints
    mask, boxes = hands.truth.valid, hands.truth.bbox
    return {
        "PCK@0.2[bbox,cmp=lt]": mmpose.pck_of_boxes(prediction, truth, mask, 0.2, boxes),
        "AUC@0-30px[n=20,rule=left,cmp=lt]": mmpose.auc(prediction, truth, mask),
        "EPE[px]": mmpose.epe(prediction, truth, mask),
    }


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("holes", [0.0, HOLES, 0.9])
def test_mmpose(seed: int, holes: float) -> None:
    hands = random_hands(seed=seed, holes=holes)
    small = hands.truth.bbox * [1, 1, 0.2, 0.2]
    hands = replace(hands, truth=replace(hands.truth, bbox=small))
    expected = mmpose_reference(hands)
    assert 0.3 < expected["PCK@0.2[bbox,cmp=lt]"] < 1
    assert_agree(protocol_values(hands, "mmpose"), expected)


def test_mmpose_joints_that_nobody_labelled_are_skipped() -> None:
    hands = random_hands(8, holes=0.3)
    valid = hands.truth.valid.copy()
    valid[:, [3, 17]] = False
    hands = replace(hands, truth=replace(hands.truth, valid=valid))
    assert_agree(protocol_values(hands, "mmpose"), mmpose_reference(hands))


def test_mmpose_boxes_without_a_size() -> None:
    hands = random_hands(20, holes=HOLES)
    boxes = hands.truth.bbox.copy()
    boxes[:4, 2:] = 0.0
    boxes[4:8, 2:] = -7.0
    boxes[8:12, 2] = -7.0
    boxes[12:, 2:] *= 0.1
    hands = replace(hands, truth=replace(hands.truth, bbox=boxes))
    assert_agree(protocol_values(hands, "mmpose"), mmpose_reference(hands))


def test_mmpose_distances_on_the_thresholds() -> None:
    """Multiples of 1.5 px are decided in float32, in the one direction or the other."""
    hands = random_hands(30, holes=HOLES)
    rng = np.random.default_rng(0)
    angle = rng.choice([0.0, np.pi / 2, np.pi, np.arctan2(3, 4)], (len(hands), 21))
    distance = 1.5 * rng.integers(0, 20, (len(hands), 21))
    step = distance[..., None] * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    truth = np.nan_to_num(hands.truth.keypoints.round())
    whole = replace(
        hands.truth,
        keypoints=np.where(hands.truth.valid[..., None], truth, np.nan),
        bbox=np.tile([0.0, 0.0, 100.0, 75.0], (len(hands), 1)),
    )
    exact = RandomHands(whole, replace(hands.predictions, keypoints=truth + step))
    expected = mmpose_reference(exact)
    assert 0.2 < expected["AUC@0-30px[n=20,rule=left,cmp=lt]"] < 0.8
    assert_agree(protocol_values(exact, "mmpose"), expected)


@pytest.mark.parametrize("seed", SEEDS)
def test_zb2d(seed: int) -> None:
    hands = random_hands(seed=seed, holes=HOLES)
    truth, prediction = hands.keypoints
    scores = pixels.zb2d(prediction, truth, hands.truth.visibility == 2)
    expected = {
        "EPE[px,avg=joint,joints=visible]": scores["mean"],
        "EPE[px,stat=median,avg=joint,joints=visible]": scores["median"],
        "AUC@0-30px[n=20,joints=visible]": scores["auc"],
    }
    assert scores["median"] < scores["mean"]
    assert_agree(protocol_values(hands, "zb2d"), expected)


@pytest.mark.parametrize("seed", SEEDS)
def test_hint(seed: int) -> None:
    hands = random_hands(seed=seed, holes=HOLES)
    truth, prediction = hands.keypoints
    visibility, boxes = hands.truth.visibility, hands.truth.bbox
    boxes = boxes * [1, 1, 0.5, 0.5]
    hands = replace(hands, truth=replace(hands.truth, bbox=boxes))
    counted = {"": visibility > 0, ",joints=visible": visibility == 2}
    counted[",joints=occluded"] = visibility == 1
    expected = {
        f"PCK@{threshold}[bbox{words}]": pixels.hint_pck(prediction, truth, of, boxes, threshold)
        for threshold in (0.05, 0.1, 0.15)
        for words, of in counted.items()
    }
    assert len({round(value, 6) for value in expected.values()}) > 6
    assert_agree(protocol_values(hands, "hint"), expected)


def average_precision(hands: RandomHands, side: int, area: str) -> float:
    """AP of one side's hands, and of the predictions that were made for them."""
    truth, predictions = hands.truth, hands.predictions
    areas = {
        "person": truth.person_area_px2,
        "hand": truth.bbox[:, 2] * truth.bbox[:, 3],
        "mask": truth.hand_area_px2,
    }[area]
    assert areas is not None
    row_of = {name: row for row, name in enumerate(truth.sample_id.tolist())}
    assert predictions.keypoints is not None
    assert predictions.score is not None
    labelled = [
        oks.Hand(str(truth.image_id[row]), truth.keypoints[row], truth.valid[row], areas[row])
        for row in range(len(truth))
        if truth.is_right[row] == side and truth.valid[row].any()
    ]
    found = [
        oks.Detection(str(truth.image_id[row]), predictions.keypoints[number], float(score))
        for number, (name, score) in enumerate(
            zip(predictions.id.tolist(), predictions.score.tolist())
        )
        for row in [row_of[name]]
        if truth.is_right[row] == side
    ]
    return oks.average_precision(labelled, found)


@pytest.mark.parametrize("seed", SEEDS)
def test_wholebody_oks(seed: int) -> None:
    hands = random_hands(40, seed=seed, holes=HOLES)
    values = protocol_values(hands, "wholebody_oks") | metric_values(hands, "OKS-AP[mask]")
    for area in ("person", "hand", "mask"):
        left, right = (average_precision(hands, side, area) for side in (0, 1))
        assert 0.05 < left < 1
        assert left != right
        expected = {f"OKS-AP[{area}]": (left + right) / 2}
        if area == "person":
            expected |= {"OKS-AP[person,hands=left]": left, "OKS-AP[person,hands=right]": right}
        assert_agree(values, expected)
