from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from handbench.cli import cli
from handbench.errors import HandbenchError
from handbench.sources import manifest


def datasets(*arguments: object, home: Path) -> Result:
    return CliRunner().invoke(cli, ["--home", str(home), "datasets", *map(str, arguments)])


def test_a_line_for_every_manifest(tmp_path: Path):
    lines = datasets(home=tmp_path).stdout.splitlines()
    assert [line.split()[0] for line in lines] == manifest.names()
    assert "134,200 images" in next(line for line in lines if line.startswith("freihand"))
    assert not any("on disk" in line for line in lines)


def test_what_is_on_disk(tmp_path: Path):
    (tmp_path / "raw" / "freihand").mkdir(parents=True)
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets" / "freihand.h5").touch()
    (line,) = [x for x in datasets(home=tmp_path).stdout.splitlines() if x.startswith("freihand")]
    assert line.endswith("(on disk)")
    text = datasets("freihand", home=tmp_path).stdout
    assert f"raw: {tmp_path / 'raw' / 'freihand'}; HDF5: {tmp_path / 'datasets'}" in text


@pytest.mark.parametrize("name", manifest.names())
def test_one_in_full(tmp_path: Path, name: str):
    result = datasets(name, home=tmp_path)
    assert result.exit_code == 0
    facts = manifest.load(name)
    for value in (facts.title, facts.homepage, facts.license, facts.citation.strip()[:40]):
        assert value in result.stdout
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
    assert one["on_disk"] == {"raw": None, "converted": None}


def test_a_misspelt_name_fails_with_a_suggestion(tmp_path: Path):
    result = datasets("frehand", home=tmp_path)
    assert isinstance(result.exception, HandbenchError)
    assert "did you mean 'freihand'?" in str(result.exception)
