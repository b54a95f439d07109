"""Speed of the metrics on the size of FreiHAND's training split: 130,240 hands × 21 joints.

    python benchmarks/metrics_speed.py [--hands N] [--repeat N]

Prints medians of several runs, taken in turn, for the shipped functions and for a straightforward
reference written below, their ratio, and the largest difference between their results; then the
time of 1,000 bootstrap resamples.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from handbench import metrics
from handbench.scores.intervals import bootstrap, cluster_sums

Floats = npt.NDArray[np.float64]

THRESHOLDS = 20
RANGE_PX = 30.0
WANTED_S, WANTED_RESAMPLING_S = 0.3, 5.0


def make_hands(hands: int, seed: int = 0) -> tuple[Floats, Floats, npt.NDArray[np.bool_], Floats]:
    rng = np.random.default_rng(seed)
    truth = rng.uniform(0, 224, (hands, 21, 2))
    prediction = truth + rng.normal(0, 6, truth.shape)
    valid = rng.random((hands, 21)) < 0.97
    box = np.column_stack([np.zeros((hands, 2)), rng.uniform(80, 224, (hands, 2))])
    return prediction, truth, valid, box


def shipped(prediction: Floats, truth: Floats, valid: npt.NDArray[np.bool_], box: Floats) -> Floats:
    errors = metrics.keypoint_errors(prediction, truth, valid)
    return np.array(
        [
            metrics.epe(errors),
            metrics.pck(metrics.normalise(errors, metrics.box_size(box)), 0.2),
            metrics.auc(errors, 0.0, RANGE_PX, rule="trapz", n=THRESHOLDS),
        ]
    )


def reference(
    prediction: Floats, truth: Floats, valid: npt.NDArray[np.bool_], box: Floats
) -> Floats:
    """The same three numbers as one would write them first: joint by joint, mask by mask."""
    distance = np.linalg.norm(prediction - truth, axis=-1)
    relative = distance / np.max(box[:, 2:], axis=1)[:, None]
    thresholds = np.linspace(0.0, RANGE_PX, THRESHOLDS)
    pck, curve = [], []
    for joint in range(distance.shape[1]):
        labelled = valid[:, joint]
        pck.append(np.mean(relative[labelled, joint] <= 0.2))
        curve.append([np.mean(distance[labelled, joint] <= limit) for limit in thresholds])
    mean = np.mean(curve, axis=0)
    area = np.mean((mean[1:] + mean[:-1]) / 2)
    return np.array([distance[valid].mean(), np.mean(pck), area])


def medians(repeat: int, *functions: Callable[[], object]) -> list[float]:
    """Median seconds of every function; each round calls all of them."""
    times: list[list[float]] = [[] for _ in functions]
    for _ in range(repeat):
        for function, taken in zip(functions, times):
            start = time.perf_counter()
            function()
            taken.append(time.perf_counter() - start)
    return [statistics.median(taken) for taken in times]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--hands", type=int, default=130_240)
    parser.add_argument("--repeat", type=int, default=5)
    options = parser.parse_args()

    hands = make_hands(options.hands)
    ours, plain = medians(options.repeat, lambda: shipped(*hands), lambda: reference(*hands))
    gap = float(np.abs(shipped(*hands) - reference(*hands)).max())
    print(f"{options.hands:,} hands x 21: EPE, PCK@0.2 and AUC of {THRESHOLDS} thresholds")
    print(f"  medians of {options.repeat}; at 130,240 hands <= {WANTED_S} s is wanted")
    print(
        f"  handbench {ours:.3f} s, plain reference {plain:.3f} s, {plain / ours:.1f} times faster"
    )
    print(f"  largest difference {gap:.1e}")

    errors = metrics.keypoint_errors(*hands[:3])
    scores = metrics.auc_scores(errors, 0.0, RANGE_PX)
    for name, groups in (("every hand its own group", options.hands), ("4 hands a group", 0)):
        count = groups or -(-options.hands // 4)
        index = np.arange(options.hands) % count

        def resample(index: npt.NDArray[np.intp] = index, count: int = count) -> None:
            bootstrap(
                [
                    cluster_sums(scores, index, count, "joint"),
                    cluster_sums(errors, index, count, "pool"),
                ]
            )

        (seconds,) = medians(options.repeat, resample)
        print(
            f"  1,000 bootstrap resamples of AUC and EPE, {name}: {seconds:.2f} s "
            f"(wanted <= {WANTED_RESAMPLING_S:.0f} s)"
        )


if __name__ == "__main__":
    main()
