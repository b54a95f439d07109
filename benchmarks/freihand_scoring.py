"""Score FreiHAND's 3,960 hands with joints and meshes against loops like the official script's.

Truth (HDF5) and a pred.json of about 200 MB are made once. Then two processes are measured in
turn: a plain reference that goes through the hands one by one as the official ``eval.py`` does,
nearest neighbours by k-d tree, and

    python -m handbench evaluate pred.json --data truth.h5 --protocol freihand

from start to exit, reading the file included. Printed are medians of seconds of the clock, of the
processor (for machines that do other work meanwhile) and of peak memory, the ratio of the times
(13/80 of the official script's is wanted), and the largest difference between both scores.

    python benchmarks/freihand_scoring.py [--hands 3960] [--repeats 3] [--keep FOLDER]
"""

from __future__ import annotations

import argparse
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

VERTICES = 778
WANTED_RATIO, WANTED_SECONDS, WANTED_GB = 13 / 80, 13.0, 4.0
# Name of a score of the reference → name of the same metric.
SAME = {
    "kp": "MPJPE[mm,cam,avg=joint]",
    "kp auc": "AUC@0-50mm[cam,n=100]",
    "kp aligned": "MPJPE[mm,pa-reflect,avg=joint]",
    "kp aligned auc": "AUC@0-50mm[pa-reflect,n=100]",
    "mesh": "MPVPE[mm,cam]",
    "mesh auc": "AUC@0-50mm[mesh,cam,n=100]",
    "mesh aligned": "MPVPE[mm,pa-reflect]",
    "mesh aligned auc": "AUC@0-50mm[mesh,pa-reflect,n=100]",
    "F 5": "F@5mm[cam]",
    "F 15": "F@15mm[cam]",
    "F 5 aligned": "F@5mm[pa-reflect]",
    "F 15 aligned": "F@15mm[pa-reflect]",
}


# --- data ---------------------------------------------------------------------------------------


def make_hands(hands: int) -> tuple[Floats, Floats, Floats, Floats]:
    """Joints (N, 21, 3) and vertices (N, 778, 3) of truth and prediction, metres, camera frame."""
    rng = np.random.default_rng(0)
    fan = np.radians([-60.0, -20.0, -4.0, 10.0, 26.0])
    rest = np.zeros((21, 3))
    for finger, angle in enumerate(fan):
        reach = np.array([0.04, 0.07, 0.09, 0.11]) if finger == 0 else [0.09, 0.13, 0.155, 0.175]
        for place, radius in enumerate(reach):
            rest[1 + 4 * finger + place] = [radius * np.sin(angle), -radius * np.cos(angle), 0]
    curl = rng.uniform(0, 0.03, (hands, 5, 1)) * np.array([0.2, 1.0, 2.0, 3.0])
    joints = np.tile(rest, (hands, 1, 1)) + rng.normal(0, 0.002, (hands, 21, 3))
    joints[:, 1:, 2] += curl.reshape(hands, 20)
    # Tubes around the bones: a cloud of vertices with about the extent of a hand's surface.
    end = 1 + np.arange(VERTICES) % 20
    start = np.where(end % 4 == 1, 0, end - 1)
    along = rng.random((VERTICES, 1))
    around = rng.normal(size=(VERTICES, 3))
    around *= 0.008 / np.linalg.norm(around, axis=1, keepdims=True)
    mesh = joints[:, start] + along * (joints[:, end] - joints[:, start]) + around
    cloud = np.concatenate([joints, mesh], axis=1)

    cloud = cloud @ rotations(rng.normal(0, 2.0, (hands, 3)))
    cloud += rng.normal([0.0, 0.0, 0.7], 0.05, (hands, 1, 3))
    found = cloud - cloud.mean(axis=1, keepdims=True)
    found = found @ rotations(rng.normal(0, 0.06, (hands, 3)))
    found = found * rng.uniform(0.95, 1.05, (hands, 1, 1)) + cloud.mean(axis=1, keepdims=True)
    found += rng.normal(0, 0.01, (hands, 1, 3)) + rng.normal(0, 0.004, cloud.shape)
    return cloud[:, :21], cloud[:, 21:], found[:, :21], found[:, 21:]


def rotations(vectors: Floats) -> Floats:
    """(N, 3, 3) from axis-angle vectors (N, 3)."""
    angle = np.linalg.norm(vectors, axis=1)[:, None, None]
    x, y, z = (vectors / angle[:, 0]).T
    zero = np.zeros_like(x)
    cross = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], axis=1).reshape(-1, 3, 3)
    turned: Floats = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
    return turned


def write_data(folder: Path, hands: int) -> None:
    """``truth.h5`` and ``pred.json``."""
    import orjson
    from PIL import Image

    from handbench.hdf5.writer import HandFileWriter

    joints, mesh, found_joints, found_mesh = make_hands(hands)
    pixels = 500 * joints[..., :2] / joints[..., 2:] + 112
    everywhere = np.ones((hands, 21), dtype=bool)
    box = np.tile([-0.5, -0.5, 224.0, 224.0], (hands, 1))
    ids = [f"evaluation/{row:08d}" for row in range(hands)]
    dot = io.BytesIO()
    Image.new("RGB", (1, 1)).save(dot, "PNG")
    header = dict.fromkeys(("title", "license", "citation", "homepage", "label_source"), "random")
    header |= {"dataset": "freihand", "publish_images": False, "sources": []}
    columns = {
        "sample_id": ids,
        "image_size": np.ones((hands, 2)),
        "keypoints_2d": pixels,
        "valid_2d": everywhere,
        "valid_3d": everywhere,
        "visibility": np.full((hands, 21), 255),
        "crop": np.tile(np.eye(3), (hands, 1, 1)),
        "bbox": box,
        "is_right": np.ones(hands),
        "mirrored": np.zeros(hands),
        "keypoints_3d": joints,
        "vertices": mesh,
    }
    with HandFileWriter(folder / "truth.h5", header) as writer:
        split = writer.split("test", split_unit="sample_id", cluster_unit="sample_id")
        split.append(columns, [dot.getvalue()] * hands)
        split.add_truth(
            sample_id=ids,
            keypoints_2d=pixels,
            keypoints_3d=joints,
            valid_2d=everywhere,
            valid_3d=everywhere,
            bbox=box,
        )
    document = [found_joints.tolist(), found_mesh.tolist()]
    (folder / "pred.json").write_bytes(orjson.dumps(document))


# --- the reference ------------------------------------------------------------------------------


class PointErrors:
    """Distances of every point in a list of its own, evaluated point by point."""

    def __init__(self, points: int) -> None:
        self.lists: list[list[float]] = [[] for _ in range(points)]

    def add(self, truth: Floats, found: Floats) -> None:
        """One hand: (K, 3) each."""
        distances = np.sqrt(np.sum((truth - found) ** 2, axis=1))
        for values, distance in zip(self.lists, distances):
            values.append(distance)

    def mean_and_auc(self) -> tuple[float, float]:
        """Means over points of the mean and of the AUC from 0 to 50 mm."""
        thresholds = np.linspace(0.0, 0.05, 100)
        means, areas = [], []
        for values in self.lists:
            means.append(np.mean(np.array(values)))
            np.median(np.array(values))
            curve = [np.mean(np.array(values) <= limit) for limit in thresholds]
            widths = np.diff(thresholds)
            area = np.sum(widths * (np.array(curve[1:]) + np.array(curve[:-1])) / 2)
            areas.append(area / np.sum(widths))
        return float(np.mean(means)), float(np.mean(areas))


def aligned(truth: Floats, found: Floats) -> Floats:
    from scipy.linalg import orthogonal_procrustes

    middle = truth.mean(axis=0)
    t, p = truth - middle, found - found.mean(axis=0)
    size_t, size_p = np.linalg.norm(t) + 1e-8, np.linalg.norm(p) + 1e-8
    rotation, scale = orthogonal_procrustes(t / size_t, p / size_p)
    moved: Floats = p / size_p @ rotation.T * scale * size_t + middle
    return moved


def f_score(truth: Floats, found: Floats, threshold: float) -> float:
    from scipy.spatial import cKDTree

    there, _ = cKDTree(found).query(truth)
    back, _ = cKDTree(truth).query(found)
    recall = sum(distance < threshold for distance in there) / len(there)
    precision = sum(distance < threshold for distance in back) / len(back)
    total = recall + precision
    return float(2 * recall * precision / total) if total > 0 else 0.0


def reference(folder: Path) -> dict[str, float]:
    """Scores of ``pred.json``, mm and fractions, one hand at a time."""
    import h5py

    with h5py.File(folder / "truth.h5") as file:
        truth = {
            "kp": file["test/keypoints_3d"][:].astype(float),
            "mesh": file["test/vertices"][:].astype(float),
        }
    with (folder / "pred.json").open() as file:
        found = dict(zip(("kp", "mesh"), json.load(file)))
    scores: dict[str, float] = {}
    shares: dict[str, list[float]] = {}
    for kind, all_truth in truth.items():
        raw, fitted = (PointErrors(all_truth.shape[1]) for _ in range(2))
        for t, listed in zip(all_truth, found[kind]):
            p = np.array(listed)
            moved = aligned(t, p)
            raw.add(t, p)
            fitted.add(t, moved)
            if kind == "mesh":
                for limit_mm in (5, 15):
                    name = f"F {limit_mm}"
                    shares.setdefault(name, []).append(f_score(t, p, limit_mm / 1000))
                    name = f"F {limit_mm} aligned"
                    shares.setdefault(name, []).append(f_score(t, moved, limit_mm / 1000))
        for name, errors in ((kind, raw), (f"{kind} aligned", fitted)):
            mean, scores[f"{name} auc"] = errors.mean_and_auc()
            scores[name] = 1000 * mean
    return scores | {name: float(np.mean(values)) for name, values in shares.items()}


# --- measuring ----------------------------------------------------------------------------------


class Run(NamedTuple):
    """Seconds of the clock and of the processor, peak resident GB, and output of a process."""

    clock_s: float
    processor_s: float
    peak_gb: float
    output: bytes


def measured(command: list[str]) -> Run:
    """Run `command` to its end.

    Linux hands a parent's peak down to its children, so this process must stay small: data are
    made and results computed in other ones.
    """
    start = time.perf_counter()
    with tempfile.TemporaryFile() as kept:
        process = subprocess.Popen(command, stdout=kept, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        kept.seek(0)
        output = kept.read()
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed with exit code {process.returncode}")
    unit = 1 if sys.platform == "darwin" else 1024
    return Run(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * unit / 1e9, output)


def largest_difference(plain: bytes, ours: bytes) -> float:
    expected: dict[str, float] = json.loads(plain)
    results: dict[str, Any] = json.loads(ours)["models"][0]["results"][0]
    return max(abs(expected[k] - results["metrics"][name]["value"]) for k, name in SAME.items())


def compare(folder: Path, repeats: int) -> None:
    this = [sys.executable, __file__]
    files = [str(folder / "pred.json"), "--data", str(folder / "truth.h5")]
    evaluate = [sys.executable, "-m", "handbench", "evaluate", *files, "--protocol", "freihand"]
    plain, ours = [], []
    for _ in range(repeats):
        plain.append(measured([*this, "--reference", str(folder)]))
        ours.append(measured(evaluate))
    document = measured([*evaluate, "--json"]).output
    size = (folder / "pred.json").stat().st_size
    print(f"pred.json of {size / 1e6:,.0f} MB, medians of {repeats}; wanted: <= {WANTED_RATIO:.3f}")
    print(f"of the reference's time, <= {WANTED_SECONDS:.0f} s, < {WANTED_GB:.0f} GB")
    middle = [
        [statistics.median(run[i] for run in runs) for i in range(3)] for runs in (plain, ours)
    ]
    for name, row in zip(("plain reference", "handbench evaluate"), middle):
        print(f"{name:<20}{row[0]:6.1f} s, processor {row[1]:6.1f} s, peak {row[2]:.2f} GB")
    ratios = [ours / plain for plain, ours in zip(*middle)]
    print(f"{'ratio':<20}{ratios[0]:6.3f}    processor {ratios[1]:6.3f}")
    print(f"largest difference {largest_difference(plain[0].output, document):.1e} mm or fraction")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--hands", type=int, default=3960)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--keep", type=Path, help="folder for the data, made where they are not")
    parser.add_argument("--make", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--reference", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.make:
        write_data(options.make, options.hands)
    elif options.reference:
        print(json.dumps(reference(options.reference)))
    else:
        with tempfile.TemporaryDirectory() as name:
            folder = options.keep or Path(name)
            folder.mkdir(parents=True, exist_ok=True)
            if not (folder / "pred.json").exists():
                make = ["--make", str(folder), "--hands", str(options.hands)]
                measured([sys.executable, __file__, *make])
            compare(folder, options.repeats)


if __name__ == "__main__":
    main()
