"""Cut blocks of rows: labels and images of the stored frame, several images at once."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt

from handbench.errors import SourceError
from handbench.images import (
    crop_mask,
    crop_picture,
    decode_mask,
    decode_picture,
    encode_jpeg,
    encode_mask,
    scratch_file,
)
from handbench.samples.frames import Columns, CropSettings, Frames, frames
from handbench.sources.block import SampleBlock

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

__all__ = ["CropSettings", "Shaper", "Shaping", "StoredBlock"]

# Handing a task to a thread costs as much as a hundredth of cutting an image.
_IMAGES_A_TASK = 4

T = TypeVar("T")


@dataclass
class StoredBlock:
    """Rows ready for the file: columns of the stored frame, images, masks.

    Attributes
    ----------
    damaged
        Row of the block that was shaped → why its image cannot be read. Such rows are not here.
    bad_masks
        The same of masks, in rows whose image is whole.
    """

    columns: dict[str, Any]
    images: list[bytes] | npt.NDArray[np.uint8]
    masks: list[bytes] | None
    damaged: dict[int, str] = field(default_factory=dict)
    bad_masks: dict[int, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.images)

    def take(self, rows: npt.NDArray[np.intp]) -> StoredBlock:
        """The chosen rows, in that order."""

        def pick(values: Any) -> Any:
            return [values[row] for row in rows] if isinstance(values, list) else values[rows]

        columns = {name: pick(values) for name, values in self.columns.items()}
        masks = None if self.masks is None else pick(self.masks)
        return StoredBlock(columns, pick(self.images), masks)


class _Photo:
    """An encoded image that is decoded once, whichever thread comes first."""

    def __init__(self, data: bytes, where: str) -> None:
        self.data = data
        self._where = where
        self._lock = threading.Lock()
        self._picture: Picture | None = None

    def picture(self) -> Picture:
        with self._lock:
            if self._picture is None:
                self._picture = decode_picture(self.data, self._where)
            return self._picture


@dataclass
class Shaping:
    """A block that is being cut: what :meth:`Shaper.start` began.

    Attributes
    ----------
    block
        As it came from the source.
    columns
        Of the stored frame.
    images, image_rows
        Tasks, each a call that gives its images, and the rows of the block these belong to.
    masks
        The task that cuts the masks; None where there are none.
    """

    block: SampleBlock
    columns: dict[str, Any]
    images: list[Callable[[], list[Any]]]
    image_rows: list[list[int]]
    masks: Callable[[], list[bytes | SourceError]] | None


class Shaper:
    """Cuts blocks of rows.

    Parameters
    ----------
    settings
        Size, padding, kind of crop, storage.
    workers
        Threads. Pillow decodes, resizes and encodes (into a file, see `scratch_file`) outside
        Python's lock, so threads are as fast as processes here and need no copies; the result does
        not depend on their number.
    attributes
        HDF5 attributes of the source's optional columns: they say what MANO's numbers mean.
    lenient
        Leave out rows whose image or mask cannot be decoded instead of raising.
    """

    def __init__(
        self,
        settings: CropSettings,
        workers: int = 1,
        attributes: dict[str, dict[str, Any]] | None = None,
        *,
        lenient: bool = False,
    ) -> None:
        self.settings = settings
        self.columns = Columns(settings, attributes or {})
        self._lenient = lenient
        self._scratch = threading.local()
        self._scratch_files: list[io.FileIO] = []
        self._pool = ThreadPoolExecutor(workers, initializer=self._begin) if workers > 1 else None
        self._last: _Photo | None = None

    def close(self) -> None:
        """Stop the threads."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
        for file in self._scratch_files:
            file.close()

    def notes(self) -> list[str]:
        """Sentences about labels that could not come along."""
        return self.columns.notes()

    def shape(self, block: SampleBlock) -> StoredBlock:
        """Cut one block.

        Raises
        ------
        SourceError
            If an image or a mask cannot be decoded, unless lenient.
        """
        return self.finish(self.start(block))

    def start(self, block: SampleBlock) -> Shaping:
        """Begin to cut a block; the threads, if any, work on while the caller does other things."""
        frame = frames(block, self.settings)
        columns = self.columns.moved(block, frame)
        groups = self._photos(block, frame)
        parts = [groups[at : at + _IMAGES_A_TASK] for at in range(0, len(groups), _IMAGES_A_TASK)]
        image_rows = [[row for _, rows in part for row in rows] for part in parts]
        masks = None
        if block.masks is not None:
            encoded = block.masks
            masks = self._later(
                lambda: [
                    _stored_mask(encoded[row], frame, row, self.settings.size, block.sample_id[row])
                    for row in range(len(block))
                ]
            )
        images = [self._later(self._cutter(frame, part)) for part in parts]
        return Shaping(block, columns, images, image_rows, masks)

    def finish(self, begun: Shaping) -> StoredBlock:
        """The block, once all its images are cut; raises as :meth:`shape`."""
        block, settings = begun.block, self.settings
        images: list[Any] = list(block.images)
        damaged: dict[int, str] = {}
        for cut, rows in zip(begun.images, begun.image_rows):
            for row, image in zip(rows, cut()):
                if isinstance(image, SourceError):
                    if not self._lenient:
                        raise image
                    damaged[row] = str(image)
                images[row] = image
        masks: list[Any] | None = None if begun.masks is None else begun.masks()
        bad_masks: dict[int, str] = {}
        for row, mask in enumerate(masks or ()):
            if isinstance(mask, SourceError) and row not in damaged:
                if not self._lenient:
                    raise mask
                bad_masks[row] = str(mask)
        stored = StoredBlock(begun.columns, images, masks)
        if lost := damaged.keys() | bad_masks.keys():
            kept = np.array([row for row in range(len(block)) if row not in lost], dtype=np.intp)
            stored = stored.take(kept)
            stored.damaged, stored.bad_masks = damaged, bad_masks
        if settings.raw:
            shape = (settings.size, settings.size, 3)
            stored.images = np.array(stored.images, dtype=np.uint8).reshape(-1, *shape)
        return stored

    def _photos(self, block: SampleBlock, frame: Frames) -> list[tuple[_Photo, list[int]]]:
        """Rows that need work by the photo they show, so that each photo is decoded once."""
        groups: dict[int, tuple[_Photo, list[int]]] = {}
        for row, data in enumerate(block.images):
            if frame.unchanged[row] and not self.settings.raw:
                continue
            if id(data) not in groups:
                # The hands of one photo may be parted by the end of a block.
                goes_on = self._last is not None and self._last.data == data
                photo = self._last if goes_on else None
                groups[id(data)] = (photo or _Photo(data, block.sample_id[row]), [])
            groups[id(data)][1].append(row)
        self._last = groups[id(block.images[-1])][0] if id(block.images[-1]) in groups else None
        return list(groups.values())

    def _cutter(
        self, frame: Frames, part: list[tuple[_Photo, list[int]]]
    ) -> Callable[[], list[Any]]:
        def cut() -> list[Any]:
            done: list[Any] = []
            for photo, rows in part:
                try:
                    picture = photo.picture()
                except SourceError as error:
                    done += [error] * len(rows)
                    continue
                done += [self._stored(picture, frame, row) for row in rows]
            part.clear()  # the decoded photos are not needed any more
            return done

        return cut

    def _stored(self, picture: Picture, frame: Frames, row: int) -> bytes | npt.NDArray[np.uint8]:
        if not frame.unchanged[row]:
            picture = crop_picture(picture, frame.crop[row], self.settings.size)
        if self.settings.raw:
            return np.asarray(picture)
        return encode_jpeg(picture, getattr(self._scratch, "file", None))

    def _begin(self) -> None:
        """What a thread does first: get a file of its own to encode into."""
        file = scratch_file()
        if file is not None:
            self._scratch.file = file
            self._scratch_files.append(file)

    def _later(self, work: Callable[[], list[T]]) -> Callable[[], list[T]]:
        """`work` begun in a thread, where there are threads; call the result to get its own."""
        if self._pool is None:
            return work
        future: Future[list[T]] = self._pool.submit(work)
        return future.result


def _stored_mask(
    data: bytes, frame: Frames, row: int, size: int, where: str
) -> bytes | SourceError:
    """The mask, or why it cannot be read."""
    try:
        mask = decode_mask(data, f"the mask of {where}")
    except SourceError as error:
        return error
    if mask.shape == (size, size) and np.array_equal(frame.crop[row], np.eye(3)):
        return encode_mask(mask)
    return encode_mask(crop_mask(mask, frame.crop[row], size))
