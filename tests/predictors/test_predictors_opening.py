from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from handbench.errors import PredictorError, TrainError
from handbench.models.checkpoint import save_model, untrained_model
from handbench.models.looks import Looks
from handbench.predictors.baseline import BaselinePredictor
from handbench.predictors.interface import Predictor
from handbench.predictors.opening import is_baseline, open_predictor
from handbench.predictors.torch_program import ProgramPredictor


def test_the_untrained_network_is_named_so() -> None:
    predictor = open_predictor("untrained", device="cpu")
    assert isinstance(predictor, Predictor)
    assert predictor.name == "untrained ResNet-18"
    assert predictor.describe()["training_data"] == []
    assert (predictor.input_size, predictor.whole_image) == (128, False)


def test_a_run_and_its_checkpoint_are_opened(tmp_path: Path) -> None:
    save_model(tmp_path / "best.pt", untrained_model(18, 32))
    for model in (tmp_path, tmp_path / "best.pt"):
        assert is_baseline(str(model))
        assert open_predictor(str(model), device="cpu").input_size == 32


def test_where_speed_counts_a_model_looks_once(tmp_path: Path) -> None:
    looks = Looks(views=True, sides=True)
    save_model(tmp_path / "m.pt", replace(untrained_model(18, 32), looks=looks))

    def opened(**options: bool) -> Looks:
        predictor = open_predictor(str(tmp_path / "m.pt"), device="cpu", **options)
        assert isinstance(predictor, BaselinePredictor)
        return predictor.looks

    assert opened() == looks
    assert opened(view_test=False) == Looks(sides=True)
    assert opened(once=True) == Looks()
    assert opened(once=True, flip_test=True) == Looks(flip=True)


def test_what_is_no_model_is_refused_with_all_that_could_be(tmp_path: Path) -> None:
    with pytest.raises(
        PredictorError, match=r"a run directory, a checkpoint, .*, found nothing at"
    ):
        open_predictor(str(tmp_path / "none"))
    with pytest.raises(TrainError, match=r"expected a training run with best\.pt"):
        open_predictor(str(tmp_path))
    with pytest.raises(PredictorError, match=r"expected a program at .*; `handbench export torch"):
        open_predictor(str(tmp_path / "no.pt2"), device="cpu")
    (tmp_path / "cut.pt2").write_bytes(b"PK")
    with pytest.raises(PredictorError, match="damaged, cut off, or no program of"):
        open_predictor(str(tmp_path / "cut.pt2"), device="cpu")


def test_the_word_mediapipe_goes_before_a_folder_of_that_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mediapipe").mkdir()  # a clone of its repository, say
    assert not is_baseline("mediapipe")
    assert is_baseline("./mediapipe")


def test_programs_stay_away_from_apple_gpus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    with pytest.raises(PredictorError, match="partly in double precision, which Apple GPUs do not"):
        open_predictor(str(tmp_path / "m.pt2"), device="mps")

    class Program:
        def module(self) -> Callable[[object], object]:
            return lambda images: images

    def load(_: Path, extra_files: dict[str, str]) -> Program:
        extra_files["handbench.json"] = '{"name": "net"}'
        return Program()

    monkeypatch.setattr(torch.export, "load", load)
    (tmp_path / "m.pt2").touch()
    predictor = open_predictor(str(tmp_path / "m.pt2"))
    assert isinstance(predictor, ProgramPredictor)
    assert predictor.device == "cpu"


def test_an_error_without_words_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    def load(*_: object, **__: object) -> None:
        raise AssertionError

    monkeypatch.setattr(torch.export, "load", load)
    (tmp_path / "m.pt2").touch()
    with pytest.raises(PredictorError, match=r"`handbench export torch` \(AssertionError"):
        open_predictor(str(tmp_path / "m.pt2"), device="cpu")


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        ("json:loads", {"flip_test": True}, "--flip-test is for the baseline"),
        ("json:loads", {"view_test": True}, "--view-test is for the baseline"),
        ("json:loads", {"side_test": True}, "--side-test is for the baseline"),
        ("json:loads", {"decoding": "dark"}, "--decode is for the baseline"),
        ("net.onnx", {"precision": "bf16"}, "--precision is for the baseline"),
        ("untrained", {"input_size": 64}, "the input size of untrained is its own: leave --input"),
        ("untrained", {"detection_confidence": 0.1}, "untrained detects no hands: leave"),
    ],
)
def test_options_of_other_models_are_refused(
    model: str, options: dict[str, object], message: str
) -> None:
    with pytest.raises(PredictorError, match=message):
        open_predictor(model, **options)  # type: ignore[arg-type]
