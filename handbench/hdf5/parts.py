"""The files that a merged file is made of, and whether they are still there.

A merged file holds virtual datasets, which name their sources by path. HDF5 reads a source that
is gone as fill values, without a word: black images and labels of zero. So whoever opens a merged
file checks its parts first.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import h5py

from handbench.errors import FormatError


@dataclass(frozen=True)
class Part:
    """One source of a merged file.

    Attributes
    ----------
    file
        Path relative to the folder of the merged file, with forward slashes; absolute only where
        no relative path leads there (another drive).
    dataset
        Name of the dataset.
    size
        Bytes.
    weight
        How often its rows are drawn in training, relative to those of other parts.
    rows
        Split → rows that were taken.
    truth_sha256
        Split → fingerprint of its labels.
    """

    file: str
    dataset: str
    size: int
    weight: float
    rows: dict[str, int]
    truth_sha256: dict[str, str]

    def to_dict(self) -> dict[str, Any]:
        """As the root attribute ``merged_from`` holds it."""
        return asdict(self)


def relative_name(source: Path, merged: Path) -> str:
    """How a merged file names a source: such that both can move together.

    A link to the source keeps its name; the folders on the way are real ones, because ``..`` leads
    elsewhere behind a linked folder.
    """
    folder, start = (os.path.realpath(path.parent) for path in (source, merged))
    try:
        way = os.path.relpath(folder, start)
    except ValueError:  # another drive
        way = folder
    return (Path(way) / source.name).as_posix()


def virtual_name(name: str) -> str:
    """`name` as HDF5 wants it in a virtual dataset, where ``%`` begins a number of a series."""
    return name.replace("%", "%%")


def check_parts(merged: Path, parts: Sequence[Part]) -> None:
    """See whether every source is there and is the one that was merged.

    Parameters
    ----------
    merged
        The merged file.
    parts
        What it was made of. Their sizes and the fingerprints of their labels are compared.

    Raises
    ------
    FormatError
        If one is missing, or another file stands in its place.
    """
    for part in parts:
        path = _find(merged, part.file)
        name = f"its part {part.file} ({part.dataset}, {part.size:,} bytes)"
        if path is None:
            raise FormatError(
                f"{merged} only points into other files: expected {name}, found no such file; put "
                "it back, or merge again"
            )
        size = path.stat().st_size
        if size != part.size:
            raise FormatError(
                f"{merged} only points into other files: expected {name}, found one of {size:,} "
                "bytes; put the old file back, or merge again"
            )
        if _labels(path, part) != part.truth_sha256:
            raise FormatError(
                f"{merged} only points into other files: expected {name}, found a file with other "
                "labels; put the old file back, or merge again"
            )


def _find(merged: Path, name: str) -> Path | None:
    """Where HDF5 looks: from the folder of the merged file, then from that of what it links to."""
    folders = (merged.parent, Path(os.path.realpath(merged)).parent)
    return next((folder / name for folder in folders if (folder / name).is_file()), None)


def _labels(path: Path, part: Part) -> dict[str, str]:
    try:
        with h5py.File(path, "r") as file:
            return {
                split: str(file[split].attrs.get("truth_sha256", ""))
                for split in part.truth_sha256
                if split in file
            }
    except OSError:  # no HDF5 file
        return {}
