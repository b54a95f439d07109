"""The adapter beside a stand-in of MediaPipe, and MediaPipe itself where it is installed."""

from __future__ import annotations

import builtins
import importlib.util
import json
import sys
import zipfile
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from handbench.errors import MissingExtraError, PredictorError
from handbench.predictors.mediapipe_hands import open_mediapipe

needs_mediapipe = pytest.mark.skipif(
    importlib.util.find_spec("mediapipe") is None,
    reason="mediapipe is not installed: run `tox -e mediapipe`",
)


def landmarks(scale: float) -> list[SimpleNamespace]:
    return [SimpleNamespace(x=0.5 * scale, y=0.25 * scale, z=0.01 * j) for j in range(21)]


def stand_in(label: str, version: str, calls: list[dict[str, Any]]) -> dict[str, ModuleType]:
    """Modules with as much of both APIs as is called; images without red have no hand."""

    class Hands:
        def __init__(self, **options: Any) -> None:
            calls.append(options)

        def process(self, image: np.ndarray) -> SimpleNamespace:
            if not image[..., 0].any():
                return SimpleNamespace(multi_hand_landmarks=None)
            side = SimpleNamespace(label=label, score=1.0000001)
            return SimpleNamespace(
                multi_hand_landmarks=[SimpleNamespace(landmark=landmarks(1.0))],
                multi_hand_world_landmarks=[SimpleNamespace(landmark=landmarks(0.1))],
                multi_handedness=[SimpleNamespace(classification=[side])],
            )

    class Landmarker:
        @classmethod
        def create_from_options(cls, options: SimpleNamespace) -> Landmarker:
            if options.base_options.model_asset_buffer == b"junk":
                raise RuntimeError("Unable to open zip archive.\nmore")
            calls.append(vars(options))
            return cls()

        def detect(self, image: np.ndarray) -> SimpleNamespace:
            side = SimpleNamespace(category_name=label, score=0.9)
            return SimpleNamespace(
                hand_landmarks=[landmarks(1.0)],
                hand_world_landmarks=[landmarks(0.1)],
                handedness=[[side]],
            )

    vision = SimpleNamespace(
        HandLandmarker=Landmarker,
        HandLandmarkerOptions=lambda **options: SimpleNamespace(**options),
        RunningMode=SimpleNamespace(IMAGE="image"),
    )
    package, tasks, python = (ModuleType(n) for n in ("mediapipe", "tasks", "python"))
    package.__dict__.update(
        __version__=version,
        solutions=SimpleNamespace(hands=SimpleNamespace(Hands=Hands)),
        Image=lambda image_format, data: data,
        ImageFormat=SimpleNamespace(SRGB=1),
    )
    python.__dict__.update(
        BaseOptions=lambda **options: SimpleNamespace(**options), vision=vision, __path__=[]
    )
    tasks.__dict__.update(python=python, __path__=[])
    return {
        "mediapipe": package,
        "mediapipe.tasks": tasks,
        "mediapipe.tasks.python": python,
    }


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Any:
    def add(label: str = "Left", version: str = "0.10.21") -> list[dict[str, Any]]:
        calls: list[dict[str, Any]] = []
        for name, module in stand_in(label, version, calls).items():
            monkeypatch.setitem(sys.modules, name, module)
        return calls

    return add


PHOTO = np.full((100, 200, 3), 90, dtype=np.uint8)


@pytest.mark.parametrize(("label", "is_right"), [("Left", True), ("Right", False)])
def test_solutions_name_the_side_as_in_a_selfie(install: Any, label: str, is_right: bool) -> None:
    calls = install(label)
    predictor = open_mediapipe("lite", 0.25)
    assert calls[0] == {
        "static_image_mode": True,
        "max_num_hands": 1,
        "model_complexity": 0,
        "min_detection_confidence": 0.25,
    }
    hand, none = predictor([PHOTO, np.zeros_like(PHOTO)])
    assert none is None
    assert hand is not None
    assert hand.is_right is is_right
    np.testing.assert_allclose(hand.keypoints[4], [100.0, 25.0])
    assert hand.keypoints_3d is not None
    np.testing.assert_allclose(hand.keypoints_3d[2], [50.0, 25.0, 20.0])  # mm
    assert hand.score == 1.0
    assert np.isnan(hand.scores).all()
    assert (predictor.whole_image, predictor.input_size) == (True, None)
    block = predictor.describe()
    assert block["name"] == "mediapipe-lite"
    assert block["training_data"] == "unknown"
    assert "lite model, detections from 0.25, still pictures, one hand" in block["note"]


@pytest.mark.parametrize(
    ("label", "version", "is_right"),
    [("Left", "0.10.21", False), ("Right", "0.10.30", True), ("Left", "0.10.3", None)],
)
def test_tasks_name_the_real_side_since_they_do(
    install: Any, tmp_path: Path, label: str, version: str, is_right: bool | None
) -> None:
    calls = install(label, version)
    path = tmp_path / "hand_landmarker.task"
    path.write_bytes(b"zip")
    predictor = open_mediapipe(str(path))
    assert calls[0]["num_hands"] == 1
    assert calls[0]["min_hand_detection_confidence"] == 0.5
    hand = predictor([PHOTO])[0]
    assert hand is not None
    assert hand.is_right is is_right
    np.testing.assert_allclose(hand.keypoints[0], [100.0, 25.0])
    assert predictor.name == "mediapipe-hand_landmarker"


def test_what_is_missing_is_told_with_what_to_do(
    install: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install()
    with pytest.raises(PredictorError, match=r"expected a hand landmarker \(.task\) at no.task"):
        open_mediapipe("no.task")
    (tmp_path / "bad.task").write_bytes(b"junk")
    with pytest.raises(PredictorError, match=r"does not take .*bad.task .*Unable to open zip ar"):
        open_mediapipe(str(tmp_path / "bad.task"))
    del sys.modules["mediapipe"].solutions
    with pytest.raises(
        PredictorError, match="has no `solutions` with models in it any more: fetch"
    ):
        open_mediapipe()
    real = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name == "mediapipe":
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtraError, match=r"pip install 'handbench\[mediapipe\]'"):
        open_mediapipe()


@needs_mediapipe
@pytest.mark.real_data
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("model", "epe", "found"), [("full", 7.0918, 297), ("lite", 7.5949, 300)])
def test_mediapipe_reproduces_its_own_predictions(
    real_data: Path, tmp_path: Path, model: str, epe: float, found: int
) -> None:
    """As the command line has it: whole photos, one hand, detections from 0.05."""
    from click.testing import CliRunner

    from handbench.cli import cli
    from handbench.hdf5.reader import HandFile

    photos, data, out = real_data / "realhands_coco", tmp_path / "r.h5", tmp_path / "p.json"
    images = photos / "images"
    for line in (
        ["convert", "coco", "--annotations", photos / "annotations.json", "--images-dir", images,
         "--name", "realhands", "--out", data],
        ["predict", f"mediapipe:{model}", "--detection-confidence", "0.05", "--data", data,
         "--source", images, "-o", out],
    ):  # fmt: skip
        done = CliRunner().invoke(cli, list(map(str, line)))
        assert done.exit_code == 0, done.output
    text = (real_data / f"mediapipe_{model}_realhands.json").read_text("utf-8")
    theirs = {Path(name).stem: hand for name, hand in json.loads(text).items()}
    header = json.loads(out.read_text("utf-8"))
    ours = {row["id"]: row for row in header["predictions"]}
    assert (header["input"]["box"], header["gt_used"]) == ("image", [])
    assert sum(row["keypoints"] is not None for row in ours.values()) == found
    for name, hand in theirs.items():
        assert (hand is None) == (ours[name]["keypoints"] is None)
        if hand is not None:
            # On one kind of processor equal bits; another may round otherwise.
            np.testing.assert_allclose(ours[name]["keypoints"], hand["kp"], atol=1.0)
    with HandFile(data) as file:
        truth = dict(zip(file["test"].column("sample_id"), file["test"].source_keypoints_2d()))
    errors = [
        np.linalg.norm(np.array(row["keypoints"]) - truth[name], axis=1)
        for name, row in ours.items()
        if row["keypoints"] is not None
    ]
    assert np.mean(errors) == pytest.approx(epe, abs=0.005)


@needs_mediapipe
@pytest.mark.real_data
@pytest.mark.filterwarnings("ignore")
def test_both_apis_agree_on_a_photo(real_data: Path, tmp_path: Path) -> None:
    import mediapipe
    from PIL import Image

    # What a .task file is: the two networks that `solutions` brings along, unpacked beside it.
    modules = Path(mediapipe.__file__).parent / "modules"
    task = tmp_path / "hand_landmarker.task"
    with zipfile.ZipFile(task, "w", zipfile.ZIP_STORED) as archive:
        archive.write(modules / "palm_detection/palm_detection_full.tflite", "hand_detector.tflite")
        archive.write(
            modules / "hand_landmark/hand_landmark_full.tflite", "hand_landmarks_detector.tflite"
        )
    photo = np.array(Image.open(real_data / "realhands_coco/images/00000.jpg"))
    (one,), (other,) = (open_mediapipe(which)([photo]) for which in ("full", str(task)))
    assert one is not None
    assert other is not None
    assert one.is_right is other.is_right is False  # the photo shows a left hand
    assert np.abs(one.keypoints - other.keypoints).max() < 8
