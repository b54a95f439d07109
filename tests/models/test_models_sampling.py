from __future__ import annotations

import pytest

from handbench.errors import TrainError
from handbench.models.batches import ShuffledBatches
from handbench.models.distributed import Processes
from handbench.models.sampling import BatchParts


def parts(rank: int, count: int, accumulate: int, *, start: int = 0) -> list[list[int]]:
    sampler = BatchParts(ShuffledBatches(50, 12, seed=3), 12, Processes(rank, count), accumulate)
    sampler.epoch, sampler.start = 2, start
    listed = list(sampler)
    assert len(sampler) == len(listed)
    return listed


def test_processes_share_the_parts_that_one_takes_in_turn() -> None:
    alone = parts(0, 1, 4)
    together = [parts(rank, 2, 2) for rank in (0, 1)]
    in_turn = [
        together[number % 2][step * 2 + number // 2] for step in range(4) for number in range(4)
    ]
    assert in_turn == alone
    batches = ShuffledBatches(50, 12, seed=3)
    batches.epoch = 2
    steps = [alone[first : first + 4] for first in range(0, 16, 4)]
    assert [[position for part in step for position in part] for step in steps] == list(batches)


def test_an_epoch_can_begin_at_any_step() -> None:
    assert parts(1, 2, 3, start=3) == parts(1, 2, 3)[9:]


@pytest.mark.parametrize(
    ("batch", "count", "accumulate", "message"),
    [
        (16, 3, 1, r"of 16 images .* 3 equal parts .*\(3 processes × --accumulate 1\).* 15"),
        (8, 1, 8, r"8 equal parts of two or more \(1 process × .*use --batch-size 16"),
    ],
)
def test_a_batch_that_cannot_be_cut_is_refused(
    batch: int, count: int, accumulate: int, message: str
) -> None:
    with pytest.raises(TrainError, match=message):
        BatchParts(ShuffledBatches(50, batch, 0), batch, Processes(0, count), accumulate)
