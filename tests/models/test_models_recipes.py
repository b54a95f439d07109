from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from handbench.models.recipes import RECIPES, resolve
from handbench.models.settings import TrainSettings


def settings(recipe: str, **given: Any) -> TrainSettings:
    chosen = {"data": (Path("a.h5"),), "out": Path("run"), **given}
    return TrainSettings(**resolve(recipe, chosen))


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_recipe_can_be_trained(recipe: str) -> None:
    chosen = settings(recipe)
    chosen.check()
    assert chosen.recipe == recipe


def test_the_defaults_are_the_recipe_of_the_project() -> None:
    assert settings("handbench") == TrainSettings(data=(Path("a.h5"),), out=Path("run"))


NO_MATTER_OF_A_RECIPE = {
    "data", "out", "recipe", "split_train", "split_val", "val_fraction", "val_blocks", "init",
    "grid", "save_minutes", "sheet", "track", "device", "compile", "sync_batchnorm", "seed",
    "workers", "cache",
}  # fmt: skip


OURS = ("handbench", "few-photos")


@pytest.mark.parametrize("recipe", [name for name in RECIPES if name not in OURS])
def test_a_recipe_of_others_does_not_change_with_our_defaults(recipe: str) -> None:
    fields = {field.name for field in dataclasses.fields(TrainSettings)}
    assert set(RECIPES[recipe]) == fields - NO_MATTER_OF_A_RECIPE


def test_what_is_given_wins_and_the_rest_stays() -> None:
    chosen = settings("simple-baselines", epochs=3, pretrained="none", depth=18)
    assert (chosen.epochs, chosen.pretrained, chosen.depth) == (3, "none", 18)
    assert dataclasses.replace(chosen, epochs=140, pretrained="imagenet", depth=50) == settings(
        "simple-baselines"
    )


def test_simple_baselines_is_as_published() -> None:
    chosen = settings("simple-baselines")
    # Four devices of 32 images; Adam 1e-3, a tenth after epochs 90 and 120 of 140.
    assert (chosen.batch_size, chosen.accumulate) == (4 * 32, 4)
    assert (chosen.optimiser, chosen.lr, chosen.weight_decay) == ("adam", 1e-3, 0.0)
    assert (chosen.epochs, chosen.schedule, chosen.warmup) == (140, "step", 0.0)
    assert [round(140 * share) for share in (chosen.first_drop, chosen.second_drop)] == [90, 120]
    assert (chosen.codec, chosen.sigma, chosen.channel_order) == ("rounded", 2.0, "bgr")
    # clip(1 + 0.3 n, 0.7, 1.3); clip(40 n, -80, 80) with probability 0.6; no shift, no colour.
    assert (chosen.spread, chosen.scale, chosen.rotation) == ("clipped", 0.3, 80.0)
    assert (chosen.rotation_share, chosen.flip, chosen.shift, chosen.colour) == (0.6, 0.5, 0, 0)
    assert (chosen.loss_factor, chosen.ema, chosen.flip_test) == (1.0, 0.0, True)


def test_mmpose_freihand2d_is_as_published() -> None:
    chosen = settings("mmpose-freihand2d")
    assert (chosen.size, chosen.box_factor, chosen.codec) == (224, 0.8, "rounded")
    assert (chosen.batch_size, chosen.accumulate) == (8 * 64, 8)
    assert (chosen.optimiser, chosen.lr, chosen.weight_decay) == ("adam", 5e-4, 0.0)
    assert (chosen.epochs, chosen.schedule, chosen.warmup_steps) == (100, "step", 500)
    assert [round(100 * share) for share in (chosen.first_drop, chosen.second_drop)] == [50, 70]
    assert (chosen.spread, chosen.scale, chosen.rotation) == ("truncated", 0.3, 180.0)
    assert (chosen.rotation_share, chosen.shift, chosen.shift_share) == (0.6, 0.25, 0.3)
    assert (chosen.loss_factor, chosen.select, chosen.channel_order) == (2.0, "auc", "rgb")
