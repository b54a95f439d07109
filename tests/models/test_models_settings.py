from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from handbench.errors import TrainError
from handbench.files import write_json
from handbench.models.settings import EARLIER, TrainSettings, option

SETTINGS = TrainSettings(data=(Path("a.h5"), Path("b.h5")), out=Path("run"))


def test_the_defaults_are_accepted() -> None:
    SETTINGS.check()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"data": ()}, "at least one HDF5 file"),
        ({"epochs": 0}, "--epochs must be at least 1, found 0"),
        ({"batch_size": 1}, "--batch-size must be at least 2, found 1"),
        ({"accumulate": 0}, "--accumulate must be at least 1, found 0"),
        ({"save_minutes": -1.0}, "--save-minutes must be at least 0, found -1.0"),
        ({"ema": 1.0}, "--ema is at least 0 and below 1, found 1.0"),
        ({"patience": 0}, "--patience must be at least 1, found 0"),
        ({"lr": 0.0}, "--lr must be positive, found 0.0"),
        ({"lr": float("nan")}, "--lr must be positive, found nan"),
        ({"flip": 1.5}, "--flip is a share 0 to 1, found 1.5"),
        ({"val_fraction": 1.0}, "--val-fraction must leave something to train on, found 1"),
        ({"size": 100}, "multiple of 32 pixels, found 100"),
        ({"depth": 20}, "--depth is one of 18, 34, 50, 101, 152, found 20"),
        ({"codec": "dark"}, "--codec is one of unbiased, .*, integral, likely, found 'dark'"),
        ({"codec": "rounded", "grid": "center"}, "rounded has a grid of its own, found --grid cen"),
        ({"codec": "udp", "grid": "corner"}, "codec udp has a grid of its own"),
        ({"codec": None}, "--codec is one of .*, found None"),
        ({"box_factor": 0.0}, "--box-factor must be positive, found 0.0"),
        ({"rotation_share": 1.1}, "--rotation-share is a share 0 to 1, found 1.1"),
        ({"clip_norm": -1.0}, "--clip-norm must not be negative, found -1.0"),
        ({"warmup_steps": -1}, "--warmup-steps must not be negative, found -1"),
        ({"early_size": 50}, "multiple of 32 pixels, found 50"),
        ({"early_share": 2.0}, "--early-share is a share 0 to 1, found 2.0"),
        ({"stretch": -0.1}, "--stretch is a share 0 to 1, found -0.1"),
        ({"bend": 1.5}, "--bend is a share 0 to 1, found 1.5"),
        ({"mix": -0.1}, "--mix is a share 0 to 1, found -0.1"),
        ({"fingers": 90.0}, "--fingers is an angle from 0 to below 90, found 90.0"),
        ({"schedule": "linear"}, "--schedule is one of cosine, step, found 'linear'"),
    ],
)
def test_values_that_cannot_work_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(TrainError, match=message):
        dataclasses.replace(SETTINGS, **change).check()  # type: ignore[arg-type]


def test_settings_survive_their_file(tmp_path: Path) -> None:
    settings = dataclasses.replace(SETTINGS, init=Path("old/run"), size=128, workers=2)
    write_json(tmp_path / "settings.json", settings.to_dict())
    assert TrainSettings.read(tmp_path) == settings


FIRST_VERSION = {
    "data": ["a.h5"], "out": "run", "split_train": "train", "split_val": "val",
    "val_fraction": 0.05, "val_blocks": 20, "depth": 50, "pretrained": "none", "init": None,
    "size": None, "sigma": 2.0, "grid": "corner", "epochs": 60, "batch_size": 64, "lr": 0.001,
    "weight_decay": 0.0001, "schedule": "step", "warmup": 0.05, "flip": 0.5, "rotation": 60.0,
    "scale": 0.25, "shift": 0.08, "colour": 0.25, "device": "auto", "precision": "auto", "seed": 0,
    "workers": None,
}  # fmt: skip
"""``settings.json`` of the first version."""


def test_runs_of_the_first_version_are_what_they_were() -> None:
    settings = TrainSettings.from_dict(FIRST_VERSION)
    settings.check()
    assert (settings.codec, settings.grid, settings.channel_order) == ("unbiased", "corner", "rgb")
    assert (settings.optimiser, settings.ema, settings.flip_test) == ("adamw", 0.0, False)


def test_every_setting_that_was_added_says_what_there_was_before() -> None:
    fields = {field.name for field in dataclasses.fields(TrainSettings)}
    assert set(EARLIER) == fields - set(FIRST_VERSION)


def test_settings_of_another_version_are_refused() -> None:
    with pytest.raises(TrainError, match="of another version of handbench"):
        TrainSettings.from_dict({**SETTINGS.to_dict(), "momentum": 0.9})
    with pytest.raises(TrainError, match="of another version of handbench"):
        TrainSettings.from_dict({"epochs": 3})


def test_differences_name_options_that_may_not_change() -> None:
    other = dataclasses.replace(SETTINGS, lr=0.5, workers=4, device="cpu", out=Path("moved"))
    assert SETTINGS.differences(other) == ["--lr 0.5 instead of 0.001"]
    assert SETTINGS.differences(SETTINGS) == []


def test_every_setting_explains_itself() -> None:
    for field in dataclasses.fields(TrainSettings):
        assert field.metadata["help"], field.name


def test_option_names() -> None:
    assert option("batch_size") == "--batch-size"
