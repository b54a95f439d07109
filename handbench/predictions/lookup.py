"""Which sample a foreign name stands for: an id of the source's label file, a path, a number."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from handbench.errors import PredictionsError
from handbench.hdf5.reader import HandFile, SplitReader

_IMAGE_FOLDERS = ("rgb", "images", "color")


def split_of(data: HandFile, wanted: str | None, where: str) -> SplitReader:
    """The split that a file without a header is about: `wanted`, else ``test``, or the only one.

    Raises
    ------
    PredictionsError
        If it is not there, or nothing is wanted and there are several others.
    """
    if wanted is not None:
        if wanted in data.splits:
            return data[wanted]
        raise PredictionsError(
            f"{where}: assumed split={wanted}, but {data.path} has {', '.join(data.splits)}: "
            "assume one of these"
        )
    if "test" in data.splits:
        return data["test"]
    if len(data.splits) == 1:
        return data[data.splits[0]]
    raise PredictionsError(
        f"{where}: this file names no split, and {data.path} has no split 'test' but "
        f"{', '.join(data.splits)}: assume split={data.splits[0]} or another of them"
    )


@dataclass(frozen=True)
class SampleNames:
    """Tables name → sample ids of one split.

    Where the split keeps the ids of the label file it was converted from (column
    ``native_image_id``), these come first, and a number is nothing else: an image called
    ``7.jpg`` need not have the id 7. Else, and for text, sample ids come before photos (column
    ``image_id``).
    """

    native: dict[str, list[str]] | None
    by_sample: dict[str, list[str]]
    by_photo: dict[str, list[str]]
    in_order: list[str]

    @classmethod
    def of(cls, split: SplitReader) -> SampleNames:
        """The tables of `split`."""
        in_order = [str(name) for name in split.column("sample_id").tolist()]
        return cls(
            native=_table(split, "native_image_id", in_order),
            by_sample={name: [name] for name in in_order},
            by_photo=_table(split, "image_id", in_order) or {},
            in_order=in_order,
        )

    def of_image(self, image_id: Any) -> list[str]:
        """Sample ids of an image id; for an unknown one a name that no sample has."""
        return self.find_image(image_id) or [self.unknown("image_id", image_id)]

    def find_image(self, image_id: Any) -> list[str]:
        """Sample ids of an image id, or none."""
        name = str(image_id)
        tables = [] if self.native is None else [self.native]
        if self.native is None or isinstance(image_id, str):
            tables += [self.by_sample, self.by_photo]
        return next((table[name] for table in tables if name in table), [])

    def find_path(self, path: str) -> list[str]:
        """Sample ids of the longest tail of `path` that names a photo or sample, or none.

        Folders that only say that there are images may be absent from the names of samples:
        FreiHAND's ``evaluation/rgb/00000000.jpg`` is the sample ``evaluation/00000000``.
        """
        name = PurePosixPath(path.replace("\\", "/"))
        parts = (*name.parent.parts, name.stem)
        plain = tuple(part for part in parts if part not in _IMAGE_FOLDERS)
        for folders in (parts, plain):
            for start in range(len(folders)):
                tail = "/".join(folders[start:])
                for table in (self.by_photo, self.by_sample):
                    if tail in table:
                        return table[tail]
        return []

    def at(self, index: int) -> str:
        """Sample with the native number `index`: of the label file, or the row of the split."""
        if self.native is not None:
            found = self.native.get(str(index), [])
            return found[0] if len(found) == 1 else self.unknown("sample", index)
        if 0 <= index < len(self.in_order):
            return self.in_order[index]
        return self.unknown("sample", index)

    def unknown(self, what: str, name: Any) -> str:
        """A name under which something unknown is counted as extra: no sample is called so."""
        text = str(name)
        return f"{what} {text}" if text in self.by_sample else text


def _table(split: SplitReader, column: str, in_order: list[str]) -> dict[str, list[str]] | None:
    if not split.has(column):
        return None
    samples: dict[str, list[str]] = {}
    for name, sample in zip(split.column(column).tolist(), in_order):
        samples.setdefault(str(name), []).append(sample)
    return samples
