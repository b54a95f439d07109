from __future__ import annotations

import doctest
from typing import Any

import numpy as np
import pytest

from handbench.predictions import assume, record
from handbench.predictions.record import brief, missing_rows, reason


@pytest.mark.parametrize("module", [assume, record])
def test_examples(module: Any) -> None:
    assert doctest.testmod(module).failed == 0


def test_brief_is_brief() -> None:
    deep: list[Any] = []
    for _ in range(5000):
        deep = [deep, deep]
    for value in (deep, "x" * 10**6, list(range(10**6)), {str(n): deep for n in range(99)}, 10**99):
        assert len(brief(value)) <= 60


def test_reason_is_one_line() -> None:
    assert reason(ValueError("a\n  b")) == "a b"
    assert reason(MemoryError()) == "MemoryError"
    assert len(reason(ValueError("x" * 1000))) == 100


def test_missing_rows() -> None:
    values = np.zeros((3, 2, 2))
    values[1], values[2, 0] = np.nan, np.nan
    assert missing_rows(values).tolist() == [False, True, False]
    assert missing_rows(np.array([1.0, np.nan])).tolist() == [False, True]
    assert missing_rows(values[:0]).shape == (0,)
