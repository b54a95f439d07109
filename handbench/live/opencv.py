"""OpenCV, which reads cameras, reads and writes videos and opens windows: imported in one place."""

from __future__ import annotations

import os
from typing import Any

from handbench.errors import LiveError, MissingExtraError

_QUIET = {
    # What goes wrong is said in a sentence of ours; FFmpeg (-8: nothing) and Qt need not, too.
    "OPENCV_LOG_LEVEL": "SILENT",
    "OPENCV_FFMPEG_LOGLEVEL": "-8",
    "QT_LOGGING_RULES": "*.debug=false;qt.qpa.*=false",
}


def load_opencv(what: str) -> Any:
    """Import OpenCV and silence what it prints about errors that we report ourselves.

    Parameters
    ----------
    what
        Needs it, for the message: ``"a camera"``.

    Raises
    ------
    MissingExtraError
        If it is not installed.
    LiveError
        If it is, but lacks libraries of the system.
    """
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    try:
        import cv2
    except ModuleNotFoundError as error:
        raise MissingExtraError("opencv-python", "live", what) from error
    except ImportError as error:
        raise LiveError(
            f"{what} needs OpenCV, which is installed but cannot be loaded ({error}): install the "
            "library that it names (Debian, Ubuntu: apt-get install libgl1 libglib2.0-0), or do "
            "without a window: pip install opencv-python-headless"
        ) from error
    return cv2
