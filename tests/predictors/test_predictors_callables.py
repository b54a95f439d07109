from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from handbench.errors import PredictorError
from handbench.predictors.callables import is_function_name, open_function

MODULE = """
import numpy as np
def good(batch):
    assert batch.dtype == np.uint8 and batch.shape[1:] == (64, 64, 3)
    points = np.zeros((len(batch), 21, 3))
    points[..., 0], points[..., 1], points[..., 2] = 31.5, 15.5, 2.0
    points[1:2] = np.nan
    return points
def plain(batch): return np.zeros((len(batch), 21, 2), dtype=np.float32)
def short(batch): return np.zeros((1, 21, 2))
def joints(batch): return np.zeros((len(batch), 42, 2))
def words(batch): return np.full((len(batch), 21, 2), "x")
def nothing(batch): return None
def ragged(batch): return [[1, 2], [3]]
def some_nan(batch):
    points = np.zeros((len(batch), 21, 2)); points[0, 3] = np.nan; points[1, 4] = np.inf
    return points
def fails(batch): raise RuntimeError("out of ideas")
constant = 3
"""


@pytest.fixture(autouse=True)
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    name = f"my_net_{abs(hash(tmp_path))}"
    (tmp_path / f"{name}.py").write_text(MODULE)
    (tmp_path / f"{name}_broken.py").write_text("import not_installed_anywhere\n")
    (tmp_path / f"{name}_wrong.py").write_text("1 / 0\n")
    monkeypatch.chdir(tmp_path)
    return name


IMAGES = [np.zeros((64, 64, 3), dtype=np.uint8), np.zeros((64, 128, 3), dtype=np.uint8)]


def test_names_of_functions_are_told_from_paths() -> None:
    assert is_function_name("package.module:function")
    for other in ("C:\\runs\\one", "runs/one:two", "module:", "a:b:c", "untrained"):
        assert not is_function_name(other)


def test_a_function_gets_squares_and_its_points_come_back(module: str) -> None:
    predictor = open_function(f"{module}:good", 64)
    first, none = predictor(IMAGES)
    assert none is None
    assert first is not None
    np.testing.assert_allclose(first.keypoints, np.tile([31.5, 15.5], (21, 1)))
    assert first.score == 1.0  # clipped
    assert predictor([]) == []
    assert predictor.describe()["name"] == f"{module}:good"
    # The wide picture fills the middle half of its square: the place in the crop is two px each.
    (wide,) = predictor(IMAGES[1:])
    assert wide is not None
    np.testing.assert_allclose(wide.keypoints[0], [63.5, -0.5])


def test_without_scores_they_are_unknown(module: str) -> None:
    hand = open_function(f"{module}:plain")(IMAGES)[0]
    assert hand is not None
    assert np.isnan(hand.scores).all()
    assert open_function(f"{module}:plain").input_size == 224


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("short", r"found the shape \(1, 21, 2\) for a batch of 2 pictures: one row a picture"),
        ("joints", r"numbers \(2, 21, 2\) or .*, found the shape \(2, 42, 2\)"),
        ("words", "found ndarray of dtype <U1: return a NumPy array of floats"),
        ("nothing", "found None: return a NumPy array"),
        ("ragged", "found a list that NumPy cannot take"),
        (
            "some_nan",
            "found 2 joints of 2 of 2 hands that are NaN or infinite: a hand that was not",
        ),
        ("fails", r"failed on a batch \(2, 64, 64, 3\) of uint8 RGB: RuntimeError: out of ideas"),
    ],
)
def test_answers_that_are_no_points_are_told(module: str, name: str, message: str) -> None:
    with pytest.raises(PredictorError, match=message):
        open_function(f"{module}:{name}", 64)(IMAGES)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere_at_all:f", "expected the Python module 'nowhere_at_all' .*, found none: it must"),
        ("{}_broken:f", "needs the module 'not_installed_anywhere', which is not installed"),
        ("{}_wrong:f", "cannot be imported: ZeroDivisionError"),
        ("{}:missing", "expected a function 'missing' in .*, found no such name; it has good, pl"),
        ("{}.py:good", r"found the file .*\.py: write \w+:good"),
        ("{}:constant", "found something that cannot be called"),
    ],
)
def test_functions_that_cannot_be_had_are_told(module: str, name: str, message: str) -> None:
    with pytest.raises(PredictorError, match=message):
        open_function(name.format(module))
