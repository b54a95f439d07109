from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
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
