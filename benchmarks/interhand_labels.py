"""Open InterHand2.6M's train labels at their true size, against json.load of the same files.

Label files of 1,361,062 images (0.9 GB) are made once, without images: opening a source reads
labels only. Then processes are measured from start to exit, seconds of the clock and peak memory:
one opens the source, one works out every row as a conversion does, one calls json.load on the same
three files and keeps what it returns. Where the latter might need more than half of the free
memory it gets files of a tenth of the size.

    python benchmarks/interhand_labels.py [--images 1361062] [--keep FOLDER]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

IMAGES = 1_361_062
VIEWS, CAPTURES, CAMERAS = 72, 27, 80  # 18,904 moments; v1.0 has about 18,700
WANTED_GB = 2.0
PLAIN_GROWTH = 12  # bytes of memory a byte of JSON, on the safe side

OPEN = """
import sys
from handbench.sources import interhand, manifest
source = interhand.open_source(sys.argv[1], manifest.load("interhand26m"))
print(f"{source.splits()['train']:,} hands")
"""
PLAIN = """
import json, pathlib, sys
kept = []
for path in sorted(pathlib.Path(sys.argv[1]).glob("annotations/train/*.json")):
    with path.open() as stream:
        kept.append(json.load(stream))
print("all records")
"""
EVERYTHING = """
import sys
from handbench.sources import interhand, manifest
source = interhand.open_source(sys.argv[1], manifest.load("interhand26m"))
hands = source._hands["train"]
rows = sum(len(source._table(hands, slice(i, min(i + 512, len(hands))))) for i in
           range(0, len(hands), 512))
print(f"{rows:,} hands")
"""


# --- data ---------------------------------------------------------------------------------------


def make(folder: Path, images: int) -> None:
    """Label files in the native layout; every other moment shows two hands."""
    import numpy as np

    rng = np.random.default_rng(0)
    (folder / "images" / "train").mkdir(parents=True)
    target = folder / "annotations" / "train"
    target.mkdir(parents=True)
    names = [str(400002 + 13 * i if i < 34 else 410001 + i) for i in range(CAMERAS)]
    # All cameras stand side by side, a metre before the hands: geometry is not the point here.
    camera = {
        "campos": {name: [3.0 * i, 0.5, -1000.25] for i, name in enumerate(names)},
        "camrot": {name: [[1.0, 0, 0], [0, 1.0, 0], [0, 0, 1.0]] for name in names},
        "focal": {name: [800.1234, 800.4321] for name in names},
        "princpt": {name: [256.25, 167.75] for name in names},
    }
    text = json.dumps({str(capture): camera for capture in range(CAPTURES)})
    (target / "InterHand2.6M_train_camera.json").write_text(text)
    moments = -(-images // VIEWS)
    joint_3d: dict[str, dict[str, object]] = {}
    kinds = ("right", "interacting", "left", "interacting")
    valid = {"right": [1] * 21 + [0] * 21, "left": [0] * 21 + [1] * 21, "interacting": [1] * 42}
    for number in range(moments):
        kind = kinds[number % 4]
        world = rng.normal(0, 60, (42, 3)).astype(np.float32).astype(float)
        joint_3d.setdefault(str(number % CAPTURES), {})[str(2000 + number)] = {
            "world_coord": world.tolist(),
            "joint_valid": [[bool(flag)] for flag in valid[kind]],
            "hand_type": kind,
            "hand_type_valid": True,
        }
    (target / "InterHand2.6M_train_joint_3d.json").write_text(json.dumps(joint_3d))
    flags = {kind: json.dumps([[flag] for flag in row]) for kind, row in valid.items()}
    with (target / "InterHand2.6M_train_data.json").open("w") as stream:
        stream.write('{"images": [')
        for i in range(images):
            capture, frame = i // VIEWS % CAPTURES, 2000 + i // VIEWS
            name, sequence = names[i % VIEWS], f"{frame % 50:04d}_neutral_relaxed"
            stream.write(
                f'{", " if i else ""}{{"id": {i}, "file_name": '
                f'"Capture{capture}/{sequence}/cam{name}/image{frame}.jpg", "width": 512, '
                f'"height": 334, "capture": {capture}, "subject": {capture}, "seq_name": '
                f'"{sequence}", "camera": "{name}", "frame_idx": {frame}}}'
            )
        stream.write('], "annotations": [')
        for i in range(images):
            kind = kinds[i // VIEWS % 4]
            stream.write(
                f'{", " if i else ""}{{"id": {i}, "image_id": {i}, "bbox": [{i % 300}.568393707275'
                f', 164.92373657226562, 185.057861328125, 142.7256622314453], "joint_valid": '
                f'{flags[kind]}, "hand_type": "{kind}", "hand_type_valid": 1}}'
            )
        stream.write("]}")


# --- measuring ----------------------------------------------------------------------------------


class Run(NamedTuple):
    """Seconds of the clock, peak resident GB, what the process said."""

    clock_s: float
    peak_gb: float
    output: str


def measured(*command: str) -> Run:
    """Run Python on `command` to its end; this process stays small, as its peak is handed down."""
    start = time.perf_counter()
    with tempfile.TemporaryFile() as kept:
        process = subprocess.Popen([sys.executable, *command], stdout=kept)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        kept.seek(0)
        output = kept.read().decode().strip()
    if process.returncode:
        raise SystemExit(f"failed with exit code {process.returncode}")
    unit = 1 if sys.platform == "darwin" else 1024
    return Run(seconds, usage.ru_maxrss * unit / 1e9, output)


def made(folder: Path, images: int) -> int:
    """Make label files unless they are there; their size in bytes."""
    if not folder.exists():
        measured(__file__, "--make", str(folder), "--images", str(images))
    return sum(path.stat().st_size for path in folder.glob("annotations/train/*.json"))


def free_bytes() -> int:
    """Memory that can be had without swapping, as Linux sees it; 0 elsewhere."""
    path = Path("/proc/meminfo")
    lines = path.read_text().splitlines() if path.exists() else []
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))


def compare(folder: Path, images: int) -> None:
    size = made(folder / "whole", images)
    ours = measured("-c", OPEN, str(folder / "whole"))
    tables = measured("-c", EVERYTHING, str(folder / "whole"))
    plain_folder, share = folder / "whole", ""
    if PLAIN_GROWTH * size > free_bytes() / 2:
        plain_folder, share = folder / "tenth", " (a tenth of the files: memory is short)"
        made(plain_folder, images // 10)
    plain = measured("-c", PLAIN, str(plain_folder))
    print(f"{images:,} images, {size / 1e6:,.0f} MB of JSON; wanted: < {WANTED_GB:.0f} GB")
    rows = (
        ("open the source", ours, ""),
        ("and work out every row", tables, ""),
        ("plain json.load", plain, share),
    )
    for name, run, note in rows:
        line = f"{name:<24}{run.clock_s:7.1f} s, peak {run.peak_gb:5.2f} GB, {run.output}{note}"
        print(line)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--images", type=int, default=IMAGES)
    parser.add_argument("--keep", type=Path, help="folder for the data, made where they are not")
    parser.add_argument("--make", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.make:
        make(options.make, options.images)
        return
    with tempfile.TemporaryDirectory() as name:
        compare(options.keep or Path(name), options.images)


if __name__ == "__main__":
    main()
