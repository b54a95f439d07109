"""Two lists that others write: FreiHAND's ``pred.json`` and COCO keypoint results.

Neither names its dataset, its split or its model, so the data file stands in for the header.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from handbench.errors import PredictionsError
from handbench.hand import NUM_JOINTS
from handbench.hdf5.reader import HandFile, SplitReader
from handbench.predictions.record import Predictions, check_columns


def from_freihand(
    document: list[Any], data: HandFile, *, name: str, where: str, sha256: str
) -> Predictions:
    """FreiHAND / HO-3D ``pred.json``: ``[xyz list, verts list]`` in the order of the split.

    Parameters
    ----------
    document
        xyz: N × 21 × 3 m, camera frame; verts: N × V × 3, or empty.
    data
        The HDF5 file; its split ``test``, or its only split, gives the order.
    name
        Name for the model.
    where, sha256
        File and its hash.

    Raises
    ------
    PredictionsError
        If there are more or fewer hands than samples, or the nesting is wrong.
    """
    split = _split(data, where)
    ids = split.column("sample_id")
    xyz = document[0]
    if len(xyz) != len(ids):
        raise PredictionsError(
            f"{where}: {len(xyz):,} predictions for {len(ids):,} samples of {data.dataset} "
            f"{split.name}{_count_hint(len(xyz), len(ids))}"
        )
    columns = {"id": ids, "keypoints_3d": _array(xyz, "xyz", where)}
    if document[1]:
        columns["vertices"] = _array(document[1], "verts", where)
    check_columns(columns, where)
    return Predictions(
        dataset=data.dataset,
        split=split.name,
        model={"name": name},
        id=ids,
        keypoints=None,
        keypoints_3d=columns["keypoints_3d"],
        vertices=columns.get("vertices"),
        origin=where,
        sha256=sha256,
    )


def from_coco(
    document: list[Any], data: HandFile, *, name: str, where: str, sha256: str
) -> Predictions:
    """COCO keypoint results: a list of ``{"image_id", "keypoints": 21 × [x, y, c], "score"}``.

    An `image_id` is looked up as :class:`_Images` says; where an image has several results, the
    one with the highest score is taken, and one without a score only if no other is there. An
    empty list is legal: nothing was found.

    Raises
    ------
    PredictionsError
        If keypoints are not 21 × 3, a score is no number, or a result's image shows several
        hands: it would have to be assigned by a guess.
    """
    split = _split(data, where)
    images = _Images.of(split)
    best: dict[str, tuple[float, list[Any]]] = {}
    for number, row in enumerate(document):
        if not isinstance(row, dict) or not {"image_id", "keypoints"} <= set(row):
            raise PredictionsError(
                f"{where}: expected 'image_id' and 'keypoints' in entry {number}, found "
                f"{str(row)[:60]}"
            )
        samples = images.samples(row["image_id"])
        if len(samples) > 1:
            raise PredictionsError(
                f"{where}: image {row['image_id']!r} of {data.dataset} {split.name} shows "
                f"{len(samples)} hands, and COCO results do not say which is which: write "
                "handbench predictions with sample ids"
            )
        score = _score(row.get("score"), number, where)
        if samples[0] not in best or score > best[samples[0]][0]:
            best[samples[0]] = (score, row["keypoints"])
    flat = _array([keypoints for _, keypoints in best.values()], "keypoints", where)
    if best and flat.shape[1:] != (NUM_JOINTS * 3,):
        raise PredictionsError(
            f"{where}: expected {NUM_JOINTS} × [x, y, score] = {NUM_JOINTS * 3} numbers under "
            f"'keypoints', found shape {flat.shape[1:]}: are these hands of another skeleton?"
        )
    triples = flat.reshape(-1, NUM_JOINTS, 3)
    columns: dict[str, npt.NDArray[Any]] = {
        "id": np.array(list(best), dtype=np.str_),
        "keypoints": triples[..., :2],
        "scores": triples[..., 2],
    }
    score_of = np.array([score for score, _ in best.values()])
    if np.isfinite(score_of).any():
        columns["score"] = np.where(np.isfinite(score_of), score_of, np.nan)
    check_columns(columns, where)
    return Predictions(
        dataset=data.dataset,
        split=split.name,
        model={"name": name},
        id=columns["id"],
        keypoints=columns["keypoints"],
        scores=columns["scores"],
        score=columns.get("score"),
        origin=where,
        sha256=sha256,
    )


@dataclass(frozen=True)
class _Images:
    """Which samples an ``image_id`` of COCO results stands for: tables name → sample ids.

    Where the split keeps the ids of the COCO file it was converted from (column
    ``native_image_id``), these come first, and a number is nothing else: an image called
    ``7.jpg`` need not have the id 7. Else, and for text, sample ids come before photos
    (column ``image_id``).
    """

    native: dict[str, list[str]] | None
    by_sample: dict[str, list[str]]
    by_photo: dict[str, list[str]]

    @classmethod
    def of(cls, split: SplitReader) -> _Images:
        native = _samples_by(split, "native_image_id")
        by_sample = _samples_by(split, "sample_id") or {}
        return cls(native, by_sample, _samples_by(split, "image_id") or {})

    def samples(self, image_id: Any) -> list[str]:
        """Sample ids of `image_id`; for an unknown image a name that no sample has."""
        name = str(image_id)
        tables = [] if self.native is None else [self.native]
        if self.native is None or isinstance(image_id, str):
            tables += [self.by_sample, self.by_photo]
        for table in tables:
            if name in table:
                return table[name]
        # Under its own name it is counted as extra, unless a sample happens to be called so.
        return [f"image_id {name}" if name in self.by_sample else name]


def _samples_by(split: SplitReader, column: str) -> dict[str, list[str]] | None:
    if not split.has(column):
        return None
    samples: dict[str, list[str]] = {}
    for name, sample in zip(split.column(column).tolist(), split.column("sample_id").tolist()):
        samples.setdefault(str(name), []).append(sample)
    return samples


def _score(value: Any, number: int, where: str) -> float:
    """Score of a result; -inf, below every other, where it has none."""
    if value is None:
        return -math.inf
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise PredictionsError(
            f"{where}: expected 'score' of entry {number} to be a number or null, found "
            f"{value!r}: write one confidence a hand, or leave it out"
        )
    return float(value)


def _split(data: HandFile, where: str) -> SplitReader:
    if "test" in data.splits:
        return data["test"]
    if len(data.splits) == 1:
        return data[data.splits[0]]
    raise PredictionsError(
        f"{where}: this list names no split, and {data.path} has no split 'test' but "
        f"{', '.join(data.splits)}: write handbench predictions, which name theirs"
    )


def _array(values: list[Any], name: str, where: str) -> npt.NDArray[np.float64]:
    try:
        block = np.array(values)
    except ValueError:
        block = np.array("")
    if block.dtype.kind not in "iuf":
        raise PredictionsError(
            f"{where}: expected {name!r} to be a regular nesting of numbers, found text, null or "
            "rows of unequal length: write it again"
        )
    return block.astype(np.float64)


def _count_hint(found: int, expected: int) -> str:
    if found * 2 in (expected, expected - 1, expected + 1):
        return ": was every second one written?"
    if found > expected:
        return ": were predictions of several splits or runs joined?"
    return ": a list without ids must hold every sample, in order; write the missing ones too"
