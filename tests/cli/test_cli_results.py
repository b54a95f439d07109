from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from generators.scored_results import results_of

from handbench.cli import cli
from handbench.errors import ScoreError

PRIMARY = "AUC@0-0.2[tight,rule=exact]"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["results", *map(str, arguments)], catch_exceptions=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two models under two protocols, and a file that is no result."""
    for name, noise in (("good", 2.0), ("bad", 9.0)):
        results_of(noise, name=name).write(tmp_path / f"{name}.json")
        results_of(noise, "mmpose", name=name).write(tmp_path / f"{name}.mmpose.json")
    (tmp_path / "good.diagnosis.json").write_text('{"handbench_diagnosis": 1}', "utf-8")
    return tmp_path


def test_show_prints_all_results_of_a_folder(folder: Path) -> None:
    text = run("show", folder).stdout
    assert "sample test, 40 hands, protocol handbench/1" in text
    assert "sample test, 40 hands, protocol mmpose/1" in text
    assert text.index("good ") < text.index("bad ")


@pytest.mark.parametrize(
    ("layout", "expected"),
    [("markdown", "|---|---:|"), ("latex", "\\toprule"), ("table", "*: best of its column")],
)
def test_show_in_other_formats(folder: Path, layout: str, expected: str) -> None:
    result = run(
        "show",
        folder / "good.json",
        folder / "bad.json",
        "--format",
        layout,
        "--columns",
        "EPE[px]",
    )
    assert expected in result.stdout
    assert result.stderr == ""


def test_show_csv_and_json_hold_the_numbers_of_the_files(folder: Path) -> None:
    document = json.loads((folder / "good.json").read_text("utf-8"))
    value = document["metrics"]["EPE[px]"]["value"]
    rows = list(
        csv.DictReader(
            io.StringIO(
                run("show", folder / "good.json", "--format", "csv", "--columns", "EPE[px]").stdout
            )
        )
    )
    assert float(rows[0]["EPE[px] (px)"]) == value
    (table,) = json.loads(run("show", folder / "good.json", "--format", "json").stdout)["tables"]
    assert table["rows"][0]["values"]["EPE[px]"]["value"] == value


def test_show_the_official_block(folder: Path) -> None:
    results_of(3.0, "freihand", name="net").write(folder / "net.json")
    result = run("show", folder / "net.json", "--format", "freihand")
    assert result.stdout.splitlines()[0].startswith("xyz_mean3d: ")
    assert result.stderr.startswith("Note: net: no value of mesh_mean3d")


def test_models_of_one_name_are_told_apart_by_their_files(folder: Path) -> None:
    results_of(5.0, name="good").write(folder / "again.json")
    text = run("show", folder).stdout
    assert "good (good.json)" in text
    assert "good (again.json)" in text
    # Under the other protocol there is one alone.
    assert "\ngood  " in text.partition("mmpose/1")[2]


def test_results_of_one_protocol(folder: Path) -> None:
    text = run("show", folder, "--protocol", "mmpose").stdout
    assert "mmpose/1" in text
    assert "handbench/1" not in text
    with pytest.raises(ScoreError, match="under hint, found results under handbench, mmpose"):
        run("show", folder, "--protocol", "hint")


def test_options_that_mean_nothing_are_wrong_usage(folder: Path) -> None:
    result = run("show", folder, "--format", "json", "--percent")
    assert result.exit_code == 2
    assert "do not go with --format json" in result.stderr


def test_figures_are_written_and_named(folder: Path) -> None:
    out = folder / "figures"
    result = run(
        "figures", folder / "good.json", folder / "bad.json", "--out", out, "--kind", "intervals"
    )
    names = [f"sample-test-handbench-intervals.{ending}" for ending in ("svg", "pdf", "png")]
    assert [Path(line).name for line in result.stdout.splitlines()] == names
    assert sorted(path.name for path in out.iterdir()) == sorted(names)


def test_good_files_have_no_problem(folder: Path) -> None:
    result = run("validate", folder)
    assert result.exit_code == 0
    assert result.stdout == "4 of 4 results files have no problem\n"


def test_problems_are_one_line_each_with_exit_code_1(folder: Path) -> None:
    bad = results_of(2.0, name="evil\nname\x1b[2J")
    entry = replace(bad.metrics[PRIMARY], value=81.0)
    replace(bad, metrics={**bad.metrics, PRIMARY: entry}).write(folder / "evil.json")
    (folder / "cut.json").write_text("{", "utf-8")
    result = run("validate", folder)
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert lines[-1] == "4 of 6 results files have no problem"
    assert all(line.startswith(str(folder)) for line in lines[:-1])
    assert sum("evil.json: " in line for line in lines) >= 1
    assert "\x1b" not in result.stdout


def test_problems_as_json(folder: Path) -> None:
    (folder / "cut.json").write_text("{", "utf-8")
    result = run("validate", folder, "--json")
    assert result.exit_code == 1
    document = json.loads(result.stdout)
    assert len(document["files"]) == 5
    (problem,) = document["problems"]
    assert problem["file"] == str(folder / "cut.json")
    assert json.loads(run("validate", folder / "good.json", "--json").stdout)["problems"] == []


def test_one_file_twice_is_one_file(folder: Path) -> None:
    good = folder / "good.json"
    assert run("validate", good, good).stdout == "1 of 1 results files have no problem\n"


def test_a_folder_without_results_is_an_error(tmp_path: Path) -> None:
    for command in ("show", "validate"):
        with pytest.raises(ScoreError, match="expected results JSON in the folder"):
            run(command, tmp_path)


def test_validate_says_who_is_said_to_have_reproduced_what(folder: Path) -> None:
    path = folder / "good.json"
    document = json.loads(path.read_text("utf-8"))
    document["provenance"]["reproduced"] = {"command": "c", "by": "Ann", "date": "2024-05-31"}
    path.write_text(json.dumps(document), "utf-8")
    result = run("validate", folder)
    assert result.exit_code == 0
    assert f"Note: {path} says that Ann reproduced it on 2024-05-31" in result.stderr
    assert json.loads(run("validate", folder, "--json").stdout)["reproduced"] == [
        {"file": str(path), "by": "Ann", "date": "2024-05-31", "command": "c"}
    ]


def test_validate_finds_results_under_an_ending_in_capitals(folder: Path) -> None:
    (folder / "late.JSON").write_text('{"handbench_results": 1', "utf-8")
    result = run("validate", folder)
    assert result.exit_code == 1
    assert "late.JSON" in result.stdout
