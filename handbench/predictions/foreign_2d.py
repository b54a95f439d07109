"""2D hands as others write them: COCO keypoint results and MMPose's test dumps."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from handbench.errors import PredictionsError
from handbench.hand import NUM_JOINTS
from handbench.pickles import load_pickle
from handbench.predictions.lookup import SampleNames
from handbench.predictions.record import Columns, brief
from handbench.predictions.rows import numbers

Floats = npt.NDArray[np.float64]


def from_coco(pieces: Iterable[list[Any]], names: SampleNames, split: str, where: str) -> Columns:
    """COCO keypoint results: a list of ``{"image_id", "keypoints": 21 × [x, y, c], "score"}``.

    Parameters
    ----------
    pieces
        The entries, in one list or in several, one after another; none: nothing was found.
    names
        Turns image ids into sample ids. Where an image has several results, the one with the
        highest score is taken, and one without a score only if no other is there.
    split
        Dataset and split, for messages.
    where
        Names the file in messages.

    Raises
    ------
    PredictionsError
        If keypoints are not 21 × 3, a score is no number, or a result's image shows several
        hands: it would have to be assigned by a guess.
    """
    best = _BestHands()
    start = 0
    for rows in pieces:
        flat = _flat_keypoints(rows, start, where)
        for number, (row, triples) in enumerate(zip(rows, flat), start):
            samples = names.of_image(row["image_id"])
            if len(samples) > 1:
                raise PredictionsError(
                    f"{where}: image {brief(row['image_id'])} of {split} shows {len(samples)} "
                    "hands, and COCO results do not say which is which: write handbench "
                    "predictions with sample ids"
                )
            score = _score(row.get("score"), number, where)
            best.offer(samples[0], score, triples[:, :2], triples[:, 2])
        start += len(rows)
    return best.columns()


def _flat_keypoints(rows: list[Any], start: int, where: str) -> Floats:
    """(N, 21, 3) x, y, confidence of N entries."""
    for number, row in enumerate(rows, start):
        if not isinstance(row, dict) or not {"image_id", "keypoints"} <= set(row):
            raise PredictionsError(
                f"{where}: expected 'image_id' and 'keypoints' in entry {number}, found "
                f"{brief(row)}: write COCO keypoint results, one object a hand"
            )
    flat = numbers([row["keypoints"] for row in rows])
    if flat is None or flat.shape[1:] != (NUM_JOINTS * 3,):
        blocks = (numbers(row["keypoints"]) for row in rows)
        shapes = [None if block is None else block.shape for block in blocks]
        odd = next((i for i, shape in enumerate(shapes) if shape != (NUM_JOINTS * 3,)), None)
        if odd is None:
            return np.empty((0, NUM_JOINTS, 3))
        found = "text, null or lists" if shapes[odd] is None else f"shape {shapes[odd]}"
        raise PredictionsError(
            f"{where}: expected {NUM_JOINTS} × [x, y, score] = {NUM_JOINTS * 3} numbers under "
            f"'keypoints' of entry {start + odd}, found {found}: are these hands of another "
            "skeleton?"
        )
    return flat.reshape(-1, NUM_JOINTS, 3)


def _score(value: Any, number: int, where: str) -> float:
    """Score of a result; -inf, below every other, where it has none."""
    if value is None:
        return -math.inf
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise PredictionsError(
            f"{where}: expected 'score' of entry {number} to be a number or null, found "
            f"{brief(value)}: write one confidence a hand, or leave it out"
        )
    return float(value)


def from_mmpose(raw: bytes, names: SampleNames, split: str, where: str) -> Columns:
    """A test dump of MMPose 1.x (``--dump``, or the metric ``DumpResults``).

    A pickled list with a dict an image; ``pred_instances`` holds ``keypoints`` (K, 21, 2) in
    source pixels and ``keypoint_scores`` (K, 21), arrays or tensors.

    Parameters
    ----------
    raw
        The pickle; it is read without running anything (:mod:`handbench.pickles`).
    names
        Turns ``img_path``, else ``img_id``, into sample ids; where an image shows several hands,
        ``id`` is the annotation that `#<id>` names at the end of a sample id.
    split
        Dataset and split, for messages.
    where
        Names the file in messages.

    Raises
    ------
    PredictionsError
        If it is something else, or holds the two hands of InterHand2.6M with relative depth.
    """
    document = load_pickle(raw, "an MMPose test dump", where, PredictionsError)
    if not isinstance(document, list):
        raise PredictionsError(
            f"{where}: expected an MMPose test dump, a list with a dict an image, found a "
            f"{type(document).__name__}: write it with --dump of MMPose's tools/test.py"
        )
    best = _BestHands()
    for number, row in enumerate(document):
        instances = row.get("pred_instances") if isinstance(row, dict) else None
        if not isinstance(instances, dict) or "keypoints" not in instances:
            found = f"the keys {brief(list(row))}" if isinstance(row, dict) else brief(row)
            raise PredictionsError(
                f"{where}: expected 'pred_instances' with 'keypoints' in entry {number} of an "
                f"MMPose test dump, found {found}: write it with --dump of MMPose 1.x"
            )
        points = _instances(instances["keypoints"], number, where)
        scores = _array(instances.get("keypoint_scores"))
        if scores is None or scores.shape != points.shape[:2]:
            scores = np.full(points.shape[:2], np.nan)
        sample = _mmpose_sample(row, number, names, split, where)
        for hand, of_joints in zip(points, scores):
            mean = float(of_joints.mean())
            best.offer(sample, mean if math.isfinite(mean) else -math.inf, hand, of_joints)
    return best.columns()


def _instances(keypoints: Any, number: int, where: str) -> Floats:
    points = _array(keypoints)
    shape = () if points is None else points.shape
    if points is not None and shape[1:] == (NUM_JOINTS, 2):
        return points
    if shape[1:] == (2 * NUM_JOINTS, 3):
        hint = (
            "these are two hands with depth relative to each wrist, whose camera space needs the "
            "depths of a RootNet file, so write handbench predictions with ids ending in /left "
            "and /right"
        )
    else:
        hint = "are these hands of another skeleton?"
    raise PredictionsError(
        f"{where}: expected keypoints of shape (1, {NUM_JOINTS}, 2) in entry {number} of an MMPose "
        f"test dump, found {'no array' if points is None else f'shape {shape}'}: {hint}"
    )


def _array(value: Any) -> Floats | None:
    # Lists of a pickle may hold one another many times over, and would fill all memory.
    return numbers(value) if isinstance(value, np.ndarray) else None


def _mmpose_sample(
    row: dict[str, Any], number: int, names: SampleNames, split: str, where: str
) -> str:
    path, image, annotation = (
        value if isinstance(value, int | str) else None
        for value in (row.get("img_path"), row.get("img_id"), row.get("id"))
    )
    if not isinstance(path, str) and image is None:
        raise PredictionsError(
            f"{where}: expected 'img_path' or 'img_id' in entry {number} of an MMPose test dump, "
            "found neither: keep them among the meta keys of PackPoseInputs"
        )
    path = path if isinstance(path, str) else ""
    samples = names.find_path(path) or ([] if image is None else names.find_image(image))
    if not samples:
        return names.unknown("image", path or image)
    mine = [sample for sample in samples if sample.endswith(f"#{annotation}")]
    if len(samples) > 1 and len(mine) != 1:
        raise PredictionsError(
            f"{where}: image {brief(path or image)} of {split} shows {len(samples)} hands, and "
            f"entry {number} does not say which one it is: keep 'id', the annotation's, among the "
            "meta keys of PackPoseInputs"
        )
    return mine[0] if len(samples) > 1 else samples[0]


class _BestHands:
    """The hand with the highest score of every sample, in the order samples came."""

    def __init__(self) -> None:
        self._best: dict[str, tuple[float, Floats, Floats]] = {}

    def offer(self, sample: str, score: float, keypoints: Floats, scores: Floats) -> None:
        """Keep the hand (21, 2) with its confidences (21,) unless a better one is there."""
        if sample not in self._best or score > self._best[sample][0]:
            self._best[sample] = (score, keypoints, scores)

    def columns(self) -> Columns:
        """What was kept; a score that no hand has is left out, -inf becomes NaN."""
        kept = list(self._best.values())
        columns: Columns = {
            "id": np.array(list(self._best), dtype=np.str_),
            "keypoints": np.array([hand for _, hand, _ in kept]).reshape(-1, NUM_JOINTS, 2),
        }
        scores = np.array([of_joints for _, _, of_joints in kept]).reshape(-1, NUM_JOINTS)
        if not np.isnan(scores).all():
            columns["scores"] = scores
        score = np.array([score for score, _, _ in kept])
        if np.isfinite(score).any():
            columns["score"] = np.where(np.isfinite(score), score, np.nan)
        return columns
