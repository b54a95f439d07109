"""Time and size of the report of 3,960 hands (FreiHAND's test split) and five models.

    python benchmarks/report_speed.py [--hands N] [--models N] [--keep FOLDER]

The hands are synthetic: a few dozen are rendered, and their pictures and labels are taken in turn,
moved a little, under new names. The models are off by noise, by swapped fingers, by hands that are
shifted or turned, and miss some hands, so that every part of the report has something to show.
Printed are the seconds of scoring and of `handbench.reports.html.write_report`, and the size of the
page; 30 s on two cores and 5 MB are wanted.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import handbench
from handbench.camera import transform_points
from handbench.hdf5.reader import HandFile
from handbench.hdf5.writer import HandFileWriter
from handbench.predictions.record import Predictions
from handbench.reports.html import write_report
from handbench.scores.protocols import find_protocol
from handbench.scores.scoring import score
from handbench.scores.truth import Truth, read_truth

RENDERED = 24
WANTED_S, WANTED_MB = 30.0, 5.0
KEPT = ("keypoints_2d", "valid_2d", "valid_3d", "visibility", "crop", "bbox", "is_right")
KEPT += ("mirrored", "image_size", "keypoints_3d", "camera")


def rendered(folder: Path) -> Path:
    """A small converted dataset of synthetic hands."""
    path = folder / "rendered.h5"
    if not path.exists():
        call = [sys.executable, "-m", "handbench"]
        hands = folder / "hands"
        subprocess.run([*call, "sample", str(hands), "--count", str(4 * RENDERED)], check=True)
        convert = ["convert", "sample", "--source", str(hands), "--out", str(path)]
        subprocess.run([*call, *convert], check=True)
    return path


def cycled(source: HandFile, path: Path, hands: int) -> Path:
    """Rows of the test split of `source`, taken in turn until there are `hands` of them."""
    rng = np.random.default_rng(0)
    split = source["test"]
    rows = np.arange(hands) % len(split)
    columns = {name: split.column(name)[rows] for name in KEPT if split.has(name)}
    shift = rng.normal(0, 2.0, (hands, 1, 2))
    columns["keypoints_2d"] = columns["keypoints_2d"] + shift
    columns["is_right"] = rng.integers(0, 2, hands).astype(np.int8)
    columns["sample_id"] = [f"evaluation/{i:08d}" for i in range(hands)]
    columns["instant_id"] = [f"{i // 4:06d}" for i in range(hands)]
    header = {
        name: source.attributes.get(name, "none")
        for name in ("title", "license", "citation", "homepage", "label_source")
    }
    header |= {"dataset": "sample", "publish_images": True, "sources": []}
    with HandFileWriter(path, header) as writer:
        group = writer.split("test", split_unit="instant_id", cluster_unit="instant_id")
        group.append(columns, [split.image_bytes(int(row)) for row in rows])
        back = np.linalg.inv(columns["crop"])
        group.add_truth(
            sample_id=columns["sample_id"],
            keypoints_2d=transform_points(back, columns["keypoints_2d"]),
            keypoints_3d=columns.get("keypoints_3d"),
            valid_2d=columns["valid_2d"],
            valid_3d=columns["valid_3d"],
            bbox=columns["bbox"],
        )
        group.attributes["bbox"] = {"source": "annotation", "padding": 1.25}
    return path


def predicted(truth: Truth, number: int) -> Predictions:
    """Model `number`: noise, swapped and reversed fingers, shifted hands; some hands missed."""
    rng = np.random.default_rng(number)
    hands = len(truth)
    points = truth.keypoints + rng.normal(0, 3.0 + number, truth.keypoints.shape)
    size = np.ptp(truth.keypoints, axis=1).max(axis=1)
    swapped = rng.random(hands) < 0.06
    points[swapped, 5:13] = points[swapped][:, [9, 10, 11, 12, 5, 6, 7, 8]]
    reversed_ = rng.random(hands) < 0.04
    points[reversed_, 13:17] = points[reversed_, 16:12:-1]
    moved = rng.random(hands) < 0.05
    points[moved] += (0.3 * size[moved])[:, None, None] * np.array([1.0, -0.5])
    wild = rng.random((hands, 21)) < 0.03
    points[wild] += rng.normal(0, 40.0, (int(wild.sum()), 2))
    found = rng.random(hands) >= 0.002 * number
    points_3d = None
    if truth.keypoints_3d is not None:
        noise = rng.normal(0, 0.006 + 0.001 * number, truth.keypoints_3d.shape)
        points_3d = (truth.keypoints_3d + noise)[found]
    return Predictions(
        truth.dataset,
        truth.split,
        {"name": f"model {'abcdefgh'[number]}", "training_data": ["sample/train"]},
        truth.sample_id[found],
        points[found],
        keypoints_3d=points_3d,
        input={"box": "gt_annotation"},
        gt_used=("box",),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--hands", type=int, default=3960)
    parser.add_argument("--models", type=int, default=5)
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="Keep the page and data here.")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        with handbench.open(rendered(folder)) as source:
            path = cycled(source, folder / "hands.h5", options.hands)
        with handbench.open(path) as data:
            truth = read_truth(data, "test")
            models = [predicted(truth, number) for number in range(options.models)]
            protocols = [find_protocol("handbench"), find_protocol("mmpose")]
            start = time.perf_counter()
            evaluations = [score(one, truth, protocols, diagnosis=None) for one in models]
            scoring_s = time.perf_counter() - start
            start, worked = time.perf_counter(), time.process_time()
            page = write_report(evaluations, data, folder / "report.html", by=["finger"])
            report_s = time.perf_counter() - start
            worked_s = time.process_time() - worked
        size_mb = page.stat().st_size / 1e6
    print(f"{options.hands:,} hands, {options.models} models, 2D and 3D")
    print(f"  scoring {scoring_s:.1f} s, report {report_s:.1f} s (wanted <= {WANTED_S:.0f} s)")
    print(f"  of that {worked_s:.1f} s of the processor, for machines that do other work meanwhile")
    print(f"  page {size_mb:.2f} MB (wanted < {WANTED_MB:.0f} MB)")


if __name__ == "__main__":
    main()
