from __future__ import annotations

import doctest
import json
import re
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from generators.scored import make_predictions, make_truth
from generators.truth_file import write_truth

from handbench.cli import cli
from handbench.errors import ScoreError
from handbench.hand import JOINT_NAMES
from handbench.metrics import average, epe
from handbench.predictions.record import Predictions
from handbench.scores.groupings import GROUPINGS, SIZE_EDGES_PX
from handbench.scores.protocols import HANDBENCH, MMPOSE, Protocol, custom_protocol
from handbench.scores.results import Evaluation
from handbench.scores.scoring import score
from handbench.scores.subsets import Breakdown, Subset, breakdown
from handbench.scores.text import subsets_text
from handbench.scores.truth import Truth

PAGE = Path(__file__).parents[2] / "docs" / "breakdowns.md"
PRIMARY = str(HANDBENCH.primary)


def by(
    name: str,
    folder: Path,
    truth: Truth,
    predictions: Predictions,
    protocols: Sequence[Protocol] = (HANDBENCH,),
    **columns: Any,
) -> tuple[Evaluation, Breakdown]:
    """Score `predictions`, and break the scores down by one name."""
    evaluation = score(predictions, truth, protocols)
    with write_truth(folder / "hands.h5", truth, **columns) as file:
        (found,) = breakdown(evaluation, file, [name], protocols)
    return evaluation, found


def values(found: Breakdown, metric: str) -> dict[str, float | None]:
    return {subset.value: subset.metrics[metric] for subset in found.subsets}


def test_an_error_of_the_index_finger_shows_only_there(tmp_path: Path) -> None:
    truth = make_truth(30)
    keypoints, keypoints_3d = truth.keypoints.copy(), truth.keypoints_3d.copy()
    keypoints[:, 5:9, 0] += 6.0
    keypoints_3d[:, 5:9, 1] += 0.02
    predictions = make_predictions(truth, keypoints=keypoints, keypoints_3d=keypoints_3d)
    _, fingers = by("finger", tmp_path, truth, predictions)
    assert values(fingers, "EPE[px]") == pytest.approx(
        {"wrist": 0.0, "thumb": 0.0, "index": 6.0, "middle": 0.0, "ring": 0.0, "pinky": 0.0}
    )
    assert values(fingers, "MPJPE[mm,root=0]")["index"] == pytest.approx(20.0)
    assert values(fingers, "MPJPE[mm,root=0]")["pinky"] == pytest.approx(0.0)
    primary = values(fingers, PRIMARY)
    assert primary.pop("index") < 0.9
    assert all(value == 1.0 for value in primary.values())
    _, joints = by("joint", tmp_path, truth, predictions)
    wrong = [name for name, value in values(joints, "EPE[px]").items() if value > 1.0]
    assert wrong == ["index_mcp", "index_pip", "index_dip", "index_tip"]
    _, types = by("joint_type", tmp_path, truth, predictions)
    found = list(values(types, "EPE[px]").values())
    assert found == pytest.approx([0.0, 1.2, 1.2, 1.2, 1.2])


def test_joints_are_the_values_of_the_results(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    truth = make_truth(40)
    predictions = make_predictions(truth, 9.0, rows=slice(0, 35), keypoints_3d=None)
    valid = rng.random((40, 21)) < 0.7
    truth = replace(
        truth, valid=valid, keypoints=np.where(valid[..., None], truth.keypoints, np.nan)
    )
    evaluation, joints = by("joint", tmp_path, truth, predictions, (HANDBENCH, MMPOSE))
    for protocol, results in zip((HANDBENCH, MMPOSE), evaluation.results):
        name = str(protocol.primary)
        assert [s.metrics[name] for s in joints.subsets] == pytest.approx(results.per_joint[name])
    assert [s.value for s in joints.subsets] == list(JOINT_NAMES)
    # Labelled in 3D everywhere, so all count; predicted are those of a hand that was found.
    assert {(s.expected, s.predicted, s.joints) for s in joints.subsets} == {(40, 35, 40)}
    assert "PA-MPJPE[mm]" not in joints.subsets[0].metrics


@pytest.mark.parametrize("name", [*GROUPINGS, "instant_id", "scale"])
def test_numbers_of_hands_and_joints_add_up(tmp_path: Path, name: str) -> None:
    rng = np.random.default_rng(5)
    truth = make_truth(40, groups=25)
    valid = rng.random((40, 21)) < 0.8
    truth = replace(
        truth,
        valid=valid,
        valid_3d=valid,
        visibility=np.where(valid, rng.choice([1, 2, 255], valid.shape), 0).astype(np.uint8),
        is_right=rng.integers(-1, 2, 40).astype(np.int8),
        keypoints=truth.keypoints * rng.uniform(0.5, 3.0, (40, 1, 1)),
    )
    predictions = make_predictions(truth, 5.0, rows=slice(3, 40))
    _, found = by(name, tmp_path, truth, predictions, scale=rng.uniform(0.02, 0.04, 40))
    assert found.by == name
    assert {subset.by for subset in found.subsets} == {name}
    assert sum(subset.joints for subset in found.subsets) == valid.sum()
    if name not in ("joint", "finger", "joint_type", "visibility"):
        assert sum(subset.expected for subset in found.subsets) == 40
        assert sum(subset.predicted for subset in found.subsets) == 37
    for subset in found.subsets:
        assert 1 <= subset.clusters <= subset.expected <= 40
        assert 1 <= subset.joints <= 21 * subset.expected


@pytest.mark.parametrize("name", ["side", "size", "rotation", "view", "occlusion", "visibility"])
def test_the_whole_is_the_mean_of_its_parts_for_pooled_metrics(tmp_path: Path, name: str) -> None:
    rng = np.random.default_rng(6)
    truth = make_truth(30)
    size, angle = rng.uniform(0.5, 3.0, 30), rng.uniform(0.0, 2 * np.pi, 30)
    turn = size * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    truth = replace(
        truth,
        visibility=rng.choice([1, 2], (30, 21)).astype(np.uint8),
        is_right=rng.integers(-1, 2, 30).astype(np.int8),
        keypoints=np.einsum("ijn,nkj->nki", turn, truth.keypoints),
    )
    pooled = custom_protocol(("PCK@8px[avg=pool]",))
    predictions = make_predictions(truth, 6.0)
    evaluation, found = by(name, tmp_path, truth, predictions, (pooled,))
    assert len(found.subsets) > 1
    weights = np.array([subset.joints for subset in found.subsets])
    for metric, total in {
        "PCK@8px[avg=pool]": evaluation.results[0].metrics["PCK@8px[avg=pool]"].value,
        "EPE[px]": epe(evaluation.errors.errors_px),
        "PA-MPJPE[mm]": epe(evaluation.errors.pa_mm),
    }.items():
        parts = np.array([subset.metrics[metric] for subset in found.subsets])
        assert weights @ parts / weights.sum() == pytest.approx(total)


def test_the_metric_keeps_its_own_rule_of_averaging(tmp_path: Path) -> None:
    truth = make_truth(10)
    valid = truth.valid.copy()
    valid[1:, 5] = False  # one labelled index MCP, ten labelled index tips
    truth = replace(truth, valid=valid)
    keypoints = truth.keypoints.copy()
    keypoints[0, 5] += 100.0
    names = ("PCK@8px", "PCK@8px[avg=pool]", "EPE[px,stat=median]")
    for name, expected in zip(names, (3 / 4, 30 / 31, 0.0)):
        predictions = make_predictions(truth, keypoints=keypoints)
        _, found = by("finger", tmp_path, truth, predictions, (custom_protocol((name,)),))
        assert values(found, name)["index"] == pytest.approx(expected)


def test_a_metric_of_hands_has_no_column_in_tables_of_joints(tmp_path: Path) -> None:
    truth = make_truth(12)
    sides = np.repeat([1, 0], [6, 6]).astype(np.int8)
    truth = replace(truth, is_right=sides)
    predictions = make_predictions(truth, is_right=np.repeat([1, 0, 1], [6, 3, 3]).astype(np.int8))
    protocol = custom_protocol(("handedness",))
    _, found = by("side", tmp_path, truth, predictions, (protocol,))
    assert values(found, "handedness") == {"right": 1.0, "left": 0.5}
    _, found = by("finger", tmp_path, truth, predictions, (protocol,))
    assert list(found.subsets[0].metrics) == ["EPE[px]", "PA-MPJPE[mm]", "MPJPE[mm,root=0]"]


def test_joints_of_both_sides_are_told_apart_where_the_metric_does(tmp_path: Path) -> None:
    truth = make_truth(40)
    truth = replace(truth, is_right=np.repeat([1, 0], [30, 10]).astype(np.int8))
    keypoints = truth.keypoints.copy()
    keypoints[30:] += 50.0
    predictions = make_predictions(truth, keypoints=keypoints)
    name = "PCK@8px[avg=side]"
    _, found = by("finger", tmp_path, truth, predictions, (custom_protocol((name,)),))
    assert values(found, name)["thumb"] == 0.5
    assert found.subsets[0].ci95[name] == pytest.approx((0.5, 0.5))


def test_missed_hands_are_wrong_and_counted(tmp_path: Path) -> None:
    truth = make_truth(12)
    predictions = make_predictions(truth, 0.0, rows=slice(0, 9))
    sides = np.repeat([1, 0], [6, 6]).astype(np.int8)
    _, found = by("side", tmp_path, replace(truth, is_right=sides), predictions)
    right, left = found.subsets
    assert (right.value, right.expected, right.predicted) == ("right", 6, 6)
    assert (left.value, left.expected, left.predicted) == ("left", 6, 3)
    assert right.metrics[PRIMARY] == 1.0
    assert left.metrics[PRIMARY] == 0.5
    assert left.metrics["EPE[px]"] == 0.0


def test_a_group_without_a_prediction_has_no_distance(tmp_path: Path) -> None:
    truth = make_truth(4)
    people = ["anna", "anna", "ben", "ben"]
    moved = truth.keypoints + np.array([3.0, 4.0])
    predictions = make_predictions(truth, keypoints=moved[:2], rows=slice(0, 2))
    both = (HANDBENCH, MMPOSE)
    _, found = by("subject_id", tmp_path, truth, predictions, both, subject_id=people)
    anna, ben = found.subsets
    assert (anna.value, anna.expected, anna.predicted) == ("anna", 2, 2)
    assert anna.metrics["EPE[px]"] == pytest.approx(5.0)
    assert anna.metrics[str(MMPOSE.primary)] == pytest.approx(0.8, abs=0.051)
    assert (ben.predicted, ben.metrics["EPE[px]"], ben.metrics["PA-MPJPE[mm]"]) == (0, None, None)
    assert ben.metrics[PRIMARY] == 0.0


def test_distances_stand_where_there_are_any(tmp_path: Path) -> None:
    truth = make_truth()
    flat = make_predictions(truth, keypoints_3d=None)
    assert list(by("side", tmp_path, truth, flat)[1].subsets[0].metrics) == [PRIMARY, "EPE[px]"]
    deep = make_predictions(truth, keypoints=None)
    _, found = by("side", tmp_path, truth, deep)
    in_3d = "AUC@0-50mm[root=0,rule=exact]"  # ranks where there is no 2D
    assert list(found.subsets[0].metrics) == [in_3d, "PA-MPJPE[mm]", "MPJPE[mm,root=0]"]


# --- intervals -----------------------------------------------------------------------------------


def test_intervals_need_clusters_of_their_own(tmp_path: Path) -> None:
    truth = make_truth(60, groups=60)
    sides = np.repeat([1, 0, -1], [50, 6, 4]).astype(np.int8)
    _, found = by("side", tmp_path, replace(truth, is_right=sides), make_predictions(truth, 6.0))
    right, left, unknown = found.subsets
    assert (right.clusters, left.clusters, unknown.clusters) == (50, 6, 4)
    assert (right.reliable, left.reliable) == (True, False)
    for subset in (right, left):
        low, high = subset.ci95[PRIMARY]
        assert low < subset.metrics[PRIMARY] < high
    assert right.ci95[PRIMARY][1] - right.ci95[PRIMARY][0] < 0.05
    assert unknown.ci95 == {PRIMARY: None}


def test_one_group_of_everything_has_the_interval_of_the_results(tmp_path: Path) -> None:
    truth = make_truth(60, groups=30)
    predictions = make_predictions(truth, 6.0)
    evaluation, found = by("side", tmp_path, truth, predictions)
    (right,) = found.subsets
    whole = evaluation.results[0].metrics[PRIMARY]
    assert right.metrics[PRIMARY] == pytest.approx(whole.value)
    assert right.ci95[PRIMARY] == pytest.approx(whole.ci95)


def test_the_interval_of_a_finger_is_that_of_its_joints(tmp_path: Path) -> None:
    truth = make_truth(60)
    evaluation, fingers = by("finger", tmp_path, truth, make_predictions(truth, 6.0))
    scores = evaluation.primary["handbench"]
    rng = np.random.default_rng(11)
    for subset, joints in zip(fingers.subsets, ([0], [1, 2, 3, 4], [5, 6, 7, 8])):
        drawn = [average(scores[rng.integers(0, 60, 60)][:, joints]) for _ in range(2000)]
        assert subset.ci95[PRIMARY] == pytest.approx(np.percentile(drawn, [2.5, 97.5]), abs=0.01)


# --- inputs and outputs --------------------------------------------------------------------------


def test_a_subset_of_the_hands_is_broken_down_alone(tmp_path: Path) -> None:
    truth = make_truth(12)
    frames = np.arange(12) // 4
    some = truth.only(["hands/0001", "hands/0009", "hands/0010"], "ids.txt")
    evaluation = score(make_predictions(truth), some, [HANDBENCH])
    with write_truth(tmp_path / "hands.h5", truth, frame_index=frames) as file:
        index, side = breakdown(evaluation, file, ["frame_index", "side", "side"], [HANDBENCH])
    assert [(s.value, s.expected) for s in index.subsets] == [("0", 1), ("2", 2)]
    assert [(s.value, s.expected) for s in side.subsets] == [("right", 3)]


def test_an_evaluation_of_other_hands_is_refused(tmp_path: Path) -> None:
    truth = make_truth(12)
    evaluation = score(make_predictions(truth), truth, [HANDBENCH])
    with write_truth(tmp_path / "few.h5", make_truth(9)) as file:
        message = r"found 3 hands that it does not label \(first: 'hands/0009'\)"
        with pytest.raises(ScoreError, match=message):
            breakdown(evaluation, file, ["side"], [HANDBENCH])
        some = score(make_predictions(truth), truth.rows(np.arange(9)), [HANDBENCH])
        with pytest.raises(ScoreError, match="did you mean 'finger'"):
            breakdown(some, file, ["fingr"], [HANDBENCH])


def test_the_json_of_a_row(tmp_path: Path) -> None:
    truth = make_truth(30)
    _, found = by("side", tmp_path, truth, make_predictions(truth))
    row = json.loads(json.dumps(asdict(found.subsets[0])))
    assert list(row) == [
        *("value", "expected", "predicted", "metrics"),
        *("by", "joints", "clusters", "ci95"),
    ]
    assert (row["value"], row["by"], row["expected"], row["joints"]) == ("right", "side", 30, 630)
    assert len(row["ci95"][PRIMARY]) == 2


def test_the_table_says_how_groups_and_intervals_are_made() -> None:
    name = "PCK@8px"
    sure = Subset(
        "right", 50, 40, {name: 0.5, "EPE[px]": 3.0}, "side", 1050, 50, {name: (0.4, 0.6)}
    )
    doubtful = replace(sure, value="left", expected=10, predicted=10, clusters=6)
    none = replace(sure, value="unknown", metrics={name: 0.25, "EPE[px]": None}, ci95={name: None})
    lines = subsets_text("net", Breakdown("side", "side of it", "video", [sure, doubtful, none]))
    head, columns, *rows, definition, remark = lines.splitlines()
    assert head == "net by side"
    assert columns.split() == ["side", "hands", "coverage", "joints", "clusters", name, "EPE[px]"]
    assert "80.0%" in rows[0]
    assert "1,050" in rows[0]
    assert "0.5000 [0.4000, 0.6000]   3.00 px" in rows[0]
    assert "0.5000 ~[0.4000, 0.6000]" in rows[1]
    assert rows[2].split()[-2:] == ["0.2500", "–"]
    assert definition == "side: side of it"
    assert "(video), none below 6; ~ marks fewer than 20 clusters" in remark
    certain = subsets_text("net", Breakdown("side", "side of it", "video", [sure]))
    assert "~" not in certain
    assert "95 %" not in subsets_text("net", Breakdown("side", "side of it", "video", [none]))


# --- the page ------------------------------------------------------------------------------------


def test_the_page_names_every_grouping_and_its_examples_hold() -> None:
    text = PAGE.read_text("utf-8")
    for name in GROUPINGS:
        assert f"| `{name}` |" in text
    for edge in SIZE_EDGES_PX:
        assert f"{edge:.0f}" in text
    blocks = "\n".join(re.findall(r"^```pycon\n(.*?)^```$", text, re.MULTILINE | re.DOTALL))
    examples = doctest.DocTestParser().get_doctest(blocks, {}, PAGE.name, PAGE.name, 0)
    assert len(examples.examples) >= 8
    said: list[str] = []
    runner = doctest.DocTestRunner(verbose=False)
    runner.run(examples, out=said.append)
    assert runner.failures == 0, "".join(said)


def test_the_help_of_by_names_every_grouping() -> None:
    shown = CliRunner().invoke(cli, ["evaluate", "--help"]).stdout
    words = set(re.findall(r"\w+", shown.partition("--by")[2].partition("--out")[0]))
    assert set(GROUPINGS) <= words
