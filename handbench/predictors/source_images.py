"""Images as they were published, found again in a folder by the ids of a converted file."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np
import numpy.typing as npt

from handbench.errors import PredictorError
from handbench.files import describe_names
from handbench.hdf5.reader import SplitReader
from handbench.images import crop_square, decode

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
LOOKED_AT = 4
"""Rows whose stored image is compared with a cut of the image that was found."""
LARGEST_DIFFERENCE = 24.0
"""Mean difference of grey levels between the two: compression makes 1 or 2, another photo 40."""


class SourceImages:
    """Published images of a split.

    A row's image lies at ``folder/ID.jpg`` (or .png …), ID being its ``sample_id`` without
    ``#annotation``, ``/left`` and ``/right``, or its ``image_id``; else it is the one image below
    the folder that is called like the last part of that id. Some rows are compared with what is
    stored, since a wrong folder with the same names would give scores that mean nothing.

    Parameters
    ----------
    folder
        Searched with its subfolders.
    reader
        The split.
    rows
        Numbers of the rows that are wanted.

    Raises
    ------
    PredictorError
        If images are missing, or show something else than is stored.
    """

    def __init__(self, folder: Path, reader: SplitReader, rows: npt.NDArray[np.int64]) -> None:
        self._paths = _find(Path(folder), reader, rows)
        self._compare(Path(folder), reader, rows)

    def read(self, position: int) -> npt.NDArray[np.uint8]:
        """(H, W, 3) uint8 RGB of the row at `position`, as published (no EXIF orientation)."""
        path = self._paths[position]
        return decode(path.read_bytes(), str(path))

    def _compare(self, folder: Path, reader: SplitReader, rows: npt.NDArray[np.int64]) -> None:
        crops = reader.column("crop")
        for position in np.unique(np.linspace(0, len(rows) - 1, LOOKED_AT).astype(int)):
            row = int(rows[position])
            stored = reader.image(row)
            if stored.shape[0] != stored.shape[1]:
                continue
            cut = crop_square(self.read(int(position)), crops[row], stored.shape[0])
            away = float(np.abs(cut.astype(np.float64) - stored).mean())
            if away > LARGEST_DIFFERENCE:
                raise PredictorError(
                    f"{self._paths[position]} does not show what the file stores for "
                    f"{reader.column('sample_id')[row]} (grey levels differ by {away:.0f} on "
                    f"average): expected the images that were converted in --source {folder}"
                )


def _find(folder: Path, reader: SplitReader, rows: npt.NDArray[np.int64]) -> list[Path]:
    if not folder.is_dir():
        raise PredictorError(
            f"expected a folder of published images at {folder}, found none: --source is the "
            "folder whose paths the sample ids are"
        )
    named: dict[str, list[Path]] = defaultdict(list)
    last: dict[str, list[Path]] = defaultdict(list)
    for path in folder.rglob("*"):
        if path.suffix.lower() in SUFFIXES:
            named[path.relative_to(folder).with_suffix("").as_posix()].append(path)
            last[path.stem].append(path)
    ids = reader.column("sample_id")[rows].tolist()
    photos = reader.column("image_id")[rows].tolist() if reader.has("image_id") else ids
    found, missing = [], []
    for sample_id, photo in zip(ids, photos):
        plain = sample_id.partition("#")[0].removesuffix("/left").removesuffix("/right")
        wanted = (named[plain], named[photo], last[plain.rpartition("/")[2]])
        place = next((places[0] for places in wanted if len(places) == 1), None)
        if place is None:
            missing.append(plain)
        else:
            found.append(place)
    if missing:
        raise PredictorError(
            f"expected an image for each of {len(ids):,} hands below {folder}, found none, or "
            f"several of one name, for {describe_names(missing, 3)}: --source is the folder "
            "whose paths the sample ids are"
        )
    return found
