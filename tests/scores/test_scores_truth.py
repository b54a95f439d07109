from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import numpy.typing as npt
import pytest
from generators.scored import make_predictions, make_truth
from generators.truth_file import write_truth
from PIL import Image

from handbench.camera import crop_intrinsics, flip_camera, flip_matrix, flip_points_3d, project
from handbench.errors import PredictionsError, ScoreError
from handbench.hdf5.reader import HandFile
from handbench.hdf5.writer import HandFileWriter
from handbench.scores.matching import match
from handbench.scores.protocols import HANDBENCH, MMPOSE
from handbench.scores.scoring import score
from handbench.scores.subsets import breakdown
from handbench.scores.truth import Truth, read_truth

SIDE = 64
CAMERA = np.array([[150.0, 0.0, 60.0], [0.0, 150.0, 70.0], [0.0, 0.0, 1.0]])


def write_mirrored(path: Path) -> np.ndarray:
    """Two views of one hand: a half-size crop, and the same crop flipped. Returns its 3D."""
    source = make_truth(1).keypoints_3d
    assert source is not None
    half = np.array([[0.5, 0.0, -0.25], [0.0, 0.5, -0.25], [0.0, 0.0, 1.0]])
    crop = np.stack([half, flip_matrix(SIDE) @ half])
    stored_camera = crop_intrinsics(half, CAMERA)
    points_3d = np.concatenate([source, flip_points_3d(source)])
    camera = np.stack([stored_camera, flip_camera(stored_camera, SIDE)])
    keypoints = project(points_3d, camera)
    buffer = io.BytesIO()
    Image.new("RGB", (SIDE, SIDE)).save(buffer, "PNG")
    valid = np.ones((2, 21), dtype=bool)
    header = dict.fromkeys(("title", "license", "citation", "homepage", "label_source"), "x")
    header |= {"dataset": "sample", "publish_images": True, "sources": []}
    columns = {
        "sample_id": ["plain", "flipped"],
        "image_size": [(SIDE, SIDE)] * 2,
        "keypoints_2d": keypoints,
        "valid_2d": valid,
        "valid_3d": valid,
        "visibility": np.full((2, 21), 2),
        "crop": crop,
        "bbox": np.tile([10.0, 10.0, 20.0, 30.0], (2, 1)),
        "is_right": [1, 1],
        "mirrored": [False, True],
        "keypoints_3d": points_3d,
        "camera": camera,
        "scale": [0.03, 0.04],
        "subject_id": ["anna", "ben"],
    }
    with HandFileWriter(path, header) as writer:
        split = writer.split("test", split_unit="sample_id", cluster_unit="sample_id")
        split.append(columns, [buffer.getvalue()] * 2)
        split.add_truth(
            sample_id=columns["sample_id"],
            keypoints_2d=keypoints,
            keypoints_3d=points_3d,
            valid_2d=valid,
            valid_3d=valid,
            bbox=columns["bbox"],
        )
    return source[0]


def test_truth_is_in_pixels_and_camera_of_the_source(tmp_path: Path) -> None:
    hand = write_mirrored(tmp_path / "two.h5")
    with HandFile(tmp_path / "two.h5") as file:
        truth = read_truth(file, "test")
    assert truth.keypoints_3d is not None
    for row in range(2):
        np.testing.assert_allclose(truth.keypoints_3d[row], hand, atol=1e-7)
        np.testing.assert_allclose(truth.keypoints[row], project(hand, CAMERA), atol=1e-9)
    # The box is flipped back: 64 px wide, 10 + 20 px taken, so 34 px remain on the other side.
    np.testing.assert_allclose(truth.bbox, [[20.5, 20.5, 40.0, 60.0], [66.5, 20.5, 40.0, 60.0]])


@pytest.mark.parametrize(
    "crop",
    [
        np.zeros((3, 3)),
        # Its determinant is 3e-17: rounding hides that the first two columns are parallel.
        np.array([[0.1, 0.2, 5.0], [0.3, 0.6, 7.0], [0.0, 0.0, 1.0]]),
        np.full((3, 3), np.nan),
    ],
)
def test_a_crop_without_inverse_is_one_sentence(tmp_path: Path, crop: np.ndarray) -> None:
    write_mirrored(tmp_path / "two.h5")
    with h5py.File(tmp_path / "two.h5", "r+") as file:
        file["test/crop"][1] = crop
    message = r"two\.h5: expected crops with an inverse in split 'test', found 1 .*sample 'flipped'"
    with HandFile(tmp_path / "two.h5") as file, pytest.raises(ScoreError, match=message):
        read_truth(file, "test")


def test_a_small_crop_far_from_the_origin_is_a_good_one(tmp_path: Path) -> None:
    write_mirrored(tmp_path / "two.h5")
    far = np.array([[0.01, 0.0, -1e4], [0.0, 0.01, -1e4], [0.0, 0.0, 1.0]])
    with h5py.File(tmp_path / "two.h5", "r+") as file:
        file["test/crop"][1] = far
    with HandFile(tmp_path / "two.h5") as file:
        assert len(read_truth(file, "test")) == 2


def test_messages_show_ids_as_they_stand_in_the_file() -> None:
    truth = make_truth(2)
    with pytest.raises(ScoreError, match=r"one id a line, as in 'hands/0000'$"):
        truth.only(["elsewhere"], "ids.txt")
    strangers = make_predictions(truth.rows(np.arange(2)))
    strangers = replace(strangers, id=np.array(["a", "b"]))
    with pytest.raises(PredictionsError, match="expected ids such as 'hands/0000', found a, b;"):
        match(strangers, truth)


def test_predictions_in_the_stored_frame_of_a_flipped_image(tmp_path: Path) -> None:
    write_mirrored(tmp_path / "two.h5")
    with HandFile(tmp_path / "two.h5") as file:
        truth = read_truth(file, "test")
        split = file["test"]
        predictions = make_predictions(
            truth,
            keypoints=split.column("keypoints_2d"),
            keypoints_3d=split.column("keypoints_3d").astype(np.float64),
            frame="stored",
            crop_sha256=split.crop_sha256(),
        )
    matched = match(predictions, truth)
    np.testing.assert_allclose(matched.keypoints, truth.keypoints)
    np.testing.assert_allclose(matched.keypoints_3d, truth.keypoints_3d)


def test_groups_of_hands_by_a_column(tmp_path: Path) -> None:
    write_mirrored(tmp_path / "two.h5")
    with HandFile(tmp_path / "two.h5") as file:
        truth = read_truth(file, "test")
        moved = truth.keypoints + np.array([[[1.0, 0.0]], [[0.0, 3.0]]])
        predictions = make_predictions(truth, keypoints=moved[:1], rows=slice(0, 1))
        evaluation = score(predictions, truth, [HANDBENCH, MMPOSE])
        (by_person,) = breakdown(evaluation, file, ["subject_id"], [HANDBENCH, MMPOSE])
        with pytest.raises(ScoreError, match="did you mean 'subject_id'"):
            breakdown(evaluation, file, ["subject"], [MMPOSE])
    anna, ben = by_person.subsets
    assert (anna.value, anna.expected, anna.predicted) == ("anna", 1, 1)
    assert anna.metrics["EPE[px]"] == pytest.approx(1.0)
    assert anna.metrics[str(MMPOSE.primary)] == pytest.approx(0.9, abs=0.051)
    assert (ben.predicted, ben.metrics["EPE[px]"]) == (0, None)
    assert ben.metrics[str(HANDBENCH.primary)] == 0.0


def test_fingerprints_tell_crops_and_columns_apart_whatever_the_order(tmp_path: Path) -> None:
    truth = make_truth(6, visibility=np.tile([[1], [2]], (3, 21)).astype(np.uint8))
    areas = np.array([np.nan, 2.0, 3.0, 4.0, 5.0, 6.0])

    def fingerprints(name: str, truth: Truth, areas: npt.ArrayLike) -> dict[str, str]:
        with write_truth(tmp_path / f"{name}.h5", truth, person_area_px2=areas) as file:
            return read_truth(file, "test").columns_sha256

    usual = fingerprints("usual", truth, areas)
    assert set(usual) == {"crop", "image_id", "visibility", "is_right", "person_area_px2"}
    assert all(len(digits) == 16 for digits in usual.values())
    order = np.array([3, 0, 5, 1, 4, 2])
    assert fingerprints("shuffled", truth.rows(order), areas[order]) == usual
    crop = truth.crop.copy()
    crop[2, 0, 2] += 4
    moved = fingerprints("moved", replace(truth, crop=crop), areas)
    assert [name for name in usual if moved[name] != usual[name]] == ["crop"]
    visibility = np.where(truth.visibility == 1, 255, truth.visibility).astype(np.uint8)
    other = fingerprints("other", replace(truth, visibility=visibility), areas + 1)
    assert [name for name in sorted(usual) if other[name] != usual[name]] == [
        "person_area_px2",
        "visibility",
    ]
