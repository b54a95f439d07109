"""Fake data in the InterHand2.6M v1.0 layout, written from the published facts alone.

Nothing of handbench is imported here: paths, joint order and units are literals. Facts: the
dataset's home page and facebookresearch/InterHand2.6M (README, data/InterHand2.6M/dataset.py).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from generators.freihand import right_hand
from generators.pictures import drawn, jpeg

Floats = npt.NDArray[np.float64]

# native[i] = canonical[NATIVE[i]]: of each hand thumb tip to base, …, pinky tip to base, wrist.
NATIVE = (4, 3, 2, 1, 8, 7, 6, 5, 12, 11, 10, 9, 16, 15, 14, 13, 20, 19, 18, 17, 0)
BASE_TO_TIP = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 0)
CAMERAS = ("400262", "400298", "410001")  # landscape, portrait, landscape and grey
SEQUENCES = (
    ("0000_neutral_relaxed", "right"),
    ("0001_thumbup_left", "left"),
    ("0266_dh_pray", "interacting"),
)


@dataclass
class FakeInterHand:
    """What was written.

    Attributes
    ----------
    folder
        Holds ``images`` and ``annotations``.
    data, camera, joint_3d
        Native split → content of the file; change it and call :meth:`save`.
    uv, xyz
        (split/file name without extension, side) → (21, 2) px and (21, 3) m, canonical joints.
    """

    folder: Path
    data: dict[str, dict[str, Any]] = field(default_factory=dict)
    camera: dict[str, dict[str, Any]] = field(default_factory=dict)
    joint_3d: dict[str, dict[str, Any]] = field(default_factory=dict)
    uv: dict[tuple[str, str], Floats] = field(default_factory=dict)
    xyz: dict[tuple[str, str], Floats] = field(default_factory=dict)

    def path(self, split: str, what: str) -> Path:
        """Label file `what` (data, camera, joint_3d) of a split."""
        return self.folder / "annotations" / split / f"InterHand2.6M_{split}_{what}.json"

    def save(self, split: str) -> None:
        """Write the label files of a split again."""
        self.path(split, "data").parent.mkdir(parents=True, exist_ok=True)
        for what in ("data", "camera", "joint_3d"):
            text = json.dumps(getattr(self, what)[split])
            self.path(split, what).write_text(text, encoding="utf-8")


def write_interhand(
    folder: Path,
    *,
    captures: dict[str, int] | None = None,
    frames: int = 2,
    fault: str = "",
    seed: int = 0,
) -> FakeInterHand:
    """Write a small InterHand2.6M.

    Parameters
    ----------
    folder
        Made if need be.
    captures
        Native split → captures; each has three sequences, three cameras and `frames` frames.
    frames
        Of each sequence.
    fault
        One mistake: ``unit`` (metres), ``order`` (base to tip), ``side`` (left half first),
        ``mirror`` (cameras that see everything mirrored), ``opengl`` (y up, z backward).
    seed
        Of everything random.
    """
    rng = np.random.default_rng(seed)
    fake = FakeInterHand(folder)
    for split, count in (captures or {"train": 2, "val": 1, "test": 1}).items():
        fake.data[split] = {"images": [], "annotations": []}
        fake.camera[split], fake.joint_3d[split] = {}, {}
        for capture in range(count):
            _write_capture(fake, split, capture, frames, fault, rng)
        fake.save(split)
    return fake


def _write_capture(
    fake: FakeInterHand, split: str, capture: int, frames: int, fault: str, rng: np.random.Generator
) -> None:
    unit = 0.001 if fault == "unit" else 1.0
    cameras = {name: _camera(name, rng) for name in CAMERAS}
    facts: dict[str, Any] = {"campos": {}, "camrot": {}, "focal": {}, "princpt": {}}
    for name, (rotation, position, focal, middle) in cameras.items():
        turn = {"mirror": np.diag([-1.0, 1, 1]), "opengl": np.diag([1.0, -1, -1])}.get(fault)
        facts["campos"][name] = (position * unit).tolist()
        facts["camrot"][name] = (rotation if turn is None else turn @ rotation).tolist()
        facts["focal"][name], facts["princpt"][name] = focal.tolist(), middle.tolist()
    fake.camera[split][str(capture)] = facts
    moments = fake.joint_3d[split].setdefault(str(capture), {})
    for number, (sequence, kind) in enumerate(SEQUENCES):
        for step in range(frames):
            frame = 2000 + 100 * number + 6 * step
            hands = _hands(kind, rng)
            world, valid = np.ones((42, 3)), np.zeros((42, 1), dtype=bool)  # the sentinel (1, 1, 1)
            for side, hand in hands.items():
                half = 21 * (("left", "right") if fault == "side" else ("right", "left")).index(
                    side
                )
                order = BASE_TO_TIP if fault == "order" else NATIVE
                world[half : half + 21] = hand[list(order)] * unit
                valid[half : half + 21] = True
            moments[str(frame)] = {
                "world_coord": world.tolist(),
                "joint_valid": valid.tolist(),
                "hand_type": kind,
                "hand_type_valid": True,
            }
            for name, camera in cameras.items():
                _write_image(fake, split, (capture, sequence, frame, name), kind, hands, camera)


_Camera = tuple[Floats, Floats, Floats, Floats]


def _camera(name: str, rng: np.random.Generator) -> _Camera:
    """Rotation, position (mm), focal length and principal point (px), looking at the origin."""
    way = rng.normal(size=3)
    position = -way / np.linalg.norm(way) * rng.uniform(1150, 1250)
    forward = -position / np.linalg.norm(position)
    right = np.cross(rng.normal(size=3), forward)
    right /= np.linalg.norm(right)
    rotation = np.stack([right, np.cross(forward, right), forward])
    size = np.array(_size(name), dtype=float)
    focal = 1000 + rng.uniform(-20, 20, 2)
    return rotation, position, focal, size / 2 + rng.uniform(-4, 4, 2)


def _size(name: str) -> tuple[int, int]:
    """Width and height of a camera's images."""
    return (334, 512) if name == "400298" else (512, 334)


def _hands(kind: str, rng: np.random.Generator) -> dict[str, Floats]:
    """Side → (21, 3) mm in the world frame, canonical joints."""
    sides = ("right", "left") if kind == "interacting" else (kind,)
    hands = {}
    for side in sides:
        hand = right_hand(rng) * 1000
        hand = (hand - hand[9]) * (1.0 if side == "right" else np.array([-1.0, 1, 1]))
        rotation, _ = np.linalg.qr(rng.normal(size=(3, 3)))
        rotation *= np.sign(np.linalg.det(rotation))
        hands[side] = hand @ rotation.T + rng.uniform(-8, 8, 3)
    return hands


def _write_image(
    fake: FakeInterHand,
    split: str,
    what: tuple[int, str, int, str],
    kind: str,
    hands: dict[str, Floats],
    camera: _Camera,
) -> None:
    capture, sequence, frame, name = what
    rotation, position, focal, middle = camera
    width, height = _size(name)
    file_name = f"Capture{capture}/{sequence}/cam{name}/image{frame}.jpg"
    stem = f"{split}/{file_name.removesuffix('.jpg')}"
    seen, flags = [], np.zeros((42, 1), dtype=int)
    for side, hand in hands.items():
        xyz = (rotation @ (hand - position).T).T
        uv = xyz[:, :2] / xyz[:, 2:] * focal + middle
        fake.xyz[stem, side], fake.uv[stem, side] = xyz / 1000, uv
        seen.append(uv)
        start = 0 if side == "right" else 21
        flags[start : start + 21] = 1
    points = np.concatenate(seen)
    low, high = points.min(axis=0), points.max(axis=0)
    box = [*(low - 0.1 * (high - low)).tolist(), *(1.2 * (high - low)).tolist()]
    data = fake.data[split]
    number = 1000 + 7 * len(data["images"])
    data["images"].append(
        {
            "id": number,
            "file_name": file_name,
            "width": width,
            "height": height,
            "capture": capture,
            "subject": capture + 3,
            "seq_name": sequence,
            "camera": name,
            "frame_idx": frame,
        }
    )
    data["annotations"].append(
        {
            "id": number,
            "image_id": number,
            "bbox": box,
            "joint_valid": flags.tolist(),
            "hand_type": kind,
            "hand_type_valid": 1,
        }
    )
    path = fake.folder / "images" / split / file_name
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = drawn(seen, (width, height), (12, 12, 14))
    path.write_bytes(jpeg(picture.convert("L") if name.startswith("41") else picture))


def write_fake(folder: Path, name: str) -> list[str]:
    """A small dataset for the contract tests; returns what follows ``handbench convert NAME``.

    Parameters
    ----------
    folder
        Empty; paths in the words lie below it.
    name
        Dataset, where several share this layout.
    """
    return ["--source", str(write_interhand(folder / "data").folder)]
