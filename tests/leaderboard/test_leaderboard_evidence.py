from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from generators.scored import make_predictions, make_truth
from generators.truth_file import write_truth

from handbench.files import sha256_file
from handbench.hdf5.reader import HandFile
from handbench.leaderboard.board import Board, Evidence, Row
from handbench.leaderboard.collect import collect
from handbench.predictions.deposit import write_deposit
from handbench.predictions.read import read_predictions
from handbench.predictions.write import write_predictions
from handbench.scores.results import Evaluation
from handbench.scores.scoring import evaluate

HANDS = 16


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HandFile]:
    path = tmp_path_factory.mktemp("data") / "hands.h5"
    with write_truth(path, make_truth(HANDS, groups=8)) as file:
        yield file


def predict(path: Path, noise: float, name: str = "net", **changes: Any) -> Path:
    truth = make_truth(HANDS, groups=8)
    predictions = make_predictions(truth, noise, model={"name": name}, **changes)
    write_predictions(predictions, path)
    return path


def submit(
    folder: Path, predictions: Path, data: HandFile, *, errors: bool, stem: str = "net"
) -> Evaluation:
    """What ``evaluate --out`` writes, with or without the errors."""
    evaluation = evaluate(predictions, data, ("handbench", "mmpose"))
    names = (f"{stem}.json", f"{stem}.mmpose.json")
    for name, results in zip(names, evaluation.results):
        results.write(folder / name)
    if errors:
        evaluation.errors.write(folder / f"{stem}.errors.npz")
    return evaluation


def change(path: Path, **metrics: float) -> None:
    document = orjson.loads(path.read_bytes())
    for name, value in metrics.items():
        document["metrics"][name]["value"] = value
    path.write_bytes(orjson.dumps(document))


def rows(board: Board) -> list[Row]:
    found = [row for g in board.groups for t in g.tables for row in t.rows]
    assert len({row.entry.file for row in found}) == len(found)
    return found


def test_stored_errors_beside_the_results_are_scored_again(tmp_path: Path, data: HandFile):
    made = submit(tmp_path, predict(tmp_path / "p.json", 3.0), data, errors=True)
    found = rows(collect([tmp_path]))
    assert len(found) == 2
    for row in found:
        assert row.entry.evidence is Evidence.RESCORED
        assert row.rank == 1
        assert "net.errors.npz" in row.entry.evidence_sentence
        assert "are the same" in row.entry.evidence_sentence
        assert row.entry.evaluation is not None
        submitted = next(r for r in made.results if r.protocol == row.entry.results.protocol)
        assert row.entry.results.metrics == submitted.metrics
        assert "rescored" in row.entry.results.provenance
        assert row.entry.results.provenance["created"] == submitted.provenance["created"]


def test_numbers_that_the_errors_do_not_give_are_a_problem(tmp_path: Path, data: HandFile):
    submit(tmp_path, predict(tmp_path / "p.json", 3.0), data, errors=True)
    change(tmp_path / "net.mmpose.json", **{"EPE[px]": 1.0})
    found = {row.entry.results.protocol: row for row in rows(collect([tmp_path]))}
    wrong = found["mmpose"]
    assert wrong.rank is None
    assert wrong.entry.evidence is Evidence.SELF_REPORTED
    assert any("EPE[px] is 1 as submitted and " in p for p in wrong.entry.problems)
    assert wrong.entry.results.metrics["EPE[px]"].value == 1.0
    assert found["handbench"].rank == 1


def test_errors_of_another_model_are_a_problem(tmp_path: Path, data: HandFile):
    submit(tmp_path, predict(tmp_path / "p.json", 3.0), data, errors=False)
    other = evaluate(predict(tmp_path / "q.json", 3.0, "other"), data, "mmpose")
    other.errors.write(tmp_path / "net.errors.npz")
    for row in rows(collect([tmp_path])):
        assert "of the model 'other'" in row.unranked


def test_errors_under_another_signature_are_a_problem(tmp_path: Path, data: HandFile):
    submit(tmp_path, predict(tmp_path / "p.json", 3.0), data, errors=False)
    other = evaluate(predict(tmp_path / "q.json", 3.0, gt_used=()), data, "mmpose")
    other.errors.write(tmp_path / "net.errors.npz")
    for row in rows(collect([tmp_path])):
        assert "the signature differs (gt_used)" in row.unranked


def test_broken_errors_leave_the_results_self_reported(tmp_path: Path, data: HandFile):
    submit(tmp_path, predict(tmp_path / "p.json", 3.0), data, errors=False)
    (tmp_path / "net.errors.npz").write_bytes(b"PK\x03\x04 nothing")
    for row in rows(collect([tmp_path])):
        assert row.entry.evidence is Evidence.SELF_REPORTED
        assert "expected per-sample errors" in row.entry.evidence_sentence
        assert row.entry.problems == ()


def test_metrics_of_ones_own_are_scored_again_too(tmp_path: Path, data: HandFile):
    evaluation = evaluate(
        predict(tmp_path / "p.json", 3.0), data, (), metrics=("PCK@3px", "EPE[px]")
    )
    evaluation.results[0].write(tmp_path / "net.json")
    evaluation.errors.write(tmp_path / "net.errors.npz")
    assert [row.entry.evidence for row in rows(collect([tmp_path]))] == [Evidence.RESCORED]


def test_deposits_are_scored_here_and_agree(tmp_path: Path, data: HandFile):
    results, deposits = tmp_path / "results", tmp_path / "deposits"
    results.mkdir()
    original = predict(tmp_path / "p.json", 3.0)
    made = submit(results, original, data, errors=False)
    write_deposit(read_predictions(original), deposits / "p.npz")
    found = rows(collect([results], predictions=[deposits], data=[data]))
    assert len(found) == 2
    for row in found:
        assert row.entry.evidence is Evidence.RESCORED
        assert row.rank == 1
        assert "p.npz" in row.entry.evidence_sentence
        assert "within what half precision costs" in row.entry.evidence_sentence
        submitted = next(r for r in made.results if r.protocol == row.entry.results.protocol)
        # Ours are shown: close to what was submitted, and not the same.
        ours, theirs = (r.metrics["EPE[px]"].value for r in (row.entry.results, submitted))
        assert ours is not None
        assert theirs is not None
        assert 0 < abs(ours - theirs) < 0.05


def test_a_deposit_that_was_scored_itself_is_exact(tmp_path: Path, data: HandFile):
    results, deposits = tmp_path / "results", tmp_path / "deposits"
    results.mkdir()
    write_deposit(read_predictions(predict(tmp_path / "p.json", 3.0)), deposits / "p.npz")
    submit(results, deposits / "p.npz", data, errors=False)
    for row in rows(collect([results], predictions=[deposits], data=[data])):
        assert "are the same" in row.entry.evidence_sentence


def test_the_original_predictions_serve_as_a_deposit(tmp_path: Path, data: HandFile):
    results = tmp_path / "results"
    results.mkdir()
    original = predict(tmp_path / "p.json", 3.0)
    write_deposit(read_predictions(original), tmp_path / "a.npz")
    submit(results, original, data, errors=False)
    for row in rows(collect([results], predictions=[tmp_path], data=[data])):
        assert "(p.json)" in row.entry.evidence_sentence
        assert "are the same" in row.entry.evidence_sentence


def test_a_deposit_that_scores_otherwise_is_a_problem(tmp_path: Path, data: HandFile):
    results = tmp_path / "results"
    results.mkdir()
    original = predict(tmp_path / "p.json", 3.0)
    submit(results, original, data, errors=False)
    better = read_predictions(predict(tmp_path / "q.json", 2.0))
    write_deposit(replace(better, sha256=sha256_file(original)), tmp_path / "d" / "p.npz")
    found = rows(collect([results], predictions=[tmp_path / "d"], data=[data]))
    assert len(found) == 2
    for row in found:
        assert row.rank is None
        assert row.entry.evidence is Evidence.SELF_REPORTED
        assert "deposit what was evaluated" in row.unranked


def test_a_deposit_without_meshes_leaves_their_metrics_open(tmp_path: Path):
    truth = make_truth(HANDS, groups=8)
    vertices = np.repeat(truth.keypoints_3d, 4, axis=1)  # type: ignore[arg-type]
    path = tmp_path / "meshes.h5"
    with write_truth(path, truth, vertices=vertices.astype(np.float32)) as file:
        original = predict(tmp_path / "p.npz", 3.0, vertices=vertices + 0.001)
        evaluation = evaluate(original, file, "freihand")
        (tmp_path / "results").mkdir()
        evaluation.results[0].write(tmp_path / "results" / "net.json")
        done = write_deposit(read_predictions(original), tmp_path / "d" / "p.npz")
        assert done.left_out == ("vertices",)
        row = rows(collect([tmp_path / "results"], predictions=[tmp_path / "d"], data=[file]))[0]
        assert row.rank == 1
        assert "submitted and not to be had from it: MPVPE" in row.entry.evidence_sentence
        assert row.entry.results.metrics["MPVPE[mm,pa-reflect]"].value is None
        write_deposit(read_predictions(original), tmp_path / "e" / "p.npz", vertices=True)
        row = rows(collect([tmp_path / "results"], predictions=[tmp_path / "e"], data=[file]))[0]
        assert row.rank == 1
        assert "not to be had" not in row.entry.evidence_sentence


def test_pixels_of_crops_are_bounded_in_source_pixels(tmp_path: Path, data: HandFile):
    # Stored at half size: a px of the crop is two of the source.
    results = tmp_path / "results"
    results.mkdir()
    truth = make_truth(HANDS, groups=8)
    stored = make_predictions(truth, 3.0)
    assert stored.keypoints is not None
    stored = replace(
        stored,
        keypoints=stored.keypoints * 0.5 - 0.25,
        frame="stored",
        crop_sha256=data["test"].crop_sha256(),
        keypoints_3d=None,
    )
    write_predictions(stored, tmp_path / "p.json")
    submit(results, tmp_path / "p.json", data, errors=False)
    write_deposit(read_predictions(tmp_path / "p.json"), tmp_path / "d" / "p.npz")
    found = rows(collect([results], predictions=[tmp_path / "d"], data=[data]))
    assert [row.entry.evidence for row in found] == [Evidence.RESCORED] * 2
    from handbench.leaderboard.deposits import _source_px

    assert _source_px(data, "test") == pytest.approx(2 * 2**0.5)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ("no data", "no data file of sample was given"),
        ("other labels", "has other labels than were scored"),
        ("chosen ids", "which ids were scored is not known here"),
        ("no header", "could not be scored"),
    ],
)
def test_what_cannot_be_scored_here_says_why(
    tmp_path: Path, data: HandFile, given: str, reason: str
):
    results = tmp_path / "results"
    results.mkdir()
    original = predict(tmp_path / "p.json", 3.0)
    if given == "no header":
        truth = make_truth(HANDS, groups=8)
        assert truth.keypoints_3d is not None
        original.write_bytes(orjson.dumps([truth.keypoints_3d.tolist(), []]))
    ids = make_truth(HANDS).sample_id[:8].tolist() if given == "chosen ids" else None
    protocol = "freihand" if given == "no header" else "mmpose"
    evaluate(original, data, protocol, ids=ids).results[0].write(results / "net.json")
    with write_truth(tmp_path / "other.h5", make_truth(HANDS, seed=5)) as other:
        files = {"no data": [], "other labels": [other]}.get(given, [data])
        row = rows(collect([results], predictions=[tmp_path], data=files))[0]
    assert row.entry.evidence is Evidence.SELF_REPORTED
    assert reason in row.entry.evidence_sentence
    assert row.entry.problems == ()


def test_models_with_errors_at_hand_are_tested_against_the_best(tmp_path: Path, data: HandFile):
    for name, noise in (("a", 2.0), ("b", 8.0), ("c", 2.001)):
        predictions = predict(tmp_path / f"{name}.p.json", noise, name)
        submit(tmp_path, predictions, data, errors=name != "c", stem=name)
    found = rows(collect([tmp_path], rank_self_reported=True))
    verdicts = {r.entry.name: r.distinguishable for r in found[:3]}
    assert verdicts == {"a": None, "b": True, "c": None}


def test_evaluations_beyond_a_gigabyte_are_let_go(
    tmp_path: Path, data: HandFile, monkeypatch: pytest.MonkeyPatch
):
    submit(tmp_path, predict(tmp_path / "p.json", 3.0), data, errors=True)
    monkeypatch.setattr("handbench.leaderboard.collect._EVALUATIONS", 1)
    board = collect([tmp_path])
    assert len(board.notes) == 1
    for row in rows(board):
        assert row.entry.evidence is Evidence.RESCORED
        assert row.entry.evaluation is None


def test_two_deposits_that_claim_the_same_predictions_are_not_believed(
    tmp_path: Path, data: HandFile
):
    original = predict(tmp_path / "p.json", 3.0)
    submit(tmp_path / "r", original, data, errors=False)
    honest = read_predictions(original)
    write_deposit(honest, tmp_path / "d" / "p.npz")
    forged = read_predictions(predict(tmp_path / "q.json", 30.0))
    write_deposit(replace(forged, sha256=sha256_file(original)), tmp_path / "d" / "a.npz")
    for row in rows(collect([tmp_path / "r"], predictions=[tmp_path / "d"], data=[data])):
        assert row.entry.evidence is Evidence.SELF_REPORTED
        assert row.entry.problems == ()
        assert "both say that they are its predictions" in row.entry.evidence_sentence
    # The predictions themselves settle it.
    both = [tmp_path / "d", original]
    for row in rows(collect([tmp_path / "r"], predictions=both, data=[data])):
        assert row.entry.evidence is Evidence.RESCORED
