"""The processes of one training run: alone, or several under ``torchrun``.

A launcher tells each process its place in four environment variables (``RANK``, ``WORLD_SIZE``,
``MASTER_ADDR``, ``MASTER_PORT``; ``LOCAL_RANK`` where a machine has several). Everything here also
works for a single process, which is how most runs are made.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import torch
from torch import distributed as dist

from handbench.errors import TrainError

T = TypeVar("T")


@dataclass(frozen=True)
class Processes:
    """A process among those that train together.

    Attributes
    ----------
    rank
        Number of this process, from 0; only process 0 writes files and talks.
    count
        How many there are.
    local_rank
        Number of this process on its machine: the GPU it uses.
    """

    rank: int = 0
    count: int = 1
    local_rank: int = 0

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes."""
        return self.rank == 0

    @property
    def on_machine(self) -> int:
        """How many there are on this machine, as far as the launcher tells."""
        return _number("LOCAL_WORLD_SIZE", self.count) if self.count > 1 else 1

    def from_first(self, value: T) -> T:
        """Return what process 0 passed, in every process."""
        if self.count == 1:
            return value
        box: list[Any] = [value]
        dist.broadcast_object_list(box, src=0)
        return cast("T", box[0])

    def gathered(self, value: T) -> list[T]:
        """Return what all processes passed, in the order of their numbers."""
        if self.count == 1:
            return [value]
        values: list[Any] = [None] * self.count
        dist.all_gather_object(values, value)
        return values

    def largest(self, values: Sequence[int]) -> list[int]:
        """Return the largest of what all processes passed, element by element."""
        if self.count == 1:
            return list(values)
        numbers = torch.tensor(values, dtype=torch.int64)
        dist.all_reduce(numbers, op=dist.ReduceOp.MAX)
        return numbers.tolist()

    def average_(self, tensors: Sequence[torch.Tensor]) -> None:
        """Replace tensors by their mean over the processes, in one exchange; floats only."""
        if self.count == 1 or not tensors:
            return
        flat = torch.cat([tensor.detach().float().flatten() for tensor in tensors])
        dist.all_reduce(flat)
        flat /= self.count
        sizes = [tensor.numel() for tensor in tensors]
        for tensor, mean in zip(tensors, torch.split(flat, sizes)):
            tensor.data.copy_(mean.view(tensor.shape))

    def share(self, total: int) -> list[int]:
        """Positions 0 … total - 1 that this process works on; every process has equally many.

        Where `total` does not divide, the first positions are given out once more:
        :meth:`whole` drops what came twice.
        """
        each = -(-total // self.count)
        return [position % total for position in range(self.rank, each * self.count, self.count)]

    def whole(self, values: torch.Tensor, positions: Sequence[int], total: int) -> torch.Tensor:
        """Put the shares of all processes together.

        Parameters
        ----------
        values
            (len(positions), …) on the CPU.
        positions
            Those of :meth:`share`.
        total
            Number of all positions.

        Returns
        -------
        (total, …); a position that several processes worked on counts once.
        """
        if self.count == 1:
            return values
        places = torch.tensor(positions)
        all_values = [torch.empty_like(values) for _ in range(self.count)]
        all_places = [torch.empty_like(places) for _ in range(self.count)]
        dist.all_gather(all_values, values.contiguous())
        dist.all_gather(all_places, places)
        result = values.new_empty((total, *values.shape[1:]))
        result[torch.cat(all_places)] = torch.cat(all_values)
        return result

    def wait(self) -> None:
        """Wait until all processes are here."""
        if self.count > 1:
            dist.barrier()


def is_first_process() -> bool:
    """Whether a launcher calls this process number 0, or there is none."""
    return _number("WORLD_SIZE", 1) == 1 or _number("RANK", 0) == 0


@contextlib.contextmanager
def joined(device: torch.device) -> Iterator[Processes]:
    """Join the other processes of a launcher, if there is one, for the length of a block.

    Parameters
    ----------
    device
        Where the network computes: gradients travel by NCCL between GPUs, all else by Gloo.

    Raises
    ------
    TrainError
        If a launcher's environment is incomplete, the others cannot be reached, or processes
        outnumber GPUs.
    """
    if dist.is_available() and dist.is_initialized():
        yield _placed(dist.get_rank(), dist.get_world_size(), device)
        return
    count = _number("WORLD_SIZE", 1)
    if count == 1:
        yield Processes()
        return
    if device.type not in ("cpu", "cuda"):
        raise TrainError(
            f"several processes train on CPUs or CUDA devices, found {device.type}: start one "
            "process, or use --device cpu"
        )
    processes = _placed(_number("RANK"), count, device)
    try:
        dist.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo")
    except (RuntimeError, ValueError) as error:
        raise TrainError(
            f"process {processes.rank} of {count} cannot reach the others: {error}; start all of "
            "them with torchrun"
        ) from error
    try:
        yield processes
    finally:
        dist.destroy_process_group()


def _placed(rank: int, count: int, device: torch.device) -> Processes:
    local = _number("LOCAL_RANK", rank)
    if device.type == "cuda":
        if local >= torch.cuda.device_count():
            raise TrainError(
                f"expected a GPU for every process, found {torch.cuda.device_count()} on this "
                f"machine and a process number {local}: start torchrun with --nproc-per-node "
                f"{torch.cuda.device_count()}"
            )
        torch.cuda.set_device(local)
    return Processes(rank, count, local)


def _number(name: str, default: int | None = None) -> int:
    text = os.environ.get(name, "" if default is None else str(default))
    try:
        return int(text)
    except ValueError as error:
        raise TrainError(
            f"expected a number in the environment variable {name}, found {text!r}: start several "
            "processes with torchrun, which sets it, or unset WORLD_SIZE for one"
        ) from error
