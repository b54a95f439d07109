from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from reference.random_hands import RandomHands, random_hands

from handbench.alignment import align_bone, align_procrustes, align_scale
from handbench.scores import meshes as module
from handbench.scores.matching import Matched, match
from handbench.scores.meshes import comparable, mesh_scores
from handbench.scores.names import parse
from handbench.surfaces import f_scores

Floats = npt.NDArray[np.float64]


def matched(hands: RandomHands) -> Matched:
    return match(hands.predictions, hands.truth)


def scores(hands: RandomHands, name: str) -> Floats:
    metric = parse(name)
    return mesh_scores(matched(hands), [metric])[metric][:, 0]


def predicting(hands: RandomHands, **changes: Any) -> RandomHands:
    return replace(hands, predictions=replace(hands.predictions, **changes))


def mean_errors_mm(moved: Floats, truth: Floats) -> Floats:
    errors: Floats = 1000 * np.linalg.norm(moved - truth, axis=-1).mean(axis=1)
    return errors


def aligned(hands: RandomHands) -> dict[str, Floats]:
    """Predicted meshes as the alignments should move them."""
    truth, mesh = hands.vertices
    joints, found = hands.keypoints_3d
    every = np.ones(mesh.shape[:2], dtype=bool)
    both = np.concatenate([found, mesh], axis=1)
    sized = align_bone(both, np.concatenate([joints, truth], axis=1), (0, 9), 9)[:, 21:]
    return {
        "cam": mesh,
        "root=0": mesh - found[:, :1] + joints[:, :1],
        "root=9,bone=0-9": sized + joints[:, 9:10],
        "scale": align_scale(mesh, truth, every),
        "pa": align_procrustes(mesh, truth, every),
        "pa-reflect": align_procrustes(mesh, truth, every, reflect=True),
    }


@pytest.mark.parametrize("alignment", ["cam", "root=0", "root=9,bone=0-9", "scale", "pa"])
def test_every_alignment_moves_the_mesh(alignment: str) -> None:
    hands = random_hands(12, vertices=40)
    truth, _ = hands.vertices
    moved = aligned(hands)
    others = [mean_errors_mm(mesh, truth) for name, mesh in moved.items() if name != alignment]
    found = scores(hands, f"MPVPE[mm,{alignment}]")
    np.testing.assert_allclose(found, mean_errors_mm(moved[alignment], truth), atol=1e-9)
    # pa and pa-reflect may be the same, all others differ.
    assert sum(np.allclose(found, other) for other in others) <= (alignment == "pa")
    shares = scores(hands, f"F@15mm[{alignment}]")
    np.testing.assert_allclose(shares, f_scores(moved[alignment], truth, [0.015])[:, 0])


def test_metrics_asked_together_are_those_asked_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BLOCK", 5)
    hands = random_hands(12, vertices=40)
    mirrored = hands.vertices[1].copy()
    mirrored[::2] *= [-1.0, 1.0, 1.0]
    hands = predicting(hands, vertices=mirrored)
    names = [
        f"{name}{alignment}{ending}"
        for alignment in ("pa", "pa-reflect", "cam", "root=0", "root=0,bone=0-9", "root=9", "scale")
        for name, ending in (
            ("MPVPE[mm,", "]"),
            ("F@5mm[", "]"),
            ("F@15mm[", "]"),
            ("AUC@0-50mm[mesh,", ",n=100]"),
            ("PCK@20mm[mesh,", "]"),
        )
    ]
    metrics = [parse(name) for name in names]
    together = mesh_scores(matched(hands), metrics)
    for name, metric in zip(names, metrics):
        np.testing.assert_array_equal(together[metric][:, 0], scores(hands, name), err_msg=name)
    # A mirrored mesh is told from one that is not.
    proper, free = (together[parse(f"MPVPE[mm,{a}]")][:, 0] for a in ("pa", "pa-reflect"))
    assert (proper[::2] > free[::2] + 1).all()
    np.testing.assert_array_equal(proper[1::2], free[1::2])


def test_areas_and_shares_by_hand() -> None:
    hands = random_hands(3, vertices=10)
    truth, _ = hands.vertices
    off = np.add(truth, [0.0, 0.010, 0.0])
    off[:, :4] += [0.0, 0.090, 0.0]
    hands = predicting(hands, vertices=off)
    np.testing.assert_allclose(scores(hands, "MPVPE[mm]"), 46.0)
    np.testing.assert_allclose(scores(hands, "PCK@20mm[mesh,cam]"), 0.6)
    np.testing.assert_allclose(scores(hands, "AUC@0-50mm[mesh,cam]"), 0.6 * 0.8)


def test_no_mesh_no_score() -> None:
    hands = random_hands(6, vertices=10)
    mesh = hands.vertices[1].copy()
    mesh[1, 3, 2] = np.nan
    labelled = hands.vertices[0].astype(np.float32)
    labelled[4] = np.nan
    hands = predicting(hands, vertices=mesh)
    hands = replace(hands, truth=replace(hands.truth, vertices=labelled))
    for name in ("MPVPE[mm]", "F@5mm[pa-reflect]"):
        found = scores(hands, name)
        assert np.flatnonzero(np.isnan(found)).tolist() == [1, 4], name
    assert comparable(matched(hands), parse("F@5mm[cam]")).tolist() == [
        row != 4 for row in range(len(hands))
    ]
    assert mesh_scores(matched(hands), []) == {}


def test_a_foreign_mesh_needs_its_joints() -> None:
    hands = random_hands(6, vertices=30, predicted_vertices=20)
    valid = hands.truth.valid_3d.copy()
    valid[0, 0] = False
    valid[1, 3:] = False
    hands = replace(hands, truth=replace(hands.truth, valid_3d=valid))
    here = np.arange(len(hands))
    for alignment, without in (("cam", []), ("pa-reflect", [1]), ("root=0", [0]), ("scale", [])):
        metric = parse(f"F@15mm[{alignment}]")
        labelled = comparable(matched(hands), metric)
        assert np.flatnonzero(~labelled).tolist() == without, alignment
        assert not np.isnan(scores(hands, str(metric))[np.setdiff1d(here, without)]).any()
    # Its own vertices fit where they have partners, so no joint is needed there.
    own = random_hands(6, vertices=30)
    own = replace(own, truth=replace(own.truth, valid_3d=valid))
    assert comparable(matched(own), parse("F@15mm[pa-reflect]")).all()


def test_meshes_on_both_sides_are_needed() -> None:
    hands = random_hands(3, vertices=10)
    bare = replace(hands, truth=replace(hands.truth, vertices=None))
    assert not comparable(matched(bare), parse("F@5mm[cam]")).any()
    with pytest.raises(ValueError, match="need vertices on both sides"):
        scores(bare, "F@5mm[cam]")
