"""Tables of points as people keep them: CSV and NPZ files, read into the same columns."""

from __future__ import annotations

import csv
import difflib
import io
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from handbench.errors import SourceError
from handbench.files import describe_names
from handbench.hand import JOINT_NAMES, NUM_JOINTS
from handbench.sources.bad_entries import BadEntries

_BOX = ("box_x", "box_y", "box_w", "box_h")
_SIDES = {"left": 0, "right": 1, "unknown": -1, "": -1}
_IS_RIGHT = {"1": 1, "true": 1, "0": 0, "false": 0, "-1": -1, "": -1}
_SHAPES: dict[str, tuple[int, ...]] = {
    "visibility": (NUM_JOINTS,),
    "is_right": (),
    "bbox": (4,),
    "keypoints_3d": (NUM_JOINTS, 3),
}
"""Optional arrays of an NPZ file → shape of a row."""

_DAMAGED = (
    *(ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile, zlib.error),
    *(RuntimeError, NotImplementedError),  # encrypted, or packed by a method that Python lacks
)


@dataclass
class Points:
    """N rows of a file, as they stand in it.

    Attributes
    ----------
    place
        N words that lead to the row: ``line 7 of a.csv``.
    number
        N positions among all rows of the file, from 0.
    image
        N image names.
    keypoints
        (N, 21, 2) px, NaN where the file gives none.
    is_right
        (N,) 1, 0, -1 unknown.
    flags
        (N, 21) v as in COCO; or None.
    bbox
        (N, 4) x, y, w, h px, NaN where the file gives none; or None.
    keypoints_3d
        (N, 21, 3) as the file gives them; or None.
    camera
        (N, 3, 3) px; or None.
    by_name
        The columns name their joints, so that their order is known.
    unused
        Columns or arrays that mean nothing here.
    """

    place: list[str]
    number: list[int]
    image: list[str]
    keypoints: npt.NDArray[np.float64]
    is_right: npt.NDArray[np.int8]
    flags: npt.NDArray[np.float64] | None = None
    bbox: npt.NDArray[np.float64] | None = None
    keypoints_3d: npt.NDArray[np.float64] | None = None
    camera: npt.NDArray[np.float64] | None = None
    by_name: bool = False
    unused: list[str] = field(default_factory=list)

    def take(self, rows: npt.NDArray[np.intp]) -> Points:
        """The chosen rows, in that order."""

        def pick(value: Any) -> Any:
            return None if value is None else value[rows]

        return Points(
            place=[self.place[row] for row in rows],
            number=[self.number[row] for row in rows],
            image=[self.image[row] for row in rows],
            keypoints=self.keypoints[rows],
            is_right=self.is_right[rows],
            flags=pick(self.flags),
            bbox=pick(self.bbox),
            keypoints_3d=pick(self.keypoints_3d),
            camera=pick(self.camera),
            by_name=self.by_name,
            unused=self.unused,
        )


def read_points(path: Path, bad: BadEntries) -> Points:
    """Read one table of points, CSV or NPZ by its suffix.

    Parameters
    ----------
    path
        The file.
    bad
        Gives account of rows that are no numbers.

    Raises
    ------
    SourceError
        If it is missing, damaged, or lacks a column; the message names file and row.
    """
    readers = {".csv": _read_csv, ".npz": _read_npz}
    if path.suffix.lower() not in readers:
        raise SourceError(f"expected points in a .csv or .npz file, found {path}")
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise SourceError(f"expected points at {path}, found no such file") from error
    except OSError as error:
        raise SourceError(f"cannot read points at {path}: {error.strerror or error}") from error
    if not data.strip():
        raise SourceError(f"expected points at {path}, found an empty file; write it again")
    points = readers[path.suffix.lower()](data, path, bad)
    bad.check_few(len(points.image))
    if not points.image:
        raise SourceError(f"expected a row for every hand in {path}, found none")
    return points


# -- CSV ---------------------------------------------------------------------------------------


def _read_csv(data: bytes, path: Path, bad: BadEntries) -> Points:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SourceError(
            f"expected UTF-8 text in {path}, found byte {data[error.start]:#x} at position "
            f"{error.start:,}; save it as CSV UTF-8"
        ) from error
    table = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        columns = _Columns([name.strip() for name in next(table)], path)
        numbers: list[npt.NDArray[np.float64]] = []
        place, number, image, sides = [], [], [], []
        count = 0
        for cells in table:
            if not any(cell.strip() for cell in cells):
                continue
            where = f"line {table.line_num} of {path}"
            with bad.entry():
                row, side = columns.numbers(cells, where), columns.side(cells, where)
                numbers.append(row)
                sides.append(side)
                image.append(cells[columns.image].strip())
                place.append(where)
                number.append(count)
            count += 1
    except csv.Error as error:
        raise SourceError(f"line {table.line_num} of {path} is no CSV: {error}") from error
    values = np.array(numbers, dtype=np.float64).reshape(len(numbers), columns.count)
    points, values = np.split(values, [2 * NUM_JOINTS], axis=1)
    flags = None
    if columns.with_flags:
        flags, values = np.split(values, [NUM_JOINTS], axis=1)
    return Points(
        place=place,
        number=number,
        image=image,
        keypoints=points.reshape(-1, NUM_JOINTS, 2),
        flags=flags,
        is_right=np.array(sides, dtype=np.int8),
        bbox=values if columns.with_boxes else None,
        by_name=columns.by_name,
        unused=columns.unused,
    )


class _Columns:
    """Where everything stands in a CSV file, by its header."""

    def __init__(self, header: list[str], path: Path) -> None:
        self.width = len(header)
        self._at = {name: column for column, name in enumerate(header)}
        repeated = sorted({name for name in header if name and header.count(name) > 1})
        if repeated:
            raise SourceError(
                f"the header of {path} names {describe_names(repeated)} more than once"
            )
        if "image" not in self._at:
            mark = next((m for m in (";", "\t") if m in "".join(header)), None)
            hint = f": cells are separated by {mark!r}, expected commas" if mark else ""
            raise SourceError(
                f"expected a header with the column 'image' in {path}, found "
                f"{describe_names(header)}{hint}"
            )
        self.image = self._at["image"]
        self.by_name = "x0" not in self._at and f"{JOINT_NAMES[0]}_x" in self._at
        wanted = [name for joint in range(NUM_JOINTS) for name in self._names(joint, "xy")]
        flags = [name for joint in range(NUM_JOINTS) for name in self._names(joint, "v")]
        self._require(wanted, path)
        self.with_flags = self._all_or_none(flags, path)
        self.with_boxes = self._all_or_none(list(_BOX), path)
        if {"hand", "is_right"} <= self._at.keys():
            raise SourceError(f"{path} has the columns hand and is_right: keep one of them")
        numbers = [*wanted, *(flags if self.with_flags else ())]
        self._numbers = [self._at[name] for name in [*numbers, *(_BOX if self.with_boxes else ())]]
        known = {"image", "hand", "is_right", *numbers, *_BOX}
        self.count = len(self._numbers)
        self.unused = [name for name in header if name not in known]

    def _names(self, joint: int, parts: str) -> list[str]:
        if self.by_name:
            return [f"{JOINT_NAMES[joint]}_{part}" for part in parts]
        return [f"{part}{joint}" for part in parts]

    def _require(self, wanted: Sequence[str], path: Path) -> None:
        missing = [name for name in wanted if name not in self._at]
        if missing:
            near = difflib.get_close_matches(missing[0], set(self._at) - set(wanted), n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise SourceError(
                f"expected the columns x0, y0 to x20, y20 (or {JOINT_NAMES[0]}_x, "
                f"{JOINT_NAMES[0]}_y and so on) in {path}, found no {describe_names(missing)}{hint}"
            )

    def _all_or_none(self, wanted: list[str], path: Path) -> bool:
        missing = [name for name in wanted if name not in self._at]
        if 0 < len(missing) < len(wanted):
            raise SourceError(
                f"expected all of {wanted[0]} to {wanted[-1]} in {path} or none, found no "
                f"{describe_names(missing)}"
            )
        return not missing

    def numbers(self, cells: list[str], where: str) -> npt.NDArray[np.float64]:
        """Coordinates, flags and box of a row; NaN for empty cells."""
        if len(cells) != self.width:
            raise SourceError(
                f"expected {self.width} cells in {where}, found {len(cells)}: a comma is missing "
                "or stands for a decimal point"
            )
        try:
            return np.array([float(cells[at].strip() or "nan") for at in self._numbers])
        except ValueError as error:
            raise SourceError(f"expected numbers in {where}: {error}") from error

    def side(self, cells: list[str], where: str) -> int:
        """1, 0, or -1 where the row does not say."""
        for column, words in (("hand", _SIDES), ("is_right", _IS_RIGHT)):
            if column in self._at:
                word = cells[self._at[column]].strip().lower()
                if word not in words:
                    raise SourceError(
                        f"expected {', '.join(filter(None, words))} or nothing as {column!r} in "
                        f"{where}, found {word!r}"
                    )
                return words[word]
        return -1


# -- NPZ ---------------------------------------------------------------------------------------


def _read_npz(data: bytes, path: Path, bad: BadEntries) -> Points:
    arrays, unused = _arrays(data, path)
    missing = [name for name in ("image", "keypoints") if name not in arrays]
    if missing:
        raise SourceError(
            f"expected the arrays image (N,) and keypoints (N, 21, 2) in {path}, found no "
            f"{missing[0]}, but {describe_names([*arrays, *unused]) or 'nothing'}"
        )
    names = arrays["image"]
    if names.dtype.kind not in "US" or names.ndim != 1:
        raise SourceError(
            f"expected image in {path} as (N,) text, found {names.shape} {names.dtype}"
        )
    count = len(names)
    taken: dict[str, npt.NDArray[np.float64] | None] = {
        name: _numbers(arrays[name], (count, *shape), f"{name} in {path}")
        if name in arrays
        else None
        for name, shape in _SHAPES.items()
    }
    camera = arrays.get("camera")
    if camera is not None and camera.shape == (3, 3):
        camera = np.broadcast_to(camera, (count, 3, 3))
    side = taken.pop("is_right")
    if side is None:
        side = np.full(count, -1.0)
    sound = bad.sound(
        ~np.isin(side, (1, 0, -1)),
        lambda row: (
            f"row {row}: expected is_right in {path} as 1, 0 or -1 (unknown), found {side[row]:g}"
        ),
    )
    points = Points(
        place=[f"row {row} of {path}" for row in range(count)],
        number=list(range(count)),
        image=_text(names, path),
        keypoints=_numbers(
            arrays["keypoints"], (count, NUM_JOINTS, 2), f"keypoints in {path} (v in visibility)"
        ),
        flags=taken["visibility"],
        is_right=np.where(sound, side, -1).astype(np.int8),
        bbox=taken["bbox"],
        keypoints_3d=taken["keypoints_3d"],
        camera=None
        if camera is None
        else _numbers(camera, (count, 3, 3), f"camera in {path}, or (3, 3),"),
        unused=unused,
    )
    return points if sound.all() else points.take(np.flatnonzero(sound))


def _arrays(data: bytes, path: Path) -> tuple[dict[str, npt.NDArray[Any]], list[str]]:
    """Arrays that mean something here, and names of the others."""
    known = {"image", "keypoints", "camera", *_SHAPES}
    try:
        file = np.load(io.BytesIO(data), allow_pickle=False)
        names = list(getattr(file, "files", []))  # a single array has none
        return {n: file[n] for n in names if n in known}, [n for n in names if n not in known]
    except _DAMAGED as error:
        if "pickle" in str(error).lower():
            found = (
                "Python objects or another kind of file: pickles are never read; save names as "
                "text and numbers as plain arrays with numpy.savez"
            )
        else:
            found = f"a damaged file ({error}); write it again"
        raise SourceError(f"expected plain arrays in {path}, found {found}") from error


def _numbers(array: npt.NDArray[Any], shape: tuple[int, ...], what: str) -> npt.NDArray[np.float64]:
    if array.shape != shape or array.dtype.kind not in "fiub":
        raise SourceError(
            f"expected {what} as {shape} numbers, one row an image, found {array.shape} "
            f"{array.dtype}"
        )
    return array.astype(np.float64)


def _text(names: npt.NDArray[Any], path: Path) -> list[str]:
    try:
        decoded = np.char.decode(names, "utf-8") if names.dtype.kind == "S" else names
    except UnicodeDecodeError as error:
        raise SourceError(f"expected image in {path} as UTF-8 text, found other bytes") from error
    return [str(name) for name in decoded.tolist()]
