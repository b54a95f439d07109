"""What ``handbench export coco`` adds to COCO, read back: fields that begin with ``handbench_``.

The object ``handbench`` of such a file lists its columns; every annotation has the value of each
that COCO has no field for. A file without that list is anybody's: nothing here looks at it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from handbench.errors import SourceError
from handbench.hand import NUM_JOINTS, VISIBILITY_UNKNOWN
from handbench.sources.origin import Origin
from handbench.sources.own_data import is_below
from handbench.sources.table import HandTable

_OWN_FIELDS = frozenset(
    {
        *("sample_id", "image_size", "keypoints_2d", "valid_2d", "valid_3d", "visibility", "bbox"),
        *("is_right", "mirrored", "keypoints_3d", "camera", "heatmaps"),
    }
)
"""Columns that COCO's fields or a rule of their own bring back."""
_CUT = ("crop", "crop_rotation", "source_bbox")
_NUMBERS = frozenset({"float16", "float32", "float64", "int8", "int32", "int64", "uint8", "bool"})
_LARGEST_TOLERANCE_PX = 1.0
_TERMS = ("title", "license", "homepage", "label_source", "citation")


@dataclass(frozen=True)
class Export:
    """What the object ``handbench`` of an exported label file says.

    Attributes
    ----------
    path
        The label file.
    columns
        Name → dtype and shape of a row.
    attributes
        Column → its HDF5 attributes.
    split_unit, cluster_unit
        Columns that a split may not straddle and that a bootstrap resamples.
    tolerance_px
        Largest distance between 2D labels and projected 3D labels, px of the first source.
    terms
        Title, licence, homepage, origin of the labels, citation, and whether photos may be shown.
    """

    path: Path
    columns: dict[str, tuple[str, tuple[int, ...]]]
    attributes: dict[str, dict[str, Any]]
    split_unit: str
    cluster_unit: str
    tolerance_px: float
    terms: dict[str, Any]

    @property
    def padding(self) -> float:
        """Padding of the earlier cut; NaN where it was not one."""
        value = self.attributes.get("bbox", {}).get("padding")
        return math.nan if value is None else float(value)

    def origin(self) -> Origin:
        """What the next file takes over beside the labels."""
        mine = {
            name: given
            for name, given in self.attributes.items()
            if name not in ("bbox", "crop", "camera", "heatmaps")
        }
        kind = self.attributes.get("crop", {}).get("kind", "affine")
        if kind != "affine":
            mine["crop"] = {"kind": kind}
        box_source = str(self.attributes.get("bbox", {}).get("source", "annotation"))
        return Origin(
            self.terms,
            box_source,
            self.split_unit,
            self.cluster_unit,
            mine,
            self.padding,
            self.tolerance_px,
        )

    def row(
        self,
        hand: dict[str, Any],
        image: dict[str, Any],
        pinhole: Callable[[dict[str, Any]], npt.NDArray[np.float64]],
    ) -> dict[str, Any]:
        """What COCO's own fields cannot say of one hand: column → value, and ``mask``.

        Parameters
        ----------
        hand, image
            Annotation and image record.
        pinhole
            Intrinsics (3, 3) px of an image record with ``cam_param``.

        Raises
        ------
        SourceError
            Naming file, annotation and field that does not hold what the file's list says.
        """
        row: dict[str, Any] = {"sample_id": self._text(hand, "sample_id")}
        for name, (dtype, shape) in self.columns.items():
            if name not in _OWN_FIELDS:
                row[name] = (
                    self._text(hand, name)
                    if dtype == "str"
                    else self._numbers(hand, name, dtype, shape)
                )
        if not np.isfinite(row["crop"]).all() or np.linalg.det(row["crop"]) == 0:
            raise self._wrong(hand, "crop", "3×3 numbers that have an inverse")
        row["visibility"] = self._visibility(hand)
        row["mirrored"] = hand.get("handbench_mirrored", False)
        if not isinstance(row["mirrored"], bool):
            raise self._wrong(hand, "mirrored", "true or false")
        # The image of a mirrored hand shows the other side.
        row["is_right"] = hand.get("handbench_is_right")
        if row["is_right"] not in (None, 1, 0, -1) or (row["mirrored"] and row["is_right"] is None):
            raise self._wrong(hand, "is_right", "1, 0 or -1")
        if "camera" in self.columns:
            skewed = "handbench_camera" in hand or image.get("cam_param") is None
            row["camera"] = (
                self._numbers(hand, "camera", "float64", (3, 3)) if skewed else pinhole(image)
            )
        if "handbench_mask" in hand:
            row["mask"] = self._mask(hand)
        return row

    def complete(self, table: HandTable, rows: Sequence[dict[str, Any]]) -> None:
        """Put into `table` what :meth:`row` has read of its hands, in their order."""

        def values(name: str) -> list[Any]:
            return [row[name] for row in rows]

        table.sample_id = values("sample_id")
        table.ids, table.extra, table.cut = {}, {}, {}
        for name, (dtype, _) in self.columns.items():
            if name not in _OWN_FIELDS:
                if dtype == "str":
                    table.ids[name] = values(name)
                else:
                    place = table.cut if name in _CUT else table.extra
                    place[name] = np.stack(values(name))
        table.cut["padding"] = np.full(len(rows), self.padding)
        table.cut["mirrored"] = np.array(values("mirrored"), dtype=bool)
        table.visibility = np.stack(values("visibility"))
        shown = table.is_right.tolist()
        sides = [s if real is None else real for s, real in zip(shown, values("is_right"))]
        table.is_right = np.array(sides, dtype=np.int8)
        if "camera" in self.columns:
            table.camera = np.stack(values("camera"))
        if "keypoints_3d" in self.columns and table.keypoints_3d is None:
            table.keypoints_3d = np.full((len(rows), NUM_JOINTS, 3), np.nan)
        if all("mask" in row for row in rows):
            table.mask_name = values("mask")

    def _text(self, hand: dict[str, Any], name: str) -> str:
        value = hand.get(f"handbench_{name}")
        if not isinstance(value, str):
            raise self._wrong(hand, name, "text")
        return value

    def _numbers(
        self, hand: dict[str, Any], name: str, dtype: str, shape: tuple[int, ...]
    ) -> npt.NDArray[Any]:
        whole = "" if dtype.startswith("float") else "whole "
        what = f"{'×'.join(map(str, shape))} {whole}numbers" if shape else f"one {whole}number"
        value = hand.get(f"handbench_{name}", "")
        try:
            given = np.array(value)
            if given.dtype.kind not in "biuf" and any(isinstance(n, str) for n in given.flat):
                raise TypeError("text")
            # null is NaN.
            row = given.astype(np.float64)
            if row.shape != shape:
                raise ValueError(f"shape {row.shape}")
            if whole and not (row == np.round(row)).all():
                raise ValueError("no whole numbers")
            return row.astype(dtype)
        except (TypeError, ValueError) as error:
            raise self._wrong(hand, name, what) from error

    def _visibility(self, hand: dict[str, Any]) -> npt.NDArray[np.uint8]:
        """As written: v, or what stands beside it where v cannot say it."""
        labelled = np.array(hand["keypoints"], dtype=np.float64).reshape(NUM_JOINTS, 3)[:, 2]
        values = labelled
        if "handbench_visibility" in hand:
            values = self._numbers(hand, "visibility", "float64", (NUM_JOINTS,))
            known = np.isin(values, (0, 1, 2, VISIBILITY_UNKNOWN)).all()
            if not known or ((values > 0) != (labelled > 0)).any():
                what = f"{NUM_JOINTS} of 0, 1, 2 and {VISIBILITY_UNKNOWN}, 0 where v is"
                raise self._wrong(hand, "visibility", what)
        elif not np.isin(values, (0, 1, 2)).all():
            raise SourceError(
                f"annotation {hand['id']} in {self.path}: expected v of 0, 1 or 2 as exported, "
                "found others; export the file again"
            )
        return values.astype(np.uint8)

    def _mask(self, hand: dict[str, Any]) -> str:
        name = hand["handbench_mask"]
        if not isinstance(name, str) or not is_below(name):
            raise self._wrong(hand, "mask", "a path below the exported folder")
        # Images lie in a folder beside that of the masks.
        return f"../{name}"

    def _wrong(self, hand: dict[str, Any], name: str, what: str) -> SourceError:
        field = f"handbench_{name}"
        found = repr(hand[field])[:60] if field in hand else "no such field"
        return SourceError(
            f"annotation {hand['id']} in {self.path}: expected {field} as {what}, found {found}; "
            "export the file again"
        )


def read_export(data: Mapping[str, Any], path: Path) -> Export | None:
    """What an exported label file says about itself; None for anybody else's.

    Raises
    ------
    SourceError
        If the object ``handbench`` lists columns, but not as an export does.
    """
    facts = data.get("handbench")
    if not isinstance(facts, dict) or "columns" not in facts:
        return None
    try:
        columns = {
            str(name): (str(spec["dtype"]), tuple(int(n) for n in spec["shape"]))
            for name, spec in facts["columns"].items()
        }
        unknown = [d for d, _ in columns.values() if d != "str" and d not in _NUMBERS]
        attributes = {str(name): dict(given) for name, given in facts["attributes"].items()}
        tolerance = float(facts["reprojection_tolerance_px"])
        if unknown or "crop" not in columns or not 0 < tolerance <= _LARGEST_TOLERANCE_PX:
            raise ValueError(f"{unknown} {tolerance}")
        float(attributes.get("bbox", {}).get("padding") or 0)
        return Export(
            path,
            columns,
            attributes,
            str(facts["split_unit"]),
            str(facts["cluster_unit"]),
            tolerance,
            {
                **{name: str(facts[name]) for name in _TERMS},
                "publish_images": facts["publish_images"] is True,
            },
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise SourceError(
            f"expected the object 'handbench' in {path} as `handbench export coco` writes it "
            "(columns with dtype and shape, attributes, units, a reprojection tolerance of at most "
            f"{_LARGEST_TOLERANCE_PX:g} px), found something else; export the file again, or "
            "remove that object to read the file as anybody's"
        ) from error
