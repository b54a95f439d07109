"""Programs of ``handbench export torch`` (.pt2) as predictors."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from handbench.camera import transform_points
from handbench.errors import PredictorError
from handbench.files import sha256_file
from handbench.predictors.crops import network_cut
from handbench.predictors.interface import Hand


@dataclass(frozen=True)
class ProgramPredictor:
    """A network and its decoding as one program.

    Attributes
    ----------
    path
        Of the file.
    facts
        What the export wrote into it (:func:`handbench.models.export.describe`).
    run
        (N, 3, S, S) float32 of 0 … 1 → keypoints (N, 21, 2) px and scores (N, 21).
    device
        Where it computes.
    """

    path: Path
    facts: dict[str, Any]
    run: Callable[[Any], Any]
    device: str
    whole_image: bool = False

    @property
    def name(self) -> str:
        """Name of the model that was exported."""
        return str(self.facts["name"])

    @property
    def box_factor(self) -> float:
        """Side of what the network sees, as a share of the crop's."""
        return float(self.facts["box_factor"])

    @property
    def input_size(self) -> int:
        """Side of the crop, px: the network looks at the middle `box_factor` of it."""
        return round(int(self.facts["size"]) / self.box_factor)

    def describe(self) -> dict[str, Any]:
        """Model block of a predictions file."""
        import torch

        facts = self.facts
        return {
            "name": self.name,
            "params": facts["params"],
            "training_data": facts["training_data"],
            "license": facts["license"],
            "note": f"{facts['note']}; program of torch.export, input {facts['size']} px",
            "sha256": sha256_file(self.path),
            "versions": {"handbench": facts["handbench"], "torch": torch.__version__},
        }

    def __call__(self, images: Sequence[npt.NDArray[np.uint8]]) -> list[Hand | None]:
        """Run the program; images of another size are fitted into its square."""
        import torch

        if not images:
            return []
        size = int(self.facts["size"])
        crops, matrices = zip(
            *(network_cut(image, size, self.input_size, self.box_factor) for image in images)
        )
        pixels = torch.from_numpy(np.stack(crops)).to(self.device).permute(0, 3, 1, 2) / 255
        with torch.inference_mode():
            points, scores = (each.cpu().double().numpy() for each in self.run(pixels))
        return [
            Hand(transform_points(np.linalg.inv(matrix), place), score, float(score.mean()))
            for place, score, matrix in zip(points, scores, matrices)
        ]


def open_program(path: Path, device: str = "auto") -> ProgramPredictor:
    """Open a .pt2 file of ``handbench export torch``.

    Parameters
    ----------
    path
        Of the file.
    device
        ``auto``, ``cpu`` or ``cuda``; a program cannot leave an Apple GPU for its double precision.

    Raises
    ------
    PredictorError
        If it is missing, damaged, was not written by handbench, or `device` is ``mps``.
    TrainError
        If there is no such device.
    """
    import torch

    from handbench.models.export import METADATA_KEY
    from handbench.models.inference import choose_device

    if device == "mps":
        raise PredictorError(
            f"--device mps was asked for, but {path} computes partly in double precision, which "
            "Apple GPUs do not have: use auto or cpu"
        )
    target = choose_device(device)
    if target.type == "mps":
        target = torch.device("cpu")
    if not path.exists():
        raise PredictorError(
            f"expected a program at {path}, found no such file; `handbench export torch RUN -o "
            f"{path.name}` makes one of a run"
        )
    extra = {f"{METADATA_KEY}.json": ""}
    try:
        program = torch.export.load(path, extra_files=extra)
        facts = json.loads(extra[f"{METADATA_KEY}.json"])
        if target.type != "cpu":
            from torch.export.passes import move_to_device_pass

            program = move_to_device_pass(program, str(target))
        module = program.module()
    except Exception as error:
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise PredictorError(
            f"{path} cannot be opened by torch {torch.__version__}: it is damaged, cut off, or no "
            f"program of `handbench export torch` ({reason:.200})"
        ) from error
    return ProgramPredictor(path, facts, module, str(target))
