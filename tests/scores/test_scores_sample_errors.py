from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from generators.scored import make_predictions, make_truth

from handbench.errors import ScoreError
from handbench.hand import JOINT_NAMES
from handbench.scores.matching import match
from handbench.scores.measuring import measure
from handbench.scores.protocols import HANDBENCH, custom_protocol
from handbench.scores.sample_errors import SampleErrors, choose, is_errors_file
from handbench.scores.scoring import rescore

TRUTH = make_truth(3, is_right=np.array([1, 0, -1], dtype=np.int8))


def sample_errors() -> SampleErrors:
    """Three hands: one joint of the first is not labelled, the last hand was missed."""
    valid = np.ones((3, 21), dtype=bool)
    valid[0, 4] = False
    names = np.array(["a", "ü", "c"])
    truth = replace(TRUTH, valid=valid, sample_id=names, known=frozenset(names.tolist()))
    predictions = make_predictions(truth, rows=slice(0, 2))
    mesh = custom_protocol(("F@5mm[pa]", "MPJPE[mm,scale]"))
    about = {"provenance": {"handbench": "1"}, "warnings": ["beware"]}
    return measure(match(predictions, truth), [HANDBENCH, mesh], about)


def test_round_trip(tmp_path: Path) -> None:
    original = sample_errors()
    original.write(tmp_path / "errors.npz")
    assert [path.name for path in tmp_path.iterdir()] == ["errors.npz"]
    read = SampleErrors.read(tmp_path / "errors.npz")
    assert read.about == original.about
    assert "mm,scale" in read.joints
    for group in ("joints", "sizes", "hands"):
        stored, kept = getattr(read, group), getattr(original, group)
        assert stored.keys() == kept.keys()
        for name in kept:
            np.testing.assert_array_equal(stored[name], kept[name])
    for name in ("sample_id", "predicted", "cluster", "visibility", "labelled_2d", "keypoints_px"):
        np.testing.assert_array_equal(getattr(read, name), getattr(original, name))
    assert read.hand_type is None


def test_what_no_errors_can_be_measured_of_has_a_reason() -> None:
    reasons = sample_errors().about["reasons"]
    assert reasons == {"F@5mm[pa,missing=drop]": "the predictions hold no meshes"}


def test_as_a_table() -> None:
    errors = sample_errors()
    errors.visibility[1, 3] = 1
    table = errors.to_pandas()
    assert list(table) == [
        *("sample_id", "joint", "error_px", "predicted"),
        *("visibility", "is_right", "cluster", "box_px"),
    ]
    assert len(table) == 3 * 21
    assert table["joint"][:21].tolist() == list(JOINT_NAMES)
    row = table.set_index(["sample_id", "joint"]).loc[("ü", JOINT_NAMES[3])]
    assert row["error_px"] == errors.errors_px[1, 3]
    box = errors.sizes["bbox"][1]
    assert (row["visibility"], row["is_right"], row["cluster"], row["box_px"]) == (1, 0, "g1", box)
    assert np.isnan(table["error_px"][4])
    assert np.isinf(table["error_px"][42:]).all()
    found = table.groupby("sample_id")["predicted"].all().to_dict()
    assert found == {"a": True, "ü": True, "c": False}
    medians = table.groupby("joint")["error_px"].median()
    assert medians[JOINT_NAMES[0]] == np.median(errors.errors_px[:, 0])


def test_some_hands() -> None:
    errors = sample_errors()
    chosen = errors.only(["c", "a"], "ids.txt")
    assert chosen.sample_id.tolist() == ["a", "c"]
    np.testing.assert_array_equal(chosen.joints["px"], errors.joints["px"][[0, 2]])
    np.testing.assert_array_equal(chosen.sizes["bbox"], errors.sizes["bbox"][[0, 2]])
    assert "px,of=mean-pose" not in chosen.joints
    assert "evaluate the predictions" in chosen.about["reasons"]["px,of=mean-pose"]
    same_ids = TRUTH.only(["hands/0000", "hands/0002"], "ids")
    assert chosen.about["subset"] == choose(errors.sample_id, ["a", "c"], "ids", "sample")[1]
    assert len(chosen.about["subset"]) == len(same_ids.subset) == 16
    assert errors.only(["a", "ü", "c"], "ids.txt") is errors
    with pytest.raises(ScoreError, match=r"ids.txt: expected labelled sample ids of sample test"):
        errors.only(["b"], "ids.txt")
    with pytest.raises(ScoreError, match="found no id at all"):
        errors.only([], "ids.txt")


def test_scores_of_images_need_all_their_hands() -> None:
    two = ("MRRPE[mm]", "handedness")
    truth = replace(TRUTH, image_id=np.array(["i", "i", "j"]))
    predictions = make_predictions(truth, is_right=np.array([1, 0, 1], dtype=np.int8))
    errors = measure(match(predictions, truth), [custom_protocol(two)], {})
    assert rescore(errors, metrics=two).results[0].metrics["handedness"].value == 1.0
    # The row of the right hand has the scores of an image whose left hand is not chosen.
    (some,) = rescore(errors, metrics=two, ids=["hands/0000", "hands/0002"]).results
    for metric in some.metrics.values():
        assert metric.value is None
        assert "evaluate the predictions" in metric.definition


def test_files_of_another_kind(tmp_path: Path) -> None:
    path = tmp_path / "errors.npz"
    assert not is_errors_file(path)
    path.write_bytes(b"nothing")
    assert not is_errors_file(path)
    with pytest.raises(ScoreError, match="expected per-sample errors"):
        SampleErrors.read(path)
    sample_errors().write(path)
    assert is_errors_file(path)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(ScoreError, match="expected per-sample errors"):
        SampleErrors.read(path)
    np.savez(path, sample_id=np.array(["a"]))
    assert not is_errors_file(path)
    with pytest.raises(ScoreError, match="lack the header 'about'"):
        SampleErrors.read(path)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ('{"handbench_errors": 2}', "stored errors of format 2, but this handbench reads format 1"),
        ("[]", "stored errors of format None"),
        ('{"handbench_errors": 1, "dataset": "x"}', "header of stored errors lacks split, model"),
        ('{"handbench_errors": 1', "breaks off"),
    ],
)
def test_damaged_headers(tmp_path: Path, header: str, message: str) -> None:
    path = tmp_path / "errors.npz"
    np.savez(path, about=np.array(header))
    with pytest.raises(ScoreError, match=message):
        SampleErrors.read(path)


def test_missing_arrays(tmp_path: Path) -> None:
    path = tmp_path / "errors.npz"
    sample_errors().write(path)
    with np.load(path) as archive:
        arrays = {name: archive[name] for name in archive.files if name != "cluster"}
    np.savez(path, **arrays)
    with pytest.raises(ScoreError, match=r"lack the array\(s\) cluster: evaluate the predictions"):
        SampleErrors.read(path)
