"""Read and check predictions: format 1 as JSON, gzipped JSON, npz or HDF5, and two foreign lists.

A file comes from a stranger: nothing in it is run, and whatever is wrong with it ends in one
sentence that says what was expected, what was found, where, and what to do. Matching ids with the
truth comes later, in ``scores``.
"""

from __future__ import annotations

import difflib
import gzip
import io
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from handbench.errors import HandbenchError, PredictionsError
from handbench.files import parse_json, sha256_bytes
from handbench.hand import JOINT_NAMES, check_permutation
from handbench.hdf5.reader import HandFile
from handbench.predictions.foreign import from_coco, from_freihand
from handbench.predictions.record import COLUMN_SHAPES, FORMAT_VERSION, Predictions, check_columns
from handbench.predictions.rows import columns_of_rows
from handbench.predictions.schema import PREDICTIONS_SCHEMA, first_violation
from handbench.predictions.write import suffix_of

Header = Mapping[str, Any]
Columns = dict[str, npt.NDArray[Any]]


def read_predictions(path: Path, data: HandFile | None = None) -> Predictions:
    """Read a predictions file of format 1, FreiHAND's ``pred.json`` or COCO keypoint results.

    Parameters
    ----------
    path
        ``.json``, ``.json.gz``, ``.npz``, ``.h5`` or ``.hdf5``.
    data
        The file that was predicted on. Only the two foreign lists need it, since they carry
        neither dataset nor sample ids.

    Returns
    -------
    Predictions in canonical joint order, metres and OpenCV axes, in the frame the file declares.

    Raises
    ------
    PredictionsError
        If the file cannot be read or breaks the format.
    """
    path = Path(path)
    where = str(path)
    suffix = suffix_of(path)
    try:
        raw = path.read_bytes()
    except FileNotFoundError as error:
        raise PredictionsError(f"expected predictions at {where}, found no such file") from error
    except OSError as error:
        raise PredictionsError(f"cannot read {where}: {error.strerror or error}") from error
    digest = sha256_bytes(raw)
    if suffix in (".json", ".json.gz"):
        document = _parse(_unzip(raw, where) if suffix == ".json.gz" else raw, where)
        if isinstance(document, list):
            return _read_foreign(document, path, digest, data)
        header = check_header(document, where)
        columns = columns_of_rows(document.get("predictions"), where)
    else:
        arrays = _read_npz(raw, where) if suffix == ".npz" else _read_hdf5(raw, where)
        header = check_header(_meta(arrays, where), where)
        columns = _columns_of_arrays(arrays, where)
    check_columns(columns, where)
    return _assemble(header, columns, where, digest)


def check_header(document: Any, where: str) -> Header:
    """Return `document` if it is a header of format 1; raise :class:`PredictionsError` if not."""
    if not isinstance(document, Mapping) or "handbench_predictions" not in document:
        found = (
            f"the keys {', '.join(list(document)[:5]) or 'none'}"
            if isinstance(document, Mapping)
            else f"a JSON {type(document).__name__}"
        )
        raise PredictionsError(
            f"{where}: expected a predictions file with the key 'handbench_predictions', found "
            f"{found}: see docs/predictions.md for a minimal example"
        )
    version = document["handbench_predictions"]
    if version != FORMAT_VERSION:
        raise PredictionsError(
            f"{where}: predictions format {version!r}, but this handbench reads format "
            f"{FORMAT_VERSION}: update handbench, or write format {FORMAT_VERSION}"
        )
    header = {key: value for key, value in document.items() if key != "predictions"}
    problem = first_violation(header, PREDICTIONS_SCHEMA)
    if problem is not None:
        raise PredictionsError(f"{where}: {problem}; correct the header (docs/predictions.md)")
    return header


# --- bytes to Python -----------------------------------------------------------------------------


def _unzip(raw: bytes, where: str) -> bytes:
    try:
        return gzip.decompress(raw)
    except (OSError, EOFError, zlib.error) as error:
        raise PredictionsError(
            f"{where}: expected gzipped JSON, found a file that cannot be unpacked ({error}): "
            "write or copy it again"
        ) from error


def _parse(raw: bytes, where: str) -> Any:
    try:
        return parse_json(raw, "predictions", where, PredictionsError)
    except PredictionsError as error:
        # Python's json module writes NaN and Infinity, which no other JSON reader accepts.
        token = next((t for t in (b"NaN", b"Infinity") if t in raw), None)
        if token is None or "breaks off" in str(error):
            raise
        raise PredictionsError(
            f"{where}: expected JSON numbers, found {token.decode()}: write finite numbers, or "
            "null for the whole hand when it was not found"
        ) from error


def _read_npz(raw: bytes, where: str) -> Columns:
    try:
        with np.load(io.BytesIO(raw), allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except Exception as error:
        # zipfile, zlib and numpy raise half a dozen unrelated classes on damaged archives.
        raise PredictionsError(
            f"{where}: expected an .npz archive of plain arrays, found something else ({error}): "
            "write it with numpy.savez and without object arrays"
        ) from error


def _read_hdf5(raw: bytes, where: str) -> Columns:
    import h5py

    try:
        with h5py.File(io.BytesIO(raw), "r") as file:
            arrays: Columns = {}
            for name in ("meta", "id", *COLUMN_SHAPES):
                if name in file:
                    text = h5py.check_string_dtype(file[name].dtype) is not None
                    values = file[name].asstr()[()] if text else file[name][()]
                    arrays[name] = np.asarray(values, dtype=np.str_ if text else None)
            return arrays
    except (OSError, RuntimeError, AttributeError, UnicodeDecodeError) as error:
        raise PredictionsError(
            f"{where}: expected an HDF5 file of predictions, found something else ({error}): "
            "write it again"
        ) from error


def _meta(arrays: Columns, where: str) -> Any:
    if "meta" not in arrays:
        raise PredictionsError(
            f"{where}: expected the JSON header in the array 'meta', found the arrays "
            f"{', '.join(sorted(arrays)) or 'none'}: add it (docs/predictions.md)"
        )
    meta = arrays["meta"]
    text = meta.tobytes() if meta.dtype.kind in "Su" else str(meta).encode()
    return parse_json(text, "the header of predictions", f"{where} (meta)", PredictionsError)


def _columns_of_arrays(arrays: Columns, where: str) -> Columns:
    if "id" not in arrays:
        raise PredictionsError(
            f"{where}: expected an array 'id' with the sample ids, found "
            f"{', '.join(sorted(set(arrays) - {'meta'})) or 'no arrays'}: add it"
        )
    columns = {name: arrays[name] for name in ("id", *COLUMN_SHAPES) if name in arrays}
    if columns["id"].dtype.kind == "S":
        columns["id"] = np.char.decode(columns["id"], "utf-8")
    for name, values in columns.items():
        if name == "is_right":
            columns[name] = values.astype(np.int8) if values.dtype.kind in "bi" else values
    return columns


# --- columns to Predictions ----------------------------------------------------------------------


def _assemble(header: Header, columns: Columns, where: str, digest: str) -> Predictions:
    order = joint_order(header.get("keypoint_order", "canonical"), where)
    points_3d = _metric(columns.get("keypoints_3d"), header)
    keypoints = _float64(columns.get("keypoints"))
    scores = _float64(columns.get("scores"))
    if order is not None:
        keypoints = None if keypoints is None else keypoints[:, order]
        scores = None if scores is None else scores[:, order]
        points_3d = None if points_3d is None else points_3d[:, order]
    _check_hand_size(points_3d, header, where)
    gt_used = header.get("gt_used")
    return Predictions(
        dataset=header["dataset"],
        split=header["split"],
        model=dict(header["model"]),
        id=columns["id"],
        keypoints=keypoints,
        scores=scores,
        score=_float64(columns.get("score")),
        keypoints_3d=points_3d,
        vertices=_metric(columns.get("vertices"), header),
        is_right=None if "is_right" not in columns else columns["is_right"].astype(np.int8),
        input=dict(header.get("input", {})),
        gt_used=None if gt_used is None else tuple(gt_used),
        frame=header.get("frame", "source"),
        frame_3d=header.get("frame_3d", "camera"),
        crop_sha256=header.get("crop_sha256"),
        origin=where,
        sha256=digest,
    )


def _float64(values: npt.NDArray[Any] | None) -> npt.NDArray[np.float64] | None:
    return None if values is None else values.astype(np.float64, copy=False)


def _metric(points: npt.NDArray[Any] | None, header: Header) -> npt.NDArray[np.float64] | None:
    """Points in metres and OpenCV axes."""
    if points is None:
        return None
    factor = 1e-3 if header.get("unit", "m") == "mm" else 1.0
    # OpenGL cameras look along -z with y up; OpenCV cameras look along z with y down.
    axes = np.array([1.0, -1.0, -1.0]) if header.get("axes") == "opengl" else np.ones(3)
    moved: npt.NDArray[np.float64] = points.astype(np.float64) * (factor * axes)
    return moved


def _check_hand_size(points_3d: npt.NDArray[np.float64] | None, header: Header, where: str) -> None:
    """A hand's bounding box has a diagonal of 0.05 to 0.35 m; a factor of 1000 off is a unit."""
    if points_3d is None or not len(points_3d) or np.isnan(points_3d).all():
        return
    known = points_3d[~np.isnan(points_3d).any(axis=(1, 2))]
    size = float(np.median(np.linalg.norm(np.ptp(known, axis=1), axis=-1)))
    declared = header.get("unit", "m")
    for other, factor in (("mm", 1e-3), ("m", 1e3)):
        if other != declared and 0.05 <= size * factor <= 0.35 and not 0.05 <= size <= 0.35:
            raise PredictionsError(
                f"{where}: expected 'keypoints_3d' in {declared}, found hands that would be "
                f'{size:.4g} m across: they look like {other}, so set "unit": "{other}" or '
                "convert them"
            )


def joint_order(order: str | Sequence[str | int], where: str) -> npt.NDArray[np.intp] | None:
    """Index array that brings joints of a declared order into the canonical one.

    Parameters
    ----------
    order
        ``"canonical"``, or a list that says which joint stands at each of the 21 places, by
        canonical name or canonical index.
    where
        Named in messages.

    Returns
    -------
    `index` such that ``canonical = native[:, index]``; None for the canonical order itself.

    Raises
    ------
    PredictionsError
        If the order is another word, or the list is no permutation of the 21 joints.
    """
    if isinstance(order, str):
        if order == "canonical":
            return None
        raise PredictionsError(
            f"{where}: expected keypoint_order 'canonical' or a list of 21 joints, found "
            f"{order!r}: list the joint at each place by name ({JOINT_NAMES[0]}, "
            f"{JOINT_NAMES[1]}, …) or canonical index 0-20"
        )
    indices: list[int] = []
    for joint in order:
        if isinstance(joint, str):
            if joint not in JOINT_NAMES:
                near = difflib.get_close_matches(joint, JOINT_NAMES, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(JOINT_NAMES)}"
                raise PredictionsError(
                    f"{where}: keypoint_order names {joint!r}, which is no joint of a hand: {hint}"
                )
            indices.append(JOINT_NAMES.index(joint))
        else:
            indices.append(joint)
    try:
        native_to_canonical = check_permutation(indices, "keypoint_order")
    except PredictionsError:
        raise
    except HandbenchError as error:
        raise PredictionsError(f"{where}: {error}; list every joint once") from error
    return np.argsort(native_to_canonical)


# --- lists without a header ----------------------------------------------------------------------


def _read_foreign(
    document: list[Any], path: Path, digest: str, data: HandFile | None
) -> Predictions:
    where = str(path)
    # COCO results of a model that found nothing are an empty list.
    looks_coco = not document or (isinstance(document[0], dict) and "image_id" in document[0])
    looks_freihand = len(document) == 2 and all(isinstance(part, list) for part in document)
    if not looks_coco and not looks_freihand:
        raise PredictionsError(
            f"{where}: expected a predictions file (a JSON object), FreiHAND's [xyz, verts] or "
            f"COCO keypoint results, found a list of {len(document)} entries of another kind: see "
            "docs/predictions.md"
        )
    if data is None:
        raise PredictionsError(
            f"{where}: this list names neither dataset nor split, so say which data was "
            "predicted: add --data FILE.h5"
        )
    read = from_coco if looks_coco else from_freihand
    return read(document, data, name=path.name.split(".")[0], where=where, sha256=digest)
