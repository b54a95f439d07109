"""Boxes around hands in plain pictures: from a file, from a detector, from the keypoints found."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from handbench.errors import PredictionsError
from handbench.files import describe_names, read_json
from handbench.predictors.interface import Hand
from handbench.predictors.pictures import PictureFile

Box = tuple[float, float, float, float]
"""x, y, w, h in px of the upright picture."""

_SMALLEST_PX = 12


def hand_box(hand: Hand, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64] | None:
    """Tight box around a hand's keypoints, or None where no hand can be.

    It is none when it is only a few pixels large, twice as large as the image, or has its middle
    outside.

    Returns
    -------
    (4,) left, top, right, bottom in px of the image.
    """
    low, high = hand.keypoints.min(axis=0), hand.keypoints.max(axis=0)
    height, width = image.shape[:2]
    side = float((high - low).max())
    middle = (low + high) / 2
    inside = 0 <= middle[0] < width and 0 <= middle[1] < height
    if not inside or not _SMALLEST_PX <= side <= 2 * max(width, height):
        return None
    return np.concatenate([low, high])


class BoxFile:
    """Boxes of hands by picture, from a JSON or CSV file.

    JSON is an object of file name or id → ``[x, y, w, h]`` or a list of such, or a list of objects
    with ``file`` (or ``id``) and ``box`` (or ``bbox``). CSV has the columns ``file`` (or ``id``),
    ``x``, ``y``, ``w``, ``h``. Boxes are in px of the upright picture; several boxes of a picture
    are several hands.

    Raises
    ------
    PredictionsError
        If the file cannot be read or a box is none; the message names the entry.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._boxes: dict[str, list[Box]] = {}
        self._used: set[str] = set()
        entries = _csv_entries(path) if path.suffix.lower() == ".csv" else _json_entries(path)
        for name, numbers in entries:
            self._boxes.setdefault(name, []).append(check_box(numbers, f"{path}: {name}"))
        if not self._boxes:
            raise PredictionsError(f"expected boxes in {path}, found none")

    def of(self, picture: PictureFile) -> list[Box]:
        """Boxes of a picture, looked up by its id, its path below the folder, then its file name.

        Raises
        ------
        PredictionsError
            If there is none.
        """
        whole = picture.id + picture.path.suffix
        for name in (picture.id, whole, str(picture.path), picture.path.name, picture.path.stem):
            if name in self._boxes:
                self._used.add(name)
                return self._boxes[name]
        raise PredictionsError(
            f"expected a box for {whole} in {self.path}, which names "
            f"{describe_names(self._boxes, 3)}: add it, or leave --boxes out to take whole pictures"
        )

    def unused(self) -> list[str]:
        """Names whose boxes nobody asked for."""
        return [name for name in self._boxes if name not in self._used]


def check_box(numbers: Any, where: str) -> Box:
    """Four numbers as a box; raises PredictionsError, which names `where`, if they are none."""
    try:
        x, y, w, h = (float(number) for number in numbers)
    except (TypeError, ValueError) as error:
        raise PredictionsError(
            f"{where}: expected a box of four numbers x, y, w, h (px), found {str(numbers)[:60]}"
        ) from error
    if not all(map(math.isfinite, (x, y, w, h))) or min(w, h) <= 0:
        raise PredictionsError(
            f"{where}: expected a box x, y, w, h (px) with positive width and height, found "
            f"{x:g}, {y:g}, {w:g}, {h:g}"
        )
    return x, y, w, h


def _json_entries(path: Path) -> Iterable[tuple[str, Any]]:
    value = read_json(path, "boxes", PredictionsError)
    if isinstance(value, dict):
        for name, boxes in value.items():
            several = isinstance(boxes, list) and boxes and isinstance(boxes[0], list)
            yield from ((name, box) for box in (boxes if several else [boxes]))
        return
    for number, entry in enumerate(value if isinstance(value, list) else [None]):
        name = entry.get("file", entry.get("id")) if isinstance(entry, dict) else None
        box = entry.get("box", entry.get("bbox")) if isinstance(entry, dict) else None
        if not isinstance(name, str) or box is None:
            raise PredictionsError(
                f'{path}: expected {{"name.jpg": [x, y, w, h], …}} or a list of {{"file": …, '
                f'"box": [x, y, w, h]}}, found {str(entry or value)[:60]} at entry {number}'
            )
        yield name, box


def _csv_entries(path: Path) -> Iterable[tuple[str, Any]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise PredictionsError(f"cannot read boxes at {path}: {error}") from error
    rows = csv.DictReader(io.StringIO(text), skipinitialspace=True)
    columns = rows.fieldnames or []
    key = next((word for word in ("file", "id") if word in columns), None)
    if key is None or not {"x", "y", "w", "h"} <= set(columns):
        raise PredictionsError(
            f"{path}: expected the columns file (or id), x, y, w, h, found "
            f"{', '.join(columns) or 'an empty file'}"
        )
    for row in rows:
        yield str(row[key]), [row[word] for word in ("x", "y", "w", "h")]
