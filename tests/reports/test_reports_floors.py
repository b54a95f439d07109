from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from generators.scored import make_predictions, make_truth
from generators.truth_file import write_truth
from scored_models import scored

from handbench.hdf5.reader import HandFile
from handbench.reports.floors import floors, truths
from handbench.reports.ranking import rankings
from handbench.scores.protocols import find_protocol
from handbench.scores.scoring import score


def test_the_labels_are_in_the_rows_of_the_model(tiny: HandFile) -> None:
    model = scored(tiny)
    some = dataclasses.replace(model, errors=model.errors.rows(np.array([7, 2, 9])))
    (truth,) = truths([some], tiny)
    assert truth is not None
    assert truth.sample_id.tolist() == ["test/0007", "test/0002", "test/0009"]


def test_another_file_has_neither_labels_nor_floor(tiny: HandFile) -> None:
    model = scored(tiny)
    names = model.errors.sample_id.astype("<U20").copy()
    names[0] = "elsewhere"
    moved = dataclasses.replace(model, errors=dataclasses.replace(model.errors, sample_id=names))
    assert truths([moved, model], tiny)[0] is None
    assert truths([moved, model], tiny)[1] is not None
    assert floors([moved], truths([moved], tiny)) == [None]


def test_models_on_the_same_hands_share_a_floor(tiny: HandFile) -> None:
    models = [scored(tiny, "a"), scored(tiny, "b", missing=3)]
    one, two = floors(models, truths(models, tiny))
    assert one is two


@pytest.mark.parametrize("protocol", ["handbench", "mmpose", "zb2d", "hint"])
def test_every_protocol_has_a_floor(tiny: HandFile, protocol: str) -> None:
    for models in (
        [scored(tiny, protocols=(protocol,))],
        [scored(tiny, name, shift=2.0, protocols=(protocol,)) for name in ("a", "b")],
    ):
        names = [str(k) for k in range(len(models))]
        (table,) = rankings(models, names, floors(models, truths(models, tiny)))
        assert table.has_floor
        lines = [line for line in table.lines if line.has_values and line.name != "coverage"]
        assert all(line.floor is not None for line in lines)


def test_the_reported_floor_and_the_made_one_agree(tiny: HandFile) -> None:
    model = scored(tiny)
    (floor,) = floors([model], truths([model], tiny))
    assert floor is not None
    own = [line for line in rankings([model], ["a"])[0].lines if line.floor is not None]
    assert len(own) > 5
    for line in own:
        assert line.floor is not None
        assert line.floor.value == pytest.approx(floor.results[0].metrics[line.name].value)


def test_3d_alone_has_a_floor_from_the_wrist_and_none_in_the_camera(tmp_path: Path) -> None:
    truth = make_truth(30)
    model = score(make_predictions(truth, keypoints=None), truth, [find_protocol("dexycb")])
    with write_truth(tmp_path / "hands.h5", truth) as data:
        found = floors([model], truths([model], data))
    (table,) = rankings([model], ["net"], found)
    of = {line.name: line.floor for line in table.lines}
    root = of["MPJPE[mm,root=0,avg=joint]"]
    assert root is not None
    assert root.value is not None
    assert root.value > 0
    assert of["MPJPE[mm,cam,avg=joint]"] is None
