"""Where moving pictures come from: a camera, a video file, a folder of images."""

from __future__ import annotations

import math
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from handbench.errors import LiveError, PredictionsError
from handbench.live.opencv import load_opencv
from handbench.predictors.pictures import find_pictures, read_picture

DEFAULT_FPS = 25.0
"""Of an image folder, and of a video that does not say."""

UNPLUGGED_S = 1.0
"""A camera may miss a frame; one that gives none for so long is gone."""

_LAST_READ_S = 0.5
"""How long closing waits for a frame that another thread is reading."""


@dataclass(frozen=True)
class Frame:
    """One picture of a source.

    Attributes
    ----------
    index
        Running number in the source, from 0. Frames that nobody took are counted, too.
    time_s
        Since the first frame: of a camera by the clock, of a file by its own time stamps.
    image
        (H, W, 3) uint8 RGB, upright.
    name
        File name in an image folder, else "".
    read_s
        How long reading and decoding took; of a camera this includes waiting for it.
    """

    index: int
    time_s: float
    image: npt.NDArray[np.uint8]
    name: str = ""
    read_s: float = 0.0


class Source(Protocol):
    """Gives frames.

    Attributes
    ----------
    name
        For people and for the header of recordings.
    live
        Whether frames come by themselves, so that those nobody takes in time are to be dropped.
    fps
        Frames a second it promises; a recording has as many.
    count
        How many frames are to come, where that is known.
    """

    name: str
    live: bool
    fps: float
    count: int | None

    def __iter__(self) -> Iterator[Frame]:
        """Frames in order; called once.

        Raises
        ------
        LiveError
            If the source breaks off.
        """
        ...

    def close(self) -> None:
        """Let go of device or file; an iteration that goes on in another thread ends."""
        ...


def open_source(
    word: str,
    *,
    fps: float | None = None,
    camera_size: tuple[int, int] | None = None,
    skip_bad: bool = False,
    say: Callable[[str], object] = lambda _: None,
) -> Source:
    """The source that a word on the command line means.

    Parameters
    ----------
    word
        Number of a camera, ``/dev/video`` and its number, a video file, or a folder of images.
    fps
        Frames a second: of an image folder, and asked of a camera.
    camera_size
        Width and height asked of a camera; it may give another.
    skip_bad
        Leave out images of a folder that cannot be read.
    say
        Told what was left out.

    Raises
    ------
    LiveError
        If there is no such thing, or it cannot be read.
    MissingExtraError
        If OpenCV is needed and not installed.
    """
    path = Path(word)
    if path.is_dir():
        return ImageFolder(path, fps or DEFAULT_FPS, skip_bad=skip_bad, say=say)
    number = word.removeprefix("/dev/video")  # as Linux names cameras
    if number.isdecimal() and (number != word or not path.exists()):
        return Camera(int(number), fps=fps, size=camera_size)
    if not path.exists():
        raise LiveError(
            f"expected SOURCE to be the number of a camera, a video file or a folder of images, "
            f"found nothing at {word}"
        )
    return VideoFile(path)


class Camera:
    """A camera of this machine, by its number.

    Raises
    ------
    LiveError
        If it does not answer.
    """

    live = True
    count: int | None = None

    def __init__(
        self, number: int, *, fps: float | None = None, size: tuple[int, int] | None = None
    ) -> None:
        cv2 = load_opencv("a camera")
        self.name = f"camera {number}"
        self._capture: Any = cv2.VideoCapture(number)
        if not self._capture.isOpened():
            raise LiveError(_no_camera(number))
        # One frame in the driver's queue: more would be a delay that no later stage can undo.
        self._capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        if size is not None:
            self._capture.set(cv2.CAP_PROP_FRAME_WIDTH, size[0])
            self._capture.set(cv2.CAP_PROP_FRAME_HEIGHT, size[1])
        if fps is not None:
            self._capture.set(cv2.CAP_PROP_FPS, fps)
        self.fps = _sane_fps(self._capture.get(cv2.CAP_PROP_FPS))
        self._closed, self._reading = False, threading.Lock()

    def __iter__(self) -> Iterator[Frame]:
        """Frames until it is closed; raises LiveError when the camera is unplugged."""
        begin = last = time.monotonic()
        index = 0
        while not self._closed:
            start = time.monotonic()
            with self._reading:
                if self._closed:
                    return
                good, image = self._capture.read()
            now = time.monotonic()
            if good and image is not None:
                if index == 0:
                    begin = now
                yield Frame(index, now - begin, _rgb(image), read_s=now - start)
                index, last = index + 1, now
            elif now - last > UNPLUGGED_S and not self._closed:
                raise LiveError(
                    f"{self.name} stopped giving pictures after {index:,} frames: plug it in "
                    "again, or close other programs that use it"
                    if index
                    else f"{self.name} opens but gives no picture: close other programs that use "
                    "it, or try another number"
                )
            else:
                time.sleep(0.01)

    def close(self) -> None:
        """Switch the camera off, unless it hangs: then it goes off with the process."""
        self._closed = True
        _release(self._capture, self._reading)


class VideoFile:
    """A video file, turned upright as its own metadata say.

    Raises
    ------
    LiveError
        If it cannot be read or holds no frame.
    """

    live = False

    def __init__(self, path: Path) -> None:
        cv2 = load_opencv("a video")
        self.name = path.name
        self._path = path
        self._stamp = cv2.CAP_PROP_POS_MSEC
        self._closed, self._reading = False, threading.Lock()
        if path.stat().st_size == 0:
            raise LiveError(f"expected a video at {path}, found an empty file; copy it again")
        self._capture: Any = cv2.VideoCapture(str(path))
        self._first = self._read() if self._capture.isOpened() else None
        if self._first is None:
            opened = self._capture.isOpened()
            self._capture.release()
            found = "one without frames" if opened else "a file that OpenCV cannot read as one"
            raise LiveError(
                f"expected a video at {path}, found {found}: if a player shows it, convert it with "
                "ffmpeg -i FILE video.mp4; single pictures go to `handbench predict --images`"
            )
        self.fps = _sane_fps(self._capture.get(cv2.CAP_PROP_FPS))
        count = self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        self.count: int | None = int(count) if math.isfinite(count) and count > 0 else None

    def __iter__(self) -> Iterator[Frame]:
        """All frames; their times are the file's own, or counted where it has none."""
        index, last = 0, -1.0
        found = self._first
        self._first = None
        while found is not None and not self._closed:
            image, stamp, seconds = found
            if not math.isfinite(stamp) or stamp <= last:
                stamp = last + 1 / self.fps if index else 0.0
            yield Frame(index, stamp, image, read_s=seconds)
            index, last = index + 1, stamp
            found = self._read()

    def _read(self) -> tuple[npt.NDArray[np.uint8], float, float] | None:
        """Pixels, time stamp (s) and how long that took (s) of the next frame; None at the end."""
        start = time.perf_counter()
        with self._reading:
            if self._closed:
                return None
            good, image = self._capture.read()
            stamp = float(self._capture.get(self._stamp)) / 1000
        if not good or image is None:
            return None
        return _rgb(image), stamp, time.perf_counter() - start

    def close(self) -> None:
        """Close the file."""
        self._closed = True
        _release(self._capture, self._reading)


class ImageFolder:
    """Images of a folder and its subfolders in the order of their names, as if a video.

    Raises
    ------
    LiveError
        If there are none.
    """

    live = False

    def __init__(
        self,
        folder: Path,
        fps: float,
        *,
        skip_bad: bool = False,
        say: Callable[[str], object] = lambda _: None,
    ) -> None:
        try:
            self._paths = [picture.path for picture in find_pictures([folder])]
        except PredictionsError as error:
            raise LiveError(str(error)) from error
        self._folder = folder
        self._skip_bad, self._say = skip_bad, say
        self.name = folder.resolve().name or str(folder)
        self.fps = fps
        self.count: int | None = len(self._paths)
        self._closed = False

    def __iter__(self) -> Iterator[Frame]:
        """All images; one that cannot be read raises LiveError, unless such are skipped."""
        for index, path in enumerate(self._paths):
            if self._closed:
                return
            start = time.perf_counter()
            try:
                image = read_picture(path)
            except PredictionsError as error:
                if not self._skip_bad:
                    raise LiveError(f"{error}; --skip-bad leaves such pictures out") from error
                self._say(f"left out: {error}")
                continue
            name = path.relative_to(self._folder).as_posix()
            yield Frame(index, index / self.fps, image, name, time.perf_counter() - start)

    def close(self) -> None:
        """End the iteration."""
        self._closed = True


def _release(capture: Any, reading: threading.Lock) -> None:
    """Let go of a device or file; never under a thread that reads it, which would crash."""
    if reading.acquire(timeout=_LAST_READ_S):
        capture.release()
        reading.release()


def _rgb(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    return np.ascontiguousarray(image[..., ::-1])  # OpenCV gives blue first


def _sane_fps(value: float) -> float:
    # Broken files promise 0 or a time base such as 90,000.
    return float(value) if math.isfinite(value) and 1 <= value <= 1000 else DEFAULT_FPS


def _no_camera(number: int) -> str:
    """What to say, and what to do, when a camera does not open."""
    next_step = "plug one in, close other programs that use it, or give a video or an image folder"
    if not sys.platform.startswith("linux"):
        return f"camera {number} does not open: {next_step}; see that this terminal may use cameras"
    devices = sorted(Path("/dev").glob("video*"))
    if not devices:
        return f"expected camera {number}, found none on this machine: {next_step}"
    if Path(f"/dev/video{number}") in devices:
        return (
            f"camera {number} does not open, though /dev/video{number} is there: {next_step}; see "
            "that you may read it (group `video`)"
        )
    return (
        f"expected camera {number}, found {', '.join(map(str, devices))}: give one of these "
        f"numbers, or {next_step}"
    )
