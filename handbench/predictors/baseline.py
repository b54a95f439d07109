"""Our own baseline as a predictor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from handbench import __version__
from handbench.models.looks import ONCE, Looks
from handbench.predictors.crops import cut, move
from handbench.predictors.interface import Hand

if TYPE_CHECKING:
    from handbench.models.architecture import Decoding
    from handbench.models.checkpoint import TrainedModel


@dataclass(frozen=True)
class BaselinePredictor:
    """A trained model, ready to run.

    Attributes
    ----------
    model
        What was loaded.
    device, precision
        See :func:`handbench.models.inference.choose_device` and
        :func:`~handbench.models.inference.choose_precision`.
    looks
        What it looks at beside an image as it is.
    decoding
        Another way to find a heatmap's peak than the codec's own.
    """

    model: TrainedModel
    device: str = "auto"
    precision: str = "auto"
    looks: Looks = ONCE
    decoding: Decoding | None = None
    whole_image: bool = False

    def __post_init__(self) -> None:
        from handbench.models.inference import choose_device, choose_precision

        device = choose_device(self.device)
        choose_precision(self.precision, device)
        self.model.network.to(device).eval()

    @property
    def name(self) -> str:
        """Name of the model."""
        return self.model.name

    @property
    def input_size(self) -> int:
        """Side of the crop, px: the network looks at the middle `box_factor` of it."""
        return round(self.model.size / self.model.box_factor)

    @property
    def box_factor(self) -> float:
        """Side of what the network sees, as a share of the crop's."""
        return self.model.box_factor

    def describe(self) -> dict[str, Any]:
        """Model block of a predictions file."""
        from handbench.models.baseline import count_parameters

        model = self.model
        return {
            "name": model.name,
            "params": count_parameters(model.network),
            "training_data": list(model.training_data),
            "note": f"handbench baseline, ResNet-{model.network.depth}, input {model.size} px",
            "versions": {"handbench": __version__},
        }

    def __call__(self, images: Sequence[npt.NDArray[np.uint8]]) -> list[Hand | None]:
        """Find the keypoints; images of another size than `input_size` are fitted into it."""
        if not images:
            return []
        crops, matrices = zip(*(cut(image, None, 1.0, self.input_size) for image in images))
        points, peaks = self._locate(np.stack(crops))
        scores = np.clip(peaks, 0.0, 1.0)
        return [
            move(Hand(place, score, float(score.mean())), np.linalg.inv(matrix))
            for place, score, matrix in zip(points, scores, matrices)
        ]

    def _locate(
        self, crops: npt.NDArray[np.uint8]
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        import torch

        from handbench.models.inference import find_keypoints

        pixels = torch.from_numpy(crops).permute(0, 3, 1, 2)
        points, peaks = find_keypoints(
            self.model.network,
            pixels,
            size=self.model.size,
            codec=self.model.codec,
            box_factor=self.model.box_factor,
            device=self.device,
            precision=self.precision,
            looks=self.looks,
            decoding=self.decoding,
        )
        return points.numpy(), peaks.numpy()
