from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scored_models import HANDS, scored

from handbench.hdf5.reader import HandFile
from handbench.reports.differences import JointDifferences, differences
from handbench.reports.ranking import rankings
from handbench.scores.results import Evaluation


def compared(models: list[Evaluation], protocol: int = 0) -> JointDifferences | None:
    names = [f"m{k}" for k in range(len(models))]
    return differences(models, names, rankings(models, names)[protocol])


def test_differences_are_those_of_the_values_by_joint(tiny: HandFile) -> None:
    far, near = scored(tiny, "far", shift=5.0), scored(tiny, "near", shift=2.0)
    found = compared([far, near])
    assert found is not None
    assert (found.reference, found.slots, found.unit) == (1, [0], "fraction")
    for joint, row in enumerate(found.rows):
        one, two = (m.results[0].per_joint[found.metric][joint] for m in (far, near))
        assert one is not None
        assert two is not None
        assert row[0].value == pytest.approx(one - two)
        assert row[0].ci95 is not None
        assert row[0].ci95[0] <= row[0].value <= row[0].ci95[1]
    assert found.counts(0) == {"better": 0, "worse": 21, "": 0}


def test_noise_is_not_called_better_or_worse(tiny: HandFile) -> None:
    found = compared([scored(tiny, "a", shift=3.0), scored(tiny, "b", shift=-3.0)])
    assert found is not None
    assert found.counts(found.slots[0])[""] == 21


def test_hands_that_one_model_missed_count_as_they_do_in_the_metric(tiny: HandFile) -> None:
    missed, found_all = scored(tiny, "a", missing=6), scored(tiny, "b")
    found = compared([missed, found_all])
    assert found is not None
    value = missed.results[0].per_joint[found.metric][8]
    other = found_all.results[0].per_joint[found.metric][8]
    assert value is not None
    assert other is not None
    assert found.rows[8][0].value == pytest.approx(value - other)


def test_a_joint_without_labels_has_no_difference(tiny: HandFile) -> None:
    models = [scored(tiny, "a", shift=5.0), scored(tiny, "b", shift=2.0)]
    without = []
    for model in models:
        scores = {name: values.copy() for name, values in model.primary.items()}
        for values in scores.values():
            values[:, 8] = np.nan
        without.append(dataclasses.replace(model, primary=scores))
    found = compared(without)
    assert found is not None
    assert found.rows[8] == {}
    assert found.sure(8, found.slots[0]) == ""
    assert len(found.rows[9]) == 1


def test_one_model_or_one_score_a_hand_is_no_comparison(tiny: HandFile) -> None:
    model = scored(tiny)
    assert compared([model]) is None
    whole = {name: values[:, :1] for name, values in model.primary.items()}
    models = [dataclasses.replace(model, primary=whole), scored(tiny, "b", shift=4.0)]
    names = ["a", "b"]
    table = rankings([model, models[1]], names)[0]
    assert differences(models, names, table) is None
    assert model.primary["handbench"].shape == (HANDS, 21)
