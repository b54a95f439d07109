"""Archives fetched over HTTP: gone on with where they broke off, checked, renamed when whole.

requests speaks HTTP; pooch checks the hash and gives the finished file its name. What has arrived
so far lies beside it as ``FILE.part``, so that the next call asks for the rest alone.
"""

from __future__ import annotations

import re
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from handbench.errors import HandbenchError
from handbench.files import sha256_file
from handbench.sources.manifest import Archive

if TYPE_CHECKING:
    import requests
    from tqdm import tqdm

_CHUNK_BYTES = 1 << 16
"""Written at once; what has arrived of the next is lost when a connection breaks."""
_TIMEOUTS_S = (10.0, 60.0)
"""To connect; between two pieces."""
_TRIES = 5
"""In a row that brought nothing, before we give up."""
_PAUSE_S = 1.0
_MAY_PASS = (408, 425, 429)
"""Client errors that another try may cure; those of servers (5xx) may too."""


@dataclass(frozen=True)
class Local:
    """What of an archive lies in a folder.

    Attributes
    ----------
    archive
        The archive.
    path
        Where it belongs.
    found_bytes
        Size of the file there; None where there is none.
    part_bytes
        Size of what a broken-off download left.
    """

    archive: Archive
    path: Path
    found_bytes: int | None
    part_bytes: int

    @property
    def whole(self) -> bool:
        """Whether the file is there in its full size."""
        return self.found_bytes is not None and (
            self.found_bytes == self.archive.size_bytes or not self.archive.size_bytes
        )

    @property
    def part(self) -> Path:
        """Where it grows."""
        return self.path.with_name(f"{self.path.name}.part")

    @property
    def missing_bytes(self) -> int:
        """How much has yet to come, as far as the manifest knows."""
        return 0 if self.whole else max(self.archive.size_bytes - self.part_bytes, 0)


def local(archive: Archive, folder: Path) -> Local:
    """Look for an archive, and for what a broken-off download left of it, in `folder`."""
    path = Path(folder) / archive.file
    part = _size(path.with_name(f"{archive.file}.part"))
    return Local(archive, path, _size(path), part or 0)


def check_local(found: Local) -> None:
    """Refuse what stands in the way of a download: it is the user's, and stays.

    Raises
    ------
    HandbenchError
        Under the archive's name there is a folder, a link to nowhere, or a file of another size.
    """
    path, expected = found.path, found.archive.size_bytes
    if found.whole:
        return
    if found.found_bytes is not None:
        what = f"{found.found_bytes:,} bytes"
    elif path.is_symlink():
        what = f"a link to {path.readlink()}, where nothing is"
    elif path.exists():
        what = "a folder"
    else:
        return
    size = f"{expected:,} bytes" if expected else "a file"
    raise HandbenchError(
        f"expected {size} at {path}, found {what}: move it away or remove it, then download again"
    )


def check_room(needed: int, folder: Path) -> None:
    """Refuse to write `needed` bytes into `folder` where there are not as many free.

    Raises
    ------
    HandbenchError
        With both numbers.
    """
    free = free_bytes(folder)
    if free < needed:
        raise HandbenchError(
            f"expected {needed:,} bytes free for {folder}, found {free:,}: make room, or choose "
            "another place with --to DIR"
        )


def free_bytes(folder: Path) -> int:
    """Free bytes on the disk of `folder`, which need not exist yet."""
    here = Path(folder).absolute()
    return shutil.disk_usage(next(p for p in (here, *here.parents) if p.exists())).free


def fetch(archive: Archive, folder: Path) -> Path:
    """Fetch an archive into `folder`; return at once where it is there already.

    A download that broke off goes on where it stopped, within a call and between calls. The file
    gets its name when its size (and its SHA-256, where the manifest has one) is right.

    Parameters
    ----------
    archive
        With a `url`.
    folder
        Made when it is not there.

    Raises
    ------
    HandbenchError
        The server refuses, offers another size, or falls silent; the hash is wrong; something else
        lies under the archive's name; the folder cannot be written or has too little room.
    """
    import pooch

    found = local(archive, folder)
    check_local(found)
    if found.whole:
        _check_hash(found)
        return found.path
    # Its notes ("Downloading data from …") are said better by the progress bar.
    pooch.get_logger().setLevel("WARNING")
    store = pooch.create(
        path=folder,
        base_url="",
        registry={archive.file: archive.sha256 or None},
        urls={archive.file: archive.url},
    )
    try:
        store.fetch(archive.file, downloader=_Resuming(found))
    except OSError as error:
        raise HandbenchError(
            f"cannot write to {folder}: {error.strerror or error}; make room or make the folder "
            "writable, or choose another place with --to DIR"
        ) from error
    except ValueError as error:  # pooch's word for a wrong hash; it has removed the file
        raise HandbenchError(
            f"{archive.url}: expected SHA-256 {archive.sha256}, found another, so nothing was "
            "kept: download again, and if it stays so the publisher has changed the file"
        ) from error
    return found.path


class _Resuming:
    """A downloader for pooch that keeps what has arrived and asks for the rest."""

    def __init__(self, found: Local) -> None:
        self._archive = found.archive
        self._part = found.part

    def __call__(self, url: str, output_file: str, pooch: Any) -> None:
        import requests
        from tqdm import tqdm

        best = self._arrived()
        fruitless = 0
        why = ""
        with tqdm(
            desc=self._archive.file,
            total=self._archive.size_bytes or None,
            initial=best,
            unit="B",
            unit_scale=True,
            disable=None,  # no bar where stderr is no terminal
        ) as bar:
            while fruitless < _TRIES:
                time.sleep(_PAUSE_S * fruitless)
                try:
                    if self._request(url, bar):
                        self._part.replace(output_file)
                        return
                    why = "the connection broke off"
                except requests.RequestException as error:
                    why = _why(error)
                arrived = self._arrived()
                fruitless = 0 if arrived > best else fruitless + 1
                best = max(best, arrived)
        size = f" of {self._archive.size_bytes:,}" if self._archive.size_bytes else ""
        raise HandbenchError(
            f"{url}: {why} at {best:,}{size} bytes, {_TRIES} times in a row; what has arrived is "
            f"kept in {self._part}: run the command again to go on"
        )

    def _arrived(self) -> int:
        return _size(self._part) or 0

    def _request(self, url: str, bar: tqdm[Any]) -> bool:
        """Ask for what is missing and write it down; whether the file is whole now."""
        import requests

        start, size = self._arrived(), self._archive.size_bytes
        if size and start > size:  # of another version, or two downloads at once
            self._part.unlink()
            start = 0
        if size and start == size:
            return True
        # Byte ranges of a stream compressed on the way would be those of the compressed one.
        headers = {"Accept-Encoding": "identity"}
        if start:
            headers["Range"] = f"bytes={start}-"
        with requests.get(url, headers=headers, stream=True, timeout=_TIMEOUTS_S) as reply:
            total = self._check(reply)
            if reply.status_code == requests.codes.requested_range_not_satisfiable:
                if total == start:
                    return True
                self._part.unlink()
                return False
            arrived = _first_byte(reply)
            if arrived > start:
                raise HandbenchError(
                    f"{url}: expected the bytes from {start:,} on, found those from {arrived:,}: "
                    f"remove {self._part} and download again"
                )
            if not size and total:
                check_room(total - arrived, self._part.parent)
            bar.total = size or total
            bar.n = arrived
            with self._part.open("ab") as stream:
                stream.truncate(arrived)
                for chunk in reply.iter_content(_CHUNK_BYTES):
                    arrived += len(chunk)
                    if size and arrived > size:
                        break
                    stream.write(chunk)
                    bar.update(len(chunk))
            if size and arrived > size:
                self._part.unlink()  # the beginning of another file
                raise self._other("more")
        # Of the file, not of what was counted: a second download may have been writing too.
        return self._arrived() == (size or total or arrived)

    def _check(self, reply: requests.Response) -> int | None:
        """Whole size of what the server offers, None where it does not say."""
        code, size = reply.status_code, self._archive.size_bytes
        if code < 500 and code not in (200, 206, 416, *_MAY_PASS):
            raise HandbenchError(
                f"{self._archive.url}: expected {self._archive.file}, found {code} {reply.reason}: "
                f"fetch it with a browser and put it at {self._part.with_suffix('')}"
            )
        if code != 416:  # which may come with a page
            reply.raise_for_status()
            if reply.headers.get("Content-Type", "").startswith("text/html"):
                raise self._other("a web page")
        total = _total_bytes(reply)
        if size and total is not None and total != size:
            raise self._other(f"{total:,} bytes")
        return total

    def _other(self, found: str) -> HandbenchError:
        """The server has something else than the manifest says."""
        size = self._archive.size_bytes
        expected = f"{size:,} bytes" if size else self._archive.file
        return HandbenchError(
            f"{self._archive.url}: expected {expected}, found {found}: the publisher has changed "
            "or moved the file; look at the dataset's page"
        )


def _check_hash(found: Local) -> None:
    expected = found.archive.sha256
    if expected and sha256_file(found.path) != expected:
        raise HandbenchError(
            f"expected SHA-256 {expected} at {found.path}, found another: the file is damaged or "
            "of another version; move it away or remove it, then download again"
        )


def _size(path: Path) -> int | None:
    return path.stat().st_size if path.is_file() else None


def _first_byte(reply: requests.Response) -> int:
    """Where in the file the body begins: 0 where the server sends all of it."""
    found = re.match(r"bytes (\d+)-", reply.headers.get("Content-Range", ""))
    return int(found[1]) if found and reply.status_code == 206 else 0


def _total_bytes(reply: requests.Response) -> int | None:
    whole = reply.headers.get("Content-Range", "").rpartition("/")[2]
    if not whole and reply.status_code == 200:
        whole = reply.headers.get("Content-Length", "")
    return int(whole) if whole.isdigit() else None


def _why(error: requests.RequestException) -> str:
    import requests

    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"the server answers {error.response.status_code} {error.response.reason}"
    if isinstance(error, requests.Timeout) or "timed out" in str(error):
        return "the server falls silent"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the connection broke off"
    return f"no connection ({type(error).__name__})"
