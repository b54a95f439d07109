from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from many_results import document, many_results, write, write_many

from handbench.leaderboard.board import Board, Evidence, Group, Overlap
from handbench.leaderboard.collect import collect
from handbench.scores.hygiene import problems
from handbench.scores.results import Results


def with_tables(board: Board) -> list[Group]:
    return [group for group in board.groups if group.tables]


def test_results_become_groups_tables_and_models(tmp_path: Path):
    write(tmp_path / "a.json", document(0, "mmpose", name="a"))
    write(tmp_path / "b.json", document(4, "mmpose", name="b"))
    write(tmp_path / "b.hb.json", document(4, "handbench", name="b"))
    board = collect([tmp_path])
    assert [(g.dataset, g.split, g.protocol, g.slug) for g in with_tables(board)] == [
        ("myhands", "test", "handbench/1", "myhands-test-handbench-1"),
        ("myhands", "test", "mmpose/1", "myhands-test-mmpose-1"),
    ]
    mmpose = with_tables(board)[1]
    assert [(row.entry.name, row.rank) for row in mmpose.tables[0].rows] == [("a", 1), ("b", 2)]
    assert "mmpose 1.x" in mmpose.protocol_summary
    assert [model.name for model in board.models] == ["a", "b"]
    assert [place for place, _ in board.models[1].places] == [
        "myhands-test-handbench-1",
        "myhands-test-mmpose-1",
    ]
    assert board.models[1].facts["training_data"] == ["myhands/train"]
    assert "url" not in board.models[1].facts
    assert board.unreadable == {}
    assert board.notes == ()


def test_groups_with_results_come_first_and_slugs_are_unique(tmp_path: Path):
    board = collect([write_many(tmp_path, 40)])
    shown = [bool(group.tables) for group in board.groups]
    assert shown == sorted(shown, reverse=True)
    for slugs in (
        [group.slug for group in board.groups],
        [model.slug for model in board.models],
        [row.entry.slug for g in board.groups for t in g.tables for row in t.rows],
    ):
        assert len(set(slugs)) == len(slugs)


def test_files_made_for_tests_have_no_problems():
    for _, made in many_results(36):
        assert problems(Results.from_dict(made)) == []


@settings(max_examples=10)
@given(st.randoms(use_true_random=False))
def test_the_order_of_files_does_not_change_the_board(
    tmp_path_factory: pytest.TempPathFactory, shuffled: random.Random
):
    folder = tmp_path_factory.getbasetemp() / "shuffled"
    if not folder.exists():
        write_many(folder, 30)
        write(folder / "conflict.json", document(1, name="net"))
        write(folder / "conflict too.json", document(2, name="net"))
        (folder / "broken.json").write_text('{"handbench_results": 7}')
    files = sorted(folder.rglob("*.json"))
    shuffled.shuffle(files)
    assert collect(files) == collect([folder])


def test_signatures_stand_apart_with_the_reason(tmp_path: Path):
    other = document(0)["signature"].replace("gt_used: box", "gt_used: unknown")
    write(tmp_path / "a.json", document(0, name="a", signature=other))
    write(tmp_path / "b.json", document(1, name="b"))
    write(tmp_path / "c.json", document(2, name="c"))
    tables = with_tables(collect([tmp_path]))[0].tables
    assert [len(table.rows) for table in tables] == [2, 1]
    assert [table.apart for table in tables] == [{"gt_used": "box"}, {"gt_used": "unknown"}]
    assert [table.rows[0].rank for table in tables] == [1, 1]


def test_versions_of_a_protocol_are_groups_of_their_own(tmp_path: Path):
    new = document(0)["signature"].replace("mmpose/1", "mmpose/2")
    write(tmp_path / "a.json", document(0, name="a", signature=new))
    write(tmp_path / "b.json", document(1, name="b"))
    groups = with_tables(collect([tmp_path]))
    assert [group.protocol for group in groups] == ["mmpose/1", "mmpose/2"]
    newer = groups[1].tables[0].rows[0]
    assert newer.rank is None
    assert "update handbench" in newer.unranked


def test_a_contradiction_is_a_problem_of_both(tmp_path: Path):
    write(tmp_path / "a.json", document(0))
    write(tmp_path / "b.json", document(1))
    rows = with_tables(collect([tmp_path]))[0].tables[0].rows
    assert [row.rank for row in rows] == [None, None]
    assert all("other numbers of 'net'" in row.unranked for row in rows)


def test_impossible_numbers_are_shown_and_not_ranked(tmp_path: Path):
    broken = document(0, name="broken")
    broken["metrics"]["PCK@0.2[bbox,cmp=lt]"]["value"] = 1.7
    write(tmp_path / "a.json", broken)
    write(tmp_path / "b.json", document(3, name="fine"))
    rows = with_tables(collect([tmp_path]))[0].tables[0].rows
    assert [(row.entry.name, row.rank) for row in rows] == [("fine", 1), ("broken", None)]
    assert "1.7" in rows[1].entry.problems[0]


def test_history_is_kept_and_the_newest_stands(tmp_path: Path):
    old: dict[str, Any] = {"version": "1.0.0", "created": "2023-01-01T00:00:00+00:00"}
    write(tmp_path / "old.json", document(2, **old))
    write(tmp_path / "new.json", document(1, version="1.1.0"))
    board = collect([tmp_path])
    model = board.models[0]
    group = with_tables(board)[0].slug
    assert [(slug, row.entry.file.split("/")[-1]) for slug, row in model.places] == [
        (group, "new.json")
    ]
    assert [entry.results.provenance["handbench"] for entry in model.history[group]] == [
        "1.1.0",
        "1.0.0",
    ]
    assert model.history[group][1].superseded_by == model.history[group][0].slug


def test_self_reported_is_listed_and_ranks_when_asked_for(tmp_path: Path):
    write(tmp_path / "a.json", document(0, name="told", reproduced=False))
    write(tmp_path / "b.json", document(1, name="run"))
    rows = with_tables(collect([tmp_path]))[0].tables[0].rows
    assert [(row.entry.name, row.rank) for row in rows] == [("run", 1), ("told", None)]
    assert rows[0].entry.evidence is Evidence.REPRODUCED
    assert "A. Reader on 2024-06-01" in rows[0].entry.evidence_sentence
    assert rows[0].entry.command == "handbench evaluate 1.json --protocol mmpose"
    ranked = with_tables(collect([tmp_path], rank_self_reported=True))[0].tables[0].rows
    assert [(row.entry.name, row.rank) for row in ranked] == [("told", 1), ("run", 2)]


def test_a_reproduction_needs_command_person_and_date(tmp_path: Path):
    half = document(0)
    half["provenance"]["reproduced"] = {"command": "x"}
    path = write(tmp_path / "a.json", half)
    assert "required property" in collect([tmp_path]).unreadable[path.as_posix()]


def test_training_data_are_marked(tmp_path: Path):
    said: list[Any] = [["freihand/train"], ["hanco"], ["freihand/test"], None, []]
    for number, names in enumerate(said):
        made = document(number, name=f"net {number}", dataset="freihand", training_data=names)
        write(tmp_path / f"{number}.json", made)
    rows = with_tables(collect([tmp_path]))[0].tables[0].rows
    found = {row.entry.name: row.entry for row in rows}
    assert [found[f"net {number}"].contamination.overlap for number in range(5)] == [
        Overlap.NONE,
        Overlap.POSSIBLE,
        Overlap.SAME,
        Overlap.UNKNOWN,
        Overlap.NONE,
    ]
    assert found["net 3"].training_data is None
    assert found["net 4"].training_data == ()


HOSTILE = (
    "<script>alert(1)</script>",
    "../../etc/passwd",
    "手のモデル",
    "‮RTL نموذج",
    "a" * 1000,
    "=1+1",
    "index",
    " ",
    "\x00\n\x1b[31m",
)


def test_names_of_strangers_make_plain_slugs_and_stay_as_they_are(tmp_path: Path):
    for number, name in enumerate(HOSTILE):
        made = document(0, name=name, dataset=name, training_data=[name], split=name)
        write(tmp_path / f"{number}.json", made)
    board = collect([tmp_path])
    assert board.unreadable == {}
    assert {model.name for model in board.models} == set(HOSTILE)
    for slug in [*(g.slug for g in board.groups), *(m.slug for m in board.models)]:
        assert slug.isascii()
        assert slug.replace("-", "").isalnum()
        assert len(slug) <= 64


def test_one_sample_and_all_missing(tmp_path: Path):
    lost = document(0, name="lost")
    lost["samples"] = {"expected": 1, "predicted": 0, "missing": 1, "extra": 0, "duplicate": 0}
    lost["signature"] = lost["signature"].replace("expected: 40", "expected: 1")
    for metric in lost["metrics"].values():
        metric |= {"value": None, "ci95": None}
    lost["metrics"]["coverage"]["value"] = 0.0
    lost |= {"per_joint": {}, "curves": {}}
    write(tmp_path / "lost.json", lost)
    table = with_tables(collect([tmp_path]))[0].tables[0]
    assert table.rows[0].coverage == 0.0
    assert table.rows[0].rank is None
    assert "no value of AUC" in table.rows[0].unranked


def test_nothing_at_all_is_a_board_too(tmp_path: Path):
    board = collect([tmp_path])
    assert board.models == ()
    assert with_tables(board) == []
    assert len(board.groups) == 56
    assert collect([]) == board


def test_the_package_itself_loads_nothing():
    code = (
        "import sys, handbench.leaderboard, handbench.leaderboard.board; "
        "print([m for m in ('torch', 'pandas', 'matplotlib', 'jinja2', 'jsonschema') "
        "if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
