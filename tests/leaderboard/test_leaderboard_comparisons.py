"""Comparison reports: models of one split together, only where the truth is the same."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from boards import board, entry, group, table
from generators.tiny_hdf5 import write_tiny
from reports.pages import Page
from reports.scored_models import HANDS, scored

from handbench.hdf5.reader import HandFile
from handbench.leaderboard.board import Board
from handbench.leaderboard.comparisons import MAX_MODELS
from handbench.leaderboard.site import write_site
from handbench.scores.results import Evaluation


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HandFile]:
    path = write_tiny(tmp_path_factory.mktemp("compared") / "tiny.h5", {"test": HANDS})
    with HandFile(path) as file:
        yield file


def board_of(*evaluations: Evaluation) -> Board:
    """One group a protocol, each evaluation an entry in both."""
    groups = []
    for place in range(len(evaluations[0].results)):
        entries = [
            entry(evaluation.results[place], evaluation=evaluation) for evaluation in evaluations
        ]
        groups.append(group([table(entries)]))
    return board(groups)


def test_models_stand_together_under_all_their_protocols(tiny: HandFile, tmp_path: Path) -> None:
    shown = board_of(scored(tiny, "good"), scored(tiny, "bad", shift=9.0))
    site = write_site(shown, tmp_path / "out", data=[tiny]).parent
    report = Page((site / "reports" / "g0.html").read_text("utf-8"))
    assert "2 models compared" in report.text
    assert "Protocol handbench" in report.text
    assert "Protocol mmpose" in report.text
    # Both groups and both models lead to it.
    for page in ("groups/g0.html", "groups/g1.html", "models/m0.html", "models/m1.html"):
        links = [a["href"] for a in Page((site / page).read_text("utf-8")).all("a")]
        assert "../reports/g0.html" in links


def test_photos_are_shown_as_asked(tiny: HandFile, tmp_path: Path) -> None:
    shown = board_of(scored(tiny, "good"))
    texts = []
    for images in (True, False):
        site = write_site(shown, tmp_path / str(images), data=[tiny], images=images).parent
        texts.append(Page((site / "reports" / "g0.html").read_text("utf-8")).text)
    assert "skeletons stand on grey" not in texts[0]
    assert "skeletons stand on grey" in texts[1]


def test_other_truth_is_not_shown_under_the_numbers(tiny: HandFile, tmp_path: Path) -> None:
    one = scored(tiny, "good")
    other = replace(one.errors, about={**one.errors.about, "truth_sha256": "0" * 64})
    shown = board_of(replace(one, errors=other))
    site = write_site(shown, tmp_path / "out", data=[tiny]).parent
    assert not (site / "reports").exists()
    assert "Comparison" not in Page((site / "groups" / "g0.html").read_text("utf-8")).text


def test_without_errors_or_data_there_is_no_report(tiny: HandFile, tmp_path: Path) -> None:
    shown = board_of(scored(tiny, "good"))
    assert not (write_site(shown, tmp_path / "a").parent / "reports").exists()
    bare = board([group([table([entry(scored(tiny, "good").results[0])])])])
    assert not (write_site(bare, tmp_path / "b", data=[tiny]).parent / "reports").exists()


def test_one_report_holds_the_best_few(tiny: HandFile, tmp_path: Path) -> None:
    many = [scored(tiny, f"net {k}", shift=1.0 + k, protocols=("mmpose",)) for k in range(10)]
    site = write_site(board_of(*many), tmp_path / "out", data=[tiny]).parent
    text = Page((site / "reports" / "g0.html").read_text("utf-8")).text
    assert f"{MAX_MODELS} models compared" in text
    assert "net 7" in text
    assert "net 8" not in text
