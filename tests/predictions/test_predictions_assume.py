from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from handbench.errors import PredictionsError
from handbench.hand import JOINT_NAMES, NATIVE_ORDERS, from_canonical
from handbench.predictions.assume import check_assumptions, parse_assumptions
from handbench.predictions.read import read_predictions

HAND_3D = np.random.default_rng(0).uniform(-0.06, 0.06, (1, 21, 3))


def saved(folder: Path, points: Any = HAND_3D, **header: Any) -> Path:
    document = {
        "handbench_predictions": 1,
        "dataset": "sample",
        "split": "test",
        "model": {"name": "my-net"},
        **header,
        "predictions": [{"id": "a", "keypoints_3d": np.asarray(points)[0].tolist()}],
    }
    path = folder / "preds.json"
    path.write_text(json.dumps(document), "utf-8")
    return path


# --- texts ---------------------------------------------------------------------------------------


def test_texts_become_assumptions() -> None:
    order = ",".join(["0", " thumb_cmc", *map(str, range(2, 21))])
    parsed = parse_assumptions(
        ["axes=opengl", " unit = mm ", f"keypoint_order={order}", "name=a=b", "unit=mm"]
    )
    assert parsed == {
        "axes": "opengl",
        "unit": "mm",
        "keypoint_order": [0, "thumb_cmc", *range(2, 21)],
        "name": "a=b",
    }
    assert parse_assumptions([]) == {}


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["axes"], "as KEY=VALUE, found 'axes': write for example axes=opengl"),
        (["axes="], "as KEY=VALUE"),
        (["=opengl"], "as KEY=VALUE"),
        (["axis=opengl"], "cannot assume 'axis': did you mean 'axes'"),
        (["colour=red"], "cannot assume 'colour': expected one of axes, unit, keypoint_order"),
        (["axes=opengll"], "cannot assume axes=opengll: expected one of opencv, opengl"),
        (["unit=cm"], "cannot assume unit=cm: expected one of m, mm"),
        (["frame_3d=root:rist"], "did you mean 'root:wrist'"),
        (["frame_3d=world"], "cannot assume frame_3d=world: expected one of camera, root:wrist, …"),
        (["keypoint_order=man"], "found 'man': did you mean 'mano'"),
        (["keypoint_order=0,1,2"], "must list 21 joints, found 3"),
        (["unit=m", "unit=mm"], "unit is assumed to be 'm' and 'mm': keep one"),
    ],
)
def test_texts_that_mean_nothing(texts: list[str], message: str) -> None:
    with pytest.raises(PredictionsError, match=message):
        parse_assumptions(texts)


@pytest.mark.parametrize(
    ("assume", "message"),
    [
        ({"split": ""}, "cannot assume split='': write some text"),
        ({"name": 3}, "cannot assume name=3"),
        ({"axes": ["opengl"]}, "cannot assume axes="),
        ({"keypoint_order": 5}, "to be a word or a list of 21 joints, found 5"),
        ({"keypoint_order": [[0]] * 21}, "to be a word or a list of 21 joints"),
    ],
)
def test_values_of_other_types(assume: dict[str, Any], message: str) -> None:
    with pytest.raises(PredictionsError, match=message):
        check_assumptions(assume)


# --- files with a header --------------------------------------------------------------------------


def test_a_silent_header_is_completed(tmp_path: Path) -> None:
    native = from_canonical(HAND_3D, NATIVE_ORDERS["mano"]) * [1000, -1000, -1000]
    read = read_predictions(
        saved(tmp_path, native),
        assume={"axes": "opengl", "unit": "mm", "keypoint_order": "mano", "frame_3d": "root:wrist"},
    )
    np.testing.assert_allclose(read.keypoints_3d, HAND_3D, atol=1e-12)  # type: ignore[arg-type]
    assert read.frame_3d == "root:wrist"


def test_names_may_be_assumed_where_the_header_has_none(tmp_path: Path) -> None:
    path = saved(tmp_path, model={"params": 3})
    with pytest.raises(PredictionsError, match="'name' is a required property"):
        read_predictions(path)
    assert read_predictions(path, assume={"name": "x"}).model == {"params": 3, "name": "x"}


@pytest.mark.parametrize(
    ("header", "assume"),
    [
        ({"axes": "opencv"}, {"axes": "opengl"}),
        ({"unit": "m"}, {"unit": "mm"}),
        ({"keypoint_order": "canonical"}, {"keypoint_order": "mano"}),
        ({"keypoint_order": list(JOINT_NAMES)}, {"keypoint_order": "rhd"}),
        ({"frame_3d": "camera"}, {"frame_3d": "root:wrist"}),
        ({}, {"split": "val"}),
        ({}, {"name": "other"}),
    ],
)
def test_a_header_that_says_otherwise_is_an_error(
    tmp_path: Path, header: dict[str, Any], assume: dict[str, Any]
) -> None:
    with pytest.raises(PredictionsError, match=r"assumed .*, but its header says"):
        read_predictions(saved(tmp_path, **header), assume=assume)


def test_an_assumption_that_the_header_confirms(tmp_path: Path) -> None:
    path = saved(tmp_path, keypoint_order=list(JOINT_NAMES), axes="opencv")
    assume = {"keypoint_order": "canonical", "axes": "opencv", "split": "test", "name": "my-net"}
    assert len(read_predictions(path, assume=assume)) == 1


def test_conventions_of_lists_do_not_touch_a_file_with_a_header(tmp_path: Path) -> None:
    convention = {"axes": "opengl", "keypoint_order": "mano"}
    read = read_predictions(saved(tmp_path), assume_without_header=convention)
    np.testing.assert_array_equal(read.keypoints_3d, HAND_3D)  # type: ignore[arg-type]
    assert read.notes == ()


@pytest.mark.parametrize("order", sorted(NATIVE_ORDERS))
def test_a_header_may_name_a_published_order(tmp_path: Path, order: str) -> None:
    native = from_canonical(HAND_3D, NATIVE_ORDERS[order])
    read = read_predictions(saved(tmp_path, native, keypoint_order=order))
    np.testing.assert_array_equal(read.keypoints_3d, HAND_3D)  # type: ignore[arg-type]
