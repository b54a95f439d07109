from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from many_results import document, write

from handbench.leaderboard.board import Board, Matrix
from handbench.leaderboard.collect import collect

AUC, PA = "AUC@0-0.2[tight,rule=exact]", "PA-MPJPE[mm]"


def board(folder: Path, *results: dict[str, Any], **options: Any) -> Board:
    for number, one in enumerate(results):
        write(folder / f"{number}.json", one)
    return collect([folder], **options)


def matrix(made: Board, metric: str) -> Matrix:
    return next(m for m in made.matrices if m.metric == metric)


def result(place: int, trained: Any, tested: str, name: str = "", **changes: Any) -> dict[str, Any]:
    return document(
        place,
        "handbench",
        name=name or f"net {place} {trained} {tested}",
        dataset=tested,
        training_data=trained,
        **changes,
    )


def test_cells_hold_the_best_model_of_each_pair(tmp_path: Path):
    made = board(
        tmp_path,
        result(4, ["rhd/train"], "freihand"),
        result(1, ["rhd/train"], "freihand", "better"),
        result(0, ["freihand/train"], "freihand", "own"),
        result(2, ["rhd/train", "freihand/train"], "rhd", "both"),
    )
    found = matrix(made, AUC)
    assert found.trained_on == ("freihand", "rhd", "freihand + rhd")
    assert found.tested_on == ("freihand/test", "rhd/test")
    assert {place: (cell.model, cell.within) for place, cell in found.cells.items()} == {
        ("freihand", "freihand/test"): ("own", True),
        ("rhd", "freihand/test"): ("better", False),
        ("freihand + rhd", "rhd/test"): ("both", True),
    }
    pages = {model.name: model.slug for model in made.models}
    assert found.cells["rhd", "freihand/test"].slug == pages["better"]
    three_d = matrix(made, PA)
    assert three_d.smaller_is_better
    assert three_d.cells["rhd", "freihand/test"].model == "better"
    assert three_d.cells["rhd", "freihand/test"].unit == "mm"


def test_no_matrix_is_in_pixels(tmp_path: Path):
    made = board(tmp_path, result(0, ["rhd/train"], "freihand"), result(1, ["rhd/train"], "rhd"))
    assert len(made.matrices) > 1
    assert not any("px" in m.metric for m in made.matrices)


def test_one_cell_is_no_matrix(tmp_path: Path):
    made = board(tmp_path, result(0, ["rhd/train"], "freihand"))
    assert [m.published for m in made.matrices] == [True]


@pytest.mark.parametrize(
    ("changes", "remark"),
    [
        ({"reproduced": False}, ""),
        ({"trained": None}, "1 result is left out whose training data are not declared."),
    ],
)
def test_what_is_not_ranked_or_not_declared_has_no_cell(
    tmp_path: Path, changes: dict[str, Any], remark: str
):
    trained = changes.pop("trained", ["rhd/train"])
    made = board(
        tmp_path,
        result(0, trained, "freihand", "none", **changes),
        result(3, ["rhd/train"], "rhd"),
        result(4, ["freihand/train"], "rhd"),
    )
    found = matrix(made, AUC)
    assert found.tested_on == ("rhd/test",)
    assert remark == "" or remark in found.remarks


def test_distances_of_models_that_missed_hands_have_no_cell(tmp_path: Path):
    made = board(
        tmp_path,
        result(3, ["rhd/train"], "freihand", "missed some"),
        result(4, ["rhd/train"], "rhd"),
        result(5, ["freihand/train"], "rhd"),
    )
    assert ("rhd", "freihand/test") in matrix(made, AUC).cells
    assert ("rhd", "freihand/test") not in matrix(made, PA).cells
    assert any("missed hands" in remark for remark in matrix(made, PA).remarks)


def test_a_model_that_saw_the_test_images_stands_behind_one_that_did_not(tmp_path: Path):
    made = board(
        tmp_path,
        result(0, ["freihand/test"], "freihand", "seen"),
        result(5, ["freihand/train"], "freihand", "clean"),
        result(1, ["hanco/train"], "freihand", "related"),
    )
    found = matrix(made, AUC)
    assert found.cells["freihand", "freihand/test"].model == "clean"
    assert found.cells["freihand", "freihand/test"].mark == ""
    assert "hanco" in found.cells["hanco", "freihand/test"].mark


def test_differing_labels_are_said_with_the_words_of_the_manifests(tmp_path: Path):
    made = board(tmp_path, result(0, ["rhd/train"], "freihand"), result(1, ["rhd/train"], "rhd"))
    remark = matrix(made, AUC).remarks[0]
    assert "do not define joints alike" in remark
    assert "rhd: rendered scenes" in remark
    assert "freihand: semi-automatic multi-view fits" in remark


def test_other_signatures_stay_out(tmp_path: Path):
    other = document(0, "handbench")["signature"].replace("gt_used: box", "gt_used: unknown")
    made = board(
        tmp_path,
        result(4, ["rhd/train"], "freihand", "a"),
        result(5, ["rhd/train"], "freihand", "b"),
        result(0, ["rhd/train"], "freihand", "c", signature=other),
        result(1, ["rhd/train"], "rhd", "d"),
    )
    found = matrix(made, AUC)
    assert found.cells["rhd", "freihand/test"].model == "a"
    assert any("1 result is left out with other signatures" in r for r in found.remarks)


def test_chosen_ids_are_no_test_set(tmp_path: Path):
    chosen = document(0, "handbench")["signature"].replace("ids: all", "ids: 0123")
    made = board(
        tmp_path,
        result(0, ["rhd/train"], "freihand", signature=chosen),
        result(1, ["rhd/train"], "rhd"),
        result(2, ["freihand/train"], "rhd"),
    )
    assert matrix(made, AUC).tested_on == ("rhd/test",)


def test_the_published_matrix_has_all_its_cells():
    found = collect([]).matrices
    assert len(found) == 1
    assert found[0].published
    values = {tested: cell.value for (_, tested), cell in found[0].cells.items()}
    assert values == {
        "STB": 0.473,
        "RHD": 0.518,
        "Panoptic (PAN)": 0.562,
        "LSMV": 0.537,
        "GANerated (GAN)": 0.217,
        "FreiHAND (own)": 0.678,
    }
    assert found[0].trained_on == ("FreiHAND",)
    assert [tested for (_, tested), cell in found[0].cells.items() if cell.within] == [
        "FreiHAND (own)"
    ]
    assert all(cell.slug == "" for cell in found[0].cells.values())
    assert "Only this row of the 8x8 matrix was found" in found[0].remarks[0]
    assert "secondary" in found[0].remarks[0]
