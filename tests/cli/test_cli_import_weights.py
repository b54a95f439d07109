from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result
from generators.tiny_hdf5 import write_tiny
from reference.pose_resnet import random_pose_resnet

from handbench.cli import cli
from handbench.errors import TrainError
from handbench.models.checkpoint import load_model
from handbench.models.codecs import Rounded, Unbiased


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "pose_resnet_18.pth.tar"
    torch.save(random_pose_resnet(18, 21).state_dict(), path)
    return path


def handbench(*arguments: object) -> Result:
    return CliRunner().invoke(cli, list(map(str, arguments)))


def test_import_then_predict(weights: Path, tmp_path: Path) -> None:
    out = tmp_path / "ours.pt"
    done = handbench("import-weights", weights, "-o", out, "--size", 64, "--box-factor", 0.8)
    assert done.exit_code == 0, done.output
    assert done.stdout == (
        f"{out}: ResNet-18 of Simple Baselines, 15.4 M parameters, BGR input of 64×64 px, codec "
        "rounded, sigma 2, box factor 0.8, trained on unknown\n"
    )
    data = write_tiny(tmp_path / "t.h5", {"test": 3}, size=64)
    preds = tmp_path / "p.json"
    predicted = handbench("predict", out, "--data", data, "-o", preds, "--device", "cpu")
    assert predicted.exit_code == 0, predicted.output
    written = json.loads(preds.read_text())
    assert written["model"]["name"] == "pose_resnet_18"
    assert written["model"]["training_data"] == ["unknown"]
    # What the network saw is the file's own box, times the factor.
    assert written["input"]["padding"] == pytest.approx(0.8 * 1.5)

    where = handbench("predict", out, "-o", preds)
    assert isinstance(where.exception, TrainError)
    assert "was trained on unknown: say with --data" in str(where.exception)


def test_options_reach_the_checkpoint(weights: Path, tmp_path: Path) -> None:
    out = tmp_path / "ours.pt"
    done = handbench(
        "import-weights", weights, "-o", out, "--codec", "unbiased", "--sigma", 3,
        "--joints", "rhd", "--channel-order", "rgb", "--name", "mine", "--trained-on", "rhd/train",
        "--trained-on", "freihand/train",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    model = load_model(out)
    assert model.codec == Unbiased(3.0, "corner")
    assert (model.name, model.size, model.box_factor) == ("mine", 256, 1.0)
    assert model.training_data == ("rhd/train", "freihand/train")
    assert model.network.normalisation.channel_order == "rgb"
    again = handbench("import-weights", weights, "-o", out)
    assert isinstance(again.exception, TrainError)
    assert "exists: choose another --out, or replace it with --overwrite" in str(again.exception)
    assert handbench("import-weights", weights, "-o", out, "--overwrite").exit_code == 0
    assert load_model(out).codec == Rounded()


def test_what_is_not_needed_is_told(weights: Path, tmp_path: Path) -> None:
    state = torch.load(weights, weights_only=True)
    torch.save({**state, "fc.bias": torch.zeros(1000)}, tmp_path / "w.pth")
    done = handbench("import-weights", tmp_path / "w.pth", "-o", tmp_path / "o.pt")
    assert done.stderr == "not needed and left out: fc.bias\n"


def test_nothing_is_written_where_layers_do_not_fit(weights: Path, tmp_path: Path) -> None:
    state = torch.load(weights, weights_only=True)
    del state["bn1.bias"]
    torch.save(state, tmp_path / "w.pth")
    done = handbench("import-weights", tmp_path / "w.pth", "-o", tmp_path / "o.pt")
    assert isinstance(done.exception, TrainError)
    assert "1 missing (bn1.bias)" in str(done.exception)
    assert not (tmp_path / "o.pt").exists()


def test_joints_are_numbers_or_a_known_order(weights: Path, tmp_path: Path) -> None:
    wrong = handbench("import-weights", weights, "-o", tmp_path / "o.pt", "--joints", "openpose")
    assert wrong.exit_code == 2
    assert "rhd, mano, interhand, stb; found 'openpose'" in wrong.stderr
    reverse = ",".join(str(channel) for channel in range(20, -1, -1))
    done = handbench("import-weights", weights, "-o", tmp_path / "o.pt", "--joints", reverse)
    assert done.exit_code == 0, done.output
    bias = torch.load(weights, weights_only=True)["final_layer.bias"]
    assert torch.equal(load_model(tmp_path / "o.pt").network.heatmaps.bias, bias.flip(0))


def test_help_does_not_load_torch() -> None:
    code = (
        "import sys, handbench.cli.import_weights, handbench.cli.recipes; "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
