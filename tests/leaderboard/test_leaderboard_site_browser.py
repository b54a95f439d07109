"""The site in a real browser: it sorts, filters, remembers, fits a phone and asks for nothing."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
from boards import CHINESE, HOSTILE, LONG, RIGHT_TO_LEFT, full_board
from generators.server import FileServer
from tools.browser import UNFOLD, Browser, Tab

from handbench.leaderboard.site import write_site

pytestmark = pytest.mark.browser

PAGES = (
    "index.html",
    "groups/g0.html",
    "groups/g2.html",
    "models/m0.html",
    "matrix.html",
    "how-to-read.html",
    "problems.html",
)
HOSTILE_PAGES = (*PAGES, "models/m1.html", "models/m2.html", "models/m3.html")
ACCESSIBILITY = (Path(__file__).parents[1] / "reports" / "accessibility.js").read_text("utf-8")
_TOO_WIDE = """
[...document.querySelectorAll("main *, header *, footer *")]
  .filter((element) => element.getBoundingClientRect().right > innerWidth + 1)
  .filter((element) => !element.closest(".scroll, .hidden, svg, pre"))
  .map((element) => element.outerHTML.slice(0, 90))
"""


def does(tab: Tab, script: str) -> Any:
    """What a script with `return` returns in the page."""
    return tab.run(f"(async () => {{ {script} }})()")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_site(full_board(), tmp_path_factory.mktemp("site") / "out").parent


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    board = full_board(names=(HOSTILE, LONG, RIGHT_TO_LEFT, CHINESE))
    return write_site(board, tmp_path_factory.mktemp("hostile") / "out", title=HOSTILE).parent


@pytest.mark.parametrize("page", PAGES)
def test_the_console_is_silent_and_no_request_leaves_the_page(
    browser: Browser, site: Path, page: str
) -> None:
    with browser.open(site / page) as tab:
        tab.run(UNFOLD)
        tab.run("new Promise((done) => setTimeout(done, 100))")
        assert tab.complaints() == []
        assert tab.requests() == [(site / page).as_uri()]


def test_the_policy_lets_no_other_script_run(browser: Browser, site: Path, tmp_path: Path) -> None:
    foreign = (
        "<script>document.title = 'foreign script ran'</script>"
        "<img src=x onerror=\"document.title = 'foreign script ran'\">"
    )
    copy = tmp_path / "attacked.html"
    text = (site / "groups" / "g0.html").read_text("utf-8")
    copy.write_text(text.replace("</body>", foreign + "</body>"), "utf-8")
    with browser.open(copy) as tab:
        assert "foreign" not in tab.run("document.title")
        assert tab.run("document.querySelectorAll('th button').length") > 5
        assert any("Content Security Policy" in sentence for sentence in tab.complaints())


SORT = """
const table = document.querySelector("table.board-table");
const heads = [...table.tHead.rows[0].cells];
const at = heads.findIndex((head) => head.textContent.includes("EPE"));
const name = (row) => row.cells[1].querySelector(".name").textContent;
const read = () => [...table.tBodies[0].rows].map(name);
const button = heads[at].querySelector("button");
const before = read();
button.click(); const first = read(); const sorted = heads[at].getAttribute("aria-sort");
button.click(); const second = read(); const other = heads[at].getAttribute("aria-sort");
heads[1].querySelector("button").click();
const left = heads[at].getAttribute("aria-sort");
return {before, first, sorted, second, other, names: read(), left};
"""


def test_a_table_sorts_with_the_best_first(browser: Browser, site: Path) -> None:
    with browser.open(site / "groups" / "g0.html") as tab:
        found = does(tab, SORT)
    published = ["METRO", "Boukhayma et al.", "unnamed‡"]
    models = ["HandOld", "SRHand", "ResNet-18 deconv", "SRHand", "MediaPipe"]
    assert found["sorted"] == "ascending"  # of an error, small is good
    assert found["first"] == models + published
    assert found["other"] == "descending"
    # Rows without a number stay at the end, whichever way the others go.
    assert found["second"] == models[::-1] + published
    assert found["names"][:2] == ["Boukhayma et al.", "HandOld"]
    assert found["left"] is None


FILTER = """
const box = document.getElementById("filters");
const shown = () => [...document.querySelectorAll("table[data-filtered] tbody tr")]
  .filter((row) => !row.hidden).map((row) => row.querySelector(".name").textContent);
const count = () => box.querySelector(".count").textContent;
const act = (change) => {
  change();
  box.dispatchEvent(new Event("input", {bubbles: true}));
  return [shown(), count()];
};
const field = (name, value) =>
  box.querySelector(`[name="${name}"]` + (value ? `[value="${value}"]` : ""));
const found = {visible: !box.hidden, start: [shown(), count()]};
found.text = act(() => { field("text").value = "RESNET"; });
found.nothing = act(() => { field("text").value = "no such model"; });
act(() => { field("text").value = ""; });
found.unpublished = act(() => { field("evidence", "published").checked = false; });
found.checked = act(() => { field("evidence", "self").checked = false; });
act(() => { for (const one of box.querySelectorAll('[name="evidence"]')) one.checked = true; });
found.old = act(() => { field("old").checked = true; });
act(() => { field("old").checked = false; });
found.same = act(() => { field("overlap").value = "same"; });
act(() => { field("overlap").value = ""; });
const hanco = [...field("training").options].find((one) => one.text === "hanco/train");
found.hanco = act(() => { field("training").value = hanco.value; });
found.unknown = act(() => { field("training").value = "u"; });
const more = [...document.querySelectorAll("th.more")];
const hidden = () => more.map((one) => getComputedStyle(one).display);
found.narrow = hidden();
act(() => { field("columns").checked = true; });
found.wide = hidden();
return found;
"""


def test_filters_hide_rows_and_say_how_many_are_left(browser: Browser, site: Path) -> None:
    with browser.open(site / "groups" / "g0.html") as tab:
        found = does(tab, FILTER)
        assert tab.complaints() == []
    published = ["METRO", "Boukhayma et al.", "unnamed‡"]
    everything = ["SRHand", "ResNet-18 deconv", "MediaPipe", "HandOld", *published]
    other = ["ResNet-18 deconv"]  # the table of the other signature
    assert found["visible"]
    assert found["start"] == [everything + other, "all 8 shown"]
    assert found["text"] == [["ResNet-18 deconv", *other], "2 of 8 shown"]
    assert found["nothing"] == [[], "0 of 8 shown"]
    assert found["unpublished"] == [everything[:4] + other, "5 of 8 shown"]
    assert found["checked"] == [["SRHand", "ResNet-18 deconv", "HandOld", *other], "4 of 8 shown"]
    assert found["old"][1] == "all 9 shown"
    assert found["same"] == [["HandOld"], "1 of 8 shown"]
    assert found["hanco"] == [["ResNet-18 deconv"], "1 of 8 shown"]
    assert found["unknown"] == [["MediaPipe", *published], "4 of 8 shown"]
    assert set(found["narrow"]) <= {"none"}
    assert "none" not in found["wide"]


FIND = """
const box = document.getElementById("finder");
const here = "[data-found]:not(.nothing)";
const shown = () => [...document.querySelectorAll(`${here} .card, ${here} tbody tr`)]
  .filter((item) => !item.hidden).map((item) => item.querySelector("a").textContent.trim());
const act = (name, value) => {
  box.querySelector(`[name="${name}"]`).value = value;
  box.dispatchEvent(new Event("input", {bubbles: true}));
  return shown();
};
const found = {all: shown(), text: act("text", "mediapipe")};
act("text", "");
found.dataset = act("dataset", "rhd");
found.count = box.querySelector(".count").textContent;
found.none = act("protocol", "freihand_official");
return found;
"""


def test_the_first_page_finds_tables_and_models(browser: Browser, site: Path) -> None:
    with browser.open(site / "index.html") as tab:
        found = does(tab, FIND)
    assert len(found["all"]) == 7
    assert found["text"] == ["freihand / test", "rhd / test", "MediaPipe"]
    assert found["dataset"] == ["rhd / test"]
    assert found["count"] == "1 of 7 shown"
    assert found["none"] == []


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_the_theme_switches_and_is_remembered(browser: Browser, site: Path, dark: bool) -> None:
    script = """
    const button = document.getElementById("theme");
    const before = button.textContent;
    const ground = () => getComputedStyle(document.body).backgroundColor;
    const first = ground();
    button.click();
    const kept = localStorage.getItem("handbench-theme");
    const theme = document.documentElement.dataset.theme;
    return {before, after: button.textContent, changed: ground() !== first, kept, theme};
    """
    # Over HTTP: Chromium at times lets a page from a file start with what storage held before.
    view = {"width": 1280, "height": 900, "dark": dark}
    files = {
        str(path.relative_to(site)): path.read_bytes() for path in site.rglob("*") if path.is_file()
    }
    with FileServer(files) as server, browser.open(server.url("index.html"), dark=dark) as tab:
        found = does(tab, script)
        # Another page of the site starts as it was left.
        tab.show(server.url("groups/g0.html"), **view)
        found["later"] = tab.run("document.documentElement.dataset.theme")
    words = ["Light", "Dark"] if dark else ["Dark", "Light"]
    assert [found["before"], found["after"]] == words
    assert found["changed"]
    assert found["kept"] == found["theme"] == found["later"] == ("light" if dark else "dark")


def test_a_forbidden_storage_breaks_nothing(browser: Browser, site: Path) -> None:
    script = """
    const no = {get() { throw new Error("forbidden"); }, configurable: true};
    Object.defineProperty(window, "localStorage", no);
    document.getElementById("theme").click();
    return document.documentElement.dataset.theme;
    """
    with browser.open(site / "index.html") as tab:
        assert does(tab, script) == "dark"
        assert tab.complaints() == []


def test_a_table_is_downloaded_as_numbers(browser: Browser, site: Path, tmp_path: Path) -> None:
    with browser.open(site / "groups" / "g0.html") as tab:
        path = tab.download("document.querySelector('a[download][href$=csv]').click()", tmp_path)
        assert tab.complaints() == []
    assert path.name == "g0.table-1.csv"
    with path.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert rows[0]["model"] == "SRHand"


def test_a_text_for_a_paper_is_copied_or_selected(browser: Browser, site: Path) -> None:
    script = """
    const button = document.querySelector("button.copy");
    button.closest("details").open = true;
    button.click();
    await new Promise((done) => setTimeout(done, 100));
    return {label: button.textContent, text: String(getSelection()), hidden: button.hidden};
    """
    with browser.open(site / "groups" / "g0.html") as tab:
        found = does(tab, script)
        assert tab.complaints() == []
    assert found["label"] in ("Copied", "Selected: press Ctrl+C")
    assert "\\begin{table}" in found["text"]
    assert not found["hidden"]


def test_a_link_to_a_folded_place_unfolds_it(browser: Browser, site: Path) -> None:
    with browser.open(site / "models" / "m0.html") as tab:
        tab.run("document.getElementById('place-1').open = false; location.hash = 'place-1'")
        tab.run("new Promise((done) => setTimeout(done, 50))")
        assert tab.run("document.getElementById('place-1').open") is True


def test_tables_sort_and_badges_open_with_the_keyboard(browser: Browser, site: Path) -> None:
    with browser.open(site / "groups" / "g0.html") as tab:
        tab.press("Tab")
        assert tab.run("document.activeElement.className") == "skip"
        tab.press("Enter")
        assert tab.run("location.hash") == "#main"
        tab.run("document.querySelector('.board-table th:nth-child(2) button').focus()")
        tab.press("Enter")
        assert tab.run("document.querySelector('.board-table th:nth-child(2)').ariaSort") == (
            "ascending"
        )
        tab.run("document.querySelector('.chip.rescored summary').focus()")
        tab.press("Enter")
        assert tab.run("document.querySelector('.chip.rescored').open") is True


def test_without_its_script_the_page_is_whole(browser: Browser, site: Path, tmp_path: Path) -> None:
    text = (site / "groups" / "g0.html").read_text("utf-8")
    still = tmp_path / "still.html"
    still.write_text(text.replace("'sha256-", "'sha256-x"), "utf-8")
    with browser.open(still) as tab:
        assert tab.run("document.getElementById('filters').checkVisibility()") is False
        assert tab.run("document.getElementById('theme').checkVisibility()") is False
        # No switch, so all columns are there.
        assert tab.run("[...document.querySelectorAll('.more')].every((c) => c.checkVisibility())")


@pytest.mark.parametrize("width", [360, 390, 768, 1280])
@pytest.mark.parametrize("page", PAGES)
def test_a_page_fits_every_window(browser: Browser, site: Path, page: str, width: int) -> None:
    with browser.open(site / page, width=width) as tab:
        for step in ("null", UNFOLD):
            tab.run(step)
            assert tab.run(_TOO_WIDE) == []
            assert tab.run("document.documentElement.scrollWidth - innerWidth") <= 0


@pytest.mark.parametrize("page", HOSTILE_PAGES)
def test_hostile_names_do_nothing_and_fit_a_phone(
    browser: Browser, hostile: Path, page: str
) -> None:
    with browser.open(hostile / page, width=360) as tab:
        tab.run(UNFOLD)
        assert tab.run(_TOO_WIDE) == []
        assert tab.run("document.documentElement.scrollWidth - innerWidth") <= 0
        assert tab.run("document.scripts.length") == 2
        assert tab.complaints() == []


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (1280, True), (390, True)])
@pytest.mark.parametrize("page", PAGES)
def test_an_accessibility_checker_finds_nothing(
    browser: Browser, site: Path, page: str, width: int, dark: bool
) -> None:
    with browser.open(site / page, width=width, dark=dark) as tab:
        tab.run(UNFOLD)
        assert does(tab, f"{ACCESSIBILITY}; return accessibilityProblems();") == []


def test_paper_shows_all_and_no_controls(browser: Browser, site: Path) -> None:
    with browser.open(site / "models" / "m2.html") as tab:
        tab.run("document.getElementById('place-2').open = false")
        tab.run("dispatchEvent(new Event('beforeprint'))")
        tab.call("Emulation.setEmulatedMedia", media="print")
        assert tab.run("document.getElementById('place-2').open") is True
        assert tab.run("document.querySelector('.site nav').checkVisibility()") is False
