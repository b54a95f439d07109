"""Open COCO-WholeBody labels of the true size: seconds and peak memory.

The file is generated: 262,465 annotations on 64,115 photos, segmentations and face points
included, about 900 MB; one hand in six is valid, 84,000 in all. Photos are empty files, for opening
does not read them. The reference parses a file of the size of `val` (11,004 annotations) whole
with `json.load`, which `train` would need many gigabytes for; times are compared per megabyte.
Peak memory is that of a process of its own.

    python benchmarks/coco_labels.py [--annotations 262465] [--repeats 3]
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

OPEN = """
import resource, sys, time
from dataclasses import replace
from pathlib import Path
from handbench.sources import coco_wholebody, manifest
facts = manifest.load("coco_wholebody")
facts = replace(facts, splits={"test": facts.splits["test"]})
start = time.perf_counter()
source = coco_wholebody.open_source(Path(sys.argv[1]), facts)
print(time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""
REFERENCE = """
import json, resource, sys, time
from pathlib import Path
start = time.perf_counter()
with Path(sys.argv[1], "coco_wholebody_val_v1.0.json").open() as stream:
    json.load(stream)
print(time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""
PERSONS_A_PHOTO = 4.1


def make_source(folder: Path, annotations: int) -> int:
    """Write labels and empty photos; returns the bytes of the label file."""
    draw = random.Random(0)  # noqa: S311 - numbers to measure with
    photos = round(annotations / PERSONS_A_PHOTO)
    (folder / "val2017").mkdir(parents=True)
    names = [f"{number:012d}.jpg" for number in range(photos)]
    for name in names:
        (folder / "val2017" / name).touch()
    path = folder / "coco_wholebody_val_v1.0.json"
    with path.open("w", encoding="utf-8") as stream:
        images = [
            {"license": 4, "file_name": name, "height": 480, "width": 640, "id": number}
            for number, name in enumerate(names)
        ]
        stream.write('{"info": {}, "images": ' + json.dumps(images) + ', "annotations": [')
        for number in range(annotations):
            stream.write(", " * bool(number) + json.dumps(annotation(number, photos, draw)))
        stream.write("]}")
    return path.stat().st_size


def annotation(number: int, photos: int, draw: random.Random) -> dict[str, object]:
    record: dict[str, object] = {
        "segmentation": [[round(draw.uniform(0, 640), 2) for _ in range(60)]],
        "area": 9000.25,
        "iscrowd": 0,
        "keypoints": [draw.randrange(640) for _ in range(51)],
        "image_id": number % photos,
        "id": number,
        "face_kpts": [round(draw.uniform(0, 400), 3) for _ in range(204)],
    }
    for side in ("left", "right"):
        valid = draw.random() < 0.16
        x, y = draw.uniform(0, 500), draw.uniform(0, 400)
        points = [
            value
            for _ in range(21)
            for value in (x + draw.uniform(0, 60), y + draw.uniform(0, 60), draw.random())
        ]
        record |= {
            f"{side}hand_valid": valid,
            f"{side}hand_box": [x, y, 60.0, 60.0] if valid else [0.0] * 4,
            f"{side}hand_kpts": points if valid else [0.0] * 63,
        }
    return record


def measured(code: str, folder: Path, repeats: int) -> tuple[float, float]:
    """Median seconds and largest peak memory, MiB, of fresh processes."""
    runs = []
    for _ in range(repeats):
        command = [sys.executable, "-c", code, str(folder)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        runs.append([float(part) for part in done.stdout.split()])
    return statistics.median(run[0] for run in runs), max(run[1] for run in runs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--annotations", type=int, default=262_465)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        small, large = Path(name, "small"), Path(name, "large")
        small_bytes = make_source(small, 11_004)
        large_bytes = make_source(large, arguments.annotations)
        reference_s, reference_mib = measured(REFERENCE, small, arguments.repeats)
        ours_s, ours_mib = measured(OPEN, large, arguments.repeats)
    ratio = (ours_s / large_bytes) / (reference_s / small_bytes)
    print(f"json.load, {small_bytes / 1e6:,.0f} MB   {reference_s:.2f} s, {reference_mib:,.0f} MiB")
    print(f"open_source, {large_bytes / 1e6:,.0f} MB {ours_s:.2f} s, {ours_mib:,.0f} MiB")
    print(f"time per MB {ratio:.2f} of json.load (wanted <= 2), memory wanted < 2,000 MiB")


if __name__ == "__main__":
    main()
