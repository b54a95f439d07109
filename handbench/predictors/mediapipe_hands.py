"""MediaPipe Hands as a predictor: the Tasks API with a .task file, else the older `solutions`.

The `solutions` API names a hand's side as in a mirrored selfie: on pictures that are not mirrored
its "Left" is a right hand. The Tasks API did so too and now names the real side (0.10.21 does; the
version that changed is not in its notes, so from older ones the side is not taken over). Either
way `is_right` is the side of the real hand here.

World landmarks are metres about the hand's geometric centre, with OpenCV's axes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from handbench.errors import MissingExtraError, PredictorError
from handbench.hand import NUM_JOINTS
from handbench.predictors.interface import Hand

URL = "https://github.com/google-ai-edge/mediapipe"
TASK_URL = "https://ai.google.dev/edge/mediapipe/solutions/vision/hand_landmarker"
Complexity = Literal["lite", "full"]
CONFIDENCE = 0.5
"""MediaPipe's own."""


@dataclass(frozen=True)
class MediaPipePredictor:
    """MediaPipe's hand landmarker on still pictures, one hand a picture.

    Attributes
    ----------
    name
        ``mediapipe-full`` or ``mediapipe-lite`` of `solutions`; ``mediapipe-`` and the stem of a
        .task file.
    find
        From an image (H, W, 3) RGB to MediaPipe's landmarks, or None: the two APIs differ here.
    version
        Of MediaPipe.
    made_of
        For the note.
    right_is
        What this API calls a real right hand; None where that is uncertain.
    """

    name: str
    find: Any
    version: str
    made_of: str
    right_is: str | None
    input_size: int | None = None
    whole_image: bool = True
    frame_3d: str = "root:centre"

    def describe(self) -> dict[str, Any]:
        """Model block of a predictions file; nobody outside has seen the training data."""
        return {
            "name": self.name,
            "url": URL,
            "training_data": "unknown",
            "note": f"MediaPipe {self.version}, {self.made_of}, still pictures, one hand",
            "versions": {"mediapipe": self.version},
        }

    def __call__(self, images: Sequence[npt.NDArray[np.uint8]]) -> list[Hand | None]:
        """Find the most likely hand in each image."""
        return [self._hand(image) for image in images]

    def _hand(self, image: npt.NDArray[np.uint8]) -> Hand | None:
        found = self.find(np.ascontiguousarray(image))
        if found is None:
            return None
        landmarks, world, label, score = found
        height, width = image.shape[:2]
        # MediaPipe divides by the sides and says nothing of pixel centres: what it draws, and what
        # is published of it, is x · width.
        keypoints = np.array([[each.x * width, each.y * height] for each in landmarks])
        metres = np.array([[each.x, each.y, each.z] for each in world])
        return Hand(
            keypoints=keypoints,
            scores=np.full(NUM_JOINTS, np.nan),
            score=min(max(float(score), 0.0), 1.0),
            is_right=None if self.right_is is None else str(label) == self.right_is,
            keypoints_3d=1000 * metres,
        )


def open_mediapipe(which: str = "", confidence: float | None = None) -> MediaPipePredictor:
    """Open MediaPipe Hands.

    Parameters
    ----------
    which
        Path of a ``.task`` file (Tasks API), or ``full`` or ``lite`` of the older `solutions` API,
        whose models come with the package; "" is ``full``.
    confidence
        From which score of its palm detector on MediaPipe takes a place for a hand;
        :data:`CONFIDENCE` where it is left out. It changes points, too: a palm's box is the mean of
        all boxes above this score.

    Raises
    ------
    MissingExtraError
        Without the package.
    PredictorError
        If the file is missing or refused, or the installed version has no `solutions` any more.
    """
    mediapipe = _package()
    least = CONFIDENCE if confidence is None else confidence
    if which in ("", "full", "lite"):
        return _open_solutions(mediapipe, "lite" if which == "lite" else "full", least)
    path = Path(which)
    if not path.exists():
        raise PredictorError(
            f"expected a hand landmarker (.task) at {which}, found no such file: fetch "
            f"hand_landmarker.task from {TASK_URL}, or use mediapipe:full or mediapipe:lite"
        )
    return _open_task(mediapipe, path, least)


def _package() -> ModuleType:
    try:
        import mediapipe
    except ImportError as error:
        raise MissingExtraError("mediapipe", "mediapipe", "MediaPipe Hands") from error
    package: ModuleType = mediapipe
    return package


def _open_solutions(
    mediapipe: ModuleType, complexity: Complexity, confidence: float
) -> MediaPipePredictor:
    solutions = getattr(mediapipe, "solutions", None)
    if solutions is None or not hasattr(solutions, "hands"):
        raise PredictorError(
            f"MediaPipe {mediapipe.__version__} has no `solutions` with models in it any more: "
            f"fetch hand_landmarker.task from {TASK_URL} and use MODEL mediapipe:FILE.task, or "
            "install mediapipe==0.10.21"
        )
    hands = solutions.hands.Hands(
        static_image_mode=True,
        max_num_hands=1,
        model_complexity=1 if complexity == "full" else 0,
        min_detection_confidence=confidence,
    )

    def find(image: npt.NDArray[np.uint8]) -> Any:
        result = hands.process(image)
        if not result.multi_hand_landmarks:
            return None
        side = result.multi_handedness[0].classification[0]
        return (
            result.multi_hand_landmarks[0].landmark,
            result.multi_hand_world_landmarks[0].landmark,
            side.label,
            side.score,
        )

    made_of = f"solutions API, {complexity} model, detections from {confidence:g}"
    return MediaPipePredictor(
        f"mediapipe-{complexity}", find, mediapipe.__version__, made_of, right_is="Left"
    )


def _open_task(mediapipe: ModuleType, path: Path, confidence: float) -> MediaPipePredictor:
    from mediapipe.tasks import python as tasks
    from mediapipe.tasks.python import vision

    try:
        landmarker = vision.HandLandmarker.create_from_options(
            vision.HandLandmarkerOptions(
                base_options=tasks.BaseOptions(model_asset_buffer=path.read_bytes()),
                running_mode=vision.RunningMode.IMAGE,
                num_hands=1,
                min_hand_detection_confidence=confidence,
            )
        )
    except (RuntimeError, ValueError, OSError) as error:  # a folder is an OSError
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise PredictorError(
            f"MediaPipe {mediapipe.__version__} does not take {path} as a hand landmarker "
            f"({reason:.200}): fetch hand_landmarker.task again"
        ) from error

    def find(image: npt.NDArray[np.uint8]) -> Any:
        result = landmarker.detect(
            mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=image)
        )
        if not result.hand_landmarks:
            return None
        side = result.handedness[0][0]
        return (
            result.hand_landmarks[0],
            result.hand_world_landmarks[0],
            side.category_name,
            side.score,
        )

    made_of = f"Tasks API, {path.name}, detections from {confidence:g}"
    version = str(mediapipe.__version__)
    numbers = [int(part) for part in version.split(".")[:3] if part.isdigit()]
    right_is = "Right" if numbers >= [0, 10, 21] else None
    return MediaPipePredictor(f"mediapipe-{path.stem}", find, version, made_of, right_is)
