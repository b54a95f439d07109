from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from generators.tiny_hdf5 import write_tiny
from hypothesis import given
from hypothesis import strategies as st

from handbench.errors import FormatError, HandbenchError
from handbench.hdf5.export_coco import export_coco
from handbench.hdf5.export_folder import MARKER, Job, export_to_folder, safe_name
from handbench.hdf5.reader import HandFile


@pytest.fixture
def file(tmp_path: Path) -> HandFile:
    return HandFile(write_tiny(tmp_path / "tiny.h5", {"train": 4, "test": 3}))


def nothing_left(folder: Path, *expected: str) -> bool:
    return sorted(path.name for path in folder.iterdir()) == sorted(expected)


def write_one(job: Job) -> None:
    with job.new_file("labels.json") as stream:
        stream.write(b"{}")
    job.write_image("images/a.png", b"a", "train")
    job.write_image("images/b.png", b"b", "train")


def test_a_folder_carries_licence_and_hashes(file: HandFile, tmp_path: Path):
    done = export_to_folder(file, tmp_path / "out", "words", write_one)
    said = json.loads((tmp_path / "out" / MARKER).read_text())
    assert said["handbench_export"] == 1
    assert (said["layout"], said["dataset"]) == ("words", file.dataset)
    source = (tmp_path / "tiny.h5").read_bytes()
    assert said["source"]["sha256"] == hashlib.sha256(source).hexdigest()
    assert said["source"]["size"] == len(source)
    assert said["files_sha256"] == {"labels.json": hashlib.sha256(b"{}").hexdigest()}
    assert said["images_sha256"] == {"train": hashlib.sha256(b"ab").hexdigest()}
    assert said["splits"]["test"]["truth_sha256"] == file["test"].truth_sha256
    assert said["splits"]["test"]["attributes"]["bbox"] == {"source": "annotation", "padding": 1.5}
    text = (tmp_path / "out" / "LICENSE.txt").read_text()
    assert str(file.attributes["license"]) in text
    assert "Photos of it may be shown" in text
    assert (tmp_path / "out" / "citation.bib").read_text().strip() == file.attributes["citation"]
    assert done.rows == {"train": 4, "test": 3}
    assert done.size == sum(p.stat().st_size for p in done.path.rglob("*") if p.is_file())


def test_only_some_splits(file: HandFile, tmp_path: Path):
    done = export_to_folder(file, tmp_path / "out", "words", write_one, ("test", "test"))
    assert done.rows == {"test": 3}
    with pytest.raises(FormatError, match="no split 'dev'"):
        export_to_folder(file, tmp_path / "other", "words", write_one, ("dev",))


def test_what_is_there_is_not_overwritten(file: HandFile, tmp_path: Path):
    out = tmp_path / "out"
    export_to_folder(file, out, "words", write_one)
    (out / "mark").touch()
    with pytest.raises(FormatError, match="pass --overwrite"):
        export_to_folder(file, out, "words", write_one)
    assert (out / "mark").exists()
    export_to_folder(file, out, "words", write_one, overwrite=True)
    assert not (out / "mark").exists()
    assert nothing_left(tmp_path, "out", "tiny.h5")


def test_a_folder_of_something_else_is_never_replaced(file: HandFile, tmp_path: Path):
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "thesis.tex").touch()
    with pytest.raises(FormatError, match=f"other files and no {MARKER}"):
        export_to_folder(file, tmp_path / "precious", "words", write_one, overwrite=True)
    assert (tmp_path / "precious" / "thesis.tex").exists()
    with pytest.raises(FormatError, match="found the file"):
        export_to_folder(file, file.path, "words", write_one, overwrite=True)


def test_a_folder_that_holds_the_file_itself_is_not_replaced(file: HandFile, tmp_path: Path):
    (tmp_path / MARKER).touch()
    with pytest.raises(FormatError, match="itself"):
        export_to_folder(file, tmp_path, "words", write_one, overwrite=True)
    assert file.path.exists()


def test_an_empty_folder_is_filled(file: HandFile, tmp_path: Path):
    (tmp_path / "out").mkdir()
    export_to_folder(file, tmp_path / "out", "words", write_one)
    assert (tmp_path / "out" / "labels.json").exists()


def test_an_error_leaves_nothing_and_keeps_the_earlier_export(file: HandFile, tmp_path: Path):
    def fail(job: Job) -> None:
        write_one(job)
        raise OSError(28, "No space left on device", str(job.folder / "images" / "c.png"))

    with pytest.raises(HandbenchError, match=r"No space left on device \(c.png\); nothing of it"):
        export_to_folder(file, tmp_path / "out", "words", fail)
    assert nothing_left(tmp_path, "tiny.h5")
    export_to_folder(file, tmp_path / "out", "words", write_one)
    with pytest.raises(HandbenchError, match="No space left"):
        export_to_folder(file, tmp_path / "out", "words", fail, overwrite=True)
    assert nothing_left(tmp_path, "out", "tiny.h5")
    assert (tmp_path / "out" / "labels.json").exists()


def test_a_rename_that_fails_brings_the_earlier_export_back(
    file: HandFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    export_to_folder(file, tmp_path / "out", "words", write_one)
    real = Path.replace

    def replace(self: Path, target: Path) -> Path:
        if self.name.endswith(".part"):
            raise PermissionError(13, "Permission denied", str(target))
        return real(self, target)

    monkeypatch.setattr(Path, "replace", replace)
    with pytest.raises(HandbenchError, match="Permission denied"):
        export_to_folder(file, tmp_path / "out", "words", write_one, overwrite=True)
    assert nothing_left(tmp_path, "out", "tiny.h5")
    assert (tmp_path / "out" / "labels.json").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="limits of the size of files are POSIX")
def test_a_disk_that_fills_up_leaves_nothing(file: HandFile, tmp_path: Path):
    # A limit of the size of files fails in the middle of a write, as a full disk does.
    script = (
        "import resource, sys; from handbench.cli import main; "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000)); main()"
    )
    arguments = ["export", "coco", str(file.path), "--out", str(tmp_path / "out")]
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "nothing of it was kept" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert nothing_left(tmp_path, "tiny.h5")


def test_photos_that_must_not_be_published(file: HandFile, tmp_path: Path):
    file.attributes["publish_images"] = False
    export_to_folder(file, tmp_path / "out", "words", write_one)
    text = (tmp_path / "out" / "LICENSE.txt").read_text()
    assert "Photos of it must not be published." in text


@given(st.text(max_size=12), st.text(max_size=12))
def test_names_of_files_are_safe_and_different(one: str, other: str):
    for text in (one, other):
        parts = safe_name(text, also=".").split("/")
        assert all(part and part not in (".", "..") for part in parts)
        assert not set('<>:"|?*\\.') & set("".join(parts))
    assert (safe_name(one) == safe_name(other)) == (one == other)


@pytest.mark.parametrize("name", ["training/00000000", "a b/c.d", "Bild_Übung#7", "x/left"])
def test_usual_names_stay(name: str):
    assert safe_name(name) == name


def test_no_bar_where_stderr_is_no_terminal(
    file: HandFile, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    export_coco(file, tmp_path / "out", progress=True)
    assert capsys.readouterr().err == ""
