"""The real command line: exit codes, streams, help, suggestions."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from handbench import __version__
from handbench.cli import cli


def run(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "handbench", *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
    )


def commands() -> list[tuple[str, click.Command]]:
    """(full name, command) of every command and subcommand."""
    context = click.Context(cli)
    found: list[tuple[str, click.Command]] = []

    def walk(prefix: str, group: click.Group) -> None:
        for name in group.list_commands(context):
            command = group.get_command(context, name)
            assert command is not None
            found.append((f"{prefix}{name}", command))
            if isinstance(command, click.Group):
                walk(f"{prefix}{name} ", command)

    walk("", cli)
    return found


COMMANDS = commands()


@pytest.mark.parametrize(("name", "command"), COMMANDS, ids=[name for name, _ in COMMANDS])
def test_every_command_and_every_option_has_help(name: str, command: click.Command):
    assert command.help
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{name} {parameter.opts[0]} has no help"
    shown = CliRunner().invoke(cli, [*name.split(), "--help"])
    assert shown.exit_code == 0
    assert "Usage: " in shown.stdout


def test_help_lists_every_command_and_loads_nothing_heavy():
    done = run("--help")
    assert done.returncode == 0
    assert done.stderr == ""
    names = [name for name, _ in COMMANDS if " " not in name]
    assert all(f"  {name} " in done.stdout for name in names)


def test_the_one_line_of_a_command_fits_its_help():
    # The list of commands is written by hand so that nothing is imported for it.
    from handbench.cli import _COMMANDS

    assert set(_COMMANDS) == {name for name, _ in COMMANDS if " " not in name}
    assert all(line.endswith(".") for line in _COMMANDS.values())


def test_version():
    assert run("--version").stdout == f"handbench, version {__version__}\n"


def test_success_writes_to_stdout_only(freihand_file: Path):
    done = run("verify", freihand_file)
    assert (done.returncode, done.stderr) == (0, "")
    assert "  kept    24  train\n  kept     8  val\n" in done.stdout


def test_failure_is_one_sentence_on_stderr(tmp_path: Path):
    done = run("inspect", tmp_path / "none.h5")
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("Error: expected a handbench HDF5 file at ")
    assert done.stderr.count("\n") == 1


def test_debug_shows_the_traceback(tmp_path: Path):
    done = run("--debug", "inspect", tmp_path / "none.h5")
    assert done.returncode == 1
    assert "Traceback (most recent call last)" in done.stderr
    assert "handbench.errors.FormatError: expected a handbench HDF5 file" in done.stderr


def test_an_error_of_the_system_is_one_sentence_too(tmp_path: Path, freihand_file: Path):
    # `inspect` of a folder: HDF5 cannot open it.
    done = run("inspect", tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("Error: ")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["convrt"], "No such command 'convrt'. Did you mean 'convert'?"),
        (["zzz"], "No such command 'zzz'."),
        (["convert"], "Missing argument 'DATASET'"),
        (["convert", "freihand", "--size", "big"], "'big' is not a valid integer"),
        (["--home"], "requires an argument"),
    ],
)
def test_wrong_usage_exits_with_2(arguments: list[str], message: str):
    done = CliRunner().invoke(cli, arguments)
    assert done.exit_code == 2
    assert done.stdout == ""
    assert message in done.stderr


def test_a_near_option_is_suggested():
    done = CliRunner().invoke(cli, ["convert", "freihand", "--sise", "64"])
    assert done.exit_code == 2
    # Click words this differently from release to release.
    assert "--sise" in done.stderr
    assert "--size" in done.stderr


def test_a_near_command_is_suggested():
    done = run("verfy", "x.h5")
    assert done.returncode == 2
    assert "Did you mean 'verify'?" in done.stderr


def test_home_comes_from_option_then_environment(tmp_path: Path):
    runner = CliRunner()
    (tmp_path / "a" / "raw" / "freihand").mkdir(parents=True)
    asked = ["datasets", "freihand", "--json"]
    with_option = runner.invoke(cli, ["--home", str(tmp_path / "a"), *asked])
    with_variable = runner.invoke(cli, asked, env={"HANDBENCH_HOME": str(tmp_path / "a")})
    elsewhere = runner.invoke(cli, asked, env={"HANDBENCH_HOME": str(tmp_path / "b")})
    assert str(tmp_path / "a") in with_option.stdout
    assert with_option.stdout == with_variable.stdout
    assert str(tmp_path) not in elsewhere.stdout
    assert not (tmp_path / "b").exists()  # looking makes no folders


def test_a_closed_pipe_is_no_traceback():
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "handbench", "datasets", "freihand"],
        stdout=write,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(write)
    assert done.stderr == ""
