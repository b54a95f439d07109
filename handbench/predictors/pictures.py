"""Plain pictures as people have them: found in folders, read upright, in any format and mode."""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from handbench.errors import PredictionsError
from handbench.files import describe_names

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage

SUFFIXES = (
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".avif",
    ".jp2", ".ppm", ".pgm",
)  # fmt: skip
"""What is taken for a picture in a folder; a file that is named itself may be called anything."""

# What Pillow raises for broken files of its many formats.
_BROKEN = (OSError, SyntaxError, ValueError, EOFError, TypeError, KeyError, IndexError,
           OverflowError, MemoryError, NotImplementedError, struct.error)  # fmt: skip


@dataclass(frozen=True)
class PictureFile:
    """A picture and what it is called in predictions.

    Attributes
    ----------
    path
        Where it is.
    id
        Path below its folder without extension, forward slashes.
    """

    path: Path
    id: str


def find_pictures(places: Sequence[Path]) -> list[PictureFile]:
    """Pictures in folders and their subfolders, sorted, and files that are named themselves.

    Parameters
    ----------
    places
        Folders and files. Ids are paths below the only folder, else below what all have in common.

    Raises
    ------
    PredictionsError
        If a place does not exist, there are no pictures, or two differ only in their extension.
    """
    paths: list[Path] = []
    for place in places:
        if place.is_dir():
            paths += sorted(
                path
                for path in place.rglob("*")
                if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
            )
        elif place.exists():
            paths.append(place)
        else:
            raise PredictionsError(f"expected a picture or a folder of them, found no {place}")
    where = describe_names(map(str, places))
    if not paths:
        raise PredictionsError(f"expected pictures ({', '.join(SUFFIXES)}) in {where}, found none")
    root = places[0] if len(places) == 1 and places[0].is_dir() else _common_folder(paths)
    names: dict[str, Path] = {}
    for path in dict.fromkeys(paths):  # a file may also be named beside its folder
        name = _below(path, root).with_suffix("").as_posix()
        if name in names:
            raise PredictionsError(
                f"{path} and {names[name]} would both have the id {name!r}: rename one of them"
            )
        names[name] = path
    return [PictureFile(path, name) for name, path in names.items()]


def _common_folder(paths: Sequence[Path]) -> Path:
    try:
        return Path(os.path.commonpath([_plain(path).parent for path in paths]))
    except ValueError:  # on several drives of Windows
        return Path()


def _below(path: Path, root: Path) -> Path:
    try:
        return _plain(path).relative_to(_plain(root))
    except ValueError:
        return Path(path.name)


def _plain(path: Path) -> Path:
    """Absolute, without ``..``: an id that has it leads out of the folder of drawn pictures."""
    return Path(os.path.abspath(path))  # noqa: PTH100 - links stay what they are called


def read_picture(path: Path) -> npt.NDArray[np.uint8]:
    """Read a picture of any size and format as viewers show it.

    Returns
    -------
    (H, W, 3) uint8 RGB, turned upright as its EXIF orientation says; see :func:`rgb_pixels`.

    Raises
    ------
    PredictionsError
        If it cannot be read.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as picture:
            return rgb_pixels(picture)
    except Image.DecompressionBombError as error:
        raise PredictionsError(
            f"the picture {path} has more pixels than is safe to decode: make it smaller"
        ) from error
    except UnidentifiedImageError as error:
        raise PredictionsError(
            f"expected a picture at {path}, found a file of no kind that Pillow reads: save it as "
            "JPEG or PNG"
        ) from error
    except _BROKEN as error:
        raise PredictionsError(
            f"the picture {path} cannot be read, it looks truncated or damaged: {error}"
        ) from error


def rgb_pixels(picture: PillowImage) -> npt.NDArray[np.uint8]:
    """Upright RGB of an open picture; of an animation the first frame.

    Parameters
    ----------
    picture
        In any of Pillow's modes: 16 bits become 8, transparent places white, CMYK RGB.

    Returns
    -------
    (H, W, 3) uint8.
    """
    from PIL import ImageOps

    upright = ImageOps.exif_transpose(picture)
    if upright.mode == "F" or upright.mode.startswith("I"):
        return _eight_bits(np.asarray(upright))
    return np.array(on_white(upright))


def on_white(picture: PillowImage) -> PillowImage:
    """RGB of a picture of eight bits a channel, its transparent places white."""
    from PIL import Image

    if picture.has_transparency_data:
        layer = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
    return picture.convert("RGB")


def _eight_bits(grey: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """(H, W) of 16-bit, 32-bit or floating-point grey → (H, W, 3) uint8."""
    values = np.nan_to_num(grey.astype(np.float64))
    if grey.dtype == np.uint16 or values.max(initial=0) > 255:
        values = values / 257  # 65,535 is white
    elif grey.dtype.kind == "f" and values.max(initial=0) <= 1:
        values = values * 255
    eight = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return np.repeat(eight[..., None], 3, axis=2)
