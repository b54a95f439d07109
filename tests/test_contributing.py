"""The worked example of CONTRIBUTING.md: its five pieces are all that a new dataset needs."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
PIECE = re.compile(r"^`(?P<path>[\w./]+)`\n\n```\w+\n(?P<text>.*?)^```", re.MULTILINE | re.DOTALL)
COPIED = ("handbench", "manifests", "tests", "docs", "pyproject.toml", "CHANGELOG.md")


def pieces() -> dict[str, str]:
    page = (REPOSITORY / "CONTRIBUTING.md").read_text("utf-8")
    return {found["path"]: found["text"] for found in PIECE.finditer(page)}


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project with the example's pieces in their places."""
    folder = tmp_path_factory.mktemp("contributing")
    for name in COPIED:
        path = REPOSITORY / name
        if path.is_dir():
            shutil.copytree(path, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(path, folder / name)
    for name, text in pieces().items():
        path = folder / name
        if path.exists():
            text = path.read_text("utf-8") + text
        path.write_text(text, "utf-8")
    return folder


def test_the_pieces_are_the_five_places_but_the_page_that_is_made() -> None:
    assert list(pieces()) == [
        "manifests/waving.toml",
        "handbench/sources/waving.py",
        "tests/generators/waving.py",
        "CHANGELOG.md",
    ]


@pytest.mark.slow
def test_the_example_passes_the_contract(copy: Path) -> None:
    done = run(copy, "-m", "pytest", "tests/test_contract_datasets.py", "-q", "-k", "waving")
    assert done.returncode == 0, done.stdout + done.stderr
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None
    assert int(passed[1]) >= 15
    assert "skipped" not in done.stdout


@pytest.mark.slow
def test_the_contract_notices_a_wrong_joint_order(copy: Path) -> None:
    # Otherwise the test above would say nothing.
    path = copy / "manifests" / "waving.toml"
    text = path.read_text("utf-8")
    try:
        path.write_text(
            re.sub(r"joint_order = .*", f"joint_order = {list(range(21))}", text), "utf-8"
        )
        done = run(copy, "-m", "pytest", "tests/test_contract_datasets.py", "-q", "-k", "waving")
    finally:
        path.write_text(text, "utf-8")
    assert done.returncode == 1
    assert "chain order" in done.stdout


@pytest.mark.slow
def test_the_docs_and_the_command_line_know_it(copy: Path) -> None:
    done = run(copy, "tests/tools/make_datasets_reference.py")
    assert done.returncode == 0, done.stderr
    page = (copy / "docs" / "datasets.md").read_text("utf-8")
    assert "[`waving`](#waving-an-imaginary-set-of-greetings)" in page
    listed = run(copy, "-m", "handbench", "datasets")
    assert "Waving: an imaginary set of greetings" in listed.stdout


def test_the_example_is_written_as_the_project_is(copy: Path) -> None:
    for name in pieces():
        if name.endswith(".py"):
            for words in (("check",), ("format", "--check")):
                done = run(copy, "-m", "ruff", *words, name)
                assert done.returncode == 0, f"{name}: {done.stdout}{done.stderr}"
