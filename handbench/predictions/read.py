"""Read and check predictions: format 1 in every layout, and the files of others.

A file comes from a stranger: nothing in it is run, and whatever is wrong with it ends in one
sentence that says what was expected, what was found, where, and what to do. Matching ids with the
truth comes later, in ``scores``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from handbench.errors import PredictionsError
from handbench.files import parse_json, sha256_bytes
from handbench.hdf5.reader import HandFile
from handbench.predictions import unpack
from handbench.predictions.assume import check_assumptions, complete
from handbench.predictions.documents import Tables, read_document, read_list
from handbench.predictions.foreign_2d import from_coco, from_mmpose
from handbench.predictions.foreign_3d import from_dexycb, from_freihand
from handbench.predictions.header import DEFAULTS, Header, check_schema, check_version, joint_order
from handbench.predictions.lookup import SampleNames, split_of
from handbench.predictions.origins import add_origins
from handbench.predictions.parquet import read_parquet
from handbench.predictions.record import (
    COLUMN_SHAPES,
    FORMAT_VERSION,
    Columns,
    Predictions,
    check_columns,
    reason,
)
from handbench.predictions.spatial import check_size, frame_of, to_opencv_metres

MANY_HANDS_IN_JSON = 100_000
"""Above, a note advises ``.npz``, which takes a third of the space and half the time."""

Assumptions = Mapping[str, Any]


def read_predictions(
    path: Path,
    data: HandFile | None = None,
    *,
    assume: Assumptions | None = None,
    assume_without_header: Assumptions | None = None,
) -> Predictions:
    """Read a predictions file of format 1, or one of another project's.

    Parameters
    ----------
    path
        The suffix says what is expected. Format 1: ``.json``, ``.json.gz``, ``.npz``, ``.h5``,
        ``.hdf5``, ``.parquet``. Without a header: ``.json``, ``.json.gz`` or ``.zip`` with
        FreiHAND's two lists or COCO keypoint results, ``.txt`` or ``.csv`` with DexYCB results,
        ``.pkl`` or ``.pickle`` with a test dump of MMPose.
    data
        The file that was predicted on. Files without a header need it.
    assume
        Keys of the header that the file leaves unsaid: ``axes``, ``unit``, ``keypoint_order``,
        ``frame``, ``frame_3d``, ``split``, and ``name`` of the model.
    assume_without_header
        The same for files that have no header at all, where `assume` does not say otherwise: the
        convention of a benchmark that has such files handed in.

    Returns
    -------
    Predictions in canonical joint order, metres and OpenCV axes, in the frame the file declares;
    `notes` say what was taken for granted.

    Raises
    ------
    PredictionsError
        If the file cannot be read, breaks the format, or contradicts `assume`.
    MissingExtraError
        For Parquet without ``pyarrow``.
    """
    path = Path(path)
    where = str(path)
    assumed = check_assumptions(assume or {})
    weak = check_assumptions(assume_without_header or {})
    raw = unpack.read_file(path)
    suffix = unpack.suffix_of(path)
    digest = sha256_bytes(raw)

    def checked(document: Any) -> Header:
        header = complete(check_version(document, where), assumed, where)
        return check_schema({k: v for k, v in header.items() if k != "predictions"}, where)

    if suffix in _ARRAYS:
        arrays = _ARRAYS[suffix](raw, where)
        header = checked(_meta(arrays, where))
        return _assemble(header, _columns_of_arrays(arrays, where), where, digest, ())
    if suffix in (".json", ".json.gz", ".zip"):
        raw = _UNPACK[suffix](raw, where)
        if raw[:64].lstrip(b"\xef\xbb\xbf \t\r\n")[:1] != b"[":
            header, columns = read_document(raw, checked, where)
            return _assemble(header, columns, where, digest, _size_notes(columns))
    if data is None:
        raise PredictionsError(
            f"{where}: this file names neither dataset nor split, so say which data was "
            "predicted: add --data FILE.h5"
        )
    return _read_foreign(
        raw, path, digest, data, {**weak, **assumed}, sorted(set(weak) - set(assumed))
    )


# --- arrays with a header ------------------------------------------------------------------------


_ARRAYS: dict[str, Callable[[bytes, str], Columns]] = {
    ".npz": unpack.read_npz,
    ".h5": unpack.read_hdf5,
    ".hdf5": unpack.read_hdf5,
    ".parquet": read_parquet,
}
_UNPACK: dict[str, Callable[[bytes, str], bytes]] = {
    ".json": lambda raw, where: raw,
    ".json.gz": unpack.unpack_gzip,
    ".zip": unpack.unpack_zip,
}


def _meta(arrays: Columns, where: str) -> Any:
    if "meta" not in arrays:
        raise PredictionsError(
            f"{where}: expected the JSON header in the array 'meta', found the arrays "
            f"{', '.join(sorted(arrays)) or 'of other names'}: add it (docs/predictions.md)"
        )
    meta = arrays["meta"]
    words = str(meta.item() if meta.size == 1 else meta)
    text = meta.tobytes() if meta.dtype.kind in "Su" else words.encode()
    return parse_json(text, "the header of predictions", f"{where} (meta)", PredictionsError)


def _columns_of_arrays(arrays: Columns, where: str) -> Columns:
    if "id" not in arrays:
        raise PredictionsError(
            f"{where}: expected an array 'id' with the sample ids, found "
            f"{', '.join(sorted(set(arrays) - {'meta'})) or 'no arrays'}: add it"
        )
    columns = {name: arrays[name] for name in ("id", *COLUMN_SHAPES) if name in arrays}
    if columns["id"].dtype.kind == "S":
        try:
            columns["id"] = np.char.decode(columns["id"], "utf-8")
        except UnicodeDecodeError as error:
            raise PredictionsError(
                f"{where}: expected 'id' in UTF-8, found other bytes ({reason(error)}): "
                "write it as text"
            ) from error
    if "is_right" in columns and columns["is_right"].dtype.kind in "bi":
        columns["is_right"] = columns["is_right"].astype(np.int8)
    return add_origins(arrays, columns, where)


def _size_notes(columns: Columns) -> tuple[str, ...]:
    count = len(columns["id"])
    if count <= MANY_HANDS_IN_JSON:
        return ()
    return (f"{count:,} hands as JSON: .npz takes a third of the space and half the time",)


# --- files without a header ----------------------------------------------------------------------


def _read_foreign(
    raw: bytes, path: Path, digest: str, data: HandFile, assumed: Assumptions, weak: list[str]
) -> Predictions:
    where = str(path)
    split = split_of(data, assumed.get("split"), where)
    called = f"{data.dataset} {split.name}"
    suffix = unpack.suffix_of(path)
    header: dict[str, Any] = {}
    notes: tuple[str, ...] = ()
    if suffix in (".pkl", ".pickle"):
        columns = from_mmpose(raw, SampleNames.of(split), called, where)
    elif suffix in (".txt", ".csv"):
        header["unit"] = "mm"
        columns = from_dexycb(raw, SampleNames.of(split), where)
    else:

        def tables(lists: Tables) -> tuple[Columns, tuple[str, ...]]:
            return from_freihand(lists[0], lists[1], split, data.dataset, where)

        columns, notes = read_list(
            raw,
            where,
            objects=lambda rows: (from_coco(rows, SampleNames.of(split), called, where), ()),
            tables=tables,
        )
        notes += _size_notes(columns) if "keypoints" in columns else ()
    unusual = [key for key in weak if assumed[key] != DEFAULTS.get(key)]
    if unusual:
        taken = ", ".join(f"{key}={assumed[key]}" for key in unusual)
        notes += (f"the file does not say so, but it is read as {taken}",)
    header |= {
        "handbench_predictions": FORMAT_VERSION,
        "dataset": data.dataset,
        "split": split.name,
        "model": {"name": assumed.get("name", path.name.split(".")[0] or path.name)},
        **{key: value for key, value in assumed.items() if key not in ("split", "name")},
    }
    if header.get("frame") == "stored":
        header["crop_sha256"] = split.crop_sha256()
    return _assemble(header, columns, where, digest, notes, declared=False)


# --- columns to Predictions ----------------------------------------------------------------------


def _assemble(
    header: Header,
    columns: Columns,
    where: str,
    digest: str,
    notes: tuple[str, ...],
    *,
    declared: bool = True,
) -> Predictions:
    """Predictions in canonical order, metres and OpenCV axes.

    `declared`: the file itself says what its numbers mean; else their frame is looked at.
    """
    check_columns(columns, where)
    order = joint_order(header.get("keypoint_order", DEFAULTS["keypoint_order"]), where)
    unit, axes = header.get("unit", DEFAULTS["unit"]), header.get("axes", DEFAULTS["axes"])
    keypoints, scores, points_3d = (
        None if name not in columns else _in_order(columns[name], order)
        for name in ("keypoints", "scores", "keypoints_3d")
    )
    points_3d = None if points_3d is None else to_opencv_metres(points_3d, unit, axes)
    vertices = columns.get("vertices")
    if vertices is not None:
        wide = vertices if vertices.dtype == np.float32 else vertices.astype(np.float64, copy=False)
        vertices = to_opencv_metres(wide, unit, axes)
    for name, points in (("keypoints_3d", points_3d), ("vertices", vertices)):
        check_size(name, points, columns["id"], unit, where, declared=declared)
    frame_3d = header.get("frame_3d")
    if frame_3d is None and points_3d is not None and not declared:
        frame_3d, found = frame_of(points_3d, vertices)
        notes += found
    gt_used = header.get("gt_used")
    return Predictions(
        dataset=header["dataset"],
        split=header["split"],
        model=dict(header["model"]),
        id=columns["id"],
        keypoints=keypoints,
        scores=scores,
        score=None if "score" not in columns else columns["score"].astype(np.float64),
        keypoints_3d=points_3d,
        vertices=vertices,
        is_right=None if "is_right" not in columns else columns["is_right"].astype(np.int8),
        input=dict(header.get("input", {})),
        gt_used=None if gt_used is None else tuple(gt_used),
        frame=header.get("frame", DEFAULTS["frame"]),
        frame_3d=frame_3d or "camera",
        crop_sha256=header.get("crop_sha256"),
        origin=where,
        sha256=digest,
        notes=notes,
    )


def _in_order(values: npt.NDArray[Any], order: npt.NDArray[np.intp]) -> npt.NDArray[np.float64]:
    wide: npt.NDArray[np.float64] = values.astype(np.float64, copy=False)
    return wide if (order == np.arange(len(order))).all() else wide[:, order]
