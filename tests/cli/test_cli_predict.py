from __future__ import annotations

import dataclasses
import itertools
import json
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner
from generators.coco import FakeCOCO
from generators.tiny_hdf5 import write_tiny

from handbench.cli import cli
from handbench.cli.export import onnx, torch
from handbench.cli.predict import predict
from handbench.models.architecture import CODEC_GRIDS, DECODINGS
from handbench.models.checkpoint import TrainedModel, new_network, save_model
from handbench.models.codecs import make_codec
from handbench.models.looks import Looks
from handbench.predictors import opening
from handbench.predictors.callables import open_function


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("predict") / "t.h5", {"test": 3}, size=64)


def keypoints(model: Path, data: Path, *options: str) -> np.ndarray:
    out = model.with_suffix(".json")
    words = ["predict", model, "--data", data, "-o", out, "--device", "cpu", *options]
    done = CliRunner().invoke(cli, list(map(str, words)))
    assert done.exit_code == 0, done.output
    return np.array([each["keypoints"] for each in json.loads(out.read_text())["predictions"]])


@pytest.mark.parametrize("command", [predict, onnx, torch])
def test_every_decoding_can_be_chosen(command: click.Command) -> None:
    (option,) = (each for each in command.params if each.name == "decode")
    assert list(option.type.choices) == list(DECODINGS)  # type: ignore[attr-defined]


def test_a_model_is_decoded_as_its_codec_does(data: Path, tmp_path: Path) -> None:
    found = {}
    for name in CODEC_GRIDS:
        model = TrainedModel(new_network(18, 0), 64, make_codec(name), name, ("tiny/train",))
        save_model(tmp_path / f"{name}.pt", model)
        found[name] = keypoints(tmp_path / f"{name}.pt", data)
    # One random network, five readings; softmax of near nothing has mean and median in the middle.
    for name in ("integral", "likely"):
        assert abs(found[name].mean() - found[name]).max() < 1.0
    for one, other in itertools.pairwise(each for each in found if each != "likely"):
        assert abs(found[one] - found[other]).max() > 0.1
    quarter = keypoints(tmp_path / "rounded.pt", data, "--decode", "quarter")
    argmax = keypoints(tmp_path / "rounded.pt", data, "--decode", "argmax")
    flipped = keypoints(tmp_path / "rounded.pt", data, "--flip-test")
    assert abs(quarter - argmax).max() > 0.1
    assert abs(flipped - found["rounded"]).max() > 0.1
    views = keypoints(tmp_path / "rounded.pt", data, "--view-test")
    assert abs(views - found["rounded"]).max() > 0.1


def test_a_model_looks_at_images_as_it_was_trained_to(data: Path, tmp_path: Path) -> None:
    model = TrainedModel(new_network(18, 0), 64, make_codec("rounded"), "m", ("tiny/train",))
    save_model(tmp_path / "once.pt", model)
    save_model(tmp_path / "m.pt", dataclasses.replace(model, looks=Looks(views=True, sides=True)))
    own = keypoints(tmp_path / "m.pt", data)
    asked = keypoints(tmp_path / "once.pt", data, "--view-test", "--side-test")
    np.testing.assert_array_equal(own, asked)
    once = keypoints(tmp_path / "m.pt", data, "--no-view-test", "--no-side-test")
    np.testing.assert_array_equal(once, keypoints(tmp_path / "once.pt", data))
    assert abs(own - once).max() > 0.1
    words = ["predict", str(tmp_path / "m.pt"), "--data", str(data), "--flip-test", "-o", "x.json"]
    done = CliRunner().invoke(cli, words)
    assert done.exit_code == 1
    assert "found both: leave one away (--no-flip-test or --no-side-test)" in str(done.exception)


def run(*words: object) -> str:
    done = CliRunner().invoke(cli, list(map(str, words)))
    assert done.exit_code == 0, done.output
    return done.output


@pytest.fixture
def middle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A model of one line: every joint in the middle of the picture; sure of it."""
    monkeypatch.chdir(tmp_path)
    name = f"middle_{abs(hash(tmp_path))}"
    lines = [
        "import numpy as np",
        "def predict(batch):",
        "    points = np.full((len(batch), 21, 3), (batch.shape[1] - 1) / 2)",
        "    points[..., 2] = 0.5",
        "    return points",
        "def wrong(batch): return batch",
    ]
    (tmp_path / f"{name}.py").write_text("\n".join(lines))
    return name


def test_a_python_function_is_a_model(data: Path, tmp_path: Path, middle: str) -> None:
    said = run("predict", f"{middle}:predict", "--data", data, "-o", "p.json", "--input-size", 32)
    assert "3 hands of tiny/test by middle_" in said
    assert "p50" in said
    found = json.loads((tmp_path / "p.json").read_text())
    assert found["model"]["name"] == f"{middle}:predict"
    assert found["input"]["box"] == "gt_annotation"
    assert found["input"]["ms_parts"]["model"] >= 0
    # The middle of 64 stored px, 2 source px each, 3 px aside.
    np.testing.assert_allclose(found["predictions"][0]["keypoints"], 31.5 * 2 + 0.5 + 6, atol=0.6)


def test_worse_boxes_make_a_table_and_a_curve(data: Path, tmp_path: Path, middle: str) -> None:
    words = ("predict", f"{middle}:predict", "--data", data, "-o", "p.json", "--input-size", 32)
    said = run(*words, "--box-jitter", "0.4,0.2,0")
    assert "stored images end where they were cut" in said
    header, *rows = (tmp_path / "p.jitter.csv").read_text().splitlines()
    assert header == "model,jitter,mean_iou,PCK@0.2[bbox],EPE[px],coverage"
    assert [row.split(",")[1] for row in rows] == ["0", "0.2", "0.4"]
    ious = [float(row.split(",")[2]) for row in rows]
    assert ious == sorted(ious, reverse=True)
    assert ious[0] == 1
    moved = json.loads((tmp_path / "p.jitter-0.2.json").read_text())
    assert moved["input"]["jitter"]["amount"] == 0.2
    assert (tmp_path / "p.jitter.svg").read_text().startswith("<?xml")
    assert (tmp_path / "p.jitter.png").read_bytes().startswith(b"\x89PNG")
    # The same seed gives the same points.
    first = moved["predictions"]
    run(*words, "--box-jitter", "0.2")
    again = json.loads((tmp_path / "p.jitter-0.2.json").read_text())["predictions"]
    assert first == again


def test_worse_boxes_are_compared_with_the_true_box_not_the_whole_photo(
    fake_coco: FakeCOCO, tmp_path: Path, middle: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = fake_coco.annotations.parent / "images"
    run(
        *("convert", "coco", "--annotations", fake_coco.annotations, "--images-dir", photos),
        *("--out", "c.h5", "--size", 32),
    )
    finder = dataclasses.replace(open_function(f"{middle}:predict"), whole_image=True)
    monkeypatch.setattr(opening, "open_predictor", lambda *_, **__: finder)
    words = ("predict", "finder", "--data", "c.h5", "-o", "p.json", "--source", photos)
    run(*words, "--box-jitter", "0.1")
    found = [
        json.loads((tmp_path / name).read_text())["input"]
        for name in ("p.json", "p.jitter-0.1.json")
    ]
    assert [each["box"] for each in found] == ["gt_annotation"] * 2
    assert found[0]["padding"] == found[1]["padding"]
    run(*words)
    assert json.loads((tmp_path / "p.json").read_text())["input"]["box"] == "image"


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--box-jitter", "0.1,much"], 2, "expected shares of the box's side from 0 to 2"),
        (["--box-jitter", "-1"], 2, "expected shares of the box's side"),
    ],
)
def test_wrong_options_are_usage(
    data: Path, tmp_path: Path, words: list[str], code: int, message: str
) -> None:
    out = str(tmp_path / "p.json")
    done = CliRunner().invoke(cli, ["predict", "untrained", "--data", str(data), "-o", out, *words])
    assert done.exit_code == code
    assert message in " ".join(done.output.split())


def test_a_wrong_answer_is_one_sentence(data: Path, tmp_path: Path, middle: str) -> None:
    words = ["predict", f"{middle}:wrong", "--data", str(data), "-o", "p.json"]
    done = CliRunner().invoke(cli, words)
    assert "found the shape (3, 224, 224, 3) for a batch of 3 pictures" in str(done.exception)
    assert not (tmp_path / "p.json").exists()
