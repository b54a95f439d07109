"""Several HDF5 files as one training set, without a copy: a small file that points into them."""

from __future__ import annotations

import contextlib
import itertools
import math
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from handbench.errors import FormatError, HandbenchError
from handbench.files import to_json
from handbench.hdf5.convert import check_target
from handbench.hdf5.duplicates import Copies, find_copies
from handbench.hdf5.merged_split import Piece, common_units, spans_of, write_split
from handbench.hdf5.parts import Part, relative_name
from handbench.hdf5.reader import HandFile, SplitReader
from handbench.hdf5.writer import HandFileWriter
from handbench.sources import manifest as manifests

DROPPED_COPIES = "image that another merged file holds too"
"""Reason in `dropped`."""

_NOISE = ("label_noise_px", "label_noise_mm")


@dataclass(frozen=True)
class Input:
    """A file to merge.

    Attributes
    ----------
    path
        HDF5 file of format 1.x.
    weight
        How often each of its rows is drawn in training, relative to those of other files.
    """

    path: Path
    weight: float = 1.0


@dataclass(frozen=True)
class Row:
    """A row, for people: its file and its id there."""

    file: str
    sample_id: str

    def __str__(self) -> str:
        return f"{self.sample_id} of {self.file}"


@dataclass(frozen=True)
class Merged:
    """What came of it.

    Attributes
    ----------
    path, dataset
        The file and its dataset name.
    rows
        Split → how many.
    drawn
        Source dataset → share of the training draws, by weight; empty without the split `train`.
    copies
        Rows whose image stands in another file too: (the one to keep, the copy).
    dropped
        Whether the copies were left out.
    notes
        Sentences about what could not come along, and what to mind.
    """

    path: Path
    dataset: str
    rows: dict[str, int]
    drawn: dict[str, float]
    copies: list[tuple[Row, Row]]
    dropped: bool
    notes: list[str]


def merge(
    inputs: Sequence[Input],
    out: Path,
    *,
    name: str | None = None,
    splits: Sequence[str] | None = None,
    drop_duplicates: bool = False,
    overwrite: bool = False,
    progress: bool = False,
) -> Merged:
    """Write a file of format 1.0 whose splits are those of several files, one after another.

    Labels and images are virtual datasets: they stay in the files, which must stay where they are
    relative to `out`. Ids are written anew below the name of their dataset.

    Parameters
    ----------
    inputs
        At least two files.
    out
        Target; appears only when everything succeeded.
    name
        Dataset name of the merged file; None takes the stem of `out`.
    splits
        Only these; None for all that any file has.
    drop_duplicates
        Leave out rows whose image, byte for byte, stands in another file too.
    overwrite
        Replace an existing `out`.
    progress
        Show a bar on stderr (never when that is no terminal).

    Raises
    ------
    HandbenchError
        If the files do not fit together, a split is in none of them, or `out` exists.
    """
    out = Path(out)
    check_target(out, overwrite=overwrite)
    _check_inputs(inputs, out)
    with contextlib.ExitStack() as stack:
        files = [stack.enter_context(HandFile(given.path)) for given in inputs]
        dataset = _dataset_name(name or out.stem, files)
        chosen = _readers(files, splits)
        readers = [(n, reader) for parts in chosen.values() for n, reader in parts]
        _check_storage(files, readers)
        found = _find_copies(readers, progress)
        pieces = _pieces(inputs, files, chosen, found if drop_duplicates else [], out)
        every = list(itertools.chain.from_iterable(pieces.values()))
        _check_ids(every)
        units = common_units(every)
        notes = [*_overlaps(files), *_without_val(files, pieces)]
        header = _header(dataset, files, len(found) if drop_duplicates else 0)
        parts = [part.to_dict() for part in _parts(inputs, files, pieces, out)]
        header["merged_from"] = _json(parts)
        with HandFileWriter(out, header) as writer:
            for split, given in pieces.items():
                notes += write_split(writer.group(split), given, units)
        return Merged(
            path=out,
            dataset=dataset,
            rows={split: sum(map(len, given)) for split, given in pieces.items()},
            drawn=_shares(pieces.get("train", [])),
            copies=_named(found, files),
            dropped=drop_duplicates,
            notes=notes,
        )


def _pieces(
    inputs: Sequence[Input],
    files: Sequence[HandFile],
    chosen: dict[str, list[tuple[int, SplitReader]]],
    left_out: Sequence[Copies],
    out: Path,
) -> dict[str, list[Piece]]:
    """Split → the rows that each file gives to it; without those that give none."""
    rows: dict[tuple[int, str], list[int]] = {}
    for copies in left_out:
        number, split, row = copies.copy
        rows.setdefault((number, split), []).append(row)
    pieces: dict[str, list[Piece]] = {}
    for split, readers in chosen.items():
        for number, reader in readers:
            keep = np.ones(len(reader), dtype=bool)
            keep[rows.get((number, split), [])] = False
            if keep.any():
                given = inputs[number]
                name = relative_name(given.path, out)
                piece = Piece(files[number], reader, name, given.weight, spans_of(keep))
                pieces.setdefault(split, []).append(piece)
    return pieces


# -- do they fit together? ---------------------------------------------------------------------


def _check_inputs(inputs: Sequence[Input], out: Path) -> None:
    if len(inputs) < 2:
        raise HandbenchError(f"merging needs at least two files, found {len(inputs)}")
    for given in inputs:
        if not (given.weight > 0 and math.isfinite(given.weight)):
            raise HandbenchError(
                f"expected a positive weight for {given.path}, found {given.weight:g}"
            )
    real = [os.path.realpath(given.path) for given in inputs]
    for one, other in itertools.combinations(range(len(real)), 2):
        if real[one] == real[other]:
            raise HandbenchError(
                f"{inputs[other].path} is given twice; to draw its rows more often, give it a "
                f"weight: {inputs[one].path}:2"
            )
    if os.path.realpath(out) in real:
        raise HandbenchError(f"--out {out} is one of the files to merge; choose another name")


def _dataset_name(name: str, files: Sequence[HandFile]) -> str:
    """`name`, unless it could pass for a dataset it is not.

    Raises
    ------
    HandbenchError
        If it is the name of a source or of a published dataset, or a source is merged itself.
    """
    for file in files:
        if "merged_from" in file.attributes:
            parts = ", ".join(part["file"] for part in file.attributes["merged_from"])
            raise HandbenchError(
                f"{file.path} is merged itself; merge the files it is made of instead: {parts}"
            )
    if name in {file.dataset for file in files} or name in manifests.names():
        raise HandbenchError(
            f"a merged set must not be called {name!r}, which names a dataset; choose another "
            "--name"
        )
    return name


def _readers(
    files: Sequence[HandFile], wanted: Sequence[str] | None
) -> dict[str, list[tuple[int, SplitReader]]]:
    """Split → (number of the file, its split) of the files that have it."""
    offered = list(dict.fromkeys(split for file in files for split in file.splits))
    unknown = [split for split in wanted or () if split not in offered]
    if unknown:
        raise HandbenchError(
            f"none of the files has a split {unknown[0]!r}; they have {', '.join(offered)}"
        )
    return {
        split: [(number, file[split]) for number, file in enumerate(files) if split in file]
        for split in offered
        if wanted is None or split in wanted
    }


def _check_storage(files: Sequence[HandFile], readers: Sequence[tuple[int, SplitReader]]) -> None:
    """All images are stored in one way and one size.

    Raises
    ------
    FormatError
        Naming two files that differ.
    """
    storage: dict[str, HandFile] = {}
    sizes: dict[tuple[int, int], HandFile] = {}
    for number, reader in readers:
        storage.setdefault(reader.storage, files[number])
        for height, width in np.unique(reader.column("image_size"), axis=0).tolist():
            sizes.setdefault((height, width), files[number])
    if len(storage) > 1:
        (one, first), (other, second) = list(storage.items())[:2]
        raise FormatError(
            f"merging needs images that are stored in one way, found {one} ones in {first.path} "
            f"and {other} ones in {second.path}; convert one of them again with "
            f"--image-storage {one}"
        )
    if len(sizes) > 1:
        (one_size, first), (other_size, second) = list(sizes.items())[:2]
        raise FormatError(
            f"merging needs images of one size, found {_times(one_size)} px in {first.path} and "
            f"{_times(other_size)} px in {second.path}; convert both with the same --size"
        )


def _times(size: tuple[int, int]) -> str:
    return f"{size[0]}×{size[1]}"


def _check_ids(pieces: Iterable[Piece]) -> None:
    """No id stands twice: only files of one dataset could share ids.

    Raises
    ------
    FormatError
        If two such files hold the same sample.
    """
    by_dataset: dict[str, list[Piece]] = {}
    for piece in pieces:
        by_dataset.setdefault(piece.file.dataset, []).append(piece)
    for dataset, given in by_dataset.items():
        if len({piece.file.path for piece in given}) < 2:
            continue
        ids = np.concatenate([piece.ids("sample_id") for piece in given])
        names, counts = np.unique(ids, return_counts=True)
        if (counts > 1).any():
            files = " and ".join(dict.fromkeys(str(piece.file.path) for piece in given))
            raise FormatError(
                f"{files} are both of {dataset} and share {int((counts > 1).sum()):,} samples, "
                f"such as {names[counts > 1][0].decode()}; merge files without common samples, or "
                "pass --drop-duplicates where their images are the same"
            )


def _overlaps(files: Sequence[HandFile]) -> list[str]:
    """A warning for each pair of datasets that are known to share images or people."""
    known = {}
    for file in files:
        name = file.dataset.removesuffix("-subset")
        facts = manifests.load(name).known_overlap if name in manifests.names() else ()
        known[name] = set(facts)
    return [
        f"{one} and {other} are known to overlap: a model that is trained on the one has seen part "
        "of the other"
        for one, other in itertools.combinations(known, 2)
        if other in known[one] or one in known[other]
    ]


def _without_val(files: Sequence[HandFile], pieces: dict[str, list[Piece]]) -> list[str]:
    if "val" not in pieces or "train" not in pieces:
        return []
    having = {piece.file.path for piece in pieces["val"]}
    lacking = dict.fromkeys(
        str(piece.file.path) for piece in pieces["train"] if piece.file.path not in having
    )
    return [f"{path} has no split val: it takes no part in validation" for path in lacking]


# -- the same image twice ----------------------------------------------------------------------


def _find_copies(readers: Sequence[tuple[int, SplitReader]], progress: bool) -> list[Copies]:
    from tqdm import tqdm

    total = sum(len(reader) for _, reader in readers)
    # disable=None: no bar when stderr is no terminal.
    shown = None if progress else True
    with tqdm(total=total, unit=" images", desc="compare", disable=shown) as bar:
        return find_copies(readers, bar.update)


def _named(found: Sequence[Copies], files: Sequence[HandFile]) -> list[tuple[Row, Row]]:
    ids: dict[tuple[int, str], Any] = {}

    def row(place: tuple[int, str, int]) -> Row:
        number, split, index = place
        if (number, split) not in ids:
            ids[number, split] = files[number][split].column("sample_id")
        return Row(str(files[number].path), str(ids[number, split][index]))

    return [(row(copies.kept), row(copies.copy)) for copies in found]


# -- what the file says about itself -----------------------------------------------------------


def _header(dataset: str, files: Sequence[HandFile], copies: int) -> dict[str, Any]:
    """Root attributes: all licences and citations; images may be shown if all may."""
    attributes = [file.attributes for file in files]
    dropped: dict[str, int] = {}
    for facts in attributes:
        for reason, count in facts["dropped"].items():
            dropped[reason] = dropped.get(reason, 0) + count
    if copies:
        dropped[DROPPED_COPIES] = copies
    header = {
        "dataset": dataset,
        "title": " + ".join(_each(files, "title", str)),
        "license": "\n".join(_each(files, "license", _with_name)),
        "citation": "\n\n".join(_each(files, "citation", str)),
        "homepage": "\n".join(_each(files, "homepage", _with_name)),
        "label_source": "\n".join(_each(files, "label_source", _with_name)),
        "publish_images": all(bool(facts.get("publish_images", False)) for facts in attributes),
        "sources": [source for facts in attributes for source in facts.get("sources", [])],
        "dropped": _json(dropped),
    }
    for noise in _NOISE:
        known = {facts.get(noise) for facts in attributes}
        if len(known) == 1 and None not in known:
            header[noise] = known.pop()
    return header


def _each(files: Sequence[HandFile], attribute: str, form: Callable[..., str]) -> list[str]:
    """What every file says, each sentence once."""
    said = []
    for file in files:
        text = str(file.attributes.get(attribute, "")).strip()
        if text:
            said.append(form(text) if form is str else form(file.dataset, text))
    return list(dict.fromkeys(said))


def _with_name(dataset: str, text: str) -> str:
    return f"{dataset}: {text}"


def _parts(
    inputs: Sequence[Input],
    files: Sequence[HandFile],
    pieces: dict[str, list[Piece]],
    out: Path,
) -> list[Part]:
    return [
        Part(
            file=relative_name(given.path, out),
            dataset=file.dataset,
            size=given.path.stat().st_size,
            weight=float(given.weight),
            rows={
                split: len(piece)
                for split, given_pieces in pieces.items()
                for piece in given_pieces
                if piece.file is file
            },
            truth_sha256={split: file[split].truth_sha256 for split in file.splits},
        )
        for given, file in zip(inputs, files)
    ]


def _shares(pieces: Sequence[Piece]) -> dict[str, float]:
    total = sum(float(piece.weights().sum()) for piece in pieces)
    shares: dict[str, float] = {}
    for piece in pieces:
        name = piece.file.dataset
        shares[name] = shares.get(name, 0.0) + float(piece.weights().sum()) / total
    return shares


def _json(value: Any) -> str:
    return to_json(value, indent=False).decode()
