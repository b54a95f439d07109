from __future__ import annotations

import builtins
import json
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from handbench.errors import MissingExtraError, PredictorError
from handbench.predictors.crops import predict_in_box
from handbench.predictors.onnx_file import open_onnx
from handbench.predictors.onnx_spec import IMAGENET_MEAN, IMAGENET_STD, sidecar_of

pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: handbench[onnx]")
pytest.importorskip("onnx", reason="onnx is not installed: handbench[onnx]")
from generators.onnx_models import write_onnx

RED, BLUE = 0, 2


def spot(x: float, y: float, shape: tuple[int, int] = (64, 64), channel: int = RED) -> np.ndarray:
    """A dark picture with a soft bright dot in one channel."""
    rows, columns = np.indices(shape)
    image = np.full((*shape, 3), 20.0)
    image[..., channel] += 230 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 8)
    return image.astype(np.uint8)


def declare(path: Path, **values: object) -> None:
    sidecar_of(path).write_text(json.dumps({"handbench_onnx": 1, **values}))


def test_simcc_is_recognised_and_read_as_rtmpose(tmp_path: Path) -> None:
    predictor = open_onnx(write_onnx(tmp_path / "rtm.onnx", "simcc"), "cpu")
    assert predictor.spec.kind == "simcc"
    assert (predictor.input_size, predictor.spec.split, predictor.padding) == (64, 2.0, 1.25)
    hand = predictor([spot(37, 22)])[0]
    assert hand is not None
    np.testing.assert_allclose(hand.keypoints, np.tile([37.0, 22.0], (21, 1)))
    # The normalised peak is far above 1: what a hand says is cut there.
    assert hand.score == 1.0
    note = predictor.describe()["note"]
    assert "recognised by its shapes, nothing declared" in note


def rtmlib(image: np.ndarray, box: tuple[float, ...], size: int) -> np.ndarray:
    """What rtmlib computes around the network: affine by centre and scale, highest bins, back."""
    left, top, right, bottom = box
    centre = np.array([left + right, top + bottom]) / 2
    scale = max(right - left, bottom - top) * 1.25
    rows, columns = np.indices((size, size))
    # cv2.warpAffine with centre → size / 2: output pixel (i, j) shows this source pixel.
    x = (columns - size / 2) * scale / size + centre[0]
    y = (rows - size / 2) * scale / size + centre[1]
    warped = map_coordinates(image[..., RED].astype(float), [y, x], order=1)
    best = np.array([warped.max(axis=0).argmax(), warped.max(axis=1).argmax()]) * 2 / 2.0
    return best / size * scale + centre - scale / 2


def test_crops_agree_with_those_of_rtmlib(tmp_path: Path) -> None:
    predictor = open_onnx(write_onnx(tmp_path / "rtm.onnx", "simcc"), "cpu")
    rng = np.random.default_rng(0)
    box = (30.0, 20.0, 90.0, 70.0)
    truth = rng.uniform([35, 25], [85, 65], (40, 2))
    images = [spot(x, y, (100, 120)) for x, y in truth]
    hands = predict_in_box(predictor, images, [box] * len(images), padding=predictor.padding)
    ours = np.array([hand.keypoints[0] for hand in hands if hand is not None])
    theirs = np.array([rtmlib(image, box, 64) for image in images])
    step = 60 * 1.25 / 64  # source px a crop px, which is all that bins of a tiny network tell
    assert np.abs(ours - theirs).max() <= 1.01 * step
    # Neither is off to one side, though their crops lie half a pixel apart.
    assert np.abs((ours - truth).mean(axis=0)).max() < 0.25 * step
    assert np.abs((theirs - truth).mean(axis=0)).max() < 0.25 * step


def test_scores_of_simcc_by_both_rules(tmp_path: Path) -> None:
    path = write_onnx(tmp_path / "s.onnx", "simcc")
    # Pixels as they are, of a dot whose columns and rows peak alike: mean and minimum agree.
    declare(path, mean=[0, 0, 0], std=[1000, 1000, 1000], score="min")
    low = open_onnx(path, "cpu")([spot(30, 30)])[0]
    declare(path, mean=[0, 0, 0], std=[1000, 1000, 1000], score="mean")
    mean = open_onnx(path, "cpu")([spot(30, 30)])[0]
    assert low is not None
    assert mean is not None
    np.testing.assert_allclose(low.scores, 0.25, atol=0.001)
    np.testing.assert_allclose(mean.scores, low.scores)


def test_a_joint_without_a_positive_score_lies_at_bin_minus_one(tmp_path: Path) -> None:
    path = write_onnx(tmp_path / "s.onnx", "simcc", shift=-10.0)
    declare(path, mean=[0, 0, 0], std=[255, 255, 255])
    hand = open_onnx(path, "cpu")([spot(30, 30)])[0]
    assert hand is not None
    np.testing.assert_allclose(hand.keypoints, -0.5)
    assert hand.score == 0.0


def test_channels_come_in_the_declared_order(tmp_path: Path) -> None:
    path = write_onnx(tmp_path / "s.onnx", "simcc")
    picture = np.maximum(spot(12, 40, channel=BLUE), spot(50, 20, channel=RED))
    rgb = open_onnx(path, "cpu")([picture])[0]
    declare(path, channel_order="bgr")
    bgr = open_onnx(path, "cpu")([picture])[0]
    assert rgb is not None
    assert bgr is not None
    np.testing.assert_allclose(rgb.keypoints[0], [50, 20])
    np.testing.assert_allclose(bgr.keypoints[0], [12, 40])


def test_pixels_are_normalised_as_declared(tmp_path: Path) -> None:
    path = write_onnx(tmp_path / "s.onnx", "heatmaps")
    declare(path, sigma=1.0)
    grey = np.full((64, 64, 3), 200, dtype=np.uint8)
    predictor = open_onnx(path, "cpu")
    prepared = predictor._prepared(grey[None], np.dtype(np.float32))
    wanted = (200 - np.array(IMAGENET_MEAN)) / IMAGENET_STD
    np.testing.assert_allclose(prepared[0, :, 5, 9], wanted, rtol=1e-6)
    assert prepared.shape == (1, 3, 64, 64)


@pytest.mark.parametrize(
    ("grid", "place"), [("corner", (36.0, 20.0)), ("center", (37.5, 21.5)), ("udp", None)]
)
def test_cells_of_heatmaps_lie_where_the_grid_says(
    tmp_path: Path, grid: str, place: tuple[float, float] | None
) -> None:
    path = write_onnx(tmp_path / "h.onnx", "heatmaps")
    declare(path, grid=grid, decoding="argmax")
    predictor = open_onnx(path, "cpu")
    assert predictor.spec.kind == "heatmaps"
    hand = predictor([spot(37.5, 21.5)])[0]  # the middle of cell 9, 5
    assert hand is not None
    np.testing.assert_allclose(hand.keypoints[3], place or (9 * 63 / 15, 5 * 63 / 15))


POINTS = np.stack([np.linspace(0.1, 0.9, 21), np.linspace(0.9, 0.1, 21)], axis=1)


def test_coordinates_need_a_unit_and_the_message_shows_what_to_write(tmp_path: Path) -> None:
    path = write_onnx(tmp_path / "c.onnx", "both", constant=POINTS)
    with pytest.raises(PredictorError, match="in a unit that no shape tells: say it in") as said:
        open_onnx(path, "cpu")
    text = str(said.value)
    sidecar_of(path).write_text(text[text.index('{"handbench_onnx"') :])
    hand = open_onnx(path, "cpu")([spot(1, 1)])[0]  # the example works as it stands
    assert hand is not None
    np.testing.assert_allclose(hand.keypoints, POINTS, atol=1e-6)
    np.testing.assert_allclose(hand.scores, 0.75)


def test_normalised_coordinates_run_from_edge_to_edge(tmp_path: Path) -> None:
    path = write_onnx(tmp_path / "c.onnx", "constant", constant=POINTS)
    declare(path, kind="coordinates", unit="normalised", joint_order="rhd")
    hand = open_onnx(path, "cpu")([np.zeros((128, 128, 3), np.uint8)])[0]
    assert hand is not None
    # 0 and 1 are the edges -½ and 127.5 of the picture that was given.
    order = [0, 4, 3, 2, 1]
    np.testing.assert_allclose(hand.keypoints[:5], (POINTS * 128 - 0.5)[order], atol=1e-4)
    assert np.isnan(hand.scores).all()


def test_a_third_number_is_a_score_where_that_is_declared(tmp_path: Path) -> None:
    values = np.concatenate([POINTS * 64, np.full((21, 1), 0.5)], axis=1)
    path = write_onnx(tmp_path / "c.onnx", "constant", constant=values.reshape(-1))
    declare(path, kind="coordinates", third="score")
    hand = open_onnx(path, "cpu")([spot(1, 1)])[0]
    assert hand is not None
    assert hand.score == 0.5
    declare(path, kind="coordinates", third="z")
    hand = open_onnx(path, "cpu")([spot(1, 1)])[0]
    assert hand is not None
    assert np.isnan(hand.scores).all()


def test_a_hand_of_nan_is_not_found(tmp_path: Path) -> None:
    path = write_onnx(tmp_path / "c.onnx", "constant", constant=np.full((21, 2), np.nan))
    declare(path, kind="coordinates")
    assert open_onnx(path, "cpu")([spot(1, 1)]) == [None]


def test_fixed_batches_and_bytes_and_channels_last(tmp_path: Path) -> None:
    pictures = [spot(x, 20) for x in (10, 20, 30, 40, 50)]
    path = write_onnx(tmp_path / "f.onnx", "simcc", batch=2, layout="nhwc", uint8=True)
    found = open_onnx(path, "cpu")(pictures)
    assert [hand.keypoints[0, 0] for hand in found if hand is not None] == [10, 20, 30, 40, 50]
    assert open_onnx(path, "cpu")([]) == []


def test_metadata_declares_and_a_sidecar_goes_before_it(tmp_path: Path) -> None:
    said = json.dumps({"handbench_onnx": 1, "kind": "coordinates", "unit": "px", "name": "inner"})
    path = write_onnx(
        tmp_path / "m.onnx", "constant", constant=POINTS, metadata={"handbench": said}
    )
    assert open_onnx(path, "cpu").name == "inner"
    declare(path, name="outer", training_data=["freihand/train"], license="CC0", params=7)
    block = open_onnx(path, "cpu").describe()
    assert block["name"] == "outer"
    assert (block["training_data"], block["license"], block["params"]) == (
        ["freihand/train"],
        "CC0",
        7,
    )
    assert len(block["sha256"]) == 64


def test_files_that_cannot_be_run_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PredictorError, match="found no such file; `handbench export onnx RUN"):
        open_onnx(tmp_path / "no.onnx")
    (tmp_path / "cut.onnx").write_bytes(b"not a network")
    with pytest.raises(PredictorError, match="damaged, cut off, or of a newer kind"):
        open_onnx(tmp_path / "cut.onnx")
    path = write_onnx(tmp_path / "s.onnx", "simcc")
    with pytest.raises(PredictorError, match="--device mps was asked for, but onnxruntime has onl"):
        open_onnx(path, "mps")
    real = builtins.__import__

    def without(name: str, *rest: object, **more: object) -> object:
        if name == "onnxruntime":
            raise ImportError(name)
        return real(name, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtraError, match=r"pip install 'handbench\[onnx\]'"):
        open_onnx(path)


@pytest.mark.parametrize(
    ("kind", "constant", "message"),
    [
        (
            "heatmaps",
            np.zeros((21, 2)),
            r"of 1 pictures, \(N, 21, h, w\), found the shape \(1, 21, 2",
        ),
        (
            "coordinates",
            np.zeros((21, 8, 8)),
            r"points \(N, 21, 2 or 3\), also flat, found the sha",
        ),
    ],
)
def test_a_declared_kind_must_fit_the_shapes(
    tmp_path: Path, kind: str, constant: np.ndarray, message: str
) -> None:
    path = write_onnx(tmp_path / "c.onnx", "both", constant=constant)
    declare(path, kind=kind, outputs=["points"])
    with pytest.raises(PredictorError, match=message):
        open_onnx(path, "cpu")([spot(1, 1)])


def test_points_and_scores_in_the_wrong_order_are_told(tmp_path: Path) -> None:
    path = write_onnx(tmp_path / "c.onnx", "both", constant=POINTS)
    declare(path, kind="coordinates", outputs=["scores", "points"])
    with pytest.raises(PredictorError, match=r"also flat, found the shape \(1, 21\)"):
        open_onnx(path, "cpu")([spot(1, 1)])


def test_a_gpu_that_does_not_start_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import onnxruntime

    path = write_onnx(tmp_path / "s.onnx", "simcc")
    both = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    # What onnxruntime does where CUDA's libraries are missing: it goes on with the CPU.
    start = onnxruntime.InferenceSession
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: both)
    monkeypatch.setattr(
        onnxruntime,
        "InferenceSession",
        lambda name, options, providers: start(name, options, providers=both[1:]),
    )
    assert open_onnx(path, "auto")([spot(1, 1)]) != [None]
    with pytest.raises(PredictorError, match="cannot start CUDA here: use auto or cpu"):
        open_onnx(path, "cuda")


def test_a_network_of_other_joints_is_told(tmp_path: Path) -> None:
    path = write_onnx(tmp_path / "b.onnx", "constant", constant=np.zeros((17, 2)))
    with pytest.raises(PredictorError, match=r"are neither heatmaps \(N, 21, h, w\), nor SimCC"):
        open_onnx(path, "cpu")
