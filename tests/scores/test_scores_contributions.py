from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from generators.scored import make_predictions, make_truth
from reference.random_hands import RandomHands, random_hands, reordered

from handbench import metrics as m
from handbench.scores.contributions import Contributions
from handbench.scores.matching import match
from handbench.scores.names import parse
from handbench.scores.protocols import FREIHAND, HANDBENCH, MMPOSE, custom_protocol
from handbench.scores.scoring import score
from handbench.scores.truth import Truth

Floats = npt.NDArray[np.float64]
NAMES = (
    *("PCK@0.1[tight]", "AUC@0-30px[n=20,rule=left,cmp=lt]", "AUC@5-20px", "EPE", "EPE[palm]"),
    *("coverage", "handedness", "MRRPE", "MPJPE[root=0,avg=side]", "PCK@20mm[pa,avg=hand]"),
    *("MPVPE", "F@5mm[pa-reflect]", "AUC@0-50mm[mesh,cam,n=100]", "F@5mm[cam,hands=left]"),
)


def of(hands: RandomHands, name: str) -> Floats:
    custom = custom_protocol((name,))
    made = Contributions(match(hands.predictions, hands.truth), [custom])
    return made.of(custom.primary, custom)


def left_out(hands: RandomHands, name: str) -> str:
    custom = custom_protocol((name,))
    matched = match(hands.predictions, hands.truth)
    return Contributions(matched, [custom]).left_out(custom.primary)


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
    made = Contributions(match(predictions, truth), [MMPOSE])
    metric = MMPOSE.primary
    # 21 px = 0.7 · 30 px: nearest float32 of the quotient is that of the threshold.
    np.testing.assert_allclose(made.of(metric, MMPOSE), 0.25)


def test_meshes_serve_only_the_protocols_they_were_made_for() -> None:
    hands = random_hands(3, vertices=10)
    made = Contributions(match(hands.predictions, hands.truth), [HANDBENCH])
    with pytest.raises(KeyError):
        made.of(parse("F@5mm[pa-reflect]"), FREIHAND)


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
        assert left_out(nobody, name) == "; no value: no mesh was found", name
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
    unsure = replace(hands, truth=replace(hands.truth, is_right=sides, image_id=photo))
    assert "every image has a hand of unknown side" in left_out(unsure, "handedness")
