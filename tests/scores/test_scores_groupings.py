from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from generators.scored import make_truth
from generators.tiny_hdf5 import template
from generators.truth_file import write_truth
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from handbench.errors import ScoreError
from handbench.hand import JOINT_NAMES
from handbench.hdf5.reader import HandFile
from handbench.scores.groupings import GROUPINGS, Grouping, grouping, quantile_edges
from handbench.scores.truth import Truth, read_truth


def counts(found: Grouping) -> dict[str, int]:
    return {group.value: len(group.rows) for group in found.groups}


@pytest.fixture
def plain(tmp_path: Path) -> HandFile:
    return write_truth(tmp_path / "plain.h5", make_truth())


def grouped(name: str, truth: Truth, file: HandFile) -> dict[str, int]:
    """Hands of each group when `truth` takes the place of what stands in the file."""
    return counts(grouping(name, truth, file["test"]))


@pytest.mark.parametrize("name", GROUPINGS)
def test_every_grouping_divides_every_labelled_joint(name: str, plain: HandFile) -> None:
    rng = np.random.default_rng(4)
    truth = make_truth()
    valid = rng.random(truth.valid.shape) < 0.6
    visibility = np.where(valid, rng.choice([1, 2, 255], valid.shape), 0).astype(np.uint8)
    truth = replace(
        truth,
        valid=valid,
        valid_3d=valid,
        visibility=visibility,
        keypoints=np.where(valid[..., None], truth.keypoints, np.nan),
        is_right=rng.integers(-1, 2, len(truth)).astype(np.int8),
    )
    found = grouping(name, truth, plain["test"])
    assert (found.by, found.definition) == (name, GROUPINGS[name])
    times = np.zeros(valid.shape)
    for group in found.groups:
        assert len(group.rows) > 0
        inside = np.zeros(valid.shape)
        joints = np.arange(21) if group.joints is None else group.joints
        inside[group.rows[:, None], joints] = True if group.keep is None else group.keep
        assert (inside[group.rows].astype(bool) & valid[group.rows]).any(axis=1).all()
        times += inside
    assert (times[valid] == 1).all()


def test_joints_come_in_the_canonical_order(plain: HandFile) -> None:
    truth = make_truth()
    assert list(grouped("joint", truth, plain)) == list(JOINT_NAMES)
    fingers = ["wrist", "thumb", "index", "middle", "ring", "pinky"]
    assert list(grouped("finger", truth, plain)) == fingers
    types = grouping("joint_type", truth, plain["test"]).groups
    assert [group.value for group in types] == [
        "wrist",
        "base (CMC, MCP)",
        "middle (MCP, PIP)",
        "outer (IP, DIP)",
        "tip",
    ]
    assert types[-1].joints is not None
    assert types[-1].joints.tolist() == [4, 8, 12, 16, 20]


def test_a_finger_counts_the_hands_that_have_it_labelled(plain: HandFile) -> None:
    truth = make_truth()
    valid = truth.valid.copy()
    valid[:5, 5:9] = False
    valid[:, 0] = False
    truth = replace(truth, valid=valid, valid_3d=valid)
    found = grouped("finger", truth, plain)
    assert (found["index"], found["thumb"]) == (7, 12)
    assert "wrist" not in found


def test_a_joint_labelled_in_3d_alone_counts(plain: HandFile) -> None:
    truth = replace(make_truth(), valid=np.zeros((12, 21), dtype=bool))
    assert grouped("finger", truth, plain)["thumb"] == 12
    truth = replace(truth, visibility=np.zeros((12, 21), dtype=np.uint8))
    assert grouped("visibility", truth, plain) == {"unknown": 12}


def test_visibility_is_that_of_each_joint(plain: HandFile) -> None:
    truth = make_truth()
    visibility = truth.visibility.copy()
    visibility[0, :3] = 1
    visibility[1:3, 5] = 255
    found = grouping("visibility", replace(truth, visibility=visibility), plain["test"])
    assert counts(found) == {"visible": 12, "occluded": 1, "unknown": 2}
    ones = np.ones((12, 21))
    assert [np.nansum(group.of(ones)) for group in found.groups] == [12 * 21 - 5, 3, 2]


def test_sides(plain: HandFile) -> None:
    truth = replace(make_truth(), is_right=np.repeat([0, -1, 1], [3, 4, 5]).astype(np.int8))
    assert list(grouped("side", truth, plain).items()) == [
        ("right", 5),
        ("left", 3),
        ("unknown", 4),
    ]


def test_sizes_are_fixed_half_octaves_with_the_edge_in_the_larger_one(plain: HandFile) -> None:
    truth = make_truth(8)
    longer = np.array([10.0, 31.999, 32.0, 47.0, 128.0, 511.0, 512.0, 9000.0])
    keypoints = np.zeros((8, 21, 2))
    keypoints[:, 4, 0] = longer
    keypoints[:, 8, 1] = longer / 2
    truth = replace(truth, keypoints=keypoints)
    assert list(grouped("size", truth, plain).items()) == [
        ("below 32 px", 2),
        ("32 to 48 px", 2),
        ("128 to 192 px", 1),
        ("384 to 512 px", 1),
        ("from 512 px", 2),
    ]
    lonely = np.zeros((8, 21), dtype=bool)
    lonely[:, 4] = True
    assert grouped("size", replace(truth, valid=lonely), plain) == {"unknown": 8}


def test_turning_the_points_walks_through_the_sectors(plain: HandFile) -> None:
    truth = make_truth(8)
    names = []
    for step in range(8):
        # 20° to either side belongs to the same sector.
        a = np.radians(45.0 * step + np.array([-20.0, 20.0, 0.0, 5.0, -5.0, 22.0, -22.0, 1.0]))
        hands = np.zeros((8, 21, 2))
        hands[:, 9] = 30.0 * np.stack([np.sin(a), -np.cos(a)], axis=-1)
        ((name, members),) = grouped("rotation", replace(truth, keypoints=hands), plain).items()
        assert members == 8
        names.append(name)
    assert names == [
        "up (0°)",
        "up right (45°)",
        "right (90°)",
        "down right (135°)",
        "down (180°)",
        "down left (225°)",
        "left (270°)",
        "up left (315°)",
    ]


def test_views_of_a_hand_and_of_its_mirror_image(plain: HandFile) -> None:
    # The template is a right hand whose back is seen: thumb left, fingers up.
    flat = np.zeros((6, 21, 3))
    flat[:5, :, :2] = 0.08 * template()
    flat[5, :, 1:] = 0.08 * template()[:, ::-1]  # seen from the edge
    flat[..., 2] += 0.6
    sides = np.array([1, 0, -1, 1, 0, 1], dtype=np.int8)
    truth = replace(make_truth(6), keypoints_3d=flat, is_right=sides)
    found = grouping("view", truth, plain["test"])
    assert {group.value: group.rows.tolist() for group in found.groups} == {
        "palm": [1, 4],
        "side": [5],
        "back": [0, 3],
        "unknown": [2],
    }
    assert grouped("view", replace(truth, keypoints_3d=None), plain) == {"unknown": 6}


def test_truncation_counts_joints_outside_the_stored_image(tmp_path: Path) -> None:
    truth = make_truth(5)
    # Stored is the left upper 200 px of the source at half size.
    keypoints = np.clip(truth.keypoints, 5.0, 190.0)
    keypoints[1, :1] = 250.0
    keypoints[2, :4] = (-3.0, 20.0)
    keypoints[3, :5] = 300.0
    keypoints[4, :5] = 300.0
    truth = replace(truth, keypoints=keypoints)
    with write_truth(tmp_path / "cut.h5", truth) as file:
        assert grouped("truncation", truth, file) == {"0": 1, "1-4": 2, "5+": 2}
        some = truth.rows(np.array([4, 0]))
        assert grouped("truncation", some, file) == {"0": 1, "5+": 1}


def test_occlusion_counts_joints(plain: HandFile) -> None:
    visibility = np.full((6, 21), 2, dtype=np.uint8)
    for row, occluded in enumerate((0, 1, 5, 6, 11)):
        visibility[row, :occluded] = 1
    visibility[5] = 255
    truth = replace(make_truth(6), visibility=visibility)
    assert list(grouped("occlusion", truth, plain).items()) == [
        ("0", 1),
        ("1-5", 2),
        ("6-10", 1),
        ("11+", 1),
        ("unknown", 1),
    ]


# --- columns -------------------------------------------------------------------------------------


def test_columns_of_text_whole_numbers_and_truth_values(tmp_path: Path) -> None:
    truth = make_truth(6)
    columns = {
        "subject_id": ["ben", "anna", "", "anna", "", "anna"],
        "frame_index": [10, 9, 10, 100, 9, 9],
    }
    with write_truth(tmp_path / "columns.h5", truth, **columns) as file:
        found = grouping("subject_id", truth, file["test"])
        assert list(counts(found).items()) == [("anna", 3), ("ben", 1), ("unknown", 2)]
        assert found.groups[0].rows.tolist() == [1, 3, 5]
        # By number, not by letters.
        frames = grouped("frame_index", truth, file)
        assert list(frames.items()) == [("9", 3), ("10", 2), ("100", 1)]
        assert grouped("mirrored", truth, file) == {"False": 6}
        # The rows of the truth, whatever their order.
        some = truth.rows(np.array([5, 0]))
        found = grouping("subject_id", some, file["test"])
        assert {g.value: g.rows.tolist() for g in found.groups} == {"anna": [0], "ben": [1]}


def test_measurements_fall_into_groups_of_equal_number_at_the_printed_edges(tmp_path: Path) -> None:
    truth = make_truth(22)
    scale = np.linspace(0.0212345, 0.0398765, 22)
    scale[[3, 9]] = np.nan, np.inf
    with write_truth(tmp_path / "scale.h5", truth, scale=scale) as file:
        found = grouping("scale", truth, file["test"])
    assert [group.value for group in found.groups] == [
        "below 0.0255",
        "0.0255 to 0.0294",
        "0.0294 to 0.0331",
        "0.0331 to 0.0365",
        "from 0.0365",
        "unknown",
    ]
    assert [len(group.rows) for group in found.groups] == [4, 4, 4, 4, 4, 2]
    for group in found.groups[1:4]:
        low, high = (float(end) for end in group.value.split(" to "))
        expected = np.flatnonzero((scale >= low) & (scale < high))
        assert group.rows.tolist() == expected.tolist()
    assert "a ≤ value < b" in found.definition


def test_few_different_measurements_are_groups_by_themselves(tmp_path: Path) -> None:
    truth = make_truth(6)
    scale = [0.03, 0.02, 0.03, np.nan, 0.02, 0.02]
    with write_truth(tmp_path / "scale.h5", truth, scale=scale) as file:
        found = grouped("scale", truth, file)
    assert list(found.items()) == [("0.02", 3), ("0.03", 2), ("unknown", 1)]


@given(arrays(np.float64, st.integers(6, 60), elements=st.floats(-1e6, 1e6)))
def test_edges_rise_and_lie_near_the_quantiles(values: np.ndarray) -> None:
    edges = quantile_edges(values)
    assert 1 <= len(edges) <= 4
    assert (np.diff(edges) > 0).all()
    exact = np.quantile(values, [0.2, 0.4, 0.6, 0.8])
    spread = (exact[-1] - exact[0]) or abs(exact[0]) or 1.0
    assert max(np.abs(exact - edge).min() for edge in edges) <= 0.011 * spread


def test_names_that_cannot_group(tmp_path: Path, plain: HandFile) -> None:
    truth = read_truth(plain, "test")
    for name, message in {
        "fingers": "'fingers': there is no such grouping, .*did you mean 'finger'",
        "isright": "did you mean 'is_right'",
        "bbox": "'test' this column does not hold one value a hand",
        "sample_id": "this column does not hold one value a hand that hands could share",
        "subject_id": "split 'test' does not hold this column; known: joint, finger",
        "": "cannot group by '': there is no such grouping",
    }.items():
        with pytest.raises(ScoreError, match=message):
            grouping(name, truth, plain["test"])
