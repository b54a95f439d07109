from __future__ import annotations

import csv
import dataclasses
import json
import math
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from generators.small_network import small_network
from generators.tiny_hdf5 import write_tiny

from handbench.errors import TrainError
from handbench.hdf5.merge import Input, merge
from handbench.hdf5.reader import HandFile
from handbench.metrics import epe, keypoint_errors
from handbench.models import run_state, training
from handbench.models.card import describe_run, read_log
from handbench.models.checkpoint import (
    copy_weights,
    load_model,
    new_network,
    read_checkpoint,
    save_model,
    untrained_model,
)
from handbench.models.inference import locate
from handbench.models.preparation import Row, Run, training_precision
from handbench.models.rows import HandRows
from handbench.models.settings import TrainSettings
from handbench.models.training import train

EPOCHS = 4


@pytest.fixture(scope="module", autouse=True)
def _small() -> Iterator[None]:
    with small_network():
        yield


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("training") / "tiny.h5"
    return write_tiny(path, {"train": 8, "val": 4}, size=32)


@pytest.fixture(scope="module")
def settings(data: Path) -> TrainSettings:
    return TrainSettings(
        data=(data,), out=data.with_name("run"), depth=18, epochs=EPOCHS, batch_size=4, device="cpu"
    )


@pytest.fixture(scope="module")
def run(settings: TrainSettings) -> Path:
    """Four epochs without a break."""
    return train(settings)


def log_without_times(run: Path) -> list[dict[str, str]]:
    with (run / "log.csv").open() as lines:
        rows = list(csv.DictReader(lines))
    return [{k: v for k, v in row.items() if k not in ("seconds", "samples_per_s")} for row in rows]


def test_a_run_directory_says_everything_about_the_run(run: Path, settings: TrainSettings) -> None:
    assert sorted(path.name for path in run.iterdir()) == [
        "best.pt", "curves.png", "last.pt", "log.csv", "log.jsonl", "provenance.json",
        "settings.json", "val",
    ]  # fmt: skip
    assert TrainSettings.read(run) == settings
    origin = json.loads((run / "provenance.json").read_text())
    assert origin["data"][0]["dataset"] == "tiny"
    assert {"handbench", "command", "created", "torch", "device", "parameters"} <= set(origin)
    rows = log_without_times(run)
    assert [row["epoch"] for row in rows] == ["1", "2", "3", "4"]
    assert list(rows[0]) == ["epoch", "loss", "val_epe_px", "val_auc_0_30px", "lr"]


def test_resuming_continues_bit_for_bit(run: Path, settings: TrainSettings, tmp_path: Path) -> None:
    halves = dataclasses.replace(settings, out=tmp_path / "halves")
    lines: list[str] = []
    train(halves, stop_after=2)
    assert len(log_without_times(halves.out)) == 2
    train(halves, resume=True, say=lines.append)
    assert "continuing after epoch 2 of 4" in lines
    assert log_without_times(halves.out) == log_without_times(run)
    for name in ("last.pt", "best.pt"):
        whole, parts = read_checkpoint(run / name), read_checkpoint(halves.out / name)
        assert whole["weights"].keys() == parts["weights"].keys()
        for key, value in whole["weights"].items():
            assert torch.equal(value, parts["weights"][key]), key
    whole, parts = (read_checkpoint(path / "last.pt")["training"] for path in (run, halves.out))
    for key, state in whole["optimiser"]["state"].items():
        for name, value in state.items():
            assert torch.equal(value, parts["optimiser"]["state"][key][name])


def test_short_epochs_are_saved_together(
    run: Path, settings: TrainSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[tuple[str, int]] = []

    def counted(path: Path, *rest: Any) -> None:
        original(path, *rest)
        written.append((path.name, len(rest[1]["log"]) if len(rest) > 1 else 0))

    original = run_state.save_model
    monkeypatch.setattr(run_state, "save_model", counted)
    monkeypatch.setattr(training, "SAVE_PAUSE_S", 1e9)
    together = dataclasses.replace(settings, out=tmp_path / "together")
    train(together)
    # The first epoch and the last.
    assert [saved for saved in written if saved[0] == "last.pt"] == [("last.pt", 1), ("last.pt", 4)]
    assert log_without_times(together.out) == log_without_times(run)
    for name in ("last.pt", "best.pt"):
        one, two = read_checkpoint(run / name), read_checkpoint(together.out / name)
        for key, value in one["weights"].items():
            assert torch.equal(value, two["weights"][key]), key

    monkeypatch.setattr(training, "SAVE_PAUSE_S", 0.0)
    written.clear()
    train(dataclasses.replace(settings, out=tmp_path / "each"))
    assert [saved[1] for saved in written if saved[0] == "last.pt"] == [1, 2, 3, 4]


def test_the_best_weights_of_epochs_that_were_not_saved_are_kept(
    settings: TrainSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second of four epochs is the best, and nothing is written before the fourth ends."""
    chosen: list[dict[str, torch.Tensor]] = []

    def second(row: Row, rows: list[Row], _select: str) -> bool:
        return len(rows) == 1

    def remember(run: Run) -> Any:
        chosen.append({k: v.clone() for k, v in run.judged.network.state_dict().items()})
        return original(run)

    original = training.validate
    monkeypatch.setattr(training, "is_better", second)
    monkeypatch.setattr(training, "validate", remember)
    monkeypatch.setattr(training, "SAVE_PAUSE_S", 1e9)
    out = train(dataclasses.replace(settings, out=tmp_path / "second"))
    weights = read_checkpoint(out / "best.pt")["weights"]
    assert all(torch.equal(value, chosen[1][key]) for key, value in weights.items())
    assert not all(torch.equal(value, chosen[3][key]) for key, value in weights.items())


def test_a_run_on_everything_keeps_its_last_weights(tmp_path: Path) -> None:
    data = write_tiny(tmp_path / "tiny.h5", {"train": 8}, size=32)
    settings = TrainSettings(
        data=(data,), out=tmp_path / "run", depth=18, epochs=3, batch_size=4, device="cpu",
        val_fraction=0.0,
    )  # fmt: skip
    lines: list[str] = []
    train(settings, stop_after=2, say=lines.append)
    train(settings, resume=True, say=lines.append)
    assert "8 training and 0 validation images" in lines[0]
    assert not any("validation EPE" in line for line in lines)
    assert not (settings.out / "val").exists()
    rows = read_log(settings.out)
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    assert all(math.isnan(row["val_epe_px"]) for row in rows)
    assert (
        json.loads((settings.out / "log.jsonl").read_text().splitlines()[0])["val_epe_px"] is None
    )
    best, last = (read_checkpoint(settings.out / name) for name in ("best.pt", "last.pt"))
    for key, value in last["training"]["average"].items():
        assert torch.equal(value, best["weights"][key])
    about = describe_run(settings.out)
    assert about["epochs"]["best"] == 3
    assert about["images"] == {"training": 8, "validation": 0}


def test_patience_needs_something_to_wait_for(tmp_path: Path) -> None:
    data = write_tiny(tmp_path / "tiny.h5", {"train": 8}, size=32)
    settings = TrainSettings(
        data=(data,), out=tmp_path / "run", depth=18, batch_size=4, device="cpu",
        val_fraction=0.0, patience=3,
    )  # fmt: skip
    with pytest.raises(
        TrainError, match=r"--patience waits for a better .* leave one of them away"
    ):
        train(settings)


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_loading_processes_change_nothing(
    run: Path, settings: TrainSettings, tmp_path: Path
) -> None:
    helped = dataclasses.replace(settings, out=tmp_path / "helped", workers=1)
    train(helped, stop_after=2)
    assert log_without_times(helped.out) == log_without_times(run)[:2]


def test_the_best_epoch_is_the_one_with_the_smallest_validation_error(
    run: Path, settings: TrainSettings, data: Path
) -> None:
    rows = HandRows([(data, "val", None)])
    model = load_model(run)
    found = locate(
        model.network,
        rows,
        size=model.size,
        codec=model.codec,
        device="cpu",
        batch_size=4,
        precision=training_precision("auto", torch.device("cpu")),
    )
    with HandFile(data) as file:
        truth = file["val"].source_keypoints_2d()
    errors = keypoint_errors(
        rows.labels.to_source(found.keypoints), truth, np.ones((4, 21), dtype=bool)
    )
    logged = [float(row["val_epe_px"]) for row in log_without_times(run)]
    assert epe(errors) == pytest.approx(min(logged), rel=1e-5)


def test_a_loaded_model_knows_where_it_comes_from(run: Path) -> None:
    model = load_model(run)
    assert (model.name, model.size, model.codec.name) == ("run", 32, "unbiased")
    assert model.training_data == ("tiny/train",)
    assert load_model(run / "last.pt").training_data == ("tiny/train",)


def test_a_finished_run_has_nothing_left_to_resume(run: Path, settings: TrainSettings) -> None:
    before = (run / "last.pt").stat().st_mtime_ns
    lines: list[str] = []
    train(settings, resume=True, say=lines.append)
    assert lines[-1] == "nothing left to do after epoch 4 of 4"
    assert (run / "last.pt").stat().st_mtime_ns == before


def test_a_run_is_not_overwritten(run: Path, settings: TrainSettings) -> None:
    with pytest.raises(TrainError, match="already holds a training run: continue it with --resume"):
        train(settings)


def test_resuming_with_other_settings_names_them(run: Path, settings: TrainSettings) -> None:
    other = dataclasses.replace(settings, lr=0.5, epochs=9)
    with pytest.raises(TrainError, match=r"--epochs 9 instead of 4, --lr 0.5 instead of 0.001"):
        train(other, resume=True)


def test_resuming_on_other_labels_is_refused(
    run: Path, settings: TrainSettings, tmp_path: Path
) -> None:
    shutil.copytree(run, tmp_path / "run")
    other = write_tiny(tmp_path / "other.h5", {"train": 12, "val": 4}, size=32, seed=9)
    moved = dataclasses.replace(settings, out=tmp_path / "run", epochs=settings.epochs)
    values = torch.load(tmp_path / "run" / "last.pt", weights_only=True)
    values["training"]["settings"]["data"] = [str(other)]
    torch.save(values, tmp_path / "run" / "last.pt")
    with pytest.raises(TrainError, match=r"started on other labels than .*other\.h5 now holds"):
        train(dataclasses.replace(moved, data=(other,)), resume=True)


def test_a_merged_file_is_trained_on_by_weight(
    data: Path, settings: TrainSettings, tmp_path: Path
) -> None:
    other = write_tiny(tmp_path / "b.h5", {"train": 4}, size=32, seed=7, dataset="other")

    def merged(weight: float) -> Path:
        inputs = [Input(data), Input(other, weight)]
        return merge(inputs, tmp_path / "both.h5", overwrite=True).path

    own = dataclasses.replace(settings, data=(merged(3.0),), out=tmp_path / "run")
    train(own, stop_after=1)
    assert load_model(own.out).training_data == ("tiny/train", "other/train")
    origin = json.loads((own.out / "provenance.json").read_text())
    assert [part["weight"] for part in origin["data"][0]["merged_from"]] == [1.0, 3.0]
    train(own, stop_after=2, resume=True)
    merged(2.0)
    with pytest.raises(TrainError, match=r"was started on other labels than .*both.h5 now holds"):
        train(own, resume=True)


def test_there_must_be_a_run_to_resume(settings: TrainSettings, tmp_path: Path) -> None:
    with pytest.raises(TrainError, match=r"run to resume in .*, found no last\.pt"):
        train(dataclasses.replace(settings, out=tmp_path), resume=True)


def test_a_truncated_checkpoint_is_refused(run: Path, tmp_path: Path) -> None:
    whole = (run / "best.pt").read_bytes()
    (tmp_path / "best.pt").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(TrainError, match=r"best\.pt cannot be read: it is cut off, damaged"):
        load_model(tmp_path)


def test_a_checkpoint_runs_no_code(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (tmp_path / "ran",))

    torch.save({"handbench_checkpoint": 1, "weights": Evil()}, tmp_path / "best.pt")
    with pytest.raises(TrainError, match="holds more than tensors and plain values"):
        load_model(tmp_path)
    assert not (tmp_path / "ran").exists()


def test_files_that_are_no_checkpoints_are_refused(tmp_path: Path) -> None:
    torch.save({"weights": {}}, tmp_path / "other.pt")
    with pytest.raises(TrainError, match="no handbench checkpoint"):
        load_model(tmp_path / "other.pt")
    torch.save({"handbench_checkpoint": 3}, tmp_path / "new.pt")
    with pytest.raises(TrainError, match="has version 3; this handbench reads 2: upgrade"):
        load_model(tmp_path / "new.pt")
    torch.save({"handbench_checkpoint": 1, "depth": 18, "joints": 21}, tmp_path / "half.pt")
    with pytest.raises(TrainError, match="does not fit its own description"):
        load_model(tmp_path / "half.pt")
    with pytest.raises(TrainError, match=r"expected a training run with best\.pt"):
        load_model(tmp_path)
    with pytest.raises(TrainError, match="found no such file"):
        load_model(tmp_path / "none.pt")


def test_weights_of_another_depth_do_not_start_a_run(run: Path) -> None:
    with pytest.raises(TrainError, match="holds a ResNet-18, but --depth is 34: use --depth 18"):
        copy_weights(new_network(34, 0), run)


def test_fine_tuning_starts_from_the_given_weights_and_remembers_their_data(
    run: Path, settings: TrainSettings, tmp_path: Path
) -> None:
    other = write_tiny(tmp_path / "o.h5", {"train": 4, "val": 2}, size=32, dataset="other")
    tuned = dataclasses.replace(
        settings, data=(other,), out=tmp_path / "tuned", init=run, epochs=1, lr=1e-12
    )
    model = load_model(train(tuned))
    assert model.training_data == ("tiny/train", "other/train")
    torch.testing.assert_close(
        model.network.heatmaps.weight, load_model(run).network.heatmaps.weight
    )


def test_a_loss_that_is_no_number_names_the_images(settings: TrainSettings, tmp_path: Path) -> None:
    broken = untrained_model(18, 32)
    with torch.no_grad():
        broken.network.heatmaps.bias[0] = torch.nan
    save_model(tmp_path / "broken.pt", broken)
    bad = dataclasses.replace(settings, out=tmp_path / "bad", init=tmp_path / "broken.pt")
    with pytest.raises(TrainError, match=r"no longer a number in epoch 1, .* train/000\d, train"):
        train(bad)
    assert not (tmp_path / "bad" / "last.pt").exists()


@pytest.mark.parametrize(
    ("splits", "change", "message"),
    [
        (
            {"train": 8, "val": 2},
            {"batch_size": 16},
            "batch of 16 images .* found 8: use a smaller",
        ),
        ({"train": 1}, {}, "at least two units .* found 1 in 1 rows"),
        ({"train": 8, "val": 2}, {"size": 40}, "multiple of 32 pixels, found 40"),
        ({"test": 8}, {}, "no split 'train' to train on; it has test"),
    ],
)
def test_data_that_cannot_be_trained_on_is_refused(
    splits: dict[str, int],
    change: dict[str, object],
    message: str,
    settings: TrainSettings,
    tmp_path: Path,
) -> None:
    data = write_tiny(tmp_path / "d.h5", splits, size=32)
    wrong = dataclasses.replace(settings, data=(data,), out=tmp_path / "run", **change)  # type: ignore[arg-type]
    with pytest.raises(TrainError, match=message):
        train(wrong)
    assert not (tmp_path / "run").exists()


def test_a_run_directory_that_cannot_be_made_is_refused(
    settings: TrainSettings, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(TrainError, match="the run directory cannot be written"):
        train(dataclasses.replace(settings, out=tmp_path / "file" / "run"))


def test_initial_weights_follow_from_the_seed_and_leave_torch_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    one, same, other = new_network(18, 1), new_network(18, 1), new_network(18, 2)
    assert torch.equal(torch.rand(1), expected)
    assert torch.equal(one.heatmaps.weight, same.heatmaps.weight)
    assert not torch.equal(one.heatmaps.weight, other.heatmaps.weight)


@pytest.fixture
def _large() -> Iterator[None]:
    with small_network(on=False):
        yield


@pytest.mark.slow
@pytest.mark.usefixtures("_large")
def test_training_beats_the_mean_pose_on_hands_it_has_not_seen(tmp_path: Path) -> None:
    def error(keypoints: np.ndarray, truth: np.ndarray) -> float:
        return epe(keypoint_errors(keypoints, truth, np.ones(truth.shape[:2], dtype=bool)))

    data = write_tiny(tmp_path / "t.h5", {"train": 192, "val": 16, "test": 32}, size=64)
    run = train(
        TrainSettings(
            data=(data,),
            out=tmp_path / "run",
            depth=18,
            epochs=6,
            batch_size=8,
            sigma=1.5,
            flip=0.0,
            rotation=10.0,
            scale=0.1,
            device="cpu",
            warmup=0.1,
        )
    )
    rows = HandRows([(data, "test", None)])
    model = load_model(run)
    found = locate(model.network, rows, size=64, codec=model.codec, device="cpu").keypoints
    mean = HandRows([(data, "train", None)]).labels.keypoints.mean(axis=0, keepdims=True)
    floor = error(np.repeat(mean, len(rows), axis=0), rows.labels.keypoints)
    assert error(found, rows.labels.keypoints) < 0.5 * floor
