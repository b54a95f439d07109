from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from generators.tiny_hdf5 import write_tiny

from handbench.cli import cli
from handbench.cli.export import _SHARD_SIZE
from handbench.hdf5.export_webdataset import SHARD_SIZE
from handbench.hdf5.reader import HandFile
from handbench.predictions.record import Predictions
from handbench.predictions.write import write_predictions


def export(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["export", *map(str, arguments)])


@pytest.mark.parametrize("layout", ["coco", "freihand", "webdataset"])
def test_each_layout(freihand_file: Path, tmp_path: Path, layout: str):
    result = export(layout, freihand_file, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    line = f"{tmp_path / 'out'}: {layout}, train 24, val 8, test 8 samples, "
    assert result.stdout.startswith(line)
    assert len(result.stdout.splitlines()) == 1
    assert (tmp_path / "out" / "handbench_export.json").is_file()


def test_one_split_and_overwrite(freihand_file: Path, tmp_path: Path):
    arguments = ("coco", freihand_file, "--out", tmp_path / "out", "--split", "test")
    assert "test 8 samples" in export(*arguments).stdout
    again = export(*arguments)
    assert again.exit_code == 1
    assert "pass --overwrite" in str(again.exception)
    assert export(*arguments, "--overwrite").exit_code == 0


def test_coco_names_the_command_that_leads_back(freihand_file: Path, tmp_path: Path):
    result = export("coco", freihand_file, "--out", tmp_path / "out", "--split", "test")
    assert result.stderr == (
        f"note: back again: handbench convert coco --annotations "
        f"test={tmp_path}/out/annotations/test.json --images-dir {tmp_path}/out/images "
        "--size 224 --padding 1.0\n"
    )


def test_notes_go_to_stderr(tmp_path: Path):
    file = write_tiny(tmp_path / "t.h5", {"train": 2, "test": 2}, sizes=(32, 48))
    result = export("coco", file, "--out", tmp_path / "out")
    assert result.exit_code == 0
    assert result.stderr == ""  # images of several sizes: no one command leads back


def test_shard_size(freihand_file: Path, tmp_path: Path):
    assert SHARD_SIZE == _SHARD_SIZE
    export("webdataset", freihand_file, "--out", tmp_path / "out", "--shard-size", 20)
    assert len(list((tmp_path / "out").glob("train-*.tar"))) == 2


@pytest.fixture
def preds(freihand_file: Path, tmp_path: Path) -> Path:
    with HandFile(freihand_file) as file:
        split = file["test"]
        points = split.column("keypoints_3d").astype(np.float64)
        write_predictions(
            Predictions(
                file.dataset,
                "test",
                {"name": "truth"},
                split.column("sample_id"),
                split.source_keypoints_2d(),
                keypoints_3d=points,
            ),
            tmp_path / "preds.json",
        )
    return tmp_path / "preds.json"


def test_pred_json(freihand_file: Path, preds: Path, tmp_path: Path):
    out = tmp_path / "pred.json"
    result = export("freihand-pred", preds, "--data", freihand_file, "--out", out)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith(f"{out}: freihand-subset test, 8 hands, ")
    assert result.stderr.startswith("note: no mesh is predicted")
    xyz, _ = json.loads(out.read_text())
    with HandFile(freihand_file) as file:
        assert np.array_equal(xyz, file["test"].column("keypoints_3d"))


def test_pred_json_finds_the_data_in_the_home(freihand_file: Path, preds: Path, tmp_path: Path):
    (tmp_path / "home/datasets").mkdir(parents=True)
    (tmp_path / "home/datasets/freihand-subset.h5").symlink_to(freihand_file)
    words = ["--home", tmp_path / "home", "export", "freihand-pred", preds]
    result = CliRunner().invoke(cli, [*map(str, words), "--out", str(tmp_path / "pred.zip")])
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("coco", "none.h5", "--out", "x"), 1, "found no such file"),
        (("coco", "none.h5"), 2, "--out"),
        (("yolo", "none.h5", "--out", "x"), 2, "yolo"),
        (("webdataset", "none.h5", "--out", "x", "--shard-size", "0"), 2, "--shard-size"),
    ],
)
def test_mistakes(tmp_path: Path, arguments: tuple[str, ...], code: int, message: str):
    result = export(*arguments)
    assert result.exit_code == code
    assert message in (result.stderr or str(result.exception))


def test_help_lists_the_layouts():
    text = export("--help").stdout
    for layout in ("coco", "freihand", "webdataset", "freihand-pred"):
        assert f"\n  {layout} " in text
