"""Write docs/cli.md from the commands' own help: run after changing an option.

python tests/tools/make_cli_reference.py
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from handbench.cli import cli

TARGET = Path(__file__).resolve().parents[2] / "docs" / "cli.md"
HEAD = """# Command line

Generated from `--help` by `tests/tools/make_cli_reference.py`; a test fails when it is out of date.
"""


def commands(command: click.Command, parent: click.Context | None, name: str) -> Iterator[str]:
    # A fixed width: the page must not depend on the terminal it was made in.
    context = click.Context(command, info_name=name, parent=parent, **command.context_settings)
    context.terminal_width = context.max_content_width = 90
    path = context.command_path
    yield f"## `{path}`\n\n```text\n{command.get_help(context)}\n```\n"
    if isinstance(command, click.Group):
        for child in command.list_commands(context):
            found = command.get_command(context, child)
            if found is not None:
                yield from commands(found, context, child)


def reference() -> str:
    return "\n".join([HEAD, *commands(cli, None, "handbench")])


if __name__ == "__main__":
    TARGET.write_text(reference(), encoding="utf-8")
    print(TARGET)
