from __future__ import annotations

import dataclasses
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from handbench.errors import TrainError
from handbench.scores.results import MetricValue, Results

RESULTS = Path(__file__).parents[1] / "scores" / "results-1.json"


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
    done = quickstart(tmp_path, "--poses", "40", "--epochs", "1", "--out", "q", "--no-images")
    assert done.returncode == 1
    assert "expected the trained model below the interval of every floor" in done.stderr
    assert "Traceback" not in done.stderr
    page = (tmp_path / "q" / "results" / "report.html").read_text("utf-8")
    assert "Photos are left out" in page


def verdict(folder: Path, **models: tuple[float, tuple[float, float] | None]) -> None:
    from handbench.cli.quickstart import _print_verdict

    blank = json.loads(RESULTS.read_text())
    for name, (value, ci95) in models.items():
        metrics = {"EPE[px]": MetricValue(value, "px", "mean 2D distance", ci95)}
        results = dataclasses.replace(
            Results.from_dict(blank), protocol="handbench", model={"name": name}, metrics=metrics
        )
        results.write(folder / f"{name}.json")
    _print_verdict(folder, trained="net")


def test_the_trained_model_must_beat_every_floor(tmp_path: Path):
    verdict(tmp_path, net=(30.0, (28.0, 33.0)), mean=(40.0, (37.0, 43.0)), raw=(66.0, (63.0, 69.0)))
    with pytest.raises(TrainError, match=r"found it at 60.00 px and mean from 37.00 px"):
        verdict(tmp_path, net=(60.0, (55.0, 65.0)))
    with pytest.raises(TrainError, match="too few test poses"):
        verdict(tmp_path, net=(30.0, None), mean=(40.0, None), raw=(66.0, None))


def test_an_existing_folder_is_left_alone(tmp_path: Path):
    kept = tmp_path / "mine.txt"
    kept.write_text("precious")
    done = quickstart(tmp_path, "--out", ".")
    assert done.returncode == 1
    assert done.stderr.startswith("Error: expected no folder at .")
    assert kept.read_text() == "precious"
