"""Which models a server loads, and what it makes of their names."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from web_fakes import FakePredictor

from handbench.errors import HandbenchError
from handbench.home import Home
from handbench.web.models import load, newest_run, warm_up


def test_names_are_plain_and_of_their_own() -> None:
    predictors = [FakePredictor(name) for name in ("a b", "a b", "../x", "–", "résumé")]
    assert list(load(predictors)) == ["a-b", "a-b-2", "x", "model", "r-sum"]


def test_the_newest_run_is_the_one_written_last(tmp_path: Path) -> None:
    home = Home(tmp_path)
    assert newest_run(home) is None
    for name, written in (("old", 5), ("new", 9), ("older", 1)):
        run = home.runs / name
        run.mkdir(parents=True)
        (run / "best.pt").touch()
        os.utime(run / "best.pt", (0, written))
    (home.runs / "unfinished").mkdir()
    assert newest_run(home) == home.runs / "new"


def test_a_model_is_tried_before_anybody_comes() -> None:
    fake = FakePredictor()
    warm_up(load([fake]))
    assert fake.seen == [(64, 64, 3)]
    with pytest.raises(HandbenchError, match="fails on a plain grey picture: KeyError: 'x'"):
        warm_up(load([FakePredictor(error=KeyError("x"))]))
    with pytest.raises(HandbenchError, match=r"^its own sentence$"):
        warm_up(load([FakePredictor(error=HandbenchError("its own sentence"))]))
