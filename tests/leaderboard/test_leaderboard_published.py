from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from many_results import document, write

import handbench.leaderboard
from handbench.leaderboard.board import Group, PublishedEvidence
from handbench.leaderboard.collect import collect
from handbench.leaderboard.published import header, published_groups
from handbench.scores.names import parse
from handbench.scores.protocols import find_protocol
from handbench.sources import manifest

FOLDER = Path(handbench.leaderboard.__file__).parent
ROWS = json.loads((FOLDER / "published.json").read_text("utf-8"))["rows"]
NAMES = json.loads((FOLDER / "published_names.json").read_text("utf-8"))
UNITS = {
    # Metric as printed → unit, by how its name begins; the header of the rows says the same.
    "pck": "fraction",
    "auc": "fraction",
    "f5": "fraction",
    "f15": "fraction",
    "ap_hand": "fraction",
    "handedness": "fraction",
    "epe": "px",
    "mpjpe": "mm",
    "pa_mpjpe": "mm",
    "mpvpe": "mm",
    "pa_mpvpe": "mm",
    "mrrpe": "mm",
}


def board_of(folder: Path, **changes: object) -> dict[tuple[str, str, str], Group]:
    write(folder / "net.json", document(**changes))  # type: ignore[arg-type]
    groups = collect([folder]).groups
    found = {(g.dataset, g.split, g.protocol): g for g in groups}
    assert len(found) == len(groups)
    return found


def test_no_row_is_lost():
    assert Counter(row["evidence"] for row in ROWS) == {
        "primary": 178,
        "quoted": 46,
        "secondary": 69,
    }
    read = [row for group in published_groups() for row in group.rows]
    assert Counter(row.evidence for row in read) == {
        PublishedEvidence.PRIMARY: 178,
        PublishedEvidence.QUOTED: 46,
        PublishedEvidence.SECONDARY: 69,
    }
    assert [row.printed for row in read if row.model == "WiLoR"] == [
        row["metrics"] for row in ROWS if row["model"] == "WiLoR"
    ]
    shown = [row for group in collect([]).groups for row in group.published]
    assert Counter(map(repr, shown)) == Counter(map(repr, read))


def test_every_place_of_the_rows_is_in_the_table_of_names_once():
    there = {(row["dataset"], row["split"], row["protocol"]) for row in ROWS}
    named = [(g["dataset"], g["split"], g["protocol"]) for g in NAMES["groups"]]
    assert sorted(named) == sorted(there)


def test_a_place_maps_or_says_why_not():
    for group in NAMES["groups"]:
        assert ("ours" in group) != bool(group.get("reference_only"))


def test_names_of_ours_exist_and_metrics_belong_to_the_protocol():
    protocol_of = {g["protocol"]: g["ours"]["protocol"] for g in NAMES["groups"] if "ours" in g}
    for group in published_groups():
        if group.ours is None:
            continue
        dataset, split, tag = group.ours
        facts = manifest.load(dataset)
        assert split in facts.splits
        assert find_protocol(tag.partition("/")[0]).tag == tag
        if group.expected is not None:
            expected = facts.splits[split].samples or facts.splits[split].annotations
            assert group.expected == expected
    for protocol, names in NAMES["metrics"].items():
        known = find_protocol(protocol_of[protocol]) if protocol in protocol_of else None
        for name in names.values():
            assert str(parse(name)) == name
            if known is not None:
                assert parse(name) in known.metrics(with_3d=True)


def test_units_are_the_same_on_both_sides():
    for names in NAMES["metrics"].values():
        for printed, name in names.items():
            stem = max((s for s in UNITS if printed.startswith(s)), key=len)
            assert parse(name).result_unit == UNITS[stem]
    values = [
        (parse(name), value)
        for group in published_groups()
        for row in group.rows
        for name, value in row.values.items()
    ]
    assert len(values) > 300
    for metric, value in values:
        assert 0 <= value <= 1 if metric.result_unit == "fraction" else value > 0
        if metric.result_unit == "mm":
            assert value > 2  # an error in metres or centimetres would be smaller


def test_values_are_those_printed():
    group = next(g for g in published_groups() if g.ours == ("freihand", "test", "freihand/1"))
    wilor = [row for row in group.rows if row.model == "WiLoR"]
    assert [row.values["MPJPE[mm,pa-reflect,avg=joint]"] for row in wilor] == [5.5]
    assert wilor[0].values["F@5mm[pa-reflect]"] == 0.825
    assert wilor[0].source.startswith("WiLoR")


def test_nothing_published_maps_to_synthetic_hands_or_subsets(tmp_path: Path):
    ours = {group.ours[0] for group in published_groups() if group.ours is not None}
    assert "sample" not in ours
    assert not any(name.endswith("-subset") for name in ours)
    for dataset in ("sample", "freihand-subset", "realhands"):
        for protocol in ("mmpose", "freihand"):
            folder = tmp_path / dataset / protocol
            groups = board_of(folder, dataset=dataset, protocol=protocol)
            assert groups[dataset, "test", f"{protocol}/1"].published == ()


def test_mmposes_own_split_of_freihand_never_stands_beside_the_official_test(tmp_path: Path):
    for group in published_groups():
        own = group.dataset.startswith("FreiHAND") and group.protocol.startswith("mmpose")
        if own:
            assert group.ours is None
            assert "own random split of the public training images" in group.reference_only
    groups = board_of(tmp_path, dataset="freihand", protocol="mmpose")
    assert groups["freihand", "test", "mmpose/1"].published == ()


@pytest.mark.parametrize(("hands", "beside"), [(3960, True), (3959, False), (40, False)])
def test_rows_stand_beside_results_of_the_whole_official_split_alone(
    tmp_path: Path, hands: int, beside: bool
):
    counts = {"expected": hands, "predicted": hands, "missing": 0, "extra": 0, "duplicate": 0}
    groups = board_of(tmp_path, dataset="freihand", protocol="freihand", samples=counts)
    ours = groups["freihand", "test", "freihand/1"]
    assert len(ours.published) == (70 if beside else 0)
    apart = groups.get(("FreiHAND", "official evaluation (3960)", "freihand_official"))
    assert (apart is None) == beside
    if apart is not None:
        assert f"are of {hands:,} hands, these of 3,960" in apart.reference_only
        assert len(apart.published) == 70


def test_results_of_chosen_ids_are_not_the_split(tmp_path: Path):
    counts = {"expected": 3960, "predicted": 3960, "missing": 0, "extra": 0, "duplicate": 0}
    signature = document(protocol="freihand")["signature"].replace("ids: all", "ids: 0123")
    groups = board_of(
        tmp_path, dataset="freihand", protocol="freihand", samples=counts, signature=signature
    )
    assert groups["freihand", "test", "freihand/1"].published == ()


def test_published_groups_without_results_wait_under_our_names_where_they_map():
    groups = {(g.dataset, g.split, g.protocol): g for g in collect([]).groups}
    waiting = groups["freihand", "test", "freihand/1"]
    assert (waiting.tables, waiting.reference_only) == ((), "")
    assert waiting.title == "FreiHAND v2"
    lonely = groups["HO-3D v2", "official evaluation", "ho3d_official"]
    assert "no reader for HO-3D" in lonely.reference_only
    assert lonely.protocol_summary == header()["protocols"]["ho3d_official"]
    # Its numbers are still read in our words.
    assert lonely.published[0].values["F@15mm[pa-reflect]"] > 0.9


def test_a_metric_that_is_not_the_same_stays_as_printed():
    group = next(g for g in published_groups() if g.ours == ("onehand10k", "test", "mmpose/1"))
    assert all("pck@0.2" in row.printed for row in group.rows)
    assert all(len(row.values) == 2 for row in group.rows)
    assert "pck@0.2 stays as printed" in group.remark
    grids = [g for g in published_groups() if g.protocol == "auc3d_20_50"]
    assert grids
    assert all(not row.values for g in grids for row in g.rows)


def test_published_rows_stand_in_the_table_of_the_whole_split(tmp_path: Path):
    counts = {"expected": 3960, "predicted": 3960, "missing": 0, "extra": 0, "duplicate": 0}
    whole = document(protocol="freihand", dataset="freihand", samples=counts)
    few = whole["signature"].replace("ids: all", "ids: 0123")
    write(tmp_path / "whole.json", whole)
    for number in range(3):  # the larger table
        chosen = document(
            number, "freihand", name=f"n{number}", dataset="freihand", samples=counts, signature=few
        )
        write(tmp_path / f"{number}.json", chosen)
    group = next(g for g in collect([tmp_path]).groups if g.tables)
    assert len(group.published) == 70
    assert [table.apart["ids"] for table in group.tables] == ["all", "0123"]
