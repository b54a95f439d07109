from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from generators.small_network import small_network

from handbench.cli import bench_parts, cli
from handbench.errors import HandbenchError, MissingExtraError, TrainError
from handbench.models import export
from handbench.predictors import latency


def run(*words: str) -> str:
    done = CliRunner().invoke(cli, ["bench", "--seconds", "0", *words])
    assert done.exit_code == 0, done.output
    return done.output


def test_every_part_of_the_road_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_parts, "HANDS", 5)
    monkeypatch.setattr(bench_parts, "SIZE", 32)
    monkeypatch.setattr(bench_parts, "BATCH", 4)
    monkeypatch.setattr(bench_parts, "SCORED", 50)
    monkeypatch.setattr(latency, "LEAST_CALLS", 1)
    with small_network():
        said = run("--device", "cpu")
    lines = said.splitlines()
    for what in ("convert, 32 px", "load and decode", "heatmap targets", "PCK, AUC and EPE"):
        (line,) = (each for each in lines if each.startswith(what))
        assert line.split()[-1] == "1"  # repeats
    assert any(line.startswith("training step, ResNet-18, batch 4") for line in lines)


def test_a_function_is_timed_at_every_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "timed_net.py").write_text(
        "import numpy as np\ndef f(batch): return np.zeros((len(batch), 21, 2))\n"
    )
    found = json.loads(run("timed_net:f", "--batch", "1,4", "--json"))
    assert [row["batch"] for row in found["latency"]] == [1, 4]
    assert all(row["median_ms"] <= row["p99_ms"] for row in found["latency"])
    assert found["model"] == "timed_net:f"
    assert found["machine"]["processor"]
    said = run("timed_net:f", "--batch", "2")
    assert "images per s" in said


@pytest.mark.parametrize(
    "error", [MissingExtraError("onnx", "onnx", "exporting"), TrainError("needs torch 2.6")]
)
def test_without_an_exporter_there_is_no_row_of_it(
    monkeypatch: pytest.MonkeyPatch, error: HandbenchError
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(export, "export_onnx", fail)
    with small_network():
        done = CliRunner().invoke(
            cli, ["bench", "--seconds", "0", "untrained", "--batch", "1", "--device", "cpu"]
        )
    assert done.exit_code == 0, done.output
    assert f"note: no ONNX row: {error}" in done.stderr
    assert done.stdout.splitlines()[-1].startswith("PyTorch, cpu ")


def test_wrong_batches_are_usage() -> None:
    done = CliRunner().invoke(cli, ["bench", "untrained", "--batch", "1,none"])
    assert done.exit_code == 2
    assert "expected numbers of images such as 1,8,32" in done.output
