"""Crop 512×334 JPEGs to 224×224 against decoding, cutting and encoding them and nothing else.

The images have the size of InterHand2.6M's. The bare work is done by one process and by two that
share nothing: each decodes, cuts and encodes its half. `handbench convert` does the same with one
and with two workers, and reads the labels, moves them, and writes a file besides. All are measured
in turn in the same run; medians are printed, and the best of each, which a busy machine blurs less.
How much two processes gain over one says how much of a second processor there was to have.

    python benchmarks/crop_speed.py [--images 1500] [--repeats 5] [--hands 1] [--perspective]
"""

from __future__ import annotations

import argparse
import io
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from handbench.camera import crop_matrix, perspective_crop
from handbench.hdf5.convert import ConvertSettings, convert
from handbench.images import crop_picture, decode_picture, encode_jpeg
from handbench.sources import manifest
from handbench.sources.archive import Folder
from handbench.sources.table import HandTable, TableSource

WIDTH, HEIGHT, SIZE, PADDING = 512, 334, 224, 1.25
CAMERA = np.array([[600.0, 0.0, 255.5], [0.0, 600.0, 166.5], [0.0, 0.0, 1.0]])
DIFFERENT = 40


def make_source(folder: Path, images: int, hands: int) -> TableSource:
    """Noisy blobs, about 80 kB each, and boxes of hands all over them."""
    rng = np.random.default_rng(0)
    pictures = []
    for _ in range(DIFFERENT):
        small = Image.fromarray(rng.integers(0, 256, (42, 64, 3), dtype=np.uint8))
        smooth = np.asarray(small.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)).astype(float)
        noisy = (smooth + rng.normal(0, 4, smooth.shape)).clip(0, 255).astype(np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(noisy).save(buffer, "JPEG", quality=92)
        pictures.append(buffer.getvalue())
    for row in range(images):
        (folder / f"{row:06d}.jpg").write_bytes(pictures[row % DIFFERENT])
    count = images * hands
    low = rng.uniform([40, 20], [280, 120], (count, 2))
    size = rng.uniform(120, 190, (count, 2))
    depth = rng.uniform(0.6, 0.9, (count, 21, 1))
    uv = low[:, None] + size[:, None] * rng.uniform(0, 1, (count, 21, 2))
    xy = (uv - CAMERA[:2, 2]) / CAMERA[0, 0] * depth
    of_row = [row // hands for row in range(count)]
    table = HandTable(
        sample_id=[f"{row:06d}" for row in range(count)],
        file_name=[f"{photo:06d}.jpg" for photo in of_row],
        keypoints_2d=uv,
        visibility=np.full((count, 21), 2, dtype=np.uint8),
        bbox=np.concatenate([low, size], axis=1),
        is_right=np.ones(count, dtype=np.int8),
        keypoints_3d=np.concatenate([xy, depth], axis=2),
        camera=np.tile(CAMERA, (count, 1, 1)),
        ids={"image_id": [f"{photo:06d}" for photo in of_row]},
    )
    return TableSource(manifest.load("coco"), Folder(folder), {"test": table})


def cut_all(job: tuple[list[str], np.ndarray]) -> int:
    """Decode, cut and encode; the bytes that came of it."""
    total = 0
    for path, crop in zip(*job):
        picture = decode_picture(Path(path).read_bytes(), path)
        total += len(encode_jpeg(crop_picture(picture, crop, SIZE)))
    return total


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=1500)
    parser.add_argument("--hands", type=int, default=1, help="of each image")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--perspective", action="store_true", help="crops")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, multiprocessing.Pool(2) as pool:
        folder = Path(name)
        source = make_source(folder, arguments.images, arguments.hands)
        table = source._tables["test"]
        crops = crop_matrix(table.bbox, PADDING, SIZE)
        if arguments.perspective:
            crops, *_ = perspective_crop(table.bbox, PADDING, SIZE, CAMERA)
        paths = [str(folder / file) for file in table.file_name]
        jobs = [(paths[half::2], crops[half::2]) for half in (0, 1)]

        def converted(workers: int) -> Callable[[], object]:
            settings = ConvertSettings(
                size=SIZE, workers=workers, perspective=arguments.perspective
            )
            return lambda: convert(source, folder / "out.h5", settings, overwrite=True)

        ways: dict[str, Callable[[], object]] = {
            "bare work, one process": lambda: pool.apply(cut_all, [(paths, crops)]),
            "bare work, two processes": lambda: pool.map(cut_all, jobs),
            "convert, one worker": converted(1),
            "convert, two workers": converted(2),
        }
        pool.map(cut_all, [([], crops[:0])] * 2)
        times: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(arguments.repeats):
            for way, work in ways.items():
                times[way].append(seconds(work))
    hands = len(table)
    print(f"{arguments.images:,} images, {hands:,} hands, {arguments.repeats} rounds")
    for pick in (statistics.median, min):
        alone, both, one, two = (hands / pick(times[way]) for way in ways)
        print(
            f"{pick.__name__:>6}: bare {alone:.0f} and {both:.0f} ({both / alone:.2f} times), "
            f"convert {one:.0f} and {two:.0f} hands/s; two workers / one {two / one:.2f} (wanted "
            f"1.7), two workers / bare {two / both:.2f} (wanted 0.7)"
        )


if __name__ == "__main__":
    main()
