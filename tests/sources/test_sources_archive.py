from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

import numpy as np
import pytest

from handbench.errors import SourceError
from handbench.sources.archive import Archives, Folder, open_raw


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "data" / "sub").mkdir(parents=True)
    (tmp_path / "data" / "a.json").write_bytes(b"[1]")
    (tmp_path / "data" / "sub" / "b.bin").write_bytes(b"x" * 5000)
    (tmp_path / "data" / "sub" / "a.bin").write_bytes(b"y")
    return tmp_path / "data"


def packed(folder: Path, target: Path, prefix: str = "") -> Path:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            archive.write(path, prefix + path.relative_to(folder).as_posix())
    return target


def test_a_folder_and_its_archive_look_the_same(folder: Path, tmp_path: Path):
    archive = packed(folder, tmp_path / "d.zip")
    for raw in (Folder(folder), Archives([archive])):
        assert raw.read("sub/a.bin") == b"y"
        assert raw.listing("sub") == ["a.bin", "b.bin"]
        assert raw.listing("") == ["a.json", "sub"]
        assert raw.listing("none") == []
        assert raw.has("a.json") and raw.has("sub") and not raw.has("b.json")
        with pytest.raises(SourceError, match=r"expected none\.json in .*, found no such"):
            raw.read("none.json")


def test_provenance_of_folders_and_archives(folder: Path, tmp_path: Path):
    digest = hashlib.sha256(b"[1]").hexdigest()
    expected = [{"file": "a.json", "size": 3, "sha256": digest}]
    assert Folder(folder).describe(["a.json", "missing.json"]) == expected
    archive = packed(folder, tmp_path / "d.zip")
    (described,) = Archives([archive]).describe(["a.json"])
    assert described["file"] == "d.zip"
    assert described["sha256"] == hashlib.sha256(archive.read_bytes()).hexdigest()


def test_the_first_archive_wins_and_the_second_fills_gaps(folder: Path, tmp_path: Path):
    first = packed(folder, tmp_path / "1.zip")
    (folder / "a.json").write_bytes(b"[2]")
    (folder / "c.json").write_bytes(b"[3]")
    raw = Archives([first, packed(folder, tmp_path / "2.zip")])
    assert raw.read("a.json") == b"[1]"
    assert raw.read("c.json") == b"[3]"
    assert raw.where("c.json").endswith("2.zip:c.json")


@pytest.mark.parametrize("share", [0.0, 0.3, 0.95])
def test_a_truncated_archive_is_refused(folder: Path, tmp_path: Path, share: float):
    archive = packed(folder, tmp_path / "d.zip")
    data = archive.read_bytes()
    archive.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(SourceError, match=r"d\.zip, found a damaged or partial one .* again"):
        open_raw(archive, [])


def test_a_damaged_member_is_refused_by_name(tmp_path: Path):
    # Random bytes hardly compress: flipping bits breaks the stream or the checksum.
    content = np.random.default_rng(0).bytes(3000) + bytes(3000)
    path = tmp_path / "d.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("member.bin", content)
    good = path.read_bytes()
    for position in (50, 60, 1500, 3040):
        bad = bytearray(good)
        bad[position : position + 8] = bytes(255 - b for b in bad[position : position + 8])
        path.write_bytes(bad)
        with pytest.raises(SourceError, match=r"member\.bin in .*d\.zip is damaged"):
            Archives([path]).read("member.bin")


def test_what_the_user_names_may_be_folder_archive_or_folder_of_archives(
    folder: Path, tmp_path: Path
):
    names = ["one.zip", "two.zip"]
    archives = tmp_path / "archives"
    archives.mkdir()
    one, two = packed(folder, archives / "one.zip"), packed(folder, archives / "two.zip")
    assert isinstance(open_raw(folder, names), Folder)
    for path in (one, two, archives):
        raw = open_raw(path, names)
        assert isinstance(raw, Archives)
        assert raw.paths == [one, two]
    other = packed(folder, tmp_path / "renamed.zip")
    assert open_raw(other, names).paths == [other]  # type: ignore[union-attr]
    (archives / "unpacked").mkdir()
    assert isinstance(open_raw(archives, names), Folder)


def test_a_missing_path_says_where_to_get_the_data(tmp_path: Path):
    with pytest.raises(SourceError, match=r"at .*nowhere, found nothing there; pass --source"):
        open_raw(tmp_path / "nowhere", [])
