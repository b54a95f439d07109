"""Deposited predictions: which belong to which results, and what they score on the data at hand."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from handbench.camera import transform_points
from handbench.errors import HandbenchError
from handbench.files import sha256_file
from handbench.hdf5.reader import HandFile
from handbench.leaderboard.agreement import bounds_of
from handbench.leaderboard.signatures import parts
from handbench.leaderboard.tables import parsed
from handbench.predictions.deposit import MOVED_MM, MOVED_PX, deposit_origin
from handbench.predictions.read import read_predictions
from handbench.predictions.unpack import SUFFIXES
from handbench.scores.protocol import Protocol
from handbench.scores.protocols import PROTOCOLS, custom_protocol, find_protocol
from handbench.scores.results import Evaluation, Results
from handbench.scores.scoring import evaluate


@dataclass(frozen=True)
class Asked:
    """Protocols and further metrics that a file is scored under at once."""

    protocols: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()

    def and_for(self, results: Results) -> Asked:
        """The same, and what `results` hold; protocols that nobody knows are left out."""
        if results.protocol == "custom":
            names = [name for name in results.metrics if parsed(name) is not None]
            return replace(self, metrics=tuple(names))
        if results.protocol not in {protocol.name for protocol in PROTOCOLS}:
            return self
        return replace(self, protocols=tuple(sorted({*self.protocols, results.protocol})))

    @property
    def presets(self) -> list[Protocol]:
        """Protocols in the order of an evaluation's results."""
        presets = [find_protocol(name) for name in self.protocols]
        return presets + ([custom_protocol(self.metrics)] if self.metrics else [])


@dataclass(frozen=True)
class Scored:
    """Numbers that were made here.

    Attributes
    ----------
    evaluation
        With results under the protocol that was asked for.
    sentence
        How, without full stop.
    bounds
        The least and the most that the original predictions may have scored; None where their
        errors are known exactly.
    partial
        Something of the predictions may be missing, such as meshes.
    """

    evaluation: Evaluation
    sentence: str
    bounds: tuple[Evaluation, Evaluation] | None = None
    partial: bool = False

    def outcome(self, compared: int) -> str:
        """How the numbers that were compared agree."""
        how = "agree within what half precision costs" if self.bounds else "are the same"
        return f"all {compared:,} submitted numbers {how}" if compared else "no number to compare"


@dataclass(frozen=True)
class _File:
    path: Path
    is_deposit: bool


class Deposits:
    """Predictions at hand, by the hash of the file that was evaluated.

    Parameters
    ----------
    predictions
        Files, or folders of them.
    data
        What they may have been made on.
    results
        Which hashes they name decides what is read further.
    """

    def __init__(
        self, predictions: Sequence[Path], data: Sequence[HandFile], results: Sequence[Results]
    ) -> None:
        self._asked: dict[str, Asked] = {}
        for one in results:
            digest = _digest(one)
            self._asked[digest] = self._asked.get(digest, Asked()).and_for(one)
        wanted = set(self._asked) - {""}
        self._data = sorted(data, key=lambda file: file.path.as_posix())
        self._files: dict[str, _File] = {}
        claims: dict[str, dict[str, Path]] = {}
        own = {file.path.resolve() for file in data}
        for path in sorted(set(_candidates(predictions)), key=lambda path: path.as_posix()):
            # A device or a pipe may never end.
            if path.resolve() in own or not path.is_file():
                continue
            origin = deposit_origin(path) if path.suffix.lower() == ".npz" else None
            own_digest = sha256_file(path) if wanted else ""
            hashes = {own_digest}
            if origin is not None:
                hashes.add(origin.sha256)
            for digest in hashes & wanted:
                # The evaluated file itself is better than a deposit of it.
                exact = origin is None or digest != origin.sha256
                if not exact:
                    claims.setdefault(digest, {}).setdefault(own_digest, path)
                if digest not in self._files or (exact and self._files[digest].is_deposit):
                    self._files[digest] = _File(path, not exact)

        # What a deposit was made from is its own word: where two differ, neither is believed.
        self._rivals = {
            digest: list(paths.values())
            for digest, paths in claims.items()
            if len(paths) > 1 and self._files[digest].is_deposit
        }

    def score(self, results: Results) -> Scored | str:
        """Score what `results` were made from; a reason, or "", where that cannot be done here."""
        found = self._files.get(_digest(results))
        if found is None:
            return ""
        rivals = self._rivals.get(_digest(results), [])
        if rivals:
            names = " and ".join(sorted(path.as_posix() for path in rivals[:2]))
            return f"{names} both say that they are its predictions, and differ: remove one"
        signed = parts(results.signature)
        if signed.get("ids", "all") != "all":
            return f"{found.path.name} is deposited, but which ids were scored is not known here"
        data = self._data_of(results, signed.get("truth", ""))
        if isinstance(data, str):
            return f"{found.path.name} is deposited, but {data}"
        asked = self._asked[_digest(results)]
        try:
            states = (_state(found.path), _state(data.path))
            scored, frame = _evaluated(found.path, data.path, states, asked)
            bounds = None
            if found.is_deposit:
                # Crops are smaller than their source, or larger.
                px = 1.0 if frame == "source" else _source_px(data, results.split)
                bounds = bounds_of(scored, asked.presets, MOVED_PX * px, MOVED_MM)
        except HandbenchError as error:
            return f"{found.path.name} is deposited, but could not be scored: {error}"
        return Scored(
            scored,
            f"scored here from deposited predictions ({found.path.name}) on {data.path.name}",
            bounds,
            partial=found.is_deposit,
        )

    def _data_of(self, results: Results, truth: str) -> HandFile | str:
        """The file with the truth of `results`, or why there is none."""
        named = [file for file in self._data if file.dataset == results.dataset]
        for file in named:
            if results.split in file and file[results.split].truth_sha256 == truth:
                return file
        if named:
            return f"{named[0].path.name} has other labels than were scored"
        return f"no data file of {results.dataset} was given"


def _candidates(paths: Sequence[Path]) -> Iterator[Path]:
    for top in map(Path, paths):
        if not top.is_dir():
            yield top
            continue
        for folder, folders, names in os.walk(top):
            folders[:] = [name for name in folders if not name.startswith(".")]
            for name in names:
                if name.lower().endswith(SUFFIXES) and not name.startswith("."):
                    yield Path(folder) / name


def _digest(results: Results) -> str:
    digest = results.provenance.get("predictions_sha256")
    return digest if isinstance(digest, str) else ""


def _state(path: Path) -> tuple[int, int]:
    state = path.stat()
    return state.st_size, state.st_mtime_ns


@functools.lru_cache(maxsize=64)
def _evaluated(
    path: Path, data: Path, states: tuple[tuple[int, int], ...], asked: Asked
) -> tuple[Evaluation, str]:
    """Numbers and the frame of the predictions, made once while a page is rebuilt again and again.

    A file without a header is refused: nobody here knows how it was read when it was scored.
    """
    predictions = read_predictions(path)
    return evaluate(predictions, data, asked.protocols, metrics=asked.metrics), predictions.frame


def _source_px(data: HandFile, split: str) -> float:
    """Most source px that a px of a stored image may be."""
    reader = data[split]
    to_source = np.linalg.inv(reader.column("crop").astype(np.float64))
    height, width = reader.column("image_size").astype(np.float64).max(axis=0)
    places = [(x, y) for x in (0.0, width / 2, width) for y in (0.0, height / 2, height)]
    grid = np.broadcast_to(np.array(places), (len(to_source), len(places), 2))
    here = transform_points(to_source, grid)
    steps = [
        np.linalg.norm(transform_points(to_source, grid + np.array(step)) - here, axis=2)
        for step in ((1.0, 0.0), (0.0, 1.0))
    ]
    return float(np.hypot(*steps).max())
