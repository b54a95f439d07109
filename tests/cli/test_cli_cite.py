from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from generators.scored_results import results_of

from handbench.cli import cli
from handbench.errors import HandbenchError


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["cite", *map(str, arguments)], catch_exceptions=False)


def test_results_and_folders_of_them(tmp_path: Path) -> None:
    model = {"training_data": ["freihand/train"]}
    results_of(3.0, "hint", name="net", model=model).write(tmp_path / "net.json")
    for text in (run(tmp_path).stdout, run(tmp_path / "net.json").stdout):
        assert "% net was trained on freihand/train\n@inproceedings{zimmermann2019" in text
        assert "@inproceedings{pavlakos2024reconstructing," in text
        assert text.count("@misc{handbench,") == 1


def test_datasets_and_protocols() -> None:
    text = run("freihand", "mmpose").stdout
    # One paper is behind the dataset and the protocol of this name.
    assert "% dataset freihand\n% protocol freihand reproduces FreiHAND, eval.py" in text
    assert text.count("@inproceedings{zimmermann2019freihand,") == 1
    assert "@misc{mmpose2020," in text
    assert "% the tool\n@misc{handbench," in text


def test_what_is_nothing_of_these(tmp_path: Path) -> None:
    with pytest.raises(HandbenchError, match="found 'freihnd'; did you mean 'freihand'"):
        run("freihnd")
    with pytest.raises(HandbenchError, match=r"expected a results file.*known: "):
        run(tmp_path / "none.json")
