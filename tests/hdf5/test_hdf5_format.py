from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pytest

from handbench.hdf5.format import TruthHash


def labels(rows: int = 4) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    valid = rng.random((rows, 21)) > 0.1
    return {
        "sample_id": [f"é/{i}" for i in (2, 0, 3, 1)[:rows]],
        "keypoints_2d": rng.normal(100, 40, (rows, 21, 2)),
        "keypoints_3d": rng.normal(0, 0.1, (rows, 21, 3)),
        "valid_2d": valid,
        "valid_3d": valid.copy(),
        "bbox": rng.normal(50, 10, (rows, 4)),
    }


def digest(*blocks: dict[str, Any]) -> str:
    truth = TruthHash()
    for block in blocks:
        truth.add(**block)
    return truth.hexdigest()


def rows_of(block: dict[str, Any], rows: list[int]) -> dict[str, Any]:
    return {
        name: [value[r] for r in rows] if isinstance(value, list) else value[rows]
        for name, value in block.items()
    }


def by_the_definition(block: dict[str, Any]) -> str:
    """Row by row and field by field, as the docstring of `TruthHash` says."""
    records = []
    for row, name in enumerate(block["sample_id"]):
        seen = block["valid_2d"][row].astype(bool)
        seen_3d = block["valid_3d"][row].astype(bool)
        points = np.array(block["keypoints_2d"][row], dtype="<f4")
        points[~seen] = np.nan
        points_3d = np.array(block["keypoints_3d"][row], dtype="<f4")
        points_3d[~seen_3d] = np.nan
        data = b"".join(
            np.ascontiguousarray(part, dtype="<f4").tobytes()
            for part in (points, points_3d, seen, seen_3d, block["bbox"][row])
        )
        records.append((name.encode(), hashlib.sha256(name.encode() + b"\0" + data).digest()))
    return hashlib.sha256(b"".join(record for _, record in sorted(records))).hexdigest()


def test_the_definition():
    assert digest(labels()) == by_the_definition(labels())


def test_order_and_blocks_do_not_matter():
    block = labels()
    assert digest(rows_of(block, [3, 1, 0, 2])) == digest(block)
    assert digest(rows_of(block, [0]), rows_of(block, [1, 2, 3])) == digest(block)


@pytest.mark.parametrize(
    "change",
    [
        lambda b: b["sample_id"].__setitem__(0, "é/9"),
        lambda b: b["keypoints_2d"].__setitem__((1, 3, 0), 7.0),
        lambda b: b["keypoints_3d"].__setitem__((2, 3, 1), 7.0),
        lambda b: b["valid_2d"].__setitem__((0, 5), not b["valid_2d"][0, 5]),
        lambda b: b["valid_3d"].__setitem__((0, 5), not b["valid_3d"][0, 5]),
        lambda b: b["bbox"].__setitem__((3, 2), 7.0),
    ],
)
def test_every_label_counts(change):
    block = labels()
    block["valid_2d"][1, 3] = block["valid_3d"][2, 3] = True
    before = digest(block)
    change(block)
    assert digest(block) != before


def test_values_that_are_not_valid_do_not_count():
    block = labels()
    before = digest(block)
    block["keypoints_2d"][~block["valid_2d"]] = 1234.5
    block["keypoints_3d"][~block["valid_3d"]] = -np.nan
    assert digest(block) == before


def test_no_3d_equals_3d_that_is_nowhere_valid():
    block = labels()
    block["valid_3d"][:] = False
    assert digest({**block, "keypoints_3d": None}) == digest(block)


def test_negative_zero_is_zero():
    block = labels()
    block["bbox"][0] = 0.0
    before = digest(block)
    block["bbox"][0] = -0.0
    assert digest(block) == before


def test_the_number_of_rows_counts():
    assert digest(labels(3)) != digest(labels(4))
    assert digest() == hashlib.sha256(b"").hexdigest()
