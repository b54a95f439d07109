from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from generators.freihand import FakeFreiHAND, zip_freihand
from generators.server import FileServer

from handbench.cli import cli
from handbench.errors import HandbenchError
from handbench.hdf5.reader import HandFile
from handbench.sources import download as downloads
from handbench.sources import manifest

FIRST, SECOND = "FreiHAND_pub_v2.zip", "FreiHAND_pub_v2_eval.zip"


@pytest.fixture(scope="module")
def archives(fake_freihand: FakeFreiHAND, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return list(zip_freihand(fake_freihand, tmp_path_factory.mktemp("archives")))


@pytest.fixture
def server(archives: list[Path]) -> Iterator[FileServer]:
    with FileServer({path.name: path.read_bytes() for path in archives}) as running:
        yield running


@pytest.fixture
def manifests(
    server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """The real manifests, with freihand's archives on our server and `formed` behind a form."""
    folder = tmp_path / "manifests"
    folder.mkdir()
    for path in manifest.folder().iterdir():
        folder.joinpath(path.name).write_bytes(path.read_bytes())
    text = (folder / "freihand.toml").read_text(encoding="utf-8")
    for archive in manifest.load("freihand").archives:
        text = text.replace(archive.url, server.url(archive.file))
        text = text.replace(str(archive.size_bytes), str(len(server.files[archive.file])))
    (folder / "freihand.toml").write_text(text, encoding="utf-8")
    for name, hidden in (("formed", (FIRST, SECOND)), ("half", (SECOND,))):
        behind = text.replace('name = "freihand"', f'name = "{name}"')
        for file in hidden:
            behind = behind.replace(f'url = "{server.url(file)}"\n', "")
        (folder / f"{name}.toml").write_text(behind, encoding="utf-8")
    monkeypatch.setattr(manifest, "folder", lambda: folder)
    monkeypatch.setattr(downloads, "_PAUSE_S", 0)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    manifest.load.cache_clear()
    yield folder
    manifest.load.cache_clear()


@pytest.fixture
def home(tmp_path: Path, manifests: Path) -> Path:
    return tmp_path / "home"


def run(home: Path, *arguments: object) -> Result:
    return CliRunner().invoke(cli, ["--home", str(home), *map(str, arguments)])


def failed(result: Result) -> str:
    assert isinstance(result.exception, HandbenchError), result.output
    assert result.exit_code == 1
    return str(result.exception)


@pytest.mark.parametrize("name", manifest.names())
def test_addresses_lead_to_files_and_not_to_pages(name: str):
    for archive in manifest.load(name).archives:
        assert not archive.url or archive.url.endswith(f"/{archive.file}")


def test_nothing_is_fetched_before_the_terms_are_accepted(home: Path, server: FileServer):
    result = run(home, "download", "freihand")
    facts = manifest.load("freihand")
    assert f"read the terms at {facts.license_url} and add --accept-terms" in failed(result)
    for told in (facts.license, facts.license_url, str(home / "raw" / "freihand"), "free there"):
        assert told in result.stdout
    for archive in facts.archives:
        assert archive.file in result.stdout and archive.url in result.stdout
    assert server.asked == [] and not home.exists()


def test_what_was_fetched_is_what_convert_takes(home: Path, server: FileServer):
    result = run(home, "download", "freihand", "--accept-terms")
    assert result.exit_code == 0, repr(result.exception)
    raw = home / "raw" / "freihand"
    assert result.stdout.splitlines() == [
        f"{raw / FIRST}: fetched, size checked",
        f"{raw / SECOND}: fetched, size checked",
    ]
    assert result.stderr == ""  # no bar where stderr is no terminal
    assert sorted(path.name for path in raw.iterdir()) == [FIRST, SECOND]

    converted = run(home, "convert", "freihand", "--size", 32)
    assert converted.exit_code == 0, repr(converted.exception)
    with HandFile(home / "datasets" / "freihand-subset.h5") as file:
        assert file["test"][0].keypoints_3d is not None  # labels of the second archive
    shown = json.loads(run(home, "datasets", "freihand", "--json").stdout)["on_disk"]
    assert [archive["whole"] for archive in shown["archives"]] == [True, True]
    assert shown["converted"][0]["rows"]["test"] > 0


def test_a_second_call_fetches_nothing_and_needs_no_acceptance(home: Path, server: FileServer):
    run(home, "download", "freihand", "--accept-terms")
    asked = len(server.asked)
    result = run(home, "download", "freihand")
    assert result.exit_code == 0
    assert result.stdout.count("was already here, size checked") == 2
    assert len(server.asked) == asked


def test_one_file_into_another_folder(home: Path, server: FileServer, tmp_path: Path):
    out = tmp_path / "elsewhere"
    arguments = ("download", "freihand", "--file", SECOND, "--to", out)
    (out).mkdir()
    (out / f"{SECOND}.part").write_bytes(server.files[SECOND][:1000])
    assert "1.00kB of it already here" in run(home, *arguments).stdout
    assert run(home, *arguments, "--accept-terms").exit_code == 0
    assert [path.name for path in out.iterdir()] == [SECOND]
    assert server.asked == [(SECOND, "bytes=1000-")]


def test_an_unknown_file_is_wrong_usage(home: Path):
    result = run(home, "download", "freihand", "--file", "FreiHAND.zip")
    assert result.exit_code == 2
    assert f"it has {FIRST}, {SECOND}" in " ".join(result.stderr.split())


def test_archives_behind_a_form_are_named_with_page_and_folder(home: Path, server: FileServer):
    result = run(home, "download", "formed", "--accept-terms")
    facts, raw = manifest.load("formed"), home / "raw" / "formed"
    assert f"get it at {facts.homepage} and put it into {raw}" in failed(result)
    for told in (FIRST, SECOND, facts.homepage, str(raw), "Accept the terms on the download page"):
        assert told in result.stdout
    assert server.asked == []

    raw.mkdir(parents=True)
    for file in (FIRST, SECOND):
        (raw / file).write_bytes(server.files[file])
    assert run(home, "download", "formed").exit_code == 0


def test_what_may_be_fetched_is_and_the_rest_is_named(home: Path, server: FileServer):
    result = run(home, "download", "half")
    assert "to get by hand" in result.stdout
    result = run(home, "download", "half", "--accept-terms")
    assert failed(result).startswith(f"{SECOND}: no program may fetch this")
    assert [path.name for path in (home / "raw" / "half").iterdir()] == [FIRST]
    assert server.asked == [(FIRST, None)]


@pytest.mark.parametrize(("name", "told"), [("sample", "handbench sample"), ("coco", "Any COCO")])
def test_nothing_to_fetch(home: Path, name: str, told: str):
    message = failed(run(home, "download", name))
    assert message.startswith(f"{name} has no archives to fetch. ") and told in message


def test_a_full_disk_is_seen_before_the_first_byte(
    home: Path, server: FileServer, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(downloads, "free_bytes", lambda folder: 1000)
    message = failed(run(home, "download", "freihand", "--accept-terms"))
    needed = sum(map(len, server.files.values()))
    assert f"expected {needed:,} bytes free" in message and "found 1,000" in message
    assert server.asked == []


def test_a_file_of_another_size_is_the_users(home: Path, server: FileServer):
    raw = home / "raw" / "freihand"
    raw.mkdir(parents=True)
    (raw / FIRST).write_bytes(b"mine")
    message = failed(run(home, "download", "freihand", "--accept-terms"))
    assert "found 4 bytes: move it away or remove it" in message
    assert (raw / FIRST).read_bytes() == b"mine"
    assert server.asked == []


def test_the_real_command_line_says_one_sentence(tmp_path: Path):
    # The manifests as they ship; nothing is fetched without --accept-terms.
    command = [sys.executable, "-m", "handbench", "--home", str(tmp_path), "download", "freihand"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("Error: nothing was fetched: read the terms at https://")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "raw").exists()
