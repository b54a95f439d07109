"""The synthetic hand, written in the directory layout of FreiHAND v2.

The layout is FreiHAND's to the letter, so that whatever reads FreiHAND reads this::

    training/rgb/%08d.jpg      4·N pictures: image_id = annotation_id + N·version
    training/mask/%08d.jpg     N masks of the hand as it is seen
    training_{K,xyz,verts,scale,mano}.json      N entries each
    evaluation/rgb/%08d.jpg    M pictures of instants that training never saw
    evaluation_{K,xyz,verts,scale,mano}.json    M entries each
    handbench_source.json      says that this is ``sample``, not FreiHAND

Two things cannot be FreiHAND's. ``verts`` are 778 points of our own skin, the same point for the
same index in every pose. ``mano`` has the right length and a true root (pixel of joint 9 and
f / z), but pose and shape are zero: the licensed MANO model is not used here.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import orjson
from PIL import Image
from tqdm import tqdm

from handbench import __version__
from handbench.errors import HandbenchError, SourceError
from handbench.files import atomic_path, write_json
from handbench.synthetic.anatomy import Floats
from handbench.synthetic.render import Labels, finish, render
from handbench.synthetic.scene import Picture, Split, pictures

VERSIONS = 4
"""Versions of every training picture; 0 stands before a green screen."""
MARKER = "handbench_source.json"
LABEL_NAMES = ("K", "xyz", "verts", "scale", "mano")
MIN_SIZE, MAX_SIZE = 32, 2048
JPEG_QUALITY = 95
AHEAD = 64
"""Pictures that are rendered ahead of the one that is written, when there are several processes."""
DECIMALS = 7
"""Labels are rounded to a tenth of a micrometre."""


@dataclass(frozen=True)
class HandImage:
    """One annotation of the data set, with all its pictures.

    Attributes
    ----------
    images
        sRGB pictures (size, size, 3) uint8, one a version.
    mask
        (size, size) uint8, 255 where the hand itself is seen.
    camera
        (3, 3) intrinsics, pixels.
    keypoints
        (21, 3) metres, camera frame, canonical order.
    vertices
        (778, 3) metres, camera frame.
    """

    images: list[npt.NDArray[np.uint8]]
    mask: npt.NDArray[np.uint8]
    camera: Floats
    keypoints: Floats
    vertices: Floats


def evaluation_count(count: int) -> int:
    """Evaluation pictures that go with `count` training annotations: a quarter, at least one."""
    return max(1, count // 4)


def hand_images(
    seed: int,
    split: Split,
    size: int = 224,
    count: int | None = None,
    pool: Executor | None = None,
) -> Iterator[HandImage]:
    """Annotations of a split; annotation i depends on seed, split and size alone.

    Parameters
    ----------
    seed
        Seed of the data set, not negative.
    split
        Training (four versions of each picture) or evaluation (one).
    size
        Width and height, pixels.
    count
        How many; None never ends.
    pool
        Processes to render in, :data:`AHEAD` pictures at a time; in this one by default.
    """
    # Any version but 0 has a varied background, as all of FreiHAND's evaluation pictures have.
    versions = range(VERSIONS) if split is Split.TRAINING else range(VERSIONS, VERSIONS + 1)
    photograph = partial(_photograph, size=size, versions=versions)
    drawn = islice(pictures(seed, split, size), count)
    if pool is None:
        yield from map(photograph, drawn)
        return
    while batch := list(islice(drawn, AHEAD)):
        yield from pool.map(photograph, batch, chunksize=4)


def _photograph(picture: Picture, size: int, versions: range) -> HandImage:
    layer, labels = render(picture, size)
    images = [finish(layer, rng, v) for v, rng in zip(versions, picture.rng.spawn(len(versions)))]
    mask = (layer.hand * 255.0 + 0.5).astype(np.uint8)
    exact = Labels(labels.keypoints.round(DECIMALS), labels.vertices.round(DECIMALS))
    return HandImage(images, mask, picture.view.camera, exact.keypoints, exact.vertices)


def mano_vector(keypoints: Floats, camera: Floats) -> Floats:
    """FreiHAND's 61 numbers without pose and shape: 58 zeros, pixel of joint 9, f / z.

    They give back the root: ``xyz[9] = ((u - cx) / s, (v - cy) / s, f / s)`` with f the mean of
    fx and fy.

    Parameters
    ----------
    keypoints
        (21, 3) metres, camera frame.
    camera
        (3, 3) pixels.
    """
    x, y, z = keypoints[9]
    focal = 0.5 * (camera[0, 0] + camera[1, 1])
    vector = np.zeros(61)
    vector[60] = focal / z
    # With one focal length for both axes, or the root would come back a little beside itself.
    vector[58:60] = vector[60] * x + camera[0, 2], vector[60] * y + camera[1, 2]
    return vector


class _Labels:
    """The five JSON files of a split, written entry by entry so that memory stays small."""

    def __init__(self, folder: Path, split: str, stack: ExitStack) -> None:
        self.files: dict[str, BinaryIO] = {}
        for name in LABEL_NAMES:
            path = folder / f"{split}_{name}.json"
            self.files[name] = stack.enter_context(path.open("wb"))
        self.count = 0

    def add(self, hand: HandImage) -> None:
        entries: dict[str, Any] = {
            "K": hand.camera,
            "xyz": hand.keypoints,
            "verts": hand.vertices,
            "scale": float(np.linalg.norm(hand.keypoints[9] - hand.keypoints[10])),
            "mano": mano_vector(hand.keypoints, hand.camera)[None],
        }
        for name, file in self.files.items():
            file.write(b"[" if self.count == 0 else b", ")
            file.write(orjson.dumps(entries[name], option=orjson.OPT_SERIALIZE_NUMPY))
        self.count += 1

    def close(self) -> None:
        for file in self.files.values():
            file.write(b"]\n")


def write_sample_dataset(
    out_dir: Path,
    count: int = 64,
    seed: int = 0,
    size: int = 224,
    progress: bool = True,
    workers: int = 1,
) -> None:
    """Write a synthetic data set; the same arguments give the same bytes, whatever `workers` is.

    Parameters
    ----------
    out_dir
        New or empty folder.
    count
        Training annotations; each has four pictures. :func:`evaluation_count` more are written
        for evaluation.
    seed
        Not negative.
    size
        Width and height of the pictures, pixels, 32 to 2048.
    progress
        Show a bar when standard error is a terminal.
    workers
        Processes that render.

    Raises
    ------
    SourceError
        If `out_dir` exists and is not an empty folder.
    HandbenchError
        If a number is out of range, or the folder cannot be written.
    """
    if count < 1 or seed < 0 or not MIN_SIZE <= size <= MAX_SIZE:
        raise HandbenchError(
            f"a sample needs count ≥ 1, seed ≥ 0 and a size from {MIN_SIZE} to {MAX_SIZE}, "
            f"found count {count}, seed {seed}, size {size}"
        )
    out_dir = Path(out_dir).absolute()
    if out_dir == Path.cwd():
        # The finished folder takes its place by a rename, which would pull this one away.
        raise SourceError(
            f"expected a folder to create, found the current folder {out_dir}; name a new one"
        )
    if out_dir.exists() and not (out_dir.is_dir() and not any(out_dir.iterdir())):
        found = "a folder with files in it" if out_dir.is_dir() else "a file"
        raise SourceError(
            f"expected a new or empty folder at {out_dir}, found {found}; "
            "choose another name or remove it first"
        )
    evaluation = evaluation_count(count)
    bar = tqdm(
        total=count * VERSIONS + evaluation,
        unit="image",
        desc="sample",
        disable=None if progress else True,
    )
    try:
        with bar, _renderers(workers, count) as pool, atomic_path(out_dir) as folder:
            for split, number in ((Split.TRAINING, count), (Split.EVALUATION, evaluation)):
                hands = hand_images(seed, split, size, number, pool)
                _write_split(folder, split, number, hands, bar)
            write_json(folder / MARKER, _marker(count, evaluation, seed, size))
    except OSError as error:
        raise HandbenchError(
            f"cannot write the sample to {out_dir}: {error.strerror or error}; "
            "nothing was left there, choose another place or make room"
        ) from error


@contextmanager
def _renderers(workers: int, count: int) -> Iterator[Executor | None]:
    """Processes to render in, or None where starting them would cost more than it saves."""
    if workers < 2 or count < AHEAD:
        yield None
        return
    # Spawned, not forked: a fork of a process with threads may hang.
    pool = ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"))
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _write_split(
    folder: Path, split: Split, number: int, hands: Iterator[HandImage], bar: tqdm[Any]
) -> None:
    name = split.name.lower()
    (folder / name / "rgb").mkdir(parents=True)
    if split is Split.TRAINING:
        (folder / name / "mask").mkdir()
    with ExitStack() as stack:
        labels = _Labels(folder, name, stack)
        for k, hand in enumerate(hands):
            for version, image in enumerate(hand.images):
                path = folder / name / "rgb" / f"{k + number * version:08d}.jpg"
                Image.fromarray(image).save(path, quality=JPEG_QUALITY)
                bar.update()
            if split is Split.TRAINING:
                path = folder / name / "mask" / f"{k:08d}.jpg"
                Image.fromarray(hand.mask).save(path, quality=JPEG_QUALITY)
            labels.add(hand)
        labels.close()


def _marker(count: int, evaluation: int, seed: int, size: int) -> dict[str, Any]:
    """What the data set says about itself. No date: equal arguments give equal bytes."""
    return {
        "handbench_source": "sample",
        "handbench": __version__,
        "seed": seed,
        "count": count,
        "evaluation_count": evaluation,
        "size": size,
        "note": (
            "Synthetic right hand in the directory layout of FreiHAND v2; not FreiHAND. verts: "
            "778 points of handbench's own skin, in a fixed order. mano: pose and shape are "
            "zeros, only the root (pixel of joint 9, f / z) is meant."
        ),
    }
