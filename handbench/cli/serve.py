"""``handbench serve``: the web demo."""

from __future__ import annotations

import signal
import sys
from types import FrameType
from typing import TYPE_CHECKING

import click

from handbench.cli.device_option import device_option
from handbench.home import Home

if TYPE_CHECKING:
    from handbench.web.models import LoadedModel


@click.command()
@click.argument("models", nargs=-1, metavar="[MODEL]...")
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Address to listen on. Others than this machine reach it only if you say so: 0.0.0.0 is "
    "everywhere.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8000,
    show_default=True,
    help="Port to listen on; 0 takes one that is free.",
)
@device_option
@click.option(
    "--flip-test", is_flag=True, help="Average with the mirror image; takes twice as long."
)
@click.option(
    "--max-mb",
    type=click.FloatRange(min=0.01, max=50),
    default=1.0,
    show_default=True,
    help="Largest picture, megabytes (1,000,000 bytes).",
)
@click.option(
    "--max-megapixels",
    type=click.FloatRange(min=0.01, max=200),
    default=24.0,
    show_default=True,
    help="Most pixels of a picture, millions. Each takes about 10 bytes of memory while it is "
    "looked at.",
)
@click.option(
    "--workers",
    type=click.IntRange(min=1, max=64),
    default=2,
    show_default=True,
    help="Pictures that are decoded at the same time. Each model computes for one at a time.",
)
@click.option(
    "--queue",
    type=click.IntRange(min=1, max=1024),
    default=32,
    show_default=True,
    help="Pictures that may wait. One more is refused with 429 and told when to come back.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0.1, max=600),
    default=15.0,
    show_default=True,
    help="Seconds that a picture may take, waiting included.",
)
@click.option(
    "--rate-limit",
    type=click.IntRange(min=1),
    metavar="N",
    help="Pictures a minute from one address.  [default: no limit]",
)
@click.option(
    "--trusted-proxy",
    default="",
    metavar="ADDRESS",
    help="Believe the X-Forwarded headers of the proxy at this address, so that --rate-limit "
    "counts visitors.",
)
@click.option("--quiet", is_flag=True, help="No line for every request.")
@click.pass_obj
def serve(
    home: Home,
    /,
    models: tuple[str, ...],
    host: str,
    port: int,
    device: str,
    flip_test: bool,
    max_mb: float,
    max_megapixels: float,
    workers: int,
    queue: int,
    timeout: float,
    rate_limit: int | None,
    trusted_proxy: str,
    quiet: bool,
) -> None:
    """Show a page that finds the 21 points of a hand in a photo, and answer programs over REST.

    MODEL is what `predict` takes: a run directory, a checkpoint, and so on; with several, visitors
    choose. Without MODEL, the newest run in the home folder. Pictures stay in memory and are never
    written to disk. Ctrl+C stops.

    \b
    handbench serve
    handbench serve runs/resnet18 runs/resnet50 --port 8080
    """  # noqa: D301 - click wants the backspace character itself
    _require_packages()
    from handbench.web.app import create_app
    from handbench.web.limits import Limits
    from handbench.web.server import Server

    limits = Limits(
        max_bytes=round(max_mb * 1e6),
        max_pixels=round(max_megapixels * 1e6),
        workers=workers,
        queue=queue,
        timeout_s=timeout,
        per_minute=rate_limit,
    )
    loaded = _load(home, models, device=device, flip_test=flip_test)
    _log_to_stderr(quiet=quiet)
    server = Server(create_app(loaded, limits), host, port, trusted_proxy)
    signal.signal(signal.SIGTERM, _end)
    if not loaded:
        click.echo(f"No run in {home.runs}: the page says how to make one.", err=True)
    click.echo(f"{', '.join(loaded) or 'No model'} at {server.address} (Ctrl+C stops)")
    sys.stdout.flush()  # whoever started it through a pipe waits for this line
    server.run()


def _load(
    home: Home, names: tuple[str, ...], *, device: str, flip_test: bool
) -> dict[str, LoadedModel]:
    """Open and try the models that were asked for; by default the newest run in home."""
    from handbench.predictors.opening import open_predictor
    from handbench.web.models import load, newest_run, warm_up

    newest = None if names else newest_run(home)
    places = [home.model(name) for name in names] or ([str(newest)] if newest else [])
    predictors = [
        open_predictor(place, device=device, flip_test=flip_test, once=True) for place in places
    ]
    loaded = load(predictors)
    warm_up(loaded)
    return loaded


def _require_packages() -> None:
    """Say what to install if the extra is missing."""
    import importlib.util

    from handbench.errors import MissingExtraError

    for package in ("flask", "waitress"):
        if importlib.util.find_spec(package) is None:
            raise MissingExtraError(package, "web", "handbench serve")


def _log_to_stderr(*, quiet: bool) -> None:
    import logging
    import warnings

    # Pillow warns of odd files of visitors, which are no news to whoever runs the server.
    warnings.filterwarnings("ignore", module="PIL")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%Y-%m-%dT%H:%M:%S"))
    log = logging.getLogger("handbench.web")
    log.handlers = [handler]
    log.setLevel(logging.WARNING if quiet else logging.INFO)
    log.propagate = False


def _end(number: int, frame: FrameType | None) -> None:
    raise SystemExit(0)
