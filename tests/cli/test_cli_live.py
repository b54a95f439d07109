from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from generators import moving_hand
from PIL import Image

from handbench.cli import cli
from handbench.errors import HandbenchError, LiveError, MissingExtraError, PredictorError

pytest.importorskip("cv2", reason="needs the extra live")

MODEL = "generators.moving_hand:find"
# What the hand's frame, by which that model finds it, needs around the keypoints.
WIDE = ("--padding", "2", "--no-window")


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("video") / "hand.mp4"
    return moving_hand.write_video(path, (picture for picture, _ in moving_hand.frames(40)))


def live(*words: object) -> Result:
    before = signal.getsignal(signal.SIGTERM)
    try:
        return CliRunner().invoke(cli, ["live", *map(str, words)])
    finally:
        signal.signal(signal.SIGTERM, before)


def trouble(result: Result) -> HandbenchError:
    assert isinstance(result.exception, HandbenchError), result.output
    return result.exception


def test_a_video_becomes_a_video_and_keypoints(video: Path, tmp_path: Path) -> None:
    record, save = tmp_path / "out.mp4", tmp_path / "out.jsonl"
    done = live(MODEL, video, *WIDE, "--record", record, "--save", save)
    assert done.exit_code == 0, done.output
    first, table, *stages, one, other = done.stdout.splitlines()
    assert first.startswith("40 frames in ")
    assert "dropped" not in first
    assert table.split() == ["stage", "median", "ms", "p90", "ms", "fps", "alone"]
    assert [line.split()[0] for line in stages] == ["read", "crop", "network", "draw"]
    assert (one, other) == (str(record), str(save))
    header, *entries = map(json.loads, save.read_text().splitlines())
    assert header["model"]["name"] == MODEL
    assert header["padding"] == 2.0
    assert header["smoothing"] is None
    hands = [entry["hand"] for entry in entries]
    assert f"a hand in {sum(hand is not None for hand in hands)}" in first
    for hand, (_, truth) in zip(hands, moving_hand.frames(40), strict=True):
        if hand is not None:
            assert truth is not None
            assert np.abs(np.array(hand["keypoints"]) - truth).max() < 5
    assert sum(hand is not None for hand in hands) >= 20


def test_a_folder_of_images_with_a_broken_one(tmp_path: Path) -> None:
    folder = tmp_path / "frames"
    folder.mkdir()
    for number, (picture, _) in enumerate(moving_hand.frames(4)):
        Image.fromarray(picture).save(folder / f"{number}.png")
    (folder / "1.png").write_bytes(b"broken")
    save = tmp_path / "out.json"
    done = live(MODEL, folder, *WIDE, "--save", save)
    assert "--skip-bad leaves such pictures out" in str(trouble(done))
    assert len(json.loads(save.read_text())["frames"]) == 1, "what came before is kept"
    done = live(MODEL, folder, *WIDE, "--save", save, "--skip-bad", "--overwrite", "--fps", "2")
    assert done.exit_code == 0, done.output
    assert "left out" in done.stderr
    document = json.loads(save.read_text())
    assert [(e["file"], e["time_s"]) for e in document["frames"]] == [
        ("0.png", 0.0),
        ("2.png", 1.0),
        ("3.png", 1.5),
    ]


def test_smoothing_is_told_in_the_header(video: Path, tmp_path: Path) -> None:
    save = tmp_path / "out.json"
    done = live(MODEL, video, *WIDE, "--save", save, "--smooth", "--beta", "0.5", "--limit", "2")
    assert done.exit_code == 0, done.output
    document = json.loads(save.read_text())
    assert document["smoothing"]["beta"] == 0.5
    assert document["smoothing"]["min_cutoff_hz"] == 1.0
    assert len(document["frames"]) == 2


def test_a_detector_finds_the_hand_at_once(video: Path, tmp_path: Path) -> None:
    save = tmp_path / "out.json"
    done = live(
        MODEL, video, *WIDE, "--save", save, "--limit", "2", "--detector", MODEL,
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert json.loads(save.read_text())["detector"] == MODEL


class Capture:
    """A camera that is unplugged after four pictures."""

    def __init__(self, number: int) -> None:
        self.left = 4

    def isOpened(self) -> bool:  # noqa: N802 - OpenCV's name
        return True

    def set(self, key: int, value: float) -> None:
        pass

    def get(self, key: int) -> float:
        return 20.0

    def read(self) -> tuple[bool, object]:
        if self.left == 0:
            return False, None
        self.left -= 1
        time.sleep(0.05)
        return True, np.ascontiguousarray(moving_hand.frame(100, 60)[0][..., ::-1])

    def release(self) -> None:
        pass


def test_an_unplugged_camera_leaves_what_was_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from handbench.live import frames, recording

    class OpenCV:
        def __getattr__(self, name: str) -> object:
            import cv2

            return Capture if name == "VideoCapture" else getattr(cv2, name)

    monkeypatch.setattr(frames, "load_opencv", lambda what: OpenCV())
    monkeypatch.setattr(frames, "UNPLUGGED_S", 0.05)
    record, save = tmp_path / "out.avi", tmp_path / "out.jsonl"
    done = live(MODEL, *WIDE, "--record", record, "--save", save)
    assert "camera 0 stopped giving pictures after 4 frames" in str(trouble(done))
    assert str(record) in done.stdout
    entries = save.read_text().splitlines()[1:]
    assert 1 <= len(entries) <= 4
    monkeypatch.undo()
    assert recording.load_opencv("a video").VideoCapture(str(record)).read()[0]


@pytest.mark.parametrize(
    ("words", "match"),
    [
        (["77", *WIDE, "--save", "x.json"], "camera 77"),
        (["none.mp4", *WIDE, "--save", "x.json"], "the number of a camera, a video file"),
        (["0", "--no-window", "--save", "x.csv"], r"expected .jsonl or .json to save keypoints"),
        (["0", "--no-window", "--record", "x.gif"], "expected a video"),
    ],
)
def test_what_cannot_be_done_is_said(
    words: list[str], match: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    error = trouble(live(MODEL, *words))
    assert isinstance(error, LiveError)
    assert match.replace(r"\.", ".") in str(error)
    assert list(tmp_path.iterdir()) == []


def test_a_model_that_is_none_leaves_no_files(video: Path, tmp_path: Path) -> None:
    done = live(tmp_path / "none", video, *WIDE, "--save", tmp_path / "x.json")
    assert isinstance(trouble(done), PredictorError)
    assert list(tmp_path.iterdir()) == []


def test_recordings_are_not_replaced_unasked(video: Path, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("precious")
    done = live(MODEL, video, *WIDE, "--save", tmp_path / "x.json")
    assert "add --overwrite to replace it" in str(trouble(done))
    assert (tmp_path / "x.json").read_text() == "precious"


@pytest.mark.parametrize(
    ("words", "match"),
    [
        (["--no-window"], "add --record FILE or --save FILE"),
        (["--no-window", "--save", "x.json", "--camera-size", "big"], "expected WxH"),
    ],
)
def test_wrong_usage(words: list[str], match: str) -> None:
    done = live(MODEL, "0", *words)
    assert done.exit_code == 2
    assert match in done.output


def test_without_a_screen_the_window_is_refused_first(
    monkeypatch: pytest.MonkeyPatch, video: Path
) -> None:
    if sys.platform != "linux":
        pytest.skip("screens are looked for on Linux")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert "use --no-window" in str(trouble(live(MODEL, video)))


def test_without_opencv_the_install_command_is_said(
    monkeypatch: pytest.MonkeyPatch, video: Path, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    error = trouble(live(MODEL, video, *WIDE, "--save", tmp_path / "x.json"))
    assert isinstance(error, MissingExtraError)
    assert "pip install 'handbench[live]'" in str(error)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM to catch")
def test_a_polite_kill_keeps_what_was_recorded(tmp_path: Path) -> None:
    folder = tmp_path / "frames"
    folder.mkdir()
    for number in range(2000):
        (folder / f"{number:05d}.png").symlink_to(tmp_path / "one.png")
    Image.fromarray(moving_hand.frame(100, 60)[0]).save(tmp_path / "one.png")
    save = tmp_path / "out.jsonl"
    tests = str(Path(__file__).parents[1])
    path = os.pathsep.join([tests, *filter(None, [os.environ.get("PYTHONPATH")])])
    words = [sys.executable, "-m", "handbench", "live", MODEL, str(folder), *WIDE]
    running = subprocess.Popen(
        [*words, "--save", str(save)],
        env={**os.environ, "PYTHONPATH": path},
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    end = time.monotonic() + 300
    while not list(tmp_path.glob(".out.jsonl.*.part")) and time.monotonic() < end:
        time.sleep(0.05)
    time.sleep(0.2)
    running.terminate()
    out, complaints = running.communicate(timeout=300)
    assert running.returncode == 0, complaints
    assert "stopped" in complaints
    entries = save.read_text().splitlines()[1:]
    assert out.startswith(f"{len(entries):,} frames in ")
    assert len(entries) < 2000
    json.loads(entries[-1]) if entries else None
