"""Files around ``handbench evaluate``: ids in; results, errors, diagnosis and report out."""

from __future__ import annotations

import itertools
import os
import re
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from handbench.hdf5.reader import HandFile
    from handbench.scores.results import Evaluation
    from handbench.scores.subsets import Breakdown


_LONGEST_STEM = 100
"""Bytes; file systems allow 255 with all endings, and unfinished files have longer names."""


_LONGEST_NAME = 60


def read_ids(path: Path) -> list[str]:
    """Sample ids from a text file, one a line; raises :class:`ScoreError` if there is none."""
    from handbench.errors import ScoreError

    if path.is_dir():
        raise ScoreError(f"expected a text file of sample ids at {path}, found a folder")
    try:
        # Editors on Windows put a byte order mark before the first id.
        lines = path.read_text("utf-8-sig").splitlines()
    except OSError as error:
        found = "no such file" if isinstance(error, FileNotFoundError) else error.strerror or error
        raise ScoreError(
            f"expected a text file of sample ids at {path}, one a line, found: {found}"
        ) from error
    except UnicodeDecodeError as error:
        raise ScoreError(
            f"expected a text file of sample ids at {path}, one a line, found bytes that are not "
            "UTF-8: save it as UTF-8 text"
        ) from error
    return [line.strip() for line in lines if line.strip()]


def check_out(out: Path) -> None:
    """Raise :class:`ScoreError` before anything is scored if results cannot go to `out`."""
    from handbench.errors import ScoreError

    there = next(path for path in (out, *out.absolute().parents) if path.exists())
    if not there.is_dir():
        raise ScoreError(f"expected a folder for results at {out}, found the file {there}")
    if not os.access(there, os.W_OK):
        raise ScoreError(
            f"cannot write results to {out}: no permission to write in {there}; choose another "
            "place or make the folder writable"
        )


def unique_labels(models: Sequence[tuple[str, Path]]) -> list[str]:
    """Names of the models; those called the same get the name of their file, then a number."""
    names = [_shown(name) for name, _ in models]
    labels: list[str] = []
    for name, (_, path) in zip(names, models):
        label = f"{name} ({path.name})" if names.count(name) > 1 else name
        number = 2
        unique = label
        while unique in labels:
            unique, number = f"{label} #{number}", number + 1
        labels.append(unique)
    return labels


def _shown(name: str) -> str:
    """A name from a file as one short line, without characters that steer a terminal."""
    from handbench.reports.escape import one_line

    line = one_line(name) or "model"
    return line if len(line) <= _LONGEST_NAME else line[: _LONGEST_NAME - 1] + "…"


def write_report(
    out: Path,
    labels: Sequence[str],
    evaluations: Sequence[Evaluation],
    file: HandFile,
    *,
    images: bool | None,
    by: Sequence[str],
) -> None:
    """Write ``report.html``, before the results: results JSON means that all is there."""
    from handbench.reports import html

    page = out / "report.html"
    html.write_report(list(evaluations), file, page, labels=list(labels), images=images, by=by)


def write_evaluations(out: Path, labels: Sequence[str], evaluations: Sequence[Evaluation]) -> None:
    """Write errors, diagnosis and results of each model, the results last."""
    from handbench.files import write_json

    for names, evaluation in zip(_file_names(labels, evaluations), evaluations):
        evaluation.errors.write(out / names[0])
        if evaluation.diagnosis is not None:
            write_json(out / names[1], evaluation.diagnosis.to_dict())
        for name, results in zip(names[2:], evaluation.results):
            results.write(out / name)


def write_figures(
    out: Path,
    labels: Sequence[str],
    evaluations: Sequence[Evaluation],
    breakdowns: Mapping[str, Sequence[Breakdown]],
) -> list[str]:
    """Write the figures for papers of all models; returns what a reader of them has to know."""
    from handbench.reports.paper_figures import write_figures as write

    named = [(label, one) for label, e in zip(labels, evaluations) for one in e.results]
    return write(named, out, breakdowns=breakdowns).notes


def _file_stem(label: str) -> str:
    """`label` without characters that no file name may have, short enough for every disk."""
    plain = re.sub(r"[^\w.-]+", "-", unicodedata.normalize("NFC", label))
    short = plain.encode()[:_LONGEST_STEM].decode(errors="ignore")
    return short.strip("-.") or "model"


def _file_names(labels: Sequence[str], evaluations: Sequence[Evaluation]) -> list[list[str]]:
    """Names of each model's files, no two the same: errors, diagnosis, then one a protocol.

    Names that differ in case only, or only in characters that no file name may have, are the
    same; and the model ``a.mmpose`` wants the name that the model ``a`` has under mmpose.
    """
    taken = {"report.html"}
    chosen: list[list[str]] = []
    for label, evaluation in zip(labels, evaluations):
        base = _file_stem(label)
        further = [f".{results.protocol}.json" for results in evaluation.results[1:]]
        endings = (".errors.npz", ".diagnosis.json", ".json", *further)
        for number in itertools.count(1):
            stem = base if number == 1 else f"{base}-{number}"
            names = [f"{stem}{ending}" for ending in endings]
            if taken.isdisjoint(name.casefold() for name in names):
                break
        taken.update(name.casefold() for name in names)
        chosen.append(names)
    return chosen
