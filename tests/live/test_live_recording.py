from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from generators import moving_hand

from handbench.errors import LiveError
from handbench.hand import JOINT_NAMES
from handbench.live.following import Sight
from handbench.live.frames import Frame, VideoFile
from handbench.live.recording import VIDEO_CODES, KeypointLog, VideoRecording
from handbench.predictors.interface import Hand

cv2 = pytest.importorskip("cv2", reason="needs the extra live")


def pictures(count: int) -> list[np.ndarray]:
    return [picture for picture, _ in moving_hand.frames(count)]


@pytest.mark.parametrize("suffix", sorted(VIDEO_CODES))
def test_a_video_of_every_kind_can_be_read_back(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"out{suffix}"
    video = VideoRecording(path, 12.5, by_clock=False)
    for i, picture in enumerate(pictures(6)):
        video.write(picture, i / 12.5)
    assert not path.exists(), "it appears when it is finished"
    video.close()
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    source = VideoFile(path)
    assert source.fps == pytest.approx(12.5)
    frames = [frame.image for frame in source]
    assert len(frames) == 6
    for frame, picture in zip(frames, pictures(6), strict=True):
        assert abs(frame.astype(int) - picture).mean() < 8


def test_a_camera_s_video_runs_as_time_did(tmp_path: Path) -> None:
    video = VideoRecording(tmp_path / "out.avi", 10.0, by_clock=True)
    # One picture in half a second, then two within a tenth of one.
    for time_s in (3.0, 3.5, 3.52, 3.6):
        video.write(moving_hand.empty(), time_s)
    assert video.frames == 7
    video.close()


def test_pictures_of_other_sizes_are_fitted(tmp_path: Path) -> None:
    video = VideoRecording(tmp_path / "out.avi", 10.0, by_clock=False)
    video.write(np.full((41, 61, 3), 200, np.uint8), 0.0)  # odd sides lose a row
    video.write(np.full((90, 30, 3), 200, np.uint8), 0.1)
    video.close()
    first, second = [frame.image for frame in VideoFile(tmp_path / "out.avi")]
    assert first.shape == second.shape == (40, 60, 3)
    assert second[20, 30].mean() > 150
    assert second[20, 2].mean() < 50


def test_no_frames_leave_no_file(tmp_path: Path) -> None:
    video = VideoRecording(tmp_path / "out.mp4", 10.0, by_clock=False)
    video.close()
    assert list(tmp_path.iterdir()) == []


def test_a_video_that_is_not_whole_is_an_error(tmp_path: Path, monkeypatch) -> None:
    video = VideoRecording(tmp_path / "out.mp4", 10.0, by_clock=False)
    video.write(moving_hand.empty(), 0.0)

    class Nothing:
        def __init__(self, path: str) -> None:
            pass

        def read(self) -> tuple[bool, None]:
            return False, None

    monkeypatch.setattr(cv2, "VideoCapture", Nothing)
    with pytest.raises(LiveError, match="could not be finished: is the disk full"):
        video.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("kind", "name"), [(VideoRecording, "a.gif"), (KeypointLog, "a.csv")])
def test_other_suffixes_are_refused(tmp_path: Path, kind: type, name: str) -> None:
    with pytest.raises(LiveError, match=r"expected .* found"):
        if kind is VideoRecording:
            VideoRecording(tmp_path / name, 10.0, by_clock=False)
        else:
            KeypointLog(tmp_path / name, {})


def sights() -> list[tuple[Frame, Sight]]:
    points = np.arange(42, dtype=float).reshape(21, 2) + 0.25
    hand = Hand(points, np.full(21, np.nan), 0.75, is_right=True)
    image = np.zeros((4, 4, 3), np.uint8)
    return [
        (Frame(0, 0.0, image, "a.png"), Sight(hand, np.array([1.0, 2.0, 4.0, 8.0]))),
        (Frame(3, 0.15, image), Sight(None, None)),
    ]


@pytest.mark.parametrize("suffix", [".json", ".jsonl"])
def test_keypoints_of_every_frame_are_kept(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"out{suffix}"
    log = KeypointLog(path, {"source": "me"})
    for dropped, (frame, sight) in enumerate(sights()):
        log.write(frame, sight, {"read": 1.234, "network": 5.0}, dropped)
    log.close()
    if suffix == ".json":
        header = json.loads(path.read_text())
        entries = header.pop("frames")
    else:
        header, *entries = map(json.loads, path.read_text().splitlines())
    assert header == {
        "handbench_live": 1,
        "source": "me",
        "joint_names": list(JOINT_NAMES),
        "unit": "px",
    }
    first, second = entries
    assert (first["frame"], first["time_s"], first["file"]) == (0, 0.0, "a.png")
    assert first["hand"]["keypoints"][1] == [2.25, 3.25]
    assert first["hand"]["scores"] == [None] * 21
    assert first["hand"]["score"] == 0.75
    assert first["hand"]["is_right"] is True
    assert first["hand"]["box"] == [1.0, 2.0, 3.0, 6.0]
    assert first["ms"] == {"read": 1.23, "network": 5.0}
    assert second == {
        "frame": 3,
        "time_s": 0.15,
        "hand": None,
        "ms": {"read": 1.23, "network": 5.0},
        "dropped": 1,
    }


def test_a_log_without_frames_is_valid_json(tmp_path: Path) -> None:
    KeypointLog(tmp_path / "out.json", {}).close()
    assert json.loads((tmp_path / "out.json").read_text())["frames"] == []


def test_a_codec_that_is_missing_is_an_error(tmp_path: Path, monkeypatch) -> None:
    class Broken:
        fourcc = staticmethod(cv2.VideoWriter.fourcc)

        def __init__(self, *_: object) -> None:
            pass

        def isOpened(self) -> bool:  # noqa: N802 - OpenCV's name
            return False

    monkeypatch.setattr(cv2, "VideoWriter", Broken)
    video = VideoRecording(tmp_path / "out.mp4", 10.0, by_clock=False)
    with pytest.raises(LiveError, match=r"cannot write a video to .*out\.mp4: try a name in \.avi"):
        video.write(moving_hand.empty(), 0.0)
    video.close()
    assert list(tmp_path.iterdir()) == []
