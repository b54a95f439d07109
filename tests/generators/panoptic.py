"""Fake data in the layout of CMU Panoptic HandDB, written from the published facts alone.

Nothing of handbench is imported here. Facts: the public loaders of the three parts (`hand_pts`,
`is_left`, `joint_self`, `img_paths`) and the file names of MPII photos and sign language videos.
"""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from generators.freihand import picture, project, right_hand, seen_from_elsewhere, write_json

# MPII photos, one of them with two people, and a video. The draw of the `val` cut is below 0.05 for
# the photo 000015022 only.
TRAIN = (
    *("000015022_01_l", "000015022_01_r", "000015022_02_r"),
    *("000015774_01_l", "000015774_01_r", "000015775_02_l"),
    *("ex2_2.flv_000040_l", "ex2_2.flv_000040_r", "ex2_2.flv_000080_r"),
)
TEST = tuple(f"{16000 + i:09d}_01_{side}" for i in range(5) for side in "lr")
LEFT_TO_RIGHT = np.array([-1.0, 1.0, 1.0])
TIP_TO_PALM = (0, 4, 3, 2, 1, 8, 7, 6, 5, 12, 11, 10, 9, 16, 15, 14, 13, 20, 19, 18, 17)


@dataclass
class FakePanoptic:
    """What was written.

    Attributes
    ----------
    folder
        Holds `hand_labels`, `hand_labels_synth` and `hand143_panopticdb`.
    uv
        Image below `folder` without extension → (21, 2) px, canonical order.
    is_left
        The same → whether it was written as a left hand; absent where nobody says.
    """

    folder: Path
    uv: dict[str, npt.NDArray[np.float64]] = field(default_factory=dict)
    is_left: dict[str, bool] = field(default_factory=dict)


def write_panoptic(
    folder: Path,
    *,
    train: Sequence[str] = TRAIN,
    test: Sequence[str] = TEST,
    synthetic: tuple[int, int, int, int] = (2, 3, 1, 1),
    multiview: int = 6,
    order: Sequence[int] = tuple(range(21)),
    mirror_sides: bool = False,
    seed: int = 0,
) -> FakePanoptic:
    """Write small parts; 0 or () leaves one out.

    Parameters
    ----------
    folder
        Made if need be.
    train, test
        Names of the manual labels.
    synthetic
        Images of synth1 to synth4; those of synth1 have 16 points only.
    multiview
        Images of hand143_panopticdb.
    order
        A fault: ``written[i] = canonical[order[i]]``.
    mirror_sides
        A fault: `is_left` says the opposite of the file name.
    seed
        Of the hands.
    """
    rng = np.random.default_rng(seed)
    fake = FakePanoptic(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for part, names in (("manual_train", train), ("manual_test", test)):
        frames: dict[str, bytes] = {}
        for name in names:
            left = name.endswith("_l")
            key = f"hand_labels/{part}/{name}"
            uv = _hand(rng, left)
            # The files of both hands of one frame hold the same picture.
            data = frames.setdefault(name.rpartition("_")[0], picture(uv, (80, 100, 120)))
            label = {
                "hand_pts": _points(uv, order),
                "hand_box_center": uv.mean(axis=0).tolist(),
                "is_left": int(left != mirror_sides),
                "version": "1.0",
            }
            if name[0].isdecimal():
                label |= {"mpii_image": f"{name[:9]}.jpg", "mpii_annorect_idx": int(name[10:12])}
            _write(fake, key, uv, data, label)
            fake.is_left[key] = left
    for number, count in enumerate(synthetic, start=1):
        for row in range(count):
            key = f"hand_labels_synth/synth{number}/{row:04d}"
            uv = _hand(rng, row % 2 == 1)
            points = _points(uv, order)
            label = {"hand_pts": points[:16] if number == 1 else points, "is_left": row % 2}
            _write(fake, key, uv, picture(uv, (60, 60, 60)), label)
            fake.is_left[key] = row % 2 == 1
    if multiview:
        _write_multiview(fake, multiview, order, rng)
    return fake


def _hand(rng: np.random.Generator, left: bool) -> npt.NDArray[np.float64]:
    """(21, 2) px of a hand in a picture of 224×224."""
    hand = right_hand(rng) * (LEFT_TO_RIGHT if left else 1.0)
    camera = np.array([[470.0, 0, 112], [0, 470.0, 112], [0, 0, 1]])
    return project(camera[None], seen_from_elsewhere(hand, rng)[None])[0]


def _points(uv: npt.NDArray[np.float64], order: Sequence[int]) -> list[list[float]]:
    """21 × x, y, flag."""
    return [[float(x), float(y), 1.0] for x, y in uv[list(order)]]


def _write(
    fake: FakePanoptic, key: str, uv: npt.NDArray[np.float64], image: bytes, label: dict[str, Any]
) -> None:
    path = fake.folder / f"{key}.jpg"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(image)
    write_json(fake.folder / f"{key}.json", label)
    fake.uv[key] = uv


def _write_multiview(
    fake: FakePanoptic, count: int, order: Sequence[int], rng: np.random.Generator
) -> None:
    root = []
    (fake.folder / "hand143_panopticdb" / "imgs").mkdir(parents=True)
    for row in range(count):
        uv = _hand(rng, row % 2 == 1)
        name = f"imgs/{row:08d}.jpg"
        (fake.folder / "hand143_panopticdb" / name).write_bytes(picture(uv, (140, 120, 90)))
        fake.uv[f"hand143_panopticdb/imgs/{row:08d}"] = uv
        root.append(
            {
                "dataset": "hands_v143",
                "isValidation": 0.0,
                "img_paths": name,
                "img_width": 224,
                "img_height": 224,
                "objpos": uv.mean(axis=0).tolist(),
                "joint_self": _points(uv, order),
                "scale_provided": 0.5,
                "annolist_index": row + 1,
                "people_index": 1,
                "numOtherPeople": 0,
            }
        )
    write_json(fake.folder / "hand143_panopticdb" / "hands_v143_14817.json", {"root": root})


def zip_panoptic(fake: FakePanoptic, folder: Path) -> Path:
    """Pack the manual and synthetic parts as the publisher does; returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for part in ("hand_labels", "hand_labels_synth"):
        with zipfile.ZipFile(folder / f"{part}.zip", "w") as archive:
            for path in sorted((fake.folder / part).rglob("*.*")):
                archive.write(path, path.relative_to(fake.folder).as_posix())
    return folder


def write_fake(folder: Path, name: str) -> list[str]:
    """A small dataset for the contract tests; returns what follows ``handbench convert NAME``.

    Parameters
    ----------
    folder
        Empty; paths in the words lie below it.
    name
        Dataset, where several share this layout.
    """
    return ["--source", str(write_panoptic(folder / "data").folder)]
