from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from generators.scored import make_predictions, make_truth

from handbench.errors import PredictionsError
from handbench.files import sha256_file
from handbench.predictions.deposit import Origin, deposit_origin, write_deposit
from handbench.predictions.read import read_predictions
from handbench.predictions.record import Predictions
from handbench.predictions.write import write_predictions


@pytest.fixture
def original(tmp_path: Path) -> Path:
    truth = make_truth(40)
    made = make_predictions(truth, 3.0)
    assert made.keypoints is not None
    assert made.keypoints_3d is not None
    rng = np.random.default_rng(0)
    made.keypoints[3] = made.keypoints_3d[3] = np.nan
    full = replace(
        made,
        model={"name": "my-net", "training_data": ["sample/train"]},
        scores=rng.uniform(size=(40, 21)),
        score=rng.uniform(size=40),
        is_right=np.ones(40, dtype=np.int8),
        vertices=np.repeat(made.keypoints_3d, 5, axis=1),
    )
    path = tmp_path / "preds.json"
    write_predictions(full, path)
    return path


def furthest(one: object, other: object) -> float:
    assert isinstance(one, np.ndarray)
    assert isinstance(other, np.ndarray)
    np.testing.assert_array_equal(np.isnan(one), np.isnan(other))
    return float(np.nanmax(np.linalg.norm(one - other, axis=2)))


def test_a_deposit_reads_as_the_predictions_it_was_made_from(original: Path, tmp_path: Path):
    before = read_predictions(original)
    done = write_deposit(before, tmp_path / "d.npz", vertices=True)
    after = read_predictions(tmp_path / "d.npz")
    assert furthest(after.keypoints, before.keypoints) == pytest.approx(done.moved_px)
    assert 0 < furthest(after.keypoints, before.keypoints) < 0.05
    assert 0 < furthest(after.keypoints_3d, before.keypoints_3d) * 1e3 < 0.05
    assert furthest(after.vertices, before.vertices) * 1e3 < 0.05
    assert before.scores is not None
    assert before.score is not None
    assert after.scores is not None
    assert after.score is not None
    np.testing.assert_allclose(after.scores, before.scores, atol=1e-3)
    np.testing.assert_allclose(after.score, before.score, rtol=1e-6)
    np.testing.assert_array_equal(after.id, before.id)
    for name in ("dataset", "split", "model", "input", "gt_used", "frame", "frame_3d"):
        assert getattr(after, name) == getattr(before, name)


def test_it_is_small_and_leaves_meshes_out(original: Path, tmp_path: Path):
    done = write_deposit(read_predictions(original), tmp_path / "d.npz")
    assert done.left_out == ("vertices",)
    assert done.single == ()
    assert read_predictions(tmp_path / "d.npz").vertices is None
    assert done.size == (tmp_path / "d.npz").stat().st_size
    # 21 × (2 + 3 + 1) halves, two origins, an id and a score.
    assert done.size < 40 * (21 * 6 * 2 + 100) + 2000
    with np.load(tmp_path / "d.npz") as arrays:
        assert arrays["keypoints"].dtype == arrays["keypoints_3d"].dtype == np.float16
        assert arrays["keypoints_origin"].dtype == np.float32
        assert arrays["keypoints_3d_origin"].shape == (40, 3)


def test_it_names_the_file_it_was_made_from(original: Path, tmp_path: Path):
    write_deposit(read_predictions(original), tmp_path / "d.npz")
    assert deposit_origin(tmp_path / "d.npz") == Origin(sha256_file(original), "preds.json")


def test_other_files_are_no_deposits(original: Path, tmp_path: Path):
    assert deposit_origin(original) is None
    assert deposit_origin(tmp_path / "nothing.npz") is None
    write_predictions(read_predictions(original), tmp_path / "plain.npz")
    assert deposit_origin(tmp_path / "plain.npz") is None
    np.savez(tmp_path / "huge.npz", meta=np.array("x" * 2**20))
    assert deposit_origin(tmp_path / "huge.npz") is None


def test_deposits_of_deposits_point_one_step_back(original: Path, tmp_path: Path):
    write_deposit(read_predictions(original), tmp_path / "d.npz")
    again = read_predictions(tmp_path / "d.npz")
    write_deposit(again, tmp_path / "e.npz")
    assert deposit_origin(tmp_path / "e.npz") == Origin(sha256_file(tmp_path / "d.npz"), "d.npz")
    twice = read_predictions(tmp_path / "e.npz")
    assert furthest(twice.keypoints, again.keypoints) < 0.05


def test_large_hands_stay_in_single_precision(original: Path, tmp_path: Path):
    before = read_predictions(original)
    assert before.keypoints is not None
    large = replace(before, keypoints=before.keypoints * 20)
    done = write_deposit(large, tmp_path / "d.npz")
    assert done.single == ("keypoints",)
    assert furthest(read_predictions(tmp_path / "d.npz").keypoints, large.keypoints) < 0.05


def test_predictions_of_3d_alone(original: Path, tmp_path: Path):
    before = read_predictions(original)
    done = write_deposit(replace(before, keypoints=None, vertices=None), tmp_path / "d.npz")
    assert done.moved_px is None
    assert done.moved_mm is not None
    assert done.left_out == ()


def test_equal_predictions_give_equal_files(original: Path, tmp_path: Path):
    for name in ("a.npz", "b.npz"):
        write_deposit(read_predictions(original), tmp_path / name)
    with np.load(tmp_path / "a.npz") as one, np.load(tmp_path / "b.npz") as other:
        for name in one.files:
            np.testing.assert_array_equal(one[name], other[name])


def test_what_cannot_be_a_deposit(original: Path, tmp_path: Path):
    before = read_predictions(original)
    with pytest.raises(PredictionsError, match=r"ending in \.npz"):
        write_deposit(before, tmp_path / "d.json")
    in_memory: Predictions = make_predictions(make_truth(2))
    with pytest.raises(PredictionsError, match="made in memory"):
        write_deposit(in_memory, tmp_path / "d.npz")
    with pytest.raises(PredictionsError, match="'keypoints'"):
        write_deposit(replace(before, keypoints=np.zeros((40, 20, 2))), tmp_path / "d.npz")
    assert not (tmp_path / "d.npz").exists()
