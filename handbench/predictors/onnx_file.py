"""ONNX files as predictors, run by onnxruntime."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from handbench.camera import transform_points
from handbench.errors import MissingExtraError, PredictorError
from handbench.files import sha256_file
from handbench.hand import NUM_JOINTS
from handbench.predictors.crops import network_cut
from handbench.predictors.interface import Hand
from handbench.predictors.onnx_decoding import decode_outputs
from handbench.predictors.onnx_spec import OnnxSpec, Tensor, read_spec

_TYPES: dict[str, np.dtype[Any]] = {
    "tensor(float)": np.dtype(np.float32),
    "tensor(float16)": np.dtype(np.float16),
    "tensor(uint8)": np.dtype(np.uint8),
}
_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


@dataclass(frozen=True)
class OnnxPredictor:
    """A network in an ONNX file.

    Attributes
    ----------
    path
        Of the file.
    spec
        What goes in and comes out.
    session
        onnxruntime's.
    """

    path: Path
    spec: OnnxSpec
    session: Any
    whole_image: bool = False

    @property
    def name(self) -> str:
        """As declared, else the stem of the file."""
        return self.spec.name or self.path.stem

    @property
    def input_size(self) -> int:
        """Side of the crop, px: the network looks at the middle `box_factor` of it."""
        return round(self.spec.size / self.spec.box_factor)

    @property
    def box_factor(self) -> float:
        """Side of what the network sees, as a share of the crop's."""
        return self.spec.box_factor

    @property
    def padding(self) -> float | None:
        """Padding of the boxes it was made for, if that is known."""
        return self.spec.padding

    def describe(self) -> dict[str, Any]:
        """Model block of a predictions file."""
        spec = self.spec
        said = "as declared" if spec.declared else "recognised by its shapes, nothing declared"
        note = f"ONNX, {spec.kind}, input {spec.size} px {spec.channel_order}, {said}"
        block: dict[str, Any] = {"name": self.name}
        if spec.params is not None:
            block["params"] = spec.params
        if spec.training_data is not None:
            block["training_data"] = list(spec.training_data)
        if spec.license is not None:
            block["license"] = spec.license
        return {
            **block,
            "note": f"{spec.note}; {note}" if spec.note else note,
            "sha256": sha256_file(self.path),
            "versions": {"onnxruntime": _runtime().__version__},
        }

    def __call__(self, images: Sequence[npt.NDArray[np.uint8]]) -> list[Hand | None]:
        """Run the network; images of another size are fitted into its square.

        Raises
        ------
        PredictorError
            If onnxruntime fails, or an output has another shape than the file says.
        """
        if not images:
            return []
        spec = self.spec
        fitted = [
            network_cut(image, spec.size, self.input_size, spec.box_factor) for image in images
        ]
        points, scores = self._run(np.stack([pixels for pixels, _ in fitted]))
        hands: list[Hand | None] = []
        for place, score, (_, matrix) in zip(points, scores, fitted):
            if not np.isfinite(place).all():
                hands.append(None)
                continue
            score = np.clip(score, 0.0, 1.0)
            whole = 1.0 if np.isnan(score).all() else float(np.nanmean(score))
            hands.append(Hand(transform_points(np.linalg.inv(matrix), place), score, whole))
        return hands

    def _run(
        self, pixels: npt.NDArray[np.uint8]
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Points and scores of (N, size, size, 3) RGB pictures, in as many calls as it takes."""
        source = self.session.get_inputs()[0]
        batch = self._prepared(pixels, _TYPES[source.type])
        fixed = source.shape[0] if isinstance(source.shape[0], int) else None
        step = fixed or len(batch)
        points: list[npt.NDArray[np.float64]] = []
        scores: list[npt.NDArray[np.float64]] = []
        for start in range(0, len(batch), step):
            part = batch[start : start + step]
            missing = step - len(part)
            if missing:  # the last one, where the file wants so many and no fewer
                part = np.concatenate([part, np.repeat(part[-1:], missing, axis=0)])
            found = decode_outputs(self.spec, self._outputs(source.name, part))
            for whole, values in zip((points, scores), found):
                whole.append(values[: step - missing])
        return np.concatenate(points), np.concatenate(scores)

    def _prepared(self, pixels: npt.NDArray[np.uint8], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
        spec = self.spec
        batch: npt.NDArray[Any] = pixels[..., ::-1] if spec.channel_order == "bgr" else pixels
        if dtype != np.uint8:
            mean = np.array(spec.mean, dtype=np.float32)
            batch = ((batch - mean) / np.array(spec.std, dtype=np.float32)).astype(dtype)
        if spec.layout == "nchw":
            batch = batch.transpose(0, 3, 1, 2)
        return np.ascontiguousarray(batch)

    def _outputs(self, name: str, batch: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
        try:
            outputs: list[npt.NDArray[Any]] = self.session.run(
                list(self.spec.outputs), {name: batch}
            )
        except Exception as error:
            raise PredictorError(
                f"onnxruntime could not run {self.path} on a batch {batch.shape} {batch.dtype}: "
                f"{str(error).strip():.300}"
            ) from error
        for number, (given, output) in enumerate(zip(self.spec.outputs, outputs)):
            wanted, fits = self._wanted(number, output.shape)
            if not fits or len(output) != len(batch):
                raise PredictorError(
                    f"expected the output {given!r} of {self.path} to hold {NUM_JOINTS} joints of "
                    f"{len(batch)} pictures, {wanted}, found the shape {output.shape}"
                )
        return outputs

    def _wanted(self, number: int, shape: tuple[int, ...]) -> tuple[str, bool]:
        """Shape of an output in words, and whether `shape` is one."""
        joints, *rest = shape[1:] or (0,)
        if self.spec.kind == "heatmaps":
            return f"(N, {NUM_JOINTS}, h, w)", joints == NUM_JOINTS and len(rest) == 2
        if self.spec.kind == "simcc":
            return f"(N, {NUM_JOINTS}, bins)", joints == NUM_JOINTS and len(rest) == 1
        if number == 1:
            return f"scores (N, {NUM_JOINTS})", joints == NUM_JOINTS and not rest
        points = joints == NUM_JOINTS and len(rest) == 1 and rest[0] >= 2
        flat = joints in (2 * NUM_JOINTS, 3 * NUM_JOINTS) and not rest
        return f"points (N, {NUM_JOINTS}, 2 or 3), also flat", points or flat


def open_onnx(path: Path, device: str = "auto") -> OnnxPredictor:
    """Open an ONNX file.

    Parameters
    ----------
    path
        Of the file; ``FILE.onnx.json`` beside it may say more.
    device
        ``auto``, ``cpu`` or ``cuda``.

    Raises
    ------
    PredictorError
        If it is missing, damaged, or not enough is known about it.
    MissingExtraError
        Without onnxruntime.
    """
    runtime = _runtime()
    if not path.exists():
        raise PredictorError(
            f"expected an ONNX file at {path}, found no such file; `handbench export onnx RUN -o "
            f"{path.name}` makes one of a run"
        )
    options = runtime.SessionOptions()
    options.log_severity_level = 3  # warnings about graphs of others help nobody here
    try:
        session = runtime.InferenceSession(
            str(path), options, providers=_providers(device, runtime)
        )
    except Exception as error:
        raise PredictorError(
            f"{path} cannot be opened by onnxruntime {runtime.__version__}: it is damaged, cut "
            f"off, or of a newer kind ({str(error).strip():.200})"
        ) from error
    if device == "cuda" and _PROVIDERS["cuda"] not in session.get_providers():
        # onnxruntime goes on with the CPU by itself, and times would be taken for the GPU's.
        raise PredictorError(
            f"--device cuda was asked for, but onnxruntime {runtime.__version__} cannot start "
            "CUDA here: use auto or cpu, or install the CUDA libraries that it asks for"
        )
    metadata = session.get_modelmeta().custom_metadata_map
    spec = read_spec(
        path, metadata, _tensors(session.get_inputs()), _tensors(session.get_outputs())
    )
    kind = session.get_inputs()[0].type
    if kind not in _TYPES:
        raise PredictorError(
            f"expected {path} to take floats or bytes, found {kind}: export it with float32"
        )
    return OnnxPredictor(path, spec, session)


def _tensors(nodes: Sequence[Any]) -> list[Tensor]:
    return [
        Tensor(
            node.name,
            tuple(side if isinstance(side, int) and side > 0 else None for side in node.shape),
            node.type,
        )
        for node in nodes
    ]


def _providers(device: str, runtime: ModuleType) -> list[str]:
    present = runtime.get_available_providers()
    if device == "auto":
        return [p for p in (_PROVIDERS["cuda"], _PROVIDERS["cpu"]) if p in present]
    wanted = _PROVIDERS.get(device, "")
    if wanted not in present:
        raise PredictorError(
            f"--device {device} was asked for, but onnxruntime has only {', '.join(present)} here: "
            "use auto, or install onnxruntime-gpu for cuda"
        )
    return [wanted]


def _runtime() -> ModuleType:
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingExtraError("onnxruntime", "onnx", "running an ONNX file") from error
    runtime: ModuleType = onnxruntime
    return runtime
