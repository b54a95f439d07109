"""The loop: take a frame, find the hand, keep it, draw it, show it, listen to keys."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from handbench.drawing import Picture
from handbench.errors import HandbenchError
from handbench.files import atomic_path
from handbench.live.following import Follower, Sight
from handbench.live.frames import Frame, Source
from handbench.live.overlay import draw_frame, draw_panel, enlarged, mirrored
from handbench.live.reader import EndOfFrames, Reader
from handbench.live.recording import KeypointLog, VideoRecording
from handbench.live.smoothing import OneEuro
from handbench.live.stages import StageTimes
from handbench.live.window import MIRROR, PAUSE, QUIT, SNAPSHOT, View
from handbench.predictors.boxes import hand_box

_KEY_HELP = "q quit   space pause   s snapshot   m mirror"
_POLL_MS = 30
_REFRESH_S = 0.5  # numbers that change faster cannot be read


@dataclass(frozen=True)
class Summary:
    """What a session came to.

    Attributes
    ----------
    frames, hands
        Frames that were looked at, and those with a hand.
    dropped
        Frames of a camera that came too quickly.
    seconds
        How long it took, pauses left out.
    times
        Of the stages.
    trouble
        Why the source ended early, or None.
    """

    frames: int
    hands: int
    dropped: int
    seconds: float
    times: StageTimes
    trouble: HandbenchError | None = None


class Stop(BaseException):
    """Raised by whoever wants the session to end, with everything kept.

    No KeyboardInterrupt: Python ends with the status of a kill when one comes up within `exec`, as
    imports of dataclasses use it, although it is caught.
    """


class Session:
    """A model on a source, until it ends or somebody quits.

    Parameters
    ----------
    source
        Frames.
    follower
        Finds the hand.
    view
        Where to show it; None: nowhere, and then a file is not slowed down to its own pace.
    video, log
        Where to keep it.
    smoother
        Of the keypoints that are shown and kept; the hand is followed by the raw ones.
    mirror
        Show the view as in a mirror. What is kept is not mirrored.
    snapshots
        Folder for the pictures that key `s` takes.
    limit
        At most so many frames.
    say
        Told of snapshots.
    advance
        Called after every frame, for a progress bar.
    """

    def __init__(
        self,
        source: Source,
        follower: Follower,
        *,
        view: View | None = None,
        video: VideoRecording | None = None,
        log: KeypointLog | None = None,
        smoother: OneEuro | None = None,
        mirror: bool = False,
        snapshots: Path = Path(),
        limit: int | None = None,
        say: Callable[[str], object] = lambda _: None,
        advance: Callable[[int], object] = lambda _: None,
    ) -> None:
        self._source, self._follower = source, follower
        self._view, self._video, self._log = view, video, log
        self._smoother = smoother
        self._mirror = mirror
        self._snapshots = snapshots
        self._limit = limit
        self._say, self._advance = say, advance
        self._paused = self._stopped = False
        self._frames = self._hands = 0
        self._seen: tuple[Frame, Sight, Picture] | None = None
        self._paused_s = 0.0
        self._clock: float | None = None
        self._stage_line, self._stage_line_at = "", -math.inf

    def run(self) -> Summary:
        """Go through the source.

        Ctrl-C and :class:`Stop` end the session as key `q` does. A source that breaks off (a camera
        is unplugged) ends it, too: what was kept is kept, and `trouble` says what happened.
        """
        begin = time.perf_counter()
        trouble: HandbenchError | None = None
        reader = Reader(self._source)
        try:
            with reader:
                self._go(reader)
        except EndOfFrames:
            pass
        except (KeyboardInterrupt, Stop):
            self._say("stopped")
        except HandbenchError as error:
            trouble = error
        seconds = max(time.perf_counter() - begin - self._paused_s, 1e-9)
        return Summary(
            self._frames, self._hands, reader.dropped, seconds, self._follower.times, trouble
        )

    def _go(self, reader: Reader) -> None:
        while not self._stopped:
            if self._paused:
                self._wait_paused()
                continue
            frame = reader.take(_POLL_MS / 1000)
            if frame is None:
                self._listen()
                continue
            self._on_frame(frame, reader.dropped)
            if self._limit is not None and self._frames >= self._limit:
                return

    def _on_frame(self, frame: Frame, dropped: int) -> None:
        times = self._follower.times
        times.add("read", frame.read_s)
        sight = self._smooth(frame, self._follower.see(frame.image))
        picture = frame.image
        if self._view is not None or self._video is not None:
            with times.stage("draw"):
                picture = draw_frame(frame.image, sight.hand)
        if self._video is not None:
            # A camera goes on while the session is paused; its video does not show that.
            self._video.write(picture, frame.time_s - self._paused_s)
        if self._log is not None:
            self._log.write(frame, sight, times.of_last_frame_ms(), dropped)
        self._frames += 1
        self._hands += sight.hand is not None
        self._seen = (frame, sight, picture)
        times.frame_done()
        self._advance(1)
        if self._view is not None:
            self._keep_pace(frame)
            self._show(dropped)
            self._listen()

    def _smooth(self, frame: Frame, sight: Sight) -> Sight:
        if self._smoother is None or sight.hand is None:
            if self._smoother is not None and not self._follower.following:
                self._smoother.reset()
            return sight
        box = hand_box(sight.hand, frame.image)
        side = 1.0 if box is None else float((box[2:] - box[:2]).max())
        keypoints = self._smoother(sight.hand.keypoints, frame.time_s, side)
        return replace(sight, hand=replace(sight.hand, keypoints=keypoints))

    def _keep_pace(self, frame: Frame) -> None:
        """Show a file no faster than it was filmed; keys still work while it waits."""
        if self._source.live:
            return
        now = time.perf_counter()
        if self._clock is None:
            self._clock = now - frame.time_s
        due = self._clock + frame.time_s
        if now > due:
            self._clock = now - frame.time_s  # late: later frames are not hurried to make up
        while not self._stopped and not self._paused and (left := due - time.perf_counter()) > 0:
            self._listen(min(_POLL_MS, round(1000 * left)))

    def _wait_paused(self) -> None:
        start = time.perf_counter()
        self._show(None)
        self._listen(_POLL_MS)
        self._paused_s += time.perf_counter() - start
        self._clock = None

    def _show(self, dropped: int | None) -> None:
        if self._view is None or self._seen is None:
            return
        _, sight, picture = self._seen
        shown = enlarged(mirrored(picture) if self._mirror else picture)
        shown = draw_panel(shown, self._lines(sight, dropped), "top")
        self._view.show(draw_panel(shown, [_KEY_HELP], "bottom"))

    def _lines(self, sight: Sight, dropped: int | None) -> list[str]:
        """What the panel says."""
        times = self._follower.times
        fps = times.recent_fps()
        state = "no hand" if sight.hand is None else f"hand {sight.hand.score:.2f}"
        if sight.hand is not None and sight.hand.is_right is not None:
            state += " right" if sight.hand.is_right else " left"
        words = ["paused" if self._paused else f"{fps:.0f} fps" if fps else "… fps", state]
        if dropped:
            words.append(f"{dropped:,} dropped")
        if self._mirror:
            words.append("mirror")
        now = time.monotonic()
        if now - self._stage_line_at > _REFRESH_S:
            self._stage_line_at = now
            each = (f"{name} {_rounded(fps)}" for name, fps in times.recent_stage_fps().items())
            self._stage_line = "fps alone:  " + "  ·  ".join(each)
        return ["  ·  ".join(words), self._stage_line]

    def _listen(self, wait_ms: int = 1) -> None:
        asked = self._view.key(wait_ms) if self._view is not None else None
        if asked == QUIT:
            self._stopped = True
        elif asked == PAUSE:
            self._paused = not self._paused
        elif asked == MIRROR:
            self._mirror = not self._mirror
        elif asked == SNAPSHOT:
            self._take_snapshot()

    def _take_snapshot(self) -> None:
        from PIL import Image

        if self._seen is None:
            return
        frame, _, picture = self._seen
        stem = f"live-{frame.index:06d}"
        path, number = self._snapshots / f"{stem}.png", 1
        while path.exists():
            number += 1
            path = self._snapshots / f"{stem}-{number}.png"
        with atomic_path(path) as temporary:
            Image.fromarray(np.asarray(picture)).save(temporary, "PNG")
        self._say(f"snapshot: {path}")


def _rounded(fps: float) -> str:
    return f"{fps:.0f}" if fps < 1000 else "999+"


def log_header(
    source: Source, model: dict[str, Any], follower: Follower, smoother: OneEuro | None
) -> dict[str, Any]:
    """What the header of a :class:`KeypointLog` says of a session."""
    settings = follower.settings
    smoothing = None
    if smoother is not None:
        used = smoother.settings
        smoothing = {
            "filter": "one-euro",
            "min_cutoff_hz": used.min_cutoff_hz,
            "beta": used.beta,
            "derivative_cutoff_hz": used.derivative_cutoff_hz,
        }
    return {
        "source": source.name,
        "fps": round(source.fps, 3),
        "model": model,
        "min_score": settings.min_score,
        "padding": settings.padding,
        "follow": settings.follow,
        "detector": follower.detector_name,
        "smoothing": smoothing,
    }
