"""Files in the exact form in which other projects write 3D hands."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from generators.tiny_hdf5 import write_tiny

from handbench.errors import PredictionsError
from handbench.hand import NATIVE_ORDERS, from_canonical
from handbench.hdf5.reader import HandFile
from handbench.predictions.read import read_predictions

XYZ = [[0.01 * joint, 0.005 * joint, 0.5] for joint in range(21)]
Floats = npt.NDArray[np.float64]


@pytest.fixture
def data(tmp_path: Path) -> HandFile:
    return HandFile(write_tiny(tmp_path / "tiny.h5", {"train": 2, "test": 6}))


def saved(folder: Path, document: Any, name: str = "pred.json") -> Path:
    (folder / name).write_text(json.dumps(document), "utf-8")
    return folder / name


def hands(seed: int = 0) -> tuple[Floats, Floats]:
    """Six hands in the camera's frame: (6, 21, 3) joints and (6, 778, 3) vertices, m."""
    rng = np.random.default_rng(seed)
    place = rng.uniform([-0.1, -0.1, 0.5], [0.1, 0.1, 0.9], (6, 1, 3))
    joints = place + rng.uniform(-0.06, 0.06, (6, 21, 3))
    surface = np.tile(joints, (1, 38, 1))[:, :778] + rng.normal(0, 0.005, (6, 778, 3))
    return joints, surface


def test_freihand_lists_take_ids_from_the_order_of_the_split(
    tmp_path: Path, data: HandFile
) -> None:
    verts = [XYZ * 37 + [XYZ[0]]] * 6
    read = read_predictions(saved(tmp_path, [[XYZ] * 6, verts]), data)
    assert read.id.tolist() == [f"test/{row:04d}" for row in range(6)]
    assert (read.dataset, read.split, read.name, read.keypoints) == ("tiny", "test", "pred", None)
    np.testing.assert_array_equal(read.keypoints_3d[0], XYZ)  # type: ignore[index]
    assert read.vertices is not None
    assert read.vertices.shape == (6, 778, 3)
    assert read_predictions(saved(tmp_path, [[XYZ] * 6, []]), data).vertices is None


@pytest.mark.parametrize(
    ("count", "message"),
    [
        (3, "3 predictions for 6 samples of tiny test: was every second one written"),
        (5, "5 predictions for 6 samples of tiny test: a list without ids must hold every"),
        (12, "12 predictions for 6 samples .* several splits or runs joined"),
    ],
)
def test_freihand_lists_of_another_length(
    tmp_path: Path, data: HandFile, count: int, message: str
) -> None:
    with pytest.raises(PredictionsError, match=message):
        read_predictions(saved(tmp_path, [[XYZ] * count, []]), data)


def test_freihand_lists_that_are_broken(tmp_path: Path, data: HandFile) -> None:
    with pytest.raises(PredictionsError, match="'xyz' to be a regular nesting of numbers"):
        read_predictions(saved(tmp_path, [[*[XYZ] * 5, XYZ[:20]], []]), data)
    with pytest.raises(PredictionsError, match=r"expected 'keypoints_3d' of shape \(6, 21, 3\)"):
        read_predictions(saved(tmp_path, [[XYZ[:20]] * 6, []]), data)
    with pytest.raises(PredictionsError, match=r"add --data FILE\.h5"):
        read_predictions(saved(tmp_path, [[XYZ] * 6, []]))


def test_an_indented_pred_json_is_read_alike(tmp_path: Path, data: HandFile) -> None:
    joints, surface = hands()
    document = [joints.tolist(), surface.tolist()]
    flat = read_predictions(saved(tmp_path, document), data)
    (tmp_path / "indented.json").write_text(json.dumps(document, indent=2), "utf-8")
    indented = read_predictions(tmp_path / "indented.json", data)
    np.testing.assert_array_equal(flat.vertices, surface)  # type: ignore[arg-type]
    np.testing.assert_array_equal(indented.vertices, surface)  # type: ignore[arg-type]
    np.testing.assert_array_equal(indented.keypoints_3d, joints)  # type: ignore[arg-type]


def test_a_submission_is_read_from_its_zip(tmp_path: Path, data: HandFile) -> None:
    joints, surface = hands()
    path = tmp_path / "submission.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("out/pred.json", json.dumps([joints.tolist(), surface.tolist()]))
        archive.writestr("__MACOSX/out/._pred.json", "shadow")
    read = read_predictions(path, data)
    assert read.name == "submission"
    np.testing.assert_array_equal(read.keypoints_3d, joints)  # type: ignore[arg-type]


# --- HaMeR, WiLoR, METRO, MobRecon ----------------------------------------------------------------


@pytest.mark.parametrize("project", ["hamer", "wilor"])
def test_hamer_centres_joints_but_not_the_mesh(
    tmp_path: Path, data: HandFile, project: str
) -> None:
    # eval.py subtracts the wrist from the joints in place and writes float32; the mesh stays in
    # the frame of MANO, whose wrist lies 9.6 cm from the origin.
    joints, surface = hands()
    wrist = joints[:, :1]
    joints = np.float32(joints - wrist)
    surface = np.float32(surface - wrist + [0.0957, 0.0064, 0.0062])
    path = saved(tmp_path, [joints.tolist(), surface.tolist()], f"{project}-freihand-val.json")
    read = read_predictions(path, data)
    assert read.frame_3d == "root:wrist"
    assert len(read.notes) == 2
    assert "relative to its wrist, so the file is read as" in read.notes[0]
    assert (
        "joints are relative to the wrist but vertices are not (their centres lie 0."
        in (read.notes[1])
    )
    np.testing.assert_array_equal(read.keypoints_3d, joints)  # type: ignore[arg-type]


@pytest.mark.parametrize("root", [0, 9])
def test_metro_centres_both(tmp_path: Path, data: HandFile, root: int) -> None:
    joints, surface = hands()
    origin = joints[:, root : root + 1]
    document = [(joints - origin).tolist(), (surface - origin).tolist()]
    read = read_predictions(saved(tmp_path, document), data)
    name = {0: "wrist", 9: "middle_mcp"}[root]
    assert read.frame_3d == f"root:{name}"
    assert len(read.notes) == 1


def test_metro_without_a_mesh(tmp_path: Path, data: HandFile) -> None:
    joints = hands()[0]
    read = read_predictions(saved(tmp_path, [(joints - joints[:, :1]).tolist(), []]), data)
    assert (read.frame_3d, len(read.notes), read.vertices) == ("root:wrist", 1, None)


def test_mobrecon_is_in_camera_space(tmp_path: Path, data: HandFile) -> None:
    joints, surface = hands()
    read = read_predictions(saved(tmp_path, [joints.tolist(), surface.tolist()]), data)
    assert (read.frame_3d, read.notes) == ("camera", ())


def test_an_assumed_frame_is_not_looked_at(tmp_path: Path, data: HandFile) -> None:
    joints = hands()[0]
    path = saved(tmp_path, [(joints - joints[:, :1]).tolist(), []])
    read = read_predictions(path, data, assume={"frame_3d": "camera"})
    assert (read.frame_3d, read.notes) == ("camera", ())


def test_zeros_everywhere_pass_untouched(tmp_path: Path, data: HandFile) -> None:
    # The README files of FreiHAND and HO-3D print the scores of such a file.
    zeros = [np.zeros((6, 21, 3)).tolist(), np.zeros((6, 778, 3)).tolist()]
    read = read_predictions(saved(tmp_path, zeros), data)
    assert (read.frame_3d, read.notes) == ("camera", ())
    assert read.keypoints_3d is not None
    assert read.vertices is not None
    assert not read.keypoints_3d.any()
    assert read.vertices.shape == (6, 778, 3)


@pytest.mark.parametrize("shape", [(6, 778, 3), (6, 1, 3)])
def test_zero_vertices_beside_joints_are_none(
    tmp_path: Path, data: HandFile, shape: tuple[int, ...]
) -> None:
    document = [hands()[0].tolist(), np.zeros(shape).tolist()]
    read = read_predictions(saved(tmp_path, document), data)
    assert read.vertices is None
    assert read.notes == ("its vertices are all zero, so it is read as a file without meshes",)


def test_ho3d_axes_and_order_are_assumed(tmp_path: Path, data: HandFile) -> None:
    joints, surface = hands()
    flip = np.array([1.0, -1.0, -1.0])
    native = from_canonical(joints, NATIVE_ORDERS["mano"]) * flip
    path = saved(tmp_path, [native.tolist(), (surface * flip).tolist()])
    convention = {"axes": "opengl", "keypoint_order": "mano"}
    for read in (
        read_predictions(path, data, assume=convention),
        read_predictions(path, data, assume_without_header=convention),
    ):
        np.testing.assert_array_equal(read.keypoints_3d, joints)  # type: ignore[arg-type]
        np.testing.assert_array_equal(read.vertices, surface)  # type: ignore[arg-type]
    assert read.notes == (
        "the file does not say so, but it is read as axes=opengl, keypoint_order=mano",
    )
    usual = {"axes": "opencv", "keypoint_order": "canonical"}
    assert read_predictions(path, data, assume_without_header=usual).notes == ()


def test_meshes_for_some_hands_only(tmp_path: Path, data: HandFile) -> None:
    joints, surface = hands()
    document = [joints.tolist(), surface[:5].tolist()]
    with pytest.raises(PredictionsError, match="6 hands in the first list, but 5 meshes"):
        read_predictions(saved(tmp_path, document), data)


def test_lists_in_millimetres(tmp_path: Path, data: HandFile) -> None:
    joints, surface = hands()
    path = saved(tmp_path, [(1000 * joints).tolist(), (1000 * surface).tolist()])
    with pytest.raises(
        PredictionsError, match="look like mm, so use --assume unit=mm or convert them"
    ):
        read_predictions(path, data)
    read = read_predictions(path, data, assume={"unit": "mm"})
    np.testing.assert_allclose(read.vertices, surface, atol=1e-12)  # type: ignore[arg-type]
    mixed = [joints.tolist(), (1000 * surface).tolist()]
    with pytest.raises(PredictionsError, match="expected 'vertices' in m, found hands that"):
        read_predictions(saved(tmp_path, mixed), data)
    joints[3:] *= 1000
    with pytest.raises(PredictionsError, match=r"in one unit, found 3 of 6 hands .* 'test/0003'"):
        read_predictions(saved(tmp_path, [joints.tolist(), []]), data)


# --- DexYCB --------------------------------------------------------------------------------------


def dexycb_text(joints: Floats, numbers: list[int], separator: str = ",") -> str:
    """Lines as DexYCB's toolkit reads them: number of the sample, then 63 numbers in mm."""
    return "".join(
        separator.join([str(number), *(f"{value:.4f}" for value in 1000 * hand.ravel())]) + "\n"
        for number, hand in zip(numbers, joints)
    )


@pytest.mark.parametrize("separator", [",", ", ", " ", "\t"])
def test_dexycb_text(tmp_path: Path, data: HandFile, separator: str) -> None:
    joints = hands()[0]
    path = tmp_path / "s0_test_net.txt"
    path.write_text(dexycb_text(joints[:4], [3, 0, 5, 6], separator) + "\n", "utf-8")
    read = read_predictions(path, data)
    assert read.id.tolist() == ["test/0003", "test/0000", "test/0005", "6"]
    assert (read.name, read.frame_3d, read.keypoints) == ("s0_test_net", "camera", None)
    np.testing.assert_allclose(read.keypoints_3d, joints[:4], atol=1e-7)  # type: ignore[arg-type]


def test_dexycb_text_of_root_relative_hands(tmp_path: Path, data: HandFile) -> None:
    joints = hands()[0]
    path = tmp_path / "relative.csv"
    path.write_text(dexycb_text(joints - joints[:, :1], list(range(6))), "utf-8")
    assert read_predictions(path, data).frame_3d == "root:wrist"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1,2,3\n", r"found 3 fields in line 1 \('1,2,3'\)"),
        ("\n0," + "1," * 62 + "x\n", "found other text in line 2"),
        ("0.5" + ",1" * 63, "found other text in line 1"),
        ("0" + ",nan" * 62 + ",1", "'keypoints_3d' of id 'test/0000' holds NaN, infinity"),
        ("ü", r"found 2 fields in line 1 \('binary data'\)"),
    ],
)
def test_dexycb_text_that_is_broken(
    tmp_path: Path, data: HandFile, text: str, message: str
) -> None:
    path = tmp_path / "results.txt"
    path.write_text(text, "utf-8")
    with pytest.raises(PredictionsError, match=message):
        read_predictions(path, data)


def test_dexycb_text_in_metres(tmp_path: Path, data: HandFile) -> None:
    path = tmp_path / "results.txt"
    path.write_text(dexycb_text(hands()[0] / 1000, list(range(6))), "utf-8")
    with pytest.raises(
        PredictionsError, match=r"expected 'keypoints_3d' in mm, .* --assume unit=m "
    ):
        read_predictions(path, data)
    assert len(read_predictions(path, data, assume={"unit": "m"})) == 6


# --- lists of another kind ------------------------------------------------------------------------


def test_a_list_of_something_else(tmp_path: Path, data: HandFile) -> None:
    with pytest.raises(PredictionsError, match="found a list of 3 entries of another kind"):
        read_predictions(saved(tmp_path, [1, 2, 3]), data)


def test_a_list_needs_a_split_that_can_be_guessed(tmp_path: Path) -> None:
    file = HandFile(write_tiny(tmp_path / "two.h5", {"train": 2, "val": 2}))
    with pytest.raises(
        PredictionsError, match="no split 'test' but train, val: assume split=train"
    ):
        read_predictions(saved(tmp_path, [[XYZ] * 2, []]), file)
    read = read_predictions(saved(tmp_path, [[XYZ] * 2, []]), file, assume={"split": "val"})
    assert read.split == "val"
    with pytest.raises(PredictionsError, match=r"assumed split=dev, but .* has train, val"):
        read_predictions(saved(tmp_path, [[XYZ] * 2, []]), file, assume={"split": "dev"})


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([[XYZ] * 6], "of another kind|found 1: write an empty list"),
        ([[XYZ] * 6, [], []], "of another kind"),
        ([[[["0.1"] * 3] * 21] * 6, []], "'xyz' to be a regular nesting of numbers, found '0.1'"),
        ([[XYZ] * 6, [[None]]], "'verts' to be a regular nesting"),
    ],
)
def test_lists_of_the_wrong_nesting(
    tmp_path: Path, data: HandFile, document: Any, message: str
) -> None:
    with pytest.raises(PredictionsError, match=message):
        read_predictions(saved(tmp_path, document), data)
