"""A converted file as COCO keypoints JSON with a folder of images.

The layout is that of https://cocodataset.org/#format-data. Camera (``cam_param``) and 3D
(``joint_cam``, mm) are the additions in common use for hands, which ``handbench convert coco``
reads. What has no place there stands in fields whose names begin with ``handbench_``; the object
``handbench`` lists them for :mod:`handbench.sources.coco_export`.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from handbench.files import to_json
from handbench.hand import BONES, JOINT_NAMES, OCCLUDED, VISIBILITY_UNKNOWN
from handbench.hdf5.export_folder import (
    Exported,
    Job,
    export_to_folder,
    safe_name,
    split_facts,
    terms,
    write_list,
)
from handbench.hdf5.export_rows import Columns, Rows, plain
from handbench.hdf5.reader import HandFile, SplitReader
from handbench.hdf5.tolerance import reprojection_tolerance_px
from handbench.provenance import provenance

_HELD = frozenset(
    {
        *("image_size", "keypoints_2d", "valid_2d", "valid_3d", "visibility", "bbox", "is_right"),
        *("keypoints_3d", "mirrored"),
    }
)
"""Columns that COCO's own fields hold, as far as they can."""
_LEFT_OUT = frozenset({"heatmaps"})
_SIDES = {1: "right", 0: "left"}
_NATIVE_ID = re.compile(r"0|[1-9]\d{0,14}")


def export_coco(
    file: HandFile,
    out: Path,
    splits: Sequence[str] | None = None,
    *,
    overwrite: bool = False,
    progress: bool = False,
) -> Exported:
    """Write ``images/<sample id>.jpg`` and ``annotations/<split>.json``.

    Everything describes the stored images, which keep their bytes. See
    :func:`handbench.hdf5.export_folder.export_to_folder` for the parameters and what is raised.
    """
    return export_to_folder(
        file, out, "coco", _write, splits, overwrite=overwrite, progress=progress
    )


def convert_command(file: HandFile, done: Exported) -> str | None:
    """The command that makes the same file again; None where stored images differ in size."""
    sizes = {side for name in done.rows for side in _sides(file[name])}
    if len(sizes) != 1:
        return None
    words = ["handbench", "convert", "coco"]
    for name in done.rows:
        words += ["--annotations", f"{name}={done.path}/annotations/{name}.json"]
    words += ["--images-dir", f"{done.path}/images", "--size", str(sizes.pop())]
    first = file[next(iter(done.rows))]
    # Where it varies, images come back as they are without one.
    if all(file[name].box_padding == first.box_padding for name in done.rows):
        words += ["--padding", repr(first.box_padding)]
    if first.storage == "raw":
        words += ["--image-storage", "raw"]
    if first.has("heatmaps"):
        said = first.attributes("heatmaps")
        words += ["--heatmaps", "--sigma", str(said["sigma"]), "--grid", str(said["grid"])]
    return shlex.join(words)


def _sides(split: SplitReader) -> set[int]:
    return {int(side) for side in np.unique(split.column("image_size"))}


def _write(job: Job) -> None:
    for split in job.splits:
        rows = Rows(job.file, split)
        names = _write_images(job, rows)
        ids = _image_ids(split)
        with job.new_file(f"annotations/{split.name}.json") as stream:
            stream.write(b'{"info": ' + to_json(_info(job), indent=False))
            stream.write(b',\n"licenses": ' + to_json([_license(job)], indent=False))
            stream.write(b',\n"handbench": ' + to_json(_facts(job, split), indent=False))
            stream.write(b',\n"categories": ' + to_json([_CATEGORY], indent=False))
            stream.write(b',\n"images": ')
            write_list(stream, _image_records(rows, ids, names))
            stream.write(b',\n"annotations": ')
            write_list(stream, _annotations(rows, ids, names))
            stream.write(b"}\n")
        if _LEFT_OUT & set(split.names):
            job.notes.append(f"{split.name}: heatmaps are left out; they follow from the keypoints")


def _info(job: Job) -> dict[str, Any]:
    said, made = terms(job.file), provenance()
    return {
        "description": said["title"],
        "url": said["homepage"],
        "contributor": f"exported by handbench {made['handbench']}",
        "date_created": made["created"],
    }


def _license(job: Job) -> dict[str, Any]:
    said = terms(job.file)
    return {"id": 1, "name": said["license"], "url": said["homepage"]}


def _facts(job: Job, split: SplitReader) -> dict[str, Any]:
    """What :mod:`handbench.sources.coco_export` reads beside the fields of annotations."""
    columns = {
        name: {"dtype": split.dtype(name), "shape": list(split.shape(name)[1:])}
        for name in split.names
        if name not in _LEFT_OUT
    }
    return {
        **terms(job.file),
        "citation": str(job.file.attributes.get("citation", "")),
        "split": split.name,
        **split_facts(split),
        "reprojection_tolerance_px": reprojection_tolerance_px(job.file, split),
        "columns": columns,
    }


_CATEGORY = {
    "id": 1,
    "name": "hand",
    "supercategory": "person",
    "keypoints": list(JOINT_NAMES),
    "skeleton": [[int(a) + 1, int(b) + 1] for a, b in BONES],
}


def _write_images(job: Job, rows: Rows) -> list[str]:
    """Write images and masks; returns the file name of every row, below ``images/``."""
    names: list[str] = []
    split = rows.split.name
    renamed = 0
    for _, columns in rows.blocks(["sample_id"]):
        for sample in columns["sample_id"].tolist():
            data, suffix = rows.image(len(names))
            stem = safe_name(sample)
            try:
                job.write_image(f"images/{stem}.{suffix}", data, split)
            except FileExistsError:
                # The same photo in two splits, or names that differ in case alone on a disk that
                # does not tell the two apart.
                stem = f"{stem}~{split}-{len(names)}"
                job.write_image(f"images/{stem}.{suffix}", data, split)
            renamed += stem != sample
            if rows.has_masks:
                job.write_mask(f"masks/{stem}.png", rows.mask(len(names)))
            names.append(f"{stem}.{suffix}")
    if renamed:
        job.notes.append(
            f"{split}: {renamed:,} sample ids cannot be file names as they are; "
            "handbench_sample_id has them"
        )
    return names


def _image_ids(split: SplitReader) -> npt.NDArray[np.int64]:
    """Ids of the source's own label file where no two rows share one, else counted from 1."""
    if split.has("native_image_id"):
        native = split.column("native_image_id").tolist()
        if all(map(_NATIVE_ID.fullmatch, native)) and len(set(native)) == len(native):
            return np.array(native, dtype=np.int64)
    return np.arange(1, len(split) + 1)


def _image_records(
    rows: Rows, ids: npt.NDArray[np.int64], names: list[str]
) -> Iterator[dict[str, Any]]:
    with_camera = rows.split.has("camera")
    wanted = ["image_size", *(["camera"] if with_camera else [])]
    for start, columns in rows.blocks(wanted):
        for row, (height, width) in enumerate(columns["image_size"].tolist()):
            record = {
                "id": int(ids[start + row]),
                "file_name": names[start + row],
                "width": width,
                "height": height,
                "license": 1,
            }
            if with_camera and _is_pinhole(columns["camera"][row]):
                (fx, _, cx), (_, fy, cy), _ = columns["camera"][row].tolist()
                record["cam_param"] = {"focal": [fx, fy], "princpt": [cx, cy]}
            yield record


def _is_pinhole(camera: npt.NDArray[np.float64]) -> bool:
    """Whether focal lengths and principal point say everything: no skew, last row 0, 0, 1."""
    rest = [camera[0, 1], camera[1, 0], *camera[2]]
    return bool(np.isfinite(camera).all()) and rest == [0, 0, 0, 0, 1]


def _annotations(
    rows: Rows, ids: npt.NDArray[np.int64], names: list[str]
) -> Iterator[dict[str, Any]]:
    wanted = [name for name in rows.split.names if name not in _LEFT_OUT]
    for start, columns in rows.blocks(wanted):
        for row in range(len(columns["sample_id"])):
            number = start + row
            mask = f"masks/{names[number].rpartition('.')[0]}.png" if rows.has_masks else None
            yield {
                "id": number + 1,
                "image_id": int(ids[number]),
                "category_id": 1,
                "iscrowd": 0,
                **_fields(columns, row),
                **_extra_fields(columns, row),
                **({} if mask is None else {"handbench_mask": mask}),
            }


def _fields(columns: Columns, row: int) -> dict[str, Any]:
    """COCO's own fields, and the usual additions for hands."""
    x, y, w, h = columns["bbox"][row].tolist()
    valid = columns["valid_2d"][row]
    flags = _flags(columns["visibility"][row], valid)
    points = np.where(valid[:, None], columns["keypoints_2d"][row], 0.0)
    fields: dict[str, Any] = {
        "bbox": [x, y, w, h],
        "area": w * h,
        "num_keypoints": int(valid.sum()),
        "keypoints": [n for (x, y), v in zip(points.tolist(), flags) for n in (x, y, v)],
    }
    side = _SIDES.get(_shown_side(columns, row))
    if side is not None:
        fields["hand_type"] = side
    valid_3d = columns["valid_3d"][row]
    if "keypoints_3d" in columns and valid_3d.any():
        # float64 of a float32, times a thousand: back in metres it is the same float32.
        points_3d = columns["keypoints_3d"][row].astype(np.float64) * 1000.0
        fields["joint_cam"] = np.where(valid_3d[:, None], points_3d, np.nan).tolist()
    if "head_size_px" in columns and np.isfinite(columns["head_size_px"][row]):
        fields["head_size"] = float(columns["head_size_px"][row])
    return fields


def _flags(visibility: npt.NDArray[np.uint8], valid: npt.NDArray[np.bool_]) -> list[int]:
    """COCO's v: 0 unlabelled, 1 occluded, 2 visible; unknown counts as visible."""
    v = np.where(visibility == OCCLUDED, 1, 2)
    return [int(n) for n in np.where(valid, v, 0)]


def _shown_side(columns: Columns, row: int) -> int:
    """The side of the hand as the image shows it: a flipped left hand looks like a right one."""
    side = int(columns["is_right"][row])
    return 1 - side if columns["mirrored"][row] and side in _SIDES else side


def _extra_fields(columns: Columns, row: int) -> dict[str, Any]:
    """``handbench_<column>`` for what the fields above do not say, or not fully."""
    extra = {
        f"handbench_{name}": plain(values[row])
        for name, values in columns.items()
        if name not in _HELD and name != "camera"
    }
    if "camera" in columns and not _is_pinhole(columns["camera"][row]):
        extra["handbench_camera"] = columns["camera"][row].tolist()
    if (columns["visibility"][row] == VISIBILITY_UNKNOWN).any():
        extra["handbench_visibility"] = columns["visibility"][row].tolist()
    if columns["mirrored"][row]:
        extra["handbench_mirrored"] = True
        extra["handbench_is_right"] = int(columns["is_right"][row])
    return extra
