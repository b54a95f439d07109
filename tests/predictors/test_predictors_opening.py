from __future__ import annotations

from pathlib import Path

import pytest

from handbench.errors import PredictorError, TrainError
from handbench.models.checkpoint import save_model, untrained_model
from handbench.predictors.interface import Predictor
from handbench.predictors.opening import is_baseline, open_predictor


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


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        ("json:loads", {"flip_test": True}, "--flip-test is for the baseline"),
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
