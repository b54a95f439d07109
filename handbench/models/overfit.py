"""Overfit one batch: the quickest sign that labels, targets, loss and network fit together.

A network that cannot learn a few images by heart will not learn anything else either, and a fault
in the labels or the geometry shows here within minutes instead of after a night.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import torch

from handbench.errors import TrainError
from handbench.metrics import epe, keypoint_errors
from handbench.models.architecture import STRIDE
from handbench.models.batches import generator
from handbench.models.distributed import joined
from handbench.models.examples import Examples
from handbench.models.inference import autocast, choose_device
from handbench.models.preparation import Run, prepare
from handbench.models.settings import TrainSettings
from handbench.models.stepping import Part, Stepper

STEPS = 200
NEAR_PX = STRIDE / 2
"""Half a heatmap cell: what any codec can do."""


def overfit_one_batch(
    settings: TrainSettings,
    *,
    steps: int = STEPS,
    say: Callable[[str], object] | None = None,
) -> float:
    """Train on the first batch alone, without augmentation and decay; nothing is written.

    Parameters
    ----------
    settings
        Of the run that is to be made.
    steps
        How many to take.
    say
        Called with lines of text for people.

    Returns
    -------
    Mean distance between the network's answer and the labels in pixels of its input; below
    :data:`NEAR_PX`.

    Raises
    ------
    TrainError
        If the distance stays larger, or the run could not start.
    """
    say = say or (lambda _: None)
    settings = dataclasses.replace(
        settings, accumulate=1, ema=0.0, weight_decay=0.0, workers=0, epochs=1, warmup=0.1
    )
    settings = dataclasses.replace(settings, schedule="cosine", warmup_steps=None)
    settings.check()
    device = choose_device(settings.device)
    with joined(device) as processes:
        if processes.count > 1:
            raise TrainError(
                f"one batch is learned by one process, found {processes.count}: start without "
                "torchrun"
            )
        run = prepare(settings, processes, device)
    run.steps = steps
    run.examples = Examples(run.training, run.model, settings, device, augment=False)
    part = next(iter(run.batches))
    stepper = Stepper(run)
    run.model.network.train()
    losses: list[float] = []
    for step in range(steps):
        run.position.step = step
        losses.append(float(stepper.step([part])[0]))
        if step % max(1, steps // 10) == 0 or step + 1 == steps:
            say(f"step {step + 1}/{steps}: loss {losses[-1]:.3e}")
    distance = _distance(run, part)
    found = (
        f"one batch of {settings.batch_size} images, {steps} steps: loss {losses[0]:.3e} → "
        f"{losses[-1]:.3e}, mean distance to the labels {distance:.2f} input px"
    )
    if not distance < NEAR_PX:
        raise TrainError(
            f"{found}; expected less than {NEAR_PX:g} px: look at the labels with `handbench show` "
            "and try another --lr"
        )
    say(found)
    return distance


@torch.no_grad()
def _distance(run: Run, part: Part) -> float:
    """Mean error on the batch, normalised by the batch itself as in training."""
    example = run.examples.make(*part, generator(run.settings.seed, 0, "overfit"))
    with autocast(run.device, run.precision):
        maps = run.network(example.pixels, normalised=True)
    points, _ = run.model.codec.decode(maps)
    errors = keypoint_errors(
        points.cpu().double().numpy(),
        example.points.cpu().double().numpy(),
        (example.weights > 0).cpu().numpy(),
    )
    return epe(errors)
