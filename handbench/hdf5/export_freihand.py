"""A converted file in FreiHAND v2's directory layout.

``training/rgb/%08d.jpg`` (train and val together), ``evaluation/rgb/%08d.jpg`` (test), and lists
with one entry an annotation: ``*_K.json``, ``*_xyz.json`` (m), ``*_scale.json`` (m), and where the
file has them ``*_verts.json``, ``*_mano.json`` and masks. Reference: lmb-freiburg/freihand (README,
view_samples.py). What has no place there stands in ``handbench_*.json``, one entry an image.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from handbench.errors import FormatError, HandbenchError
from handbench.files import write_json
from handbench.hdf5.export_folder import Exported, Job, export_to_folder, terms, write_list
from handbench.hdf5.export_rows import BLOCK_ROWS, Rows, row_of
from handbench.hdf5.reader import HandFile
from handbench.images import decode, decode_mask, encode_jpeg
from handbench.sources import manifest as manifests

_NATIVE = {"train": "training", "val": "training", "test": "evaluation"}
_MOST_VERSIONS = 4
_SCALE_BONE = (9, 10)
"""Joints of the middle proximal phalanx, whose length FreiHAND calls scale."""
_MANO = ("mano_pose", "mano_shape", "mano_trans")
_MANO_MEANING = {"mano_pose": ("flat_hand_mean", False), "mano_trans": ("root_joint", 9)}
_LEFT_OUT = frozenset(
    {"camera", "keypoints_3d", "scale", "vertices", "heatmaps", "image_size", *_MANO}
)
_CENTRE_TOLERANCE_PX = 1e-3

Floats = npt.NDArray[np.float64]


@dataclass
class _Native:
    """What becomes one native split.

    Attributes
    ----------
    name
        ``training`` or ``evaluation``.
    parts
        The splits it is made of.
    part, row
        (n,) which part, and which of its rows, image 0, 1, 2, … shows.
    annotations
        Entries of the label lists: images i, i + annotations, … are versions of one.
    camera, scale
        (n, 3, 3) px, (n,) m.
    points
        (n, 21, 3) float32 m, or None where nothing is labelled.
    as_born
        The principal point is half the image size, as in FreiHAND v2.
    """

    name: str
    parts: list[Rows]
    part: npt.NDArray[np.intp]
    row: npt.NDArray[np.intp]
    annotations: int
    camera: Floats
    scale: Floats
    points: npt.NDArray[np.float32] | None
    as_born: bool

    def has(self, *columns: str) -> bool:
        """Whether every part holds all of `columns`."""
        return all(part.split.has(name) for part in self.parts for name in columns)

    def chunks(self, count: int) -> Iterator[tuple[Rows, npt.NDArray[np.intp]]]:
        """Rows of the first `count` images in their order, in runs that stay within one part."""
        for start in range(0, count, BLOCK_ROWS):
            part = self.part[start : min(start + BLOCK_ROWS, count)]
            row = self.row[start : start + len(part)]
            for run in np.split(np.arange(len(part)), np.flatnonzero(np.diff(part)) + 1):
                yield self.parts[part[run[0]]], row[run]

    def values(self, column: str, count: int) -> Iterator[Any]:
        """The column's values for the first `count` images, one by one."""
        for part, rows in self.chunks(count):
            yield from part.take(column, rows)


def export_freihand(
    file: HandFile,
    out: Path,
    splits: Sequence[str] | None = None,
    *,
    overwrite: bool = False,
    progress: bool = False,
) -> Exported:
    """Write the FreiHAND v2 layout.

    JPEG bytes stay as they are; other images become JPEG of quality 95. Needs 3D joints and a
    camera for every hand. See :func:`handbench.hdf5.export_folder.export_to_folder` for the
    parameters and what is raised.
    """
    return export_to_folder(
        file, out, "freihand", _write, splits, overwrite=overwrite, progress=progress
    )


def _write(job: Job) -> None:
    foreign = [split.name for split in job.splits if split.name not in _NATIVE]
    if foreign:
        raise FormatError(
            f"{job.file.path}: FreiHAND's layout holds train, val and test, but no split "
            f"{foreign[0]!r}: name the others with --split, or export coco"
        )
    found: dict[str, list[Rows]] = {}
    for split in job.splits:
        found.setdefault(_NATIVE[split.name], []).append(Rows(job.file, split))
    # All are looked at before the first image is written.
    natives = [_gathered(job, name, parts) for name, parts in found.items()]
    for native in natives:
        _write_images(job, native)
        _write_labels(job, native)
        _write_masks(job, native)
        with job.new_file(f"handbench_{native.name}.json") as stream:
            write_list(stream, _rest(native))
    marker = _marker(job.file, as_born=all(native.as_born for native in natives))
    if marker:
        write_json(job.folder / "handbench_source.json", marker)


def _marker(file: HandFile, *, as_born: bool) -> dict[str, Any]:
    """What the folder calls itself, so that another dataset can never pass for FreiHAND.

    A dataset that is not in this layout by birth, or whose images were cut since, gets a name that
    none has, and its terms (:mod:`handbench.sources.freihand_export`). Empty for FreiHAND itself.
    """
    name = file.dataset.removesuffix("-subset")
    if as_born and name in manifests.names() and manifests.load(name).reader == "freihand":
        return {} if name == "freihand" else {"handbench_source": name}
    said = {**terms(file), "citation": str(file.attributes.get("citation", ""))}
    del said["dataset"]
    return {
        "handbench_source": f"{file.dataset.removesuffix('-export')}-export",
        "handbench_export": said,
    }


# --- finding out what there is ---------------------------------------------------------------


def _gathered(job: Job, name: str, parts: list[Rows]) -> _Native:
    camera, points = _labels(job, name, parts)
    part, row, own_numbers = _numbered(job, name, parts)
    begin = np.cumsum([0, *map(len, parts)])[part] + row
    camera = camera[begin]
    points = None if points is None else points[begin]
    scale = _scale(job, name, parts, points, begin)
    as_born = _say_what_readers_expect(job, name, parts, camera)
    count = len(camera)
    if name == "training" and own_numbers and points is not None:
        count = _annotations(camera, scale, points)
    return _Native(name, parts, part, row, count, camera, scale, points, as_born)


def _labels(
    job: Job, name: str, parts: list[Rows]
) -> tuple[Floats, npt.NDArray[np.float32] | None]:
    """Cameras and 3D joints of all parts, one after another."""
    for part in parts:
        split = part.split
        if not split.has("camera") or not np.isfinite(split.column("camera")).all():
            raise FormatError(
                f"expected a camera for every hand of {split.name} in {job.file.path}, found none "
                "for some: FreiHAND's layout cannot hold them; export coco"
            )
        labelled = split.column("valid_3d").all(axis=1)
        without = int((~labelled).sum())
        # The public evaluation split came without labels for years: that is a FreiHAND too.
        unlabelled = name == "evaluation" and not split.column("valid_3d").any()
        if without and not unlabelled:
            raise FormatError(
                f"expected 21 joints in 3D for every hand of {split.name} in {job.file.path}, "
                f"found {without:,} of {len(split):,} hands without: FreiHAND's layout cannot hold "
                "them; export coco, or convert with --min-valid 21"
            )
    camera = np.concatenate([part.split.column("camera") for part in parts])
    if not parts[0].split.column("valid_3d").any():
        return camera, None
    points = np.concatenate([part.split.column("keypoints_3d") for part in parts])
    return camera, points


def _numbered(
    job: Job, name: str, parts: list[Rows]
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], bool]:
    """Part and row of image 0, 1, 2, …, and whether these are FreiHAND's own numbers.

    They are where the numbers in the sample ids are complete.
    """
    part = np.repeat(np.arange(len(parts)), list(map(len, parts)))
    row = np.concatenate([np.arange(len(rows)) for rows in parts])
    numbers = []
    own = re.compile(rf"{name}/(\d{{8}})")
    for rows in parts:
        matches = [own.fullmatch(text) for text in rows.split.column("sample_id").tolist()]
        numbers += [-1 if match is None else int(match[1]) for match in matches]
    order = np.argsort(numbers, kind="stable")
    if np.array_equal(np.array(numbers)[order], np.arange(len(numbers))):
        return part[order], row[order], True
    job.notes.append(
        f"{name}: images are numbered in the order of the file; handbench_{name}.json has their "
        "sample ids"
    )
    return part, row, False


def _scale(
    job: Job,
    name: str,
    parts: list[Rows],
    points: npt.NDArray[np.float32] | None,
    order: npt.NDArray[np.intp],
) -> Floats:
    if all(part.split.has("scale") for part in parts):
        scale: Floats = np.concatenate([part.split.column("scale") for part in parts])[order]
        if np.isfinite(scale).all():
            return scale
    if points is None:
        raise FormatError(
            f"expected a scale for every hand in {job.file.path}, found none, and no 3D joints to "
            f"measure: FreiHAND's layout cannot hold {name}; export coco"
        )
    proximal, distal = (points[:, joint].astype(np.float64) for joint in _SCALE_BONE)
    measured: Floats = np.linalg.norm(distal - proximal, axis=1)
    return measured


def _say_what_readers_expect(job: Job, name: str, parts: list[Rows], camera: Floats) -> bool:
    """Readers of FreiHAND take some things for granted; returns whether the camera is as there."""
    others = sum(int((part.split.column("is_right") != 1).sum()) for part in parts)
    flipped = sum(int(part.split.column("mirrored").sum()) for part in parts)
    if others - flipped > 0:
        job.notes.append(
            f"{name}: {others - flipped:,} hands are left hands or of unknown side, but readers of "
            "FreiHAND take every hand for a right one"
        )
    sizes = np.unique(np.concatenate([part.split.column("image_size") for part in parts]), axis=0)
    height, width = sizes[0]
    off = np.abs(camera[:, :2, 2] - np.array([width, height]) / 2).max() > _CENTRE_TOLERANCE_PX
    if len(sizes) > 1 or off:
        job.notes.append(
            f"{name}: the principal point is not half the image size as in FreiHAND v2: "
            "other readers may expect it there"
        )
        return False
    return True


def _annotations(camera: Floats, scale: Floats, points: npt.NDArray[np.float32]) -> int:
    """How many entries the lists need: images i, i + L, … are versions with the same labels."""
    total = len(camera)
    for versions in range(_MOST_VERSIONS, 1, -1):
        if total % versions:
            continue
        count = total // versions
        labels = (values.reshape(versions, count, -1) for values in (scale, camera, points))
        if all((values == values[:1]).all() for values in labels):
            return count
    return total


# --- writing it --------------------------------------------------------------------------------


def _write_images(job: Job, native: _Native) -> None:
    encoded = 0
    for number, (part, row) in enumerate(zip(native.part, native.row)):
        rows = native.parts[part]
        data, suffix = rows.image(int(row))
        if suffix != "jpg":
            where = f"{job.file.path}: {rows.split.name}, row {row}"
            data = encode_jpeg(decode(data, where))
            encoded += 1
        job.write_image(f"{native.name}/rgb/{number:08d}.jpg", data, native.name)
    if encoded:
        job.notes.append(
            f"{native.name}: {encoded:,} images were no JPEG and have been encoded as such "
            "(quality 95): their pixels differ a little"
        )


def _write_labels(job: Job, native: _Native) -> None:
    count = native.annotations
    lists: dict[str, Iterator[Any]] = {
        "K": (matrix.tolist() for matrix in native.camera[:count]),
        "scale": iter(native.scale[:count].tolist()),
    }
    if native.points is not None:
        # float64 of exactly the same value: readers in either precision see the same hand.
        lists["xyz"] = (hand.tolist() for hand in native.points[:count])
        if native.has("vertices"):
            lists["verts"] = (mesh.tolist() for mesh in native.values("vertices", count))
        mano = _mano(job, native)
        if mano is not None:
            lists["mano"] = ([row.tolist()] for row in mano)
    for name, values in lists.items():
        with job.new_file(f"{native.name}_{name}.json") as stream:
            write_list(stream, values)


def _mano(job: Job, native: _Native) -> Floats | None:
    """(L, 61): pose 48, shape 10, and u, v, s with the root joint at ((u-cx)/s, (v-cy)/s, f/s)."""
    if not native.has(*_MANO):
        return None
    for column, (attribute, value) in _MANO_MEANING.items():
        if any(rows.split.attributes(column).get(attribute) != value for rows in native.parts):
            job.notes.append(
                f"{native.name}: MANO parameters are left out: FreiHAND's have another meaning "
                f"({attribute} {value})"
            )
            return None
    count = native.annotations
    columns = [np.array(list(native.values(name, count)), dtype=np.float64) for name in _MANO]
    pose, shape, root = columns
    camera = native.camera[:count]
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = (camera[:, 0, 0] + camera[:, 1, 1]) / 2 / root[:, 2]
        centre = camera[:, :2, 2] + root[:, :2] * scale[:, None]
    mano = np.concatenate([pose, shape, centre, scale[:, None]], axis=1)
    if not np.isfinite(mano).all():
        job.notes.append(f"{native.name}: MANO parameters are left out: some hands have none")
        return None
    return mano


def _write_masks(job: Job, native: _Native) -> None:
    if not all(rows.has_masks for rows in native.parts):
        return
    for number in range(native.annotations):
        rows = native.parts[native.part[number]]
        where = f"{job.file.path}: {rows.split.name}, mask of row {native.row[number]}"
        job.write_mask(
            f"{native.name}/mask/{number:08d}.jpg",
            _jpeg_mask(rows.mask(int(native.row[number])), where),
        )


def _jpeg_mask(data: bytes, where: str) -> bytes:
    """A mask as JPEG, as FreiHAND has them: readers cut at 128, which must give it back."""
    mask = decode_mask(data, where)
    grey = mask.astype(np.uint8) * np.uint8(255)
    encoded = encode_jpeg(np.repeat(grey[..., None], 3, axis=-1))
    if not np.array_equal(decode_mask(encoded, where), mask):
        raise HandbenchError(f"{where}: a JPEG cannot hold this mask; convert without --with mask")
    return encoded


def _rest(native: _Native) -> Iterator[dict[str, Any]]:
    """What FreiHAND's files do not say, of every image."""
    for part, rows in native.chunks(len(native.row)):
        names = [name for name in part.split.names if name not in _LEFT_OUT]
        columns = {name: part.take(name, rows) for name in names}
        for at in range(len(rows)):
            yield {"split": part.split.name, **row_of(columns, at)}
