from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from generators.tiny_hdf5 import write_tiny

from handbench.cli import cli
from handbench.models.architecture import CODEC_GRIDS
from handbench.models.checkpoint import load_model
from handbench.models.codecs import Rounded, make_codec
from handbench.models.recipes import RECIPES
from handbench.models.settings import TrainSettings


def handbench(*arguments: object) -> Result:
    return CliRunner().invoke(cli, list(map(str, arguments)))


def test_recipes_are_listed_with_what_they_set() -> None:
    shown = handbench("train", "recipes").stdout
    heading, *_ = shown.splitlines()
    assert heading.split() == ["option", *RECIPES]
    rows = {line.split()[0]: line.split()[1:] for line in shown.splitlines() if line[:2] == "--"}
    assert rows["--epochs"][2:] == ["140", "100"]
    assert rows["--box-factor"][2:] == ["1.0", "0.8"]
    assert rows["--mix"] == ["0.0", "0.8", "0.0", "0.0"]
    assert "as stored" in shown


def test_recipes_as_json_can_be_used_as_settings() -> None:
    document = json.loads(handbench("train", "recipes", "--json").stdout)
    assert list(document) == list(RECIPES)
    for name, recipe in document.items():
        values = TrainSettings(data=(Path("a.h5"),), out=Path("run"), recipe=name, **recipe)
        values.check()


def test_a_recipe_is_trained_with_changes_and_saved_with_the_run(tmp_path: Path) -> None:
    data = write_tiny(tmp_path / "t.h5", {"train": 8, "val": 2, "test": 2}, size=32)
    run = tmp_path / "run"
    done = handbench(
        "train", "baseline", "--data", data, "--out", run, "--recipe", "simple-baselines",
        "--depth", 18, "--pretrained", "none", "--size", 32, "--epochs", 1, "--batch-size", 4,
        "--accumulate", 1, "--device", "cpu",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    saved = json.loads((run / "settings.json").read_text())
    assert saved["recipe"] == "simple-baselines"
    # What was given, and beside it what the recipe says.
    assert (saved["depth"], saved["epochs"]) == (18, 1)
    assert (saved["codec"], saved["optimiser"], saved["schedule"]) == ("rounded", "adam", "step")
    model = load_model(run)
    assert model.codec == Rounded()
    assert model.network.normalisation.channel_order == "bgr"


@pytest.mark.parametrize("codec", CODEC_GRIDS)
def test_every_codec_trains_and_learns(codec: str, tmp_path: Path) -> None:
    data = write_tiny(tmp_path / "t.h5", {"train": 8, "val": 2, "test": 2}, size=32)
    run = tmp_path / "run"
    done = handbench(
        "train", "baseline", "--data", data, "--out", run, "--codec", codec, "--depth", 18,
        "--epochs", 4, "--batch-size", 4, "--device", "cpu", "--precision", "fp32",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert load_model(run).codec == make_codec(codec)
    with (run / "log.csv").open() as lines:
        losses = [float(row["loss"]) for row in csv.DictReader(lines)]
    assert losses[-1] < losses[0]


def test_an_unknown_recipe_is_refused(tmp_path: Path) -> None:
    done = handbench("train", "baseline", "--recipe", "best")
    assert done.exit_code == 2
    assert ", ".join(map(repr, RECIPES)) in done.stderr
