"""Any Python function as a predictor: a batch of pictures in, points out."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from handbench.errors import PredictorError
from handbench.hand import NUM_JOINTS
from handbench.predictors.crops import cut, move
from handbench.predictors.interface import Hand

DEFAULT_INPUT_SIZE = 224
"""Side of the pictures that a function gets unless it is told otherwise, px."""

_NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")


def is_function_name(model: str) -> bool:
    """Whether `model` looks like ``package.module:function``."""
    return _NAME.fullmatch(model) is not None


@dataclass(frozen=True)
class FunctionPredictor:
    """A function that takes (N, S, S, 3) uint8 RGB and returns (N, 21, 2) or (N, 21, 3) numbers.

    The numbers are x, y in px of the picture it was given (pixel centres at integers) and, if there
    are three, a score of 0 … 1. A hand of NaN throughout was not found.

    Attributes
    ----------
    name
        ``module:function``.
    function
        What is called.
    input_size
        S.
    """

    name: str
    function: Callable[[npt.NDArray[np.uint8]], Any]
    input_size: int = DEFAULT_INPUT_SIZE
    whole_image: bool = False

    def describe(self) -> dict[str, Any]:
        """Model block of a predictions file."""
        return {
            "name": self.name,
            "note": f"the Python function {self.name}, input {self.input_size} px",
            "versions": {"python": ".".join(map(str, sys.version_info[:3]))},
        }

    def __call__(self, images: Sequence[npt.NDArray[np.uint8]]) -> list[Hand | None]:
        """Call the function once; images of another size are fitted into its square.

        Raises
        ------
        PredictorError
            If it fails, or returns anything but what it should.
        """
        if not images:
            return []
        crops, matrices = zip(*(cut(image, None, 1.0, self.input_size) for image in images))
        answer = self._checked(self._call(np.stack(crops)), len(images))
        return [
            None if np.isnan(row).all() else move(_hand(row), np.linalg.inv(matrix))
            for row, matrix in zip(answer, matrices)
        ]

    def _call(self, batch: npt.NDArray[np.uint8]) -> Any:
        try:
            return self.function(batch)
        except Exception as error:
            raise PredictorError(
                f"{self.name} failed on a batch {batch.shape} of uint8 RGB: "
                f"{type(error).__name__}: {error}; `handbench --debug …` shows where"
            ) from error

    def _checked(self, answer: Any, count: int) -> npt.NDArray[np.float64]:
        """The answer as float64, after a look at everything that can be wrong with it."""
        wanted = f"expected {self.name} to return numbers ({count}, {NUM_JOINTS}, 2) or (…, 3)"
        try:
            points = np.asarray(answer)
        except Exception as error:  # a tensor on a GPU, a ragged list
            raise PredictorError(
                f"{wanted}, found a {type(answer).__name__} that NumPy cannot take ({error}): "
                "return a NumPy array"
            ) from error
        if points.dtype.kind not in "fiu":
            raise PredictorError(
                f"{wanted}, found {_kind(answer, points)}: return a NumPy array of floats"
            )
        if points.shape not in ((count, NUM_JOINTS, 2), (count, NUM_JOINTS, 3)):
            raise PredictorError(
                f"{wanted}, found the shape {points.shape} for a batch of {count} pictures: one "
                f"row a picture, {NUM_JOINTS} joints, x and y in px, and a score if there is one"
            )
        points = points.astype(np.float64)
        missing = np.isnan(points).all(axis=(1, 2))
        bad = ~np.isfinite(points[..., :2]).all(axis=(1, 2)) & ~missing
        if bad.any():
            raise PredictorError(
                f"expected {self.name} to return finite points, found "
                f"{int((~np.isfinite(points[bad, :, :2])).any(-1).sum())} joints of "
                f"{int(bad.sum())} of {count} hands that are NaN or infinite: a hand that was not "
                "found is NaN throughout"
            )
        return points


def open_function(model: str, input_size: int | None = None) -> FunctionPredictor:
    """Import ``module:function``; the current folder is searched first, as Python itself does.

    Raises
    ------
    PredictorError
        If there is no such module or function.
    """
    module_name, _, name = model.partition(":")
    if module_name.endswith(".py"):
        raise PredictorError(
            f"expected MODEL to name a module, found the file {module_name}: write "
            f"{module_name.removesuffix('.py')}:{name}"
        )
    here = str(Path.cwd())
    added = here not in sys.path
    if added:
        sys.path.insert(0, here)
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        missing = error.name or module_name
        if missing != module_name and not module_name.startswith(f"{missing}."):
            raise PredictorError(
                f"{module_name} cannot be imported: it needs the module {missing!r}, which is not "
                "installed here"
            ) from error
        raise PredictorError(
            f"expected the Python module {module_name!r} for MODEL {model!r}, found none: it must "
            f"be installed or lie in {here}"
        ) from error
    except Exception as error:
        raise PredictorError(
            f"{module_name} cannot be imported: {type(error).__name__}: {error}"
        ) from error
    finally:
        if added:
            sys.path.remove(here)
    function = getattr(module, name, None)
    if not callable(function):
        names = [n for n, v in vars(module).items() if callable(v) and not n.startswith("_")]
        found = "something that cannot be called" if hasattr(module, name) else "no such name"
        raise PredictorError(
            f"expected a function {name!r} in {module_name}, found {found}; it has "
            f"{', '.join(names[:5]) or 'no functions'}"
        )
    return FunctionPredictor(model, function, input_size or DEFAULT_INPUT_SIZE)


def _hand(row: npt.NDArray[np.float64]) -> Hand:
    if row.shape[1] == 2:
        return Hand(row, np.full(NUM_JOINTS, np.nan), 1.0)
    scores = np.clip(row[:, 2], 0.0, 1.0)
    known = scores[np.isfinite(scores)]
    return Hand(row[:, :2], scores, float(known.mean()) if len(known) else 1.0)


def _kind(answer: Any, points: npt.NDArray[Any]) -> str:
    if answer is None:
        return "None"
    return f"{type(answer).__name__} of dtype {points.dtype}"
