from __future__ import annotations

import ctypes
import ctypes.util
import os
import shutil
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from handbench.errors import LiveError, MissingExtraError
from handbench.live.opencv import load_opencv
from handbench.live.window import Window

pytest.importorskip("cv2", reason="needs the extra live")
pytestmark = pytest.mark.screen

linux = pytest.mark.skipif(
    sys.platform != "linux", reason="screens are looked for on Linux, where Qt needs one"
)


@dataclass
class Screen:
    """A virtual screen."""

    display: str
    buffer: Path

    def picture(self) -> npt.NDArray[np.uint8]:
        """What is on it, (H, W, 3) RGB: the server's own buffer, an X window dump of 32 bits."""
        data = self.buffer.read_bytes()
        words = struct.unpack(">25I", data[:100])
        start, width, height, line, colors = (words[i] for i in (0, 4, 5, 12, 19))
        rows = np.frombuffer(data, np.uint8, line * height, start + 12 * colors)
        return rows.reshape(height, line // 4, 4)[:, :width, 2::-1].copy()

    def press(self, keysym: str) -> None:
        """Press a key with the pointer over the window, as X has it without a window manager."""
        try:
            x11 = ctypes.CDLL(ctypes.util.find_library("X11") or "libX11.so.6")
            xtst = ctypes.CDLL(ctypes.util.find_library("Xtst") or "libXtst.so.6")
        except OSError:
            pytest.skip("keys are pressed through libXtst, which is missing: install libxtst6")
        x11.XOpenDisplay.restype = ctypes.c_void_p
        x11.XStringToKeysym.restype = ctypes.c_ulong
        server = ctypes.c_void_p(x11.XOpenDisplay(self.display.encode()))
        symbol = ctypes.c_ulong(x11.XStringToKeysym(keysym.encode()))
        code = x11.XKeysymToKeycode(server, symbol)
        xtst.XTestFakeMotionEvent(server, -1, 150, 150, ctypes.c_ulong(0))
        for down in (1, 0):
            xtst.XTestFakeKeyEvent(server, code, down, ctypes.c_ulong(0))
        x11.XFlush(server)
        x11.XCloseDisplay(server)


@pytest.fixture(scope="module")
def screen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Screen]:
    """A virtual screen of 1280×800; skips where there is none."""
    if shutil.which("Xvfb") is None:
        pytest.skip("no Xvfb on this machine: install the package xvfb")
    folder = tmp_path_factory.mktemp("screen")
    read, write = os.pipe()
    size = ["-screen", "0", "1280x800x24", "-fbdir", str(folder)]
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(write), *size, "-nolisten", "tcp"],
        pass_fds=[write],
        stderr=subprocess.DEVNULL,
    )
    os.close(write)
    with os.fdopen(read) as numbers:
        number = numbers.readline().strip()
    if not number:
        pytest.skip("Xvfb does not start here")
    yield Screen(f":{number}", folder / "Xvfb_screen0")
    server.terminate()
    server.wait(10)


_PATIENCE_S = 300  # a busy machine may take a minute to start Python

_WATCH = """
import sys, itertools
from generators import moving_hand
from handbench.live.following import Follower, FollowSettings
from handbench.live.frames import Frame
from handbench.live.session import Session
from handbench.live.window import Window
from handbench.predictors.callables import FunctionPredictor


class Still:
    name, live, fps, count = "still", False, 20.0, None

    def __iter__(self):
        picture, _ = moving_hand.frame(110, 80)
        return (Frame(i, i / 20, picture) for i in itertools.count())

    def close(self):
        pass


class Told(Window):
    def show(self, picture):
        super().show(picture)
        print("shown", flush=True)


view = Told("handbench live")
model = FunctionPredictor("find", moving_hand.find, 96)
eyes = Follower(model, settings=FollowSettings(padding=2.0))
summary = Session(Still(), eyes, view=view, mirror=len(sys.argv) > 1).run()
view.close()
print("hands", summary.hands, "frames", summary.frames)
"""


@linux
def test_the_window_shows_the_skeleton_and_listens(screen: Screen) -> None:
    tests = Path(__file__).parents[1]
    path = os.pathsep.join([str(tests), *filter(None, [os.environ.get("PYTHONPATH")])])
    with subprocess.Popen(
        [sys.executable, "-c", _WATCH],
        env={**os.environ, "DISPLAY": screen.display, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as watched:
        assert watched.stdout is not None
        colors = ((255, 0, 255), (228, 87, 46), (155, 93, 229))  # the wall's frame, thumb, pinky

        def all_seen(picture: npt.NDArray[np.uint8]) -> bool:
            apart = [np.abs(picture.astype(int) - color).max(axis=2) for color in colors]
            return all((each < 30).sum() > 50 for each in apart)

        # Once the hand has been found and the server has painted it.
        end = time.monotonic() + _PATIENCE_S
        picture = screen.picture()
        while not all_seen(picture) and time.monotonic() < end:
            line = watched.stdout.readline()
            assert line == "shown\n", watched.communicate()[1]
            picture = screen.picture()
        if kept := os.environ.get("HANDBENCH_KEEP_SCREENSHOT"):
            from PIL import Image

            Image.fromarray(picture).save(kept)
        assert all_seen(picture)
        # The picture of 320×240 is shown twice as large.
        shown = np.flatnonzero((picture > 0).any(axis=(0, 2)))
        assert 600 <= np.ptp(shown) <= 700
        end = time.monotonic() + _PATIENCE_S
        while watched.poll() is None and time.monotonic() < end:
            screen.press("q")
            time.sleep(0.2)
        out, complaints = watched.communicate(timeout=_PATIENCE_S)
        assert watched.returncode == 0, complaints
        assert "hands" in out
        assert "Warning" not in complaints


@linux
def test_a_window_without_a_screen_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(LiveError, match="DISPLAY is not set: use --no-window with --record"):
        Window("none")
    # Nobody listens there: Qt would end the whole process.
    monkeypatch.setenv("DISPLAY", ":987")
    with pytest.raises(LiveError, match="none answers at DISPLAY=:987: use --no-window"):
        Window("none")


def test_a_missing_extra_is_named_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(MissingExtraError, match=r"a window needs .* pip install 'handbench\[live"):
        load_opencv("a window")


def test_missing_libraries_of_the_system_are_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "cv2.py").write_text("raise ImportError('libGL.so.1: cannot open shared object')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "cv2")
    with pytest.raises(LiveError, match=r"libGL\.so\.1.*apt-get install libgl1"):
        load_opencv("a camera")
