"""A trained model as one file that others run: ONNX, or a program of ``torch.export``.

Decoding is part of the graph, so the file takes pixels and gives points: nobody has to write the
codec again, and nobody can choose the wrong one. ``images`` (N, 3, S, S) float32 RGB of 0 … 1 go in
(N is free); ``keypoints`` (N, 21, 2) in px of the input, pixel centres at integers, and ``scores``
(N, 21) come out. Normalisation happens inside.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from handbench import __version__
from handbench.errors import MissingExtraError, TrainError
from handbench.files import atomic_path, sha256_file
from handbench.hand import JOINT_NAMES
from handbench.home import BEST
from handbench.models.architecture import Decoding
from handbench.models.baseline import count_parameters
from handbench.models.checkpoint import TrainedModel, load_model

METADATA_KEY = "handbench"
"""Of the ONNX file's metadata and of the program's extra files (with ``.json``): a JSON text."""
OLDEST_TORCH = (2, 6)
"""Earlier exporters know neither free numbers of images nor one file in this way."""
INPUT, OUTPUTS = "images", ("keypoints", "scores")


class PointNetwork(nn.Module):
    """A network and its decoding as one module.

    Parameters
    ----------
    model
        What is wrapped.
    decoding
        Another way to find a heatmap's peak than the codec's own.
    """

    def __init__(self, model: TrainedModel, decoding: Decoding | None = None) -> None:
        super().__init__()
        self.network = model.network
        self._codec, self._decoding = model.codec, decoding

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(N, 3, S, S) RGB of 0 … 1 → keypoints (N, 21, 2) px and scores (N, 21) of 0 … 1."""
        points, peaks = self._codec.decode(self.network(images), self._decoding)
        return points, peaks.clamp(0.0, 1.0)


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes
    ----------
    path
        Of the file.
    size
        Its bytes.
    difference_px
        Largest difference of a keypoint to the PyTorch model's, on made-up images, px.
    """

    path: Path
    size: int
    difference_px: float


def load_for_export(run: Path) -> tuple[TrainedModel, str]:
    """Load a run directory or checkpoint, and the SHA-256 of its weights' file."""
    path = Path(run)
    model = load_model(path)
    return model, sha256_file(path / BEST if path.is_dir() else path)


def export_onnx(
    model: TrainedModel, path: Path, facts: dict[str, Any], decoding: Decoding | None = None
) -> Exported:
    """Write `model` as ONNX.

    Parameters
    ----------
    model
        On the CPU.
    path
        File to write.
    facts
        From :func:`describe`, and whatever else is known; goes into the file's metadata.
    decoding
        Another way to find a heatmap's peak than the codec's own.

    Raises
    ------
    MissingExtraError
        Without the packages of the extra ``onnx``.
    TrainError
        If the file, run by onnxruntime, gives other points than the model.
    """
    _check_torch()
    onnx = _packages()
    module = PointNetwork(model, decoding).eval()
    with _quiet():
        program = torch.onnx.export(
            module,
            (_pictures(model.size, 2),),
            dynamo=True,
            dynamic_shapes={INPUT: {0: torch.export.Dim("batch", min=1)}},
            input_names=[INPUT],
            output_names=list(OUTPUTS),
            verbose=False,
        )
    if program is None:
        raise TrainError("torch.onnx.export gave no program: it is a bug, please report it")
    proto = program.model_proto
    onnx.helper.set_model_props(proto, _properties(facts))
    with atomic_path(path) as temporary:
        # One file: all baselines stay below the 2 GB that ONNX allows.
        onnx.save(proto, str(temporary))
        import onnxruntime

        session = onnxruntime.InferenceSession(str(temporary), providers=["CPUExecutionProvider"])

        def run(images: torch.Tensor) -> torch.Tensor:
            return torch.from_numpy(session.run([OUTPUTS[0]], {INPUT: images.numpy()})[0])

        difference = _difference(module, run, model.size)
        _check(difference, "onnxruntime")
        size = temporary.stat().st_size
    return Exported(Path(path), size, difference)


def export_program(
    model: TrainedModel, path: Path, facts: dict[str, Any], decoding: Decoding | None = None
) -> Exported:
    """Write `model` as a program of ``torch.export`` (.pt2); as :func:`export_onnx`."""
    _check_torch()
    module = PointNetwork(model, decoding).eval()
    with _quiet():
        program = torch.export.export(
            module,
            (_pictures(model.size, 2),),
            dynamic_shapes=({0: torch.export.Dim("batch", min=1)},),
        )
        with atomic_path(path) as temporary:
            stream = io.BytesIO()
            text = json.dumps(facts, ensure_ascii=False)
            torch.export.save(program, stream, extra_files={f"{METADATA_KEY}.json": text})
            temporary.write_bytes(stream.getvalue())
            runner = torch.export.load(io.BytesIO(stream.getvalue())).module()
            difference = _difference(module, lambda images: runner(images)[0], model.size)
            _check(difference, "torch.export")
            size = temporary.stat().st_size
    return Exported(Path(path), size, difference)


def describe(
    model: TrainedModel,
    *,
    checkpoint_sha256: str,
    license_text: str,
    decoding: Decoding | None = None,
) -> dict[str, Any]:
    """Facts that travel with an exported file, in the keys of a sidecar (docs/predictors.md).

    Parameters
    ----------
    model
        What is exported.
    checkpoint_sha256
        Of the file its weights came from.
    license_text
        What may be done with the weights.
    decoding
        As exported.
    """
    normalisation = model.network.normalisation
    facts: dict[str, Any] = {
        "handbench_onnx": 1,
        "kind": "coordinates",
        "outputs": list(OUTPUTS),
        "unit": "px",
        "size": model.size,
        "layout": "nchw",
        "channel_order": "rgb",
        # The file takes 0 … 1; a sidecar counts in 0 … 255.
        "mean": [0.0, 0.0, 0.0],
        "std": [255.0, 255.0, 255.0],
        "box_factor": model.box_factor,
        "name": model.name,
        "params": count_parameters(model.network),
        "training_data": list(model.training_data),
        "license": license_text,
        "note": f"handbench baseline, ResNet-{model.network.depth}, codec {model.codec.name}",
        "joint_names": list(JOINT_NAMES),
        "normalisation": {
            "inside": True,
            "channel_order": normalisation.channel_order,
            "mean": list(normalisation.mean),
            "std": list(normalisation.std),
        },
        "codec": {
            "name": model.codec.name,
            "sigma": model.codec.sigma,
            "grid": model.codec.grid,
            "decoding": decoding,
        },
        "handbench": __version__,
        "checkpoint_sha256": checkpoint_sha256,
    }
    return facts


def _properties(facts: dict[str, Any]) -> dict[str, str]:
    """Metadata: all of it as one JSON text, and what people look for by itself."""
    plain = {
        "joint_names": ",".join(facts["joint_names"]),
        "input": f"{INPUT}: float32 RGB 0..1, (N, 3, {facts['size']}, {facts['size']})",
        "normalisation": json.dumps(facts["normalisation"]),
        "license": facts["license"],
        "training_data": ",".join(facts["training_data"]),
        "handbench_version": facts["handbench"],
        "checkpoint_sha256": facts["checkpoint_sha256"],
    }
    return {METADATA_KEY: json.dumps(facts, ensure_ascii=False), **plain}


def _pictures(size: int, count: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(count, 3, size, size, generator=generator)


def _difference(module: PointNetwork, run: Any, size: int) -> float:
    """Largest difference, px, over batches of 1 and 3: another number than was traced."""
    with torch.inference_mode():
        return max(
            float((run(images) - module(images)[0]).abs().max())
            for images in (_pictures(size, 1), _pictures(size, 3))
        )


PARITY_PX = 0.5
"""More than arithmetic in another order can make of a peak; only then is nothing written. A heatmap
of noise may have two equal peaks, so that a thousandth holds for trained networks alone."""


def _check(difference: float, runner: str) -> None:
    if difference > PARITY_PX:
        raise TrainError(
            f"the exported file gives other points than the model: up to {difference:.3g} px apart "
            f"in {runner}; it was not written, please report it with `handbench doctor`"
        )


@contextlib.contextmanager
def _quiet() -> Any:
    """Exporters talk about their own insides; errors still come through."""
    names = ("torch.onnx", "onnxscript", "onnx_ir", "torch.export")
    levels = {name: logging.getLogger(name).level for name in names}
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        for name in names:
            logging.getLogger(name).setLevel(logging.ERROR)
        try:
            yield
        finally:
            for name, level in levels.items():
                logging.getLogger(name).setLevel(level)


def has_exporter() -> bool:
    """Whether the installed torch is new enough to export."""
    return tuple(int(part) for part in torch.__version__.split(".")[:2]) >= OLDEST_TORCH


def _check_torch() -> None:
    if not has_exporter():
        wanted = ".".join(map(str, OLDEST_TORCH))
        raise TrainError(
            f"exporting a model needs torch {wanted} or newer, found {torch.__version__}: run  "
            f"pip install 'torch>={wanted}'"
        )


def _packages() -> Any:
    try:
        import onnx
        import onnxruntime  # noqa: F401 - the file is run before it is written
        import onnxscript  # noqa: F401 - torch's exporter needs it
    except ImportError as error:
        raise MissingExtraError(error.name or "onnx", "onnx", "exporting to ONNX") from error
    return onnx
