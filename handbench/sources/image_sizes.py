"""Sizes of images whose label file does not state them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from handbench.errors import SourceError
from handbench.images import encoded_size
from handbench.sources.archive import Folder, RawFiles


def image_sizes(
    files: RawFiles, names: Sequence[str], *, lenient: bool = False
) -> npt.NDArray[np.int32]:
    """Heights and widths (N, 2), px, of images below the root of a source.

    Only headers are read where the images lie in a folder. Several hands may name one image.

    Parameters
    ----------
    files, names
        Where, and which.
    lenient
        The size of an image that cannot be read is -1, -1: unknown until it is read again.

    Raises
    ------
    SourceError
        If an image is missing, empty, or none, unless `lenient`.
    """
    known = {}
    for name in dict.fromkeys(names):
        try:
            known[name] = _size(files, name)
        except SourceError:
            if not lenient:
                raise
            known[name] = (-1, -1)
    return np.array([known[name] for name in names], dtype=np.int32).reshape(-1, 2)


def _size(files: RawFiles, name: str) -> tuple[int, int]:
    if isinstance(files, Folder) and (size := _header_size(files.path / name)) is not None:
        return size
    # Whatever is no plain image is read as it will be later: that says what is wrong with it.
    return encoded_size(files.read(name), files.where(name))


def _header_size(path: Path) -> tuple[int, int] | None:
    from PIL import Image

    try:
        with Image.open(path) as picture:
            return picture.height, picture.width
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return None
