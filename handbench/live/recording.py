"""What is kept: a video of what was drawn, and the keypoints of every frame with their times.

Both appear under their name when they are closed, which happens however the session ends.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from handbench.drawing import Picture
from handbench.errors import LiveError
from handbench.files import atomic_path, to_json
from handbench.hand import JOINT_NAMES
from handbench.live.following import Sight
from handbench.live.frames import Frame
from handbench.live.opencv import load_opencv

VIDEO_CODES = {".mp4": "mp4v", ".mov": "mp4v", ".mkv": "mp4v", ".avi": "MJPG", ".webm": "VP80"}
"""Suffix → the codec that every OpenCV wheel can write into such a file."""

LOG_SUFFIXES = (".jsonl", ".json")

FORMAT_VERSION = 1


def check_video_path(path: Path) -> None:
    """Refuse a suffix that is no video, before anything is computed."""
    if path.suffix.lower() not in VIDEO_CODES:
        raise LiveError(f"expected a video ({', '.join(VIDEO_CODES)}) to record to, found {path}")


def check_log_path(path: Path) -> None:
    """Refuse a suffix that is no JSON, before anything is computed."""
    if path.suffix.lower() not in LOG_SUFFIXES:
        raise LiveError(f"expected {' or '.join(LOG_SUFFIXES)} to save keypoints to, found {path}")


class VideoRecording:
    """Frames as a video.

    Parameters
    ----------
    path
        Its suffix chooses the codec, see :data:`VIDEO_CODES`.
    fps
        Frames a second of the video.
    by_clock
        Of a camera: a frame is repeated or left out so that the video runs as time did. Otherwise
        every frame is written once.

    Raises
    ------
    LiveError
        If the suffix is unknown, or nothing can be written there.
    """

    def __init__(self, path: Path, fps: float, *, by_clock: bool) -> None:
        check_video_path(path)
        self._cv2 = load_opencv("recording a video")
        self.path, self._fps, self._by_clock = path, fps, by_clock
        self._stack = ExitStack()
        self._final = self._stack.enter_context(atomic_path(path))
        # OpenCV knows the kind of file by its suffix, which a temporary name lacks.
        self._part = self._final.with_name(self._final.name + path.suffix.lower())
        self._writer: Any = None
        self._size, self._start_s = (0, 0), 0.0
        self.frames = 0

    def write(self, picture: Picture, time_s: float) -> None:
        """Add an (H, W, 3) uint8 RGB picture; the first one decides the size of the video."""
        if self._writer is None:
            height, width = (max(2, side - side % 2) for side in picture.shape[:2])
            self._size, self._start_s = (width, height), time_s
            code = self._cv2.VideoWriter.fourcc(*VIDEO_CODES[self.path.suffix.lower()])
            writer = self._cv2.VideoWriter(str(self._part), code, self._fps, self._size)
            if not writer.isOpened():
                self._part.unlink(missing_ok=True)
                raise LiveError(f"OpenCV cannot write a video to {self.path}: try a name in .avi")
            self._writer = writer
        fitted = np.ascontiguousarray(_fitted(picture, self._size)[..., ::-1])
        due = self.frames + 1
        if self._by_clock:
            due = math.floor((time_s - self._start_s) * self._fps) + 1
        while self.frames < due:
            self._writer.write(fitted)
            self.frames += 1

    def close(self) -> None:
        """Finish the file.

        Raises
        ------
        LiveError
            If no frame of it can be read back, as on a full disk.
        """
        if self._writer is None:
            return
        self._writer.release()
        self._writer = None
        if not self._cv2.VideoCapture(str(self._part)).read()[0]:
            self._part.unlink(missing_ok=True)
            raise LiveError(f"the video {self.path} could not be finished: is the disk full?")
        self._part.replace(self._final)
        self._stack.close()


class KeypointLog:
    """Keypoints of every frame as JSON lines, or as one JSON document.

    A `.jsonl` file has the header in its first line and a frame in each of the others; a `.json`
    file is the header with the frames under ``frames``.

    Parameters
    ----------
    path
        Its suffix chooses the layout.
    header
        What is known before the first frame; joint names, version and unit are added.
    """

    def __init__(self, path: Path, header: Mapping[str, Any]) -> None:
        check_log_path(path)
        self.path = path
        self.frames = 0
        self._lines = path.suffix.lower() == ".jsonl"
        self._stack = ExitStack()
        part = self._stack.enter_context(atomic_path(path))
        self._file = self._stack.enter_context(part.open("wb"))
        start = to_json(
            {
                "handbench_live": FORMAT_VERSION,
                **header,
                "joint_names": list(JOINT_NAMES),
                "unit": "px",
            },
            indent=False,
        )
        # The document's last brace is written when it is closed.
        self._file.write(start + b"\n" if self._lines else start[:-1] + b',"frames":[')

    def write(self, frame: Frame, sight: Sight, ms: Mapping[str, float], dropped: int) -> None:
        """Add a frame.

        Parameters
        ----------
        frame, sight
            The frame, and what was seen in it.
        ms
            Stage → what it took.
        dropped
            Frames of the source that nobody saw so far.
        """
        entry: dict[str, Any] = {"frame": frame.index, "time_s": round(frame.time_s, 4)}
        if frame.name:
            entry["file"] = frame.name
        entry["hand"] = _hand_entry(sight)
        entry["ms"] = {stage: round(value, 2) for stage, value in ms.items()}
        entry["dropped"] = dropped
        line = to_json(entry, indent=False)
        if self._lines:
            line += b"\n"
        elif self.frames:
            line = b",\n" + line
        self._file.write(line)
        self.frames += 1

    def close(self) -> None:
        """Finish the file."""
        if not self._file.closed and not self._lines:
            self._file.write(b"]}\n")
        self._stack.close()


def _hand_entry(sight: Sight) -> dict[str, Any] | None:
    hand = sight.hand
    if hand is None:
        return None
    entry: dict[str, Any] = {
        "keypoints": _rounded(hand.keypoints, 3),
        "scores": _rounded(hand.scores, 4),
        "score": round(hand.score, 4),
        "is_right": hand.is_right,
        "box": None,
    }
    if sight.box is not None:
        left, top, right, bottom = sight.box.tolist()
        entry["box"] = _rounded(np.array([left, top, right - left, bottom - top]), 2)
    return entry


def _rounded(values: npt.NDArray[np.float64], digits: int) -> list[Any]:
    found: list[Any] = np.round(values, digits).tolist()
    return found


def _fitted(picture: Picture, size: tuple[int, int]) -> Picture:
    """A picture in the size of the video (width, height): cut by a row, or scaled, black beside."""
    from PIL import Image, ImageOps

    width, height = size
    high, wide = picture.shape[:2]
    if 0 <= high - height <= 1 and 0 <= wide - width <= 1:
        return picture[:height, :width]
    return np.asarray(ImageOps.pad(Image.fromarray(picture), size))
