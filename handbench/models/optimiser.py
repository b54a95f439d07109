"""The optimiser of a run and its learning rate."""

from __future__ import annotations

import math

import torch
from torch import nn

from handbench.models.settings import TrainSettings


def make_optimiser(
    network: nn.Module, settings: TrainSettings, device: torch.device
) -> torch.optim.Optimizer:
    """Make the optimiser of a run.

    AdamW's decay spares biases and batch norms (all tensors of one dimension): pulling a scale
    towards zero regularises nothing that the next layer could not undo. Adam's decay is an L2
    penalty on everything, as in the reference repositories.
    """
    fused = device.type in ("cpu", "cuda")
    if settings.optimiser == "adam":
        return torch.optim.Adam(
            network.parameters(),
            lr=settings.lr,
            eps=settings.adam_epsilon,
            weight_decay=settings.weight_decay,
            fused=fused,
        )
    parameters = list(network.parameters())
    groups = [
        {
            "params": [parameter for parameter in parameters if parameter.ndim > 1],
            "weight_decay": settings.weight_decay,
        },
        {
            "params": [parameter for parameter in parameters if parameter.ndim <= 1],
            "weight_decay": 0.0,
        },
    ]
    return torch.optim.AdamW(groups, lr=settings.lr, eps=settings.adam_epsilon, fused=fused)


def learning_rate(settings: TrainSettings, step: int, steps: int) -> float:
    """Learning rate of step 0 … steps - 1: a linear rise, then half a cosine or two steps down.

    The schedule ``step`` multiplies by 0.1 after the epochs nearest to the shares `first_drop` and
    `second_drop` of the run (Simple Baselines: epochs 90 and 120 of 140).
    """
    rise = settings.warmup * steps if settings.warmup_steps is None else settings.warmup_steps
    if step < rise:
        return settings.lr * (step + 1) / (math.ceil(rise) + 1)
    if settings.schedule == "step":
        an_epoch = steps / settings.epochs
        drops = [
            round(share * settings.epochs) * an_epoch
            for share in (settings.first_drop, settings.second_drop)
        ]
        return settings.lr * 0.1 ** sum(step >= drop for drop in drops)
    return settings.lr * 0.5 * (1 + math.cos(math.pi * (step - rise) / max(steps - rise, 1)))
