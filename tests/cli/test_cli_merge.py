from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from generators.tiny_hdf5 import write_tiny

from handbench.cli import cli
from handbench.hdf5.reader import HandFile


def merge(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["merge", *map(str, arguments)])


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two files in the current folder; `b` has in `val` the images that `a` has in `test`."""
    write_tiny(tmp_path / "a.h5", {"train": 6, "test": 4}, size=32, dataset="alpha")
    write_tiny(tmp_path / "b.h5", {"val": 4, "train": 5}, size=32, seed=1, dataset="beta")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_files_with_weights():
    result = merge("a.h5", "b.h5:3.6", "--out", "both.h5", "--splits", "train")
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines() == [
        "both.h5: both, train 11 samples, 0.0 MB",
        "drawn in training: alpha 25.0%, beta 75.0%",
    ]
    assert result.stderr == ""
    with HandFile("both.h5") as file:
        assert file["train"].column("sample_weight").tolist() == [1.0] * 6 + [3.6] * 5


def test_equal_images_are_said_on_stderr():
    result = merge("a.h5", "b.h5", "--out", "both.h5", "--name", "pair")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[0] == "both.h5: pair, train 11, test 4, val 4 samples, 0.0 MB"
    assert result.stderr.splitlines() == [
        "note: a.h5 has no split val: it takes no part in validation",
        *(f"same image: val/000{row} of b.h5 is test/000{row} of a.h5" for row in range(4)),
        "note: 4 images stand in another file too: kept; --drop-duplicates leaves them out",
    ]


def test_equal_images_can_be_left_out():
    result = merge("a.h5", "b.h5", "--out", "both.h5", "--drop-duplicates")
    assert result.exit_code == 0
    assert result.stdout.startswith("both.h5: both, train 11, test 4 samples")
    assert result.stderr.endswith("note: 4 images stand in another file too: left out\n")


def test_many_equal_images_are_not_all_listed(folder: Path):
    for name in ("c", "d"):
        write_tiny(folder / f"{name}.h5", {"test": 23}, size=16, dataset=name)
    lines = merge("c.h5", "d.h5", "--out", "both.h5").stderr.splitlines()
    assert lines[19] == "same image: test/0019 of d.h5 is test/0019 of c.h5"
    assert lines[20:] == [
        "same image: … and 3 more",
        "note: 23 images stand in another file too: kept; --drop-duplicates leaves them out",
    ]


def test_a_name_with_a_colon(folder: Path):
    (folder / "a.h5").rename(folder / "a:2")
    assert merge("a:2", "b.h5", "--out", "both.h5").exit_code == 0
    with HandFile("both.h5") as file:
        assert set(file["train"].column("sample_weight")) == {1.0}
        assert len(file["train"].image(0)) == 32
    (folder / "a:2").rename(folder / "a:b")
    assert merge("a:b:2", "b.h5", "--out", "both.h5", "--overwrite").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("a.h5", "no.h5"), "expected a handbench HDF5 file at no.h5, found no such file"),
        (("a.h5", "b.h5:x"), "expected a handbench HDF5 file at b.h5:x, found no such file"),
        (("a.h5", "b.h5:0"), "expected a positive weight for b.h5, found 0"),
        (("a.h5", "b.h5", "--splits", "dev"), "none of the files has a split 'dev'"),
        (("a.h5",), "merging needs at least two files, found 1"),
    ],
)
def test_what_is_wrong_is_one_sentence(arguments: tuple[str, ...], sentence: str):
    result = merge(*arguments, "--out", "both.h5")
    assert result.exit_code == 1
    assert sentence in str(result.exception)
    assert not Path("both.h5").exists()


def test_a_folder_of_its_own_is_made():
    assert merge("a.h5", "b.h5", "--out", "sets/both.h5").exit_code == 0
    with HandFile("sets/both.h5") as file:
        assert file.attributes["merged_from"][1]["file"] == "../b.h5"


def test_usage():
    assert merge("--out", "both.h5").exit_code == 2
    assert merge("a.h5", "b.h5").exit_code == 2
