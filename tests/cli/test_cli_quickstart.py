from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest


def quickstart(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "handbench", "quickstart", *options],
        cwd=folder,
        capture_output=True,
        text=True,
    )


@pytest.mark.slow
def test_the_newcomer_s_command(tmp_path: Path):
    done = quickstart(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    out = tmp_path / "handbench-quickstart"
    scores = {}
    for path in (out / "results").glob("*.json"):
        result = json.loads(path.read_text())
        if result["protocol"] == "handbench":
            scores[result["model"]["name"]] = result["metrics"]["EPE[px]"]
    assert set(scores) == {"resnet18", "untrained ResNet-18", "mean pose"}
    trained = scores.pop("resnet18")["value"]
    assert all(floor["ci95"][0] > trained for floor in scores.values()), scores
    assert (out / "results" / "report.html").stat().st_size > 50_000
    assert "report.html" in done.stdout.splitlines()[-1]
    # Every step is shown as a command, and the commands do exist.
    shown = re.findall(r"^\$ handbench (\w+)", done.stdout, re.MULTILINE)
    assert shown == ["sample", "convert", "verify", "train", "predict", "predict", "evaluate"]
    print(done.stdout[-600:])


@pytest.mark.slow
def test_a_model_that_learned_nothing_is_an_error(tmp_path: Path):
    done = quickstart(tmp_path, "--poses", "24", "--epochs", "1", "--out", "q")
    assert done.returncode == 1
    assert "expected the trained model below both floors, found" in done.stderr
    assert "Traceback" not in done.stderr
    assert (tmp_path / "q" / "results" / "report.html").is_file()


def test_an_existing_folder_is_left_alone(tmp_path: Path):
    kept = tmp_path / "mine.txt"
    kept.write_text("precious")
    done = quickstart(tmp_path, "--out", ".")
    assert done.returncode == 1
    assert done.stderr.startswith("Error: expected no folder at .")
    assert kept.read_text() == "precious"
