"""Boxes made worse on purpose: how a model does when its detector is not perfect."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class BoxJitter:
    """Random moves of boxes, the same for the same hand whatever else is predicted.

    Attributes
    ----------
    amount
        F: the centre moves by up to F of the box's longer side along x and along y, and both sides
        are multiplied by one factor between 1 / (1 + F) and 1 + F. Shifts and the factor's
        logarithm are uniform.
    seed
        Another one moves otherwise. A larger F moves each box further in the same direction.
    """

    amount: float
    seed: int = 0

    def apply(self, boxes: npt.ArrayLike, ids: Sequence[str]) -> Floats:
        """Move (N, 4) boxes x, y, w, h of the hands called `ids`."""
        box = np.asarray(boxes, dtype=np.float64)
        draws = np.array([self._draws(each) for each in ids]).reshape(-1, 3)
        longer = box[:, 2:].max(axis=1, keepdims=True)
        middle = box[:, :2] + box[:, 2:] / 2 + self.amount * longer * draws[:, :2]
        sides = box[:, 2:] * (1 + self.amount) ** draws[:, 2:]
        moved: Floats = np.concatenate([middle - sides / 2, sides], axis=1)
        return moved

    def describe(self) -> dict[str, Any]:
        """For a predictions file's ``input``."""
        return {"amount": self.amount, "seed": self.seed}

    def _draws(self, sample_id: str) -> Floats:
        """Three numbers in -1 … 1 that follow from seed and id alone."""
        digest = hashlib.sha256(f"handbench-jitter/1:{self.seed}:{sample_id}".encode()).digest()
        whole = np.frombuffer(digest[:24], dtype="<u8").astype(np.float64)
        draws: Floats = whole / 2.0**63 - 1.0
        return draws


def overlap(boxes: npt.ArrayLike, others: npt.ArrayLike) -> Floats:
    """(N,) intersection over union of (N, 4) boxes x, y, w, h.

    >>> overlap([[0, 0, 2, 2]], [[1, 0, 2, 2]]).round(3).tolist()
    [0.333]
    """
    one, two = (np.asarray(each, dtype=np.float64) for each in (boxes, others))
    low = np.maximum(one[:, :2], two[:, :2])
    high = np.minimum(one[:, :2] + one[:, 2:], two[:, :2] + two[:, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=1)
    union: Floats = one[:, 2:].prod(axis=1) + two[:, 2:].prod(axis=1) - shared
    return np.asarray(shared / union)
