from __future__ import annotations

import base64
import csv
import dataclasses
import hashlib
import io
import re
import shutil
from pathlib import Path
from urllib.parse import unquote

import h5py
import numpy as np
import pytest
from generators.tiny_hdf5 import write_tiny
from pages import Page
from PIL import Image
from scored_models import HANDS, scored

from handbench.errors import HandbenchError
from handbench.hdf5.reader import HandFile
from handbench.reports.downloads import csv_address
from handbench.reports.html import write_report
from handbench.scores.results import Evaluation, MetricValue

HOSTILE = "</script><img src=x onerror=alert(1)><b>\"'&amp;{{ 7 * 7 }}"


def page_of(
    evaluations: list[Evaluation],
    data: HandFile,
    folder: Path,
    *,
    images: bool | None = None,
    by: tuple[str, ...] = (),
) -> Page:
    path = write_report(evaluations, data, folder / "report.html", images=images, by=by)
    return Page(path.read_text("utf-8"))


@pytest.fixture(scope="module")
def one(tiny: HandFile, tmp_path_factory: pytest.TempPathFactory) -> Page:
    model = scored(tiny, noise=1.0, missing=2, extra=("other/1",))
    return page_of([model], tiny, tmp_path_factory.mktemp("one"))


@pytest.fixture(scope="module")
def two(tiny: HandFile, tmp_path_factory: pytest.TempPathFactory) -> Page:
    models = [scored(tiny, "far", shift=6.0, missing=1), scored(tiny, "near", shift=2.0, noise=0.5)]
    return page_of(models, tiny, tmp_path_factory.mktemp("two"))


def downloads(page: Page) -> dict[str, str]:
    return {a["download"]: a["href"] for a in page.all("a") if "download" in a}


def csv_rows(address: str) -> list[list[str]]:
    assert address.startswith("data:text/csv;charset=utf-8,")
    return list(csv.reader(io.StringIO(unquote(address.split(",", 1)[1]))))


def test_found_only_is_shown_where_something_was_missed(
    one: Page, tiny: HandFile, tmp_path: Path
) -> None:
    assert "Found only" in one.text
    assert "ound only" not in page_of([scored(tiny, noise=1.0)], tiny, tmp_path).text


def test_the_page_says_first_what_was_missing(one: Page) -> None:
    for sentence in (
        f"2 of {HANDS} hands have no prediction",
        "1 prediction for ids that are not expected was left out",
    ):
        assert sentence in one.text
    assert one.text.index("no prediction") < one.text.index("Protocol handbench")
    # Names of what is missing stand there too, before any score.
    assert one.text.index("test/0000") < one.text.index("AUC@0-0.2")
    assert one.text.index("other/1") < one.text.index("AUC@0-0.2")


def test_every_section_is_there_in_order(one: Page) -> None:
    titles = [
        "What was scored",
        "Scores",
        "How many joints are close enough",
        "Which joints",
        "Which hands",
        "What went wrong",
        "How errors are spread",
        "Pictures",
        "To reproduce",
    ]
    place = one.text.index("Reproduce What was scored")  # the end of the table of contents
    for title in titles:
        place = one.text.index(title, place)


def test_metrics_carry_value_unit_interval_and_definition(tiny: HandFile, tmp_path: Path) -> None:
    model = scored(tiny, shift=3.0, noise=1.0)
    page = page_of([model], tiny, tmp_path)
    names = [code.replace(" ", "") for code in re.findall(r"EPE\[ ?px ?\]", page.text)]
    assert "EPE[px]" in names
    metric = model.results[0].metrics["EPE[px]"]
    assert metric.value is not None
    assert metric.ci95 is not None
    assert f"{metric.value:.2f}" in page.text
    assert f"{metric.ci95[0]:.2f} – {metric.ci95[1]:.2f}" in page.text
    assert metric.definition[1:] in page.text
    assert model.results[0].signature in page.text
    assert "12 groups" in page.text


def test_the_page_stands_alone(one: Page, two: Page) -> None:
    for page in (one, two):
        for _, attributes in page.tags:
            for name in ("src", "href", "srcset", "action", "data", "poster"):
                if name in attributes:
                    assert attributes[name].startswith(("data:", "#")), attributes
        assert not page.all("link")


def test_the_policy_names_the_script_by_its_hash(tiny: HandFile, tmp_path: Path) -> None:
    path = write_report([scored(tiny)], tiny, tmp_path / "r.html")
    html = path.read_text("utf-8")
    (script,) = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = Page(html).all("meta")[1]["content"]
    assert "default-src 'none'" in policy
    assert f"script-src 'sha256-{digest}'" in policy


def test_ids_are_unique_and_links_lead_somewhere(one: Page, two: Page) -> None:
    for page in (one, two):
        ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
        assert len(ids) == len(set(ids))
        inner = {a["href"][1:] for a in page.all("a") if a["href"].startswith("#")}
        assert inner <= set(ids)


def test_everything_seen_can_also_be_heard(one: Page) -> None:
    for image in one.all("img"):
        assert "hand" in image["alt"]
        assert "error" in image["alt"] or "no prediction" in image["alt"]
    for drawing in one.all("svg"):
        assert drawing.get("aria-label") or drawing.get("aria-hidden") == "true"
    tables = one.all("table")
    assert len(one.all("caption")) == len(tables)
    for cell in one.all("th"):
        assert cell["scope"] in ("col", "row")


def test_pictures_are_small_jpegs_of_prediction_over_truth(one: Page) -> None:
    images = one.all("img")
    assert len(images) >= 12
    for image in images:
        head, data = image["src"].split(",", 1)
        assert head == "data:image/jpeg;base64"
        with Image.open(io.BytesIO(base64.b64decode(data))) as picture:
            assert picture.size == (256, 256)
        assert len(data) < 60_000


def test_photos_stay_private_unless_forced(tiny_path: Path, tmp_path: Path) -> None:
    path = tmp_path / "private.h5"
    shutil.copy(tiny_path, path)
    with h5py.File(path, "r+") as file:
        file.attrs["publish_images"] = False

    def corner(page: Page) -> tuple[int, int, int]:
        data = base64.b64decode(page.all("img")[0]["src"].split(",", 1)[1])
        with Image.open(io.BytesIO(data)) as picture:
            return picture.convert("RGB").getpixel((2, 2))  # type: ignore[return-value]

    with HandFile(path) as data:
        model = scored(data)
        private = page_of([model], data, tmp_path)
        forced = page_of([model], data, tmp_path, images=True)
    assert np.allclose(corner(private), (128, 132, 138), atol=3)
    assert "Photos are left out" in private.text
    assert max(corner(forced)) < 60, "the tiny photos are nearly black at their edge"
    assert "Photos are left out" not in forced.text


def test_published_photos_can_be_left_out(tiny: HandFile, tmp_path: Path) -> None:
    assert "Photos are left out" in page_of([scored(tiny)], tiny, tmp_path, images=False).text


def test_hostile_names_stay_words(tiny_path: Path, tmp_path: Path) -> None:
    path = tmp_path / "hostile.h5"
    shutil.copy(tiny_path, path)
    with h5py.File(path, "r+") as file:
        group = file["test"]
        names = [f"{HOSTILE}/{i}".encode() for i in range(HANDS)]
        del group["sample_id"]
        kind = h5py.string_dtype("utf-8", length=max(map(len, names)))
        group.create_dataset("sample_id", data=np.array(names).astype(kind), dtype=kind)
        del group["instant_id"]
        group.create_dataset("instant_id", data=np.array(names).astype(kind), dtype=kind)
        file.attrs["title"] = file.attrs["citation"] = HOSTILE
    with HandFile(path) as data:
        models = [
            dataclasses.replace(
                scored(data, f"{HOSTILE} {k}", shift=k + 1.0, missing=2, extra=(HOSTILE,)),
                warnings=[HOSTILE],
            )
            for k in range(2)
        ]
        pages = [page_of(m, data, tmp_path, by=("instant_id",)) for m in (models, models[:1])]
    for page in pages:
        assert HOSTILE in page.text
        assert not page.all("b")
        assert all(image["src"].startswith("data:") for image in page.all("img"))
        assert len(page.all("script")) == 1
        assert not any("onerror" in attributes for _, attributes in page.tags)


def test_several_models_are_ranked_and_the_best_is_bold(two: Page) -> None:
    text = two.text
    ranking = text[text.index("Ordered by") :]
    assert ranking.index("near") < ranking.index("far")
    assert "Against the best" in text
    assert "Where they disagree most" in text
    assert "Each model" in text
    assert {a["href"] for a in two.all("a")} >= {"#model-0", "#model-1"}
    assert len([d for d in two.all("details") if d.get("class") == "model"]) == 2


def test_models_that_cannot_be_told_apart_are_marked(tiny: HandFile, tmp_path: Path) -> None:
    models = [scored(tiny, "a", shift=3.0), scored(tiny, "b", shift=-3.0)]
    assert "≈" in page_of(models, tiny, tmp_path).text.split("Against the best:")[0]


def test_models_that_are_far_apart_are_not_marked(two: Page) -> None:
    table = two.text[two.text.index("Against the best") : two.text.index("Against the best:")]
    assert "≈" not in table
    assert "−" in table


def test_other_signatures_never_share_a_table(tiny: HandFile, tmp_path: Path) -> None:
    models = [scored(tiny, "boxed"), scored(tiny, "free", gt_used=())]
    page = page_of(models, tiny, tmp_path)
    assert page.text.count("scored under another signature") == 4, "two protocols, two tables each"
    assert page.text.count("What differs: gt_used: box .") == 2
    assert page.text.count("What differs: gt_used: nothing .") == 2
    assert "Ordered by AUC@" not in page.text, "nobody is first of one"


def test_curves_can_be_taken_away_as_numbers(tiny: HandFile, tmp_path: Path) -> None:
    model = scored(tiny, shift=3.0)
    page = page_of([model], tiny, tmp_path)
    links = downloads(page)
    header, *rows = csv_rows(links["pck-px.csv"])
    assert header[1] == "net"
    curve = model.results[0].curves["PCK[px]"]
    np.testing.assert_allclose([float(row[0]) for row in rows], curve["x"], rtol=1e-5)
    np.testing.assert_allclose([float(row[1]) for row in rows], curve["y"], rtol=1e-5)
    header, *rows = csv_rows(links["joints.csv"])
    assert header == ["model", "joint", "labelled", "missed", "median_px", "mean_px", "p95_px"]
    assert len(rows) == 21
    assert {row[4] for row in rows} == {"3"}


def test_groups_diagnosis_and_differences_can_be_taken_away(tiny: HandFile, tmp_path: Path) -> None:
    models = [scored(tiny, "far", shift=6.0, missing=1), scored(tiny, "near", shift=2.0)]
    links = downloads(page_of(models, tiny, tmp_path, by=("finger",)))
    header, *rows = csv_rows(links["by-finger.csv"])
    assert header[:6] == ["model", "finger", "hands", "predicted", "joints", "clusters"]
    assert [row[:2] for row in rows[:2]] == [["far", "wrist"], ["far", "thumb"]]
    place = header.index("EPE[px]")
    shifts = {row[0]: float(row[place]) for row in rows if row[1] == "index"}
    assert shifts == pytest.approx({"far": 6.0, "near": 2.0})
    first = rows[0][header.index("AUC@0-0.2[tight,rule=exact]") :][:3]
    assert float(first[1]) <= float(first[0]) <= float(first[2])
    assert {"by-side.csv", "by-visibility.csv", "by-size.csv"} < set(links)
    header, *rows = csv_rows(links["diagnosis.csv"])
    assert header[6:] == ["cost in PCK@0.1[tight]", "cost in AUC@0-0.2[tight,rule=exact]"]
    assert sum(int(row[2]) for row in rows if row[0] == "far") == HANDS * 21
    header, *rows = csv_rows(links["joint-differences.csv"])
    assert header[3].startswith("AUC@0-0.2[tight")
    assert {(row[0], row[1]) for row in rows} == {("far", "near")}
    assert all(float(row[3]) < 0 for row in rows)


def test_what_was_asked_for_is_on_the_page(tiny: HandFile, tmp_path: Path) -> None:
    for models in ([scored(tiny)], [scored(tiny), scored(tiny, "b", shift=5.0)]):
        text = page_of(models, tiny, tmp_path, by=("joint_type", "instant_id")).text
        for heading in ("By visibility", "By side", "By size", "By joint type", "By instant id"):
            assert heading in text
        assert "only one group occurs: view: unknown." in text


def test_many_groups_are_cut_and_the_numbers_hold_all(tmp_path: Path) -> None:
    with HandFile(write_tiny(tmp_path / "many.h5", {"test": 80})) as data:
        page = page_of([scored(data)], data, tmp_path, by=("instant_id",))
    assert "The first 30 of 40 groups" in page.text
    _, *rows = csv_rows(downloads(page)["by-instant_id.csv"])
    assert len({row[1] for row in rows}) == 40


def test_the_diagnosis_says_what_a_kind_costs(one: Page) -> None:
    section = one.text[one.text.index("What went wrong") :]
    assert "What a kind costs is what the metric would gain" in section
    assert "missed hand" in section
    assert "nothing was predicted" in section


def test_every_report_has_the_floor(tiny: HandFile, tmp_path: Path) -> None:
    for protocols in (("handbench",), ("mmpose",), ("hint", "zb2d")):
        models = [scored(tiny, name, shift=4.0, protocols=protocols) for name in ("a", "b")]
        for chosen in (models, models[:1]):
            page = page_of(chosen, tiny, tmp_path)
            assert "Mean pose" in page.text
            assert "floor: mean pose" in page.text
            drawn = [p for p in page.all("polyline") if p["class"] == "line floor"]
            assert drawn
        assert len(page_of(models, tiny, tmp_path).all("tfoot")) == len(protocols)


def test_a_file_of_other_hands_gives_a_page_that_says_so(tiny: HandFile, tmp_path: Path) -> None:
    model = scored(tiny)
    names = np.array([f"elsewhere/{i}" for i in range(HANDS)])
    moved = dataclasses.replace(model, errors=dataclasses.replace(model.errors, sample_id=names))
    page = page_of([moved], tiny, tmp_path)
    assert "does not label the hands that were scored" in page.text
    assert not page.all("img")


def test_pictures_carry_what_went_wrong_with_each_joint(tiny: HandFile, tmp_path: Path) -> None:
    model = scored(tiny, noise=12.0, missing=2)
    page = page_of([model], tiny, tmp_path)
    codes = [figure["data-codes"] for figure in page.all("figure") if "data-codes" in figure]
    assert len(codes) == len(page.all("img"))
    assert all(re.fullmatch("[a-jx-]{21}", code) for code in codes)
    # Every joint that is wrong in some hand is wrong in some picture.
    for joint in range(21):
        assert any(code[joint] not in "ab-j" for code in codes)
    options = [option["value"] for option in page.all("option")]
    assert {"0", "5 6 7 8", "8"} <= set(options)
    letters = {value for value in options if value.isalpha()}
    assert letters == set("".join(codes)) - set("ab-")
    (chooser,) = [d for d in page.all("div") if d.get("class") == "filter"]
    assert "hidden" in chooser, "without its script the page shows no dead controls"


def test_names_in_other_scripts_stay_whole(tiny_path: Path, tmp_path: Path) -> None:
    names = ["手のモデル", "модель №1", "نموذج اليد", "👋🏽 model"]
    with HandFile(tiny_path) as data:
        models = [scored(data, name, shift=k + 1.0) for k, name in enumerate(names)]
        page = page_of(models, data, tmp_path)
    assert all(name in page.text for name in names)
    _, *rows = csv_rows(downloads(page)["diagnosis.csv"])
    assert {row[0] for row in rows} == set(names)


def test_models_that_found_other_hands_have_no_best_joint(tiny: HandFile, tmp_path: Path) -> None:
    whole, most = scored(tiny, "a"), scored(tiny, "b", shift=5.0, missing=3)
    assert "none is bold, since" in page_of([whole, most], tiny, tmp_path).text
    assert (
        "smallest of each row is bold"
        in page_of([whole, scored(tiny, "b", shift=5.0)], tiny, tmp_path).text
    )
    apart = [whole, scored(tiny, "b", shift=5.0, gt_used=())]
    page = page_of(apart, tiny, tmp_path)
    assert "none is bold, since" in page.text
    assert "No two models share a signature" in page.text
    assert "Joint by joint against" not in page.text


def test_what_would_break_an_address_is_escaped_in_it() -> None:
    cells = ["50 % of #1", 'a "quoted", one', "line\nbreak", "手", "&amp;<b>"]
    address = csv_address(["x"], [[cell] for cell in cells])
    assert re.fullmatch(r"[!-~]+", address)
    assert not set(address) & set('#"<> ')
    assert [row[0] for row in csv_rows(address)[1:]] == cells


def test_csv_cells_are_no_formulas() -> None:
    rows = csv_rows(csv_address(["=a"], [["=1+1", 2.0, float("nan"), None], ['-x, "y"', -3]]))
    assert rows == [["'=a"], ["'=1+1", "2", "", ""], ['\'-x, "y"', "-3"]]


def test_all_hands_missing_is_told_in_words(tiny: HandFile, tmp_path: Path) -> None:
    page = page_of([scored(tiny, missing=HANDS)], tiny, tmp_path)
    assert "No hand was predicted" in page.text
    assert "No hand was both labelled and predicted" in page.text
    assert "missed hand nothing was predicted +1.0000" in page.text
    assert "Missed" in page.text
    assert not re.search(r"\b(nan|inf|None)\b", page.text)
    both = page_of([scored(tiny, missing=HANDS), scored(tiny, "other")], tiny, tmp_path)
    assert "0.0 %" in both.text


def test_one_hand_makes_a_whole_page(tmp_path: Path) -> None:
    with HandFile(write_tiny(tmp_path / "one.h5", {"test": 1})) as data:
        page = page_of([scored(data)], data, tmp_path)
    assert "One hand was scored; its mean error is 3.00 px." in page.text
    assert "only 1 group that" in page.text
    assert len(page.all("img")) == 1
    assert "All hands are in one group" in page.text


def test_a_model_without_2d_is_shown_without_pictures(tiny: HandFile, tmp_path: Path) -> None:
    model = scored(tiny)
    nothing = np.full((HANDS, 21), np.nan)
    errors = dataclasses.replace(
        model.errors, joints={"px": nothing, "mm,root=0": np.full((HANDS, 21), 12.5)}
    )
    page = page_of([dataclasses.replace(model, errors=errors)], tiny, tmp_path)
    assert "mm in 3D with the wrists aligned" in page.text
    assert "12.50" in page.text
    assert not page.all("img")
    assert "no hand with 2D labels and a 2D prediction" in page.text
    assert not page.all("select")


def test_values_that_are_null_are_dashes(tiny: HandFile, tmp_path: Path) -> None:
    model = scored(tiny)
    results = [
        dataclasses.replace(
            one,
            metrics={n: MetricValue(None, m.unit, m.definition) for n, m in one.metrics.items()},
            per_joint={},
            curves={},
        )
        for one in model.results
    ]
    empty = dataclasses.replace(model, results=results)
    for evaluations in ([empty], [empty, model], [empty, empty]):
        page = page_of(evaluations, tiny, tmp_path)
        assert "–" in page.text
        assert "None" not in page.text


def test_results_of_an_unknown_protocol_are_shown_unranked(tiny: HandFile, tmp_path: Path) -> None:
    def foreign(name: str) -> Evaluation:
        model = scored(tiny, name)
        metrics = {"NEW@3[thing]": MetricValue(0.5, "fraction", "something new")}
        results = [dataclasses.replace(model.results[0], protocol="future", metrics=metrics)]
        return dataclasses.replace(model, results=results)

    page = page_of([foreign("a"), foreign("b")], tiny, tmp_path)
    assert "NEW@" in page.text
    assert "Something new." in page.text
    assert "Rank" not in page.text.split("Which joints")[0].replace("Ranking", "")


def test_equal_names_are_numbered(tiny: HandFile, tmp_path: Path) -> None:
    page = page_of([scored(tiny, "net"), scored(tiny, "net", shift=4.0)], tiny, tmp_path)
    names = {a["href"]: a for a in page.all("a") if a["href"].startswith("#model-")}
    assert set(names) == {"#model-0", "#model-1"}
    assert "net (2)" in page.text
    assert "net (1)" not in page.text


def test_labels_stand_for_names(tiny: HandFile, tmp_path: Path) -> None:
    path = write_report([scored(tiny)], tiny, tmp_path / "r.html", labels=["my best one"])
    assert "my best one" in Page(path.read_text("utf-8")).text


def test_the_same_input_gives_the_same_page(tiny: HandFile, tmp_path: Path) -> None:
    models = [scored(tiny, "a"), scored(tiny, "b", shift=5.0)]
    first = write_report(models, tiny, tmp_path / "1.html").read_bytes()
    assert write_report(models, tiny, tmp_path / "2.html").read_bytes() == first


def test_almost_all_is_not_all(tiny: HandFile, tmp_path: Path) -> None:
    model = scored(tiny, missing=1)
    samples = {**model.results[0].samples, "expected": 4000, "predicted": 3999}
    results = [dataclasses.replace(one, samples=samples) for one in model.results]
    page = page_of([dataclasses.replace(model, results=results)], tiny, tmp_path)
    assert "> 99.9 %" in page.text


def test_long_lists_of_names_are_cut_and_counted(tiny: HandFile, tmp_path: Path) -> None:
    missing = [f"gone/{i:05d}" for i in range(9000)]
    page = page_of([dataclasses.replace(scored(tiny), missing=missing)], tiny, tmp_path)
    assert "and 8,940 more" in page.text
    (link,) = [a["href"] for a in page.all("a") if a.get("download") == "ids-1.csv"]
    assert len(csv_rows(link)) == 5001


def test_nothing_to_report_is_an_error(tiny: HandFile, tmp_path: Path) -> None:
    with pytest.raises(HandbenchError, match="at least one model"):
        write_report([], tiny, tmp_path / "r.html")
    with pytest.raises(HandbenchError, match="at least one protocol"):
        write_report([dataclasses.replace(scored(tiny), results=[])], tiny, tmp_path / "r.html")


def test_two_splits_are_refused(tiny: HandFile, tmp_path: Path) -> None:
    model = scored(tiny)
    elsewhere = dataclasses.replace(
        model, results=[dataclasses.replace(one, split="val") for one in model.results]
    )
    with pytest.raises(HandbenchError, match="found tiny/test, tiny/val"):
        write_report([model, elsewhere], tiny, tmp_path / "r.html")
    assert not (tmp_path / "r.html").exists()


@pytest.mark.slow
def test_four_thousand_hands_stay_under_five_megabytes(tmp_path: Path) -> None:
    with HandFile(write_tiny(tmp_path / "big.h5", {"test": 4000}, size=64)) as data:
        models = [scored(data, f"net {k}", shift=k + 1.0, noise=2.0, missing=900) for k in range(2)]
        path = write_report(models, data, tmp_path / "report.html")
    assert path.stat().st_size < 5_000_000


@pytest.mark.slow
def test_five_models_with_photos_of_noise_stay_under_five_megabytes(tmp_path: Path) -> None:
    # Noise is what JPEG packs worst: no real photo takes more room.
    path = write_tiny(tmp_path / "big.h5", {"test": 200}, size=256)
    with HandFile(path) as data:
        models = [
            scored(data, f"net {k}", shift=k + 1.0, noise=20.0 + k, missing=9) for k in range(5)
        ]
        page = write_report(models, data, tmp_path / "report.html", by=["instant_id", "joint"])
    assert page.stat().st_size < 5_000_000
