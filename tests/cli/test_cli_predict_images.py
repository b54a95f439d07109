from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from generators import moving_hand
from PIL import Image

from handbench.cli import cli
from handbench.errors import HandbenchError, PredictionsError
from handbench.hand import JOINT_NAMES
from handbench.predictions.read import read_predictions

MODEL = "generators.moving_hand:find"
PLACES = {"a": (110, 70), "sub/b": (30, 100)}


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two pictures of the hand, one lying on its side, and the folder they are worked on in."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "photos"
    (folder / "sub").mkdir(parents=True)
    for name, (left, top) in PLACES.items():
        picture = Image.fromarray(moving_hand.frame(left, top)[0])
        exif = Image.Exif()
        if name == "a":
            exif[0x0112] = 6
            picture = picture.transpose(Image.Transpose.ROTATE_90)
        picture.save(folder / f"{name}.png", exif=exif)
    return folder


def predict(*words: object) -> Result:
    return CliRunner().invoke(cli, ["predict", MODEL, *map(str, words)])


def hands(path: Path) -> dict[str, Any]:
    return {each["id"]: each for each in json.loads(path.read_text())["predictions"]}


def table(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))


def truth(name: str) -> np.ndarray:
    return moving_hand.frame(*PLACES[name])[1]


def test_a_folder_becomes_predictions_a_table_and_pictures(photos: Path, tmp_path: Path) -> None:
    done = predict("--images", photos, "-o", "p.json", "--csv", "p.csv", "--draw", "drawn")
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[:2] == ["p.csv: a row a hand", "drawn: 2 drawn pictures"]
    assert done.stdout.splitlines()[2].startswith("p.json: 2 hands of photos/images by generators")
    found = hands(tmp_path / "p.json")
    for name in PLACES:
        np.testing.assert_allclose(found[name]["keypoints"], truth(name), atol=3)
    assert len(read_predictions(tmp_path / "p.json")) == 2, "our own reader takes it"
    rows = table(tmp_path / "p.csv")
    assert [row["id"] for row in rows] == ["a", "sub/b"]
    for row in rows:
        assert (row["width"], row["height"], row["found"], row["box_x"]) == (
            "320",
            "240",
            "yes",
            "",
        )
        points = [[float(row[f"{n}_x"]), float(row[f"{n}_y"])] for n in JOINT_NAMES]
        np.testing.assert_allclose(points, found[row["id"]]["keypoints"], atol=1e-3)
        assert float(row["wrist_score"]) == pytest.approx(float(row["score"]), abs=1e-3)
    for name in PLACES:
        drawn = np.asarray(Image.open(tmp_path / "drawn" / f"{name}.jpg")).astype(int)
        plain = moving_hand.frame(*PLACES[name])[0]
        changed = np.abs(drawn - plain).max(axis=2) > 60
        xs = np.nonzero(changed)[1]
        assert len(xs) > 100, name
        assert abs(xs.mean() - truth(name)[:, 0].mean()) < 15


def test_files_may_follow_one_another(photos: Path, tmp_path: Path) -> None:
    done = predict("--images", photos / "a.png", photos / "sub" / "b.png", "-o", "p.json")
    assert done.exit_code == 0, done.output
    assert set(hands(tmp_path / "p.json")) == {"a", "sub/b"}
    done = predict("--images", photos / "sub" / "b.png", "-o", "p.json")
    assert set(hands(tmp_path / "p.json")) == {"b"}


def box_text(name: str) -> str:
    left, top = PLACES[name]
    return f"{left},{top},{moving_hand.SIDE},{moving_hand.SIDE}"


def test_boxes_from_a_file(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "boxes.csv").write_text(
        f"file,x,y,w,h\na.png,{box_text('a')}\nb.png,{box_text('sub/b')}\nother,1,2,3,4\n"
    )
    done = predict(
        "--images", photos, "--boxes", "boxes.csv", "-o", "p.json", "--csv", "p.csv",
        "--draw", "drawn",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "boxes of no picture here: other" in done.stderr
    document = json.loads((tmp_path / "p.json").read_text())
    assert document["input"]["box"] == "gt_annotation"
    assert document["input"]["padding"] == 1.25
    assert document["gt_used"] == ["box"]
    for name, found in hands(tmp_path / "p.json").items():
        np.testing.assert_allclose(found["keypoints"], truth(name), atol=1.5)
    row = table(tmp_path / "p.csv")[0]
    assert [float(row[f"box_{part}"]) for part in "xywh"] == [110, 70, 96, 96]
    # The box is drawn, too.
    drawn = np.asarray(Image.open(tmp_path / "drawn" / "a.jpg")).astype(int)
    plain = moving_hand.frame(*PLACES["a"])[0]
    assert (np.abs(drawn - plain)[80:160, 110].max(axis=1) > 60).mean() > 0.9


def test_one_box_on_the_command_line(photos: Path, tmp_path: Path) -> None:
    done = predict("--images", photos / "a.png", "--box", box_text("a"), "-o", "p.json")
    assert done.exit_code == 0, done.output
    np.testing.assert_allclose(hands(tmp_path / "p.json")["a"]["keypoints"], truth("a"), atol=1.5)


def test_a_box_without_a_hand_is_a_result(photos: Path, tmp_path: Path) -> None:
    done = predict(
        "--images", photos / "a.png", "--box", "0,0,40,40", "-o", "p.json", "--csv", "p.csv"
    )
    assert done.exit_code == 0, done.output
    assert "1 not found" in done.stdout
    assert hands(tmp_path / "p.json")["a"]["keypoints"] is None
    row = table(tmp_path / "p.csv")[0]
    assert (row["found"], row["wrist_x"], row["box_w"]) == ("no", "", "40.0")


def test_a_detector_makes_the_boxes(photos: Path, tmp_path: Path) -> None:
    done = predict(
        "--images", photos, "--detector", MODEL, "--padding", "2", "-o", "p.json"
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    document = json.loads((tmp_path / "p.json").read_text())
    assert (document["input"]["box"], document["input"]["detector"]) == ("detector", MODEL)
    for name, found in hands(tmp_path / "p.json").items():
        np.testing.assert_allclose(found["keypoints"], truth(name), atol=2)


def test_pictures_that_cannot_be_read(photos: Path, tmp_path: Path) -> None:
    (photos / "c.jpg").write_bytes(b"no picture")
    done = predict("--images", photos, "-o", "p.json", "--draw", "drawn")
    assert isinstance(done.exception, PredictionsError)
    assert "--skip-bad leaves such pictures out" in str(done.exception)
    assert not (tmp_path / "p.json").exists()
    done = predict("--images", photos, "-o", "p.json", "--draw", "drawn", "--skip-bad")
    assert done.exit_code == 0, done.output
    assert "left out: expected a picture at" in done.stderr
    assert "drawn: 2 drawn pictures" in done.stdout
    assert set(hands(tmp_path / "p.json")) == {"a", "sub/b"}


def test_names_of_pictures_are_no_formulas(photos: Path, tmp_path: Path) -> None:
    (photos / "a.png").rename(photos / "=1+1.png")
    done = predict("--images", photos / "=1+1.png", "-o", "p.json", "--csv", "p.csv")
    assert done.exit_code == 0, done.output
    assert table(tmp_path / "p.csv")[0]["id"] == "'=1+1"


def test_drawn_pictures_do_not_replace_the_photos(photos: Path) -> None:
    Image.open(photos / "a.png").convert("RGB").save(photos / "sub" / "c.jpg")
    before = (photos / "sub" / "c.jpg").read_bytes()
    done = predict("--images", photos, "-o", "p.json", "--draw", photos)
    assert isinstance(done.exception, HandbenchError)
    assert "choose another folder" in str(done.exception)
    assert (photos / "sub" / "c.jpg").read_bytes() == before


@pytest.mark.parametrize(
    ("words", "match"),
    [
        (["a.png", "-o", "p.json"], "a.png goes with --images"),
        (["--draw", "d", "-o", "p.json"], "--draw goes with --images"),
        (["--skip-bad", "-o", "p.json"], "--skip-bad goes with --images"),
        (
            ["--images", "photos", "--box", "1,2,3,4", "--detector", "x", "-o", "p.json"],
            "give one of --boxes, --box and --detector",
        ),
        (["--images", "photos", "--data", "x.h5", "-o", "p.json"], "either --data or --images"),
    ],
)
def test_wrong_usage(photos: Path, words: list[str], match: str) -> None:
    done = predict(*words)
    assert done.exit_code == 2
    assert match in done.output
