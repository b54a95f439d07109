from __future__ import annotations

import pytest

from handbench.live import stages
from handbench.live.stages import StageTimes


def test_stages_that_ran_are_told_in_order() -> None:
    times = StageTimes()
    for seconds in (0.010, 0.010, 0.040):
        times.add("network", seconds)
        times.add("read", 0.001)
    assert times.of_last_frame_ms() == pytest.approx({"read": 1.0, "network": 40.0})
    assert times.recent_stage_fps() == pytest.approx({"read": 1000.0, "network": 50.0})
    (read, *_), (name, middle, high, fps) = times.table()
    assert (read, name) == ("read", "network")
    assert (middle, fps) == pytest.approx((10.0, 50.0))
    assert 10 < high < 40


def test_frames_a_second_need_two_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([1.0, 1.1, 1.2, 1.4])
    monkeypatch.setattr(stages.time, "perf_counter", lambda: next(clock))
    times = StageTimes()
    times.frame_done()
    assert times.recent_fps() is None
    for _ in range(3):
        times.frame_done()
    assert times.recent_fps() == pytest.approx(3 / 0.4)


def test_a_block_is_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([5.0, 5.25])
    monkeypatch.setattr(stages.time, "perf_counter", lambda: next(clock))
    times = StageTimes()
    with times.stage("draw"):
        pass
    assert times.of_last_frame_ms() == {"draw": 250.0}


def test_hours_of_frames_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    times = StageTimes()
    for i in range(stages._KEPT + 50):
        times.add("read", i / 1000)
    assert len(times._seconds["read"]) == stages._KEPT
