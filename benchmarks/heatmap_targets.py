"""Time of heatmap targets: 21 joints, 56×56 cells, batches of 64, on one core.

    python benchmarks/heatmap_targets.py

The yardstick is the least that any such targets cost: the float32 outer product of two 1D
Gaussians that are already there, by numpy and by torch. The per-joint loop is what the usual
data-set class does for one sample after another.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch

from handbench import heatmaps
from handbench.models import heatmaps as torch_heatmaps

BATCH, JOINTS, SIDE, STRIDE, SIGMA = 64, 21, 56, 4, 2.0
ROUNDS = 25


def per_joint_loop(keypoints: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """Draw each joint of each sample on its own."""
    targets = np.zeros((BATCH, JOINTS, SIDE, SIDE), dtype=np.float32)
    x = np.arange(SIDE, dtype=np.float32)
    y = x[:, None]
    for sample in range(BATCH):
        for joint in range(JOINTS):
            u, v = heatmaps.to_grid(keypoints[sample, joint], STRIDE)
            targets[sample, joint] = np.exp(-((x - u) ** 2 + (y - v) ** 2) / (2 * SIGMA**2))
    return targets


def medians(functions: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median seconds of each function over `rounds` turns of ten calls.

    Turns, so that all see the same machine; ten calls, of which the first two do not count, so
    that each finds the memory allocator as its own calls leave it.
    """
    times: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(rounds):
        for name, function in functions.items():
            for call in range(10):
                start = time.perf_counter()
                function()
                if call >= 2:
                    times[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def main() -> None:
    """Measure and print a table, then the same as one line of JSON."""
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    size = (SIDE * STRIDE, SIDE * STRIDE)
    keypoints = rng.uniform(0, SIDE * STRIDE, (BATCH, JOINTS, 2))
    valid = np.ones((BATCH, JOINTS), dtype=bool)
    points, labelled = torch.from_numpy(keypoints).float(), torch.from_numpy(valid)
    rows = np.exp(-rng.uniform(0, 10, (BATCH, JOINTS, SIDE))).astype(np.float32)
    columns = np.exp(-rng.uniform(0, 10, (BATCH, JOINTS, SIDE))).astype(np.float32)
    torch_rows, torch_columns = torch.from_numpy(rows), torch.from_numpy(columns)
    buffer = torch.empty(BATCH, JOINTS, SIDE, SIDE)

    expected = per_joint_loop(keypoints)
    found = heatmaps.gaussian_targets(keypoints, valid, size, STRIDE, SIGMA)
    torch_found, _ = torch_heatmaps.gaussian_targets(points, labelled, size, STRIDE, SIGMA)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_allclose(torch_found, expected, atol=1e-4)

    seconds = medians(
        {
            "numpy outer product alone": lambda: rows[..., :, None] * columns[..., None, :],
            "numpy targets (convert)": lambda: heatmaps.gaussian_targets(
                keypoints, valid, size, STRIDE, SIGMA
            ),
            "torch outer product alone": lambda: (
                torch_rows[..., :, None] * torch_columns[..., None, :]
            ),
            "torch targets": lambda: torch_heatmaps.gaussian_targets(
                points, labelled, size, STRIDE, SIGMA
            ),
            "torch targets, same memory (training)": lambda: torch_heatmaps.gaussian_targets(
                points, labelled, size, STRIDE, SIGMA, out=buffer
            ),
        },
        ROUNDS,
    )
    seconds |= medians({"numpy, joint by joint": lambda: per_joint_loop(keypoints)}, 1)
    yardstick = seconds["numpy outer product alone"]
    print(f"{BATCH}×{JOINTS}×{SIDE}×{SIDE} float32, one core, medians of {8 * ROUNDS}:")
    for name, value in seconds.items():
        print(
            f"  {name:<38} {1e3 * value:8.2f} ms  {1e6 * value / BATCH:8.1f} µs a sample  "
            f"× {value / yardstick:6.2f}"
        )
    print(json.dumps({name: round(1e6 * value / BATCH, 2) for name, value in seconds.items()}))


if __name__ == "__main__":
    main()
