from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from generators.tiny_hdf5 import write_tiny

from handbench.cli import cli
from handbench.errors import HandbenchError, TrainError
from handbench.models.settings import TrainSettings


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home folder with one tiny dataset."""
    root = tmp_path_factory.mktemp("home")
    (root / "datasets").mkdir()
    write_tiny(root / "datasets" / "tiny.h5", {"train": 4, "val": 2, "test": 3}, size=32)
    return root


def handbench(home: Path, *arguments: object) -> Result:
    words = ["--home", str(home), *map(str, arguments)]
    return CliRunner().invoke(cli, words)


def tiny_training(home: Path) -> tuple[object, ...]:
    data = home / "datasets" / "tiny.h5"
    return (
        "train",
        "baseline",
        "--data",
        data,
        "--depth",
        18,
        "--batch-size",
        4,
        "--device",
        "cpu",
    )


def test_train_stop_resume_and_predict(home: Path, tmp_path: Path) -> None:
    started = handbench(home, *tiny_training(home), "--epochs", 2, "--stop-after", 1)
    assert started.exit_code == 0, started.output
    run = home / "runs" / "tiny-resnet18"
    # The result is the one line on stdout; all the rest went to stderr.
    assert started.stdout == f"{run}\n"
    assert "epoch 1/2: loss" in started.stderr

    resumed = handbench(home, "train", "baseline", "--resume", "--out", run)
    assert resumed.exit_code == 0, resumed.output
    assert "continuing after epoch 1 of 2" in resumed.stderr
    assert len((run / "log.csv").read_text().splitlines()) == 3

    out = tmp_path / "preds.json"
    # As `train` printed it, but from another folder: found in the home folder.
    name = "runs/tiny-resnet18"
    predicted = handbench(home, "predict", name, "--out", out, "--device", "cpu", "--flip-test")
    assert predicted.exit_code == 0, predicted.output
    assert predicted.stdout.startswith(f"{out}: 3 hands of tiny/test by tiny-resnet18")
    written = json.loads(out.read_text())
    assert written["input"]["tta"] == "flip"
    assert written["model"]["training_data"] == ["tiny/train"]

    again = handbench(home, *tiny_training(home), "--epochs", 1, "--stop-after", 1)
    assert again.stdout == f"{home / 'runs' / 'tiny-resnet18-2'}\n"


def test_a_resumed_run_refuses_other_settings(home: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    options = (*tiny_training(home), "--out", run, "--epochs", 2, "--stop-after", 1)
    assert handbench(home, *options).exit_code == 0
    changed = handbench(home, "train", "baseline", "--resume", "--out", run, "--lr", 0.5)
    assert isinstance(changed.exception, TrainError)
    assert "--lr 0.5 instead of 0.001" in str(changed.exception)


def test_resume_needs_a_run(home: Path) -> None:
    result = handbench(home, "train", "baseline", "--resume")
    assert result.exit_code == 2
    assert "--resume needs --out" in result.stderr


def test_the_default_dataset_is_freihand_in_the_home_folder(home: Path) -> None:
    result = handbench(home, "train", "baseline")
    assert isinstance(result.exception, HandbenchError)
    assert str(home / "datasets" / "freihand.h5") in str(result.exception)


def test_every_setting_is_an_option(home: Path) -> None:
    text = " ".join(handbench(home, "train", "baseline", "--help").stdout.split())
    for field in dataclasses.fields(TrainSettings):
        assert "--" + field.name.replace("_", "-") in text
    for default in ("[default: 50]", "[default: as stored]", "[default: 0.001]"):
        assert default in text


def test_help_does_not_load_torch() -> None:
    code = (
        "import sys, handbench.cli.train, handbench.cli.predict; "
        "sys.exit('torch' in sys.modules or 'matplotlib' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_predict_writes_the_untrained_floor(home: Path, tmp_path: Path) -> None:
    data = home / "datasets" / "tiny.h5"
    out = tmp_path / "floor.npz"
    result = handbench(home, "predict", "untrained", "--data", data, "-o", out, "--device", "cpu")
    assert result.exit_code == 0, result.output
    assert "by untrained ResNet-18" in result.stdout
    assert out.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("untrained", "-o", "p.json"), "was trained on nothing: say with --data"),
        (("no-such-run", "-o", "p.json"), "found nothing at no-such-run"),
        (("untrained", "-o", "p.txt"), "ending in"),
    ],
)
def test_predict_explains_what_is_missing(
    arguments: tuple[str, ...], message: str, home: Path
) -> None:
    result = handbench(home, "predict", *arguments)
    assert isinstance(result.exception, HandbenchError)
    assert message in str(result.exception)


def test_predict_takes_data_or_images(home: Path, tmp_path: Path) -> None:
    result = handbench(
        home, "predict", "untrained", "--data", "a.h5", "--images", tmp_path, "-o", "p.json"
    )
    assert result.exit_code == 2
    assert "either --data or --images" in result.stderr
