"""Fake data in the FreiHAND v2 layout, written from the published facts alone.

Nothing of handbench is imported here: paths, orders and units are literals, so that the reader
and the data that tests it cannot share a mistake. Facts: lmb-freiburg/freihand (README,
view_samples.py) and the download page.
"""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from generators.pictures import FINGERS, drawn, jpeg
from PIL import Image, ImageDraw

SIZE = 224
FOCAL = 470.0
CARDBOARD = ((40, 110, 60), (90, 90, 110), (140, 110, 80), (70, 80, 140))  # a colour a version

# A right hand seen from its palm side, fingers up, in metres: x right, y down, z away from us.
# The thumb is then on the right. Directions of the metacarpals from the wrist, and bone lengths.
_DIRECTIONS = np.array([(0.75, -0.66), (0.27, -0.96), (0.02, -1.0), (-0.2, -0.98), (-0.4, -0.92)])
_LENGTHS = np.array(
    [
        (0.040, 0.036, 0.030, 0.024),
        (0.088, 0.038, 0.024, 0.019),
        (0.086, 0.042, 0.027, 0.020),
        (0.081, 0.038, 0.025, 0.019),
        (0.077, 0.031, 0.020, 0.017),
    ]
)


@dataclass
class FakeFreiHAND:
    """What was written, so that a test can compare without reading it back.

    Attributes
    ----------
    folder
        The unpacked tree.
    camera, xyz, verts, mano, scale
        Native split → labels, one row an annotation.
    versions
        Versions of the training images.
    """

    folder: Path
    versions: int
    camera: dict[str, npt.NDArray[np.float64]] = field(default_factory=dict)
    xyz: dict[str, npt.NDArray[np.float64]] = field(default_factory=dict)
    verts: dict[str, npt.NDArray[np.float64]] = field(default_factory=dict)
    mano: dict[str, npt.NDArray[np.float64]] = field(default_factory=dict)
    scale: dict[str, npt.NDArray[np.float64]] = field(default_factory=dict)

    def uv(self, native: str) -> npt.NDArray[np.float64]:
        """(L, 21, 2) px by the published formula p = K·xyz, p[:2] / p[2]."""
        return project(self.camera[native], self.xyz[native])


def project(
    camera: npt.NDArray[np.float64], xyz: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """(L, J, 2) px of (L, J, 3) m."""
    points = np.stack([(k @ hand.T).T for k, hand in zip(camera, xyz)])
    return points[..., :2] / points[..., 2:]


def right_hand(rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """(21, 3) m, wrist in the origin: fingers bent towards the palm, which faces the camera."""
    joints = np.zeros((21, 3))
    grown = rng.uniform(0.92, 1.08)
    for finger, chain in enumerate(FINGERS):
        forward = np.array([*_DIRECTIONS[finger], 0.0]) / np.linalg.norm(_DIRECTIONS[finger])
        bend, place = 0.0, np.zeros(3)
        for joint, length in zip(chain, _LENGTHS[finger] * grown):
            place = place + length * (np.cos(bend) * forward + np.sin(bend) * np.array([0, 0, -1]))
            joints[joint] = place
            bend += rng.uniform(0.15, 0.5)
    return joints


def seen_from_elsewhere(
    hand: npt.NDArray[np.float64], rng: np.random.Generator
) -> npt.NDArray[np.float64]:
    """The same hand rigidly turned, its middle MCP about 0.7 m before the camera."""
    rotation, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    rotation *= np.sign(np.linalg.det(rotation))
    place = np.array([rng.uniform(-0.02, 0.02), rng.uniform(-0.02, 0.02), rng.uniform(0.62, 0.8)])
    return (hand - hand[9]) @ rotation.T + place


def write_freihand(
    folder: Path,
    *,
    instants: tuple[int, ...] = (2, 1, 1, 2, 1, 1),
    evaluation: int = 8,
    versions: int = 4,
    training: bool = True,
    evaluation_labels: bool = True,
    masks: bool = True,
    marker: str | None = None,
    seed: int = 0,
) -> FakeFreiHAND:
    """Write a small unpacked FreiHAND v2.

    Parameters
    ----------
    folder
        Made if need be.
    instants
        Views of each moment of the training split; their sum is the number of annotations L.
    evaluation
        Evaluation images.
    versions
        Versions of each training image: L × versions images.
    training, evaluation_labels, masks
        Which parts to write; without `evaluation_labels` it is as before the second archive.
    marker
        Write a `handbench_source.json` that names this dataset.
    seed
        Of everything random.
    """
    rng = np.random.default_rng(seed)
    fake = FakeFreiHAND(folder, versions)
    folder.mkdir(parents=True, exist_ok=True)
    if training:
        hands = [
            seen_from_elsewhere(hand, rng)
            for views in instants
            for hand in [right_hand(rng)]
            for _ in range(views)
        ]
        _write_split(fake, "training", np.stack(hands), rng, versions, labelled=True)
        if masks:
            _write_masks(fake)
    if evaluation:
        hands = [seen_from_elsewhere(right_hand(rng), rng) for _ in range(evaluation)]
        _write_split(fake, "evaluation", np.stack(hands), rng, 1, labelled=evaluation_labels)
    if marker is not None:
        write_json(folder / "handbench_source.json", {"handbench_source": marker})
    return fake


def _write_split(
    fake: FakeFreiHAND,
    native: str,
    xyz: npt.NDArray[np.float64],
    rng: np.random.Generator,
    versions: int,
    *,
    labelled: bool,
) -> None:
    count = len(xyz)
    focal = FOCAL + rng.uniform(-20, 20, count)
    camera = np.zeros((count, 3, 3))
    camera[:, 0, 0], camera[:, 1, 1] = focal - 0.4, focal + 0.4
    camera[:, :2, 2], camera[:, 2, 2] = SIZE / 2, 1.0
    uv = project(camera, xyz)
    fake.camera[native], fake.xyz[native] = camera, xyz
    fake.scale[native] = np.linalg.norm(xyz[:, 9] - xyz[:, 10], axis=1)
    fake.verts[native] = xyz[:, rng.integers(0, 21, 778)] + rng.normal(0, 0.004, (count, 778, 3))
    root_scale = focal / xyz[:, 9, 2]
    fake.mano[native] = np.concatenate(
        [
            rng.normal(0, 0.4, (count, 48)),
            rng.normal(0, 0.8, (count, 10)),
            root_scale[:, None] * xyz[:, 9, :2] + SIZE / 2,
            root_scale[:, None],
        ],
        axis=1,
    )
    write_json(fake.folder / f"{native}_K.json", camera.tolist())
    write_json(fake.folder / f"{native}_scale.json", fake.scale[native].tolist())
    if labelled:
        write_json(fake.folder / f"{native}_xyz.json", xyz.tolist())
        # One list level more than needed, as published.
        write_json(
            fake.folder / f"{native}_mano.json", [[row] for row in fake.mano[native].tolist()]
        )
        write_json(fake.folder / f"{native}_verts.json", fake.verts[native].round(5).tolist())
    images = fake.folder / native / "rgb"
    images.mkdir(parents=True)
    for version in range(versions):
        for row in range(count):
            data = picture(uv[row], CARDBOARD[version])
            (images / f"{row + count * version:08d}.jpg").write_bytes(data)


def picture(uv: npt.NDArray[np.float64], background: tuple[int, int, int]) -> bytes:
    """JPEG of coloured fingers on a plain ground, about 6 kB."""
    return jpeg(drawn([uv], (SIZE, SIZE), background, line=9))


def _write_masks(fake: FakeFreiHAND) -> None:
    folder = fake.folder / "training" / "mask"
    folder.mkdir(parents=True)
    for row, uv in enumerate(fake.uv("training")):
        image = Image.new("L", (SIZE, SIZE), 0)
        draw = ImageDraw.Draw(image)
        for chain in FINGERS:
            draw.line([tuple(uv[joint]) for joint in (0, *chain)], fill=255, width=14)
        image.save(folder / f"{row:08d}.jpg", "JPEG", quality=75)


def zip_freihand(fake: FakeFreiHAND, folder: Path) -> tuple[Path, Path]:
    """Pack a tree as the two archives of the publisher, which have no top-level folder."""
    folder.mkdir(parents=True, exist_ok=True)
    both = ("evaluation_K.json", "evaluation_scale.json")
    second = (*both, "evaluation_xyz.json", "evaluation_verts.json", "evaluation_mano.json")
    first_path, second_path = folder / "FreiHAND_pub_v2.zip", folder / "FreiHAND_pub_v2_eval.zip"
    with (
        zipfile.ZipFile(first_path, "w") as first_zip,
        zipfile.ZipFile(second_path, "w") as second_zip,
    ):
        for path in sorted(fake.folder.rglob("*")):
            name = path.relative_to(fake.folder).as_posix()
            if path.is_file() and (name in both or name not in second):
                first_zip.write(path, name, zipfile.ZIP_DEFLATED)
            if name in second:
                second_zip.write(path, name, zipfile.ZIP_DEFLATED)
    return first_path, second_path


def read_json(path: Path) -> Any:
    """Parse a file with the standard library."""
    return json.loads(path.read_text(encoding="utf-8"))


def write_json(path: Path, value: Any) -> None:
    """Write a file with the standard library, which writes NaN as `NaN`."""
    path.write_text(json.dumps(value), encoding="utf-8")


def write_fake(folder: Path, name: str) -> list[str]:
    """A small dataset for the contract tests; returns what follows ``handbench convert NAME``.

    Parameters
    ----------
    folder
        Empty; paths in the words lie below it.
    name
        Dataset, where several share this layout.
    """
    marker = None if name == "freihand" else name
    return ["--source", str(write_freihand(folder / "data", marker=marker).folder)]
