from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from handbench.cli.sample import sample
from handbench.errors import SourceError


def test_sample_writes_what_it_says(tmp_path: Path) -> None:
    out = tmp_path / "hands"
    result = CliRunner().invoke(sample, [str(out), "--count", "2", "--seed", "5", "--size", "48"])
    assert result.exit_code == 0, result.output
    assert result.stdout == f"{out}: 8 training images of 2 annotations, 1 evaluation images\n"
    assert result.stderr == ""  # no progress bar where stderr is no terminal
    assert len(list((out / "training/rgb").iterdir())) == 8
    assert json.loads((out / "handbench_source.json").read_text())["seed"] == 5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--count", "0"], "--count"),
        (["--seed", "-1"], "--seed"),
        (["--size", "31"], "--size"),
        (["--size", "many"], "--size"),
    ],
)
def test_wrong_numbers_are_usage_errors(tmp_path: Path, arguments: list[str], message: str) -> None:
    result = CliRunner().invoke(sample, [str(tmp_path / "x"), *arguments])
    assert result.exit_code == 2
    assert message in result.stderr
    assert not (tmp_path / "x").exists()


def test_out_dir_is_required() -> None:
    assert CliRunner().invoke(sample, []).exit_code == 2


def test_a_full_folder_is_an_error_and_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("1")
    result = CliRunner().invoke(sample, [str(tmp_path), "--count", "1"])
    assert isinstance(result.exception, SourceError)
    assert (tmp_path / "precious").read_text() == "1"


def test_every_option_has_help() -> None:
    for parameter in sample.params:
        assert parameter.param_type_name == "argument" or getattr(parameter, "help", None)
