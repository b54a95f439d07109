"""The command line. Commands are loaded when they are called, so that ``--help`` stays quick."""

from __future__ import annotations

import importlib
import io
import sys
from pathlib import Path

import click

from handbench import __version__
from handbench.errors import HandbenchError
from handbench.home import Home

_COMMANDS = {
    "quickstart": "Try everything: sample, convert, train, predict, evaluate, report.",
    "datasets": "List the datasets handbench knows, or one in full.",
    "download": "Fetch the archives of a dataset, or say where to get them.",
    "sample": "Write a synthetic hand dataset in the FreiHAND layout.",
    "convert": "Turn a raw dataset into one HDF5 file.",
    "merge": "Join converted files to one training set without a copy.",
    "verify": "Check a converted file or a raw source; exit 1 when something is wrong.",
    "inspect": "Print the facts of a converted file.",
    "show": "Draw a contact sheet of samples, of the worst predictions, or of a raw source.",
    "train": "Train the reference baseline.",
    "import-weights": "Turn weights of Simple Baselines or MMPose into a checkpoint.",
    "predict": "Run a model over a split or a folder of pictures.",
    "live": "Run a model on a camera, a video or a folder of images, and watch.",
    "serve": "Show a page that finds the points of a hand in a photo, and answer over REST.",
    "evaluate": "Score prediction files; print a table, write a report.",
    "results": "Print, draw and check results files: tables and figures for papers.",
    "cite": "Print the BibTeX of everything a result used.",
    "leaderboard": "Write a static site from results JSON, with published numbers beside them.",
    "deposit": "Write predictions as small files to keep beside results.",
    "export": "Write a converted file, predictions or a model in the layout of others.",
    "bench": "Measure the speed of this machine, or the latency of a model.",
    "doctor": "Describe the installation, for a bug report.",
}
"""Name → one line. Each command is the click command of that name in its own module; a hyphen is an
underscore there."""


class _LazyCommands(click.Group):
    """Lists commands without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        name = cmd_name.replace("-", "_")
        module = importlib.import_module(f"handbench.cli.{name}")
        command: click.Command = getattr(module, name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in _COMMANDS and not args[0].startswith("-"):
            import difflib

            near = difflib.get_close_matches(args[0], _COMMANDS, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            ctx.fail(f"No such command {args[0]!r}.{hint}")
        return super().resolve_command(ctx, args)


@click.group(cls=_LazyCommands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="handbench")
@click.option(
    "--home",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for raw data, datasets, runs and results.  [default: $HANDBENCH_HOME, else the "
    "platform's user data directory]",
)
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.pass_context
def cli(ctx: click.Context, home: Path | None, debug: bool) -> None:
    """Prepare hand-pose datasets and compare hand-pose models.

    The way of the data: raw dataset → convert → train → predict → evaluate → report. Results go to
    stdout, progress to stderr. Exit code 0: success; 1: a task failed; 2: wrong usage.
    """
    ctx.obj = Home.find(home)


def main() -> None:
    """Entry point: one sentence on stderr and exit 1 where a task fails."""
    debug = "--debug" in sys.argv[1:]
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and not stream.isatty():
            # Windows would write to pipes and files in a code page that lacks × and ≤.
            stream.reconfigure(encoding="utf-8")
    try:
        cli(prog_name="handbench")
    except Exception as error:
        if debug:
            raise
        click.echo(f"Error: {_sentence(error)}", err=True)
        sys.exit(1)


def _sentence(error: Exception) -> str:
    if isinstance(error, HandbenchError):
        return str(error)
    if isinstance(error, OSError):
        # A reader of our output that went away (`| head`) does not come here: click ends quietly.
        place = f" ({error.filename})" if error.filename else ""
        return f"{error.strerror or error}{place}"
    return (
        f"handbench did not expect this: {type(error).__name__}: {error}. It is a bug of ours; "
        "`handbench --debug …` shows where, please report it"
    )
