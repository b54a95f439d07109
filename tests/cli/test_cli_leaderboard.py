"""``handbench leaderboard`` as people call it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from handbench.cli import cli


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Results of two models in a folder of their own."""
    from leaderboard.many_results import document, write

    folder = tmp_path / "results"
    write(folder / "a.json", document(0, name="first"))
    write(folder / "b.json", document(4, name="another net"))
    return folder


def run(*arguments: str | Path, home: Path | None = None) -> Result:
    before = ["--home", str(home)] if home else []
    return CliRunner().invoke(cli, [*before, "leaderboard", *map(str, arguments)])


def test_a_folder_of_results_becomes_a_site(results: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    done = run(results, "--out", site, "--title", "Our hands")
    assert done.exit_code == 0, done.output
    assert "2 models, 2 results in 1 table, 2 ranked, 293 published rows" in done.stdout
    assert f"wrote {site / 'index.html'}" in done.stdout
    assert "Our hands" in (site / "index.html").read_text("utf-8")
    # Again into the same place.
    (results / "b.json").unlink()
    assert run(results, "--out", site).exit_code == 0
    assert "another net" not in (site / "index.html").read_text("utf-8")


def test_without_results_those_of_the_home_folder_are_shown(results: Path, tmp_path: Path) -> None:
    done = run("--out", tmp_path / "site", home=results.parent)
    assert done.exit_code == 0, done.output
    assert "2 models" in done.stdout


def test_json_is_one_document(results: Path, tmp_path: Path) -> None:
    done = run(results, "--out", tmp_path / "site", "--json")
    document = json.loads(done.stdout)
    assert document["results"] == document["ranked"] == 2
    ours = [g for g in document["groups"] if g["rows"]]
    assert [(g["dataset"], g["protocol"], g["rows"]) for g in ours] == [("myhands", "mmpose/1", 2)]
    assert (tmp_path / "site" / ours[0]["page"]).is_file()
    assert Path(document["index"]).is_file()


def test_what_cannot_be_read_is_said_and_the_rest_is_shown(results: Path, tmp_path: Path) -> None:
    (results / "new.json").write_text('{"handbench_results": 9}')
    (results / "cut.json").write_text('{"handbench_results": 1, "dataset"')
    done = run(results, "--out", tmp_path / "site")
    assert done.exit_code == 0
    assert "2 models" in done.stdout
    assert "new.json" in done.stderr
    assert "format 9" in done.stderr
    assert "cut.json" in done.stderr
    assert "new.json" in (tmp_path / "site" / "problems.html").read_text("utf-8")


def test_self_reported_numbers_are_ranked_when_asked(tmp_path: Path) -> None:
    from leaderboard.many_results import document, write

    write(tmp_path / "r" / "a.json", document(0, name="first", reproduced=False))
    assert "0 ranked" in run(tmp_path / "r", "--out", tmp_path / "s").stdout
    asked = run(tmp_path / "r", "--out", tmp_path / "s", "--rank-self-reported")
    assert "1 ranked" in asked.stdout


def test_files_of_something_else_are_refused_at_once(results: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    site.mkdir()
    (site / "thesis.tex").write_text("years of work")
    done = run(results, "--out", site)
    assert done.exit_code == 1
    assert "thesis.tex" in str(done.exception)
    assert [path.name for path in site.iterdir()] == ["thesis.tex"]


def test_results_that_are_not_there_are_named(tmp_path: Path) -> None:
    done = run(tmp_path / "nowhere", "--out", tmp_path / "site")
    assert done.exit_code == 1
    assert "expected results JSON at" in str(done.exception)
    assert not (tmp_path / "site").exists()
    missing = run("--out", tmp_path / "site", home=tmp_path / "nobody")
    assert "handbench evaluate" in str(missing.exception)


def test_usage(results: Path, tmp_path: Path) -> None:
    assert run(results).exit_code == 2
    both = run(results, "--out", tmp_path / "site", "--json", "--watch")
    assert both.exit_code == 2
    assert "--watch goes on" in both.output


def test_watching_rebuilds_and_survives_a_bad_moment(
    results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from leaderboard.many_results import document, write

    site = tmp_path / "site"
    happening = iter(
        [
            lambda: write(results / "c.json", document(2, name="third")),
            None,
            lambda: (site / "CNAME").write_text("hands.example.org"),
            lambda: write(results / "d.json", document(3, name="fourth")),
            None,
            (site / "CNAME").unlink,
            lambda: write(results / "e.json", document(5, name="fifth")),
            None,
        ]
    )

    def sleep(_: float) -> None:
        try:
            action = next(happening)
        except StopIteration:
            raise KeyboardInterrupt from None
        if action is not None:
            action()

    from handbench.leaderboard import watch

    monkeypatch.setattr(watch.watch, "__kwdefaults__", {"sleep": sleep, "interval_s": 1.0})
    done = run(results, "--out", site, "--watch")
    assert done.exit_code == 0, done.output
    assert f"open {(site / 'index.html').as_uri()}" in done.stdout
    assert "2 models" in done.stdout
    assert "3 models" in done.stdout
    assert "CNAME" in done.stderr
    assert "5 models" in done.stdout
