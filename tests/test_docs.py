"""Every command and every Python block in the docs runs, or says beside it why not."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
PAGES = sorted([REPOSITORY / "README.md", *(REPOSITORY / "docs").glob("*.md")])
BLOCK = re.compile(
    r"^```(?P<kind>\w+)\n(?P<text>.*?)^```\n(?P<reason>\s*<!-- not run by the tests: .+? -->)?",
    re.MULTILINE | re.DOTALL,
)


@dataclass
class Block:
    page: Path
    kind: str
    text: str
    reason: str | None


def blocks(page: Path) -> list[Block]:
    return [
        Block(page, found["kind"], found["text"], found["reason"])
        for found in BLOCK.finditer(page.read_text(encoding="utf-8"))
    ]


def runnable(page: Path) -> list[Block]:
    return [b for b in blocks(page) if b.kind in ("sh", "python") and not b.reason]


def handbench(line: str, folder: Path) -> None:
    words = shlex.split(line, comments=True)
    assert words[0] == "handbench", f"only handbench commands can be run: {line}"
    done = subprocess.run(
        [sys.executable, "-m", "handbench", "--home", str(folder / "home"), *words[1:]],
        cwd=folder,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the pages take for granted: hands/, hands.h5, a run and its predictions."""
    folder = tmp_path_factory.mktemp("docs")
    for line in (
        "handbench sample hands --count 16 --size 64",
        "handbench convert sample --source hands --out hands.h5 --size 64",
        "handbench train baseline --data hands.h5 --out runs/hands --depth 18 --epochs 1 "
        "--batch-size 16",
        "handbench predict runs/hands --data hands.h5 -o preds.json",
        "handbench predict untrained --data hands.h5 -o other.json",
    ):
        handbench(line, folder)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(
    "page", [p for p in PAGES if runnable(p)], ids=lambda p: str(p.relative_to(REPOSITORY))
)
def test_blocks_run(page: Path, workshop: Path, tmp_path: Path) -> None:
    for name in ("hands", "hands.h5", "runs", "preds.json", "other.json"):
        (tmp_path / name).symlink_to(workshop / name)
    for block in runnable(page):
        if block.kind == "python":
            done = subprocess.run(
                [sys.executable, "-c", block.text], cwd=tmp_path, capture_output=True, text=True
            )
            assert done.returncode == 0, f"{block.text}\n{done.stderr}"
            continue
        text = block.text.replace("\\\n", " ")
        for line in filter(None, map(str.strip, text.splitlines())):
            # A page may make afresh what it also takes for granted.
            for made in re.findall(r"(?:sample|--out|-o) (hands\S*|preds\.json)", line):
                (tmp_path / made).unlink(missing_ok=True)
            handbench(line, tmp_path)


def test_there_is_something_to_run() -> None:
    assert sum(len(runnable(page)) for page in PAGES) >= 5


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(REPOSITORY)))
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    targets = re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", text)
    targets += re.findall(r'(?:src|srcset)="(?!https?:)([^"]+)"', text)
    missing = [t for t in targets if not (page.parent / t).exists()]
    assert not missing


def test_cli_reference_is_current() -> None:
    from tools.make_cli_reference import TARGET, reference

    assert TARGET.read_text(encoding="utf-8") == reference(), (
        "run python tests/tools/make_cli_reference.py"
    )


def test_datasets_page_is_current() -> None:
    from tools.make_datasets_reference import TARGET, refreshed

    page = TARGET.read_text(encoding="utf-8")
    assert refreshed(page) == page, "run python tests/tools/make_datasets_reference.py"


def test_a_new_manifest_gets_a_section_and_a_row() -> None:
    from tools import make_datasets_reference as maker

    page = maker.TARGET.read_text(encoding="utf-8")
    name = maker.names()[0]
    without = page.replace(maker.marker(name), "")
    added = maker.refreshed(without)
    title = maker.load(name).title
    assert f"\n## {title}\n\n{maker.marker(name)}" in added
    assert f"[`{name}`](#{maker.anchor(added, name)})" in added
    assert maker.refreshed(added) == added


def test_every_command_has_help_and_every_option_too() -> None:
    import click

    from handbench.cli import cli

    def walk(command: click.Command, context: click.Context) -> None:
        assert command.help, context.command_path
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                assert parameter.help, f"{context.command_path} {parameter.opts}"
        if isinstance(command, click.Group):
            for name in command.list_commands(context):
                child = command.get_command(context, name)
                assert child is not None
                walk(child, click.Context(child, info_name=name, parent=context))

    walk(cli, click.Context(cli, info_name="handbench"))
