from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from handbench.cli import cli
from handbench.errors import HandbenchError
from handbench.hdf5.reader import HandFile
from handbench.sources import manifest


def datasets(*arguments: object, home: Path) -> Result:
    return CliRunner().invoke(cli, ["--home", str(home), "datasets", *map(str, arguments)])


def test_a_line_for_every_manifest(tmp_path: Path):
    head, *lines = datasets(home=tmp_path).stdout.splitlines()
    assert head.split()[0] == "name"
    assert [line.split()[0] for line in lines] == manifest.names()
    freihand = next(line for line in lines if line.startswith("freihand"))
    assert "130,240 train, 3,960 test" in freihand and "right" in freihand
    assert all(line.endswith("–") for line in lines)  # nothing on disk


def state(home: Path) -> str:
    (line,) = [x for x in datasets(home=home).stdout.splitlines() if x.startswith("freihand")]
    return line.rsplit("  ", 1)[1]


def test_what_is_on_disk(tmp_path: Path, freihand_file: Path):
    raw, out = tmp_path / "raw" / "freihand", tmp_path / "datasets"
    raw.mkdir(parents=True)
    assert state(tmp_path) == "raw"
    (raw / "FreiHAND_pub_v2.zip.part").write_bytes(b"begun")
    (raw / "FreiHAND_pub_v2_eval.zip").write_bytes(b"of another size")
    assert state(tmp_path) == "0 of 2 archives"
    text = datasets("freihand", home=tmp_path).stdout
    assert f"raw files: {raw}" in text
    assert "FreiHAND_pub_v2.zip: 5 bytes of it" in text
    assert "FreiHAND_pub_v2_eval.zip: of another size, 15 bytes" in text
    assert "HDF5: none" in text

    out.mkdir()
    (out / "freihand.h5").touch()
    assert state(tmp_path) == "damaged"
    assert "HDF5 cannot open" in datasets("freihand", home=tmp_path).stdout
    (out / "freihand-subset.h5").symlink_to(freihand_file)
    assert state(tmp_path) == "HDF5"
    with HandFile(freihand_file) as file:
        rows = f"{len(file['train']):,} train, {len(file['val']):,} val"
    assert f"{out / 'freihand-subset.h5'}: {rows}" in datasets("freihand", home=tmp_path).stdout


@pytest.mark.parametrize("name", manifest.names())
def test_one_in_full(tmp_path: Path, name: str):
    result = datasets(name, home=tmp_path)
    assert result.exit_code == 0
    facts = manifest.load(name)
    for value in (
        facts.title,
        facts.homepage,
        facts.license,
        facts.citation.strip().partition("\n")[0],
    ):
        assert value in result.stdout
    for archive in facts.archives:
        assert archive.file in result.stdout
    for trap in facts.traps:
        assert trap in result.stdout


def test_json(tmp_path: Path):
    everything = json.loads(datasets("--json", home=tmp_path).stdout)
    assert [fact["name"] for fact in everything] == manifest.names()
    one = json.loads(datasets("freihand", "--json", home=tmp_path).stdout)
    assert one["splits"]["train"] == {
        "native": "training",
        "samples": 130240,
        "annotations": 32560,
    }
    absent = {"found_bytes": None, "part_bytes": 0, "whole": False}
    files = [archive.file for archive in manifest.load("freihand").archives]
    assert one["on_disk"] == {
        "raw": None,
        "archives": [{"file": file, **absent} for file in files],
        "converted": [],
    }


def test_a_misspelt_name_fails_with_a_suggestion(tmp_path: Path):
    result = datasets("frehand", home=tmp_path)
    assert isinstance(result.exception, HandbenchError)
    assert "did you mean 'freihand'?" in str(result.exception)
