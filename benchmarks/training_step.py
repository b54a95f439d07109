"""A training step with the real input pipeline against the same step on one batch that stays.

Both take forward, backward, optimiser and moving average with the settings of the recipe
`handbench`. The real one also reads and decodes its images from an HDF5 file (nothing is kept in
memory), changes them and makes targets. The two are measured in turn; medians are printed, by the
clock and by the processor's time, which a machine that does other work blurs less. What the
pipeline costs by itself is printed as well.

    python benchmarks/training_step.py [--depth 18 50] [--size 128 224] [--precision bf16 fp32]
"""

from __future__ import annotations

import argparse
import itertools
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from photos import write_photos

from handbench.models.distributed import Processes
from handbench.models.examples import Example
from handbench.models.memory import freed_memory_kept
from handbench.models.preparation import Run, prepare
from handbench.models.settings import TrainSettings
from handbench.models.stepping import Part, Stepper

WANTED = 0.97
"""Speed with the pipeline as a share of that without."""


class Same:
    """Hands out one example again and again, in place of the run's own."""

    def __init__(self, example: Example) -> None:
        self._example = example

    def make(self, *_: object) -> Example:
        """Return the example."""
        return self._example


def seconds(work: Callable[[], object]) -> tuple[float, float]:
    """Time some work, by the clock and by the processor."""
    start, busy = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - start, time.process_time() - busy


def endless(run: Run) -> Iterator[Part]:
    """Parts of batches, epoch after epoch."""
    for epoch in itertools.count():
        run.order.epoch = epoch
        yield from run.batches


def measure(run: Run, steps: int) -> dict[str, list[tuple[float, float]]]:
    """Take steps of both kinds in turn, each kind first every other time; then the pipeline alone.

    The first turn does not count.
    """
    stepper, examples, batches = Stepper(run), run.examples, endless(run)
    draw = torch.Generator().manual_seed(0)
    first = next(batches)
    kept = Example(*(value.clone() for value in vars(examples.make(*first, draw)).values()))

    def real() -> None:
        run.examples = examples
        stepper.step([next(batches)])

    def same() -> None:
        run.examples = Same(kept)  # type: ignore[assignment]
        stepper.step([first])

    def pipeline() -> None:
        examples.make(*next(batches), draw)

    times: dict[str, list[tuple[float, float]]] = {"pipeline": [], "real": [], "same": []}
    run.model.network.train()
    for turn in range(steps + 1):
        for work in (real, same) if turn % 2 else (same, real):
            times[work.__name__].append(seconds(work))
    for _ in range(steps + 1):
        times["pipeline"].append(seconds(pipeline))
    return {name: found[1:] for name, found in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--depth", type=int, nargs="+", default=[18, 50])
    parser.add_argument("--size", type=int, nargs="+", default=[128, 224])
    parser.add_argument("--precision", nargs="+", default=["bf16", "fp32"])
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--steps", type=int, default=21)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    device = torch.device("cpu")
    with tempfile.TemporaryDirectory() as folder, freed_memory_kept(device):
        for size in arguments.size:
            data = Path(folder) / f"{size}.h5"
            write_photos(data, 20 * arguments.batch, size)
            for depth, precision in itertools.product(arguments.depth, arguments.precision):
                settings = TrainSettings(
                    data=(data,),
                    out=Path(folder) / "run",
                    depth=depth,
                    batch_size=arguments.batch,
                    precision=precision,
                    device="cpu",
                    cache="none",
                )
                run = prepare(settings, Processes(), device)
                report(arguments, size, depth, precision, measure(run, arguments.steps))
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    print(f"wanted: {WANTED:.2f} or more; {arguments.threads} threads, load {load:.1f}")


def report(
    arguments: argparse.Namespace,
    size: int,
    depth: int,
    precision: str,
    times: dict[str, list[tuple[float, float]]],
) -> None:
    alone, real, same = (
        statistics.median(clock for clock, _ in times[name])
        for name in ("pipeline", "real", "same")
    )
    by_clock, by_processor = (
        statistics.median(
            without[kind] / whole[kind] for without, whole in zip(times["same"], times["real"])
        )
        for kind in (0, 1)
    )
    print(
        f"ResNet-{depth}, {size} px, {precision}, batches of {arguments.batch}: "
        f"{arguments.batch / real:.1f} images/s with the pipeline, {arguments.batch / same:.1f} on "
        f"one batch; speed with / without, median of turns: {by_clock:.3f} by the clock, "
        f"{by_processor:.3f} by the processor; the pipeline alone takes "
        f"{1e3 * alone / arguments.batch:.2f} ms an image, {alone / same:.1%} of a step",
        flush=True,
    )


if __name__ == "__main__":
    main()
