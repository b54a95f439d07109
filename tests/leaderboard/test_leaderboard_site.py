"""The site as files: links that lead somewhere, the right words on each page, nothing executed."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from boards import (
    AUC,
    CHINESE,
    HOSTILE,
    LONG,
    PUBLISHED,
    RIGHT_TO_LEFT,
    board,
    entry,
    full_board,
    group,
    matrix,
    results,
    table,
)
from many_results import write_many
from reports.pages import Page

from handbench.errors import HandbenchError
from handbench.leaderboard.board import Board, Evidence
from handbench.leaderboard.collect import collect
from handbench.leaderboard.site import write_site


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_site(full_board(), tmp_path_factory.mktemp("site") / "out", title="Ours").parent


def read(site: Path, page: str) -> Page:
    return Page((site / page).read_text("utf-8"))


def pages(site: Path) -> list[Path]:
    return sorted(site.rglob("*.html"))


def check_links(site: Path) -> None:
    """Every link of every page is relative and leads to a file, and to a place in it."""
    read_once = {path.resolve(): Page(path.read_text("utf-8")) for path in pages(site)}
    ids = {path: {a["id"] for _, a in page.tags if "id" in a} for path, page in read_once.items()}
    for page, found in read_once.items():
        for link in found.all("a"):
            address = urlsplit(link["href"])
            if address.scheme:
                assert address.scheme in ("http", "https"), link
                assert "noopener" in link["rel"]
                continue
            assert not address.path.startswith("/"), link
            target = (page.parent / unquote(address.path)).resolve() if address.path else page
            assert target.is_file(), f"{page.name}: {link}"
            assert target.is_relative_to(site.resolve())
            if address.fragment:
                assert address.fragment in ids[target], f"{page.name}: {link}"


def check_scripts(page: Path) -> None:
    """Only our scripts, each named by its hash in the policy, and nothing that makes a request."""
    text = page.read_text("utf-8")
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="(.*?)"', text)
    assert policy.startswith("default-src 'none'; ")
    assert re.search(r"script-src 'sha256-\S+' 'sha256-\S+' ;", policy)
    scripts = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    assert len(scripts) == 2
    for script in scripts:
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy
    for name, attributes in Page(text).tags:
        assert name not in ("img", "link", "iframe", "object", "embed", "form", "base"), name
        assert not [key for key in attributes if key.startswith("on") or key == "src"]


def test_links_lead_somewhere_and_scripts_are_ours(site: Path) -> None:
    check_links(site)
    for page in pages(site):
        check_scripts(page)


def test_every_page_has_a_title_a_language_and_one_heading(site: Path) -> None:
    titles = set()
    for path in pages(site):
        page = read(site, str(path.relative_to(site)))
        assert page.all("html")[0]["lang"] == "en"
        assert len(page.all("h1")) == 1
        assert len(page.all("main")) == 1
        titles.add(re.findall(r"<title>(.*?)</title>", path.read_text("utf-8"))[0])
    assert len(titles) == len(pages(site))
    assert all(title.endswith("Ours") for title in titles)


def test_the_same_board_makes_the_same_bytes(tmp_path: Path) -> None:
    first = write_site(full_board(), tmp_path / "a").parent
    second = write_site(full_board(), tmp_path / "b").parent
    names = [path.relative_to(first) for path in first.rglob("*") if path.is_file()]
    assert names
    assert [(first / n).read_bytes() for n in names] == [(second / n).read_bytes() for n in names]


def test_the_first_page_says_who_leads(site: Path) -> None:
    text = read(site, "index.html").text
    assert "4 models in 2 tables, beside 6 published rows" in text
    assert "0.8400 SRHand" in text
    assert "4 models, 2 ranked · 3 published · 2026-03-01" in text
    assert "Two files were the same and are shown once." in text
    # The newest first; of a model's results that were replaced nothing is news.
    assert text.index("2026-04-01 MediaPipe on rhd / test , rank 1") < text.index(
        "2026-03-01 SRHand"
    )
    assert "2025-09-01" not in text


def test_published_groups_stand_apart_on_the_first_page(site: Path) -> None:
    text = read(site, "index.html").text
    apart = text[text.index("Published numbers alone") :]
    assert "FreiHAND / own split freihand_official 3" in apart
    assert "rhd" not in apart


def row_of(page: Page, html: str, name: str) -> str:
    """Text of the first table row that names a model."""
    rows = re.findall(r"<tr[ >].*?</tr>", html, re.DOTALL)
    return next(Page(row).text for row in rows if name in row and '<th scope="row">' in row)


def test_a_ranked_row_has_rank_value_interval_and_badge(site: Path) -> None:
    html = (site / "groups" / "g0.html").read_text("utf-8")
    row = row_of(read(site, "groups/g0.html"), html, "SRHand")
    assert row.startswith("1 SRHand re-scored here")
    assert "The numbers were made again from the errors beside the file." in row
    assert "0.8400 0.8148 – 0.8568" in row
    assert "<strong>0.8400</strong>" in html
    second = row_of(read(site, "groups/g0.html"), html, "ResNet-18")
    assert second.startswith("2 ≈ ResNet-18 deconv reproduced with command")
    assert "handbench evaluate preds.json --data freihand.h5 --out results" in second
    assert "may overlap the test set HanCo shares recordings with FreiHAND." in second
    assert "hanco/train , rhd/train" in second


def test_a_row_without_rank_says_why(site: Path) -> None:
    html = (site / "groups" / "g0.html").read_text("utf-8")
    page = read(site, "groups/g0.html")
    row = row_of(page, html, "MediaPipe")
    assert row.startswith("– MediaPipe not ranked Self-reported.")
    assert "training data unknown" in row
    assert row.endswith("unknown")
    flawed = row_of(page, html, "HandOld")
    assert "1 problem F@5mm is above F@15mm." in flawed
    assert "trained on the test images" in flawed


def test_published_rows_are_marked_and_hold_only_what_maps(site: Path) -> None:
    html = (site / "groups" / "g0.html").read_text("utf-8")
    page = read(site, "groups/g0.html")
    row = row_of(page, html, "METRO")
    assert row.startswith("published METRO published · primary · 2021 microsoft/MeshTransformer")
    assert "– – – – 6.60" in row  # no AUC, coverage, PCK or EPE
    assert row_of(page, html, "unnamed").startswith("published unnamed ‡ published · secondary")
    # As printed, with everything the source gives.
    printed = page.text[page.text.index("As printed 3 rows") :]
    assert "METRO HRNet-W64, 224x224 6.6 0.721 2021 primary" in printed
    assert "Single scale, no test-time augmentation." in printed


def test_other_signatures_have_a_table_of_their_own(site: Path) -> None:
    text = read(site, "groups/g0.html").text
    assert "scored under different signatures" in text
    assert "What sets this table apart: hands: 60 , ids ." in text
    assert "handbench/1; 60 hands" in text
    assert "handbench/1; 100 hands; truth 0123456789ab; ids all; gt_used box" in text


def test_every_metric_of_a_table_is_defined(site: Path) -> None:
    text = read(site, "groups/g0.html").text
    assert (
        "PA-MPJPE [mm] Mean distance in mm after Procrustes alignment. Smaller is better." in text
    )


def test_a_group_of_published_rows_says_why_it_has_no_table(site: Path) -> None:
    text = read(site, "groups/g2.html").text
    assert "For reference only. Its split is not the official one." in text
    assert "Ranking" not in text


def test_a_model_page_tells_its_story(site: Path) -> None:
    (page,) = (
        p for p in (site / "models").glob("*.html") if ">SRHand</h1>" in p.read_text("utf-8")
    )
    text = read(site, f"models/{page.name}").text
    assert "Parameters 15,400,000" in text
    assert "Box gt_annotation, padding 1.25" in text
    assert "freihand / test handbench/1 1 of 2 0.8400" in text
    assert "100 of 100 hands predicted (100.0 %)." in text
    # History: newest first, with what changed.
    assert "2026-03-01 1.0.0 0.8400 +0.03 the same" in text
    assert "2025-09-01 0.9.0 0.8100 – the same" in text
    assert "Re-scored here. The numbers were made again" in text
    assert "@" in text[text.index("Cite") :]


def test_joints_are_drawn_and_listed(site: Path) -> None:
    html = (site / "models" / "m0.html").read_text("utf-8")
    assert 'aria-label="Schematic hand with EPE[px] of each joint' in html
    assert "thumb cmc" in Page(html).text


def test_the_matrix_page_shows_cells_marks_and_remarks(site: Path) -> None:
    page = read(site, "matrix.html")
    assert "freihand 0.9800 net 0.7100 net" in page.text
    assert "hanco + rhd 0.9300 ! –" in page.text
    assert "! HanCo shares its recordings with FreiHAND." in page.text
    assert "The wrists of rhd and freihand are different points." in page.text
    shades = [a["class"] for a in page.all("td") if "within" in a.get("class", "")]
    assert shades == ["n h5 within"] * 2  # one in each matrix


def test_problems_are_listed_with_their_files(site: Path) -> None:
    text = read(site, "problems.html").text
    assert "results/new.json Results format 9, but this handbench reads format 1." in text
    assert "HandOld results/7-freihand.json F@5mm is above F@15mm." in text
    assert "Problems 2" in read(site, "index.html").text


def test_hostile_names_are_text(tmp_path: Path) -> None:
    names = (HOSTILE, LONG, RIGHT_TO_LEFT, CHINESE)
    shown = full_board(names=names)
    first = shown.groups[0]
    renamed = replace(first, dataset=HOSTILE, split=CHINESE, protocol=HOSTILE, title=HOSTILE)
    rows = tuple(replace(row, model=HOSTILE, source="javascript:alert(1)") for row in PUBLISHED)
    board = replace(shown, groups=(replace(renamed, published=rows), *shown.groups[1:]))
    site = write_site(board, tmp_path / "out", title=HOSTILE).parent
    for path in pages(site):
        check_scripts(path)
        assert '<script>alert("x")' not in path.read_text("utf-8")
    check_links(site)
    text = read(site, "groups/g0.html").text
    assert HOSTILE in text
    assert CHINESE in text
    csv = next((site / "data").glob("g0.table-1.csv")).read_text("utf-8")
    assert CHINESE in csv


def test_a_link_is_made_of_plain_addresses_alone(tmp_path: Path) -> None:
    shown = full_board()
    evil = {"url": "javascript:alert(1)"}
    good = {"url": "https://example.org/net?a=1&b=2"}
    models = (
        replace(shown.models[0], facts={**shown.models[0].facts, **evil}),
        replace(shown.models[1], facts={**shown.models[1].facts, **good}),
        *shown.models[2:],
    )
    site = write_site(replace(shown, models=models), tmp_path / "out").parent
    assert not any("javascript" in a["href"] for a in read(site, "models/m0.html").all("a"))
    assert "javascript:alert(1)" in read(site, "models/m0.html").text
    links = {a["href"]: a for a in read(site, "models/m1.html").all("a")}
    assert "noopener" in links["https://example.org/net?a=1&b=2"]["rel"]


def test_an_empty_board_says_what_to_do(tmp_path: Path) -> None:
    site = write_site(Board((), (), (), {}), tmp_path / "out").parent
    check_links(site)
    text = read(site, "index.html").text
    assert "Nothing here yet." in text
    assert "handbench evaluate preds.json --out results" in text
    assert "None: every file could be read" in read(site, "problems.html").text
    assert not (site / "matrix.html").exists()


def test_published_rows_alone_make_a_site(tmp_path: Path) -> None:
    site = write_site(board([group((), published=PUBLISHED)]), tmp_path / "out").parent
    check_links(site)
    assert "No results yet: 3 published rows" in read(site, "index.html").text


def test_one_entry_makes_a_site(tmp_path: Path) -> None:
    one = entry(results("net", {AUC: 0.5}), Evidence.SELF_REPORTED)
    site = write_site(board([group([table([one])])]), tmp_path / "out").parent
    check_links(site)
    assert "1 model in 1 table." in read(site, "index.html").text
    assert "1 of 1 rows has a rank" in read(site, "groups/g0.html").text


def test_everything_missing_makes_a_site_that_says_so(tmp_path: Path) -> None:
    bare = replace(
        results("net", {AUC: None}, found=0, detailed=False),
        model={"name": "net"},
        provenance={},
    )
    nothing = entry(bare, training=None, command="", evidence_sentence="")
    listed = table([nothing], unranked={0: "it has no value of the metric that ranks"})
    nobody = replace(listed, primary="", remark="nothing is ranked: no model has a value")
    site = write_site(
        board([group([nobody], title="", protocol_summary="")]), tmp_path / "o"
    ).parent
    check_links(site)
    assert "nobody is ranked" in read(site, "index.html").text
    assert "Nothing is ranked: no model has a value." in read(site, "groups/g0.html").text
    text = read(site, "models/m0.html").text
    assert "No hand was predicted" in text
    assert (
        f"Without a value: {AUC.replace(',', ', ').replace('@', '@ ').replace('[', ' [')}" in text
    )


def test_a_published_matrix_alone_has_a_page(tmp_path: Path) -> None:
    shown = board([], matrices=(matrix(published=True),))
    unlinked = replace(
        shown.matrices[0],
        cells={key: replace(cell, slug="") for key, cell in shown.matrices[0].cells.items()},
    )
    site = write_site(replace(shown, matrices=(unlinked,)), tmp_path / "out").parent
    check_links(site)
    assert "published" in read(site, "matrix.html").text


def test_a_page_name_that_leaves_its_folder_is_refused(tmp_path: Path) -> None:
    shown = full_board()
    bad = replace(shown, groups=(replace(shown.groups[0], slug="../../evil"),))
    with pytest.raises(HandbenchError, match=r"expected a page name .* found '../../evil'"):
        write_site(bad, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert list(tmp_path.iterdir()) == []


def test_collected_results_make_a_site_without_a_broken_link(tmp_path: Path) -> None:
    found = collect([write_many(tmp_path / "results", 24)])
    site = write_site(found, tmp_path / "site").parent
    check_links(site)
    text = read(site, "index.html").text
    assert f"{len(found.models)} models in " in text
    assert "293 published rows" in text
    # Every group, model and published row has its place.
    assert len(list((site / "groups").iterdir())) == len(found.groups)
    assert len(list((site / "models").iterdir())) == len(found.models)
    lines = [p.read_text("utf-8").count("\n") - 1 for p in site.glob("data/*.published.csv")]
    assert sum(lines) == 293


def test_curves_that_are_none_and_absurd_numbers_break_no_page(tmp_path: Path) -> None:
    from many_results import document, write

    from handbench.leaderboard.collect import collect

    broken = document()
    name, curve = next(iter(broken["curves"].items()))
    broken["curves"] = {name: {"x": curve["x"], "y": curve["y"][:3]}}
    broken["metrics"]["EPE[px]"]["value"] = 1e308
    broken["per_joint"]["EPE[px]"] = [1e308] * 21
    write(tmp_path / "in" / "net.json", broken)
    out = tmp_path / "out"
    write_site(collect([tmp_path / "in"]), out)
    html = (out / "models" / "net.html").read_text("utf-8")
    assert "3 fractions, expected as many of both" in html
    assert "1.0e+308" in html
    assert "0,000,000,000" not in html


def test_using_nothing_of_the_truth_is_said(tmp_path: Path) -> None:
    from many_results import document, write

    from handbench.leaderboard.collect import collect

    model = {"name": "net", "gt_used": []}
    write(tmp_path / "in" / "net.json", document(model=model))
    write_site(collect([tmp_path / "in"]), tmp_path / "out")
    assert "Truth used nothing" in read(tmp_path / "out", "models/net.html").text
