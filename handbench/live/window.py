"""The window, and the keys that are pressed in it."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Protocol

from handbench.drawing import Picture
from handbench.errors import LiveError
from handbench.live.opencv import load_opencv

QUIT, PAUSE, SNAPSHOT, MIRROR = "quit", "pause", "snapshot", "mirror"
KEYS = {"q": QUIT, "\x1b": QUIT, " ": PAUSE, "s": SNAPSHOT, "m": MIRROR}
"""Key → what it does."""

_LARGEST_PX = (1600, 900)
_PROBE = "import cv2; cv2.namedWindow('handbench'); cv2.waitKey(1)"


class View(Protocol):
    """Somewhere that pictures are shown and keys are pressed."""

    def show(self, picture: Picture) -> None:
        """Show an (H, W, 3) uint8 RGB picture."""
        ...

    def key(self, wait_ms: int = 1) -> str | None:
        """What the last key pressed within `wait_ms` asks for, a value of :data:`KEYS`."""
        ...

    def close(self) -> None:
        """Take the window away."""
        ...


class Window:
    """A window of this screen.

    Raises
    ------
    LiveError
        If there is no screen, or OpenCV was built without windows.
    MissingExtraError
        If OpenCV is not installed.
    """

    def __init__(self, title: str) -> None:
        self._cv2 = load_opencv("a window")
        _check_screen()
        self._title = title
        self._size: tuple[int, ...] = ()
        how = self._cv2.WINDOW_NORMAL | self._cv2.WINDOW_KEEPRATIO | self._cv2.WINDOW_GUI_NORMAL
        try:
            self._cv2.namedWindow(title, how)
        except self._cv2.error as error:
            raise LiveError(
                "this OpenCV cannot open windows (opencv-python-headless?): pip install "
                "'handbench[live]', or use --no-window with --record or --save"
            ) from error

    def show(self, picture: Picture) -> None:
        """Show an (H, W, 3) uint8 RGB picture; the first one gives the window its size."""
        if picture.shape != self._size:
            self._size = picture.shape
            height, width = picture.shape[:2]
            scale = min(1.0, _LARGEST_PX[0] / width, _LARGEST_PX[1] / height)
            self._cv2.resizeWindow(self._title, round(scale * width), round(scale * height))
        self._cv2.imshow(self._title, picture[..., ::-1])

    def key(self, wait_ms: int = 1) -> str | None:
        """See :data:`KEYS`; closing the window asks to quit."""
        code = self._cv2.waitKey(max(wait_ms, 1))
        shown = self._cv2.getWindowProperty(self._title, self._cv2.WND_PROP_VISIBLE)
        if self._size and shown < 1:
            return QUIT
        return KEYS.get(chr(code & 0xFF).lower()) if code >= 0 else None

    def close(self) -> None:
        """Take the window away."""
        self._cv2.destroyAllWindows()


def _check_screen() -> None:
    """Without a screen Qt ends the whole process, so another process tries first."""
    if not sys.platform.startswith("linux"):
        return
    advice = (
        "use --no-window with --record or --save, or connect with a screen (ssh -X, a desktop "
        "session)"
    )
    if not os.environ.get("DISPLAY") and not os.environ.get("WAYLAND_DISPLAY"):
        raise LiveError(f"a window needs a screen, and DISPLAY is not set: {advice}")
    command = [sys.executable, "-c", _PROBE]
    tried = subprocess.run(command, capture_output=True, check=False)  # noqa: S603 - our own words
    if tried.returncode < 0:
        raise LiveError(
            f"a window needs a screen, and none answers at DISPLAY="
            f"{os.environ.get('DISPLAY', '')}: {advice}"
        )
