from __future__ import annotations

import builtins
import dataclasses
import math
from pathlib import Path
from typing import Any

import pytest

from handbench.errors import MissingExtraError
from handbench.models.settings import TrainSettings
from handbench.models.watching import LOG_COLUMNS, Tracker, duration, epoch_line, time_left

ROW = dict(zip(LOG_COLUMNS, (2, 0.0123, 5.678, 0.81234, 1e-3, 61.0, 123.4)))


def test_a_line_an_epoch_says_how_long_the_rest_takes() -> None:
    line = (
        "epoch 2/9: loss 1.230e-02, validation EPE 5.68 px, AUC@0-30px 0.812, 61.0 s, 123 images/s"
    )
    assert epoch_line(ROW, 9, 0) == line
    assert epoch_line(ROW, 9, 600) == f"{line}, 10 min left"


def test_a_line_without_validation_leaves_it_out() -> None:
    row = {**ROW, "val_epe_px": math.nan, "val_auc_0_30px": math.nan}
    assert epoch_line(row, 9, 0) == "epoch 2/9: loss 1.230e-02, 61.0 s, 123 images/s"


def test_the_first_epoch_does_not_decide_what_is_left() -> None:
    assert time_left([100.0, 10.0, 10.0], 6) == 60.0
    assert time_left([], 6) == 0.0


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (89, "89 s"), (90, "2 min"), (5340, "89 min"), (5400, "1 h 30 min"),
     (86_400, "1 d 0 h")],
)  # fmt: skip
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def settings(out: Path, *, track: bool) -> TrainSettings:
    return TrainSettings(data=(Path("a.h5"),), out=out, track=track)


def test_tensorboard_gets_steps_and_epochs(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    tracker = Tracker(settings(tmp_path, track=True), 0)
    tracker.step(5, 0.25, 1e-3)
    tracker.epoch(10, ROW, None)
    tracker.close()
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [(e.step, e.value) for e in events.Scalars("train/loss")] == [(5, 0.25)]
    assert events.Scalars("epoch/val_epe_px")[0].value == pytest.approx(5.678)


def test_nothing_is_sent_unless_asked(tmp_path: Path) -> None:
    tracker = Tracker(settings(tmp_path, track=False), 0)
    tracker.step(5, 0.25, 1e-3)
    Tracker(settings(tmp_path, track=True), 0, active=False).close()
    assert not list(tmp_path.iterdir())


def test_the_extra_is_named_where_tensorboard_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = builtins.__import__

    def without(name: str, *arguments: Any, **options: Any) -> Any:
        if name.startswith("torch.utils.tensorboard"):
            raise ImportError(name)
        return there(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtraError, match=r"--track needs .*handbench\[track\]"):
        Tracker(dataclasses.replace(settings(tmp_path, track=True)), 0)
