from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from generators.scored import make_predictions, make_truth

from handbench.leaderboard.agreement import bounds_of, compare_results
from handbench.predictions.record import Predictions
from handbench.scores.protocols import PROTOCOLS, custom_protocol, find_protocol
from handbench.scores.results import Results
from handbench.scores.scoring import score
from handbench.scores.truth import Truth

PX, MM = 0.05, 0.05
PRESETS = [
    find_protocol(name)
    for name in ("handbench", "mmpose", "freihand", "ho3d", "dexycb", "auc3d_20_50")
]


def moved(predictions: Predictions, seed: int, px: float = PX, mm: float = MM) -> Predictions:
    """Every point moved by the same length into a random direction."""
    rng = np.random.default_rng(seed)

    def step(shape: tuple[int, ...], length: float) -> np.ndarray:
        way = rng.normal(size=shape)
        return way / np.linalg.norm(way, axis=-1, keepdims=True) * length

    assert predictions.keypoints is not None
    assert predictions.keypoints_3d is not None
    return replace(
        predictions,
        keypoints=predictions.keypoints + step(predictions.keypoints.shape, px),
        keypoints_3d=predictions.keypoints_3d + step(predictions.keypoints_3d.shape, mm * 1e-3),
    )


@pytest.fixture(scope="module")
def truth() -> Truth:
    return make_truth(30, groups=6)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("noise", [0.3, 3.0, 12.0])
def test_what_half_precision_may_have_moved_is_within_the_bounds(
    truth: Truth, noise: float, seed: int
):
    original = make_predictions(truth, noise, seed=seed, rows=np.arange(2, 30))
    here = score(moved(original, seed), truth, PRESETS)
    low, high = bounds_of(here, PRESETS, PX, MM)
    submitted = score(original, truth, PRESETS)
    for said, ours, *ends in zip(submitted.results, here.results, low.results, high.results):
        agreement = compare_results(said, ours, (ends[0], ends[1]))
        assert agreement.different == ()
        assert agreement.lacking == ()
        assert agreement.compared > 5


def test_bounds_are_narrow_where_a_metric_is_smooth(truth: Truth):
    here = score(make_predictions(truth, 3.0), truth, PRESETS[:1])
    low, high = (one.results[0] for one in bounds_of(here, PRESETS[:1], PX, MM))
    ours = here.results[0]

    def width(name: str) -> float:
        ends = low.metrics[name].value, high.metrics[name].value
        assert ends[0] is not None
        assert ends[1] is not None
        return abs(ends[1] - ends[0])

    # 2 ε in px; 2 ε over a box of some 130 px; 4 ε because root and joint moved.
    assert width("EPE[px]") == pytest.approx(2 * PX, rel=1e-3)
    assert width("EPE[tight]") < 2 * PX / 60
    assert width("MPJPE[mm,root=0]") == pytest.approx(4 * MM, rel=0.1)
    assert width("AUC@0-0.2[tight,rule=exact]") < 0.01
    # The floor does not depend on predictions.
    assert width("EPE[px,of=mean-pose]") == 0
    assert ours.metrics["EPE[px]"].value == pytest.approx(
        np.mean([low.metrics["EPE[px]"].value, high.metrics["EPE[px]"].value]), rel=1e-3
    )


def test_what_moved_further_is_found(truth: Truth):
    original = make_predictions(truth, 3.0)
    here = score(moved(original, 0), truth, PRESETS[:1])
    low, high = bounds_of(here, PRESETS[:1], PX, MM)
    better = make_predictions(truth, 2.9)
    said = score(better, truth, PRESETS[:1]).results[0]
    agreement = compare_results(said, here.results[0], (low.results[0], high.results[0]))
    assert any(sentence.startswith("EPE[px] is ") for sentence in agreement.different)
    assert "within half precision" in agreement.different[0]


def test_stored_pixels_are_scaled_by_the_crop(truth: Truth):
    # These hands are stored at half their size.
    preset = custom_protocol(("EPE[px,frame=stored]", "EPE[px]"))
    here = score(make_predictions(truth, 3.0), truth, [preset])
    low, high = (one.results[0] for one in bounds_of(here, [preset], PX, MM))
    name = "EPE[px,frame=stored]"
    ends = low.metrics[name].value, high.metrics[name].value
    assert ends[0] is not None
    assert ends[1] is not None
    assert ends[1] - ends[0] == pytest.approx(PX, rel=1e-3)


def test_exact_numbers_must_be_equal(truth: Truth):
    ours = score(make_predictions(truth, 3.0), truth, PRESETS[:1]).results[0]
    assert compare_results(ours, ours).different == ()
    changed = with_value(ours, "PCK@0.1[tight]", ours.metrics["PCK@0.1[tight]"].value, 1e-4)
    found = compare_results(changed, ours).different
    assert len(found) == 1
    assert found[0].startswith("PCK@0.1[tight] is ")


def test_values_that_only_one_side_has_and_counts(truth: Truth):
    ours = score(make_predictions(truth, 3.0), truth, PRESETS[1:2]).results[0]
    without = with_value(ours, "EPE[px]", None)
    assert compare_results(without, ours).different == ()
    assert compare_results(ours, without).lacking == ("EPE[px]",)
    fewer = replace(ours, samples={**ours.samples, "predicted": 29})
    assert compare_results(fewer, ours).different == (
        "29 hands predicted were submitted, 30 are so here",
    )


def with_value(results: Results, name: str, value: float | None, plus: float = 0.0) -> Results:
    value = None if value is None else value + plus
    metrics = {**results.metrics, name: replace(results.metrics[name], value=value)}
    return replace(results, metrics=metrics)


def test_every_kind_of_errors_has_a_multiple():
    # Whoever adds an alignment has to say how far points may move under it.
    from handbench.leaderboard.agreement import _BONE, _multiple
    from handbench.scores.distances import errors_name

    for preset in PROTOCOLS:
        for metric in preset.metrics(with_3d=True):
            if metric.per_joint and metric.alignment is not None:
                words = errors_name(metric).split(",")
                found = _multiple(words)
                assert found == (_BONE if metric.bone else found)
                assert found >= (1 if metric.alignment == "cam" else 2)
