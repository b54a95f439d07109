"""MODEL on the command line → a predictor."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from handbench.errors import PredictorError
from handbench.models.looks import ONCE
from handbench.predictors.callables import is_function_name, open_function
from handbench.predictors.interface import Predictor

if TYPE_CHECKING:
    from handbench.models.architecture import Decoding
    from handbench.models.checkpoint import TrainedModel

MODEL_WORDS = (
    "a run directory, a checkpoint, `untrained`, FILE.onnx, FILE.pt2, `mediapipe`, "
    "`mediapipe:FILE.task` or `module:function`"
)


def open_predictor(
    model: str,
    *,
    device: str = "auto",
    precision: str = "auto",
    flip_test: bool | None = None,
    view_test: bool | None = None,
    side_test: bool | None = None,
    once: bool = False,
    decoding: Decoding | None = None,
    input_size: int | None = None,
    detection_confidence: float | None = None,
) -> Predictor:
    """Open the model that was asked for.

    Parameters
    ----------
    model
        A run directory; a checkpoint; ``untrained``, a ResNet-18 with random weights, the floor
        any training must beat; ``FILE.onnx``; ``FILE.pt2`` of ``handbench export torch``;
        ``mediapipe``, ``mediapipe:lite`` or ``mediapipe:FILE.task``; ``module:function``.
    device
        ``auto``, ``cpu``, ``cuda`` or ``mps``.
    precision, decoding
        Of the baseline; see :class:`handbench.predictors.baseline.BaselinePredictor`.
    flip_test, view_test, side_test
        Of the baseline; see :class:`handbench.models.looks.Looks`. None: as the model was trained
        to be used.
    once
        Look only once, and as these three say, whatever the model was trained for: where speed
        counts.
    input_size
        Side of the pictures for a ``module:function``, px.
    detection_confidence
        Of MediaPipe; see :func:`handbench.predictors.mediapipe_hands.open_mediapipe`.

    Raises
    ------
    PredictorError
        If `model` is nothing that can be run, or options do not fit it.
    TrainError
        If a run or a checkpoint cannot be loaded.
    MissingExtraError
        If the package that runs it is not installed.
    """
    path = Path(model)
    if input_size is not None and not is_function_name(model):
        raise PredictorError(
            f"the input size of {model} is its own: leave --input-size, which is for "
            "module:function, away"
        )
    if detection_confidence is not None and not _is_mediapipe(model):
        raise PredictorError(
            f"{model} detects no hands: leave --detection-confidence, which is MediaPipe's, away"
        )
    if is_baseline(model):
        from handbench.predictors.baseline import BaselinePredictor

        trained = open_baseline(model)
        looks = (ONCE if once else trained.looks).with_options(flip_test, view_test, side_test)
        return BaselinePredictor(trained, device, precision, looks, decoding)
    _only_baseline(
        model,
        {
            "--precision": precision != "auto",
            "--flip-test": flip_test,
            "--view-test": view_test,
            "--side-test": side_test,
            "--decode": decoding is not None,
        },
    )
    if path.suffix == ".onnx":
        from handbench.predictors.onnx_file import open_onnx

        return open_onnx(path, device)
    if path.suffix == ".pt2":
        from handbench.predictors.torch_program import open_program

        return open_program(path, device)
    if _is_mediapipe(model):
        from handbench.predictors.mediapipe_hands import open_mediapipe

        return open_mediapipe(model.partition(":")[2], detection_confidence)
    if is_function_name(model):
        return open_function(model, input_size)
    raise PredictorError(
        f"expected MODEL to be {MODEL_WORDS}, found nothing at {model}: "
        "`handbench train baseline` makes a run"
    )


def is_baseline(model: str) -> bool:
    """Whether `model` is our own: ``untrained``, a run directory or a checkpoint."""
    path = Path(model)
    other = _is_mediapipe(model) or path.suffix in (".onnx", ".pt2")
    return model == "untrained" or (not other and path.exists())


def _is_mediapipe(model: str) -> bool:
    """Whether `model` asks for MediaPipe: also beside a folder of that name (./mediapipe)."""
    return model.partition(":")[0] == "mediapipe"


def open_baseline(model: str) -> TrainedModel:
    """The trained model of a run directory, a checkpoint or ``untrained``."""
    from handbench.models.checkpoint import load_model, untrained_model

    return untrained_model() if model == "untrained" else load_model(Path(model))


def _only_baseline(model: str, given: dict[str, bool | None]) -> None:
    """Refuse what needs heatmaps or weights that only the baseline has."""
    for option, wrong in given.items():
        if wrong:
            raise PredictorError(
                f"{option} is for the baseline, whose heatmaps and weights are at hand; {model} "
                "gives points alone: leave it away"
            )
