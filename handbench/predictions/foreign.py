"""Two lists that others write: FreiHAND's ``pred.json`` and COCO keypoint results.

Neither names its dataset, its split or its model, so the data file stands in for the header.
"""

from __future__ import annotations

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

    An `image_id` is looked up among the sample ids, then in the column ``image_id``; where an
    image has several results, the one with the highest score is taken.

    Raises
    ------
    PredictionsError
        If keypoints are not 21 × 3, or an image of the data shows several hands: their results
        would have to be assigned by a guess.
    """
    split = _split(data, where)
    ids = split.column("sample_id")
    sample_of = {str(sample): str(sample) for sample in ids}
    if split.has("image_id"):
        images = split.column("image_id")
        if len(set(images.tolist())) < len(images):
            raise PredictionsError(
                f"{where}: {data.dataset} {split.name} has images with several hands, and COCO "
                "results do not say which is which: write handbench predictions with sample ids"
            )
        sample_of = {**dict(zip(images.tolist(), ids.tolist())), **sample_of}
    best: dict[str, tuple[float, list[Any]]] = {}
    for number, row in enumerate(document):
        if not isinstance(row, dict) or not {"image_id", "keypoints"} <= set(row):
            raise PredictionsError(
                f"{where}: expected 'image_id' and 'keypoints' in entry {number}, found "
                f"{str(row)[:60]}"
            )
        # An unknown image stays under its own name, so that it is counted as extra.
        sample = sample_of.get(str(row["image_id"]), str(row["image_id"]))
        score = float(row.get("score", 0.0))
        if sample not in best or score > best[sample][0]:
            best[sample] = (score, row["keypoints"])
    flat = _array([keypoints for _, keypoints in best.values()], "keypoints", where)
    if flat.shape[1:] != (NUM_JOINTS * 3,):
        raise PredictionsError(
            f"{where}: expected {NUM_JOINTS} × [x, y, score] = {NUM_JOINTS * 3} numbers under "
            f"'keypoints', found shape {flat.shape[1:]}: are these hands of another skeleton?"
        )
    triples = flat.reshape(-1, NUM_JOINTS, 3)
    columns: dict[str, npt.NDArray[Any]] = {
        "id": np.array(list(best), dtype=np.str_),
        "keypoints": triples[..., :2],
        "scores": triples[..., 2],
        "score": np.array([score for score, _ in best.values()]),
    }
    check_columns(columns, where)
    return Predictions(
        dataset=data.dataset,
        split=split.name,
        model={"name": name},
        id=columns["id"],
        keypoints=columns["keypoints"],
        scores=columns["scores"],
        score=columns["score"],
        origin=where,
        sha256=sha256,
    )


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
