"""``handbench serve``: what it loads, what it says, what it refuses."""

from __future__ import annotations

import importlib.util
import socket
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from handbench.cli import cli
from handbench.errors import HandbenchError, MissingExtraError
from handbench.home import BEST
from handbench.models.checkpoint import save_model, untrained_model
from handbench.web.server import Server


@pytest.fixture(autouse=True)
def _not_for_ever(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The server is made and closed; nobody is served."""
    made: list[Any] = []

    def run(self: Server) -> None:
        made.append(self._service)
        self._listener.close()
        self._listener.task_dispatcher.shutdown()
        self._service.pool.close()

    monkeypatch.setattr(Server, "run", run)
    monkeypatch.setattr("signal.signal", lambda *_: None)
    monkeypatch.setattr("handbench.cli.serve._log_to_stderr", lambda **_: None)
    return made


def serve(*words: object) -> Result:
    return CliRunner().invoke(cli, ["serve", "--port", "0", *map(str, words)])


def write_run(folder: Path, name: str) -> Path:
    folder.mkdir(parents=True)
    model = untrained_model(size=64)
    save_model(folder / BEST, type(model)(model.network, 64, model.codec, name, ("made/train",)))
    return folder


def test_the_newest_run_of_the_home_folder_is_taken(
    tmp_path: Path, _not_for_ever: list[Any]
) -> None:
    write_run(tmp_path / "runs" / "mine", "mine")
    done = CliRunner().invoke(cli, ["--home", str(tmp_path), "serve", "--port", "0"])
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("mine at http://127.0.0.1:")
    (service,) = _not_for_ever
    assert service.models["mine"].trained_on == "made/train"


def test_several_models_and_limits(tmp_path: Path, _not_for_ever: list[Any]) -> None:
    run = write_run(tmp_path / "other", "other")
    options = ("--max-mb", 2.5, "--max-megapixels", 3, "--queue", 5, "--rate-limit", 9)
    done = serve(run, run, *options)
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("other, other-2 at ")
    (service,) = _not_for_ever
    limits = service.limits
    assert (limits.max_bytes, limits.max_pixels) == (2_500_000, 3_000_000)
    assert (limits.queue, limits.per_minute, limits.timeout_s) == (5, 9, 15.0)


def test_without_a_run_it_starts_and_says_so() -> None:
    done = serve()
    assert done.exit_code == 0, done.output
    assert "No run in" in done.stderr
    assert done.stdout.startswith("No model at ")


def test_a_model_that_does_not_exist() -> None:
    done = serve("runs/no-such-run")
    assert isinstance(done.exception, HandbenchError)
    assert "runs/no-such-run" in str(done.exception)


def test_a_port_that_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = serve("--port", taken.getsockname()[1])
    assert isinstance(done.exception, HandbenchError)
    assert "choose another --host or --port" in str(done.exception)


@pytest.mark.parametrize("package", ["flask", "waitress"])
def test_a_missing_extra_has_its_install_command(
    package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *more: None if name == package else real(name, *more),
    )
    done = serve()
    assert isinstance(done.exception, MissingExtraError)
    assert "pip install 'handbench[web]'" in str(done.exception)


@pytest.mark.parametrize("words", [("--port", 70_000), ("--queue", 0), ("--max-mb", 0)])
def test_options_out_of_range(words: tuple[object, ...]) -> None:
    assert serve(*words).exit_code == 2
