from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from handbench.errors import PredictorError
from handbench.models.architecture import DECODINGS
from handbench.predictors.onnx_spec import OnnxSpec, Tensor, read_spec, sidecar_of

FLOAT = "tensor(float)"
PICTURES = Tensor("input", (None, 3, 256, 256), FLOAT)


def outputs(*shapes: tuple[int | None, ...]) -> list[Tensor]:
    return [Tensor(f"out{number}", shape, FLOAT) for number, shape in enumerate(shapes)]


def spec(
    tmp_path: Path, *shapes: tuple[int | None, ...], source: Tensor = PICTURES, **declared: Any
) -> OnnxSpec:
    path = tmp_path / "model.onnx"
    if declared:
        text = json.dumps({"handbench_onnx": 1, **declared})
        sidecar_of(path).write_text(text)
    return read_spec(path, {}, [source], outputs(*shapes))


def test_rtmpose_hand_is_what_two_rows_of_512_bins_are(tmp_path: Path) -> None:
    found = spec(tmp_path, (None, 21, 512), (None, 21, 512))
    assert (found.kind, found.size, found.split, found.score) == ("simcc", 256, 2.0, "mean")
    assert (found.channel_order, found.padding) == ("rgb", 1.25)
    assert found.mean == (123.675, 116.28, 103.53)
    assert found.outputs == ("out0", "out1")
    assert not found.declared


def test_heatmaps_are_recognised(tmp_path: Path) -> None:
    found = spec(tmp_path, (None, 21, 64, 64))
    assert (found.kind, found.grid, found.decoding) == ("heatmaps", "corner", "quarter")


def test_channels_last_are_recognised(tmp_path: Path) -> None:
    source = Tensor("x", (1, 224, 224, 3), "tensor(uint8)")
    assert spec(tmp_path, (1, 21, 56, 56), source=source).layout == "nhwc"
    assert spec(tmp_path, (1, 21, 56, 56), source=source).size == 224


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ([(None, 21, 2)], "are coordinates in a unit that no shape tells"),
        ([(None, 21, 3)], "of which the last may be a score or a depth"),
        ([(None, 63)], "are neither heatmaps"),
        ([(None, 21, 64, 64), (None, 21, 2)], "are coordinates in a unit"),
        ([], "are neither heatmaps"),
    ],
)
def test_what_shapes_do_not_tell_must_be_declared(
    tmp_path: Path, shapes: list[tuple[int | None, ...]], message: str
) -> None:
    with pytest.raises(PredictorError, match=message) as said:
        spec(tmp_path, *shapes)
    example = json.loads(str(said.value)[str(said.value).index('{"handbench_onnx"') :])
    assert example["kind"] == "coordinates"
    assert "model.onnx.json" in str(said.value)


def test_a_file_that_takes_any_size_needs_one(tmp_path: Path) -> None:
    free = Tensor("x", (None, 3, None, None), FLOAT)
    with pytest.raises(PredictorError, match=r'write the side it was made for .*"size": 256'):
        spec(tmp_path, (None, 21, None, None), source=free)
    assert spec(tmp_path, (None, 21, None, None), source=free, size=192).size == 192


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (Tensor("x", (None, 3, 256, 192), FLOAT), "take a square picture, found x .*192"),
        (Tensor("x", (None, 1, 64, 64), FLOAT), "pictures of 3 channels"),
        (Tensor("x", (None, 99), FLOAT), "one batch of pictures"),
    ],
)
def test_other_inputs_are_refused(tmp_path: Path, source: Tensor, message: str) -> None:
    with pytest.raises(PredictorError, match=message):
        spec(tmp_path, (None, 21, 64, 64), source=source)


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        (
            {"kind": "boxes"},
            "expected kind to be one of 'heatmaps', 'simcc', 'coordinates', found 'b",
        ),
        ({"channel_order": "grb"}, "expected channel_order to be one of 'rgb', 'bgr', found 'grb'"),
        ({"std": [1, 0, 1]}, "none of them 0, found"),
        ({"mean": [1, 2]}, "expected mean to be three numbers"),
        ({"mean": [True, 2, 3]}, "expected mean to be three numbers"),
        ({"sigma": -1}, "expected sigma to be a positive number"),
        ({"outputs": "out0"}, "expected outputs to be a list of names"),
        ({"outputs": ["out7"]}, "the output 'out7' is not in the file, which has out0"),
        ({"joint_order": "coco"}, "expected joint_order to be rhd, mano, interhand, stb or a list"),
        ({"joint_order": [0, 0]}, "expected joint_order"),
        ({"unti": "px"}, "the key 'unti' is unknown; the keys are box_factor, channel_order"),
        ({"name": 3}, "expected name to be a text"),
        ({"size": "big"}, "expected size to be a whole number, found 'big'"),
        ({"handbench_onnx": 2}, "another version: see docs/predictors.md"),
        ({"kind": "simcc"}, "simcc come from 2 outputs of 21 joints, found 0"),
    ],
)
def test_declarations_are_checked(tmp_path: Path, declared: dict[str, Any], message: str) -> None:
    with pytest.raises(PredictorError, match=message):
        spec(tmp_path, (None, 21, 64, 64), **declared)


def test_every_decoding_can_be_declared(tmp_path: Path) -> None:
    for decoding in DECODINGS:
        assert spec(tmp_path, (None, 21, 64, 64), decoding=decoding).decoding == decoding


def test_a_sidecar_that_is_no_declaration_is_told(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    sidecar_of(path).write_text("[1]")
    with pytest.raises(PredictorError, match='an object with "handbench_onnx": 1, found no such'):
        read_spec(path, {}, [PICTURES], outputs((None, 21, 64, 64)))
    sidecar_of(path).write_text('{"handbench_onnx": 1, ')
    with pytest.raises(PredictorError, match=r"model.onnx.json, found a file that breaks off"):
        read_spec(path, {}, [PICTURES], outputs((None, 21, 64, 64)))


def test_orders_may_be_named_or_listed(tmp_path: Path) -> None:
    order = list(range(21))[::-1]
    assert spec(tmp_path, (None, 21, 64, 64), joint_order=order).joint_order == tuple(order)
    named = spec(tmp_path, (None, 21, 64, 64), joint_order="interhand")
    assert named.joint_order[0] == 20
    assert named.declared
