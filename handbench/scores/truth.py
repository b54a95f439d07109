"""The truth of a split in the frame where scores are computed: pixels and camera of the source."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from handbench.camera import crop_scale, flip_points_3d
from handbench.errors import ScoreError
from handbench.files import sha256_bytes
from handbench.hdf5.reader import HandFile, SplitReader
from handbench.scores.sample_errors import choose

Floats = npt.NDArray[np.float64]

_DECIDING = (
    *("visibility", "is_right", "hand_type"),
    *("person_area_px2", "hand_area_px2", "head_size_px"),
)


@dataclass(frozen=True)
class Truth:
    """Labels of the hands that predictions are expected for. N hands with at least one label.

    Attributes
    ----------
    dataset, split, truth_sha256, cluster_unit
        Identity of the labels, and what a bootstrap resamples.
    sample_id
        (N,) str.
    keypoints
        (N, 21, 2) float64, source px; NaN where unlabelled.
    valid, valid_3d
        (N, 21) bool, labelled.
    visibility
        (N, 21) uint8.
    bbox
        (N, 4) float64 x, y, w, h, source px.
    crop
        (N, 3, 3) float64, source px → stored px.
    stored_width
        (N,) px of the stored image, for the mirror check.
    is_right
        (N,) int8.
    cluster
        (N,) str: group of each hand.
    keypoints_3d
        (N, 21, 3) float64 m in the *source* camera, or None where the split has no 3D.
    to_source_3d
        (N, 3, 3): from the stored image's camera to the source camera.
    image_id
        (N,) str: photo of each hand; hands of one photo share it.
    image_px
        (N,) longer side of the stored image, source px.
    crop_sha256
        Fingerprint of ids and crops of the whole split.
    subset
        "" for the whole split, else a hash of the chosen ids.
    known
        Every id of the split, labelled or not: a prediction for one of them is never "extra".
    hand_type
        (N,) str: ``left``, ``right`` or ``interacting``; None where the split does not say.
    person_area_px2, hand_area_px2, head_size_px
        (N,) float64, source px (squared); None where the split has none.
    vertices
        (N, V, 3) float32 m in the source camera; None unless asked for and stored.
    label_noise
        ``"px"``, ``"mm"`` → mean error of the labels themselves, where it is known.
    columns_sha256
        Column → fingerprint, of the whole split, of what `truth_sha256` does not cover and a
        score may depend on. ``crop`` is that of crops and image sizes.
    """

    dataset: str
    split: str
    truth_sha256: str
    cluster_unit: str
    sample_id: npt.NDArray[np.str_]
    keypoints: Floats
    valid: npt.NDArray[np.bool_]
    valid_3d: npt.NDArray[np.bool_]
    visibility: npt.NDArray[np.uint8]
    bbox: Floats
    crop: Floats
    stored_width: Floats
    is_right: npt.NDArray[np.int8]
    cluster: npt.NDArray[np.str_]
    keypoints_3d: Floats | None
    to_source_3d: Floats
    image_id: npt.NDArray[np.str_]
    image_px: Floats
    crop_sha256: str = ""
    subset: str = ""
    known: frozenset[str] = frozenset()
    hand_type: npt.NDArray[np.str_] | None = None
    person_area_px2: Floats | None = None
    hand_area_px2: Floats | None = None
    head_size_px: Floats | None = None
    vertices: npt.NDArray[np.float32] | None = None
    label_noise: dict[str, float] = field(default_factory=dict)
    columns_sha256: dict[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.sample_id)

    @property
    def has_3d(self) -> bool:
        """Whether any joint is labelled in 3D."""
        return self.keypoints_3d is not None and bool(self.valid_3d.any())

    def rows(self, keep: npt.NDArray[Any]) -> Truth:
        """The hands chosen by a mask or index array."""
        arrays = {
            f.name: value[keep]
            for f in fields(self)
            if isinstance(value := getattr(self, f.name), np.ndarray)
        }
        return replace(self, **arrays)

    def only(self, ids: Iterable[str], where: str) -> Truth:
        """The hands named by `ids`, in the order of the split.

        Parameters
        ----------
        ids
            Sample ids.
        where
            Where they came from, for messages.

        Raises
        ------
        ScoreError
            If an id is not in the split, or none is given.
        """
        keep, subset = choose(self.sample_id, ids, where, f"{self.dataset} {self.split}")
        return self if keep.all() else replace(self.rows(keep), subset=subset)


def read_truth(data: HandFile, split: str, *, vertices: bool = False) -> Truth:
    """Labels of `split`, brought back to the source frame.

    Parameters
    ----------
    data, split
        A file and the name of one of its splits.
    vertices
        Read the meshes too, where the split has them (12 N V bytes).

    Raises
    ------
    ScoreError
        If the file has no such split, the split no labels, or a crop has no inverse.
    """
    if split not in data:
        raise ScoreError(
            f"the predictions are for split {split!r}, but {data.path} has "
            f"{', '.join(data.splits) or 'no splits'}: choose the file that was predicted on, or "
            "convert with this split"
        )
    reader = data[split]
    valid, valid_3d = reader.column("valid_2d"), reader.column("valid_3d")
    labelled: npt.NDArray[np.bool_] = (valid | valid_3d).any(axis=1)
    if not labelled.any():
        raise ScoreError(
            f"split {split!r} of {data.path} has {len(reader):,} images but no labels, so nothing "
            "can be scored: convert again from a source that includes the annotations of this "
            "split"
        )
    _check_crops(reader, str(data.path))
    to_source = _to_source_3d(
        reader.column("mirrored"),
        reader.column("crop_rotation") if reader.has("crop_rotation") else None,
    )
    points_3d: Floats | None = None
    if reader.has("keypoints_3d"):
        stored = reader.column("keypoints_3d").astype(np.float64)
        points_3d = np.einsum("nij,nkj->nki", to_source, stored)
    crop, size = reader.column("crop"), reader.column("image_size")

    def optional(name: str) -> Any:
        return reader.column(name) if reader.has(name) else None

    truth = Truth(
        dataset=data.dataset,
        split=split,
        truth_sha256=reader.truth_sha256,
        cluster_unit=reader.cluster_unit,
        sample_id=reader.column("sample_id"),
        keypoints=reader.source_keypoints_2d(),
        valid=valid,
        valid_3d=valid_3d,
        visibility=reader.column("visibility"),
        bbox=reader.source_bbox(),
        crop=crop,
        stored_width=size[:, 1].astype(np.float64),
        is_right=reader.column("is_right"),
        cluster=reader.cluster_ids(),
        keypoints_3d=points_3d,
        to_source_3d=to_source,
        image_id=_image_ids(reader),
        image_px=size.max(axis=1) / crop_scale(crop, (size[:, ::-1] - 1) / 2),
        crop_sha256=reader.crop_sha256(),
        known=frozenset(reader.column("sample_id").tolist()),
        hand_type=optional("hand_type"),
        person_area_px2=optional("person_area_px2"),
        hand_area_px2=optional("hand_area_px2"),
        head_size_px=optional("head_size_px"),
        vertices=_source_vertices(reader, to_source) if vertices else None,
        label_noise={
            unit: float(data.attributes[name])
            for unit, name in (("px", "label_noise_px"), ("mm", "label_noise_mm"))
            if name in data.attributes
        },
        columns_sha256=_fingerprints(reader),
    )
    # A hand without any label cannot be right or wrong, so no prediction is expected for it.
    return truth if labelled.all() else truth.rows(labelled)


def _fingerprints(reader: SplitReader) -> dict[str, str]:
    """Column → 16 hex digits, whatever the order of the rows."""
    crop = reader.column("crop").reshape(-1, 9)
    columns = {
        "crop": np.concatenate([crop, reader.column("image_size")], axis=1),
        "image_id": _image_ids(reader),
        **{name: reader.column(name) for name in _DECIDING if reader.has(name)},
    }
    order = np.argsort(reader.column("sample_id"))
    return {name: _fingerprint(values[order]) for name, values in columns.items()}


def _fingerprint(values: npt.NDArray[Any]) -> str:
    """16 hex digits for an array, whatever the width of its text and the precision of numbers."""
    if values.dtype.kind == "U":
        return sha256_bytes("\n".join(values.tolist()).encode())[:16]
    numbers = values.astype("<f4")
    numbers[np.isnan(numbers)] = np.float32(np.nan)
    return sha256_bytes(numbers.tobytes())[:16]


def _image_ids(reader: SplitReader) -> npt.NDArray[np.str_]:
    """(N,) photo of each hand; where it is not stored, the part of the id that names the photo."""
    if reader.has("image_id"):
        stored: npt.NDArray[np.str_] = reader.column("image_id")
        return stored
    return np.array([image_of(name) for name in reader.column("sample_id").tolist()])


def image_of(sample_id: str) -> str:
    """Photo that a sample id stands for: without ``#<annotation>``, ``/left`` or ``/right``.

    >>> image_of("test/000001#7"), image_of("test/000001/left"), image_of("test/000001")
    ('test/000001', 'test/000001', 'test/000001')
    """
    return sample_id.removesuffix("/left").removesuffix("/right").partition("#")[0]


def _source_vertices(reader: SplitReader, to_source: Floats) -> npt.NDArray[np.float32] | None:
    """(N, V, 3) float32 m in the source camera, moved block by block."""
    if not reader.has("vertices"):
        return None
    stored: npt.NDArray[np.float32] = reader.column("vertices")
    if (to_source != np.eye(3)).any():
        for start in range(0, len(stored), 1000):
            rows = slice(start, start + 1000)
            stored[rows] = stored[rows] @ np.swapaxes(to_source[rows], 1, 2)
    return stored


def _check_crops(reader: SplitReader, path: str) -> None:
    """Raise unless every crop leads back to the source image."""
    crop = reader.column("crop")
    finite = np.isfinite(crop).all(axis=(1, 2))
    crop = np.where(finite[:, None, None], crop, 0.0)
    # A determinant has the size of the columns' lengths, and a translation makes the last one long:
    # far smaller than this, it is rounding noise of a matrix whose columns are not independent.
    least = 1e-12 * np.linalg.norm(crop, axis=1).prod(axis=1)
    bad = np.abs(np.linalg.det(crop)) <= least
    if bad.any():
        first = str(reader.column("sample_id")[int(bad.argmax())])
        raise ScoreError(
            f"{path}: expected crops with an inverse in split {reader.name!r}, found "
            f"{int(bad.sum()):,} without (first: sample {first!r}), so their keypoints do not lead "
            "back to the source image: convert the dataset again"
        )


def _to_source_3d(mirrored: npt.NDArray[np.bool_], rotation: Floats | None) -> Floats:
    """(N, 3, 3) from the stored camera to the source camera: undo the flip, then the rotation."""
    mirror = np.diag(flip_points_3d([1.0, 1.0, 1.0]))
    undo = np.where(mirrored[:, None, None], mirror, np.eye(3))
    # crop_rotation turns source axes into those of the crop's virtual camera.
    return undo if rotation is None else np.swapaxes(rotation, 1, 2) @ undo
