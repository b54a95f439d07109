from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from generators.scored import make_predictions, make_truth
from generators.tiny_hdf5 import write_tiny

from handbench import metrics as m
from handbench.errors import PredictionsError, ScoreError
from handbench.predictions.record import Predictions
from handbench.scores.protocols import HANDBENCH, MMPOSE, custom_protocol
from handbench.scores.results import Evaluation, Results
from handbench.scores.scoring import evaluate, rescore, score
from handbench.scores.truth import Truth


def values(evaluation: Evaluation, number: int = 0) -> dict[str, float | None]:
    return {name: metric.value for name, metric in evaluation.results[number].metrics.items()}


def custom(truth: Truth, predictions: Predictions, *names: str) -> dict[str, float | None]:
    return values(score(predictions, truth, [custom_protocol(names)]))


# --- perfect, shifted, missed --------------------------------------------------------------------


def test_perfect_predictions_score_exactly_one_and_zero() -> None:
    truth = make_truth()
    evaluation = score(make_predictions(truth, noise=0.0), truth, [HANDBENCH, MMPOSE])
    for number in (0, 1):
        for name, value in values(evaluation, number).items():
            if "of=mean-pose" in name:
                continue
            if name.startswith(("EPE", "MPJPE", "PA-")):
                assert value == pytest.approx(0.0, abs=1e-9), name
            elif name.startswith("AUC@0-30px"):
                assert value == pytest.approx(0.95)
            else:
                assert value == pytest.approx(1.0, abs=1e-9), name


def test_order_of_predictions_is_irrelevant() -> None:
    truth = make_truth()
    shuffled = np.random.default_rng(0).permutation(len(truth))
    one = score(make_predictions(truth), truth, [HANDBENCH])
    other = score(make_predictions(truth, rows=shuffled), truth, [HANDBENCH])
    assert values(one) == values(other)


def test_a_shift_of_two_pixels_is_an_epe_of_two() -> None:
    truth = make_truth()
    predictions = make_predictions(truth, keypoints=np.add(truth.keypoints, [0.0, 2.0]))
    found = custom(truth, predictions, "EPE[px]", "EPE[px,frame=stored]", "PCK@2px", "EPE[bbox]")
    assert found["EPE[px]"] == pytest.approx(2.0)
    assert found["EPE[px,frame=stored]"] == pytest.approx(1.0)
    assert found["EPE[bbox]"] == pytest.approx((2.0 / m.box_size(truth.bbox)).mean())


def test_missed_hands_are_wrong_in_pck_and_left_out_of_epe() -> None:
    truth = make_truth(10)
    predictions = make_predictions(truth, noise=0.0, rows=slice(0, 8))
    evaluation = score(predictions, truth, [HANDBENCH])
    found = values(evaluation)
    assert evaluation.missing == ["hands/0008", "hands/0009"]
    assert evaluation.results[0].samples == {
        "expected": 10,
        "predicted": 8,
        "missing": 2,
        "extra": 0,
        "duplicate": 0,
    }
    assert found["coverage"] == pytest.approx(0.8)
    assert found["PCK@0.1[tight]"] == pytest.approx(0.8)
    assert found["PCK@0.1[tight,missing=drop]"] == 1.0
    assert found["AUC@0-0.2[palm,rule=exact]"] == pytest.approx(0.8)
    assert found["AUC@0-50mm[pa,rule=exact]"] == pytest.approx(0.8)
    assert found["EPE[px]"] == 0.0
    assert np.isinf(evaluation.errors.errors_px[8:]).all()


def test_a_null_hand_is_as_good_as_none() -> None:
    truth = make_truth(10)
    predictions = make_predictions(truth)
    assert predictions.keypoints is not None
    assert predictions.keypoints_3d is not None
    predictions.keypoints[3] = predictions.keypoints_3d[3] = np.nan
    rows = np.delete(np.arange(10), 3)
    shorter = make_predictions(truth, rows=rows)
    assert values(score(predictions, truth, [HANDBENCH])) == values(
        score(shorter, truth, [HANDBENCH])
    )


def test_extra_and_duplicate_predictions_are_counted_and_the_first_counts() -> None:
    truth = make_truth(6)
    once = make_predictions(truth)
    assert once.keypoints is not None
    twice = replace(
        once,
        id=np.array([*once.id, "hands/0002", "hands/0002", "elsewhere/7"]),
        keypoints=np.concatenate([once.keypoints, once.keypoints[:3] + 50]),
        keypoints_3d=None,
    )
    evaluation = score(twice, truth, [MMPOSE])
    assert evaluation.duplicate == ["hands/0002"]
    assert evaluation.extra == ["elsewhere/7"]
    assert values(evaluation) == values(score(once, truth, [MMPOSE]))
    assert any("predicted more than once" in warning for warning in evaluation.warnings)


def test_hands_without_labels_are_not_expected_and_not_extra() -> None:
    truth = make_truth(6)
    labelled = truth.rows(np.arange(6) != 4)
    evaluation = score(make_predictions(truth), labelled, [MMPOSE])
    assert evaluation.results[0].samples["expected"] == 5
    assert evaluation.extra == []


# --- mmpose, by hand -----------------------------------------------------------------------------


def test_mmpose_against_a_loop_over_joints() -> None:
    truth = make_truth(40, seed=3)
    rng = np.random.default_rng(4)
    truth = replace(truth, valid=rng.random(truth.valid.shape) < 0.7)
    predictions = make_predictions(truth, noise=12.0)
    assert predictions.keypoints is not None
    found = values(score(predictions, truth, [MMPOSE]))

    gap = predictions.keypoints.astype(np.float64) - truth.keypoints
    side = np.max(truth.bbox[:, 2:], axis=1)
    pck, curve = [], []
    for joint in range(21):
        keep = truth.valid[:, joint]
        relative = np.linalg.norm(gap[keep, joint] / side[keep, None], axis=-1).astype(np.float32)
        pck.append(np.mean(relative < np.float32(0.2)))
        over_30 = np.linalg.norm(gap[keep, joint] / 30, axis=-1).astype(np.float32)
        curve.append([np.mean(over_30 < np.float32(i / 20)) for i in range(20)])
    pooled = np.linalg.norm(gap, axis=-1)[truth.valid].mean()
    assert found["PCK@0.2[bbox,cmp=lt]"] == pytest.approx(np.mean(pck))
    assert found["AUC@0-30px[n=20,rule=left,cmp=lt]"] == pytest.approx(np.mean(curve))
    assert found["EPE[px]"] == pytest.approx(pooled)


def test_mmpose_on_a_threshold_decides_in_float32() -> None:
    truth = make_truth(2)
    # 0.7 * 30 px: in float64 the quotient is above 0.7, in float32 it equals it; neither is < 0.7.
    predictions = make_predictions(truth, keypoints=np.add(truth.keypoints, [21.0, 0.0]))
    found = values(score(predictions, truth, [MMPOSE]))
    assert found["AUC@0-30px[n=20,rule=left,cmp=lt]"] == pytest.approx(0.25)


def test_mmpose_drops_boxes_without_side_and_accepts_negative_ones() -> None:
    truth = make_truth(4)
    bbox = truth.bbox.copy()
    bbox[0, 2:] = 0.0
    bbox[1, 2:] = -5.0
    truth = replace(truth, bbox=bbox)
    predictions = make_predictions(truth, keypoints=np.add(truth.keypoints, [500.0, 0.0]))
    result = score(predictions, truth, [MMPOSE]).results[0].metrics["PCK@0.2[bbox,cmp=lt]"]
    assert result.value == pytest.approx(1 / 3)  # hand 0 left out, 1 right, 2 and 3 wrong
    other = custom(truth, predictions, "PCK@0.2[bbox,cmp=lt]")
    assert other["PCK@0.2[bbox,cmp=lt]"] == 0.0  # hands 0 and 1 cannot be normalised


# --- 3D ------------------------------------------------------------------------------------------


def test_alignments_remove_what_they_should() -> None:
    truth = make_truth()
    assert truth.keypoints_3d is not None
    wrist = truth.keypoints_3d[:, :1]
    moved = make_predictions(truth, keypoints_3d=np.add(truth.keypoints_3d, [0.01, 0.0, 0.0]))
    names = ("MPJPE[mm]", "MPJPE[mm,root=0]", "MPJPE[mm,scale]", "PA-MPJPE[mm]")
    found = list(custom(truth, moved, *names).values())
    assert found[0] == pytest.approx(10.0)
    assert found[1] == pytest.approx(0.0, abs=1e-9)
    assert found[3] == pytest.approx(0.0, abs=1e-9)
    bigger = make_predictions(truth, keypoints_3d=truth.keypoints_3d * 2)
    assert custom(truth, bigger, "MPJPE[mm,scale]")["MPJPE[mm,scale]"] == pytest.approx(0, abs=1e-9)
    mirrored = make_predictions(truth, keypoints_3d=truth.keypoints_3d * [-1, 1, 1])
    both = custom(truth, mirrored, "PA-MPJPE[mm]", "MPJPE[mm,pa-reflect]")
    assert both["MPJPE[mm,pa-reflect]"] == pytest.approx(0.0, abs=1e-9)
    assert both["PA-MPJPE[mm]"] > 5  # type: ignore[operator]
    relative = make_predictions(
        truth, keypoints_3d=truth.keypoints_3d - wrist, frame_3d="root:wrist"
    )
    evaluation = score(relative, truth, [HANDBENCH])
    assert values(evaluation)["MPJPE[mm,cam]"] is None
    definition = evaluation.results[0].metrics["MPJPE[mm,cam]"].definition
    assert "no value: it needs frame_3d 'camera'" in definition
    assert values(evaluation)["MPJPE[mm,root=0]"] == pytest.approx(0.0, abs=1e-9)
    assert "mm,cam" not in evaluation.errors.joints


def test_a_hand_without_root_label_is_left_out_of_root_relative_errors() -> None:
    truth = make_truth(8)
    valid = truth.valid_3d.copy()
    valid[0, 0] = False
    truth = replace(truth, valid_3d=valid)
    predictions = make_predictions(truth, noise=0.0)
    assert predictions.keypoints_3d is not None
    predictions.keypoints_3d[0] += 1.0 + np.arange(21)[:, None]
    assert custom(truth, predictions, "MPJPE[mm,root=0]")["MPJPE[mm,root=0]"] == pytest.approx(0)


def test_models_with_and_without_3d_share_a_signature() -> None:
    truth = make_truth()
    flat = score(make_predictions(truth, keypoints_3d=None), truth, [HANDBENCH])
    full = score(make_predictions(truth), truth, [HANDBENCH])
    assert flat.results[0].signature == full.results[0].signature
    assert values(flat)["PA-MPJPE[mm]"] is None
    only_3d = score(make_predictions(truth, keypoints=None), truth, [HANDBENCH, MMPOSE])
    assert values(only_3d)["EPE[px]"] is None
    assert values(only_3d, 1)["EPE[px]"] is None
    assert values(only_3d)["coverage"] == 1.0
    assert values(only_3d)["EPE[px,of=mean-pose]"] is not None


def test_truth_without_3d() -> None:
    truth = make_truth()
    flat = replace(truth, keypoints_3d=None, valid_3d=np.zeros_like(truth.valid))
    names = values(score(make_predictions(truth), flat, [HANDBENCH]))
    assert not any("mm" in name for name in names)
    with pytest.raises(
        ScoreError, match=r"\(PA-MPJPE\[mm\] …\) need 3D labels, and sample test has none"
    ):
        custom(flat, make_predictions(truth), "PA-MPJPE[mm]")


# --- stored frame --------------------------------------------------------------------------------


def test_predictions_in_stored_pixels_are_mapped_back() -> None:
    truth = make_truth()
    crop = truth.crop.copy()
    crop[::2, 0] = [-0.5, 0.0, 99.25]  # mirrored rows
    flip = np.where(np.arange(len(truth)) % 2 == 0, -1.0, 1.0)
    undo = np.zeros((len(truth), 3, 3))
    undo[:, 0, 0], undo[:, 1, 1], undo[:, 2, 2] = flip, 1.0, 1.0
    truth = replace(truth, crop=crop, to_source_3d=undo)
    source = make_predictions(truth)
    assert source.keypoints is not None
    assert source.keypoints_3d is not None
    ones = np.ones((*source.keypoints.shape[:2], 1))
    stored_2d = np.einsum("nij,nkj->nki", crop, np.concatenate([source.keypoints, ones], -1))
    stored = replace(
        source,
        frame="stored",
        crop_sha256="c" * 64,
        keypoints=stored_2d[..., :2],
        keypoints_3d=source.keypoints_3d
        * np.stack([flip, 0 * flip + 1, 0 * flip + 1], -1)[:, None],
    )
    one, other = (
        values(score(source, truth, [HANDBENCH])),
        values(score(stored, truth, [HANDBENCH])),
    )
    for name, value in one.items():
        assert other[name] == pytest.approx(value, rel=1e-9, abs=1e-9), name
    with pytest.raises(PredictionsError, match=r"cropped otherwise \(crop_sha256 dddddddddddd…"):
        score(replace(stored, crop_sha256="d" * 64), truth, [HANDBENCH])


# --- what does not belong together ---------------------------------------------------------------


def test_predictions_for_something_else() -> None:
    truth = make_truth()
    predictions = make_predictions(truth)
    with pytest.raises(PredictionsError, match="for dataset 'rhd', but the data is 'sample'"):
        score(replace(predictions, dataset="rhd"), truth, [MMPOSE])
    with pytest.raises(PredictionsError, match="for split 'val', not 'test'"):
        score(replace(predictions, split="val"), truth, [MMPOSE])
    strangers = replace(predictions, id=np.char.add("x/", predictions.id))
    with pytest.raises(
        PredictionsError, match="none of its 12 ids is in sample test: expected ids"
    ):
        score(strangers, truth, [MMPOSE])


# --- signature, subsets --------------------------------------------------------------------------


def test_the_signature_changes_with_what_must_be_equal() -> None:
    truth = make_truth()
    predictions = make_predictions(truth)

    def sign(predictions: Predictions, truth: Truth = truth) -> str:
        return score(predictions, truth, [MMPOSE]).results[0].signature

    usual = sign(predictions)
    assert sign(replace(predictions, model={"name": "other", "params": 3})) == usual
    for changed in (
        sign(replace(predictions, gt_used=())),
        sign(replace(predictions, gt_used=None)),
        sign(replace(predictions, input={"box": "detector"})),
        sign(predictions, replace(truth, truth_sha256="1" * 64)),
        sign(predictions, truth.only(["hands/0001", "hands/0003"], "ids.txt")),
        score(predictions, truth, [HANDBENCH]).results[0].signature,
    ):
        assert changed != usual
    half = truth.only(["hands/0001", "hands/0003"], "ids.txt")
    other_half = truth.only(["hands/0002", "hands/0004"], "ids.txt")
    assert sign(predictions, half) != sign(predictions, other_half)


def test_what_the_hash_of_the_truth_leaves_out_changes_the_signatures_that_depend_on_it() -> None:
    truth = make_truth(columns_sha256={"crop": "a" * 16, "visibility": "b" * 16})
    other = replace(truth, columns_sha256={"crop": "c" * 16, "visibility": "b" * 16})

    def same(*names: str) -> bool:
        one, two = (
            score(make_predictions(t), t, [custom_protocol(names)]).results[0].signature
            for t in (truth, other)
        )
        return one == two

    assert same("EPE[px]", "PCK@0.2[bbox]", "EPE[px,joints=visible]", "OKS-AP[hand]")
    assert not same("EPE[px]", "EPE[px,frame=stored]")
    assert not same("PCK@0.2[image]")
    mixed = custom_protocol(("PCK@0.2[image]", "EPE[px,joints=visible]", "coverage[hands=left]"))
    signature = score(make_predictions(truth), truth, [mixed]).results[0].signature
    assert signature.endswith(f"; columns: crop {'a' * 16}, is_right none, visibility {'b' * 16}")
    twice = make_predictions(truth, gt_used=("box", "box"))
    assert "; gt_used: box;" in score(twice, truth, [MMPOSE]).results[0].signature


def test_all_ids_are_no_subset() -> None:
    truth = make_truth(5)
    predictions = make_predictions(truth)
    ids = truth.sample_id[::-1].tolist()
    whole = score(predictions, truth, [MMPOSE])
    fresh = score(predictions, truth.only(ids, "ids"), [MMPOSE]).results[0]
    again = rescore(whole.errors, "mmpose", ids=ids).results[0]
    assert fresh.signature == again.signature == whole.results[0].signature


def test_subsets_by_id() -> None:
    truth = make_truth()
    evaluation = score(make_predictions(truth), truth.only(["hands/0003"], "ids.txt"), [MMPOSE])
    assert evaluation.errors.sample_id.tolist() == ["hands/0003"]
    assert evaluation.extra == []
    with pytest.raises(
        ScoreError, match=r"ids\.txt: expected labelled sample ids .* found 1 others: x"
    ):
        truth.only(["x", "hands/0003"], "ids.txt")
    with pytest.raises(ScoreError, match="found no id at all"):
        truth.only([], "ids.txt")


# --- what is kept --------------------------------------------------------------------------------


def test_results_hold_joints_curves_and_origin(tmp_path: Path) -> None:
    truth = make_truth()
    evaluation = score(make_predictions(truth), truth, [HANDBENCH, MMPOSE])
    for results in evaluation.results:
        path = tmp_path / f"{results.protocol}.json"
        results.write(path)
        assert Results.read(path) == results
        for joints in results.per_joint.values():
            assert len(joints) == 21
        for curve in results.curves.values():
            assert len(curve["x"]) == len(curve["y"])
            assert np.diff(curve["y"]).min() >= 0
    mmpose = evaluation.results[1]
    curve = mmpose.curves["PCK[px,cmp=lt]"]["y"]
    assert np.mean(curve) == pytest.approx(
        mmpose.metrics["AUC@0-30px[n=20,rule=left,cmp=lt]"].value
    )
    name = "PCK@0.05[tight]"
    handbench = evaluation.results[0]
    assert np.mean(handbench.per_joint[name]) == pytest.approx(handbench.metrics[name].value)
    assert {"handbench", "command", "created", "predictions_sha256"} <= set(handbench.provenance)


def test_metrics_can_be_computed_again_from_the_errors() -> None:
    truth = make_truth()
    evaluation = score(make_predictions(truth, rows=slice(2, 12)), truth, [HANDBENCH])
    errors = evaluation.errors
    found = values(evaluation)
    again = m.pck(m.normalise(errors.errors_px, errors.tight_px), 0.1)
    assert again == pytest.approx(found["PCK@0.1[tight]"])
    assert m.auc(m.normalise(errors.errors_px, errors.sizes["palm"]), 0, 0.2) == pytest.approx(
        found["AUC@0-0.2[palm,rule=exact]"]
    )
    assert errors.pa_mm is not None
    assert m.epe(errors.pa_mm) == pytest.approx(found["PA-MPJPE[mm]"])


# --- files ---------------------------------------------------------------------------------------


def test_evaluate_reads_a_file_and_scores_in_source_pixels(tmp_path: Path) -> None:
    path = write_tiny(tmp_path / "tiny.h5", {"train": 4, "test": 12}, source_scale=2.0)
    import handbench

    with handbench.open(path) as file:
        split = file["test"]
        points = np.add(split.source_keypoints_2d(), [3.0, 4.0])
        predictions = Predictions(
            "tiny", "test", {"name": "shifted"}, split.column("sample_id"), points
        )
        stored = replace(
            predictions,
            frame="stored",
            crop_sha256=split.crop_sha256(),
            keypoints=np.add(split.column("keypoints_2d"), [1.5, 2.0]),
        )
        for given in (predictions, stored):
            evaluation = evaluate(given, file, protocol="mmpose")
            assert values(evaluation)["EPE[px]"] == pytest.approx(5.0)
        assert handbench.evaluate(predictions, path).results[0].provenance["data_sha256"]
    assert [r.protocol for r in evaluate(predictions, path, metrics=["EPE"]).results] == [
        "handbench",
        "mmpose",
        "custom",
    ]
    with pytest.raises(ScoreError, match="name at least one protocol"):
        evaluate(predictions, path, protocol=())
    with pytest.raises(ScoreError, match=r"for split 'val', but .* has train, test"):
        evaluate(replace(predictions, split="val"), path)


def test_a_split_without_labels_cannot_be_scored(tmp_path: Path) -> None:
    path = write_tiny(tmp_path / "tiny.h5", {"test": 4}, unlabelled=("test",))
    predictions = Predictions(
        "tiny", "test", {"name": "m"}, np.array(["test/0000"]), np.zeros((1, 21, 2))
    )
    with pytest.raises(ScoreError, match="4 images but no labels, so nothing can be scored"):
        evaluate(predictions, path)


# --- numbers from stored errors ------------------------------------------------------------------


def test_stored_errors_give_the_same_results(tmp_path: Path) -> None:
    truth = make_truth(30, groups=10)
    protocols = [HANDBENCH, MMPOSE]
    first = score(make_predictions(truth, rows=slice(0, 25)), truth, protocols)
    first.errors.write(tmp_path / "errors.npz")
    again = rescore(tmp_path / "errors.npz", ["handbench", "mmpose"])
    for one, other in zip(first.results, again.results):
        assert one.metrics == other.metrics
        assert one.signature == other.signature
        assert (one.samples, one.per_joint, one.curves) == (
            other.samples,
            other.per_joint,
            other.curves,
        )
        assert {**one.provenance, "rescored": other.provenance["rescored"]} == other.provenance
    assert again.missing == first.missing
    assert again.warnings == first.warnings


def test_stored_errors_give_new_metrics_and_subsets(tmp_path: Path) -> None:
    truth = make_truth(30)
    predictions = make_predictions(truth, rows=slice(0, 25))
    stored = score(predictions, truth, [HANDBENCH]).errors
    names = ("PCK@4px[joints=tip]", "AUC@0-50mm[pa-reflect,n=100]", "EPE[px,stat=p90]")
    ids = truth.sample_id[::2].tolist()
    (fresh,) = score(predictions, truth.only(ids, "ids"), [custom_protocol(names)]).results
    (again,) = rescore(stored, metrics=names, ids=ids).results
    assert again.metrics == fresh.metrics
    assert again.signature == fresh.signature
    (unknown,) = rescore(stored, metrics=["MPJPE[mm,root=9]", "F@5mm[pa]"]).results
    reasons = [value.definition for value in unknown.metrics.values()]
    assert "the stored errors do not hold 'mm,root=9': evaluate the predictions" in reasons[0]
    assert "do not hold 'F@5mm[pa,missing=drop]'" in reasons[1]
    with pytest.raises(ScoreError, match="nothing to score"):
        rescore(stored)
