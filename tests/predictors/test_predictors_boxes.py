from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from handbench.errors import PredictionsError
from handbench.predictors.boxes import BoxFile, check_box, hand_box
from handbench.predictors.interface import Hand
from handbench.predictors.pictures import PictureFile

A = PictureFile(Path("photos/more/a.jpg"), "more/a")


def written(tmp_path: Path, value: object) -> Path:
    path = tmp_path / "boxes.json"
    path.write_text(json.dumps(value))
    return path


@pytest.mark.parametrize(
    "name", ["more/a", "more/a.jpg", "photos/more/a.jpg", "a.jpg", "a"], ids=str
)
def test_a_picture_may_be_called_by_id_path_or_name(tmp_path: Path, name: str) -> None:
    boxes = BoxFile(written(tmp_path, {name: [1, 2, 3, 4], "b": [5, 6, 7, 8]}))
    assert boxes.of(A) == [(1.0, 2.0, 3.0, 4.0)]
    assert boxes.unused() == ["b"]


@pytest.mark.parametrize(
    "value",
    [
        {"a": [[1, 2, 3, 4], [5, 6, 7, 8]]},
        [{"file": "a", "box": [1, 2, 3, 4]}, {"id": "a", "bbox": [5, 6, 7, 8]}],
    ],
)
def test_a_picture_may_have_several_boxes(tmp_path: Path, value: object) -> None:
    boxes = BoxFile(written(tmp_path, value))
    assert boxes.of(A) == [(1.0, 2.0, 3.0, 4.0), (5.0, 6.0, 7.0, 8.0)]


def test_a_table_of_boxes(tmp_path: Path) -> None:
    path = tmp_path / "boxes.csv"
    path.write_text("\ufefffile, x, y, w, h, note\na.jpg, 1, 2, 3, 4.5, left\n", encoding="utf-8")
    assert BoxFile(path).of(A) == [(1.0, 2.0, 3.0, 4.5)]


@pytest.mark.parametrize(
    ("value", "match"),
    [
        ({"a": [1, 2, 3]}, r"boxes\.json: a: expected a box of four numbers"),
        ({"a": [1, 2, 0, 4]}, r"a: .* positive width and height, found 1, 2, 0, 4"),
        ({"a": "box"}, "a: expected a box of four numbers"),
        ({"a": None}, "a: expected a box of four numbers"),
        ([{"file": "a"}], "found .* at entry 0"),
        ([3], "found 3 at entry 0"),
        ("text", "found text at entry 0"),
        ({}, "expected boxes in .* found none"),
        ([], "expected boxes in .* found none"),
    ],
)
def test_what_is_no_box_is_named(tmp_path: Path, value: object, match: str) -> None:
    with pytest.raises(PredictionsError, match=match):
        BoxFile(written(tmp_path, value))


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("name,x,y\na,1,2\n", r"columns file \(or id\), x, y, w, h, found name, x, y"),
        ("", "found an empty file"),
        ("file,x,y,w,h\na,1,2,3\n", "a: expected a box of four numbers"),
    ],
)
def test_tables_without_boxes_are_refused(tmp_path: Path, text: str, match: str) -> None:
    (tmp_path / "b.csv").write_text(text)
    with pytest.raises(PredictionsError, match=match):
        BoxFile(tmp_path / "b.csv")


def test_missing_files_and_pictures_are_named(tmp_path: Path) -> None:
    with pytest.raises(PredictionsError, match=r"expected boxes at .* found no such file"):
        BoxFile(tmp_path / "none.json")
    with pytest.raises(PredictionsError, match=r"cannot read boxes at .*none\.csv"):
        BoxFile(tmp_path / "none.csv")
    boxes = BoxFile(written(tmp_path, {"b": [1, 2, 3, 4]}))
    with pytest.raises(PredictionsError, match=r"expected a box for more/a\.jpg in .* names b"):
        boxes.of(A)


def test_words_of_the_command_line_are_numbers() -> None:
    assert check_box(["1", "2.5", "30", "4"], "--box") == (1.0, 2.5, 30.0, 4.0)
    with pytest.raises(PredictionsError, match="--box: expected a box of four numbers"):
        check_box(["1", "2", "x", "4"], "--box")
    with pytest.raises(PredictionsError, match=r"--box: .* positive"):
        check_box(["1", "2", "nan", "4"], "--box")


def hand(low: tuple[float, float], high: tuple[float, float]) -> Hand:
    points = np.linspace(low, high, 21)
    return Hand(points, np.ones(21), 1.0)


def test_a_hand_s_box_is_tight() -> None:
    image = np.zeros((100, 200, 3), np.uint8)
    box = hand_box(hand((-20, 10), (40, 90)), image)
    assert box is not None
    assert box.tolist() == [-20, 10, 40, 90]
    assert hand_box(hand((10, 10), (14, 20)), image) is None, "too small"
    assert hand_box(hand((-300, 10), (500, 20)), image) is None, "too large"
    assert hand_box(hand((190, 10), (250, 90)), image) is None, "its middle is outside"
