from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from generators.small_network import small_network
from generators.tiny_hdf5 import write_tiny

from handbench.cli import cli
from handbench.errors import TrainError
from handbench.files import sha256_file
from handbench.scores.results import Results
from handbench.scores.scoring import evaluate


@pytest.fixture(scope="module", autouse=True)
def _small() -> Iterator[None]:
    with small_network():
        yield


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("card") / "tiny.h5"
    return write_tiny(path, {"train": 8, "val": 16, "test": 18}, size=32)


def baseline(*arguments: object) -> Result:
    words = ["train", "baseline", *map(str, arguments)]
    return CliRunner().invoke(cli, words)


def options(data: Path, out: Path) -> tuple[object, ...]:
    return (
        *("--data", data, "--out", out, "--depth", 18, "--batch-size", 4, "--epochs", 2),
        *("--device", "cpu", "--precision", "fp32"),
    )


@pytest.fixture(scope="module")
def run(data: Path) -> Path:
    out = data.with_name("run")
    result = baseline(*options(data, out))
    assert result.exit_code == 0, result.output
    # Where the card lies goes to people, not into pipes.
    assert result.stdout == f"{out}\n"
    assert f"result card {out / 'card.json'}: EPE" in result.stderr
    assert "on 16 hands of the validation images, which also chose the epoch" in result.stderr
    return out


def read(run: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((run / "card.json").read_text())
    return document


def test_the_card_is_results_that_any_reader_takes(run: Path, data: Path) -> None:
    card = Results.read(run / "card.json")
    assert (card.dataset, card.split, card.protocol) == ("tiny", "val", "handbench")
    assert card.model["name"] == "run"
    assert card.model["training_data"] == ["tiny/train"]
    assert card.provenance["data_sha256"] == sha256_file(data)
    epe = card.metrics["EPE[px]"]
    assert epe.ci95 is not None
    # The same number as in the log: one function watches and scores.
    logged = [row["val_epe_px"] for row in map(json.loads, open_lines(run / "log.jsonl"))]
    assert epe.value == pytest.approx(min(logged), rel=1e-6)
    assert sorted(path.name for path in (run / "results").iterdir()) == ["tiny-val.mmpose.json"]
    assert Results.read(run / "results" / "tiny-val.mmpose.json").protocol == "mmpose"


def open_lines(path: Path) -> list[str]:
    return path.read_text().splitlines()


def predicted(run: Path, data: Path, split: str, out: Path) -> dict[str, Any]:
    """Write predictions as `predict` does without options; returns their `input`."""
    words = ["predict", run, "--data", data, "--split", split, "-o", out, "--device", "cpu"]
    done = CliRunner().invoke(cli, list(map(str, words)))
    assert done.exit_code == 0, done.output
    seen: dict[str, Any] = json.loads(out.read_text())["input"]
    return seen


def equals(card: Results, predictions: Path, data: Path) -> None:
    scored = evaluate(predictions, data).results[0]
    assert scored.signature == card.signature
    for name, metric in scored.metrics.items():
        assert card.metrics[name].value == pytest.approx(metric.value), name


def test_the_card_equals_predict_and_evaluate(run: Path, data: Path, tmp_path: Path) -> None:
    assert predicted(run, data, "val", tmp_path / "p.json")["tta"] == "none"
    equals(Results.read(run / "card.json"), tmp_path / "p.json", data)


def test_a_run_is_scored_and_used_as_its_settings_look(data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    result = baseline(*options(data, run), "--epochs", 1, "--view-test", "--side-test")
    assert result.exit_code == 0, result.output
    assert predicted(run, data, "val", tmp_path / "p.json")["tta"] == "views+sides"
    card = Results.read(run / "card.json")
    equals(card, tmp_path / "p.json", data)
    (row,) = map(json.loads, open_lines(run / "log.jsonl"))
    assert card.metrics["EPE[px]"].value != pytest.approx(row["val_epe_px"], rel=1e-6)


def test_the_card_says_how_the_run_came_about(run: Path) -> None:
    about = read(run)["run"]
    assert about["recipe"] == "handbench"
    assert about["settings"]["batch_size"] == 4
    assert about["data"][0]["truth_sha256"].keys() == {"train", "val", "test"}
    assert about["images"] == {"training": 8, "validation": 16}
    assert about["machine"]["precision"] == "fp32"
    assert about["epochs"]["done"] == 2
    assert about["epochs"]["selected_by"] == "epe"
    assert about["seconds"] > 0
    assert about["samples_per_s"] > 0
    assert about["curve"]["epoch"] == [1, 2]
    errors = about["curve"]["val_epe_px"]
    assert about["epochs"]["best"] == errors.index(min(errors)) + 1


def test_a_resumed_run_can_be_tested_afterwards(run: Path) -> None:
    result = baseline("--resume", "--out", run, "--test")
    assert result.exit_code == 0, result.output
    assert "nothing left to do" in result.stderr
    assert "on 18 hands of the split test" in result.stderr
    assert Results.read(run / "card.json").split == "test"
    assert read(run)["run"]["scored_on"] == "the split test"
    assert sorted(path.name for path in (run / "results").iterdir()) == [
        "tiny-test.mmpose.json", "tiny-val.handbench.json", "tiny-val.mmpose.json",
    ]  # fmt: skip


def test_held_out_rows_are_scored_alone(tmp_path: Path) -> None:
    data = write_tiny(tmp_path / "d.h5", {"train": 40}, size=32)
    result = baseline(*options(data, tmp_path / "run"), "--epochs", 1, "--val-fraction", 0.3)
    assert result.exit_code == 0, result.output
    card = Results.read(tmp_path / "run" / "card.json")
    images = read(tmp_path / "run")["run"]["images"]
    assert images["training"] + images["validation"] == 40
    assert card.samples["expected"] == images["validation"]
    assert card.split == "train"


def test_a_run_on_everything_has_a_card_of_its_test_alone(tmp_path: Path) -> None:
    data = write_tiny(tmp_path / "d.h5", {"train": 8, "test": 18}, size=32)
    run = tmp_path / "run"
    result = baseline(*options(data, run), "--val-fraction", 0)
    assert result.exit_code == 0, result.output
    assert "no result card: nothing was held out to score; a split test is scored by" in (
        result.stderr
    )
    assert not (run / "card.json").exists()
    result = baseline("--resume", "--out", run, "--test")
    assert result.exit_code == 0, result.output
    assert "on 18 hands of the split test" in result.stderr
    about = read(run)["run"]
    assert about["images"] == {"training": 8, "validation": 0}
    assert about["curve"]["val_epe_px"] == [None, None]


def test_a_run_that_is_not_over_has_no_card(data: Path, tmp_path: Path) -> None:
    result = baseline(*options(data, tmp_path / "run"), "--stop-after", 1)
    assert result.exit_code == 0, result.output
    assert not (tmp_path / "run" / "card.json").exists()
    assert "card" not in result.stderr


def test_a_test_that_cannot_be_made_is_refused_before_training(tmp_path: Path) -> None:
    data = write_tiny(
        tmp_path / "d.h5", {"train": 8, "val": 4, "test": 4}, size=32, unlabelled=("test",)
    )
    result = baseline(*options(data, tmp_path / "run"), "--test")
    assert isinstance(result.exception, TrainError)
    assert "--test scores the split 'test', but" in str(result.exception)
    assert not (tmp_path / "run").exists()


def test_scores_that_cannot_be_had_leave_the_run_whole(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise TrainError("no scores today")

    monkeypatch.setattr("handbench.scores.scoring.evaluate", refuse)
    result = baseline(*options(data, tmp_path / "run"))
    assert result.exit_code == 0, result.output
    assert "no result card: no scores today" in result.stderr
    assert (tmp_path / "run" / "best.pt").exists()


def test_overfitting_a_batch_writes_nothing(data: Path, tmp_path: Path) -> None:
    words = (*options(data, tmp_path / "run"), "--overfit-one-batch")
    result = baseline(*words, "--lr", 1e-9)
    assert isinstance(result.exception, TrainError)
    assert "expected less than 2 px" in str(result.exception)
    assert "step 1/200: loss" in result.stdout
    assert not (tmp_path / "run").exists()
    usage = baseline(*words, "--test")
    assert usage.exit_code == 2
    assert "no run to resume, stop or test" in usage.stderr
