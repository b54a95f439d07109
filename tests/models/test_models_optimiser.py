from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from torch import nn

from handbench.models.optimiser import learning_rate, make_optimiser
from handbench.models.settings import TrainSettings

SETTINGS = TrainSettings(data=(Path("a.h5"),), out=Path("run"), epochs=140, lr=1.0)


@pytest.mark.parametrize("schedule", ["cosine", "step"])
def test_learning_rate_rises_then_falls(schedule: str) -> None:
    chosen = dataclasses.replace(SETTINGS, warmup=0.1, schedule=schedule)
    rates = [learning_rate(chosen, step, 140) for step in range(140)]
    assert rates[:14] == pytest.approx([(i + 1) / 15 for i in range(14)])
    assert rates[14] == 1.0
    assert rates[14:] == sorted(rates[14:], reverse=True)
    if schedule == "step":
        assert [rates[89], rates[90], rates[119], rates[120]] == pytest.approx([1, 0.1, 0.1, 0.01])
    else:
        assert rates[-1] < 1e-3
        assert rates[14 + 63] == pytest.approx(0.5)


def test_the_rate_falls_between_epochs_and_rises_for_a_number_of_steps() -> None:
    mmpose = dataclasses.replace(
        SETTINGS, epochs=100, schedule="step", first_drop=0.5, second_drop=0.7, warmup_steps=500
    )
    rates = [learning_rate(mmpose, step, 100 * 30) for step in range(3000)]
    assert rates[499] == pytest.approx(500 / 501)
    assert rates[500] == 1.0
    falls = [step for step in range(501, 3000) if rates[step] != rates[step - 1]]
    assert falls == [1500, 2100]
    assert rates[-1] == pytest.approx(0.01)


def test_adamw_spares_scales_and_biases_and_adam_penalises_all() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
    settings = dataclasses.replace(SETTINGS, weight_decay=0.1)
    modern = make_optimiser(network, settings, torch.device("cpu"))
    assert [(len(g["params"]), g["weight_decay"]) for g in modern.param_groups] == [
        (1, 0.1), (3, 0.0),
    ]  # fmt: skip
    old = make_optimiser(
        network,
        dataclasses.replace(settings, optimiser="adam", adam_epsilon=1e-8),
        torch.device("cpu"),
    )
    assert type(old) is torch.optim.Adam
    assert [(len(g["params"]), g["weight_decay"], g["eps"]) for g in old.param_groups] == [
        (4, 0.1, 1e-8)
    ]
