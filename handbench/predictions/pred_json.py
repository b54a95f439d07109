"""Predictions as FreiHAND's ``pred.json``: ``[xyz list, verts list]`` in the order of a split.

That is what the public FreiHAND evaluation takes, alone or in a ``.zip``: N×21×3 and N×778×3,
metres, camera frame, one entry an image, none left out (lmb-freiburg/freihand, eval.py).
"""

from __future__ import annotations

import contextlib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from handbench.errors import HandbenchError, PredictionsError
from handbench.files import atomic_path, describe_names, to_json
from handbench.hand import NUM_JOINTS
from handbench.hdf5.reader import HandFile, SplitReader
from handbench.predictions.record import Predictions, missing_rows

_MESH_VERTICES = 778
_NAME_IN_ZIP = "pred.json"
_NO_TIME = (1980, 1, 1, 0, 0, 0)


def write_pred_json(
    predictions: Predictions, data: HandFile, out: Path, *, overwrite: bool = False
) -> list[str]:
    """Write predictions as ``pred.json``, whole or not at all.

    Parameters
    ----------
    predictions
        With 3D joints, in metres and OpenCV axes.
    data
        The file that was predicted on: its split gives the order.
    out
        ``.json``, or ``.zip`` for one with ``pred.json`` in it.
    overwrite
        Replace an existing file.

    Returns
    -------
    Sentences for the user: what was filled with zeros, what was left out.

    Raises
    ------
    PredictionsError
        If the predictions are of other data, have no 3D, or are not in the camera of the images.
    HandbenchError
        If `out` is in the way or cannot be written.
    """
    where = predictions.origin or predictions.name
    if out.suffix not in (".json", ".zip"):
        raise PredictionsError(
            f"expected a name that ends with .json or .zip for pred.json, found {out}"
        )
    if out.is_dir() or (out.exists() and not overwrite):
        raise PredictionsError(
            f"{out} exists already; pass --overwrite to replace it, or another --out"
        )
    if predictions.dataset != data.dataset or predictions.split not in data:
        raise PredictionsError(
            f"{where}: predicts {predictions.dataset} {predictions.split}, but {data.path} holds "
            f"{data.dataset} ({', '.join(data.splits)}): give the file that was predicted on"
        )
    points = predictions.keypoints_3d
    if points is None:
        raise PredictionsError(
            f"{where}: expected 3D joints, found none: pred.json holds nothing else"
        )
    split = data[predictions.split]
    notes = _check_frame(predictions, split, where)
    rows, more = _rows(predictions, points, split, where)
    with _opened(out) as stream:
        stream.write(b"[[")
        _write(stream, _hands(points, rows, NUM_JOINTS))
        stream.write(b"], [")
        _write(stream, _hands(predictions.vertices, rows, _MESH_VERTICES))
        stream.write(b"]]\n")
    return [*notes, *more]


def _check_frame(predictions: Predictions, split: SplitReader, where: str) -> list[str]:
    turned = split.has("crop_rotation") or bool(split.column("mirrored").any())
    if predictions.frame == "stored" and turned:
        raise PredictionsError(
            f"{where}: expected 3D in the camera of the source images, found that of crops which "
            "are turned or mirrored: convert with --crop affine and without --mirror-left, and "
            "predict again"
        )
    if predictions.frame_3d == "camera":
        return []
    return [
        f"the 3D joints are relative ({predictions.frame_3d}): only aligned errors of this file "
        "mean something"
    ]


def _rows(
    predictions: Predictions, points: npt.NDArray[np.float64], split: SplitReader, where: str
) -> tuple[npt.NDArray[np.intp], list[str]]:
    """For every sample of the split the row that predicts it, or -1; and notes."""
    ids = predictions.id.tolist()
    place = {name: row for row, name in enumerate(ids)}
    if len(place) < len(ids):
        twice = sorted({name for name in ids if ids.count(name) > 1}) if len(ids) < 1000 else []
        named = f" ({describe_names(twice, 3)})" if twice else ""
        raise PredictionsError(
            f"{where}: expected one hand for every id, found {len(ids) - len(place):,} ids again"
            f"{named}: keep one"
        )
    wanted = split.column("sample_id").tolist()
    rows = np.array([place.get(name, -1) for name in wanted], dtype=np.intp)
    rows[(rows >= 0) & missing_rows(points)[rows]] = -1
    notes = []
    if (rows < 0).any():
        notes.append(
            f"{int((rows < 0).sum()):,} of {len(rows):,} hands are not predicted and written as "
            "zeros: the format has no word for a missed hand"
        )
    unknown = len(set(ids) - set(wanted))
    if unknown:
        notes.append(f"{unknown:,} ids are not in {split.name} and left out")
    if predictions.vertices is None:
        notes.append("no mesh is predicted: the second list holds zeros, as the evaluation wants")
    return rows, notes


def _hands(
    values: npt.NDArray[Any] | None, rows: npt.NDArray[np.intp], points: int
) -> Iterator[npt.NDArray[Any]]:
    """The values of every sample; zeros where there are none."""
    nothing = np.zeros((points if values is None else values.shape[1], 3))
    for row in rows.tolist():
        found = nothing if row < 0 or values is None else values[row]
        yield found if np.isfinite(found).all() else nothing


def _write(stream: IO[bytes], hands: Iterator[npt.NDArray[Any]]) -> None:
    for number, hand in enumerate(hands):
        stream.write(b", " if number else b"")
        stream.write(to_json(np.ascontiguousarray(hand), indent=False))


@contextlib.contextmanager
def _opened(out: Path) -> Iterator[IO[bytes]]:
    """The stream of the JSON, in a temporary file that is renamed at the end."""
    try:
        with atomic_path(out) as temporary:
            if out.suffix != ".zip":
                with temporary.open("wb") as stream:
                    yield stream
                return
            # No time of today: equal predictions give equal files.
            entry = zipfile.ZipInfo(_NAME_IN_ZIP, _NO_TIME)
            entry.compress_type = zipfile.ZIP_DEFLATED
            with (
                zipfile.ZipFile(temporary, "w") as archive,
                archive.open(entry, "w", force_zip64=True) as inside,
            ):
                yield inside
    except OSError as error:
        raise HandbenchError(
            f"cannot write {out}: {error.strerror or error}; nothing of it was kept"
        ) from error
