"""``handbench evaluate … --format …``: the short tables, figures, and what they do to the rest."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from generators.tiny_hdf5 import write_tiny
from test_cli_evaluate import predict

from handbench.cli import cli
from handbench.errors import ScoreError


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("papers") / "tiny.h5", {"test": 24})


@pytest.fixture(scope="module")
def models(data: Path) -> tuple[Path, Path]:
    return (
        predict(data, data.parent / "good.json", 2.0, "good"),
        predict(data, data.parent / "bad.json", 9.0, "bad"),
    )


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["evaluate", *map(str, arguments)], catch_exceptions=False)


def test_columns_make_the_table_short(data: Path, models: tuple[Path, Path]) -> None:
    text = run(*models, "--data", data, "--columns", "EPE[px],AUC@0-30px").stdout
    assert "tiny test, 24 hands, protocol mmpose/1" in text
    rows = [line for line in text.splitlines() if line.startswith(("good", "bad"))]
    assert [row.split()[0] for row in rows] == ["good", "bad"] * 2
    assert "ranking under" not in text


def test_without_options_the_table_says_everything(data: Path, models: tuple[Path, Path]) -> None:
    for options in ((), ("--format", "table")):
        assert "ranking under mmpose/1" in run(*models, "--data", data, *options).stdout


def test_json_is_short_for_format_json(data: Path, models: tuple[Path, Path]) -> None:
    one, other = (
        json.loads(run(*models, "--data", data, *options).stdout)
        for options in (("--json",), ("--format", "json"))
    )
    assert [m["label"] for m in one["models"]] == ["good", "bad"]
    assert one["rankings"] == other["rankings"]


def test_models_that_cannot_be_told_apart_are_marked(data: Path, models: tuple[Path, Path]) -> None:
    twin = predict(data, data.parent / "twin.json", 2.0, "twin")
    text = run(models[0], twin, "--data", data, "--protocol", "mmpose", "--format", "latex").stdout
    assert "twin $\\approx$ & " in text
    assert "not distinguishable from the best model by AUC@0-30px" in text


def test_metrics_of_ones_own_share_a_table(data: Path, models: tuple[Path, Path]) -> None:
    metrics = ("--metric", "PCK@0.2[bbox]", "--metric", "EPE[px]")
    text = run(*models, "--data", data, *metrics, "--format", "csv").stdout
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["model"] for row in rows] == ["good", "bad"]
    assert float(rows[0]["EPE[px] (px)"]) < float(rows[1]["EPE[px] (px)"])


def test_what_is_written_beside_it_is_said_on_stderr(
    data: Path, models: tuple[Path, Path], tmp_path: Path
) -> None:
    options = ("--format", "csv", "--out", tmp_path / "out", "--figures", tmp_path / "figures")
    result = run(models[0], "--data", data, "--protocol", "mmpose", *options)
    assert result.stdout.startswith("dataset,split,")
    assert "wrote" not in result.stdout
    assert f"wrote figures to {tmp_path / 'figures'}" in result.stderr
    assert (tmp_path / "out" / "report.html").exists()
    names = {path.name for path in (tmp_path / "figures").glob("*.svg")}
    assert names == {
        *("tiny-test-mmpose-pck-px-cmp-lt.svg", "tiny-test-mmpose-joints.svg"),
        "tiny-test-mmpose-intervals.svg",
    }


def test_groups_are_drawn_where_they_are_asked_for(
    data: Path, models: tuple[Path, Path], tmp_path: Path
) -> None:
    protocol = ("--protocol", "mmpose", "--by", "finger")
    result = run(*models, "--data", data, *protocol, "--figures", tmp_path)
    assert (tmp_path / "tiny-test-mmpose-by-finger.pdf").exists()
    assert f"wrote figures to {tmp_path}" in result.stdout


def test_the_official_block_needs_no_protocol(data: Path, models: tuple[Path, Path]) -> None:
    with pytest.raises(ScoreError, match="need 3D labels, and tiny test has none"):
        run(models[0], "--data", data, "--format", "freihand")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--json", "--format", "csv"), "choose one of --json and --format csv"),
        (("--json", "--percent"), "do not go with --format json"),
        (("--format", "freihand", "--columns", "EPE[px]"), "do not go with --format freihand"),
        (("--format", "html"), "'html' is not one of"),
        (("--decimals", "-1"), "-1 is not in the range"),
    ],
)
def test_wrong_usage(options: tuple[str, ...], message: str) -> None:
    result = run("preds.json", *options)
    assert result.exit_code == 2
    assert message in result.stderr


def test_unknown_columns_name_near_ones(data: Path, models: tuple[Path, Path]) -> None:
    with pytest.raises(ScoreError, match=r"found 'EPX\[px\]'; near: EPE\[px\]"):
        run(models[0], "--data", data, "--columns", "EPX[px]")


def test_figures_go_into_a_folder(data: Path, models: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "figures").write_text("", "utf-8")
    with pytest.raises(ScoreError, match="expected a folder for results at"):
        run(models[0], "--data", data, "--figures", tmp_path / "figures")
