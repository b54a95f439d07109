from __future__ import annotations

import json
import sys
import unicodedata
from pathlib import Path

import h5py
import numpy as np
import pytest
from click.testing import CliRunner, Result
from generators.scored import make_predictions, make_truth
from generators.tiny_hdf5 import write_tiny
from generators.truth_file import write_truth

from handbench.cli import cli, main
from handbench.hand import NATIVE_ORDERS, from_canonical
from handbench.hdf5.reader import HandFile
from handbench.predictions.record import Predictions
from handbench.predictions.write import write_predictions
from handbench.scores.results import Results
from handbench.scores.sample_errors import SampleErrors


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_tiny(tmp_path / "tiny.h5", {"test": 24})


def predict(data: Path, out: Path, noise: float, name: str, keep: slice = slice(None)) -> Path:
    with HandFile(data) as file:
        split = file["test"]
        points = split.source_keypoints_2d()
        points += np.random.default_rng(0).normal(0, noise, points.shape)
        ids = split.column("sample_id")
    predictions = Predictions(
        "tiny", "test", {"name": name}, ids[keep], points[keep], gt_used=("box",)
    )
    write_predictions(predictions, out)
    return out


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["evaluate", *map(str, arguments)], catch_exceptions=False)


class Failure:
    """Runs the program as a user does and returns what stands on stderr."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.monkeypatch, self.capsys = monkeypatch, capsys

    def __call__(self, *arguments: object) -> str:
        program = ["handbench", "evaluate", *map(str, arguments)]
        self.monkeypatch.setattr(sys, "argv", program)
        with pytest.raises(SystemExit) as caught:
            main()
        assert caught.value.code == 1
        message = self.capsys.readouterr().err
        assert message.startswith("Error: ")
        assert message.count("\n") == 1
        return message


@pytest.fixture
def fails(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Failure:
    return Failure(monkeypatch, capsys)


def test_one_model_prints_samples_first_and_a_definition_beside_each_number(
    tmp_path: Path, data: Path
) -> None:
    preds = predict(data, tmp_path / "preds.json", 3.0, "my-net", slice(0, 22))
    result = run(preds, "--data", data)
    lines = result.stdout.splitlines()
    assert lines[0] == "my-net on tiny test"
    assert lines[1] == (
        "samples: 24 expected, 22 predicted (91.7%), 2 missing (test/0022, test/0023), 0 extra, "
        "0 duplicate"
    )
    row = next(line for line in lines if line.strip().startswith("EPE[px] "))
    assert "mean 2D distance, px of the source image" in row
    assert "found only" in result.stdout
    assert "mean pose" in result.stdout
    assert "mmpose/1: 2D hands as in mmpose" in result.stdout
    assert "Warning: my-net: 22 predictions for 24 samples" in result.stderr


def test_several_models_are_ranked(tmp_path: Path, data: Path) -> None:
    good = predict(data, tmp_path / "good.json", 2.0, "net")
    bad = predict(data, tmp_path / "bad.npz", 9.0, "net")
    result = run(bad, good, "--data", data, "--protocol", "mmpose")
    assert "ranking under mmpose/1 by AUC@0-30px[n=20,rule=left,cmp=lt]" in result.stdout
    table = result.stdout.partition("ranking under mmpose/1")[2].splitlines()[2:4]
    assert [line.split()[:3] for line in table] == [
        ["1", "net", "(good.json)"],
        ["2", "net", "(bad.npz)"],
    ]
    assert "differs from the best" in table[1]


def test_out_writes_results_errors_and_a_report(tmp_path: Path, data: Path) -> None:
    preds = predict(data, tmp_path / "preds.json", 3.0, "my net/v2")
    out = tmp_path / "out"
    run(preds, "--data", data, "--out", out)
    names = sorted(path.name for path in out.iterdir())
    assert names == [
        "my-net-v2.errors.npz",
        "my-net-v2.json",
        "my-net-v2.mmpose.json",
        "report.html",
    ]
    results = Results.read(out / "my-net-v2.json")
    assert results.protocol == "handbench"
    assert results.model == {"name": "my net/v2", "gt_used": ["box"]}
    assert len(results.provenance["data_sha256"]) == 64
    assert len(results.provenance["predictions_sha256"]) == 64
    assert len(SampleErrors.read(out / "my-net-v2.errors.npz").sample_id) == 24


def test_models_with_the_same_file_name_do_not_overwrite_each_other(
    tmp_path: Path, data: Path
) -> None:
    one = predict(data, tmp_path / "one.json", 3.0, "net/a")
    two = predict(data, tmp_path / "two.json", 5.0, "net a")
    out = tmp_path / "out"
    run(one, two, "--data", data, "--out", out, "--protocol", "mmpose")
    values = {Results.read(path).metrics["EPE[px]"].value for path in out.glob("*.json")}
    assert len(values) == 2


@pytest.mark.parametrize(
    "models",
    [
        ("A", "A.mmpose"),  # A.mmpose.json is A's under mmpose
        ("A.mmpose", "A"),
        ("A", "a"),  # one file where the disk ignores case
        ("n/a", "n-a-2", "n a"),  # the number that would part them is taken
        ("n-a-3", "n/a", "n a", "n:a"),
        ("Ä", "A\u0308"),  # one file where the disk normalises names
    ],
)
def test_every_result_has_a_file_of_its_own(
    tmp_path: Path, data: Path, models: tuple[str, ...]
) -> None:
    preds = [
        predict(data, tmp_path / f"{number}.json", 3.0, model)
        for number, model in enumerate(models)
    ]
    out = tmp_path / "out"
    run(*preds, "--data", data, "--out", out)
    names = [path.name for path in out.iterdir()]
    assert len({unicodedata.normalize("NFD", name).casefold() for name in names}) == len(names)
    assert len(names) == 3 * len(models) + 1
    found = {(r.model["name"], r.protocol) for r in map(Results.read, out.glob("*.json"))}
    assert found == {(model, protocol) for model in models for protocol in ("handbench", "mmpose")}


def test_json_is_one_document(tmp_path: Path, data: Path) -> None:
    one = predict(data, tmp_path / "one.json", 3.0, "one")
    two = predict(data, tmp_path / "two.json", 5.0, "two", slice(1, None))
    result = run(one, two, "--data", data, "--json", "--by", "is_right", "--metric", "EPE[px]")
    document = json.loads(result.stdout)
    assert [model["label"] for model in document["models"]] == ["one", "two"]
    assert document["models"][1]["missing"] == ["test/0000"]
    assert Results.from_dict(document["models"][0]["results"][0]).protocol == "custom"
    assert "coverage differs" in document["rankings"][0]["remark"]
    assert document["groups"]["one"][0]["value"] == "1"
    assert document["groups"]["one"][0]["expected"] == 24
    assert document["groups"]["two"][0]["predicted"] == 23


def test_several_breakdowns_one_after_another(tmp_path: Path, data: Path) -> None:
    preds = predict(data, tmp_path / "preds.json", 3.0, "net")
    arguments = (preds, "--data", data, "--protocol", "mmpose")
    groupings = ("--by", "finger, side", "--by", "instant_id")
    text = run(*arguments, *groupings).stdout
    places = [text.index(f"net by {name}\n") for name in ("finger", "side", "instant_id")]
    assert places == sorted(places)
    fingers = text[places[0] : places[1]].splitlines()
    assert fingers[4].split()[:5] == ["index", "24", "100.0%", "96", "12"]
    assert "finger: joints of one finger; the wrist by itself" in fingers
    assert "~[" in fingers[4]  # twelve clusters are few
    # One flat list in JSON: each row says which breakdown it belongs to.
    rows = json.loads(run(*arguments, *groupings, "--json").stdout)["groups"]["net"]
    assert [row["by"] for row in rows] == ["finger"] * 6 + ["side"] + ["instant_id"] * 12


def test_names_from_a_file_are_one_short_line(tmp_path: Path, data: Path) -> None:
    steering = predict(data, tmp_path / "one.json", 3.0, "net\n\x1b[31mred\u202e")
    long = predict(data, tmp_path / "two.json", 3.0, "手" * 300)
    out = tmp_path / "out"
    arguments = ("--data", data, "--protocol", "mmpose", "--diagnose", "--out", out)
    text = run(steering, long, *arguments).stdout
    assert "net [31mred on tiny test\n" in text
    assert "手" * 59 + "… on tiny test: 504 labelled keypoints" in text
    assert all(len(path.name.encode()) <= 160 for path in out.iterdir())


def test_models_of_one_name_are_told_apart_in_the_diagnosis(tmp_path: Path, data: Path) -> None:
    one = predict(data, tmp_path / "one.json", 3.0, "net")
    two = predict(data, tmp_path / "two.json", 5.0, "net")
    text = run(one, two, "--data", data, "--protocol", "mmpose", "--diagnose").stdout
    assert "net (two.json) on tiny test: 504 labelled keypoints of 24 hands" in text


def test_protocols_may_be_joined_by_commas(tmp_path: Path, data: Path) -> None:
    preds = predict(data, tmp_path / "preds.json", 3.0, "net")
    text = run(preds, "--data", data, "--protocol", "mmpose, zb2d").stdout
    assert "\nmmpose/1: " in text
    assert "\nzb2d/1: " in text


def test_files_and_folders_in_each_others_place(
    tmp_path: Path, data: Path, fails: Failure, monkeypatch: pytest.MonkeyPatch
) -> None:
    preds = predict(data, tmp_path / "preds.json", 3.0, "net")
    arguments = (preds, "--data", data)
    assert "HDF5 file at" in fails(preds, "--data", tmp_path)
    assert "found a folder" in fails(*arguments, "--ids", tmp_path)
    assert "not UTF-8" in fails(*arguments, "--ids", data)
    for out in (preds, preds / "below"):
        assert f"found the file {preds}" in fails(*arguments, "--out", out)
    monkeypatch.setattr("os.access", lambda *_: False)
    assert "no permission to write in" in fails(*arguments, "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_no_value_has_no_interval(tmp_path: Path, data: Path) -> None:
    preds = predict(data, tmp_path / "preds.json", 3.0, "net", slice(0, 0))
    text = run(preds, "--data", data, "--protocol", "handbench", "--by", "view").stdout
    line = "no value, because no hand was found: EPE[tight], EPE[palm], EPE[px], EPE[px,stat="
    assert line in text


def test_groups_and_ids(tmp_path: Path, data: Path) -> None:
    preds = predict(data, tmp_path / "preds.json", 3.0, "net")
    ids = tmp_path / "ids.txt"
    # With the mark that Windows editors put first.
    ids.write_text("test/0004\n\n test/0005 \ntest/0008\n", "utf-8-sig")
    result = run(preds, "--data", data, "--ids", ids, "--by", "instant_id", "--protocol", "mmpose")
    assert "samples: 3 expected, 3 predicted (100.0%)" in result.stdout
    table = result.stdout.partition("net by instant_id\n")[2].splitlines()
    assert table[1].split()[:2] == ["test-2", "2"]
    assert table[2].split()[:2] == ["test-4", "1"]


def test_the_dataset_is_looked_up_in_home(tmp_path: Path, data: Path) -> None:
    preds = predict(data, tmp_path / "preds.json", 3.0, "net")
    home = tmp_path / "home"
    (home / "datasets").mkdir(parents=True)
    data.rename(home / "datasets" / "tiny.h5")
    arguments = ["--home", str(home), "evaluate", str(preds), "--protocol", "mmpose"]
    result = CliRunner().invoke(cli, arguments, catch_exceptions=False)
    assert result.stdout.startswith("net on tiny test")


def test_a_dataset_may_be_called_what_convert_accepts(
    tmp_path: Path, data: Path, fails: Failure, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HANDBENCH_HOME", str(tmp_path / "home"))
    preds = predict(data, tmp_path / "preds.json", 3.0, "net")
    text = preds.read_text("utf-8")
    datasets = tmp_path / "home" / "datasets"
    datasets.mkdir(parents=True)
    write_tiny(datasets / "my hands (v2).h5", {"test": 24}, dataset="my hands (v2)")
    preds.write_text(text.replace('"tiny"', '"my hands (v2)"'), "utf-8")
    result = run(preds, "--protocol", "mmpose")
    assert result.stdout.startswith("net on my hands (v2) test")
    # Files that are there are not read if convert could not have put them there.
    for name in ("../outside", ".hidden", "back\\slash"):
        write_tiny(datasets / f"{name}.h5", {"test": 24}, dataset=name)
        preds.write_text(text.replace('"tiny"', json.dumps(name)), "utf-8")
        assert "expected a dataset name that can be a file name, found" in fails(preds)


def test_a_crop_without_inverse_is_one_sentence_for_users(
    tmp_path: Path, data: Path, fails: Failure
) -> None:
    preds = predict(data, tmp_path / "preds.json", 3.0, "net")
    with h5py.File(data, "r+") as file:
        file["test/crop"][3] = 0.0
    assert "expected crops with an inverse in split 'test'" in fails(preds, "--data", data)


def test_what_goes_wrong_is_one_sentence(tmp_path: Path, data: Path, fails: Failure) -> None:
    preds = predict(data, tmp_path / "preds.json", 3.0, "net")
    assert "predictions for dataset 'tiny', but there is no" in fails(preds)
    assert "found no such file" in fails(tmp_path / "absent.json", "--data", data)
    assert "did you mean 'mmpose'" in fails(preds, "--data", data, "--protocol", "mmpos")
    assert "thresholds of what" in fails(preds, "--data", data, "--metric", "PCK@0.2")
    assert "did you mean 'is_right'" in fails(preds, "--data", data, "--by", "isright")
    assert "did you mean 'finger'" in fails(preds, "--data", data, "--by", "side,fingr")
    assert "one value a hand" in fails(preds, "--data", data, "--by", "bbox")
    assert "one a line" in fails(preds, "--data", data, "--ids", tmp_path / "none.txt")
    other = tmp_path / "other.json"
    other.write_text(preds.read_text("utf-8").replace('"tiny"', '"rhd"'), "utf-8")
    assert "found rhd, tiny" in fails(preds, other)


def test_one_bad_file_leaves_no_results_of_the_good_one(
    tmp_path: Path, data: Path, fails: Failure
) -> None:
    good = predict(data, tmp_path / "good.json", 3.0, "net")
    broken = tmp_path / "broken.json"
    broken.write_text(good.read_text("utf-8")[:-300], "utf-8")
    assert "breaks off" in fails(good, broken, "--data", data, "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_no_results_are_left_when_the_report_fails(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch, fails: Failure
) -> None:
    def broken(*arguments: object, **options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("handbench.reports.html.write_report", broken)
    preds = predict(data, tmp_path / "preds.json", 3.0, "net")
    assert "No space left" in fails(preds, "--data", data, "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()


# --- stored errors, diagnosis, files of others ----------------------------------------------------


def test_other_numbers_from_stored_errors(tmp_path: Path, data: Path, fails: Failure) -> None:
    preds = predict(data, tmp_path / "preds.json", 3.0, "net", slice(0, 20))
    run(preds, "--data", data, "--protocol", "mmpose", "--out", tmp_path / "out")
    stored = tmp_path / "out" / "net.errors.npz"
    fresh = json.loads(run(preds, "--data", data, "--metric", "PCK@4px", "--json").stdout)
    again = json.loads(run(stored, "--metric", "PCK@4px", "--json").stdout)
    one, other = (document["models"][0]["results"][0] for document in (fresh, again))
    assert one["metrics"] == other["metrics"]
    assert one["signature"] == other["signature"]
    assert other["provenance"]["rescored"]["command"]
    # Stored errors and predictions of the same data may be ranked together.
    both = run(stored, preds, "--data", data, "--metric", "PCK@4px", "--by", "finger").stdout
    assert "net (net.errors.npz)" in both
    assert "ranking under custom/1 by PCK@4px" in both
    assert "net (preds.json) by finger" in both
    ids = tmp_path / "ids.txt"
    ids.write_text("test/0000\ntest/0003\n", "utf-8")
    chosen = json.loads(run(stored, "--metric", "PCK@4px", "--ids", ids, "--json").stdout)
    assert chosen["models"][0]["results"][0]["samples"]["expected"] == 2
    assert "a diagnosis needs predictions, found stored errors" in fails(
        stored, "--metric", "PCK@4px", "--diagnose"
    )
    assert "there is no" in fails(stored, "--metric", "PCK@4px", "--by", "finger")


def test_diagnosis_is_printed_and_written(tmp_path: Path, data: Path) -> None:
    preds = predict(data, tmp_path / "preds.json", 3.0, "net")
    text = run(preds, "--data", data, "--diagnose", "--out", tmp_path / "out").stdout
    assert "labelled keypoints of 24 hands, by what happened to them" in text
    written = json.loads((tmp_path / "out" / "net.diagnosis.json").read_text("utf-8"))
    assert written["keypoints"] == 24 * 21
    printed = json.loads(run(preds, "--data", data, "--diagnose", "--json").stdout)
    assert printed["models"][0]["diagnosis"] == written


@pytest.fixture
def data_3d(tmp_path: Path) -> Path:
    return write_truth(tmp_path / "with_3d.h5", make_truth(24)).path


def points_of(data: Path) -> np.ndarray:
    with HandFile(data) as file:
        return np.asarray(file["test"].column("keypoints_3d"), dtype=np.float64)


def write_lists(data: Path, path: Path, *, opengl_mano: bool = False) -> Path:
    """FreiHAND's or HO-3D's pred.json with joints 3 mm off."""
    points = np.add(points_of(data), [0.003, 0.0, 0.0])
    if opengl_mano:
        points = from_canonical(points * [1.0, -1.0, -1.0], NATIVE_ORDERS["mano"])
    path.write_text(json.dumps([points.tolist(), []]), "utf-8")
    return path


def test_lists_are_read_as_the_protocol_has_them(
    tmp_path: Path, data_3d: Path, fails: Failure
) -> None:
    def absolute_mm(*arguments: object) -> float:
        document = json.loads(run(*arguments, "--data", data_3d, "--json").stdout)
        value = document["models"][0]["results"][0]["metrics"]["MPJPE[mm,cam,avg=joint]"]["value"]
        return float(value)

    opencv = write_lists(data_3d, tmp_path / "pred.json")
    opengl = write_lists(data_3d, tmp_path / "ho3d.json", opengl_mano=True)
    assert absolute_mm(opencv, "--protocol", "freihand") == pytest.approx(3.0, abs=1e-4)
    assert absolute_mm(opengl, "--protocol", "ho3d") == pytest.approx(3.0, abs=1e-4)
    said = ("--assume", "axes=opengl", "--assume", "keypoint_order=mano")
    assert absolute_mm(opengl, "--protocol", "freihand", *said) == pytest.approx(3.0, abs=1e-4)
    assert absolute_mm(opengl, "--protocol", "freihand") > 100
    both = ("--protocol", "freihand", "--protocol", "ho3d")
    message = fails(opencv, "--data", data_3d, *both)
    assert "axes opencv under freihand and opengl under ho3d: score under one of them" in message
    assert absolute_mm(
        opencv, *both, "--assume", "axes=opencv", "--assume", "keypoint_order=canonical"
    ) == pytest.approx(3.0, abs=1e-4)
    assert "cannot assume 'axis': did you mean 'axes'?" in fails(
        opencv, "--data", data_3d, "--assume", "axis=opengl"
    )


def test_what_the_reader_found_is_told(tmp_path: Path, data_3d: Path) -> None:
    path = tmp_path / "pred.json"
    points = points_of(data_3d)
    path.write_text(json.dumps([(points - points[:, :1]).tolist(), []]), "utf-8")
    result = run(path, "--data", data_3d, "--protocol", "freihand")
    assert "Warning: pred: the 3D joints of every hand are relative to its wrist" in result.stderr
    assert "no value, because it needs frame_3d 'camera'" in result.stdout


# --- the report -----------------------------------------------------------------------------------


def report(folder: Path, preds: Path, data: Path, *options: object) -> str:
    run(preds, "--data", data, "--protocol", "mmpose", "--out", folder, *options)
    return (folder / "report.html").read_text("utf-8")


def test_groups_asked_for_and_a_diagnosis_are_in_the_report(tmp_path: Path, data: Path) -> None:
    preds = predict(data, tmp_path / "preds.json", 3.0, "net")
    out = tmp_path / "out"
    page = report(out, preds, data, "--by", "instant_id, finger")
    assert "By instant id</h3>" in page
    assert "By finger</h3>" in page
    assert "Kinds of errors of net and what they cost" in page
    # It is printed and kept as a file when it was asked for.
    assert not (out / "net.diagnosis.json").exists()
    assert "By finger</h3>" not in report(tmp_path / "other", preds, data)


def test_a_report_from_stored_errors_is_diagnosed_too(tmp_path: Path, data: Path) -> None:
    preds = predict(data, tmp_path / "preds.json", 3.0, "net")
    report(tmp_path / "out", preds, data)
    page = report(tmp_path / "again", tmp_path / "out" / "net.errors.npz", data)
    assert "Kinds of errors of net and what they cost" in page


def test_a_report_of_3d_alone_needs_no_diagnosis(tmp_path: Path) -> None:
    truth = make_truth(12)
    preds = tmp_path / "preds.json"
    write_predictions(make_predictions(truth, keypoints=None), preds)
    with write_truth(tmp_path / "hands.h5", truth) as file:
        arguments = ("--data", file.path, "--protocol", "dexycb", "--out", tmp_path / "out")
    run(preds, *arguments)
    page = (tmp_path / "out" / "report.html").read_text("utf-8")
    assert "this needs hands with 2D labels and 2D predictions" in page
    assert "Mean pose" in page


@pytest.mark.parametrize("allowed", [True, False])
@pytest.mark.parametrize("option", ["", "--no-images", "--publish-images"])
def test_photos_are_shown_where_the_dataset_or_the_user_allows_it(
    tmp_path: Path, data: Path, allowed: bool, option: str
) -> None:
    with h5py.File(data, "r+") as file:
        file.attrs["publish_images"] = allowed
    preds = predict(data, tmp_path / "preds.json", 3.0, "net")
    page = report(tmp_path / "out", preds, data, *([option] if option else []))
    shown = {"": allowed, "--no-images": False, "--publish-images": True}[option]
    assert ("Photos are left out" not in page) is shown
    assert page.count("data:image/jpeg") > 10


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("model", "epe_px", "found"), [("lite", 7.5949, 300), ("full", 7.0918, 297)]
)
def test_mediapipe_on_real_hands(
    real_data: Path, tmp_path: Path, model: str, epe_px: float, found: int
) -> None:
    tools = Path(__file__).parents[1] / "tools"
    sys.path.insert(0, str(tools))
    from mediapipe_to_predictions import to_predictions

    out = tmp_path / "realhands.h5"
    source = real_data / "realhands_coco"
    converting = ["convert", "coco", "--annotations", str(source / "annotations.json")]
    converting += ["--images-dir", str(source / "images"), "--name", "realhands", "--out", str(out)]
    CliRunner().invoke(cli, converting, catch_exceptions=False)
    hands = json.loads((real_data / f"mediapipe_{model}_realhands.json").read_text("utf-8"))
    preds = tmp_path / "preds.json"
    write_predictions(to_predictions(hands, "realhands", "test", model), preds)
    result = run(preds, "--data", out, "--protocol", "mmpose", "--json")
    results = Results.from_dict(json.loads(result.stdout)["models"][0]["results"][0])
    assert results.metrics["EPE[px]"].value == pytest.approx(epe_px, abs=1e-3)
    assert results.samples["predicted"] == found
    assert results.samples["missing"] == 300 - found
