"""Convert 20,000 FreiHAND-layout files against reading them and writing the same bytes.

The reference reads every image file with Python and appends its bytes to one file: what no
converter can avoid. Warm cache, one core, both measured in turn in the same run; medians are
printed, and the peak memory of a conversion in a process of its own.

    python benchmarks/convert_speed.py [--files 20000] [--repeats 5]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

RENDERED_POSES = 50
VERSIONS = 4

CONVERT = """
import resource, sys
from pathlib import Path
from handbench.hdf5.convert import convert
from handbench.sources import freihand, manifest
source = freihand.open_source(Path(sys.argv[1]), manifest.load("freihand"))
convert(source, Path(sys.argv[2]))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def make_source(folder: Path, files: int) -> None:
    """Copies of a few hundred rendered images under distinct ids, labels repeated alike."""
    from handbench.synthetic.dataset import write_sample_dataset

    rendered = folder / "rendered"
    write_sample_dataset(rendered, count=RENDERED_POSES, seed=0, progress=False)
    annotations = files // VERSIONS
    target = folder / "source"
    (target / "training/rgb").mkdir(parents=True)
    for name in ("K", "xyz", "scale", "mano"):
        entries = json.loads((rendered / f"training_{name}.json").read_text())
        repeated = [entries[i % len(entries)] for i in range(annotations)]
        (target / f"training_{name}.json").write_text(json.dumps(repeated))
    shutil.copy(rendered / "handbench_source.json", target)
    for version in range(VERSIONS):
        for annotation in range(annotations):
            source = annotation % RENDERED_POSES + version * RENDERED_POSES
            image = annotation + version * annotations
            shutil.copyfile(
                rendered / f"training/rgb/{source:08d}.jpg",
                target / f"training/rgb/{image:08d}.jpg",
            )


def read_and_write(source: Path, out: Path) -> None:
    with out.open("wb") as stream:
        for name in sorted(os.listdir(source / "training/rgb")):  # noqa: PTH208
            with open(f"{source}/training/rgb/{name}", "rb") as image:  # noqa: PTH123 - the fastest way
                stream.write(image.read())


def convert_all(source: Path, out: Path) -> None:
    from handbench.hdf5.convert import convert
    from handbench.sources import freihand, manifest

    convert(freihand.open_source(source, manifest.load("freihand")), out)


def seconds(function: Callable[[Path, Path], None], source: Path, out: Path) -> float:
    out.unlink(missing_ok=True)  # freeing the old file is neither's work
    start = time.perf_counter()
    function(source, out)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=20_000)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_source(folder, arguments.files)
        source = folder / "source"
        read_and_write(source, folder / "warm.bin")
        times: dict[str, list[float]] = {"reference": [], "convert": []}
        for _ in range(arguments.repeats):
            times["reference"].append(seconds(read_and_write, source, folder / "all.bin"))
            times["convert"].append(seconds(convert_all, source, folder / "all.h5"))
        size = (folder / "all.bin").stat().st_size
        command = [sys.executable, "-c", CONVERT, str(source), str(folder / "memory.h5")]
        peak = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    reference, ours = (statistics.median(times[key]) for key in ("reference", "convert"))
    print(f"{arguments.files:,} files, {size / 1e6:,.0f} MB, medians of {arguments.repeats}")
    print(f"read and write the bytes  {reference:.2f} s")
    print(f"handbench convert         {ours:.2f} s  (ratio {ours / reference:.2f}, wanted <= 2)")
    print(f"peak memory               {float(peak):.0f} MiB  (wanted < 500 MB)")


if __name__ == "__main__":
    main()
