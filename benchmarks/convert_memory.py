"""Peak memory of cropping 10,000 and 100,000 photos: it must not grow with what was cut.

A few hundred rendered hands are shown over and over, as links under distinct names, with labels in
one NPZ file. Each conversion runs in a process of its own, as `handbench convert points` does.
What may grow are labels and ids, which are read whole; they are stated beside the peaks.

    python benchmarks/convert_memory.py [--photos 10000 100000] [--workers 2]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

RENDERED_POSES, VERSIONS, RENDERED_SIZE_PX = 75, 4, 320

CONVERT = """
import resource, sys, time
from pathlib import Path
from handbench.hdf5.convert import ConvertSettings, convert
from handbench.sources import manifest, points
folder = Path(sys.argv[1])
start = time.perf_counter()
source = points.open_source({"test": folder / "hands.npz"}, folder, manifest.load("points"))
opened = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
done = convert(source, folder / "out.h5", ConvertSettings(workers=int(sys.argv[2])))
assert done.rows["test"] == int(sys.argv[3]), done
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(time.perf_counter() - start, opened, peak)
"""


def render(folder: Path) -> tuple[list[Path], np.ndarray]:
    """Photos, and (photos, 21, 2) keypoints in px."""
    from handbench.synthetic.dataset import write_sample_dataset

    write_sample_dataset(
        folder, count=RENDERED_POSES, seed=0, size=RENDERED_SIZE_PX, progress=False
    )
    cameras, points = (
        np.array(json.loads((folder / f"training_{name}.json").read_text()))
        for name in ("K", "xyz")
    )
    seen = np.einsum("nij,nkj->nki", cameras, points)
    photos = sorted((folder / "training/rgb").glob("*.jpg"))
    return photos, np.tile(seen[..., :2] / seen[..., 2:], (VERSIONS, 1, 1))


def make_source(folder: Path, photos: list[Path], keypoints: np.ndarray, count: int) -> None:
    """`count` links to the photos, and their labels."""
    which = np.arange(count) % len(photos)
    names = [f"{row // 1000:03d}/{row:06d}.jpg" for row in range(count)]
    for thousand in range(-(-count // 1000)):
        (folder / f"{thousand:03d}").mkdir(parents=True)
    for name, photo in zip(names, which):
        os.link(photos[photo], folder / name)
    np.savez(folder / "hands.npz", image=np.array(names), keypoints=keypoints[which])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    peaks = []
    with tempfile.TemporaryDirectory() as name:
        rendered, keypoints = render(Path(name) / "rendered")
        print(
            f"{len(rendered)} rendered photos of {RENDERED_SIZE_PX} px, {arguments.workers} workers"
        )
        for count in arguments.photos:
            folder = Path(name) / str(count)
            make_source(folder, rendered, keypoints, count)
            command = [
                sys.executable,
                "-c",
                CONVERT,
                str(folder),
                str(arguments.workers),
                str(count),
            ]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            seconds, opened, peak = map(float, done.stdout.split())
            peaks.append(peak)
            print(
                f"{count:>9,} photos: {seconds:6.1f} s, {count / seconds:,.0f} hands/s, peak "
                f"{peak:.0f} MiB, of which {opened:.0f} MiB once the labels were read",
                flush=True,
            )
    if len(peaks) > 1:
        grown = (peaks[-1] - peaks[0]) * 1024**2
        rows = arguments.photos[-1] - arguments.photos[0]
        print(f"growth {grown / rows:,.0f} bytes a hand (its labels alone are 1 kB)")


if __name__ == "__main__":
    main()
