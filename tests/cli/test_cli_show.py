from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from generators.coco import FakeCOCO, write_coco
from generators.freihand import FakeFreiHAND
from generators.tiny_hdf5 import write_tiny
from PIL import Image

from handbench.cli import cli
from handbench.errors import HandbenchError
from handbench.hdf5.reader import HandFile


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("show")
    return write_tiny(folder / "tiny.h5", {"train": 6, "test": 9}, size=96)


def show(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["show", *map(str, arguments)])


def failure(*arguments: object) -> str:
    """The one sentence of the error."""
    result = show(*arguments)
    assert isinstance(result.exception, HandbenchError), result.output
    return str(result.exception)


@pytest.fixture
def preds(tiny: Path, tmp_path: Path) -> Path:
    """Predictions that get worse from row to row; the last hand is missed."""
    with HandFile(tiny) as data:
        split = data["test"]
        ids = split.column("sample_id").tolist()
        points = split.source_keypoints_2d() + 4.0 * np.arange(len(ids))[:, None, None]
    document = {
        "handbench_predictions": 1,
        "dataset": "tiny",
        "split": "test",
        "model": {"name": "worse-and-worse"},
        "predictions": [
            {"id": name, "keypoints": hand.tolist()}
            for name, hand in zip(ids[:-1], points[:-1], strict=True)
        ],
    }
    path = tmp_path / "preds.json"
    path.write_text(json.dumps(document))
    return path


def test_a_sheet_of_samples(tiny: Path, tmp_path: Path) -> None:
    out = tmp_path / "sheet.png"
    result = show(tiny, "--count", 4, "--columns", 2, "--out", out)
    assert result.exit_code == 0, result.output
    assert result.stdout.strip() == f"{out}: 4 of 9 samples"
    with Image.open(out) as sheet:
        assert sheet.format == "PNG"
        assert sheet.width < sheet.height < 3 * sheet.width


def test_default_name_and_split(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert show(tiny).stdout.strip() == "tiny-test.png: 9 of 9 samples"
    assert show(tiny, "--split", "train").stdout.strip() == "tiny-train.png: 6 of 6 samples"
    assert {path.name for path in tmp_path.iterdir()} == {"tiny-test.png", "tiny-train.png"}


def test_the_seed_chooses(tiny: Path, tmp_path: Path) -> None:
    sheets = []
    for number, seed in enumerate((1, 1, 2)):
        out = tmp_path / f"{number}.png"
        assert show(tiny, "--count", 3, "--seed", seed, "--out", out).exit_code == 0
        sheets.append(out.read_bytes())
    assert sheets[0] == sheets[1]
    assert sheets[0] != sheets[2]


def test_worst_predictions_come_first(
    tiny: Path, preds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from handbench import drawing

    seen: list[str] = []

    def sheet(pictures: object, titles: list[str], columns: int, **options: str) -> Image.Image:
        seen[:] = [options["heading"], *titles]
        return Image.new("RGB", (8, 8))

    monkeypatch.setattr(drawing, "contact_sheet", sheet)
    out = tmp_path / "worst.png"
    assert show(tiny, "--preds", preds, "--count", 2, "--out", out).exit_code == 0
    # Row 7 is 28 px off along both axes; row 8 was missed and has no error.
    assert seen == [
        "tiny · test · preds.json",
        "test/0007\n39.6 px · right hand",
        "test/0006\n33.9 px · right hand",
    ]
    assert show(tiny, "--preds", preds, "--random", "--out", out).exit_code == 0
    assert [title[:9] for title in seen[1:]] == [f"test/{row:04d}" for row in range(8)]


def test_predictions_are_drawn_for_real(tiny: Path, preds: Path, tmp_path: Path) -> None:
    out = tmp_path / "worst.png"
    assert show(tiny, "--preds", preds, "--out", out).exit_code == 0
    with Image.open(out) as sheet:
        assert sheet.width > 6 * 160


def test_worst_needs_predictions(tiny: Path) -> None:
    result = show(tiny, "--worst")
    assert result.exit_code == 2
    assert "add --preds FILE" in result.stderr


def test_unknown_split(tiny: Path) -> None:
    assert "no split 'val'; it has" in failure(tiny, "--split", "val")


def test_predictions_of_another_split(tiny: Path, preds: Path) -> None:
    message = failure(tiny, "--preds", preds, "--split", "train")
    assert "predictions for split 'test', not 'train'" in message


def test_no_prediction_at_all(tiny: Path, tmp_path: Path) -> None:
    path = tmp_path / "none.json"
    empty = [{"id": f"test/{row:04d}", "keypoints": None} for row in range(9)]
    header = {"handbench_predictions": 1, "dataset": "tiny", "split": "test"}
    path.write_text(json.dumps({**header, "model": {"name": "x"}, "predictions": empty}))
    assert "nothing to draw" in failure(tiny, "--preds", path)


def test_a_missing_file_writes_nothing(tmp_path: Path) -> None:
    out = tmp_path / "sheet.png"
    assert "found no such file" in failure(tmp_path / "gone.h5", "--out", out)
    assert not out.exists()


def test_a_split_without_rows(tmp_path: Path) -> None:
    path = write_tiny(tmp_path / "tiny.h5", {"test": 1})
    import h5py

    with h5py.File(path, "r+") as file:
        empty = file.create_group("val")
        for name, dataset in file["test"].items():
            rows = 1 if name == "image_offset" else 0
            copy = empty.create_dataset(name, data=dataset[:rows], dtype=dataset.dtype)
            copy.attrs.update(dataset.attrs)
        empty.attrs.update(file["test"].attrs)
    assert "holds no samples to show" in failure(path, "--split", "val")


# -- before and after -------------------------------------------------------------------------


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the sheet was asked to lay out."""
    from handbench import drawing

    asked: dict[str, Any] = {}

    def sheet(pictures: object, titles: list[str], columns: int, **options: str) -> Image.Image:
        asked.update(pictures=pictures, titles=titles, columns=columns, **options)
        return Image.new("RGB", (8, 8))

    monkeypatch.setattr(drawing, "contact_sheet", sheet)
    return asked


def test_a_source_before_and_after_its_crop(
    fake_coco: FakeCOCO, tmp_path: Path, seen: dict[str, Any]
) -> None:
    out = tmp_path / "sheet.png"
    result = show(
        *("coco", "--annotations", fake_coco.annotations, "--images-dir", fake_coco.images),
        *("--count", 3, "--columns", 5, "--padding", 1.5, "--out", out),
    )
    assert result.exit_code == 0, result.output
    assert result.stdout.strip() == f"{out}: 3 of 10 samples"
    assert seen["columns"] == 6  # both pictures of a hand stay in one row
    assert seen["heading"] == "coco · test · images"
    before, after = seen["titles"][:2]
    assert before.endswith("\n224 by 224 px · right hand")
    assert after.startswith("crop, padding 1.5\n")
    scale = float(after.split("\n")[1].split()[0])
    row = int(before.split("\n")[0])
    side = np.ptp(fake_coco.uv[row], axis=0).max() + 10
    assert scale == pytest.approx(224 / (1.5 * side), abs=0.01)
    assert all(picture.shape == (256, 256, 3) for picture in seen["pictures"])


def test_joints_lie_on_the_hand_before_and_after(
    fake_coco: FakeCOCO, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seen: dict[str, Any]
) -> None:
    from handbench.cli import before_after

    drawn: list[tuple[np.ndarray, np.ndarray]] = []

    def remember(picture: np.ndarray, points: np.ndarray, *_: object, **__: object) -> np.ndarray:
        drawn.append((picture, points))
        return picture

    monkeypatch.setattr(before_after, "draw_hand", remember)
    monkeypatch.setattr(before_after, "draw_outline", lambda picture, *_, **__: picture)
    words = ("coco", "--annotations", fake_coco.annotations, "--images-dir", fake_coco.images)
    done = show(*words, "--augment", "--out", tmp_path / "sheet.png")
    assert done.exit_code == 0, done.output
    assert len(drawn) == 3 * 10
    ground = np.array([80, 100, 120])
    for picture, points in drawn:
        inside = ((points >= 2) & (points <= 253)).all(axis=1)
        x, y = points[inside].round().astype(int).T
        pixels = picture[y, x].astype(float)
        # Colour augmentation changes brightness: the hue tells hands from the grey-blue ground.
        hue = pixels / pixels.sum(axis=1, keepdims=True) - ground / ground.sum()
        assert (np.abs(hue).max(axis=1) > 0.03).mean() > 0.9


def test_what_training_makes_of_a_file(tiny: Path, tmp_path: Path, seen: dict[str, Any]) -> None:
    out = tmp_path / "sheet.png"
    done = show(tiny, "--augment", "--count", 4, "--columns", 3, "--out", out)
    assert done.exit_code == 0, done.output
    assert seen["columns"] == 4
    assert [title.split("\n")[0] for title in seen["titles"][1::2]] == ["augmented"] * 4
    words = [title.split("\n")[1] for title in seen["titles"][1::2]]
    assert all(word.startswith("turned ") and ", scaled " in word for word in words)
    first = [picture.tobytes() for picture in seen["pictures"]]
    show(tiny, "--augment", "--count", 4, "--out", out)
    assert [picture.tobytes() for picture in seen["pictures"]] == first


def test_what_another_recipe_makes_of_a_file(
    tiny: Path, tmp_path: Path, seen: dict[str, Any]
) -> None:
    sheets = {}
    for recipe in ("handbench", "few-photos"):
        done = show(
            *(tiny, "--augment", "--recipe", recipe, "--count", 4, "--out", tmp_path / "s.png")
        )
        assert done.exit_code == 0, done.output
        sheets[recipe] = [picture.tobytes() for picture in seen["pictures"]]
    assert sheets["handbench"][::2] == sheets["few-photos"][::2]
    assert sheets["handbench"][1::2] != sheets["few-photos"][1::2]


def test_the_words_for_a_change() -> None:
    from handbench.cli.before_after import _change

    turned = 1.1 * np.array([[0, -1], [1, 0]])  # x, to the right, becomes y, down: clockwise
    matrix = np.eye(3)
    matrix[:2, :2] = turned
    assert _change(matrix) == "turned +90°, scaled 1.10"
    matrix[:2, :2] = turned @ np.diag([-1, 1])
    assert _change(matrix) == "turned +90°, scaled 1.10, mirrored"


def test_a_source_is_drawn_for_real(fake_freihand: FakeFreiHAND, tmp_path: Path) -> None:
    out = tmp_path / "sheet.png"
    words = ("freihand", "--source", fake_freihand.folder, "--split", "train", "--count", 2)
    result = show(*words, "--out", out)
    assert result.exit_code == 0, result.output
    assert "note: a subset" in result.stderr
    with Image.open(out) as sheet:
        assert sheet.width > 4 * 256
    assert "no split 'val'; it has train, test" in failure(*words, "--split", "val", "--out", out)


def test_hands_that_cannot_be_cut_are_left_out(tmp_path: Path) -> None:
    fake = write_coco(tmp_path)
    words = ("coco", "--annotations", fake.annotations, "--images-dir", fake.images)
    fake.data["annotations"][0]["bbox"] = [0, 0, 0, 0]
    fake.save()
    out = tmp_path / "sheet.png"
    assert "9 of 10 samples" in show(*words, "--out", out).stdout
    for hand in fake.data["annotations"]:
        hand["bbox"] = [0, 0, 0, 0]
    fake.save()
    message = failure(*words, "--out", out)
    assert message.startswith("none of these hands can be cut: expected a box with an area for")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a.h5", "--padding", "2"], "--padding is for the source of a DATASET, and a.h5 is a"),
        (["freihand", "--preds", "p.json"], "--preds needs a file, and goes without --augment"),
        (["a.h5", "--augment", "--preds", "p.json"], "--preds needs a file, and goes without"),
        (["a.h5", "--recipe", "few-photos"], "--recipe says how --augment changes images: give"),
    ],
)
def test_wrong_usage(arguments: list[str], message: str) -> None:
    result = show(*arguments)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())
