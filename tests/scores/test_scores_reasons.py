from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from reference.random_hands import RandomHands, random_hands

from handbench.predictions.record import Predictions
from handbench.scores.matching import match
from handbench.scores.names import parse
from handbench.scores.protocols import PROTOCOLS
from handbench.scores.reasons import reason_without
from handbench.scores.truth import Truth


def reason(hands: RandomHands, name: str) -> str | None:
    return reason_without(parse(name), match(hands.predictions, hands.truth))


@pytest.fixture(scope="module")
def hands() -> RandomHands:
    return random_hands(9, vertices=20, head_size_px=np.full(12, 40.0))


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=lambda protocol: protocol.name)
def test_with_everything_there_is_no_reason(protocol, hands: RandomHands) -> None:  # type: ignore[no-untyped-def]
    for metric in protocol.metrics(with_3d=True):
        assert reason(hands, str(metric)) is None, metric
    assert reason(hands, "PCK@0.1[head]") is None


LACKING_TRUTH: dict[str, tuple[Callable[[Truth], Truth], dict[str, str]]] = {
    "types": (
        lambda t: replace(t, hand_type=None),
        {
            "MPJPE[mm,root=0,hands=single]": r"does not say which hands interact",
            "coverage[hands=interacting]": r"does not say which hands interact",
        },
    ),
    "left hands": (
        lambda t: t.rows(t.is_right == 1),
        {
            "PCK@0.1[bbox,hands=left]": "the split shows no left hands",
            "coverage[hands=left]": "the split shows no left hands",
            "OKS-AP[hands=left]": "the split shows no left hands",
            "MRRPE": "no image of the split shows a right and a left hand",
        },
    ),
    "sides": (
        lambda t: replace(t, is_right=np.full(len(t), -1, dtype=np.int8)),
        {"handedness": "the split names no sides"},
    ),
    "2D": (
        lambda t: replace(t, valid=np.zeros_like(t.valid)),
        {"EPE": "the split has no 2D labels", "EPE[of=mean-pose]": "the split has no 2D labels"},
    ),
    "2D of left hands": (
        lambda t: replace(t, valid=t.valid & (t.is_right == 1)[:, None]),
        {"OKS-AP[hands=left]": "the split has no 2D labels of left hands"},
    ),
    "3D": (
        lambda t: replace(t, keypoints_3d=None, valid_3d=np.zeros_like(t.valid_3d)),
        {
            "MPJPE[mm]": "the split has no 3D labels",
            "MPVPE[mm,root=0]": "alignment of meshes needs 3D keypoints",
        },
    ),
    "head sizes": (
        lambda t: replace(t, head_size_px=None),
        {"PCK@0.1[head]": "the split stores no head sizes"},
    ),
    "areas": (
        lambda t: replace(t, person_area_px2=None, hand_area_px2=None),
        {
            "OKS-AP[person]": "no areas of persons",
            "OKS-AP[mask]": "no areas of hands",
        },
    ),
    "meshes": (lambda t: replace(t, vertices=None), {"MPVPE[mm]": "the split has no meshes"}),
}


@pytest.mark.parametrize("lacking", LACKING_TRUTH)
def test_truth_that_lacks_something(lacking: str, hands: RandomHands) -> None:
    change, reasons = LACKING_TRUTH[lacking]
    poorer = replace(hands, truth=change(hands.truth))
    for name, words in reasons.items():
        assert words in str(reason(poorer, name)), name
        assert reason(hands, name) is None, name


LACKING_PREDICTIONS: dict[str, tuple[Callable[[Predictions], Predictions], dict[str, str]]] = {
    "2D": (
        lambda p: replace(p, keypoints=None),
        {"EPE": "hold no 2D keypoints", "OKS-AP": "hold no 2D keypoints"},
    ),
    "3D": (
        lambda p: replace(p, keypoints_3d=None),
        {
            "MPJPE[mm]": "hold no 3D keypoints",
            "MRRPE": "hold no 3D keypoints",
            "F@5mm[root=0]": "alignment of meshes needs 3D keypoints",
        },
    ),
    "meshes": (lambda p: replace(p, vertices=None), {"F@5mm": "the predictions hold no meshes"}),
    "sides": (lambda p: replace(p, is_right=None), {"handedness": "the predictions name no sides"}),
    "camera space": (
        lambda p: replace(p, frame_3d="root:0"),
        dict.fromkeys(
            ("MPJPE[mm]", "PCK@20mm[scale]", "MPVPE[mm]", "F@5mm", "MRRPE"),
            "it needs frame_3d 'camera', and the predictions say 'root:0'",
        ),
    ),
    "own vertices": (
        lambda p: replace(p, vertices=None if p.vertices is None else p.vertices[:, :7]),
        {
            "MPVPE[mm]": "have 7 vertices and the true ones 20, so only F-scores compare them",
            "AUC@0-50mm[mesh,pa,n=100]": "only F-scores compare them",
        },
    ),
}


@pytest.mark.parametrize("lacking", LACKING_PREDICTIONS)
def test_predictions_that_lack_something(lacking: str, hands: RandomHands) -> None:
    change, reasons = LACKING_PREDICTIONS[lacking]
    poorer = replace(hands, predictions=change(hands.predictions))
    for name, words in reasons.items():
        assert words in str(reason(poorer, name)), name
        assert reason(hands, name) is None, name


def test_what_does_not_need_it_keeps_its_value(hands: RandomHands) -> None:
    flat = replace(hands, predictions=replace(hands.predictions, keypoints=None))
    assert reason(flat, "EPE[of=mean-pose]") is None
    relative = replace(hands, predictions=replace(hands.predictions, frame_3d="root:0"))
    for name in ("MPJPE[mm,root=0]", "PA-MPJPE[mm]", "F@5mm[pa-reflect]", "EPE", "coverage"):
        assert reason(relative, name) is None, name


def test_a_foreign_mesh_is_aligned_by_joints(hands: RandomHands) -> None:
    predictions = hands.predictions
    assert predictions.vertices is not None
    foreign = replace(predictions, vertices=predictions.vertices[:, :7], keypoints_3d=None)
    bare = replace(hands, predictions=foreign)
    assert reason(bare, "F@5mm[cam]") is None
    assert "needs 3D keypoints" in str(reason(bare, "F@5mm[pa-reflect]"))


@pytest.mark.parametrize("kind", ["single", "interacting"])
def test_average_precision_knows_sides_only(kind: str, hands: RandomHands) -> None:
    assert "of all, right or left hands" in str(reason(hands, f"OKS-AP[hands={kind}]"))
