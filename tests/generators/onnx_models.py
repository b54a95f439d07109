"""Tiny ONNX files whose answer one can say beforehand: they point at the brightest pixel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

JOINTS = 21


def write_onnx(
    path: Path,
    kind: str,
    *,
    size: int = 64,
    batch: int | str = "N",
    layout: str = "nchw",
    uint8: bool = False,
    constant: np.ndarray | None = None,
    shift: float = 0.0,
    metadata: dict[str, str] | None = None,
) -> Path:
    """Write a model.

    Parameters
    ----------
    path
        Target.
    kind
        ``simcc``: outputs x, y (N, 21, 2 · size), highest at twice the brightest place of the
        *first* channel; ``heatmaps`` (N, 21, size / 4, size / 4), means of that channel;
        ``constant``: (N, *constant.shape), whatever the image; ``both``: the same and scores.
    size, batch, layout, uint8
        Of the input.
    constant
        What ``constant`` gives.
    shift
        Added to everything that ``simcc`` gives.
    metadata
        Of the file.
    """
    from onnx import TensorProto, helper, numpy_helper, save

    shape: list[Any] = [batch, 3, size, size] if layout == "nchw" else [batch, size, size, 3]
    dtype = TensorProto.UINT8 if uint8 else TensorProto.FLOAT
    nodes, weights = [], []

    def const(name: str, value: Any, kind: Any = np.float32) -> str:
        weights.append(numpy_helper.from_array(np.asarray(value, dtype=kind), name))
        return name

    def node(op: str, inputs: list[str], output: str, **attributes: Any) -> str:
        nodes.append(helper.make_node(op, inputs, [output], **attributes))
        return output

    image = node("Cast", ["input"], "floats", to=TensorProto.FLOAT)
    if layout == "nhwc":
        image = node("Transpose", [image], "turned", perm=[0, 3, 1, 2])
    first = node("Gather", [image, const("zero", 0, np.int64)], "first", axis=1)
    outputs: list[tuple[str, list[Any]]]
    if kind == "simcc":
        const("joints", np.ones((1, JOINTS, 1)))
        const("shift", shift)
        for axis, name in ((1, "x"), (2, "y")):
            node("ReduceMax", [first, const(f"axis_{name}", [axis], np.int64)], f"max_{name}",
                 keepdims=0)  # fmt: skip
            node("Unsqueeze", [f"max_{name}", const(f"last_{name}", [2], np.int64)], f"col_{name}")
            node("Mul", [f"col_{name}", const(f"half_{name}", 0.5)], f"low_{name}")
            node("Concat", [f"col_{name}", f"low_{name}"], f"two_{name}", axis=2)
            flat = const(f"flat_{name}", [0, 1, 2 * size], np.int64)
            node("Reshape", [f"two_{name}", flat], f"bins_{name}")
            node("Mul", [f"bins_{name}", "joints"], f"all_{name}")
            node("Add", [f"all_{name}", "shift"], f"simcc_{name}")
        outputs = [(f"simcc_{n}", [batch, JOINTS, 2 * size]) for n in ("x", "y")]
    elif kind == "heatmaps":
        node("Unsqueeze", [first, const("one", [1], np.int64)], "plane")
        node("AveragePool", ["plane"], "pooled", kernel_shape=[4, 4], strides=[4, 4])
        node("Mul", ["pooled", const("joints", np.ones((1, JOINTS, 1, 1)))], "heatmaps")
        outputs = [("heatmaps", [batch, JOINTS, size // 4, size // 4])]
    else:
        assert constant is not None
        node("ReduceMax", [first, const("axes", [1, 2], np.int64)], "top", keepdims=0)
        node("Mul", ["top", const("nothing", 0.0)], "nil")
        rank = constant.ndim
        node("Reshape", ["nil", const("to", [-1, *[1] * rank], np.int64)], "shaped")
        node("Add", ["shaped", const("values", constant[None])], "points")
        outputs = [("points", [batch, *constant.shape])]
        if kind == "both":
            node("Reshape", ["nil", const("to2", [-1, 1], np.int64)], "row")
            node("Add", ["row", const("sure", np.full((1, JOINTS), 0.75))], "scores")
            outputs.append(("scores", [batch, JOINTS]))
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("input", dtype, shape)],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in outputs],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    model.ir_version = 9
    if metadata:
        helper.set_model_props(model, metadata)
    save(model, str(path))
    return path
