"""Reading stored heatmaps against computing them: batches of 64 shuffled samples, one core.

python benchmarks/stored_heatmaps.py
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from handbench.hdf5.convert import ConvertSettings, convert
from handbench.hdf5.reader import HandFile
from handbench.heatmaps import gaussian_targets
from handbench.sources import freihand, manifest
from handbench.synthetic.dataset import write_sample_dataset

POSES, BATCH, SIZE, REPEATS = 64, 64, 224, 7


def milliseconds(function: Callable[[], object]) -> float:
    function()
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return statistics.median(times) * 1e3


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_sample_dataset(folder / "hands", count=POSES, progress=False)
        source = freihand.open_source(folder / "hands", manifest.load("sample"))
        plain, stored = folder / "plain.h5", folder / "stored.h5"
        convert(source, plain)
        convert(source, stored, ConvertSettings(heatmaps=True))
        with HandFile(stored) as file:
            split = file["train"]
            keypoints, valid = split.column("keypoints_2d"), split.column("valid_2d")
            rows = np.random.default_rng(0).permutation(len(split))[:BATCH]
            maps = file.handle["train/heatmaps"]
            read = milliseconds(lambda: [maps[row] for row in rows])
            compute = milliseconds(
                lambda: gaussian_targets(keypoints[rows], valid[rows], (SIZE, SIZE))
            )
            images = milliseconds(lambda: [split.image(row) for row in rows])
        bytes_each = (stored.stat().st_size - plain.stat().st_size) / (POSES * 4 + POSES // 4)
    print(f"batches of {BATCH}, 21 heatmaps of 56×56, medians of {REPEATS}")
    print(f"read stored targets      {read:7.1f} ms  (ratio {read / compute:.1f} to computing)")
    print(f"compute them             {compute:7.1f} ms")
    print(f"for comparison: read and decode the images  {images:.1f} ms")
    print(f"a sample grows by {bytes_each / 1e3:.1f} kB")


if __name__ == "__main__":
    main()
