from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from generators.scored import SIZE, make_predictions, make_truth
from reference.random_hands import RandomHands, random_hands, reordered

from handbench import metrics as m
from handbench.hand import OCCLUDED
from handbench.metrics import box_size, palm_size, tight_size
from handbench.scores.contributions import Contributions
from handbench.scores.matching import match
from handbench.scores.measuring import measure
from handbench.scores.names import parse
from handbench.scores.protocol import Protocol
from handbench.scores.protocols import HANDBENCH, MMPOSE, custom_protocol
from handbench.scores.scoring import score
from handbench.scores.truth import Truth

Floats = npt.NDArray[np.float64]
NAMES = (
    *("PCK@0.1[tight]", "AUC@0-30px[n=20,rule=left,cmp=lt]", "AUC@5-20px", "EPE", "EPE[palm]"),
    *("coverage", "handedness", "MRRPE", "MPJPE[root=0,avg=side]", "PCK@20mm[pa,avg=hand]"),
    *("MPVPE", "F@5mm[pa-reflect]", "AUC@0-50mm[mesh,cam,n=100]", "F@5mm[cam,hands=left]"),
)


def made(hands: RandomHands, protocol: Protocol) -> Contributions:
    return Contributions(measure(match(hands.predictions, hands.truth), [protocol]))


def of(hands: RandomHands, name: str) -> Floats:
    custom = custom_protocol((name,))
    return made(hands, custom).of(custom.primary, custom)


def left_out(hands: RandomHands, name: str) -> str:
    custom = custom_protocol((name,))
    return made(hands, custom).left_out(custom.primary, custom)


def first_missed(hands: RandomHands) -> RandomHands:
    rows = np.arange(1, len(hands.predictions))
    return replace(hands, predictions=reordered(hands.predictions, rows))


@pytest.mark.parametrize("name", NAMES)
def test_their_average_is_the_value(name: str) -> None:
    hands = first_missed(random_hands(15, vertices=20, holes=0.2))
    metric = parse(name)
    scores = of(hands, name)
    columns = 21 if metric.per_joint else 1
    assert scores.shape == (len(hands), columns)
    value = score(hands.predictions, hands.truth, [custom_protocol((name,))]).results[0]
    assert m.average(scores, metric.avg, hands.truth.is_right) == pytest.approx(
        value.metrics[str(metric)].value, abs=1e-12
    )


def test_kinds_of_contributions() -> None:
    hands = first_missed(random_hands(9, vertices=20))
    assert np.isin(of(hands, "PCK@10px"), [0.0, 1.0]).all()
    area = of(hands, "AUC@0-30px[n=20]")
    assert ((area >= 0) & (area <= 1)).all()
    assert (area[0] == 0).all()
    assert np.isnan(of(hands, "EPE")[0]).all()
    assert not np.isnan(of(hands, "EPE")[1:]).any()
    assert of(hands, "coverage")[:, 0].tolist() == [0.0] + [1.0] * (len(hands) - 1)


def test_a_missed_mesh_is_wrong_or_left_out() -> None:
    hands = first_missed(random_hands(9, vertices=20))
    unlabelled = hands.vertices[0].astype(np.float32)
    unlabelled[3] = np.nan
    hands = replace(hands, truth=replace(hands.truth, vertices=unlabelled))
    wrong, drop = (of(hands, f"F@15mm[cam{ending}]")[:, 0] for ending in ("", ",missing=drop"))
    assert wrong[0] == 0.0
    assert np.flatnonzero(np.isnan(wrong)).tolist() == [3]
    assert np.flatnonzero(np.isnan(drop)).tolist() == [0, 3]
    assert np.isnan(of(hands, "MPVPE")[[0, 3], 0]).all()


def test_a_mesh_without_the_joint_that_it_starts_from_is_left_out_not_wrong() -> None:
    hands = random_hands(9, vertices=20)
    valid = hands.truth.valid_3d.copy()
    valid[2, 0] = False
    points = np.where(valid[..., None], hands.keypoints_3d[0], np.nan)
    hands = replace(hands, truth=replace(hands.truth, valid_3d=valid, keypoints_3d=points))
    assert np.flatnonzero(np.isnan(of(hands, "F@15mm[root=0]")[:, 0])).tolist() == [2]
    assert not np.isnan(of(hands, "F@15mm[pa]")).any()


def test_single_precision_decides_on_thresholds() -> None:
    truth = make_truth(2)
    predictions = make_predictions(truth, keypoints=np.add(truth.keypoints, [21.0, 0.0]))
    matched = match(predictions, truth)
    scores = Contributions(measure(matched, [MMPOSE])).of(MMPOSE.primary, MMPOSE)
    # 21 px = 0.7 · 30 px: nearest float32 of the quotient is that of the threshold.
    np.testing.assert_allclose(scores, 0.25)


def test_what_was_not_measured_has_a_reason() -> None:
    hands = random_hands(3, vertices=10)
    stored = made(hands, HANDBENCH)
    for name in ("F@5mm[pa-reflect]", "MPJPE[mm,root=9]", "MRRPE", "OKS-AP"):
        reason = stored.reason_without(parse(name))
        assert reason is not None
        assert "the stored errors do not hold" in reason
    head = stored.reason_without(parse("PCK@0.5[head]"))
    assert head == "the split stores no head sizes"
    untold = made(replace(hands, truth=replace(hands.truth, hand_type=None)), HANDBENCH)
    assert "column hand_type" in str(untold.reason_without(parse("EPE[px,hands=single]")))


# --- errors for one metric ------------------------------------------------------------------------


def distances(truth: Truth, name: str, *, bad_boxes: bool = False, **changes: Any) -> Floats:
    custom = custom_protocol((name,))
    matched = match(make_predictions(truth, **changes), truth)
    stored = Contributions(measure(matched, [custom]))
    return stored.distances(custom.primary, replace_bad_boxes=bad_boxes)


def off_by(truth: Truth, x: float, y: float) -> Floats:
    return np.add(truth.keypoints, [x, y])


@pytest.mark.parametrize("size", ["bbox", "tight", "image", "palm", "head"])
def test_sizes(size: str) -> None:
    truth = make_truth(4, head_size_px=np.array([10.0, 20.0, 0.0, np.nan]))
    expected = {
        "bbox": box_size(truth.bbox),
        "tight": tight_size(truth.keypoints, truth.valid),
        "image": np.full(4, SIZE),
        "palm": palm_size(truth.keypoints, truth.valid),
        "head": np.array([10.0, 20.0, np.nan, np.nan]),
    }[size]
    found = distances(truth, f"EPE[{size}]", keypoints=off_by(truth, 6.0, 8.0))
    np.testing.assert_allclose(found, np.tile((10 / expected)[:, None], (1, 21)))


def test_mmpose_boxes() -> None:
    bbox = make_truth(3).bbox
    bbox[0, 2:], bbox[1, 2:] = 0.0, -5.0
    truth = make_truth(3, bbox=bbox)
    found, name = off_by(truth, 500.0, 0.0), "PCK@0.2[bbox]"
    plain = distances(truth, name, keypoints=found)
    assert np.isnan(plain[:2]).all()
    replaced = distances(truth, name, keypoints=found, bad_boxes=True)
    assert np.isnan(replaced[0]).all()
    np.testing.assert_allclose(replaced[1], 500 / 1e6)
    np.testing.assert_array_equal(replaced[2], plain[2])


def test_missed_is_wrong_or_left_out_and_unlabelled_is_neither() -> None:
    valid = np.ones((4, 21), dtype=bool)
    valid[:, 7] = False
    truth = make_truth(4, valid=valid)
    rows = np.arange(3)
    for name in ("PCK@10px", "PCK@0.1[bbox]", "PCK@10mm[pa]"):
        metric = parse(name)
        truth_here = replace(truth, valid_3d=valid) if metric.is_3d else truth
        wrong = distances(truth_here, name, rows=rows)
        drop = distances(truth_here, str(replace(metric, missing="drop")), rows=rows)
        assert np.isinf(wrong[3, valid[3]]).all(), name
        assert np.isnan(drop[3]).all(), name
        assert np.isnan(wrong[:, 7]).all(), name
        np.testing.assert_array_equal(wrong[:3], drop[:3])


def test_joints_and_hands_that_are_named() -> None:
    visibility = np.full((4, 21), 2, dtype=np.uint8)
    visibility[:, [4, 8]] = OCCLUDED
    visibility[:, 0] = 255
    truth = make_truth(
        4,
        visibility=visibility,
        is_right=np.array([1, 0, -1, 1], dtype=np.int8),
        hand_type=np.array(["right", "left", "interacting", "interacting"]),
    )

    def counted(name: str) -> tuple[list[int], list[int]]:
        there = ~np.isnan(distances(truth, name))
        assert (there == np.outer(there.any(axis=1), there.any(axis=0))).all()
        rows, joints = (np.flatnonzero(there.any(axis=axis)).tolist() for axis in (1, 0))
        return rows, joints

    everyone, all_joints = [0, 1, 2, 3], list(range(21))
    assert counted("EPE") == (everyone, all_joints)
    assert counted("EPE[joints=tip]") == (everyone, [4, 8, 12, 16, 20])
    assert counted("EPE[joints=occluded]") == (everyone, [4, 8])
    # Where nobody said whether a joint is covered, it counts as not marked.
    assert counted("EPE[joints=visible+thumb+0]") == (everyone, [0, 1, 2, 3])
    assert counted("EPE[hands=right]") == ([0, 3], all_joints)
    assert counted("MPJPE[hands=left,joints=tip]") == ([1], [4, 8, 12, 16, 20])
    assert counted("EPE[hands=interacting]") == ([2, 3], all_joints)
    assert counted("EPE[hands=single]") == ([0, 1], all_joints)


# --- what is left out -----------------------------------------------------------------------------


def with_labels(truth: Truth, valid: npt.NDArray[np.bool_]) -> Truth:
    assert truth.keypoints_3d is not None
    return replace(
        truth,
        valid=valid,
        valid_3d=valid,
        keypoints=np.where(valid[..., None], truth.keypoints, np.nan),
        keypoints_3d=np.where(valid[..., None], truth.keypoints_3d, np.nan),
    )


def test_hands_that_cannot_be_used_are_counted() -> None:
    hands = random_hands(6, vertices=10)
    valid = np.ones((len(hands), 21), dtype=bool)
    valid[:2, 0] = False
    valid[2, 3:] = False
    hands = replace(hands, truth=with_labels(hands.truth, valid))
    assert left_out(hands, "MPJPE[root=0]") == "; 2 hands without a label for joint 0 are left out"
    assert left_out(hands, "EPE[palm]") == "; 3 hands without this size are left out"
    assert "1 hands with fewer than four labelled joints" in left_out(hands, "PA-MPJPE")
    for name in ("EPE", "EPE[bbox]", "MPJPE", "coverage", "MPVPE", "F@5mm"):
        assert left_out(hands, name) == "", name


def test_no_value_has_a_reason() -> None:
    hands = random_hands(6, vertices=10)
    nobody = replace(hands, predictions=reordered(hands.predictions, np.arange(0)))
    for name in ("EPE", "MPJPE", "PCK@5px[missing=drop]", "PA-MPJPE"):
        assert left_out(nobody, name) == "; no value: no hand was found", name
    for name in ("MPVPE", "F@5mm[missing=drop]"):
        assert left_out(nobody, name) == "; no value: no hand was found", name
    for name in ("PCK@5px", "F@5mm", "AUC@0-50mm[pa]", "coverage", "EPE[of=mean-pose]"):
        assert left_out(nobody, name) == "", name
    assert left_out(nobody, "MRRPE") == "; no value: no image's two hands were both found"
    seen = replace(hands, truth=replace(hands.truth, visibility=np.full((len(hands), 21), 2)))
    nothing = "; no value: no labelled joint of the split counts here"
    assert left_out(seen, "PCK@0.1[bbox,joints=occluded]") == nothing
    bare = np.full_like(hands.truth.vertices, np.nan)
    without = replace(hands, truth=replace(hands.truth, vertices=bare))
    assert "no labelled mesh of the split counts here" in left_out(without, "F@5mm")
    sides = hands.truth.is_right.copy()
    sides[:] = -1
    sides[0] = 1
    photo = np.array(["one"] * len(hands))
    unsure = replace(
        hands, truth=replace(hands.truth, is_right=sides, image_id=photo, hand_type=None)
    )
    assert "every image has a hand of unknown side" in left_out(unsure, "handedness")


def test_hands_predicted_in_part_are_counted() -> None:
    hands = first_missed(random_hands(15, vertices=20))
    predictions = hands.predictions
    assert predictions.keypoints_3d is not None
    assert predictions.vertices is not None
    predictions.keypoints_3d[:4] = np.nan
    predictions.vertices[:3] = np.nan
    assert left_out(hands, "EPE") == ""
    assert left_out(hands, "MPJPE") == "; 4 hands predicted without 3D keypoints count as missed"
    assert left_out(hands, "F@5mm") == "; 3 hands predicted without a mesh count as missed"
    for name, lost in (("EPE", 1), ("MPJPE", 5), ("PCK@9mm[missing=drop]", 5), ("MPVPE", 4)):
        custom = custom_protocol((name,))
        assert made(hands, custom).coverage(custom.primary) == 1 - lost / len(hands)
