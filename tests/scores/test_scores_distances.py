from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from generators.scored import make_predictions, make_truth

from handbench.scores.distances import errors_name, joint_errors, plain_distance
from handbench.scores.matching import match
from handbench.scores.names import parse
from handbench.scores.truth import Truth

Floats = npt.NDArray[np.float64]


def errors(truth: Truth, name: str, **changes: Any) -> Floats:
    return joint_errors(match(make_predictions(truth, **changes), truth), parse(name))


def off_by(truth: Truth, x: float, y: float) -> Floats:
    return np.add(truth.keypoints, [x, y])


@pytest.mark.parametrize(
    ("name", "errors", "plain"),
    [
        ("PCK@0.2[bbox,joints=tip]", "px", "EPE[px]"),
        ("AUC@0-30px[n=20,cmp=lt,rule=left,missing=drop]", "px", "EPE[px]"),
        ("EPE[px,frame=stored]", "px,frame=stored", "EPE[px,frame=stored]"),
        ("PCK@0.1[palm,of=mean-pose]", "px,of=mean-pose", "EPE[px,of=mean-pose]"),
        ("MPJPE[mm,avg=side,hands=single]", "mm,cam", "MPJPE[mm,cam]"),
        ("AUC@20-50mm[root=9,bone=0-9,n=16]", "mm,root=9,bone=0-9", "MPJPE[mm,root=9,bone=0-9]"),
        ("PCK@10mm[pa]", "mm,pa", "PA-MPJPE[mm]"),
        ("MPJPE[mm,pa-reflect,stat=median]", "mm,pa-reflect", "MPJPE[mm,pa-reflect]"),
    ],
)
def test_what_a_metric_is_made_from(name: str, errors: str, plain: str) -> None:
    assert errors_name(parse(name)) == errors
    assert plain_distance(parse(name)) == parse(plain)


# --- pixels ---------------------------------------------------------------------------------------


def test_pixels_of_source_and_stored_image() -> None:
    truth = make_truth(4)
    found = off_by(truth, 3.0, 4.0)
    np.testing.assert_allclose(errors(truth, "EPE[px]", keypoints=found), 5.0)
    # Stored at half size.
    np.testing.assert_allclose(errors(truth, "EPE[px,frame=stored]", keypoints=found), 2.5)


def test_the_floor_is_left_out_where_it_cannot_be_drawn() -> None:
    bbox = make_truth(4).bbox
    bbox[2, 2:] = 0.0
    truth = make_truth(4, bbox=bbox)
    floor = errors(truth, "EPE[px,of=mean-pose]", rows=np.arange(1), keypoints_3d=None)
    assert np.isfinite(floor[[0, 1, 3]]).all()
    assert np.isnan(floor[2]).all()


# --- millimetres ----------------------------------------------------------------------------------


def test_alignments_by_hand() -> None:
    truth = make_truth(3)
    assert truth.keypoints_3d is not None
    found = 2 * truth.keypoints_3d
    found[:, 5] += [0.0, 0.003, 0.004]

    def of(name: str) -> Floats:
        return errors(truth, name, keypoints_3d=found)

    cam = 1000 * np.linalg.norm(found - truth.keypoints_3d, axis=-1)
    np.testing.assert_allclose(of("MPJPE[mm]"), cam)
    wrists = truth.keypoints_3d[:, :1]
    steps = truth.keypoints_3d - wrists
    moved = of("MPJPE[mm,root=0]")
    np.testing.assert_allclose(np.delete(moved, 5, axis=1), np.delete(cam_of(steps), 5, axis=1))
    boned = of("MPJPE[mm,root=0,bone=0-9]")
    np.testing.assert_allclose(boned[:, 5], 2.5)
    np.testing.assert_allclose(np.delete(boned, 5, axis=1), 0.0, atol=1e-9)
    scaled = of("MPJPE[mm,scale]")
    assert (scaled < 3).all()
    assert (of("PA-MPJPE[mm]") < 2.5).all()


def cam_of(steps: Floats) -> Floats:
    lengths: Floats = 1000 * np.linalg.norm(steps, axis=-1)
    return lengths


def test_a_hand_counts_only_with_the_labels_that_its_alignment_needs() -> None:
    valid = np.ones((4, 21), dtype=bool)
    valid[0, 0] = False
    valid[1, 9] = False
    valid[2, 3:] = False
    truth = make_truth(4, valid_3d=valid)
    for name, left_out in {
        "MPJPE[mm]": [],
        "MPJPE[mm,scale]": [],
        "MPJPE[mm,root=0]": [0],
        "MPJPE[mm,root=9]": [1, 2],
        "MPJPE[mm,root=0,bone=0-9]": [0, 1, 2],
        "PA-MPJPE[mm]": [2],
        "MPJPE[mm,pa-reflect]": [2],
    }.items():
        there = np.isfinite(errors(truth, name))
        kept = valid & ~np.isin(np.arange(4), left_out)[:, None]
        np.testing.assert_array_equal(there, kept, err_msg=name)


def test_without_3d_every_labelled_joint_is_missed() -> None:
    truth = make_truth(2)
    assert np.isinf(errors(truth, "PCK@10mm[cam]", keypoints_3d=None)).all()
    assert np.isinf(errors(truth, "PCK@10px", keypoints=None)).all()
