"""Pictures a minute from one address."""

from __future__ import annotations

import pytest

from handbench.web.problems import Problem
from handbench.web.rate import RateLimit


def test_a_minutes_worth_at_once_then_evenly() -> None:
    now = [0.0]
    rate = RateLimit(6, lambda: now[0])
    for _ in range(6):
        rate.take("a")
    with pytest.raises(Problem, match="at most 6 pictures a minute") as caught:
        rate.take("a")
    assert caught.value.status == 429
    assert 10 <= int(caught.value.headers["Retry-After"]) <= 11
    rate.take("b")
    now[0] = 9.9
    with pytest.raises(Problem):
        rate.take("a")
    now[0] = 10.0
    rate.take("a")
    with pytest.raises(Problem):
        rate.take("a")
    now[0] = 1e6
    for _ in range(6):
        rate.take("a")
    with pytest.raises(Problem):
        rate.take("a")


def test_no_limit_lets_everybody_through() -> None:
    rate = RateLimit(None)
    for _ in range(1000):
        rate.take("a")


def test_many_addresses_cost_no_more_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("handbench.web.rate._MOST_ADDRESSES", 10)
    rate = RateLimit(1, lambda: 0.0)
    for number in range(100):
        rate.take(str(number))
    assert len(rate._buckets) == 10
    with pytest.raises(Problem):
        rate.take("99")
    rate.take("0")  # forgotten long ago
