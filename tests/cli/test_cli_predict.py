from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from generators.tiny_hdf5 import write_tiny

from handbench.cli import cli
from handbench.cli.predict import predict
from handbench.models.architecture import CODEC_GRIDS
from handbench.models.checkpoint import TrainedModel, new_network, save_model
from handbench.models.codecs import make_codec
from handbench.models.heatmaps import DECODINGS


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("predict") / "t.h5", {"test": 3}, size=64)


def keypoints(model: Path, data: Path, *options: str) -> np.ndarray:
    out = model.with_suffix(".json")
    words = ["predict", model, "--data", data, "-o", out, "--device", "cpu", *options]
    done = CliRunner().invoke(cli, list(map(str, words)))
    assert done.exit_code == 0, done.output
    return np.array([each["keypoints"] for each in json.loads(out.read_text())["predictions"]])


def test_every_decoding_can_be_chosen() -> None:
    (option,) = (each for each in predict.params if each.name == "decode")
    assert list(option.type.choices) == list(DECODINGS)  # type: ignore[attr-defined]


def test_a_model_is_decoded_as_its_codec_does(data: Path, tmp_path: Path) -> None:
    found = {}
    for name in CODEC_GRIDS:
        model = TrainedModel(new_network(18, 0), 64, make_codec(name), name, ("tiny/train",))
        save_model(tmp_path / f"{name}.pt", model)
        found[name] = keypoints(tmp_path / f"{name}.pt", data)
    # One random network, four readings; softmax of near nothing has its mean in the middle.
    assert abs(found["integral"].mean() - found["integral"]).max() < 1.0
    for one, other in itertools.pairwise(found):
        assert abs(found[one] - found[other]).max() > 0.1
    quarter = keypoints(tmp_path / "rounded.pt", data, "--decode", "quarter")
    argmax = keypoints(tmp_path / "rounded.pt", data, "--decode", "argmax")
    flipped = keypoints(tmp_path / "rounded.pt", data, "--flip-test")
    assert abs(quarter - argmax).max() > 0.1
    assert abs(flipped - found["rounded"]).max() > 0.1
