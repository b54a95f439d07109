"""What an evaluation leaves behind: results JSON, and results with what they came from.

A :class:`Results` is one model on one split under one protocol, and holds numbers only. The JSON
layout is public
(``results.schema.json``, version 1); two results share a ranked column only when their
``signature`` is the same text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from handbench.errors import ScoreError
from handbench.files import read_json, write_json
from handbench.scores.metric import Metric
from handbench.scores.plain_entries import doubtful
from handbench.scores.sample_errors import SampleErrors

if TYPE_CHECKING:
    import pandas as pd

    from handbench.scores.diagnosis import Diagnosis

FORMAT_VERSION = 1
_SCHEMA = Path(__file__).with_name("results.schema.json")


@dataclass(frozen=True)
class MetricValue:
    """One number with everything needed to read it.

    Attributes
    ----------
    value
        The number; None when there was nothing to compute it from.
    unit
        ``"px"`` (of the source image), ``"mm"`` or ``"fraction"`` (0 to 1).
    definition
        One sentence that says how the number came about.
    ci95
        95 % interval of the group bootstrap, or None where none was computed.
    """

    value: float | None
    unit: str
    definition: str
    ci95: tuple[float, float] | None = None


@dataclass(frozen=True)
class Results:
    """Scores of one model on one split under one protocol (results format 1).

    Attributes
    ----------
    samples
        Counts ``expected``, ``predicted``, ``missing``, ``extra``, ``duplicate``.
    metrics
        Full metric name → value.
    per_joint
        Metric name → 21 numbers in canonical joint order, None where a joint has no label.
    curves
        Name → ``{"x": thresholds, "y": fractions}``.
    provenance
        handbench version, command, time, hashes of data and predictions.
    """

    dataset: str
    split: str
    model: dict[str, Any]
    protocol: str
    signature: str
    samples: dict[str, int]
    metrics: dict[str, MetricValue]
    per_joint: dict[str, list[float | None]]
    curves: dict[str, dict[str, list[float]]]
    provenance: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON document of results format 1."""
        metrics = {
            name: {
                "value": metric.value,
                "unit": metric.unit,
                "ci95": None if metric.ci95 is None else list(metric.ci95),
                "definition": metric.definition,
            }
            for name, metric in self.metrics.items()
        }
        return {
            "handbench_results": FORMAT_VERSION,
            "dataset": self.dataset,
            "split": self.split,
            "model": self.model,
            "protocol": self.protocol,
            "signature": self.signature,
            "samples": self.samples,
            "metrics": metrics,
            "per_joint": self.per_joint,
            "curves": self.curves,
            "provenance": self.provenance,
        }

    @classmethod
    def from_dict(cls, document: Mapping[str, Any], where: str = "results") -> Results:
        """Check `document` against the schema and return the results it holds.

        Parameters
        ----------
        document
            The parsed JSON.
        where
            Named in error messages, usually the file.

        Raises
        ------
        ScoreError
            If the document is of another version or breaks the schema.
        """
        check_document(document, where)
        metrics = {
            name: MetricValue(
                value=entry["value"],
                unit=entry["unit"],
                definition=entry["definition"],
                ci95=None if entry.get("ci95") is None else (entry["ci95"][0], entry["ci95"][1]),
            )
            for name, entry in document["metrics"].items()
        }
        return cls(
            dataset=document["dataset"],
            split=document["split"],
            model=dict(document["model"]),
            protocol=document["protocol"],
            signature=document["signature"],
            samples=dict(document["samples"]),
            metrics=metrics,
            per_joint=dict(document.get("per_joint", {})),
            curves=dict(document.get("curves", {})),
            provenance=dict(document["provenance"]),
        )

    def write(self, path: Path) -> None:
        """Write results JSON to `path`, whole or not at all."""
        write_json(Path(path), self.to_dict())

    def to_frame(self) -> pd.DataFrame:
        """A pandas frame with one row a metric (:func:`handbench.scores.frames.results_frame`)."""
        from handbench.scores.frames import metrics_frame

        return metrics_frame(self)

    def joints_frame(self) -> pd.DataFrame:
        """A frame with one row a metric and joint: ``metric``, ``joint``, ``finger``, ``value``."""
        from handbench.scores.frames import joints_frame

        return joints_frame(self)

    def curves_frame(self) -> pd.DataFrame:
        """A frame with one row a threshold: ``curve``, ``threshold``, ``fraction``."""
        from handbench.scores.frames import curves_frame

        return curves_frame(self)

    @classmethod
    def read(cls, path: Path) -> Results:
        """Read results JSON; raises :class:`ScoreError` if it is none."""
        return cls.from_dict(read_document(Path(path)), where=str(path))


MOST_BYTES = 64 * 2**20
"""Results are some ten kilobytes; nothing larger is read."""


def read_document(path: Path) -> Any:
    """The JSON document in a results file.

    Raises
    ------
    ScoreError
        If there is no JSON; if `path` is no regular file, because a device or a pipe that somebody
        linked into a folder of results may never end; or if it is larger than
        :data:`MOST_BYTES`.
    """
    if path.exists() and not path.is_file() and not path.is_dir():
        raise ScoreError(
            f"expected results at {path}, found something that is no regular file: remove it"
        )
    if path.is_file() and path.stat().st_size > MOST_BYTES:
        raise ScoreError(
            f"expected results of some kilobytes at {path}, found "
            f"{path.stat().st_size / 2**20:,.0f} MiB: is it predictions?"
        )
    return read_json(path, "results", ScoreError)


def results_files(path: Path) -> list[Path]:
    """Results files at `path`: itself, or those in the folder, in the order of their names.

    In a folder other JSON, such as diagnoses and predictions, is passed over.

    Raises
    ------
    ScoreError
        If the folder holds none.
    """
    if not path.is_dir():
        return [path]
    found = []
    for file in sorted(path.rglob("*")):
        if file.name.startswith(".") or file.suffix.lower() != ".json" or file.is_dir():
            continue
        if file.is_file() and file.stat().st_size > MOST_BYTES:
            continue  # predictions
        try:
            document = read_document(file)
        except ScoreError:
            found.append(file)  # what is broken may have been results: the reader says so
            continue
        if isinstance(document, dict) and "handbench_results" in document:
            found.append(file)
    if not found:
        raise ScoreError(
            f"expected results JSON in the folder {path}, found none: was it written by "
            "`handbench evaluate --out`?"
        )
    return found


def check_document(document: Any, where: str) -> None:
    """Raise :class:`ScoreError` unless `document` is results JSON of a version we read."""
    version = document.get("handbench_results") if isinstance(document, Mapping) else None
    if version is None:
        raise ScoreError(
            f"{where}: expected results JSON with the key 'handbench_results', found none: "
            "was this file written by `handbench evaluate --out`?"
        )
    if version != FORMAT_VERSION:
        raise ScoreError(
            f"{where}: results format {version!r}, but this handbench reads format "
            f"{FORMAT_VERSION}: update handbench or evaluate again"
        )
    from handbench.predictions.schema import first_violation

    problem = first_violation(doubtful(document), _SCHEMA)
    if problem is not None:
        raise ScoreError(f"{where}: {problem}; evaluate again to get a valid results file")


@dataclass(frozen=True)
class Evaluation:
    """One predictions file scored: numbers under each protocol, and what they came from.

    Attributes
    ----------
    results
        One :class:`Results` a protocol.
    errors
        Per-sample errors shared by all protocols.
    missing, extra, duplicate
        Sample ids expected but not predicted; predicted but not expected; predicted twice.
    warnings
        Sentences about predictions that look wrong (pixel frame, mirror image, joint order).
    primary, ranks_by
        Protocol name → (N, K) score of each joint under the metric that ranks, and that metric:
        their average is its value, NaN is left out. Paired tests and groups of hands are made
        from them.
    label_noise
        ``"px"``, ``"mm"`` → mean error of the labels themselves, where the data's manifest gives
        it.
    diagnosis
        What went wrong with the keypoints, where it was asked for.
    """

    results: list[Results]
    errors: SampleErrors
    missing: list[str]
    extra: list[str]
    duplicate: list[str]
    warnings: list[str] = field(default_factory=list)
    primary: dict[str, npt.NDArray[np.float64]] = field(default_factory=dict)
    ranks_by: dict[str, Metric] = field(default_factory=dict)
    label_noise: dict[str, float] = field(default_factory=dict)
    diagnosis: Diagnosis | None = None

    def to_frame(self) -> pd.DataFrame:
        """A frame with one row a metric of every protocol; see :meth:`Results.to_frame`."""
        from handbench.scores.frames import results_frame

        return results_frame(self.results)
