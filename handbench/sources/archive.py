"""Raw files of a dataset, from a folder or straight from the original zip archives."""

from __future__ import annotations

import contextlib
import os
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from handbench.errors import SourceError
from handbench.files import describe_names, sha256_file

_O_BINARY = getattr(os, "O_BINARY", 0)  # Windows would translate line ends


_DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    OSError,
    EOFError,
    ValueError,
    RuntimeError,  # encrypted, or packed by a method that Python lacks
)
"""What reading a member of a damaged archive raises."""


class Readable(Protocol):
    """An open file of which pieces can be read."""

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes; none at the end."""
        ...

    def close(self) -> None:
        """Close it."""
        ...


class Folder:
    """An unpacked dataset."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._root = str(path)

    def read(self, name: str) -> bytes:
        """Bytes of one file, name relative with forward slashes."""
        try:
            # Bare system calls take half the time of a file object, which matters for 130,240.
            descriptor = os.open(f"{self._root}/{name}", os.O_RDONLY | _O_BINARY)
            try:
                size = os.fstat(descriptor).st_size
                data = os.read(descriptor, size)
                while len(data) < size and (rest := os.read(descriptor, size - len(data))):
                    data += rest
                return data
            finally:
                os.close(descriptor)
        except FileNotFoundError as error:
            raise self._missing(name) from error
        except OSError as error:
            raise self._unreadable(name, error) from error

    def _missing(self, name: str) -> SourceError:
        return SourceError(
            f"expected {name} in {self.path}, found no such file; copy or unpack it there"
        )

    def _unreadable(self, name: str, error: OSError) -> SourceError:
        return SourceError(
            f"cannot read {self.path / name}: {error.strerror}; put a readable file there"
        )

    def stream(self, name: str) -> Readable:
        """One file opened for reading, for those too large to hold."""
        try:
            return (self.path / name).open("rb")
        except FileNotFoundError as error:
            raise self._missing(name) from error
        except OSError as error:
            raise self._unreadable(name, error) from error

    def has(self, name: str) -> bool:
        """Whether a file or folder of that name exists."""
        return (self.path / name).exists()

    def listing(self, folder: str) -> list[str]:
        """Names of the entries directly in `folder`, sorted; empty where there is none such."""
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            return sorted(entry.name for entry in os.scandir(self.path / folder))
        return []

    def describe(self, names: Sequence[str]) -> list[dict[str, Any]]:
        """File, size and sha256 of the named files that exist."""
        return [
            {"file": name, "size": (self.path / name).stat().st_size, "sha256": sha256_file(p)}
            for name in names
            if (p := self.path / name).is_file()
        ]

    def where(self, name: str) -> str:
        """How to call one file in a message."""
        return str(self.path / name)


class Archives:
    """One or several zip archives, read without unpacking; later ones fill what earlier lack."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = list(paths)
        self.path = self.paths[0]
        self._zips: list[zipfile.ZipFile] = []
        self._entries: dict[str, tuple[zipfile.ZipFile, zipfile.ZipInfo]] = {}
        self._folders: dict[str, list[str]] = {}
        for path in self.paths:
            try:
                archive = zipfile.ZipFile(path)
            except (zipfile.BadZipFile, OSError) as error:
                raise SourceError(
                    f"expected a zip archive at {path}, found a damaged or partial one ({error}); "
                    "download it again"
                ) from error
            self._zips.append(archive)
            for entry in archive.infolist():
                if not entry.is_dir() and entry.filename not in self._entries:
                    self._entries[entry.filename] = (archive, entry)
        for name in self._entries:
            folder, _, leaf = name.rpartition("/")
            self._folders.setdefault(folder, []).append(leaf)
        tops = {name.partition("/")[0] for name in self._entries if "/" in name}
        self._folders.setdefault("", []).extend(tops)

    def read(self, name: str) -> bytes:
        """Bytes of one member; zip's own checksum is verified."""
        if name not in self._entries:
            raise SourceError(f"expected {name} in {self._names()}, found no such member")
        archive, entry = self._entries[name]
        try:
            return archive.read(entry)
        except _DAMAGED as error:
            raise _damaged(archive, name, error) from error

    def stream(self, name: str) -> Readable:
        """One member opened for reading, for those too large to hold."""
        if name not in self._entries:
            raise SourceError(f"expected {name} in {self._names()}, found no such member")
        return _Member(*self._entries[name])

    def has(self, name: str) -> bool:
        """Whether a member of that name, or below it, exists."""
        return name in self._entries or name in self._folders

    def listing(self, folder: str) -> list[str]:
        """Names of the members directly in `folder`, sorted; at the top with the folders."""
        return sorted(self._folders.get(folder, []))

    def describe(self, names: Sequence[str]) -> list[dict[str, Any]]:
        """File, size and sha256 of the archives themselves; `names` are inside them."""
        return [
            {"file": path.name, "size": path.stat().st_size, "sha256": sha256_file(path)}
            for path in self.paths
        ]

    def where(self, name: str) -> str:
        """How to call one member in a message."""
        archive = self._entries[name][0].filename if name in self._entries else self.path
        return f"{archive}:{name}"

    def _names(self) -> str:
        return describe_names(str(path) for path in self.paths)


class _Member:
    """A member of a zip archive, read in pieces; zip's own checksum is verified at the end."""

    def __init__(self, archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> None:
        self._archive, self._name = archive, entry.filename
        try:
            self._file = archive.open(entry)
        except _DAMAGED as error:
            raise _damaged(archive, self._name, error) from error

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes; none at the end."""
        try:
            return self._file.read(size)
        except _DAMAGED as error:
            raise _damaged(self._archive, self._name, error) from error

    def close(self) -> None:
        """Close the member, not its archive."""
        self._file.close()


def _damaged(archive: zipfile.ZipFile, name: str, error: Exception) -> SourceError:
    return SourceError(
        f"{name} in {archive.filename} is damaged ({error}); download the archive again"
    )


RawFiles = Folder | Archives


def open_raw(path: Path, archive_names: Sequence[str]) -> RawFiles:
    """Open a dataset given as a folder, as one of its archives, or as a folder that holds them.

    Parameters
    ----------
    path
        What the user named.
    archive_names
        The dataset's archives from its manifest.

    Raises
    ------
    SourceError
        If there is nothing at `path`, or a file that is no zip archive.
    """
    if not path.exists():
        raise SourceError(
            f"expected a dataset folder or archive at {path}, found nothing there; pass --source, "
            "or see `handbench datasets` for where to get it"
        )
    if path.is_file():
        siblings = [path.with_name(n) for n in archive_names if path.name in archive_names]
        found = [p for p in siblings if p.is_file()] or [path]
        return Archives(found)
    packed = [path / name for name in archive_names if (path / name).is_file()]
    unpacked = any(
        entry.suffix == ".json" or (entry.is_dir() and not entry.name.startswith((".", "__")))
        for entry in _entries(path)
    )
    return Archives(packed) if packed and not unpacked else Folder(path)


def _entries(path: Path) -> Iterator[Path]:
    with contextlib.suppress(PermissionError):
        yield from path.iterdir()
