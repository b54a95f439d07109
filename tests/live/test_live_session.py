from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from generators import moving_hand
from PIL import Image

from handbench.drawing import Picture
from handbench.errors import LiveError
from handbench.live.following import Follower, FollowSettings
from handbench.live.frames import Frame, VideoFile
from handbench.live.recording import KeypointLog, VideoRecording
from handbench.live.session import Session, log_header
from handbench.live.smoothing import OneEuro
from handbench.live.window import MIRROR, PAUSE, QUIT, SNAPSHOT
from handbench.predictors.callables import FunctionPredictor

pytest.importorskip("cv2", reason="needs the extra live")

MODEL = FunctionPredictor("find", moving_hand.find, 96)


def follower() -> Follower:
    return Follower(MODEL, settings=FollowSettings(padding=2.0))


class View:
    """Keeps what it is shown; presses keys as soon as so many pictures were shown."""

    def __init__(self, keys: dict[int, str] | None = None) -> None:
        self.keys = dict(keys or {})
        self.shown: list[Picture] = []

    def show(self, picture: Picture) -> None:
        self.shown.append(picture)

    def key(self, wait_ms: int = 1) -> str | None:
        return self.keys.pop(len(self.shown), None)

    def close(self) -> None:
        pass


class Camera:
    """Gives frames of the moving hand as fast as they are taken, then is unplugged."""

    name, live, fps = "camera 0", True, 20.0
    count: int | None = None

    def __init__(self, count: int, *, unplugged: bool = True) -> None:
        self._count, self._unplugged = count, unplugged
        self.taken: Frame | None = None

    def __iter__(self) -> Iterator[Frame]:
        for index, (picture, _) in enumerate(moving_hand.frames(self._count)):
            yield Frame(index, index / 20, picture)
        if self._unplugged:
            raise LiveError("camera 0 stopped giving pictures")

    def close(self) -> None:
        pass


def test_a_video_is_gone_through_and_everything_is_kept(video: Path, tmp_path: Path) -> None:
    source, eyes = VideoFile(video), follower()
    record = VideoRecording(tmp_path / "out.avi", source.fps, by_clock=False)
    log = KeypointLog(tmp_path / "out.json", log_header(source, {"name": "m"}, eyes, None))
    summary = Session(source, eyes, video=record, log=log).run()
    record.close()
    log.close()
    assert (summary.frames, summary.dropped, summary.trouble) == (40, 0, None)
    assert 20 <= summary.hands <= 32
    document = json.loads((tmp_path / "out.json").read_text())
    assert document["smoothing"] is None
    assert document["source"] == "hand.mp4"
    entries = document["frames"]
    assert [entry["frame"] for entry in entries] == list(range(40))
    seen = 0
    for entry, (_, truth) in zip(entries, moving_hand.frames(40), strict=True):
        if entry["hand"] is not None:
            assert truth is not None
            assert np.abs(np.array(entry["hand"]["keypoints"]) - truth).max() < 5
            seen += 1
    assert seen == summary.hands
    kept = list(VideoFile(tmp_path / "out.avi"))
    assert len(kept) == 40
    # A skeleton was drawn on the frames with a hand, and only there.
    for frame, entry, original in zip(kept, entries, VideoFile(video), strict=True):
        changed = np.abs(frame.image.astype(int) - original.image).max(axis=2) > 60
        assert (changed.sum() > 60) == (entry["hand"] is not None)


def test_an_unplugged_camera_ends_with_what_was_kept(tmp_path: Path) -> None:
    log = KeypointLog(tmp_path / "out.jsonl", {})
    summary = Session(Camera(5), follower(), log=log).run()
    log.close()
    assert isinstance(summary.trouble, LiveError)
    assert summary.frames + summary.dropped == 5
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == summary.frames + 1


def test_keys_quit_pause_mirror_and_take_snapshots(video: Path, tmp_path: Path) -> None:
    said: list[str] = []
    view = View({3: SNAPSHOT, 4: MIRROR, 5: PAUSE, 8: PAUSE, 10: QUIT})
    summary = Session(
        VideoFile(video), follower(), view=view, snapshots=tmp_path, say=said.append
    ).run()
    # Three of the ten pictures were the paused one, shown again.
    assert len(view.shown) == 10
    assert summary.frames == 7
    np.testing.assert_array_equal(view.shown[5][60:200], view.shown[6][60:200])
    (path,) = tmp_path.iterdir()
    assert path.name == "live-000002.png"
    assert said == [f"snapshot: {path}"]
    picture = np.asarray(Image.open(path)).astype(int)
    third = list(moving_hand.frames(3))[2][0]
    assert abs(picture - third).mean() < 12
    # What is shown is mirrored from then on; the hand moves little from frame to frame.
    before, after = (view.shown[i][80:200].astype(int) for i in (3, 4))
    assert abs(after[:, ::-1] - before).mean() < 0.7 * abs(after - before).mean()


def test_snapshots_do_not_replace_each_other(video: Path, tmp_path: Path) -> None:
    view = View({1: PAUSE, 2: SNAPSHOT, 3: SNAPSHOT, 4: QUIT})
    Session(VideoFile(video), follower(), view=view, snapshots=tmp_path).run()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["live-000000-2.png", "live-000000.png"]


def test_what_is_kept_is_never_mirrored(video: Path, tmp_path: Path) -> None:
    for mirror in (False, True):
        record = VideoRecording(tmp_path / f"{mirror}.mp4", 20.0, by_clock=False)
        log = KeypointLog(tmp_path / f"{mirror}.jsonl", {})
        source = VideoFile(video)
        Session(source, follower(), video=record, log=log, mirror=mirror, limit=4).run()
        record.close()
        log.close()

    def hands(path: Path) -> list[object]:
        return [json.loads(line)["hand"] for line in path.read_text().splitlines()[1:]]

    assert hands(tmp_path / "False.jsonl") == hands(tmp_path / "True.jsonl")
    for plain, mirror_on in zip(
        VideoFile(tmp_path / "False.mp4"), VideoFile(tmp_path / "True.mp4"), strict=True
    ):
        np.testing.assert_array_equal(plain.image, mirror_on.image)


def test_smoothing_changes_what_is_kept_and_says_so(video: Path, tmp_path: Path) -> None:
    found = {}
    for smooth in (False, True):
        path = tmp_path / f"{smooth}.jsonl"
        source, eyes = VideoFile(video), follower()
        smoother = OneEuro() if smooth else None
        log = KeypointLog(path, log_header(source, {"name": "m"}, eyes, smoother))
        Session(source, eyes, log=log, smoother=smoother, limit=14).run()
        log.close()
        header, *found[smooth] = map(json.loads, path.read_text().splitlines())
        assert (header["smoothing"] is not None) == smooth
    assert header["smoothing"]["filter"] == "one-euro"
    pairs = [
        (np.array(raw["hand"]["keypoints"]), np.array(calm["hand"]["keypoints"]), raw, calm)
        for raw, calm in zip(found[False], found[True], strict=True)
        if raw["hand"] is not None
    ]
    assert len(pairs) > 6
    np.testing.assert_allclose(pairs[0][0], pairs[0][1], atol=1e-3)
    assert max(abs(raw - calm).max() for raw, calm, *_ in pairs[1:]) > 1
    # The hand is followed by what the model said, smoothed or not.
    for _, _, raw, calm in pairs:
        assert raw["hand"]["box"] == calm["hand"]["box"]


def test_a_limit_ends_it(video: Path) -> None:
    assert Session(VideoFile(video), follower(), limit=3).run().frames == 3


def test_ctrl_c_ends_it_in_order(video: Path) -> None:
    class Interrupting(View):
        def key(self, wait_ms: int = 1) -> str | None:
            if len(self.shown) == 4:
                raise KeyboardInterrupt
            return None

    said: list[str] = []
    summary = Session(VideoFile(video), follower(), view=Interrupting(), say=said.append).run()
    assert (summary.frames, summary.trouble) == (4, None)
    assert said == ["stopped"]
