"""``handbench live``: a model on a camera, a video or a folder of images."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from handbench.cli.device_option import device_option
from handbench.home import Home

if TYPE_CHECKING:
    from handbench.live.session import Summary


@click.command()
@click.argument("model")
@click.argument("source", default="0")
@click.option("--no-window", is_flag=True, help="Show nothing: for --record and --save.")
@click.option("--mirror", is_flag=True, help="Show it as a mirror does; what is kept is not.")
@click.option(
    "--record",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Video to write: .mp4, .mov, .mkv, .avi or .webm.",
)
@click.option(
    "--save",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Keypoints of every frame with their times: .jsonl or .json.",
)
@click.option(
    "--snapshots",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(),
    help="Folder for what key s takes.  [default: here]",
)
@click.option("--smooth", is_flag=True, help="Smooth the keypoints with the One-Euro filter.")
@click.option(
    "--min-cutoff",
    type=click.FloatRange(min=0, min_open=True),
    default=1.0,
    show_default=True,
    help="Of --smooth, Hz: lower is steadier at rest.",
)
@click.option(
    "--beta",
    type=click.FloatRange(min=0),
    default=3.0,
    show_default=True,
    help="Of --smooth: higher lags less in motion.",
)
@click.option(
    "--detector",
    metavar="MODEL",
    help="Model that finds hands in whole images, such as mediapipe: says where to look when there "
    "is no last box.",
)
@click.option(
    "--min-score",
    type=click.FloatRange(0, 1),
    default=0.4,
    show_default=True,
    help="Below this score there is no hand.",
)
@click.option(
    "--padding",
    type=click.FloatRange(min=1),
    default=1.25,
    show_default=True,
    help="Factor on the box around the last keypoints.",
)
@click.option("--no-follow", is_flag=True, help="Search every frame anew, for unrelated images.")
@click.option(
    "--fps",
    type=click.FloatRange(1, 1000),
    help="Frames a second of an image folder, or asked of a camera.  [default: 25; its own]",
)
@click.option(
    "--camera-size", metavar="WxH", help="Asked of a camera, such as 1280x720.  [default: its own]"
)
@click.option("--limit", type=click.IntRange(min=1), help="Stop after so many frames.")
@click.option("--skip-bad", is_flag=True, help="Leave out and list images that cannot be read.")
@device_option
@click.option("--overwrite", is_flag=True, help="Replace existing recordings.")
@click.pass_obj
def live(home: Home, /, model: str, source: str, **options: Any) -> None:
    """Run MODEL on SOURCE and draw the skeleton of one hand.

    SOURCE is the number of a camera (0 is the first), a video file, or a folder of images. Of a
    camera, frames that come while the model is busy are dropped, so the picture never lags; of a
    file every frame is looked at. One hand is followed by its own last box; when it is lost, it is
    searched for. Keys: q or Esc quits, space pauses, s takes a snapshot, m mirrors the view.

    \b
    handbench live runs/freihand-resnet50
    handbench live runs/freihand-resnet50 1 --mirror --smooth --record me.mp4
    handbench live runs/freihand-resnet50 hand.mp4 --no-window --save hand.jsonl
    """  # noqa: D301 - click wants the backspace character itself
    from tqdm import tqdm

    from handbench.live.following import Follower, FollowSettings
    from handbench.live.frames import open_source
    from handbench.live.recording import (
        KeypointLog,
        VideoRecording,
        check_log_path,
        check_video_path,
    )
    from handbench.live.session import Session, log_header
    from handbench.live.smoothing import OneEuro, OneEuroSettings
    from handbench.live.window import Window

    record, save = options["record"], options["save"]
    for path, check in ((record, check_video_path), (save, check_log_path)):
        if path is not None:
            check(path)
            _check_free(path, overwrite=options["overwrite"])
    if options["no_window"] and record is None and save is None:
        raise click.UsageError("--no-window shows nothing: add --record FILE or --save FILE")
    camera_size = _parse_size(options["camera_size"])
    # The window first: that it cannot open should not cost the loading of a network.
    signal.signal(signal.SIGTERM, _interrupt)
    with _ended_politely(), ExitStack() as stack:
        view = None
        if not options["no_window"]:
            view = Window(f"handbench live · {Path(model).name}")
            stack.callback(view.close)
        say = _Speaker()
        frames = open_source(
            source,
            fps=options["fps"],
            camera_size=camera_size,
            skip_bad=options["skip_bad"],
            say=say,
        )
        stack.callback(frames.close)
        predictor = _open(home, model, options["device"])
        detector = None
        if options["detector"] is not None:
            detector = _open(home, options["detector"], options["device"])
        settings = FollowSettings(
            min_score=options["min_score"],
            padding=options["padding"],
            follow=not options["no_follow"],
        )
        follower = Follower(predictor, detector=detector, settings=settings)
        smoother = None
        if options["smooth"]:
            smoother = OneEuro(OneEuroSettings(options["min_cutoff"], options["beta"]))
        video = log = None
        if record is not None:
            video = VideoRecording(record, frames.fps, by_clock=frames.live)
            stack.callback(video.close)
        if save is not None:
            log = KeypointLog(save, log_header(frames, predictor.describe(), follower, smoother))
            stack.callback(log.close)
        bar = stack.enter_context(tqdm(total=frames.count, unit="frame", disable=None))
        say.bar = bar
        summary = Session(
            frames,
            follower,
            view=view,
            video=video,
            log=log,
            smoother=smoother,
            mirror=options["mirror"],
            snapshots=options["snapshots"],
            limit=options["limit"],
            say=say,
            advance=bar.update,
        ).run()
    kept = [record] if video is not None and video.frames else []  # a video of nothing is no file
    _report(summary, kept + ([] if save is None else [save]))


class _Speaker:
    """Says things on stderr, above the progress bar once there is one."""

    def __init__(self) -> None:
        self.bar: Any = None

    def __call__(self, text: str) -> None:
        if self.bar is None or self.bar.disable:
            click.echo(text, err=True)
        else:
            self.bar.write(text)


def _open(home: Home, model: str, device: str) -> Any:
    from handbench.predictors.opening import open_predictor

    return open_predictor(home.model(model), device=device, once=True)


def _check_free(path: Path, *, overwrite: bool) -> None:
    from handbench.errors import LiveError

    if path.exists() and not overwrite:
        raise LiveError(f"{path} exists: choose another name, or add --overwrite to replace it")


def _parse_size(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    width, _, height = text.lower().partition("x")
    if not (width.isdecimal() and height.isdecimal() and int(width) and int(height)):
        raise click.UsageError(f"--camera-size: expected WxH such as 1280x720, found {text!r}")
    return int(width), int(height)


def _interrupt(_signal: int, _frame: object) -> None:
    """A polite kill ends the session as Ctrl-C does, with everything kept."""
    from handbench.live.session import Stop

    raise Stop


@contextmanager
def _ended_politely() -> Iterator[None]:
    """A kill before there is a session ends the command as Ctrl-C does there."""
    from handbench.live.session import Stop

    try:
        yield
    except Stop as stop:
        raise click.Abort from stop


def _report(summary: Summary, kept: list[Path]) -> None:
    """Print what the session came to; raise what ended it early."""
    line = (
        f"{summary.frames:,} frames in {summary.seconds:.1f} s "
        f"({summary.frames / summary.seconds:.1f} a second), a hand in {summary.hands:,}"
    )
    if summary.dropped:
        line += f", {summary.dropped:,} more dropped as late"
    click.echo(line)
    rows = summary.times.table()
    if rows:
        click.echo(f"{'stage':8} {'median ms':>10} {'p90 ms':>8} {'fps alone':>10}")
    for name, middle, high, fps in rows:
        click.echo(f"{name:8} {middle:10.1f} {high:8.1f} {fps:10.0f}")
    for path in kept:
        click.echo(str(path))
    if summary.trouble is not None:
        raise summary.trouble
