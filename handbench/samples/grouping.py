"""The `val` cut: whole split units, chosen by a hash of their id, never by random image."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

VAL_SHARE = 0.05
_SALT = "handbench-val/1:"


def draw(unit_id: str) -> float:
    """Number in 0 … 1 that belongs to a split unit: first 8 hex digits of a hash, over 2³².

    The hash is sha256("handbench-val/1:" + id). The number depends on nothing but the id: it stays
    the same on every machine and in every subset.
    """
    digest = hashlib.sha256((_SALT + unit_id).encode()).hexdigest()
    return int(digest[:8], 16) / 2**32


def is_val(unit_id: str) -> bool:
    """Whether the split unit of this id belongs to `val`: its number lies below 0.05.

    >>> is_val("training/instant-00000004"), is_val("training/instant-00000000")
    (True, False)
    """
    return draw(unit_id) < VAL_SHARE


def val_rows(unit_ids: Iterable[str]) -> npt.NDArray[np.bool_]:
    """(N,) bool: the rows whose unit is in `val`."""
    known: dict[str, bool] = {}
    answers = []
    for unit in unit_ids:
        if unit not in known:
            known[unit] = is_val(unit)
        answers.append(known[unit])
    return np.array(answers, dtype=bool)
