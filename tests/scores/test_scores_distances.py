from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from generators.scored import SIZE, make_predictions, make_truth

from handbench.hand import OCCLUDED
from handbench.metrics import box_size, palm_size, tight_size
from handbench.scores.distances import Distances
from handbench.scores.matching import match
from handbench.scores.names import parse
from handbench.scores.truth import Truth

Floats = npt.NDArray[np.float64]


def distances(truth: Truth, **changes: Any) -> Distances:
    return Distances(match(make_predictions(truth, **changes), truth))


def errors(truth: Truth, name: str, **changes: Any) -> Floats:
    return distances(truth, **changes).errors(parse(name))


def off_by(truth: Truth, x: float, y: float) -> Floats:
    return np.add(truth.keypoints, [x, y])


# --- pixels ---------------------------------------------------------------------------------------


def test_pixels_of_source_and_stored_image() -> None:
    truth = make_truth(4)
    found = off_by(truth, 3.0, 4.0)
    np.testing.assert_allclose(errors(truth, "EPE[px]", keypoints=found), 5.0)
    # Stored at half size.
    np.testing.assert_allclose(errors(truth, "EPE[px,frame=stored]", keypoints=found), 2.5)


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
    found = errors(truth, f"EPE[{size}]", keypoints=off_by(truth, 6.0, 8.0))
    np.testing.assert_allclose(found, np.tile((10 / expected)[:, None], (1, 21)))


def test_mmpose_boxes() -> None:
    bbox = make_truth(3).bbox
    bbox[0, 2:], bbox[1, 2:] = 0.0, -5.0
    truth = make_truth(3, bbox=bbox)
    of = distances(truth, keypoints=off_by(truth, 500.0, 0.0))
    plain = of.errors(parse("PCK@0.2[bbox]"))
    assert np.isnan(plain[:2]).all()
    replaced = of.errors(parse("PCK@0.2[bbox]"), replace_bad_boxes=True)
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
        of = distances(truth_here, rows=rows)
        wrong, drop = of.errors(metric), of.errors(replace(metric, missing="drop"))
        assert np.isinf(wrong[3, valid[3]]).all(), name
        assert np.isnan(drop[3]).all(), name
        assert np.isnan(wrong[:, 7]).all(), name
        np.testing.assert_array_equal(wrong[:3], drop[:3])


def test_the_floor_is_left_out_where_it_cannot_be_drawn() -> None:
    bbox = make_truth(4).bbox
    bbox[2, 2:] = 0.0
    truth = make_truth(4, bbox=bbox)
    floor = errors(truth, "EPE[px,of=mean-pose]", rows=np.arange(1), keypoints_3d=None)
    assert np.isfinite(floor[[0, 1, 3]]).all()
    assert np.isnan(floor[2]).all()


# --- which joints and hands count -----------------------------------------------------------------


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
    of = distances(truth)

    def counted(name: str) -> tuple[list[int], list[int]]:
        there = ~np.isnan(of.errors(parse(name)))
        assert (there == np.outer(there.any(axis=1), there.any(axis=0))).all()
        assert (of.labelled(parse(name)) == there).all()
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
    untold = distances(replace(truth, hand_type=None))
    assert not untold.hands(parse("EPE[hands=single]")).any()


# --- millimetres ----------------------------------------------------------------------------------


def test_alignments_by_hand() -> None:
    truth = make_truth(3)
    assert truth.keypoints_3d is not None
    found = 2 * truth.keypoints_3d
    found[:, 5] += [0.0, 0.003, 0.004]
    of = distances(truth, keypoints_3d=found)
    cam = 1000 * np.linalg.norm(found - truth.keypoints_3d, axis=-1)
    np.testing.assert_allclose(of.errors(parse("MPJPE[mm]")), cam)
    wrists = truth.keypoints_3d[:, :1]
    steps = truth.keypoints_3d - wrists
    moved = of.errors(parse("MPJPE[mm,root=0]"))
    np.testing.assert_allclose(np.delete(moved, 5, axis=1), np.delete(cam_of(steps), 5, axis=1))
    boned = of.errors(parse("MPJPE[mm,root=0,bone=0-9]"))
    np.testing.assert_allclose(boned[:, 5], 2.5)
    np.testing.assert_allclose(np.delete(boned, 5, axis=1), 0.0, atol=1e-9)
    scaled = of.errors(parse("MPJPE[mm,scale]"))
    assert (scaled < 3).all()
    assert (of.errors(parse("PA-MPJPE[mm]")) < 2.5).all()


def cam_of(steps: Floats) -> Floats:
    lengths: Floats = 1000 * np.linalg.norm(steps, axis=-1)
    return lengths


def test_a_hand_counts_only_with_the_labels_that_its_alignment_needs() -> None:
    valid = np.ones((4, 21), dtype=bool)
    valid[0, 0] = False
    valid[1, 9] = False
    valid[2, 3:] = False
    truth = make_truth(4, valid_3d=valid)
    of = distances(truth)
    for name, left_out in {
        "MPJPE[mm]": [],
        "MPJPE[mm,scale]": [],
        "MPJPE[mm,root=0]": [0],
        "MPJPE[mm,root=9]": [1, 2],
        "MPJPE[mm,root=0,bone=0-9]": [0, 1, 2],
        "PA-MPJPE[mm]": [2],
        "MPJPE[mm,pa-reflect]": [2],
    }.items():
        there = np.isfinite(of.errors(parse(name)))
        kept = valid & ~np.isin(np.arange(4), left_out)[:, None]
        np.testing.assert_array_equal(there, kept, err_msg=name)
        np.testing.assert_array_equal(of.labelled(parse(name)), kept, err_msg=name)


def test_without_3d_every_labelled_joint_is_missed() -> None:
    truth = make_truth(2)
    assert np.isinf(errors(truth, "PCK@10mm[cam]", keypoints_3d=None)).all()
    assert np.isinf(errors(truth, "PCK@10px", keypoints=None)).all()
