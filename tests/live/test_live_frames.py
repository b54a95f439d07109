from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from generators import moving_hand
from PIL import Image

from handbench.errors import LiveError
from handbench.live import frames as frames_module
from handbench.live.frames import Camera, ImageFolder, VideoFile, open_source

pytest.importorskip("cv2", reason="needs the extra live")


def test_a_video_gives_all_frames_with_their_times(video: Path) -> None:
    source = open_source(str(video))
    assert isinstance(source, VideoFile)
    assert (source.live, source.fps, source.count, source.name) == (False, 20.0, 40, "hand.mp4")
    frames = list(source)
    assert [frame.index for frame in frames] == list(range(40))
    np.testing.assert_allclose([f.time_s for f in frames], np.arange(40) / 20, atol=1e-3)
    for frame, (picture, _) in zip(frames, moving_hand.frames(40), strict=True):
        assert abs(frame.image.astype(int) - picture).mean() < 6, "red is red, not blue"
    source.close()


def test_a_file_without_time_stamps_is_counted(
    video: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = VideoFile(video)
    monkeypatch.setattr(source, "_stamp", -1)  # an unknown property is 0
    source._first = (*source._first[:1], 0.0, 0.0)  # type: ignore[index]
    np.testing.assert_allclose([f.time_s for f in source], np.arange(40) / 20, atol=1e-9)


def test_a_closed_video_ends(video: Path) -> None:
    source = VideoFile(video)
    taken = iter(source)
    next(taken)
    source._closed = True
    assert list(taken) == []


def test_an_image_folder_is_read_in_order_and_upright(tmp_path: Path) -> None:
    for name in ("b.png", "a.jpg", "c/d.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (20, 10), "red").save(tmp_path / name)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (20, 10), "red").save(tmp_path / "a.jpg", exif=exif)
    source = open_source(str(tmp_path), fps=5)
    assert isinstance(source, ImageFolder)
    assert (source.count, source.fps, source.name) == (3, 5, tmp_path.name)
    frames = list(source)
    assert [f.name for f in frames] == ["a.jpg", "b.png", "c/d.png"]
    assert [f.time_s for f in frames] == [0.0, 0.2, 0.4]
    assert frames[0].image.shape == (20, 10, 3)


def test_images_that_cannot_be_read_stop_or_are_left_out(tmp_path: Path) -> None:
    Image.new("RGB", (20, 10)).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"broken")
    Image.new("RGB", (20, 10)).save(tmp_path / "c.png")
    with pytest.raises(LiveError, match=r"b\.png.*--skip-bad leaves such pictures out"):
        list(open_source(str(tmp_path)))
    said: list[str] = []
    source = open_source(str(tmp_path), skip_bad=True, say=said.append)
    assert [frame.index for frame in source] == [0, 2]
    assert len(said) == 1
    assert "b.png" in said[0]


@pytest.mark.parametrize(
    ("name", "content", "match"),
    [
        ("empty.mp4", b"", "found an empty file; copy it again"),
        ("noise.mp4", b"no video at all" * 99, r"OpenCV cannot read .* convert it with ffmpeg"),
    ],
)
def test_unreadable_videos_are_refused(
    tmp_path: Path, name: str, content: bytes, match: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(LiveError, match=match):
        open_source(str(tmp_path / name))


def test_a_video_of_length_zero_is_refused(tmp_path: Path) -> None:
    path = moving_hand.write_video(tmp_path / "none.avi", [])
    assert path.stat().st_size > 0
    with pytest.raises(LiveError, match=r"expected a video at .*none\.avi, found"):
        open_source(str(path))


def test_a_folder_without_images_and_nothing_at_all_are_refused(tmp_path: Path) -> None:
    with pytest.raises(LiveError, match=r"expected pictures .* found none"):
        open_source(str(tmp_path))
    with pytest.raises(LiveError, match="number of a camera, a video file or a folder"):
        open_source(str(tmp_path / "nothing.mp4"))


class FakeCapture:
    """A camera that gives `good` pictures and then is unplugged; opens unless `dead`."""

    dead = False
    good = 3

    def __init__(self, number: int) -> None:
        self.number = number
        self.asked: dict[int, float] = {}
        self.given = 0
        self.released = False

    def isOpened(self) -> bool:  # noqa: N802 - OpenCV's name
        return not self.dead

    def set(self, key: int, value: float) -> None:
        self.asked[key] = value

    def get(self, key: int) -> float:
        return self.asked.get(key, 0.0)

    def read(self) -> tuple[bool, Any]:
        if self.given == self.good:
            return False, None
        self.given += 1
        return True, np.full((4, 6, 3), (0, 0, 200), np.uint8)

    def release(self) -> None:
        self.released = True


@pytest.fixture
def capture(monkeypatch: pytest.MonkeyPatch) -> type[FakeCapture]:
    import cv2

    class Fake(FakeCapture):
        pass

    monkeypatch.setattr(cv2, "VideoCapture", Fake)
    monkeypatch.setattr(frames_module, "UNPLUGGED_S", 0.05)
    return Fake


def test_a_camera_has_a_number_or_a_device(capture: type[FakeCapture]) -> None:
    for word in ("2", "/dev/video2"):
        source = open_source(word)
        assert isinstance(source, Camera)
        assert source._capture.number == 2


def test_a_camera_that_is_unplugged_gives_what_it_had(capture: type[FakeCapture]) -> None:
    import cv2

    source = open_source("1", fps=60, camera_size=(640, 480))
    assert isinstance(source, Camera)
    assert (source.live, source.count, source.fps, source.name) == (True, None, 60.0, "camera 1")
    fake = source._capture
    assert fake.number == 1
    assert fake.asked[cv2.CAP_PROP_FRAME_WIDTH] == 640
    assert fake.asked[cv2.CAP_PROP_FRAME_HEIGHT] == 480
    taken = iter(source)
    frames = [next(taken) for _ in range(3)]
    assert [frame.index for frame in frames] == [0, 1, 2]
    assert frames[0].time_s == 0.0
    assert frames[0].image[0, 0].tolist() == [200, 0, 0], "RGB"
    with pytest.raises(LiveError, match="camera 1 stopped giving pictures after 3 frames: plug it"):
        next(taken)
    source.close()
    assert fake.released


def test_a_camera_without_pictures_says_what_to_try(capture: type[FakeCapture]) -> None:
    capture.good = 0
    with pytest.raises(LiveError, match="opens but gives no picture: close other programs"):
        next(iter(Camera(0)))


def test_a_camera_that_does_not_open(capture: type[FakeCapture]) -> None:
    capture.dead = True
    with pytest.raises(LiveError, match=r"camera 77.*(plug one in|give one of these)"):
        Camera(77)


def test_a_camera_is_not_released_while_it_is_read(
    capture: type[FakeCapture], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frames_module, "_LAST_READ_S", 0.05)
    begun, go = threading.Event(), threading.Event()

    def hang(_: FakeCapture) -> tuple[bool, Any]:
        begun.set()
        go.wait(10)
        return False, None

    capture.read = hang  # type: ignore[method-assign]
    source = Camera(0)
    thread = threading.Thread(target=lambda: list(source))
    thread.start()
    assert begun.wait(10)
    source.close()
    assert not source._capture.released, "OpenCV would crash"
    go.set()
    thread.join(10)
    assert not thread.is_alive(), "a closed source ends"
    source.close()
    assert source._capture.released
