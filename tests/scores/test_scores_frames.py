from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from generators.scored import make_predictions, make_truth
from generators.scored_results import TRUTH, evaluated, results_of
from generators.tiny_hdf5 import write_tiny

import handbench
from handbench.errors import ScoreError
from handbench.hand import JOINT_NAMES
from handbench.hdf5.reader import HandFile
from handbench.predictions.record import Predictions
from handbench.scores.protocols import HANDBENCH
from handbench.scores.results import MetricValue
from handbench.scores.scoring import score
from handbench.scores.subsets import breakdown
from handbench.scores.truth import read_truth

PRIMARY = "AUC@0-0.2[tight,rule=exact]"


def test_one_row_a_metric_with_everything_a_reader_needs() -> None:
    results = results_of(3.0, missing=4, name="net")
    frame = results.to_frame()
    assert frame["metric"].tolist() == list(results.metrics)
    row = frame.set_index("metric").loc[PRIMARY]
    entry = results.metrics[PRIMARY]
    assert entry.ci95 is not None
    assert (row["model"], row["dataset"], row["split"], row["protocol"]) == (
        *("net", "sample", "test", "handbench"),
    )
    assert (row["value"], row["ci95_low"], row["ci95_high"]) == (entry.value, *entry.ci95)
    assert (row["expected"], row["predicted"], row["coverage"]) == (40, 36, 0.9)
    assert row["signature"] == results.signature
    assert row["definition"] == entry.definition
    assert row["quantity"] == "AUC"
    assert not row["smaller_is_better"]


def test_floors_and_means_over_found_hands_can_be_told_apart() -> None:
    frame = results_of(3.0).to_frame().set_index("metric")
    assert frame.loc["EPE[px,of=mean-pose]", "floor"]
    assert not frame.loc["EPE[px]", "floor"]
    assert frame.loc["EPE[px]", "found_only"]
    assert frame.loc["PCK@0.1[tight,missing=drop]", "found_only"]
    assert not frame.loc["PCK@0.1[tight]", "found_only"]
    assert not frame.loc["coverage", "found_only"]


def test_values_that_are_not_there_are_nan_and_numbers_stay_numbers() -> None:
    results = results_of(3.0)
    empty = {"EPE[px]": MetricValue(None, "px", "d"), "new@7": MetricValue(1.0, "mm", "d")}
    frame = replace(results, metrics=empty).to_frame()
    assert frame["value"].dtype == np.float64
    assert np.isnan(frame["value"][0])
    assert frame["ci95_low"].isna().all()
    # A name that a newer handbench made.
    assert frame["smaller_is_better"].tolist() == [True, None]
    assert len(replace(results, metrics={}).to_frame()) == 0


def test_many_results_below_each_other(tmp_path: Path) -> None:
    one, other = results_of(3.0, name="a"), results_of(6.0, "mmpose", name="b")
    one.write(tmp_path / "a.json")
    other.write(tmp_path / "deep" / "b.json")
    (tmp_path / "a.diagnosis.json").write_text('{"handbench_diagnosis": 1}', "utf-8")
    frame = handbench.results_frame(tmp_path)
    assert len(frame) == len(one.metrics) + len(other.metrics)
    assert frame.groupby("model")["protocol"].first().to_dict() == {
        "a": "handbench",
        "b": "mmpose",
    }
    same = handbench.results_frame([tmp_path / "a.json", str(tmp_path / "deep/b.json")])
    pd.testing.assert_frame_equal(frame, same)
    pd.testing.assert_frame_equal(handbench.results_frame([one, other]), same)
    pd.testing.assert_frame_equal(handbench.results_frame(one), one.to_frame())


def test_folders_without_results_and_broken_files_are_errors(tmp_path: Path) -> None:
    with pytest.raises(ScoreError, match="expected results JSON in the folder"):
        handbench.results_frame(tmp_path)
    with pytest.raises(ScoreError, match="expected at least one result, found none"):
        handbench.results_frame([])
    (tmp_path / "cut.json").write_text('{"handbench_results": 1', "utf-8")
    with pytest.raises(ScoreError, match="breaks off"):
        handbench.results_frame(tmp_path)


def test_an_evaluation_has_the_rows_of_all_protocols() -> None:
    evaluation = evaluated(protocols=("handbench", "mmpose"))
    assert evaluation.to_frame()["protocol"].unique().tolist() == ["handbench", "mmpose"]


def test_joints_and_curves() -> None:
    results = results_of(3.0)
    joints = results.joints_frame()
    of_metric = joints[joints["metric"] == "EPE[px]"]
    assert of_metric["joint"].tolist() == list(JOINT_NAMES)
    assert of_metric["value"].tolist() == results.per_joint["EPE[px]"]
    assert joints.groupby("finger").size()["thumb"] == 4 * len(results.per_joint)
    curves = results.curves_frame()
    tight = curves[curves["curve"] == "PCK[tight]"]
    assert tight["threshold"].tolist() == results.curves["PCK[tight]"]["x"]
    assert tight["fraction"].tolist() == results.curves["PCK[tight]"]["y"]
    bare = replace(results, per_joint={}, curves={})
    assert len(bare.joints_frame()) == len(bare.curves_frame()) == 0
    assert list(bare.joints_frame().columns) == list(joints.columns)


def test_groups(tmp_path: Path) -> None:
    with HandFile(write_tiny(tmp_path / "tiny.h5", {"test": 24})) as data:
        truth = read_truth(data, "test")
        predictions = Predictions(
            "tiny", "test", {"name": "net"}, truth.sample_id, truth.keypoints + np.array([3.0, 0.0])
        )
        evaluation = score(predictions, truth, [HANDBENCH])
        (fingers,) = breakdown(evaluation, data, ["finger"], [HANDBENCH])
    frame = fingers.to_frame()
    assert set(frame["by"]) == {"finger"}
    thumb = frame[(frame["group"] == "thumb") & (frame["metric"] == "EPE[px]")]
    assert thumb["value"].tolist() == [pytest.approx(3.0)]
    assert thumb["joints"].tolist() == [24 * 4]
    primary = frame[(frame["group"] == "thumb") & (frame["metric"] == PRIMARY)].iloc[0]
    assert primary["ci95_low"] <= primary["value"] <= primary["ci95_high"]


def test_diagnosis_has_a_row_a_kind() -> None:
    diagnosis = score(make_predictions(TRUTH, 3.0), TRUTH, [HANDBENCH], diagnosis=True).diagnosis
    assert diagnosis is not None
    frame = diagnosis.to_frame()
    name = next(iter(diagnosis.costs))
    of_metric = frame[frame["metric"] == name]
    assert of_metric["cost"].sum() == pytest.approx(1 - diagnosis.values[name])
    assert of_metric["keypoints"].sum() == diagnosis.keypoints
    assert of_metric["share"].sum() == pytest.approx(1)


def test_samples_have_a_row_each() -> None:
    truth = make_truth(6)
    valid = truth.valid.copy()
    valid[1] = False
    evaluation = evaluated(0.0, truth=replace(truth, valid=valid), missing=1)
    frame = evaluation.errors.to_frame()
    assert frame["sample_id"].tolist() == truth.sample_id.tolist()
    assert frame["predicted"].tolist() == [False, *[True] * 5]
    assert frame["labelled_2d"].tolist() == [21, 0, 21, 21, 21, 21]
    assert frame["mean:px"].tolist()[0] == np.inf  # missed
    assert np.isnan(frame["mean:px"][1])  # not labelled
    assert frame["mean:px"][2] == pytest.approx(0.0, abs=1e-9)
    assert frame["size:tight"][2] == evaluation.errors.sizes["tight"][2]
    mean = evaluation.errors.to_pandas().groupby("sample_id")["error_px"].mean()
    assert frame["mean:px"][3] == pytest.approx(mean[truth.sample_id[3]])


def test_pandas_is_imported_when_a_frame_is_made() -> None:
    code = (
        "import sys, handbench; from handbench.scores import results, frames, papers, hygiene; "
        "handbench.results_frame; print('pandas' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
