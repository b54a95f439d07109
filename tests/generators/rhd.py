"""Fake data in the layout of RHD_published_v2, written from the published facts alone.

Nothing of handbench is imported here: paths, orders, units and labels are literals. Facts: the
dataset's page and readme; lmb-freiburg/hand3d (create_binary_db.py, data/BinaryDbReader.py).
"""

from __future__ import annotations

import pickle
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from generators.freihand import project, right_hand
from generators.pictures import FINGERS, drawn
from PIL import Image, ImageDraw

SIZE = 320
# Each finger is published tip first; the wrist stays in front.
TIP_TO_PALM = (0, 4, 3, 2, 1, 8, 7, 6, 5, 12, 11, 10, 9, 16, 15, 14, 13, 20, 19, 18, 17)
LABELS = ({"first": 2, "palm": 17}, {"first": 18, "palm": 33})  # left, right; person is 1
FAULTS = ("opengl", "upside down", "mirrored", "base to tip", "mm", "right first")


@dataclass
class FakeRHD:
    """What was written, in canonical joints; the first axis of a hand pair is left, right.

    Attributes
    ----------
    folder
        ``RHD_published_v2``.
    records
        Native split → what its pickle holds; change it and call :meth:`save`.
    xyz, uv, vis, camera
        Native split → (N, 2, 21, 3) m, (N, 2, 21, 2) px, (N, 2, 21) bool, (N, 3, 3), as stored:
        rounded to four digits.
    """

    folder: Path
    records: dict[str, dict[Any, Any]] = field(default_factory=dict)
    xyz: dict[str, npt.NDArray[np.float64]] = field(default_factory=dict)
    uv: dict[str, npt.NDArray[np.float64]] = field(default_factory=dict)
    vis: dict[str, npt.NDArray[np.bool_]] = field(default_factory=dict)
    camera: dict[str, npt.NDArray[np.float64]] = field(default_factory=dict)

    def save(self, native: str = "evaluation", protocol: int = 2) -> None:
        """Write a split's pickle again."""
        path = self.folder / native / f"anno_{native}.pickle"
        path.write_bytes(pickle.dumps(self.records[native], protocol=protocol))


def write_rhd(
    folder: Path,
    *,
    training: int = 6,
    evaluation: int = 12,
    masks: bool = True,
    fault: str | None = None,
    seed: int = 0,
) -> FakeRHD:
    """Write a small unpacked RHD.

    Image 0 shows both hands, image 1 the left one (the right one lies behind the camera), image 2
    the right one (the left one is far outside), image 3 both, the left one behind the body, image
    4 both, the right one cut by the border; then it begins anew.

    Parameters
    ----------
    folder
        Where ``RHD_published_v2`` is made.
    training, evaluation
        Images of each split; 0 leaves it out.
    masks
        Write the label images.
    fault
        One of `FAULTS`: what somebody who writes such a file gets wrong.
    seed
        Of everything random.
    """
    rng = np.random.default_rng(seed)
    fake = FakeRHD(folder / "RHD_published_v2")
    for native, count in (("training", training), ("evaluation", evaluation)):
        if count:
            _write_split(fake, native, count, rng, masks, fault)
    return fake


def _write_split(
    fake: FakeRHD,
    native: str,
    count: int,
    rng: np.random.Generator,
    masks: bool,
    fault: str | None,
) -> None:
    xyz = four_digits(np.stack([_two_hands(row % 5, rng) for row in range(count)]))
    focal = rng.uniform(260, 310, count).round(1)
    camera = np.zeros((count, 3, 3))
    camera[:, 0, 0] = camera[:, 1, 1] = focal
    camera[:, :2, 2], camera[:, 2, 2] = SIZE / 2, 1
    camera = camera.astype(np.float32).astype(np.float64)
    uv = four_digits(project(camera, xyz.reshape(count, 42, 3)).reshape(count, 2, 21, 2))
    vis = ((uv >= 0) & (uv < SIZE)).all(axis=-1) & (xyz[..., 2] > 0)
    vis[3::5, 0] = False  # behind the body
    vis[0::5, 1, 4] = False  # a thumb tip behind the other arm
    fake.xyz[native], fake.uv[native], fake.vis[native] = xyz, uv, vis
    fake.camera[native] = camera
    (fake.folder / native / "color").mkdir(parents=True)
    if masks:
        (fake.folder / native / "mask").mkdir()
    for row in range(count):
        seen = [hand for hand, flags in zip(uv[row], vis[row]) if flags.any()]
        picture = drawn(seen, (SIZE, SIZE), (70, 80, 90))
        picture.save(fake.folder / native / "color" / f"{row:05d}.png")
        if masks:
            _mask(uv[row], vis[row]).save(fake.folder / native / "mask" / f"{row:05d}.png")
    fake.records[native] = {
        row: _record(xyz[row], uv[row], vis[row], camera[row], fault) for row in range(count)
    }
    fake.save(native)


def four_digits(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Values as the files keep them: four significant digits, then float32."""
    size = np.where(values == 0, 1, np.abs(values))
    step = 10 ** (np.floor(np.log10(size)) - 3)
    rounded = np.round(values / step) * step
    return rounded.astype(np.float32).astype(np.float64)


def _two_hands(kind: int, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """(2, 21, 3) m, camera frame: left, right."""
    mirror = np.array([-1.0, 1.0, 1.0])
    hands = [right_hand(rng) * mirror, right_hand(rng)]
    places = [np.array([-0.13, 0.02, 0.55]), np.array([0.13, -0.02, 0.6])]
    if kind == 1:
        places[1] = np.array([0.4, 0.5, -0.05])
    if kind == 2:
        places[0] = np.array([-0.9, 0.3, 0.35])
    if kind == 4:
        places[1] = np.array([0.28, 0.0, 0.5])
    placed = []
    for hand, place in zip(hands, places):
        rotation, _ = np.linalg.qr(rng.normal(size=(3, 3)))
        rotation *= np.sign(np.linalg.det(rotation))
        placed.append((hand - hand[9]) @ rotation.T + place)
    return np.stack(placed)


def _record(
    xyz: npt.NDArray[np.float64],
    uv: npt.NDArray[np.float64],
    vis: npt.NDArray[np.bool_],
    camera: npt.NDArray[np.float64],
    fault: str | None,
) -> dict[str, npt.NDArray[np.float32]]:
    xyz, uv = xyz.copy(), uv.copy()
    if fault == "opengl":
        xyz *= (1, -1, -1)
    if fault == "upside down":
        xyz *= (1, -1, 1)
    if fault == "mirrored":
        xyz *= (-1, 1, 1)
        uv[..., 0] = SIZE - uv[..., 0]
    if fault == "mm":
        xyz *= 1000
    sides = (1, 0) if fault == "right first" else (0, 1)
    order = list(range(21) if fault == "base to tip" else TIP_TO_PALM)
    uv_vis = np.concatenate([uv, vis[..., None]], axis=-1)
    return {
        "xyz": np.concatenate([xyz[side, order] for side in sides]).astype(np.float32),
        "uv_vis": np.concatenate([uv_vis[side, order] for side in sides]).astype(np.float32),
        "K": camera.astype(np.float32),
    }


def _mask(uv: npt.NDArray[np.float64], vis: npt.NDArray[np.bool_]) -> Image.Image:
    """Background 0, person 1, then for each hand three segments a finger, tip to palm, and palm."""
    image = Image.new("L", (SIZE, SIZE), 0)
    draw = ImageDraw.Draw(image)
    draw.rectangle((110, 0, 210, SIZE), fill=1)
    for points, seen, labels in zip(uv, vis, LABELS):
        if not seen.any():
            continue
        for finger, chain in enumerate(FINGERS):
            draw.line([tuple(points[0]), tuple(points[chain[0]])], fill=labels["palm"], width=9)
            for segment in range(3):
                a, b = chain[3 - segment], chain[2 - segment]
                label = labels["first"] + 3 * finger + segment
                draw.line([tuple(points[a]), tuple(points[b])], fill=label, width=9)
    return image


def zip_rhd(fake: FakeRHD, path: Path) -> Path:
    """Pack the tree with its top folder."""
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(fake.folder.rglob("*")):
            if file.is_file():
                archive.write(file, file.relative_to(fake.folder.parent).as_posix())
    return path


def write_fake(folder: Path, name: str) -> list[str]:
    """A small dataset for the contract tests; returns what follows ``handbench convert NAME``.

    Parameters
    ----------
    folder
        Empty; paths in the words lie below it.
    name
        Dataset, where several share this layout.
    """
    return ["--source", str(write_rhd(folder / "data").folder)]
