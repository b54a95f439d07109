"""What a model predicted, in memory: a header and columns with one row a predicted hand."""

from __future__ import annotations

import reprlib
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from handbench.errors import PredictionsError
from handbench.hand import NUM_JOINTS

FORMAT_VERSION = 1

Columns = dict[str, npt.NDArray[Any]]
"""Name → array with one row a hand, as in a file: see :data:`COLUMN_SHAPES`."""


@dataclass(frozen=True)
class Predictions:
    """Predictions of one model on one split. M rows, each the id of a sample and its hand.

    Attributes
    ----------
    dataset, split
        What was predicted, as named in the HDF5 file.
    model
        ``name``, and where known ``params``, ``training_data``, ``url``, ``note``.
    id
        (M,) str, sample ids of the HDF5 file. A sample without a row is a missed hand.
    keypoints
        (M, 21, 2) float64 px in `frame`, canonical joint order. A row of NaN is a missed hand.
        None when the model predicts no 2D.
    scores
        (M, 21) float64, confidence of every joint, or None.
    score
        (M,) float64, confidence of the hand, or None.
    keypoints_3d
        (M, 21, 3) float64 m, OpenCV axes, in `frame_3d`; a row of NaN where there is none. Or
        None.
    vertices
        (M, V, 3) m, like `keypoints_3d`, or None; float32 where the file holds that.
    is_right
        (M,) int8: predicted side, 1 right, 0 left, -1 not said. Or None.
    input
        How images came to the model: ``box``, ``padding``, ``tta``, ``ms_per_image``.
    gt_used
        What of the truth the model was given, for example ``("box",)``. None: not declared.
    frame
        ``"source"``: pixels of the published image; ``"stored"``: pixels of the HDF5 file's
        image, and then `crop_sha256` says which crop.
    frame_3d
        ``"camera"`` or ``"root:<joint>"``.
    crop_sha256
        ``SplitReader.crop_sha256()`` of the file that was predicted on.
    origin
        File these were read from, for messages; "" for predictions made in memory.
    sha256
        Hash of that file, or "".
    notes
        What the reader took for granted or found worth saying, one sentence each; not written to
        files.
    """

    dataset: str
    split: str
    model: dict[str, Any]
    id: npt.NDArray[np.str_]
    keypoints: npt.NDArray[np.float64] | None
    scores: npt.NDArray[np.float64] | None = None
    score: npt.NDArray[np.float64] | None = None
    keypoints_3d: npt.NDArray[np.float64] | None = None
    vertices: npt.NDArray[np.floating[Any]] | None = None
    is_right: npt.NDArray[np.int8] | None = None
    input: dict[str, Any] = field(default_factory=dict)
    gt_used: tuple[str, ...] | None = None
    frame: Literal["source", "stored"] = "source"
    frame_3d: str = "camera"
    crop_sha256: str | None = None
    origin: str = ""
    sha256: str = ""
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.id)

    @property
    def name(self) -> str:
        """Name of the model."""
        return str(self.model["name"])

    def header(self) -> dict[str, Any]:
        """Everything but the rows, as in the JSON file."""
        header: dict[str, Any] = {
            "handbench_predictions": FORMAT_VERSION,
            "dataset": self.dataset,
            "split": self.split,
            "model": self.model,
        }
        if self.input:
            header["input"] = self.input
        header["keypoint_order"] = "canonical"
        header["frame"] = self.frame
        if self.crop_sha256 is not None:
            header["crop_sha256"] = self.crop_sha256
        if self.keypoints_3d is not None or self.vertices is not None:
            header.update(frame_3d=self.frame_3d, axes="opencv", unit="m")
        if self.gt_used is not None:
            header["gt_used"] = list(self.gt_used)
        return header

    def columns(self) -> Columns:
        """The arrays that are present, by the name they have in a file."""
        columns = {name: getattr(self, name) for name in ("id", *COLUMN_SHAPES)}
        return {name: array for name, array in columns.items() if array is not None}


COLUMN_SHAPES: dict[str, tuple[int, ...]] = {
    "keypoints": (NUM_JOINTS, 2),
    "scores": (NUM_JOINTS,),
    "score": (),
    "keypoints_3d": (NUM_JOINTS, 3),
    "vertices": (-1, 3),
    "is_right": (),
}
"""Shape of one row of every column but ``id``; -1 stands for any number."""

MAY_BE_MISSING = ("keypoints", "keypoints_3d", "vertices")
"""Columns in which a whole row of NaN (JSON: null) says that there is no hand."""


def missing_rows(values: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """(N,) bool: rows of `values` (N, …) that are NaN throughout."""
    return np.asarray(np.isnan(values).all(axis=tuple(range(1, values.ndim))))


# Squares of larger numbers would overflow; no pixel or metre is anywhere near.
_LARGEST = 1e9


def check_columns(columns: Columns, where: str) -> None:
    """Check shapes and finiteness of all columns, vectorised.

    Raises
    ------
    PredictionsError
        Naming the column, the first bad id and what to do.
    """
    ids = columns["id"]
    if ids.ndim != 1 or ids.dtype.kind != "U":
        raise PredictionsError(
            f"{where}: 'id' must be one string a hand, found shape {ids.shape} and dtype "
            f"{ids.dtype}: use the sample ids of the HDF5 file"
        )
    if "keypoints" not in columns and "keypoints_3d" not in columns and len(ids):
        raise PredictionsError(
            f"{where}: expected 'keypoints' (21×[x, y] px) or 'keypoints_3d' (21×[x, y, z]) in "
            "the predictions, found neither: add them to every row"
        )
    for name, shape in COLUMN_SHAPES.items():
        if name in columns:
            _check_column(name, columns[name], shape, ids, where)


def _check_column(
    name: str,
    values: npt.NDArray[Any],
    shape: tuple[int, ...],
    ids: npt.NDArray[np.str_],
    where: str,
) -> None:
    found = values.shape[1:]
    fits = len(found) == len(shape) and all(w in (-1, f) for w, f in zip(shape, found))
    if len(values) != len(ids) or not fits:
        expected = (len(ids), *("V" if size == -1 else size for size in shape))
        hint = _shape_hint(name, found)
        raise PredictionsError(
            f"{where}: expected {name!r} of shape ({', '.join(map(str, expected))}), found "
            f"{values.shape}: {hint}"
        )
    if values.dtype.kind not in "iuf":
        raise PredictionsError(
            f"{where}: {name!r} must hold numbers, found dtype {values.dtype}: write numbers "
            "without quotes"
        )
    if name in ("is_right", "score") or not len(ids):
        return  # NaN is "not said"
    # Half precision ends at 65,504, below what is compared with.
    wide = values.astype(np.float32) if values.dtype == np.float16 else values
    flat = wide.reshape(len(values), -1)
    bad = ~(np.abs(flat) < _LARGEST)
    if name in (*MAY_BE_MISSING, "scores") and bad.any():
        bad &= ~np.isnan(flat).all(axis=1, keepdims=True)
    if bad.any():
        row = int(np.flatnonzero(bad.any(axis=1))[0])
        raise PredictionsError(
            f"{where}: {name!r} of id {str(ids[row])!r} holds NaN, infinity or numbers beyond "
            f"{_LARGEST:g} ({int(bad.any(axis=1).sum()):,} such rows): write finite numbers, or "
            "null for the whole hand when it was not found"
        )


def _shape_hint(name: str, found: tuple[int, ...]) -> str:
    if found and name != "vertices" and found[0] != NUM_JOINTS:
        return (
            f"a hand has {NUM_JOINTS} joints; a 42-joint network predicts two hands, so write "
            "each hand under its own id"
            if found[0] == 2 * NUM_JOINTS
            else f"a hand has {NUM_JOINTS} joints, one row each"
        )
    if name == "keypoints" and found == (NUM_JOINTS, 3):
        return "keep x and y; a confidence belongs into 'scores', a depth into 'keypoints_3d'"
    return "see docs/predictions.md for the layout"


_BRIEF = reprlib.Repr()
_BRIEF.maxlevel, _BRIEF.maxlist, _BRIEF.maxdict, _BRIEF.maxtuple = 3, 4, 4, 4
_BRIEF.maxstring = _BRIEF.maxother = 40


def brief(value: Any) -> str:
    """A value from a file for a message: at most 60 characters, however large or deep it is.

    >>> brief([[[[1.0, 2.0]]], "text", None, 3, 4, 5])
    "[[[[...]]], 'text', None, 3, ...]"
    """
    text = _BRIEF.repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def json_kind(value: Any) -> str:
    """What a parsed JSON value is, in the words of JSON.

    >>> json_kind({}), json_kind(None)
    ('a JSON object', 'null')
    """
    if value is None:
        return "null"
    words = {dict: "object", list: "list", str: "text", bool: "truth value"}
    return f"a JSON {words.get(type(value), 'number')}"


def reason(error: Exception) -> str:
    """What another library says about a broken file, on one line of at most 100 characters.

    >>> reason(ValueError("first  second "))
    'first second'
    """
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 100 else text[:97] + "..."
