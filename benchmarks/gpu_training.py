"""Training on a CUDA device: images a second, against one batch that stays, and the card's peak.

ResNet-18 and -50 at 224 px in bf16, with the recipe `handbench`: images are read and decoded from
an HDF5 file by worker processes, changed on the device, and trained on. The same steps on one batch
that stays on the device say what reading and changing costs. Before each turn as many steps are
taken as batches can wait ready-made, so that none of these is counted. The share of the peak counts
the multiplications and additions of convolutions, forward and backward, as torch counts them.

    python benchmarks/gpu_training.py [--depth 18 50] [--size 224] [--batch 64] [--workers 8]
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from photos import write_photos
from torch.utils.flop_counter import FlopCounterMode
from training_step import WANTED, Same, endless

from handbench.models.batches import PREFETCH
from handbench.models.checkpoint import untrained_model
from handbench.models.distributed import Processes
from handbench.models.examples import Example
from handbench.models.preparation import Run, prepare
from handbench.models.settings import TrainSettings
from handbench.models.stepping import Stepper

PEAKS = {
    "H200": 989e12,
    "H100 PCIe": 756e12,
    "H100 NVL": 835e12,
    "H100": 989e12,
    "GH200": 989e12,
    "A100": 312e12,
    "A40": 149.7e12,
    "A10G": 70e12,
    "A10": 125e12,
    "L40S": 362e12,
    "L4": 121e12,
    "RTX 4090": 165.2e12,
    "RTX 3090": 71e12,
}
"""bf16 operations a second without sparsity, fp32 sums, by part of the card's name; the first that
fits counts. From NVIDIA's data sheets."""


def peak_of(name: str) -> float | None:
    """Peak of a card, None if it is not in the table."""
    words = name.replace("-", " ").split()
    for card, peak in PEAKS.items():
        if all(word in words for word in card.split()):
            return peak
    return None


def operations(depth: int, size: int) -> int:
    """Multiplications and additions of a training step, an image."""
    network = untrained_model(depth, size).network.train()
    counter = FlopCounterMode(display=False)
    with counter:
        network(torch.zeros(2, 3, size, size), normalised=True).sum().backward()
    return counter.get_total_flops() // 2


def timed(work: Callable[[], object], steps: int, before: int) -> float:
    """Seconds a step."""
    for _ in range(before):
        work()
    torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(steps):
        work()
    torch.cuda.synchronize()
    return (time.perf_counter() - start) / steps


def measure(run: Run, steps: int, turns: int) -> tuple[float, float, float]:
    """Seconds a step with the pipeline and without it, and their ratio; medians."""
    stepper, real, batches = Stepper(run), run.examples, endless(run)
    first = next(batches)
    example = real.make(*first, torch.Generator().manual_seed(0))
    kept = Example(*(value.clone() for value in vars(example).values()))
    run.model.network.train()
    ready = PREFETCH * max(1, run.workers)
    found: list[tuple[float, float]] = []
    with torch.backends.cudnn.flags(enabled=True, benchmark=True):
        for _ in range(turns):
            run.examples = real
            whole = timed(lambda: stepper.step([next(batches)]), steps, ready)
            run.examples = Same(kept)  # type: ignore[assignment]
            found.append((whole, timed(lambda: stepper.step([first]), steps, 5)))
    wholes, sames = zip(*found)
    ratio = statistics.median(same / whole for whole, same in found)
    return statistics.median(wholes), statistics.median(sames), ratio


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--depth", type=int, nargs="+", default=[18, 50])
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--workers", type=int, default=min(8, os.cpu_count() or 1))
    parser.add_argument("--steps", type=int, default=60, help="of a turn")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--compile", action="store_true")
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        print("not run: no CUDA device")
        return
    device, card = torch.device("cuda"), torch.cuda.get_device_name()
    peak = peak_of(card)
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "photos.h5"
        write_photos(data, 4096, arguments.size)
        print(
            f"{card}, torch {torch.__version__}, {os.cpu_count()} cores, {arguments.workers} "
            f"workers, batches of {arguments.batch}, {arguments.size} px, bf16"
        )
        for depth in arguments.depth:
            settings = TrainSettings(
                data=(data,),
                out=Path(folder) / "run",
                depth=depth,
                batch_size=arguments.batch,
                precision="bf16",
                device="cuda",
                workers=arguments.workers,
                compile=arguments.compile,
                cache="none",
            )
            run = prepare(settings, Processes(), device)
            whole, same, ratio = measure(run, arguments.steps, arguments.turns)
            rate = arguments.batch / whole
            done = operations(depth, arguments.size) * rate
            share = "peak unknown" if peak is None else f"{done / peak:.1%} of the card's peak"
            print(
                f"ResNet-{depth}: {rate:,.0f} images/s with the pipeline, "
                f"{arguments.batch / same:,.0f} on one batch, {ratio:.3f} (wanted {WANTED:.2f}); "
                f"{done / 1e12:.1f} Tflop/s, {share}",
                flush=True,
            )


if __name__ == "__main__":
    main()
