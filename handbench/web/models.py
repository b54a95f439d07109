"""The models that a server has loaded."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from handbench.errors import HandbenchError
from handbench.home import BEST, Home
from handbench.predictors.crops import DEFAULT_PADDING, predict_in_box
from handbench.predictors.interface import Hand, Predictor


@dataclass(frozen=True)
class LoadedModel:
    """A model that answers.

    Attributes
    ----------
    id
        Its name in addresses and forms: letters, digits, ``.``, ``-`` and ``_``.
    predictor
        What finds the hand.
    description
        What it says of itself.
    """

    id: str
    predictor: Predictor
    description: Mapping[str, Any]
    # Networks on one processor gain nothing from running side by side, and not all of them may.
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def __call__(
        self, pixels: npt.NDArray[np.uint8], box: tuple[float, float, float, float] | None
    ) -> Hand | None:
        """Find the hand in a picture.

        Parameters
        ----------
        pixels
            (H, W, 3) uint8 RGB.
        box
            Left, top, right, bottom px of a box around the hand; None is the whole picture.
        """
        with self._lock:
            (hand,) = predict_in_box(self.predictor, [pixels], [box], padding=DEFAULT_PADDING)
        return hand

    @property
    def note(self) -> str:
        """One line on what it is."""
        return str(self.description.get("note") or "")

    @property
    def trained_on(self) -> str:
        """One line on what it has seen."""
        data = self.description.get("training_data")
        if data is None:
            return "unknown"
        return ", ".join(map(str, data)) or "nothing"

    def document(self) -> dict[str, Any]:
        """What the list of models says of it."""
        return {
            "id": self.id,
            "name": self.predictor.name,
            "note": self.note,
            "params": self.description.get("params"),
            "training_data": self.description.get("training_data"),
            "input_size": self.predictor.input_size,
            "finds_hands_itself": self.predictor.whole_image,
        }


def load(predictors: Sequence[Predictor]) -> dict[str, LoadedModel]:
    """Give each predictor a name of its own, in the order of the sequence."""
    models: dict[str, LoadedModel] = {}
    for predictor in predictors:
        plain = re.sub(r"[^A-Za-z0-9._-]+", "-", predictor.name).strip("-.") or "model"
        name, number = plain, 2
        while name in models:
            name, number = f"{plain}-{number}", number + 1
        models[name] = LoadedModel(name, predictor, predictor.describe())
    return models


def warm_up(models: Mapping[str, LoadedModel]) -> None:
    """Run each model once, so that the first visitor does not wait, and a broken one shows now.

    Raises
    ------
    HandbenchError
        If a model fails on a grey picture.
    """
    for model in models.values():
        try:
            model(np.full((256, 256, 3), 128, np.uint8), None)
        except HandbenchError:
            raise
        except Exception as error:
            raise HandbenchError(
                f"the model {model.predictor.name} was loaded, but fails on a plain grey picture: "
                f"{type(error).__name__}: {error}"
            ) from error


def newest_run(home: Home) -> Path | None:
    """The run in the home folder whose weights were written last; None if there is none."""
    return max(home.trained(), key=lambda run: (run / BEST).stat().st_mtime, default=None)
