from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner, Result

from handbench.cli import cli


def inspect(*arguments: object) -> Result:
    result = CliRunner().invoke(cli, ["inspect", *map(str, arguments)])
    assert result.exit_code == 0, repr(result.exception)
    assert result.stderr == ""
    return result


def test_facts_in_words(freihand_file: Path):
    text = inspect(freihand_file).stdout
    assert text.startswith(f"{freihand_file} (")
    for line in (
        "dataset            freihand-subset",
        "license            Research only, no commercial use, cite the paper",
        "train: 24 samples, 5 groups",
        "test: 8 samples, 8 groups",
        "box                source image, padding 1",
        "keypoints_3d       (8, 21, 3)           m, camera of the stored image",
    ):
        assert line in text
    assert "source             training_xyz.json, " in text


def test_facts_as_json(freihand_file: Path):
    facts = json.loads(inspect(freihand_file, "--json").stdout)
    assert facts["bytes"] == freihand_file.stat().st_size
    assert facts["attributes"]["handbench_format"] == "1.0"
    assert facts["attributes"]["complete"] is True
    assert len(facts["attributes"]["joint_names"]) == 21
    train, val, test = facts["splits"]
    assert (train["name"], train["samples"], train["groups"]) == ("train", 24, 5)
    assert (val["name"], val["groups"]) == ("val", 1)
    assert test["columns"]["vertices"]["shape"] == [8, 778, 3]
    assert test["image_storage"] == "encoded"
    assert len(test["truth_sha256"]) == 64
