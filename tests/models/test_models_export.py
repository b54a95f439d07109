from __future__ import annotations

import functools
import json
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from generators.small_network import small_network

from handbench.errors import TrainError
from handbench.files import sha256_file
from handbench.hand import JOINT_NAMES
from handbench.models.architecture import CODEC_GRIDS, Normalisation
from handbench.models.checkpoint import TrainedModel, new_network, save_model
from handbench.models.codecs import make_codec
from handbench.models.export import (
    Exported,
    PointNetwork,
    describe,
    export_onnx,
    export_program,
    has_exporter,
    load_for_export,
)
from handbench.predictors.baseline import BaselinePredictor
from handbench.predictors.opening import open_predictor

pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: handbench[onnx]")
SIZE = 64
needs_exporter = pytest.mark.skipif(not has_exporter(), reason="torch is older than 2.6")


@pytest.fixture(autouse=True)
def _small() -> Iterator[None]:
    with small_network():
        yield


def trained(codec: str, box_factor: float = 1.0) -> TrainedModel:
    """A small network whose maps have a clear peak somewhere: its last weights are large."""
    network = new_network(18, 3, Normalisation("bgr", (0.4, 0.5, 0.6), (0.2, 0.3, 0.25)))
    with torch.no_grad():
        network.heatmaps.weight.mul_(300)
    return TrainedModel(network, SIZE, make_codec(codec), codec, ("freihand/train",), box_factor)


def facts(model: TrainedModel) -> dict[str, object]:
    return describe(model, checkpoint_sha256="ab" * 32, license_text="CC BY 4.0")


def pictures(count: int, size: int = SIZE) -> list[np.ndarray]:
    rng = np.random.default_rng(5)
    return list(rng.integers(0, 256, (count, size, size, 3), dtype=np.uint8))


Files = Callable[[str], tuple[Path, Exported]]


@pytest.fixture(scope="module")
def onnx_files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """One file a codec, made when it is asked for: writing them is what takes time here."""
    folder = tmp_path_factory.mktemp("onnx")

    @functools.cache
    def make(codec: str) -> tuple[Path, Exported]:
        model = trained(codec)
        path = folder / f"{codec}.onnx"
        return path, export_onnx(model, path, facts(model))

    return make


@needs_exporter
@pytest.mark.parametrize("codec", list(CODEC_GRIDS))
def test_onnx_gives_the_points_of_the_model(codec: str, onnx_files: Files) -> None:
    path, done = onnx_files(codec)
    assert done.difference_px < 1e-3
    assert done.size == path.stat().st_size
    exported = open_predictor(str(path), device="cpu")
    ours = BaselinePredictor(trained(codec), "cpu")
    for count in (1, 5):  # any number of images
        for one, other in zip(exported(pictures(count)), ours(pictures(count)), strict=True):
            assert one is not None
            assert other is not None
            assert np.abs(one.keypoints - other.keypoints).max() < 1e-3
            np.testing.assert_allclose(one.scores, other.scores, atol=1e-4)


@needs_exporter
@pytest.mark.parametrize("codec", ["unbiased", "likely"])  # a solver, and a loop
def test_a_program_gives_the_points_of_the_model(codec: str, tmp_path: Path) -> None:
    model = trained(codec, box_factor=0.8)
    done = export_program(model, tmp_path / "m.pt2", facts(model))
    assert done.difference_px < 1e-3
    exported = open_predictor(str(tmp_path / "m.pt2"), device="cpu")
    ours = BaselinePredictor(model, "cpu")
    assert exported.input_size == ours.input_size == 80
    for one, other in zip(exported(pictures(3, 80)), ours(pictures(3, 80)), strict=True):
        assert one is not None
        assert other is not None
        assert np.abs(one.keypoints - other.keypoints).max() < 1e-3
    block = exported.describe()
    assert (block["name"], block["license"]) == (codec, "CC BY 4.0")


@needs_exporter
def test_a_peak_is_found_through_the_graph() -> None:
    # A network that is its own answer: the maps do not depend on the image.
    codec = make_codec("unbiased")
    points = torch.tensor([[[21.0, 37.5]]]).expand(1, 21, 2)
    maps, _ = codec.encode(points, torch.ones(1, 21, dtype=torch.bool), (SIZE, SIZE))

    class Answer(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return maps.expand(len(images), -1, -1, -1)

    answer: Any = Answer()
    module = PointNetwork(TrainedModel(answer, SIZE, codec, "answer", ()))
    program = torch.export.export(module, (torch.rand(2, 3, SIZE, SIZE),))
    found, scores = program.module()(torch.rand(2, 3, SIZE, SIZE))
    assert (found - points).abs().max() < 1e-3
    assert scores.min() > 0.5


@needs_exporter
def test_metadata_says_what_the_file_is(onnx_files: Files) -> None:
    import onnxruntime

    path, _ = onnx_files("rounded")
    session = onnxruntime.InferenceSession(str(path))
    plain = session.get_modelmeta().custom_metadata_map
    assert plain["joint_names"].split(",") == list(JOINT_NAMES)
    assert plain["license"] == "CC BY 4.0"
    assert plain["training_data"] == "freihand/train"
    assert plain["checkpoint_sha256"] == "ab" * 32
    said = json.loads(plain["handbench"])
    assert (said["size"], said["box_factor"]) == (64, 1.0)
    assert said["normalisation"]["inside"] is True
    assert said["normalisation"]["channel_order"] == "bgr"
    assert said["codec"] == {"name": "rounded", "sigma": 2.0, "grid": "corner", "decoding": None}
    assert [node.shape[1:] for node in session.get_outputs()] == [[21, 2], [21]]
    block = open_predictor(str(path), device="cpu").describe()
    assert block["training_data"] == ["freihand/train"]
    assert block["params"] == facts(trained("rounded"))["params"]
    assert "as declared" in block["note"]


def test_a_checkpoint_comes_with_its_hash(tmp_path: Path) -> None:
    save_model(tmp_path / "best.pt", trained("unbiased"))
    for path in (tmp_path, tmp_path / "best.pt"):
        model, digest = load_for_export(path)
        assert model.size == SIZE
        assert digest == sha256_file(tmp_path / "best.pt")


@needs_exporter
def test_a_file_with_other_points_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from handbench.models import export

    monkeypatch.setattr(export, "_difference", lambda *_: 3.0)
    monkeypatch.setattr(torch.export, "export", lambda *_, **__: None)
    monkeypatch.setattr(torch.export, "save", lambda _, stream, **__: stream.write(b"some"))
    monkeypatch.setattr(torch.export, "load", lambda _: torch.nn.ModuleDict())
    monkeypatch.setattr(torch.nn.ModuleDict, "module", lambda _: None, raising=False)
    model = trained("rounded")
    with pytest.raises(TrainError, match=r"up to 3 px apart in torch\.export; it was not written"):
        export_program(model, tmp_path / "m.pt2", facts(model))
    assert list(tmp_path.iterdir()) == []


def test_the_solver_of_the_parabola_is_as_good_as_lapack() -> None:
    from handbench.models.heatmaps import _solved

    rng = torch.Generator().manual_seed(0)
    half = torch.rand(50, 6, 9, generator=rng, dtype=torch.float64)
    weights = 10.0 ** torch.linspace(-8, 0, 9, dtype=torch.float64)
    left = (half * weights) @ half.mT + 1e-6 * torch.eye(6, dtype=torch.float64)
    right = left @ torch.rand(50, 6, 1, generator=rng, dtype=torch.float64)
    torch.testing.assert_close(_solved(left, right), torch.linalg.solve(left, right)[..., 0])


def test_the_extra_asks_for_what_exporting_needs() -> None:
    text = (Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8")
    names = tomllib.loads(text)["project"]["optional-dependencies"]["onnx"]
    assert {name.split(">")[0] for name in names} == {"onnx", "onnxruntime", "onnxscript"}


def test_an_old_torch_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = trained("rounded")
    monkeypatch.setattr(torch, "__version__", "2.4.0+cpu")
    for write in (export_onnx, export_program):
        with pytest.raises(TrainError, match=r"needs torch 2\.6 or newer, found 2\.4\.0\+cpu"):
            write(model, tmp_path / "m", facts(model))
