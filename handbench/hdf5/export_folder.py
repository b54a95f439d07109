"""Write a file as a folder in another layout: whole or not at all, with its licence and hashes.

What every layout has in common is here; `export_coco`, `export_freihand` and `export_webdataset`
each fill the folder in their own way.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import secrets
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from handbench.errors import FormatError, HandbenchError
from handbench.files import atomic_path, sha256_file, to_json, write_json, write_text
from handbench.hdf5.reader import HandFile, SplitReader
from handbench.provenance import provenance

EXPORT_VERSION = 1
MARKER = "handbench_export.json"
"""Says that a folder is an export, and of what; written last."""

_UNSAFE = re.compile(r'[<>:"|?*\\%\x00-\x1f\x7f]|[. ]$')
"""What no file system likes in a name, and ``%``, which stands for it."""


@dataclass(frozen=True)
class Exported:
    """What came of it.

    Attributes
    ----------
    path
        The folder.
    layout
        ``coco``, ``freihand`` or ``webdataset``.
    rows
        Split → how many.
    size
        Bytes of all files.
    notes
        Sentences the user should read: what the layout cannot hold, what was renamed.
    """

    path: Path
    layout: str
    rows: dict[str, int]
    size: int
    notes: list[str]


@dataclass
class Job:
    """A folder in the making.

    Attributes
    ----------
    file, splits
        What is exported.
    folder
        Where to write; it has a temporary name.
    notes
        Sentences for the user; add to them.
    """

    file: HandFile
    splits: list[SplitReader]
    folder: Path
    tick: Callable[[], Any]
    notes: list[str] = field(default_factory=list)
    _labels: list[Path] = field(default_factory=list)
    _images: dict[str, Any] = field(default_factory=dict)

    def new_file(self, name: str) -> BinaryIO:
        """Open a new file of labels below the folder; its hash is kept.

        Raises
        ------
        FileExistsError
            If it is there already.
        """
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        self._labels.append(path)
        return path.open("xb")

    def write_image(self, name: str, data: bytes, split: str) -> None:
        """Write an image below the folder; raises as :meth:`new_file`."""
        self.write_mask(name, data)
        self.count_image(data, split)

    def write_mask(self, name: str, data: bytes) -> None:
        """Write a mask below the folder; raises as :meth:`new_file`."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as stream:
            stream.write(data)

    def count_image(self, data: bytes, split: str) -> None:
        """Add an image to the hash over all images of its split, and to the progress bar."""
        self._images.setdefault(split, hashlib.sha256()).update(data)
        self.tick()

    def hashes(self) -> dict[str, dict[str, str]]:
        """SHA-256 of the label files, and of all images of a split one after another."""
        return {
            "files_sha256": {
                path.relative_to(self.folder).as_posix(): sha256_file(path) for path in self._labels
            },
            "images_sha256": {split: digest.hexdigest() for split, digest in self._images.items()},
        }


def export_to_folder(
    file: HandFile,
    out: Path,
    layout: str,
    write: Callable[[Job], None],
    splits: Sequence[str] | None = None,
    *,
    overwrite: bool = False,
    progress: bool = False,
) -> Exported:
    """Fill a new folder; it appears only when everything went well.

    Parameters
    ----------
    file
        A converted file.
    out
        The folder: new, empty, or with `overwrite` an earlier export.
    layout
        Its name.
    write
        Fills the folder of a :class:`Job`.
    splits
        Only these; None for all.
    overwrite
        Replace an earlier export.
    progress
        Show a bar on stderr (never when that is no terminal).

    Raises
    ------
    HandbenchError
        If `out` is in the way, a split is not there, the layout cannot hold the file, or the disk
        is full; then nothing is left behind.
    """
    out = Path(out)
    chosen = [file[name] for name in dict.fromkeys(splits or file.splits)]
    if not chosen:
        raise FormatError(f"expected samples in {file.path}, found no split; convert it again")
    _check_target(out, file, overwrite=overwrite)
    with _replacing(out) as folder, _progress_bar(sum(map(len, chosen)), progress) as bar:
        folder.mkdir()
        job = Job(file, chosen, folder, bar.update)
        write(job)
        _write_terms(folder, file)
        write_json(folder / MARKER, _facts(job, layout))
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return Exported(out, layout, {split.name: len(split) for split in chosen}, size, job.notes)


def safe_name(sample_id: str, also: str = "") -> str:
    """A sample id as a relative path that every file system takes.

    Equal ids give equal names, different ids different ones. What cannot stay is written as
    ``%`` and its number in hexadecimal, as in URLs.

    Parameters
    ----------
    sample_id
        Any text; ``/`` parts folders.
    also
        More characters to replace.

    >>> safe_name("training/00000000"), safe_name("../a:b"), safe_name("a.b/c", also=".")
    ('training/00000000', '.%2E/a%3Ab', 'a%2Eb/c')
    """
    parts = [_UNSAFE.sub(_escaped, part) or "%2F" for part in sample_id.split("/")]
    name = "/".join(parts)
    for character in also:
        name = name.replace(character, f"%{ord(character):02X}")
    return name


def _escaped(match: re.Match[str]) -> str:
    return f"%{ord(match[0]):02X}"


def column_attributes(split: SplitReader) -> dict[str, dict[str, Any]]:
    """The HDF5 attributes of all known columns of a split that have any."""
    found = {name: split.attributes(name) for name in split.names}
    return {name: attributes for name, attributes in found.items() if attributes}


def terms(file: HandFile) -> dict[str, Any]:
    """What an export says about its dataset: name, licence, where it comes from."""
    names = ("dataset", "title", "license", "homepage", "label_source")
    said = {name: str(file.attributes.get(name, "")) for name in names}
    return {**said, "publish_images": bool(file.attributes.get("publish_images", False))}


def _check_target(out: Path, file: HandFile, *, overwrite: bool) -> None:
    if not out.exists():
        return
    if not out.is_dir():
        raise FormatError(f"expected a folder for --out, found the file {out}")
    if not any(out.iterdir()):
        return
    if not overwrite:
        raise FormatError(f"{out} exists already; pass --overwrite to replace it, or another --out")
    if not (out / MARKER).is_file():
        raise FormatError(
            f"expected an earlier export in {out}, found other files and no {MARKER}: they are not "
            "overwritten; choose another --out"
        )
    if file.path.resolve().is_relative_to(out.resolve()):
        raise FormatError(f"{out} holds {file.path} itself; choose another --out")


@contextlib.contextmanager
def _replacing(out: Path) -> Iterator[Path]:
    """A temporary folder that takes the place of `out` when the block succeeds."""
    # A link stays a link: what it points to is replaced.
    out = out.resolve()
    aside = out.with_name(f".{out.name}.{secrets.token_hex(4)}.old")
    try:
        with atomic_path(out) as temporary:
            yield temporary
            if out.exists():
                out.replace(aside)
    except BaseException as error:
        if aside.exists() and not out.exists():
            aside.replace(out)
        if isinstance(error, OSError):
            place = f" ({Path(error.filename).name})" if error.filename else ""
            raise HandbenchError(
                f"the export to {out} stopped: {error.strerror or error}{place}; nothing of it "
                "was kept"
            ) from error
        raise
    shutil.rmtree(aside, ignore_errors=True)


def _write_terms(folder: Path, file: HandFile) -> None:
    said = terms(file)
    images = (
        "Photos of it may be shown in reports."
        if said["publish_images"]
        else "Photos of it must not be published."
    )
    citation = str(file.attributes.get("citation", "")).strip()
    lines = [
        f"{said['title']} ({said['dataset']})",
        "",
        f"Licence: {said['license']}",
        *([f"Homepage: {said['homepage']}"] if said["homepage"] else []),
        *([f"Labels: {said['label_source']}"] if said["label_source"] else []),
        images,
        "",
        "This folder holds images and labels of that dataset in another layout. They stay under",
        "its licence: whoever gets this folder is bound by it.",
        *(["Please cite the work in citation.bib."] if citation else []),
    ]
    write_text(folder / "LICENSE.txt", "\n".join(lines) + "\n")
    if citation:
        write_text(folder / "citation.bib", citation + "\n")


def _facts(job: Job, layout: str) -> dict[str, Any]:
    file = job.file
    return {
        "handbench_export": EXPORT_VERSION,
        "layout": layout,
        **terms(file),
        "source": {
            "file": file.path.name,
            "size": file.path.stat().st_size,
            "sha256": sha256_file(file.path),
            "command": str(file.attributes.get("command", "")),
            "sources": file.attributes.get("sources", []),
        },
        "splits": {split.name: split_facts(split) for split in job.splits},
        "notes": job.notes,
        **job.hashes(),
        **provenance(),
    }


def split_facts(split: SplitReader) -> dict[str, Any]:
    """Rows, fingerprint and units of a split, and the attributes of its columns."""
    return {
        "samples": len(split),
        "truth_sha256": split.truth_sha256,
        "split_unit": split.split_unit,
        "cluster_unit": split.cluster_unit,
        "image_storage": split.storage,
        "attributes": column_attributes(split),
    }


def write_list(stream: BinaryIO, values: Iterator[Any]) -> None:
    """Write a JSON list, an entry a line, without holding more than one entry."""
    stream.write(b"[")
    for number, value in enumerate(values):
        stream.write((b",\n" if number else b"\n") + to_json(value, indent=False))
    stream.write(b"\n]")


def _progress_bar(total: int, show: bool) -> Any:
    from tqdm import tqdm

    # disable=None: no bar when stderr is no terminal.
    return tqdm(total=total, unit=" images", desc="export", disable=None if show else True)
