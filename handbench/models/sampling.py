"""Which images a process computes when: the batches of an epoch, cut into parts."""

from __future__ import annotations

from collections.abc import Iterator

from torch.utils.data import Sampler

from handbench.errors import TrainError
from handbench.models.batches import ShuffledBatches
from handbench.models.distributed import Processes


class BatchParts(Sampler[list[int]]):
    """The parts of every batch that one process computes, from a step of the epoch on.

    A batch is cut into `processes.count` × `accumulate` equal parts; process r takes the parts r,
    r + count, … So the images of a step, and the parts they are normalised in, are the same for
    two processes as for one that takes two parts one after another.

    Attributes
    ----------
    numbers
        Of the parts of this process within a batch.
    start
        First step that is not done yet.

    Raises
    ------
    TrainError
        If a batch cannot be cut so.
    """

    def __init__(
        self, batches: ShuffledBatches, batch_size: int, processes: Processes, accumulate: int
    ) -> None:
        parts = processes.count * accumulate
        if batch_size % parts or batch_size // parts < 2:
            raise TrainError(
                f"a batch of {batch_size} images cannot be cut into {parts} equal parts of two or "
                f"more ({processes.count} {'processes' if processes.count > 1 else 'process'} × "
                f"--accumulate {accumulate}): use --batch-size "
                f"{max(2, round(batch_size / parts)) * parts}"
            )
        self.numbers = range(processes.rank, parts, processes.count)
        self.start = 0
        self._batches, self._part_size = batches, batch_size // parts

    @property
    def epoch(self) -> int:
        """Which epoch's order is handed out, from 0."""
        return self._batches.epoch

    @epoch.setter
    def epoch(self, epoch: int) -> None:
        self._batches.epoch = epoch

    def __len__(self) -> int:
        return (len(self._batches) - self.start) * len(self.numbers)

    def __iter__(self) -> Iterator[list[int]]:
        for step, batch in enumerate(self._batches):
            if step >= self.start:
                for number in self.numbers:
                    yield batch[number * self._part_size : (number + 1) * self._part_size]
