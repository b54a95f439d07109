"""Downloads from a server on 127.0.0.1 that breaks off, lies, refuses and dawdles."""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from generators.server import FileServer, Manner

from handbench.errors import HandbenchError
from handbench.sources import download
from handbench.sources.download import check_local, check_room, fetch, local
from handbench.sources.manifest import Archive

BODY = np.random.default_rng(0).bytes(300_000)
SHA256 = hashlib.sha256(BODY).hexdigest()


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "_PAUSE_S", 0)
    monkeypatch.setattr(download, "_CHUNK_BYTES", 10_000)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def server() -> Iterator[FileServer]:
    with FileServer({"hands.zip": BODY}) as running:
        yield running


def archive(
    server: FileServer, size_bytes: int = len(BODY), sha256: str = SHA256, name: str = "hands.zip"
) -> Archive:
    return Archive(name, size_bytes, server.url(name), sha256)


def failure(one: Archive, folder: Path) -> str:
    with pytest.raises(HandbenchError) as caught:
        fetch(one, folder)
    assert not (folder / one.file).exists()
    return str(caught.value)


def left_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# --- what goes well ------------------------------------------------------------------------------


@pytest.mark.parametrize("sha256", [SHA256, ""], ids=["hash", "size alone"])
def test_a_file_arrives_whole_and_alone(server: FileServer, tmp_path: Path, sha256: str):
    path = fetch(archive(server, sha256=sha256), tmp_path / "raw" / "hands")
    assert path.read_bytes() == BODY
    assert left_in(path.parent) == ["hands.zip"]
    assert server.asked == [("hands.zip", None)]


@pytest.mark.parametrize("tells_length", [True, False])
def test_a_broken_connection_is_resumed_where_it_broke(
    server: FileServer, tmp_path: Path, tells_length: bool
):
    server.manners = [
        Manner(break_after=100_000, tells_length=tells_length),
        Manner(break_after=50_000),
    ]
    assert fetch(archive(server), tmp_path).read_bytes() == BODY
    assert [asked for _, asked in server.asked] == [None, "bytes=100000-", "bytes=150000-"]
    assert left_in(tmp_path) == ["hands.zip"]


def test_what_arrived_is_kept_for_the_next_call(server: FileServer, tmp_path: Path):
    server.manners = [Manner(break_after=100_000), *[Manner(status=503)] * 5]
    message = failure(archive(server), tmp_path)
    assert "the server answers 503" in message and "run the command again to go on" in message
    assert "at 100,000 of 300,000 bytes, 5 times in a row" in message
    assert left_in(tmp_path) == ["hands.zip.part"]
    found = local(archive(server), tmp_path)
    assert (found.found_bytes, found.part_bytes, found.missing_bytes) == (None, 100_000, 200_000)

    server.asked.clear()
    assert fetch(archive(server), tmp_path).read_bytes() == BODY
    assert server.asked == [("hands.zip", "bytes=100000-")]
    assert left_in(tmp_path) == ["hands.zip"]


def test_a_server_that_ignores_ranges_sends_all_again(server: FileServer, tmp_path: Path):
    server.manners = [Manner(break_after=100_000), Manner(ignores_range=True)]
    assert fetch(archive(server), tmp_path).read_bytes() == BODY
    assert [asked for _, asked in server.asked] == [None, "bytes=100000-"]


def test_a_slow_server_is_waited_for(server: FileServer, tmp_path: Path):
    server.manners = [Manner(piece_bytes=30_000, pause_s=0.02)]
    assert fetch(archive(server), tmp_path).read_bytes() == BODY
    assert len(server.asked) == 1


def test_a_server_that_falls_silent_is_asked_again(
    server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(download, "_TIMEOUTS_S", (5, 0.2))
    server.manners = [Manner(piece_bytes=10_000, pause_s=1.0)]
    assert fetch(archive(server), tmp_path).read_bytes() == BODY
    assert [asked for _, asked in server.asked] == [None, "bytes=10000-"]


def test_a_part_that_is_whole_already_needs_no_server(server: FileServer, tmp_path: Path):
    (tmp_path / "hands.zip.part").write_bytes(BODY)
    assert fetch(archive(server), tmp_path).read_bytes() == BODY
    assert server.asked == []


def test_a_part_that_is_too_long_is_thrown_away(server: FileServer, tmp_path: Path):
    (tmp_path / "hands.zip.part").write_bytes(BODY + b"of another version")
    assert fetch(archive(server), tmp_path).read_bytes() == BODY
    assert server.asked == [("hands.zip", None)]


def test_an_unknown_size_is_that_of_the_server(server: FileServer, tmp_path: Path):
    server.manners = [Manner(break_after=100_000)]
    one = archive(server, size_bytes=0, sha256="")
    assert fetch(one, tmp_path).read_bytes() == BODY
    assert [asked for _, asked in server.asked] == [None, "bytes=100000-"]
    # Stopped between the last byte and the new name.
    (tmp_path / "hands.zip").rename(tmp_path / "hands.zip.part")
    assert fetch(one, tmp_path).read_bytes() == BODY


# --- what goes wrong -----------------------------------------------------------------------------


def test_another_size_is_refused_before_anything_is_written(server: FileServer, tmp_path: Path):
    message = failure(archive(server, size_bytes=4_000_000), tmp_path)
    assert "expected 4,000,000 bytes, found 300,000 bytes:" in message
    assert left_in(tmp_path) == []


@pytest.mark.parametrize("size_bytes", [len(BODY), 0])
def test_a_login_page_instead_of_the_file(server: FileServer, tmp_path: Path, size_bytes: int):
    server.files["hands.zip"] = b"<html>Please log in</html>"
    server.manners = [Manner(kind="text/html; charset=utf-8", ignores_range=True)]
    (tmp_path / "hands.zip.part").write_bytes(BODY[:1000])
    message = failure(archive(server, size_bytes), tmp_path)
    assert "found a web page: the publisher has changed or moved the file" in message
    # A page in between spoils nothing that has arrived.
    assert (tmp_path / "hands.zip.part").read_bytes() == BODY[:1000]


def test_more_than_there_should_be_is_cut_off(server: FileServer, tmp_path: Path):
    server.manners = [Manner(tells_length=False)]
    message = failure(archive(server, size_bytes=200_000), tmp_path)
    assert left_in(tmp_path) == []
    assert "expected 200,000 bytes, found more:" in message


def test_a_wrong_hash_leaves_nothing(server: FileServer, tmp_path: Path):
    message = failure(archive(server, sha256="0" * 64), tmp_path)
    assert f"expected SHA-256 {'0' * 64}, found another" in message
    assert left_in(tmp_path) == []


@pytest.mark.parametrize("status", [403, 404, 410])
def test_a_refusal_is_final(server: FileServer, tmp_path: Path, status: int):
    server.manners = [Manner(status=status)]
    message = failure(archive(server), tmp_path)
    assert f"expected hands.zip, found {status} " in message
    assert f"put it at {tmp_path / 'hands.zip'}" in message
    assert len(server.asked) == 1


def test_a_busy_server_is_asked_again(server: FileServer, tmp_path: Path):
    server.manners = [Manner(status=503), Manner(status=429)]
    assert fetch(archive(server), tmp_path).read_bytes() == BODY


def test_nobody_answers(tmp_path: Path):
    with socket.socket() as held:  # bound, but never listening
        held.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{held.getsockname()[1]}/hands.zip"
        message = failure(Archive("hands.zip", len(BODY), url), tmp_path)
    assert message.startswith(f"{url}: no connection (ConnectionError) at 0 of 300,000 bytes")


def test_a_range_that_leaves_a_hole(server: FileServer, tmp_path: Path):
    server.manners = [Manner(break_after=100_000), Manner(starts_late=10)]
    message = failure(archive(server), tmp_path)
    assert "expected the bytes from 100,000 on, found those from 100,010" in message


@pytest.mark.parametrize("what", ["file", "folder", "link"])
def test_what_lies_in_the_way_stays(server: FileServer, tmp_path: Path, what: str):
    path = tmp_path / "hands.zip"
    if what == "file":
        path.write_bytes(b"mine")
    elif what == "folder":
        path.mkdir()
    else:
        path.symlink_to(tmp_path / "unplugged" / "hands.zip")
    found = {"file": "4 bytes", "folder": "a folder", "link": "a link to .*, where nothing is"}
    with pytest.raises(HandbenchError, match=f"expected 300,000 bytes at .*, found {found[what]}"):
        fetch(archive(server), tmp_path)
    assert path.is_symlink() or path.exists()
    assert server.asked == []


def test_a_file_or_link_of_the_right_size_is_taken(server: FileServer, tmp_path: Path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / "hands.zip").write_bytes(BODY)
    (tmp_path / "hands.zip").symlink_to(tmp_path / "disk" / "hands.zip")
    assert fetch(archive(server), tmp_path) == tmp_path / "hands.zip"
    assert (tmp_path / "hands.zip").is_symlink()
    assert server.asked == []


def test_a_damaged_file_of_the_right_size(server: FileServer, tmp_path: Path):
    (tmp_path / "hands.zip").write_bytes(bytes(len(BODY)))
    with pytest.raises(HandbenchError, match=r"expected SHA-256 .* found another: the file"):
        fetch(archive(server), tmp_path)
    assert (tmp_path / "hands.zip").read_bytes() == bytes(len(BODY))


def test_a_folder_that_is_a_file(server: FileServer, tmp_path: Path):
    (tmp_path / "raw").write_text("not a folder")
    with pytest.raises(HandbenchError, match=r"cannot write to .*raw"):
        fetch(archive(server), tmp_path / "raw")


def test_too_little_room(server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(download, "free_bytes", lambda folder: 199_999)
    with pytest.raises(HandbenchError, match=r"expected 200,000 bytes free for .*, found 199,999:"):
        check_room(200_000, tmp_path)
    check_room(199_999, tmp_path)
    # A size that only the server knows is checked when it says so.
    message = failure(archive(server, size_bytes=0), tmp_path)
    assert "expected 300,000 bytes free" in message
    (tmp_path / "hands.zip.part").write_bytes(BODY[:110_000])
    assert fetch(archive(server, size_bytes=0), tmp_path).read_bytes() == BODY


def test_room_is_measured_where_the_folder_will_be(tmp_path: Path):
    assert download.free_bytes(tmp_path / "not" / "yet") > 0
    check_local(local(Archive("hands.zip", 1), tmp_path / "not" / "yet"))
