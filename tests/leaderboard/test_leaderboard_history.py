from __future__ import annotations

from dataclasses import replace
from typing import Any

from many_results import document

from handbench.leaderboard.board import Contamination, Entry, Evidence, Overlap
from handbench.leaderboard.history import made, newest_first, with_history
from handbench.scores.results import Results

OLD, NEW = "2023-05-01T12:00:00+00:00", "2024-05-01T12:00:00+00:00"


def entry(slug: str, **changes: Any) -> Entry:
    return Entry(
        results=Results.from_dict(document(**changes)),
        file=f"{slug}.json",
        slug=slug,
        evidence=Evidence.REPRODUCED,
        evidence_sentence="",
        command="",
        training_data=None,
        contamination=Contamination(Overlap.UNKNOWN, ""),
    )


def test_the_newest_counts_and_older_ones_point_to_it():
    old = entry("old", created=OLD, version="1.0.0")
    new = entry("new", created=NEW, version="1.1.0")
    for order in ([old, new], [new, old]):
        marked = {one.slug: one for one in with_history(order)}
        assert marked["old"].superseded_by == "new"
        assert marked["new"].superseded_by == ""
        assert not marked["old"].problems + marked["new"].problems


def test_other_models_datasets_protocols_and_signatures_are_left_alone():
    entries = [
        entry("a", created=OLD),
        entry("b", created=NEW, name="other"),
        entry("c", created=NEW, dataset="elsewhere"),
        entry("d", created=NEW, protocol="handbench"),
        entry("e", created=NEW, signature="protocol: mmpose/1; box: detector"),
    ]
    assert with_history(entries) == entries


def test_two_files_with_other_numbers_contradict_each_other_and_both_stay():
    entries = [entry("a", place=0), entry("b", place=1)]
    marked = with_history(entries)
    assert [one.superseded_by for one in marked] == ["", ""]
    for one, other in zip(marked, ("b.json", "a.json")):
        assert len(one.problems) == 1
        assert one.problems[0].startswith(f"{other} holds other numbers of 'net'")


def test_other_numbers_of_another_version_are_history():
    marked = with_history(
        [
            entry("a", place=0, version="1.0.0", created=OLD),
            entry("b", place=1, version="1.1.0", created=NEW),
        ]
    )
    assert not any(one.problems for one in marked)
    assert [one.superseded_by for one in marked] == ["b", ""]


def test_a_later_run_with_the_same_numbers_is_no_contradiction():
    marked = with_history([entry("a", created=OLD), entry("b", created=NEW)])
    assert not any(one.problems for one in marked)
    assert [one.superseded_by for one in marked] == ["b", ""]


def test_a_metric_without_value_differs_from_one_with():
    empty = document()
    first = next(iter(empty["metrics"]))
    empty["metrics"][first]["value"] = None
    marked = with_history([entry("a"), entry("b", metrics=empty["metrics"])])
    assert all(first in one.problems[0] and "none" in one.problems[0] for one in marked)


def test_files_without_a_time_are_the_oldest():
    timeless = entry("t", created="soon")
    zoned, plain = entry("z", created=NEW), entry("p", created="2024-05-01T12:00:01")
    assert made(timeless.results) == float("-inf")
    assert [one.slug for one in newest_first([timeless, zoned, plain])] == ["p", "z", "t"]


def test_a_later_date_does_not_depose_what_is_proved_better():
    proved = replace(entry("proved", created=OLD), evidence=Evidence.RESCORED)
    later: dict[str, Any] = {"place": 1, "created": NEW, "version": "9.0.0"}
    said = replace(entry("said", **later), evidence=Evidence.SELF_REPORTED)
    flawed = replace(
        entry("flawed", **later), evidence=Evidence.RESCORED, problems=("EPE is below 0",)
    )
    marked = {one.slug: one.superseded_by for one in with_history([proved, said, flawed])}
    assert marked["proved"] == ""
    assert marked["said"] == ""
