"""What every predictor is: a call from images to hands.

The rest of handbench sees models through this alone: ``predict``, ``live`` and ``serve`` take any
:class:`Predictor`, and :func:`handbench.predictors.opening.open_predictor` makes one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Hand:
    """One hand that was found in an image.

    Attributes
    ----------
    keypoints
        (21, 2) float64 x, y in px of the image that was given, pixel centres at integers,
        canonical joint order.
    scores
        (21,) float64, 0 … 1; NaN where the model gives none.
    score
        Of the hand, 0 … 1.
    is_right
        Side of the real hand; None where the model does not say.
    keypoints_3d
        (21, 3) mm, OpenCV axes, or None.
    """

    keypoints: npt.NDArray[np.float64]
    scores: npt.NDArray[np.float64]
    score: float
    is_right: bool | None = None
    keypoints_3d: npt.NDArray[np.float64] | None = None


@runtime_checkable
class Predictor(Protocol):
    """A model that is ready to run.

    Some say more about themselves: `padding` (of the boxes a model was made for), `box_factor`
    (what its network sees of a crop), `frame_3d` (of its 3D, as in predictions files), `flip_test`.
    """

    @property
    def name(self) -> str:
        """Of the predictions' model block."""
        ...

    @property
    def input_size(self) -> int | None:
        """Side in px of the square crop it wants to see; None: images of any size."""
        ...

    @property
    def whole_image(self) -> bool:
        """Whether it finds the hand by itself in a whole image, or wants a crop around the hand."""
        ...

    def describe(self) -> dict[str, Any]:
        """Model block of a predictions file: name, params, training_data, note, versions."""
        ...

    def __call__(self, images: Sequence[npt.NDArray[np.uint8]]) -> list[Hand | None]:
        """Find the hand in each image.

        Parameters
        ----------
        images
            (H, W, 3) RGB each.

        Returns
        -------
        One entry an image; None where no hand was found.
        """
        ...
