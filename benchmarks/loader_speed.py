"""How fast images become training examples on one core, against decoding them and nothing else.

The whole way is measured as training goes it: JPEGs from an HDF5 file, decoded; rotation, scale,
shift and flip in one warp; brightness, contrast and saturation; normalisation; and the targets.
Decoding alone takes the same bytes out of memory with the same decoder; Pillow's is there for
comparison. All are measured in turn, batch by batch, in one process with one thread. Best and
median are printed, by the clock and by the processor's time: on a machine that does other work
meanwhile, the clock counts that work too.

    taskset -c 0 python benchmarks/loader_speed.py [--data FILE.h5] [--split train] [--count 1024]

Without `--data` the images are drawn: noisy 224×224 JPEGs of about 22 kB, as FreiHAND's are.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from photos import SIZE, write_photos

from handbench.hdf5.reader import HandFile
from handbench.images import decode as decode_with_pillow
from handbench.models.batches import generator, in_order
from handbench.models.checkpoint import untrained_model
from handbench.models.examples import Examples
from handbench.models.rows import HandRows
from handbench.models.settings import TrainSettings
from handbench.models.stored_images import decode_image

WANTED = 1290
"""Samples a second: three times what MMPose 1.3.2's training pipeline does (430)."""


class Times:
    """Seconds by the clock and of the processor, of each turn."""

    def __init__(self) -> None:
        self.clock: list[float] = []
        self.processor: list[float] = []

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        """Time a block."""
        start, busy = time.perf_counter(), time.process_time()
        yield
        self.clock.append(time.perf_counter() - start)
        self.processor.append(time.process_time() - busy)


def measure(path: Path, split: str, count: int, batch: int, repeats: int) -> dict[str, Times]:
    """Time each way over all batches, a turn a batch."""
    rows = HandRows([(path, split, np.arange(count))])
    model = untrained_model(18, SIZE)
    settings = TrainSettings(data=(path,), out=Path())
    examples = Examples(rows, model, settings, torch.device("cpu"))
    with HandFile(path) as file:
        data = [bytearray(file[split].image_bytes(row)) for row in range(count)]
    decoded = np.empty((batch, SIZE, SIZE, 3), dtype=np.uint8)
    order = torch.randperm(count, generator=generator(0, 0, "order")).tolist()
    batches = [[order[position] for position in part] for part in in_order(count, batch)]

    def decode(chosen: list[int]) -> None:
        for position, image in zip(chosen, decoded):
            decode_image(data[position], image, "")

    def change(part: tuple[torch.Tensor, torch.Tensor], number: int) -> None:
        examples.make(*part, generator(0, number, "augmentation"))

    def decode_by_pillow(chosen: list[int]) -> None:
        for position, image in zip(chosen, decoded):
            image[...] = decode_with_pillow(bytes(data[position]), "")

    for chosen in batches:  # the first time, HDF5 checks sums
        change(rows[chosen], 0)
    ways = ("decode", "decode by Pillow", "whole way", "read and decode", "the rest")
    times = {name: Times() for name in ways}
    for number, chosen in enumerate(batches * repeats):
        with times["decode"].turn():
            decode(chosen)
        with times["decode by Pillow"].turn():
            decode_by_pillow(chosen)
        with times["whole way"].turn():
            change(rows[chosen], number)
        with times["read and decode"].turn():
            part = rows[chosen]
        with times["the rest"].turn():
            change(part, number)
    return times


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="HDF5 file with 224×224 JPEGs")
    parser.add_argument("--split", default="train")
    parser.add_argument("--count", type=int, default=1024, help="images")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        path = arguments.data or Path(folder) / "drawn.h5"
        if arguments.data is None:
            write_photos(path, arguments.count)
        with HandFile(path) as file:
            reader = file[arguments.split]
            count = min(arguments.count, len(reader)) // arguments.batch * arguments.batch
            offsets = reader.column("image_offset")
        kilobytes = (offsets[count] - offsets[0]) / count / 1000
        times = measure(path, arguments.split, count, arguments.batch, arguments.repeats)
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    print(
        f"{count:,} JPEGs of {SIZE}×{SIZE} px, {kilobytes:.0f} kB each, batches of "
        f"{arguments.batch}, {arguments.repeats} rounds, one thread, load {load:.1f}"
    )
    for pick in (min, statistics.median):
        word = "best" if pick is min else "median"
        for kind in ("clock", "processor"):
            rates = {
                name: arguments.batch / pick(getattr(found, kind)) for name, found in times.items()
            }
            parts = ", ".join(f"{name} {rate:,.0f}/s" for name, rate in rates.items())
            print(
                f"{word:>6} by the {kind + ':':<11} {parts}; whole way / decode "
                f"{rates['whole way'] / rates['decode']:.3f}"
            )
    print(f"wanted: {WANTED:,}/s the whole way")


if __name__ == "__main__":
    main()
