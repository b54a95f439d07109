"""Means of networks: over the parts of a step, over processes, and over the steps of a run.

Batch norm keeps running statistics that only see what one process computes at a time. A step that
is computed in several parts, one after another or on several devices, moves them by the *mean* of
its parts' statistics, so that a run does not depend on where its parts were computed. A running
statistic r becomes (1 - m) r + m s; this is linear, so the mean over processes may be taken as late
as it is needed.
"""

from __future__ import annotations

import copy

import torch
from torch import nn

from handbench.models.baseline import Baseline
from handbench.models.distributed import Processes


class PartStatistics:
    """Running statistics of a network over the parts of one step in this process.

    Call :meth:`start` before a step, and :meth:`end_part` after each of its parts; after the last
    the network holds the mean.
    """

    def __init__(self, network: nn.Module, parts: int) -> None:
        self._parts = parts
        self._running = running_statistics(network)
        self._done = 0
        self._before: list[torch.Tensor] = []
        self._sum: list[torch.Tensor] = []

    @torch.no_grad()
    def start(self) -> None:
        """Remember where the step starts from."""
        if self._parts > 1 and self._running:
            self._before = [value.clone() for value in self._running]
            self._sum = [torch.zeros_like(value) for value in self._running]
            self._done = 0

    @torch.no_grad()
    def end_part(self) -> None:
        """Add what the part left behind, and go back to the start for the next one."""
        if self._parts == 1 or not self._running:
            return
        torch._foreach_add_(self._sum, self._running)
        self._done += 1
        last = self._done == self._parts
        for value, old, total in zip(self._running, self._before, self._sum):
            value.copy_(total / self._parts if last else old)


class MovingAverage:
    """Exponential moving average of a network's weights and running statistics.

    Attributes
    ----------
    network
        The averaged network, in evaluation mode.
    """

    def __init__(self, network: Baseline, decay: float) -> None:
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        self._decay = decay

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Move towards `network` after a step, counted from 0.

        The first steps count more, (1 + step) / (10 + step) instead of the decay: the average
        would otherwise remember the random start for 1 / (1 - decay) steps.
        """
        decay = min(self._decay, (1 + step) / (10 + step))
        mine = [*self.network.parameters(), *running_statistics(self.network)]
        theirs = [*network.parameters(), *running_statistics(network)]
        torch._foreach_lerp_(mine, theirs, 1 - decay)


def running_statistics(network: nn.Module) -> list[torch.Tensor]:
    """Running means and variances of all batch norms, as the tensors themselves."""
    return [
        buffer
        for module in network.modules()
        if isinstance(module, nn.modules.batchnorm._BatchNorm)
        for buffer in (module.running_mean, module.running_var)
        if buffer is not None
    ]


def average_over_processes(processes: Processes, *networks: nn.Module | None) -> None:
    """Give every process the mean of all processes' running statistics."""
    processes.average_(
        [
            value
            for network in networks
            if network is not None
            for value in running_statistics(network)
        ]
    )
