"""The pool: what runs, what waits, what is sent away."""

from __future__ import annotations

import gc
import threading
import time
import weakref

import numpy as np
import pytest

from handbench.web import pool as pool_module
from handbench.web.limits import Limits
from handbench.web.pool import Pool
from handbench.web.problems import Problem


def started(pool: Pool, work: object, results: list[object]) -> threading.Thread:
    def run() -> None:
        try:
            results.append(pool.run(work))  # type: ignore[arg-type]
        except Problem as problem:
            results.append(problem)

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def until(true: object) -> None:
    for _ in range(1000):
        if true():  # type: ignore[operator]
            return
        time.sleep(0.005)
    raise AssertionError("it never happened")


def test_work_is_done_elsewhere_and_comes_back() -> None:
    pool = Pool(Limits())
    assert pool.run(threading.get_ident) != threading.get_ident()
    with pytest.raises(ZeroDivisionError):
        pool.run(lambda: 1 / 0)
    assert pool.run(lambda: 3) == 3, "a worker survives what goes wrong"
    pool.close()


def test_who_comes_when_the_queue_is_full_is_told_when_to_come_back() -> None:
    pool, go, results = Pool(Limits(workers=1, queue=2)), threading.Event(), []
    threads = [started(pool, go.wait, results)]
    until(lambda: pool.busy == 1)
    threads += [started(pool, go.wait, results) for _ in range(2)]
    until(lambda: pool.waiting == 2)
    with pytest.raises(Problem, match="try again in a moment") as caught:
        pool.run(lambda: 0)
    assert (caught.value.status, caught.value.code) == (429, "busy")
    assert int(caught.value.headers["Retry-After"]) >= 1
    go.set()
    for thread in threads:
        thread.join(10)
    assert results == [True, True, True]
    until(lambda: pool.busy == pool.waiting == 0)
    pool.close()


def test_what_takes_too_long_is_given_up_and_what_waits_behind_it_is_not_begun() -> None:
    pool, go, done, results = Pool(Limits(workers=1, timeout_s=1.0)), threading.Event(), [], []
    slow = started(pool, go.wait, results)
    until(lambda: pool.busy == 1)
    with pytest.raises(Problem, match="longer than 1 seconds") as caught:
        pool.run(lambda: done.append("late"))
    assert (caught.value.status, caught.value.code) == (503, "too_slow")
    slow.join(10)
    assert [problem.code for problem in results] == ["too_slow"]
    go.set()
    until(lambda: pool.busy == pool.waiting == 0)
    assert pool.run(lambda: "next") == "next"
    assert done == []
    pool.close()


def test_a_closed_pool_sends_everybody_away() -> None:
    pool = Pool(Limits())
    pool.close()
    with pytest.raises(Problem, match="stopping") as caught:
        pool.run(lambda: 0)
    assert caught.value.status == 503


def test_what_waits_when_the_pool_closes_is_told_so() -> None:
    pool, go, results = Pool(Limits(workers=1)), threading.Event(), []
    begun = started(pool, go.wait, results)
    until(lambda: pool.busy == 1)
    waiting = started(pool, lambda: "begun", results)
    until(lambda: pool.waiting == 1)
    closing = threading.Thread(target=pool.close)
    closing.start()
    waiting.join(10)
    assert [problem.code for problem in results] == ["stopping"]
    go.set()
    for thread in (begun, closing):
        thread.join(10)
    assert results[1] is True, "what has begun is answered"


def test_a_worker_that_hangs_keeps_nobody_from_stopping(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "_LAST_S", 0.05)
    pool, go, results = Pool(Limits(workers=2, queue=1, timeout_s=600)), threading.Event(), []
    threads = []
    for busy in (1, 2):
        threads.append(started(pool, go.wait, results))
        until(lambda busy=busy: pool.busy == busy)
    closing = threading.Thread(target=pool.close)
    closing.start()
    closing.join(20)
    assert not closing.is_alive()
    go.set()
    for thread in threads:
        thread.join(10)


@pytest.mark.parametrize("fails", [False, True])
def test_no_picture_outlives_its_answer(fails: bool) -> None:
    pool = Pool(Limits(workers=1))
    picture = np.zeros((4, 4), np.uint8)
    kept = weakref.ref(picture)

    def work(picture: np.ndarray = picture) -> np.ndarray:
        if fails:
            raise ValueError("no hand")
        return picture

    del picture
    gc.disable()  # it must go by itself, not when the collector comes around
    try:
        if fails:
            with pytest.raises(ValueError, match="no hand") as caught:
                pool.run(work)
            del caught
        else:
            assert pool.run(work).shape == (4, 4)
        del work
        until(lambda: kept() is None)
    finally:
        gc.enable()
    pool.close()
