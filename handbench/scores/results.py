"""What an evaluation leaves behind: results JSON, per-sample errors, and both together.

A :class:`Results` is one model on one split under one protocol, and holds numbers only. A
:class:`SampleErrors` holds what every number was computed from, so that other metrics, other
groups of joints and other subsets need no second run of the model. The JSON layout is public
(``results.schema.json``, version 1); two results share a ranked column only when their
``signature`` is the same text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from handbench.errors import ScoreError
from handbench.files import atomic_path, read_json, write_json
from handbench.hand import JOINT_NAMES, NUM_JOINTS

if TYPE_CHECKING:
    import pandas as pd

FORMAT_VERSION = 1


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

    @classmethod
    def read(cls, path: Path) -> Results:
        """Read results JSON; raises :class:`ScoreError` if it is none."""
        return cls.from_dict(read_json(Path(path), "results", ScoreError), where=str(path))


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

    problem = first_violation(document, Path(__file__).with_name("results.schema.json"))
    if problem is not None:
        raise ScoreError(f"{where}: {problem}; evaluate again to get a valid results file")


@dataclass(frozen=True)
class SampleErrors:
    """Errors of every expected hand, and what is needed to normalise and group them.

    Rows are the expected hands in the order of the data. N is their number.

    Attributes
    ----------
    sample_id
        (N,) str.
    errors_px
        (N, 21) float64, source px. NaN: joint not labelled. inf: labelled, but the hand was
        missed.
    predicted
        (N,) bool: a prediction was found for this hand.
    box_px, tight_px, palm_px
        (N,) float64, source px: longer side of the file's box; longer side of the tight box
        around the labelled keypoints; projected palm size. NaN where undefined.
    cluster
        (N,) str: the group that the bootstrap resamples as a whole.
    visibility
        (N, 21) uint8 as in the HDF5 file: 0 unlabelled, 1 occluded, 2 visible, 255 unknown.
    is_right
        (N,) int8: 1 right, 0 left, -1 unknown.
    keypoints_px
        (N, 21, 2) float64, predictions in source px; NaN where missed.
    cam_mm, root_mm, pa_mm, pa_reflect_mm
        (N, 21) float64 or None, mm: 3D errors in camera space, after subtracting the wrist, after
        proper Procrustes alignment, and after one that allows reflections. NaN and inf as in
        `errors_px`.
    """

    sample_id: npt.NDArray[np.str_]
    errors_px: npt.NDArray[np.float64]
    predicted: npt.NDArray[np.bool_]
    box_px: npt.NDArray[np.float64]
    tight_px: npt.NDArray[np.float64]
    palm_px: npt.NDArray[np.float64]
    cluster: npt.NDArray[np.str_]
    visibility: npt.NDArray[np.uint8]
    is_right: npt.NDArray[np.int8]
    keypoints_px: npt.NDArray[np.float64]
    cam_mm: npt.NDArray[np.float64] | None = None
    root_mm: npt.NDArray[np.float64] | None = None
    pa_mm: npt.NDArray[np.float64] | None = None
    pa_reflect_mm: npt.NDArray[np.float64] | None = None

    def write(self, path: Path) -> None:
        """Write every array under its field name to the compressed ``.npz`` file `path`."""
        arrays = {f.name: getattr(self, f.name) for f in fields(self)}
        present = {name: array for name, array in arrays.items() if array is not None}
        # A file object, because numpy appends ".npz" to a temporary name.
        with atomic_path(Path(path)) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, **present)

    def to_pandas(self) -> pd.DataFrame:
        """A table with one row a joint of every expected hand, for grouping and plotting.

        Returns
        -------
        N·21 rows, hand by hand in the order of the data and joint by joint in canonical order,
        with the columns ``sample_id``, ``joint`` (name), ``error_px`` (NaN: not labelled; inf:
        labelled, but the hand was missed), ``predicted``, ``visibility``, ``is_right``,
        ``cluster`` and ``box_px``; a value of the whole hand stands in each of its rows.
        """
        import pandas as pd

        hands = len(self.sample_id)
        of_hand = np.repeat(np.arange(hands), NUM_JOINTS)
        return pd.DataFrame(
            {
                "sample_id": self.sample_id[of_hand],
                "joint": np.tile(np.array(JOINT_NAMES), hands),
                "error_px": self.errors_px.reshape(-1),
                "predicted": self.predicted[of_hand],
                "visibility": self.visibility.reshape(-1),
                "is_right": self.is_right[of_hand],
                "cluster": self.cluster[of_hand],
                "box_px": self.box_px[of_hand],
            }
        )

    @classmethod
    def read(cls, path: Path) -> SampleErrors:
        """Read what :meth:`write` wrote; raises :class:`ScoreError` if it is no such file."""
        try:
            with Path(path).open("rb") as file, np.load(file, allow_pickle=False) as archive:
                arrays = {name: archive[name] for name in archive.files}
        except Exception as error:
            # zipfile, zlib and numpy raise half a dozen unrelated classes on damaged archives.
            raise ScoreError(
                f"{path}: expected per-sample errors (.npz) written by "
                f"`handbench evaluate --out`, found something else ({error})"
            ) from error
        known = {f.name for f in fields(cls)}
        optional = {f.name for f in fields(cls) if f.default is None}
        missing = sorted(known - optional - set(arrays))
        if missing:
            raise ScoreError(
                f"{path}: per-sample errors lack the array(s) {', '.join(missing)}: "
                "evaluate again to write the file anew"
            )
        return cls(**{name: array for name, array in arrays.items() if name in known})


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
    primary
        Protocol name → (N, 21) score of each joint under the metric that ranks: its average is
        the metric's value, NaN is left out. Paired tests and groups of hands are made from it.
    label_noise
        ``"px"``, ``"mm"`` → mean error of the labels themselves, where the data's manifest gives it.
    """

    results: list[Results]
    errors: SampleErrors
    missing: list[str]
    extra: list[str]
    duplicate: list[str]
    warnings: list[str] = field(default_factory=list)
    primary: dict[str, npt.NDArray[np.float64]] = field(default_factory=dict)
    label_noise: dict[str, float] = field(default_factory=dict)
