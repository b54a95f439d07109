"""What the docs and the Dockerfile say of `serve` is true of the command."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tomllib
import urllib.request
from pathlib import Path

import click
import pytest
from web_pictures import jpeg

from handbench.cli import cli
from handbench.cli.serve import serve
from handbench.web.problems import CODES

REPOSITORY = Path(__file__).resolve().parents[2]
DOCS = {name: (REPOSITORY / "docs" / name).read_text("utf-8") for name in ("serve.md", "deploy.md")}
DOCKERFILE = (REPOSITORY / "Dockerfile").read_text("utf-8")


def written_commands() -> list[str]:
    """Every `handbench serve …` of the docs."""
    found = [
        line.strip()
        for text in DOCS.values()
        for line in text.replace("\\\n", " ").splitlines()
        if re.match(r"(ExecStart=\S*/)?handbench serve", line.strip())
    ]
    return [re.sub(r"^ExecStart=\S*/", "", line) for line in found]


def parsed(words: list[str]) -> dict[str, object]:
    with serve.make_context("serve", words, resilient_parsing=False) as context:
        return context.params


@pytest.mark.parametrize("line", written_commands())
def test_the_options_in_the_docs_exist(line: str) -> None:
    words = shlex.split(line)
    assert words[:2] == ["handbench", "serve"]
    assert parsed(words[2:])["models"]


def test_there_are_commands_to_check() -> None:
    assert len(written_commands()) >= 3


def test_options_named_in_the_docs_exist() -> None:
    known = {option for p in serve.params if isinstance(p, click.Option) for option in p.opts}
    # Of pip, useradd, docker and python, which the pages also call.
    others = {
        *("--home-dir", "--system", "--create-home", "--rm", "--read-only", "--tmpfs", "--memory"),
        *("--cap-drop", "--security-opt", "--memory-swap", "--data-binary"),
    }
    for name, text in DOCS.items():
        named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text))
        assert named - others <= known, name


def test_the_defaults_in_the_docs_are_those_of_the_command() -> None:
    text = DOCS["deploy.md"]
    values = parsed([])
    assert "| 1 MB, 24 million pixels |" in text
    assert (values["max_mb"], values["max_megapixels"]) == (1.0, 24.0)
    assert "| 2, 32 |" in text
    assert (values["workers"], values["queue"]) == (2, 32)
    assert "| 15 s |" in text
    assert values["timeout"] == 15.0
    assert values["host"] == "127.0.0.1"


def test_every_code_of_a_refusal_is_in_the_docs() -> None:
    table = DOCS["serve.md"]
    rows = dict(re.findall(r"^\| ([\d, ]+) \| (.+) \|$", table, re.MULTILINE))
    for code, status in CODES.items():
        if code in ("internal", "headers_too_large", "not_implemented"):
            continue
        (row,) = (words for statuses, words in rows.items() if str(status) in statuses)
        assert f"`{code}`" in row, code


@pytest.mark.slow
def test_the_server_of_the_docs_answers_and_stops(tmp_path: Path) -> None:
    # The real command, with a network, asked as the curl lines of docs/serve.md ask.
    command = [sys.executable, "-m", "handbench", "--home", str(tmp_path), "serve", "untrained"]
    process = subprocess.Popen(
        [*command, "--port", "0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.fullmatch(r"(\S+) at (http://127\.0\.0\.1:\d+/) \(Ctrl\+C stops\)\n", line)
        assert found is not None, line
        address = found[2] + "api/v1/predict"
        request = urllib.request.Request(  # noqa: S310 - our own server
            f"{address}?model={found[1]}", jpeg(), {"Content-Type": "image/jpeg"}
        )
        with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310
            assert response.status == 200
            assert b'"keypoints"' in response.read()
        process.terminate()
        _, log = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0
    assert re.search(r"^\S+ [0-9a-f]{16} POST /api/v1/predict 200 \d+ ms -$", log, re.MULTILINE)
    assert list(tmp_path.iterdir()) == [], "it has written something"


def instructions() -> list[tuple[str, str]]:
    """(word, rest) of the Dockerfile's lines."""
    joined = re.sub(r"\\\n\s*", " ", re.sub(r"^#.*\n", "", DOCKERFILE, flags=re.MULTILINE))
    return [tuple(line.split(" ", 1)) for line in joined.splitlines() if line]  # type: ignore[misc]


def test_the_dockerfile_copies_what_the_wheel_needs() -> None:
    copied = {name for word, rest in instructions() if word == "COPY" for name in rest.split()[:-1]}
    assert all((REPOSITORY / name).exists() for name in copied)
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    needed = {*wheel["packages"], *wheel["force-include"], project["project"]["readme"]}
    assert {*needed, *project["project"]["license-files"], "pyproject.toml"} <= copied
    assert "web" in project["project"]["optional-dependencies"]
    assert "[web]" in DOCKERFILE


def test_the_dockerfile_starts_a_command_that_exists() -> None:
    words = {
        word: [part.strip().strip('"') for part in rest.strip("[]").split(",")]
        for word, rest in instructions()
        if word in ("ENTRYPOINT", "CMD")
    }
    assert words["ENTRYPOINT"] == ["handbench", "serve"]
    context = click.Context(cli)
    assert cli.get_command(context, words["ENTRYPOINT"][1]) is serve
    values = parsed(words["CMD"])
    (exposed,) = (rest for word, rest in instructions() if word == "EXPOSE")
    assert values["port"] == int(exposed)
    assert values["host"] == "0.0.0.0"  # noqa: S104 - inside a container
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))
    assert "handbench" in project["project"]["scripts"]


def test_the_dockerfile_runs_as_somebody_without_rights_and_asks_for_its_health() -> None:
    found = instructions()
    (user,) = (rest for word, rest in found if word == "USER")
    assert f"useradd --create-home --uid 10001 {user}" in DOCKERFILE
    (health,) = (rest for word, rest in found if word == "HEALTHCHECK")
    script = re.search(r'"(import .+)"\]', health)
    assert script is not None
    compile(script[1], "healthcheck", "exec")
    order = [word for word, _ in found]
    assert order.index("USER") < order.index("ENTRYPOINT")
