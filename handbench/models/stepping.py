"""One step of training: the parts of a batch forward and backward, then the optimiser."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from contextlib import AbstractContextManager

import torch
from torch import nn

from handbench.errors import TrainError
from handbench.models.averaging import PartStatistics
from handbench.models.batches import generator
from handbench.models.inference import autocast
from handbench.models.optimiser import learning_rate
from handbench.models.preparation import Run

Part = tuple[torch.Tensor, torch.Tensor]
"""Images (N, 3, H, W) uint8 and their positions (N,) among the rows."""


class Stepper:
    """Takes the steps of a run.

    Parameters
    ----------
    run
        Its network, optimiser and average are changed.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._statistics = PartStatistics(run.model.network, run.settings.accumulate)

    def step(self, parts: Sequence[Part]) -> tuple[torch.Tensor, float]:
        """Take the step at the run's position.

        Parameters
        ----------
        parts
            Of this process, in order.

        Returns
        -------
        Mean loss of the parts, a scalar on the device, and the learning rate.
        """
        run, position = self._run, self._run.position
        done = position.epoch * run.steps + position.step
        rate = learning_rate(run.settings, done, run.settings.epochs * run.steps)
        for group in run.optimiser.param_groups:
            group["lr"] = rate
        run.optimiser.zero_grad(set_to_none=True)
        self._statistics.start()
        losses = []
        for number, part in zip(run.order.numbers, parts, strict=True):
            last = number == run.order.numbers[-1]
            losses.append(self._part(part, number, last=last))
            self._statistics.end_part()
        if run.settings.clip_norm:
            run.scaler.unscale_(run.optimiser)
            nn.utils.clip_grad_norm_(run.model.network.parameters(), run.settings.clip_norm)
        run.scaler.step(run.optimiser)
        run.scaler.update()
        if run.average is not None:
            run.average.update(run.model.network, done)
        return torch.stack(losses).mean(), rate

    def _part(self, part: Part, number: int, *, last: bool) -> torch.Tensor:
        """Add the gradient of one part; processes exchange theirs after the last one only."""
        run, position = self._run, self._run.position
        draw = generator(
            run.settings.seed, position.epoch, f"augmentation/{position.step}/{number}"
        )
        settings = run.settings
        early = position.epoch < round(settings.early_share * settings.epochs)
        example = run.examples.make(*part, draw, settings.early_size if early else None)
        with self._alone(last=last):
            with autocast(run.device, run.precision):
                maps = self._maps(example.pixels)
            loss = run.settings.loss_factor * run.model.codec.loss(
                maps, example.targets, example.weights, example.points
            )
            share = loss / len(run.order.numbers)
            run.scaler.scale(share).backward()  # type: ignore[no-untyped-call]
        return loss.detach()

    def _alone(self, *, last: bool) -> AbstractContextManager[None]:
        network = self._run.network
        if last or not isinstance(network, nn.parallel.DistributedDataParallel):
            return contextlib.nullcontext()
        waiting: AbstractContextManager[None] = network.no_sync()
        return waiting

    def _maps(self, pixels: torch.Tensor) -> torch.Tensor:
        if not self._run.settings.compile:
            maps: torch.Tensor = self._run.network(pixels, normalised=True)
            return maps
        try:
            maps = self._run.network(pixels, normalised=True)
        except Exception as error:
            if not type(error).__module__.startswith(("torch._dynamo", "torch._inductor")):
                raise
            raise TrainError(
                f"torch.compile failed here ({str(error).splitlines()[0]}): train without --compile"
            ) from error
        return maps
