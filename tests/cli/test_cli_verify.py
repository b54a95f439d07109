from __future__ import annotations

import json
import shutil
from pathlib import Path

import h5py
import pytest
from click.testing import CliRunner, Result

from handbench.cli import cli


def verify(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["verify", *map(str, arguments)])


@pytest.fixture
def bad(freihand_file: Path, tmp_path: Path) -> Path:
    path = shutil.copy(freihand_file, tmp_path / "bad.h5")
    with h5py.File(path, "r+") as file:
        file["test/keypoints_3d"][...] *= 1000
        del file["val/visibility"]
        file.attrs["dropped"] = json.dumps({"annotation without keypoints": 1200})
    return path


def test_a_good_file(freihand_file: Path):
    result = verify(freihand_file, "--deep")
    assert result.exit_code == 0
    assert result.stderr == ""
    lines = result.stdout.splitlines()
    assert lines[0] == f"{freihand_file}: freihand-subset"
    assert lines[-2:] == ["kept: train 24, val 8, test 8", "dropped: nothing"]
    assert all(line.split()[0] in ("ok", "-") for line in lines[1:-2])


def test_a_bad_file_exits_with_1_and_names_the_checks(bad: Path):
    result = verify(bad)
    assert result.exit_code == 1
    assert result.stderr == "Error: 3 checks failed: val: columns; test: hand size; test: scale\n"
    failed = [line.split()[1:3] for line in result.stdout.splitlines() if "FAILED" in line]
    assert failed == [["val", "columns"], ["test", "hand"], ["test", "scale"]]
    assert "are the labels in metres?" in result.stdout
    assert "dropped: 1,200 × annotation without keypoints" in result.stdout


def test_json_is_one_document(freihand_file: Path, bad: Path):
    good, wrong = (json.loads(verify(path, "--json").stdout) for path in (freihand_file, bad))
    assert good["passed"] is True
    assert good["kept"] == {"train": 24, "val": 8, "test": 8}
    assert wrong["passed"] is False
    assert {c["name"] for c in wrong["checks"] if c["passed"] is False} == {
        "columns",
        "hand size",
        "scale",
    }
    assert set(wrong["checks"][0]) == {"split", "name", "passed", "detail"}


def test_json_of_a_bad_file_exits_with_1_too(bad: Path):
    assert verify(bad, "--json").exit_code == 1
