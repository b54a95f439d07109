from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from generators.scored import make_predictions, make_truth
from generators.scored_results import results_of

from handbench.errors import ScoreError
from handbench.reports.official import LINES, official, remarks, scores_txt
from handbench.scores.protocols import find_protocol
from handbench.scores.results import Results
from handbench.scores.scoring import score

KEYS = [
    *("xyz_mean3d", "xyz_auc3d", "xyz_al_mean3d", "xyz_al_auc3d"),
    *("mesh_mean3d", "mesh_auc3d", "mesh_al_mean3d", "mesh_al_auc3d"),
    *("f_score_5", "f_al_score_5", "f_score_15", "f_al_score_15"),
]
"""Of FreiHAND's eval.py, in the order in which it writes them."""


def with_meshes(shift_mm: float = 0.0) -> Results:
    """Joints and meshes that are off by `shift_mm` in depth."""
    truth = make_truth(6)
    vertices = np.random.default_rng(0).normal(0, 0.04, (6, 778, 3)).astype(np.float32) + 0.5
    truth = replace(truth, vertices=vertices)
    assert truth.keypoints_3d is not None
    shift = np.array([0.0, 0.0, shift_mm / 1000])
    predictions = make_predictions(
        truth, 0.0, keypoints_3d=truth.keypoints_3d + shift, vertices=vertices + shift
    )
    return score(predictions, truth, [find_protocol("freihand")]).results[0]


def parsed(text: str) -> dict[str, float]:
    found = re.findall(r"^(\w+): (-?\d+\.\d{6}|nan)$", text, re.MULTILINE)
    assert len(found) == len(text.splitlines())
    return {key: float(value) for key, value in found}


def test_a_perfect_prediction() -> None:
    values = parsed(scores_txt(with_meshes()))
    assert list(values) == KEYS
    perfect = [0.0, 1.0, 0.0, 1.0] * 2 + [1.0] * 4
    # Alignment leaves rounding errors, which are more than the first threshold of 0.
    assert list(values.values()) == pytest.approx(perfect, abs=0.006)


def test_lengths_are_centimetres() -> None:
    values = parsed(scores_txt(with_meshes(10.0)))
    assert list(values) == KEYS
    assert values["xyz_mean3d"] == pytest.approx(1.0, abs=1e-5)
    assert values["mesh_mean3d"] == pytest.approx(1.0, abs=1e-5)
    # 10 mm is right from the 20th of 99 steps on: the closed form of the official grid.
    assert values["xyz_auc3d"] == pytest.approx((99.5 - 20) / 99, abs=1e-6)
    assert values["xyz_al_mean3d"] == pytest.approx(0.0, abs=1e-5)


def test_no_mesh_is_what_the_script_writes_for_other_meshes() -> None:
    results = results_of(3.0, "freihand")
    values = parsed(scores_txt(results))
    assert values["mesh_mean3d"] == values["mesh_al_mean3d"] == -100
    assert values["mesh_auc3d"] == values["mesh_al_auc3d"] == -1
    assert np.isnan(values["f_score_5"])
    assert "no value of mesh_mean3d" in remarks(results)[0]


def test_ho3d_names_its_alignments() -> None:
    values = parsed(scores_txt(results_of(3.0, "ho3d")))
    assert list(values)[2:6] == [
        *("xyz_procrustes_al_mean3d", "xyz_procrustes_al_auc3d"),
        *("xyz_scale_trans_al_mean3d", "xyz_scale_trans_al_auc3d"),
    ]
    assert list(values)[6:] == KEYS[4:]


@pytest.mark.parametrize("protocol", list(LINES))
def test_every_line_is_a_metric_of_its_protocol(protocol: str) -> None:
    names = set(map(str, find_protocol(protocol).metrics(with_3d=True)))
    assert {name for _, name in LINES[protocol]} <= names


def test_missing_hands_are_remarked() -> None:
    assert remarks(results_of(3.0, "mmpose", missing=3)) == []
    found = remarks(results_of(3.0, "freihand", missing=3))
    assert found[0].startswith("3 of 40 hands are missing; the official script stops there")


def test_several_models_stand_below_their_names() -> None:
    one = with_meshes()
    assert official([("a", one)]) == scores_txt(one)
    text = official([("a", one), ("b", one), ("a", results_of(3.0, "mmpose"))])
    assert text == f"# a\n{scores_txt(one)}\n\n# b\n{scores_txt(one)}"


def test_other_protocols_have_no_such_file() -> None:
    with pytest.raises(ScoreError, match="protocol freihand or ho3d, found 'mmpose'"):
        official([("a", results_of(3.0, "mmpose"))])
    bare = replace(results_of(3.0, "freihand"), metrics={})
    with pytest.raises(ScoreError, match="evaluate again with --protocol freihand"):
        scores_txt(bare)
