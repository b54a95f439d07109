"""What an ONNX file takes and gives: read from its metadata or a sidecar, else from its shapes.

Shapes tell heatmaps (N, 21, h, w) and SimCC (two outputs, N, 21, bins) apart from coordinates, but
not the unit of coordinates. What shapes do not tell stands in ``model.onnx.json`` beside the file;
where neither says enough, the error shows the sidecar to write.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal, cast, get_args

from handbench.errors import HandbenchError, PredictorError
from handbench.files import parse_json, read_json
from handbench.hand import NATIVE_ORDERS, NUM_JOINTS, check_permutation
from handbench.models.architecture import DECODINGS

SPEC_VERSION = 1
METADATA_KEY = "handbench"
"""Key of an ONNX file's metadata under which the JSON of a sidecar may stand."""

Kind = Literal["heatmaps", "simcc", "coordinates"]
Layout = Literal["nchw", "nhwc"]
Unit = Literal["px", "normalised"]
ScoreRule = Literal["mean", "min"]
Grid = Literal["center", "corner", "udp"]

IMAGENET_MEAN = (123.675, 116.28, 103.53)
IMAGENET_STD = (58.395, 57.12, 57.375)
"""Of red, green and blue in 0 … 255: what mmpose, and so RTMPose, was trained with."""


@dataclass(frozen=True)
class OnnxSpec:
    """How pictures go into an ONNX file and points come out.

    Attributes
    ----------
    size
        Side of the square input, px.
    kind
        ``heatmaps`` (N, 21, h, w); ``simcc``: two outputs (N, 21, bins), x and y; ``coordinates``
        (N, 21, 2 or more), on request with an output of scores (N, 21).
    layout
        ``nchw`` or ``nhwc``.
    channel_order
        ``rgb`` or ``bgr``.
    mean, std
        Of the three channels *in the order the network sees them*, in 0 … 255; subtracted and
        divided by. An input of uint8 takes pixels as they are.
    outputs
        Names in the file: the maps; x and y bins; coordinates and, if there are any, scores.
    unit
        Of coordinates: ``px`` of the input, pixel centres at integers, or ``normalised``: 0 and 1
        are the outer edges of the input.
    third
        What follows x and y: ``score`` or ``z``; "" when nothing does.
    split
        SimCC bins a pixel; bin b lies at b / split px.
    score
        SimCC score of a joint from its two highest bins: their ``mean``, as in rtmlib, or ``min``,
        as in mmpose.
    decoding, grid, sigma
        How to find a heatmap's peak (:func:`handbench.models.heatmaps.decode`), where cells lie
        (``udp``: the outer cells on the outer pixels), standard deviation of the targets in cells.
    box_factor
        Side of what the network sees, as a share of the crop's.
    padding
        Of the boxes it was made for; None where nobody says.
    joint_order
        ``canonical[i] = output[joint_order[i]]``.
    name, params, training_data, license, note
        For the predictions' model block.
    declared
        Metadata or a sidecar says all this; else shapes do, and the rest is what is usual.
    """

    size: int
    kind: Kind
    layout: Layout = "nchw"
    channel_order: Literal["rgb", "bgr"] = "rgb"
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    outputs: tuple[str, ...] = ()
    unit: Unit = "px"
    third: Literal["", "score", "z"] = ""
    split: float = 2.0
    score: ScoreRule = "mean"
    decoding: str = "quarter"
    grid: Grid = "corner"
    sigma: float = 2.0
    box_factor: float = 1.0
    padding: float | None = None
    joint_order: tuple[int, ...] = tuple(range(NUM_JOINTS))
    name: str | None = None
    params: int | None = None
    training_data: tuple[str, ...] | None = None
    license: str | None = None
    note: str | None = None
    declared: bool = False


@dataclass(frozen=True)
class Tensor:
    """Name, shape and type of an input or output; a dimension that is free is None."""

    name: str
    shape: tuple[int | None, ...]
    type: str

    def __str__(self) -> str:
        sides = ", ".join("?" if side is None else str(side) for side in self.shape)
        return f"{self.name} ({sides}) {self.type}"


def sidecar_of(path: Path) -> Path:
    """``model.onnx`` → ``model.onnx.json``."""
    return path.with_name(f"{path.name}.json")


def read_spec(
    path: Path, metadata: dict[str, str], inputs: Sequence[Tensor], outputs: Sequence[Tensor]
) -> OnnxSpec:
    """What is known about an ONNX file.

    Parameters
    ----------
    path
        Of the file, for its sidecar and for messages.
    metadata
        The file's own; a sidecar goes before it.
    inputs, outputs
        The file's.

    Raises
    ------
    PredictorError
        If it takes anything but one square picture, a declaration is wrong, or not enough is known.
    """
    declared: dict[str, Any] = {}
    where = str(path)
    if METADATA_KEY in metadata:
        where = f"the metadata of {path}"
        declared = _object(
            parse_json(metadata[METADATA_KEY].encode(), "a declaration", where, PredictorError),
            where,
        )
    sidecar = sidecar_of(path)
    if sidecar.exists():
        where = str(sidecar)
        declared |= _object(read_json(sidecar, "a declaration", PredictorError), where)
    values = _values(declared, where)
    _check_names(values, outputs, where)
    layout, size = _input(path, inputs, values)
    guessed = _guess(path, outputs, values, size)
    spec = OnnxSpec(**{"size": size, "layout": layout, **guessed, **values})
    spec = replace(spec, declared=bool(declared))
    _check_number(spec, outputs, where)
    return spec


def _object(value: Any, where: str) -> dict[str, Any]:
    version = value.get("handbench_onnx") if isinstance(value, dict) else None
    if version != SPEC_VERSION:
        raise PredictorError(
            f'{where}: expected an object with "handbench_onnx": {SPEC_VERSION}, found '
            f"{'another version' if version is not None else 'no such key'}: see "
            "docs/predictors.md"
        )
    return cast("dict[str, Any]", value)


def _input(path: Path, inputs: Sequence[Tensor], declared: dict[str, Any]) -> tuple[Layout, int]:
    """Layout and side of the one input."""
    if len(inputs) != 1 or len(inputs[0].shape) != 4:
        raise PredictorError(
            f"expected {path} to take one batch of pictures (N, 3, S, S) or (N, S, S, 3), found "
            f"{'; '.join(map(str, inputs)) or 'no input'}: export the network alone"
        )
    shape = inputs[0].shape
    layout: Layout = declared.get("layout") or ("nhwc" if shape[3] == 3 != shape[1] else "nchw")
    channels = shape[1] if layout == "nchw" else shape[3]
    sides = shape[2:] if layout == "nchw" else shape[1:3]
    if channels not in (3, None):
        raise PredictorError(f"expected {path} to take pictures of 3 channels, found {inputs[0]}")
    fixed = {side for side in sides if side is not None}
    if len(fixed) > 1:
        raise PredictorError(
            f"expected {path} to take a square picture, found {inputs[0]}: hands are cut square; "
            "export it with a square input"
        )
    size = declared.get("size") or (fixed.pop() if fixed else None)
    if size is None:
        raise PredictorError(
            f"{path} takes pictures of any size: write the side it was made for into "
            f'{sidecar_of(path)}, for example {{"handbench_onnx": {SPEC_VERSION}, '
            '"size": 256}'
        )
    return layout, size


def _guess(
    path: Path, outputs: Sequence[Tensor], declared: dict[str, Any], size: int
) -> dict[str, Any]:
    """What shapes say of the outputs: kind, names, and what follows from the input's side."""
    by_name = {output.name: output for output in outputs}
    wanted = declared.get("outputs")
    chosen = list(outputs) if wanted is None else [by_name[n] for n in wanted if n in by_name]
    joints = [each for each in chosen if len(each.shape) > 1 and each.shape[1] == NUM_JOINTS]
    maps = [each for each in joints if len(each.shape) == 4]
    rows = [each for each in joints if len(each.shape) == 3]
    scores = [each for each in joints if len(each.shape) == 2]
    kind = declared.get("kind")
    if kind == "heatmaps" or (kind is None and len(maps) == 1 and not rows):
        return {"kind": "heatmaps", "outputs": tuple(each.name for each in maps)}
    if kind == "simcc" or (kind is None and len(rows) == 2 and _many(rows)):
        split = (rows[0].shape[2] or 2 * size) / size if rows else 2.0
        names = tuple(each.name for each in rows)
        return {"kind": "simcc", "outputs": names, "split": split, "padding": 1.25}
    if kind == "coordinates":
        flat = [e for e in chosen if len(e.shape) == 2 and e.shape[1] in (42, 63)]
        names = tuple(each.name for each in [*(rows or flat)[:1], *scores[:1]])
        return {"kind": "coordinates", "outputs": names}
    raise PredictorError(
        f"{path}: its outputs, {'; '.join(map(str, outputs))}, {_doubt(rows)}: say it in "
        f"{sidecar_of(path)}, for example {json.dumps(_example(rows, chosen, scores, size))}"
    )


def _many(rows: Sequence[Tensor]) -> bool:
    """Whether the last axis holds bins, not coordinates."""
    return all(each.shape[2] is None or each.shape[2] > 4 for each in rows)


def _doubt(rows: Sequence[Tensor]) -> str:
    if rows and rows[0].shape[2] == 3:
        return "hold three numbers a joint, of which the last may be a score or a depth"
    if rows and rows[0].shape[2] == 2:
        return "are coordinates in a unit that no shape tells"
    return (
        f"are neither heatmaps (N, {NUM_JOINTS}, h, w), nor SimCC (twice N, {NUM_JOINTS}, bins), "
        f"nor coordinates (N, {NUM_JOINTS}, 2)"
    )


def _example(
    rows: Sequence[Tensor], chosen: Sequence[Tensor], scores: Sequence[Tensor], size: int
) -> dict[str, Any]:
    names = [each.name for each in (rows or chosen)[:1]] + [each.name for each in scores[:1]]
    third = {"third": "score"} if rows and rows[0].shape[2] == 3 else {}
    return {
        "handbench_onnx": SPEC_VERSION,
        "size": size,
        "kind": "coordinates",
        "outputs": names,
        "unit": "px",
        **third,
        "channel_order": "rgb",
        "mean": list(IMAGENET_MEAN),
        "std": list(IMAGENET_STD),
    }


_CHOICES: dict[str, tuple[str, ...]] = {
    "kind": get_args(Kind),
    "layout": get_args(Layout),
    "channel_order": ("rgb", "bgr"),
    "unit": get_args(Unit),
    "third": ("", "score", "z"),
    "score": get_args(ScoreRule),
    "decoding": DECODINGS,
    "grid": get_args(Grid),
}
_NUMBERS = ("split", "sigma", "box_factor", "padding")
_TEXTS = ("name", "license", "note")
_KNOWN = frozenset(field.name for field in fields(OnnxSpec)) - {"declared"}
_FREE = frozenset(
    {"handbench_onnx", "joint_names", "normalisation", "handbench", "checkpoint_sha256", "codec"}
)
"""Facts for people that handbench's own exports carry, too."""


def _values(declared: dict[str, Any], where: str) -> dict[str, Any]:
    """The declared values in the types of :class:`OnnxSpec`."""
    unknown = sorted(set(declared) - _KNOWN - _FREE)
    if unknown:
        raise PredictorError(
            f"{where}: the key {unknown[0]!r} is unknown; the keys are {', '.join(sorted(_KNOWN))}"
        )
    return {
        key: _value(key, value, where)
        for key, value in declared.items()
        if key in _KNOWN and value is not None
    }


def _value(key: str, value: Any, where: str) -> Any:
    wanted = ""
    if key in _CHOICES:
        wanted = f"one of {', '.join(map(repr, _CHOICES[key]))}"
        if value in _CHOICES[key]:
            return value
    elif key in ("mean", "std"):
        wanted = "three numbers in 0 … 255" + (", none of them 0" if key == "std" else "")
        if _numbers(value, 3) and (key == "mean" or all(value)):
            return tuple(float(each) for each in value)
    elif key in ("outputs", "training_data"):
        wanted = "a list of names"
        if isinstance(value, list) and all(isinstance(each, str) for each in value):
            return tuple(value)
    elif key in _NUMBERS:
        wanted = "a positive number"
        if _numbers([value], 1) and value > 0:
            return float(value)
    elif key in ("size", "params"):
        wanted = "a whole number"
        if isinstance(value, int) and value > 0:
            return value
    elif key == "joint_order":
        wanted = f"{', '.join(NATIVE_ORDERS)} or a list of {NUM_JOINTS} indices"
        order = NATIVE_ORDERS.get(value) if isinstance(value, str) else value
        try:
            return tuple(check_permutation(cast("Sequence[int]", order)).tolist())
        except (HandbenchError, TypeError):
            pass
    elif key in _TEXTS:
        wanted = "a text"
        if isinstance(value, str):
            return value
    raise PredictorError(f"{where}: expected {key} to be {wanted}, found {value!r:.80}")


def _numbers(value: Any, count: int) -> bool:
    return (
        isinstance(value, list)
        and len(value) == count
        and all(isinstance(each, int | float) and not isinstance(each, bool) for each in value)
    )


def _check_names(values: dict[str, Any], outputs: Sequence[Tensor], where: str) -> None:
    """Whether the declared outputs are there."""
    names = {each.name for each in outputs}
    missing = [name for name in values.get("outputs", ()) if name not in names]
    if missing:
        raise PredictorError(
            f"{where}: the output {missing[0]!r} is not in the file, which has "
            f"{', '.join(sorted(names))}"
        )


def _check_number(spec: OnnxSpec, outputs: Sequence[Tensor], where: str) -> None:
    """Whether there are as many outputs as the kind needs."""
    least, most = {"heatmaps": (1, 1), "simcc": (2, 2), "coordinates": (1, 2)}[spec.kind]
    if not least <= len(spec.outputs) <= most:
        wanted = str(least) if least == most else f"{least} or {most}"
        raise PredictorError(
            f"{where}: {spec.kind} come from {wanted} outputs of {NUM_JOINTS} joints, found "
            f'{len(spec.outputs)} among {"; ".join(map(str, outputs))}: name them in "outputs"'
        )
