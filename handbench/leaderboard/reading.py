"""Which files hold results, and what they hold; what cannot be read is named with the reason."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from handbench.errors import ScoreError
from handbench.files import parse_json
from handbench.scores.hygiene import too_long
from handbench.scores.results import MOST_BYTES, Results

_KEY = b'"handbench_results"'


@dataclass(frozen=True)
class ResultsFile:
    """Results, the path they were read from, and that path as text with forward slashes."""

    path: Path
    file: str
    results: Results


def read_results(paths: Sequence[Path]) -> tuple[list[ResultsFile], dict[str, str]]:
    """Read all results at `paths`.

    Parameters
    ----------
    paths
        Results files, or folders that are searched for ``.json`` files. Hidden files and folders
        are passed over, and so is JSON in a folder that is plainly something else; a file that is
        named itself must hold results.

    Returns
    -------
    found
        Sorted by file, each file once and each content once.
    unreadable
        File → a sentence that says why it is not there.
    """
    found: dict[str, ResultsFile] = {}
    unreadable: dict[str, str] = {}
    seen: set[Path] = set()
    documents: set[bytes] = set()
    # The shortest way to a file names it, whatever the order of the paths.
    listed = sorted(
        {(path, named) for top in paths for path, named in _files(Path(top))},
        key=lambda pair: (len(pair[0].parts), pair[0].as_posix(), not pair[1]),
    )
    for path, named in listed:
        real = path.resolve()
        if real in seen:
            continue
        seen.add(real)
        file = path.as_posix()
        try:
            raw = _content(path)
            if raw is None and not named:
                continue
            results = Results.from_dict(parse_json(raw or b"{}", "results", file, ScoreError), file)
            if long := too_long(results):
                raise ScoreError(f"{file}: {long}")
        except ScoreError as error:
            unreadable[file] = str(error)
            continue
        except RecursionError:
            unreadable[file] = (
                f"{file}: expected results JSON of a few levels, found it nested deep"
            )
            continue
        if raw is not None and raw not in documents:
            documents.add(raw)
            found[file] = ResultsFile(path, file, results)
    return [found[file] for file in sorted(found)], dict(sorted(unreadable.items()))


def _files(top: Path) -> Iterator[tuple[Path, bool]]:
    """Candidates below `top`, and whether they were named outright."""
    if not top.is_dir():
        yield top, True
        return
    for folder, folders, names in os.walk(top):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            if name.lower().endswith(".json") and not name.startswith("."):
                yield Path(folder) / name, False


def _content(path: Path) -> bytes | None:
    """The bytes of a file that claims to hold results; None for one that does not."""
    try:
        if not path.is_file():
            raise ScoreError(
                f"expected results at {path}, found no such file: name results JSON, or a folder "
                "that holds some"
            )
        if path.stat().st_size > MOST_BYTES:  # predictions
            return None
        raw = path.read_bytes()
    except OSError as error:
        raise ScoreError(f"cannot read {path}: {error.strerror or error}") from error
    return raw if _KEY in raw else None
