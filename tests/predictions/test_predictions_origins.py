from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from handbench.errors import PredictionsError
from handbench.predictions.origins import to_offsets
from handbench.predictions.read import read_predictions

META = json.dumps(
    {"handbench_predictions": 1, "dataset": "sample", "split": "test", "model": {"name": "net"}}
)
PIXELS = np.arange(2 * 21 * 2, dtype=np.float16).reshape(2, 21, 2)
METRES = np.linspace(-0.1, 0.1, 2 * 21 * 3).reshape(2, 21, 3).astype(np.float16)


def saved(path: Path, **arrays: Any) -> Path:
    arrays = {"meta": np.array(META), "id": np.array(["a", "b"]), **arrays}
    if path.suffix == ".npz":
        np.savez(path, allow_pickle=False, **arrays)
    else:
        with h5py.File(path, "w") as file:
            for name, array in arrays.items():
                text = array.dtype.kind == "U"
                file[name] = array.tolist() if text else array
    return path


@pytest.mark.parametrize("suffix", [".npz", ".h5"])
def test_origins_are_added_to_offsets(tmp_path: Path, suffix: str):
    path = saved(
        tmp_path / f"p{suffix}",
        keypoints=PIXELS,
        keypoints_origin=np.array([[1000.25, 2000.5], [0, 0]], dtype=np.float32),
        keypoints_3d=METRES,
        keypoints_3d_origin=np.array([[0, 0, 0.5], [0.1, 0, 1]]),
    )
    read = read_predictions(path)
    assert read.keypoints is not None
    assert read.keypoints_3d is not None
    np.testing.assert_array_equal(read.keypoints[0], PIXELS[0] + np.array([1000.25, 2000.5]))
    np.testing.assert_array_equal(read.keypoints[1], PIXELS[1])
    np.testing.assert_array_equal(
        read.keypoints_3d[1], METRES[1].astype(np.float64) + np.array([0.1, 0, 1])
    )


def test_meshes_stay_in_single_precision(tmp_path: Path):
    path = saved(
        tmp_path / "p.npz",
        keypoints=PIXELS,
        vertices=METRES,
        vertices_origin=np.ones((2, 3), dtype=np.float32),
    )
    vertices = read_predictions(path).vertices
    assert vertices is not None
    assert vertices.dtype == np.float32
    np.testing.assert_allclose(vertices, METRES.astype(np.float32) + 1, rtol=1e-6)


def test_a_missed_hand_stays_missed(tmp_path: Path):
    pixels = PIXELS.copy()
    pixels[1] = np.nan
    path = saved(
        tmp_path / "p.npz", keypoints=pixels, keypoints_origin=np.zeros((2, 2), np.float32)
    )
    keypoints = read_predictions(path).keypoints
    assert keypoints is not None
    assert np.isnan(keypoints[1]).all()
    assert np.isfinite(keypoints[0]).all()


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        (
            {"keypoints": PIXELS, "keypoints_3d_origin": np.zeros((2, 3))},
            "found 'keypoints_3d_origin' without 'keypoints_3d'",
        ),
        (
            {"keypoints": PIXELS, "keypoints_origin": np.zeros((2, 3))},
            r"expected 'keypoints_origin' to be one point a hand, of shape \(2, 2\)",
        ),
        (
            {"keypoints": PIXELS, "keypoints_origin": np.zeros((1, 2))},
            "one point a hand",
        ),
        (
            {"keypoints": PIXELS, "keypoints_origin": np.array([["a", "b"], ["c", "d"]])},
            "found shape .* and dtype",
        ),
        (
            {"keypoints": PIXELS, "keypoints_origin": np.array([[np.nan, 0], [0, 0]])},
            "'keypoints' of id 'a' holds NaN",
        ),
        (
            {"keypoints": PIXELS[..., :1], "keypoints_origin": np.zeros((2, 2))},
            "expected 'keypoints' of shape",
        ),
        (
            {"keypoints": PIXELS[0], "keypoints_origin": np.zeros((21, 2))},
            "expected 'keypoints_origin' to be one point a hand",
        ),
        (
            {"keypoints": PIXELS[:1], "keypoints_origin": np.zeros((1, 2))},
            "expected 'keypoints' of shape",
        ),
    ],
)
def test_what_does_not_fit_is_one_sentence(tmp_path: Path, arrays: dict[str, Any], sentence: str):
    path = saved(tmp_path / "p.npz", **arrays)
    with pytest.raises(PredictionsError, match=sentence):
        read_predictions(path)


def test_half_precision_alone_is_read_without_a_warning(tmp_path: Path):
    read = read_predictions(saved(tmp_path / "p.npz", keypoints=PIXELS))
    assert read.keypoints is not None
    np.testing.assert_array_equal(read.keypoints, PIXELS)


# A hand: at most 256 px on an image, 22 cm in the world, anywhere.
@given(
    st.integers(0, 2**32 - 1),
    st.floats(1, 256),
    st.floats(-1e4, 1e4),
    st.floats(0.01, 0.22),
    st.floats(0.1, 5),
)
def test_points_of_a_hand_move_by_less_than_a_twentieth(
    seed: int, side: float, place: float, size_m: float, depth_m: float
):
    rng = np.random.default_rng(seed)
    pixels = rng.uniform(0, side, (5, 21, 2)) + place
    offsets, origin, moved = to_offsets(pixels, 0.05)
    back = offsets.astype(np.float64) + origin.astype(np.float64)[:, None]
    assert offsets.dtype == np.float16
    assert np.linalg.norm(back - pixels, axis=2).max() < 0.05
    assert moved == pytest.approx(np.linalg.norm(back - pixels, axis=2).max(), rel=1e-6, abs=1e-9)
    # Spread over a ball of that diameter, as joints of a hand are.
    directions = rng.normal(size=(5, 21, 3))
    directions /= np.linalg.norm(directions, axis=2, keepdims=True)
    metres = directions * rng.uniform(0, size_m / 2, (5, 21, 1)) + [0.0, 0.0, depth_m]
    offsets, origin, _ = to_offsets(metres, 0.05e-3)
    back = offsets.astype(np.float64) + origin.astype(np.float64)[:, None]
    assert np.linalg.norm(back - metres, axis=2).max() * 1e3 < 0.05


def test_large_hands_stay_in_single_precision():
    pixels = np.random.default_rng(0).uniform(0, 3000, (2, 21, 2))
    offsets, origin, moved = to_offsets(pixels, 0.05)
    assert offsets.dtype == np.float32
    assert moved < 1e-3
    np.testing.assert_allclose(offsets + origin[:, None], pixels, atol=1e-3)


def test_beyond_half_precision_and_nothing_at_all():
    offsets, _, _ = to_offsets(np.array([[[0.0, 0.0], [3e5, 0.0]]]), 0.05)
    assert offsets.dtype == np.float32
    offsets, origin, moved = to_offsets(np.full((2, 21, 2), np.nan), 0.05)
    assert np.isnan(offsets).all()
    assert (origin == 0).all()
    assert moved == 0.0
    assert to_offsets(np.zeros((0, 21, 2)), 0.05)[2] == 0.0
