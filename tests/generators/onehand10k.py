"""Fake OneHand10K in its original layout, written from the published facts alone.

Nothing of handbench is imported here: names, field order and the mark of unlabelled joints are
literals, so that the reader and the data that tests it cannot share a mistake.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from generators.freihand import right_hand, seen_from_elsewhere
from generators.pictures import FINGERS, drawn, jpeg
from PIL import Image, ImageDraw

TIP_TO_PALM = [0, 4, 3, 2, 1, 8, 7, 6, 5, 12, 11, 10, 9, 16, 15, 14, 13, 20, 19, 18, 17]

Fault = Literal["order", "axes", "units", "side"]


@dataclass
class FakeOneHand10K:
    """What was written.

    Attributes
    ----------
    folder
        The one that holds `Train` and `Test`.
    lines
        Native split → fields of its lines; change them and call :meth:`save`.
    uv
        ``Train/source/1`` → (21, 2) px, integers; NaN where unlabelled.
    mask_box
        ``Train/source/1`` → first and last column and row of the hand in its mask: x0, y0, x1, y1.
    """

    folder: Path
    lines: dict[str, list[list[object]]] = field(default_factory=dict)
    uv: dict[str, npt.NDArray[np.float64]] = field(default_factory=dict)
    mask_box: dict[str, tuple[int, int, int, int]] = field(default_factory=dict)

    def path(self, native: str) -> Path:
        """The label file of a native split."""
        return self.folder / native / "label_joint.txt"

    def save(self) -> None:
        """Write the label files again."""
        for native, lines in self.lines.items():
            text = "".join(",".join(map(str, fields)) + "\n" for fields in lines)
            self.path(native).write_text(text, "utf-8")


def write_onehand10k(
    folder: Path,
    *,
    train: int = 40,
    test: int = 12,
    masks: bool = True,
    whole: bool = False,
    fault: Fault | None = None,
    seed: int = 0,
) -> FakeOneHand10K:
    """Write photos of various sizes with one hand each.

    Parameters
    ----------
    folder
        Made if need be.
    train, test
        Photos; 0 leaves the split out.
    masks
        Write the masks too.
    whole
        Label all 21 joints; else every fifth photo lacks the wrist, and a few have two joints only.
    fault
        Write the labels wrongly: fingers tip to palm, x and y swapped, thousandths of the image
        instead of px, photos and labels of the other hand.
    seed
        Of the hands.
    """
    rng = np.random.default_rng(seed)
    fake = FakeOneHand10K(folder)
    for native, count in (("Train", train), ("Test", test)):
        if not count:
            continue
        (folder / native / "source").mkdir(parents=True)
        if masks:
            (folder / native / "mask").mkdir()
        fake.lines[native] = [
            _photo(fake, native, number, rng, masks=masks, whole=whole, fault=fault)
            for number in range(1, count + 1)
        ]
    fake.save()
    return fake


def _photo(
    fake: FakeOneHand10K,
    native: str,
    number: int,
    rng: np.random.Generator,
    *,
    masks: bool,
    whole: bool,
    fault: Fault | None,
) -> list[object]:
    """Write one photo and its mask; returns the fields of its line."""
    width, height = 238 + 7 * (number % 5), 358 - 11 * (number % 3)
    xyz = right_hand(rng)
    if fault == "side":
        xyz = xyz * [-1, 1, 1]
    xyz = seen_from_elsewhere(xyz, rng)
    uv = xyz[:, :2] / xyz[:, 2:]
    uv = (uv - uv.min(axis=0)) / np.ptp(uv, axis=0).max()
    uv = np.round((width * 0.45, 25) + 110 * uv)
    name = f"{native}/source/{number}"
    picture = drawn([uv], (width, height), (120, 100, 90))
    (fake.folder / f"{name}.jpg").write_bytes(jpeg(picture))
    if masks:
        grey, box = _mask(uv, width, height, rng)
        fake.mask_box[name] = box
        Image.fromarray(grey).save(fake.folder / native / "mask" / f"{number}.png")
    labelled = np.ones(21, dtype=bool)
    if not whole and number % 5 == 0:
        labelled[0] = False
    if not whole and number % 9 == 0:
        labelled[:] = False
        labelled[[0, 8]] = True
    fake.uv[name] = np.where(labelled[:, None], uv, np.nan)
    written = uv
    if fault == "order":
        written = uv[TIP_TO_PALM]
    if fault == "axes":
        written = uv[:, ::-1]
    if fault == "units":
        written = np.round(uv / 1000)
    written = np.where(labelled[:, None], written, -1)
    return [f"{number}.jpg", width, height, 1, *written.astype(int).ravel().tolist()]


def _mask(
    uv: npt.NDArray[np.float64], width: int, height: int, rng: np.random.Generator
) -> tuple[npt.NDArray[np.uint8], tuple[int, int, int, int]]:
    """A grey mask that is no clean binary (hand 90 to 120, ground 0 to 3) and the hand's extent."""
    image = Image.new("L", (width, height), 0)
    draw = ImageDraw.Draw(image)
    for chain in FINGERS:
        draw.line([tuple(uv[joint]) for joint in (0, *chain)], fill=255, width=15)
    hand = np.asarray(image) > 0
    ground = rng.integers(0, 4, hand.shape)
    grey = np.where(hand, rng.integers(90, 121, hand.shape), ground).astype(np.uint8)
    rows, columns = np.flatnonzero(hand.any(axis=1)), np.flatnonzero(hand.any(axis=0))
    return grey, (int(columns[0]), int(rows[0]), int(columns[-1]), int(rows[-1]))


def write_fake(folder: Path, name: str) -> list[str]:
    """A small dataset for the contract tests; returns what follows ``handbench convert NAME``.

    Parameters
    ----------
    folder
        Empty; paths in the words lie below it.
    name
        Dataset, where several share this layout.
    """
    return ["--source", str(write_onehand10k(folder / "data").folder)]
