"""The page in a real browser: it fits, it can be used by everyone, and it keeps its policy."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from scored_models import scored
from tools.browser import UNFOLD, Browser

from handbench.hdf5.reader import HandFile
from handbench.reports.html import write_report

pytestmark = pytest.mark.browser

ACCESSIBILITY = (
    f"(() => {{ {Path(__file__).with_name('accessibility.js').read_text('utf-8')}\n"
    "return accessibilityProblems(); })()"
)
WIDTHS = (360, 390, 768, 1280)

_TOO_WIDE = """
[...document.querySelectorAll("main *, header *, footer *")]
  .filter((element) => element.getBoundingClientRect().right > innerWidth + 1)
  .filter((element) => !element.closest(".scroll, .hidden, svg"))
  .map((element) => element.outerHTML.slice(0, 90))
"""


@pytest.fixture(scope="module")
def pages(tiny: HandFile, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One model, several, and models with nothing to show."""
    folder = tmp_path_factory.mktemp("pages")
    models = [
        scored(tiny, "a model whose name is a whole sentence/and_then_a_path_without_any_spaces"),
        scored(tiny, "second", shift=6.0, missing=3, noise=4.0),
        scored(tiny, "third", shift=1.0),
    ]
    one = scored(tiny, missing=3, noise=9.0, extra=("other/1",))
    return {
        "one": write_report([one], tiny, folder / "one.html", by=["finger"]),
        "three": write_report(models, tiny, folder / "three.html", by=["finger", "instant_id"]),
        "nothing": write_report([scored(tiny, missing=24)], tiny, folder / "nothing.html"),
    }


@pytest.mark.parametrize("name", ["one", "three", "nothing"])
@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_is_wider_than_the_window(
    browser: Browser, pages: dict[str, Path], name: str, width: int
) -> None:
    with browser.open(pages[name], width=width) as tab:
        tab.run(UNFOLD)
        assert tab.run(_TOO_WIDE) == []
        assert tab.run("document.documentElement.scrollWidth - innerWidth") == 0


@pytest.mark.parametrize("name", ["one", "three", "nothing"])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_an_accessibility_checker_finds_nothing(
    browser: Browser, pages: dict[str, Path], name: str, dark: bool, width: int
) -> None:
    with browser.open(pages[name], width=width, dark=dark) as tab:
        assert tab.run("matchMedia('(prefers-color-scheme: dark)').matches") is dark
        tab.run(UNFOLD)
        assert tab.run(ACCESSIBILITY) == []


def test_the_checker_sees_what_is_wrong(browser: Browser, tmp_path: Path) -> None:
    page = tmp_path / "bad.html"
    page.write_text(
        "<title>x</title><body><h1>a</h1><h3>b</h3><p id=p>outside</p>"
        "<p id=p style='color:#999'>pale</p><p><a href='#no'>link</a></p>"
        "<button></button><img src='data:,'><select></select>"
        "<table><tr><th>a</th></tr><tr><td>1</td><td>2</td></tr></table><svg></svg>"
        "<button class=dim style='outline:none'>x</button><ul><p>x</p></ul><nav>x</nav>"
        "<div style='overflow:auto;width:50px'><div style='width:90px'>wide</div></div></body>",
        "utf-8",
    )
    with browser.open(page) as tab:
        rules = {problem.split(":")[0] for problem in tab.run(ACCESSIBILITY)}
    assert rules == {
        *("lang", "zoom", "duplicate id", "heading order", "landmark", "outside landmarks"),
        *("skip link", "unnamed region", "control without a name", "link leads nowhere"),
        *("image without alt", "drawing without a name", "table without caption"),
        *("table without head", "th without scope", "row without headers", "list holds no item"),
        *("scrolls, but not by keyboard", "focus cannot be seen", "contrast"),
    }


@pytest.mark.parametrize("name", ["one", "three", "nothing"])
def test_the_console_is_silent_and_no_request_leaves_the_page(
    browser: Browser, pages: dict[str, Path], name: str
) -> None:
    with browser.open(pages[name]) as tab:
        tab.run(f"{UNFOLD}; scrollTo(0, document.body.scrollHeight)")
        tab.run("new Promise((done) => setTimeout(done, 200))")
        pictures = "[...document.images].every((image) => image.complete && image.naturalWidth)"
        tab.run("[...document.images].forEach((image) => { image.loading = 'eager'; })")
        tab.run("Promise.all([...document.images].map((image) => image.decode()))")
        assert tab.run(pictures) is True
        assert tab.complaints() == []
        assert tab.requests() == [pages[name].as_uri()]


def test_the_policy_lets_the_own_script_run_and_no_other(
    browser: Browser, pages: dict[str, Path], tmp_path: Path
) -> None:
    foreign = (
        "<script>document.title = 'foreign script ran'</script>"
        "<img src=x onerror=\"document.title = 'foreign script ran'\">"
    )
    copy = tmp_path / "attacked.html"
    copy.write_text(
        pages["three"].read_text("utf-8").replace("</body>", foreign + "</body>"), "utf-8"
    )
    with browser.open(copy) as tab:
        assert "foreign" not in tab.run("document.title")
        assert tab.run("document.querySelectorAll('th button').length") > 10
        assert any("Content Security Policy" in sentence for sentence in tab.complaints())


def test_tables_sort_by_number_with_the_keyboard(browser: Browser, pages: dict[str, Path]) -> None:
    rows = "[...document.querySelector('table.sortable').tBodies[0].rows]"
    column = f"{rows}.map((row) => row.cells[1].innerText)"
    head = "document.querySelector('table.sortable').tHead.rows[0].cells[1]"
    with browser.open(pages["three"]) as tab:
        tab.run(f"{head}.querySelector('button').focus()")
        tab.press("Enter")
        assert tab.run(column) == ["87.5\u202f%", "100.0\u202f%", "100.0\u202f%"]
        assert tab.run(f"{head}.ariaSort") == "ascending"
        tab.press("Enter")
        assert tab.run(column) == ["100.0\u202f%", "100.0\u202f%", "87.5\u202f%"]
        assert tab.run(f"{head}.ariaSort") == "descending"
        # The mean pose is no model: it stays below them.
        foot = "document.querySelector('table.ranking').tFoot.rows[0].innerText"
        assert "Mean pose" in tab.run(foot)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_colours_switch_and_say_what_they_switch_to(
    browser: Browser, pages: dict[str, Path], dark: bool
) -> None:
    paper = "getComputedStyle(document.body).backgroundColor"
    with browser.open(pages["one"], dark=dark) as tab:
        first, words = tab.run(paper), tab.run("document.getElementById('theme').textContent")
        assert words == ("Light" if dark else "Dark")
        tab.run("document.getElementById('theme').click()")
        assert tab.run(paper) != first
        assert tab.run("document.getElementById('theme').textContent") != words
        tab.run("document.getElementById('theme').click()")
        assert tab.run(paper) == first


def test_a_curve_is_downloaded_as_numbers(
    browser: Browser, pages: dict[str, Path], tiny: HandFile, tmp_path: Path
) -> None:
    with browser.open(pages["one"]) as tab:
        path = tab.download(
            "document.querySelector('a[download=\"pck-px.csv\"]').click()", tmp_path
        )
        assert tab.complaints() == []
    assert path.name == "pck-px.csv"
    with path.open(encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    assert header[1:] == ["net", "floor: mean pose"]
    model = scored(tiny, missing=3, noise=9.0, extra=("other/1",))
    curve = model.results[0].curves["PCK[px]"]
    np.testing.assert_allclose([float(row[1]) for row in rows], curve["y"], rtol=1e-5)


_SHOWN = """
[...document.querySelectorAll(".pictures figure")].filter((figure) => figure.checkVisibility())
  .map((figure) => figure.dataset.codes)
"""


def choose(name: str, value: str) -> str:
    """Script that picks an option as a person does."""
    return (
        f"(() => {{ const box = document.querySelector('select.by-{name}'); box.value = '{value}';"
        "box.dispatchEvent(new Event('change', {bubbles: true})); })()"
    )


def test_pictures_are_chosen_by_joint_and_kind(browser: Browser, pages: dict[str, Path]) -> None:
    with browser.open(pages["one"]) as tab:
        assert tab.run("document.querySelector('.filter').checkVisibility()") is True
        folded = tab.run(_SHOWN)
        every = tab.run(
            "[...document.querySelectorAll('.pictures figure')].map((f) => f.dataset.codes)"
        )
        assert len(every) > len(folded) > 0
        tab.run(choose("joint", "8"))
        tips = tab.run(_SHOWN)
        assert tips
        assert sorted(tips) == sorted(codes for codes in every if codes[8] not in "ab-")
        status = tab.run("document.querySelector('.filter [role=status]').textContent")
        assert status == f"{len(tips)} of {len(every)} pictures show this"
        kinds = tab.run("[...document.querySelector('select.by-kind').options].map((o) => o.value)")
        letter = kinds[1]
        tab.run(choose("kind", letter))
        assert sorted(tab.run(_SHOWN)) == sorted(codes for codes in every if codes[8] == letter)
        tab.run(choose("joint", ""))
        assert sorted(tab.run(_SHOWN)) == sorted(codes for codes in every if letter in codes)
        tab.run("document.querySelector('.filter .clear').click()")
        assert sorted(tab.run(_SHOWN)) == sorted(every)
        assert tab.run("document.activeElement.className") == "by-joint"


def test_what_no_picture_shows_is_said(browser: Browser, pages: dict[str, Path]) -> None:
    with browser.open(pages["three"]) as tab:
        tab.run("document.getElementById('model-0').open = true")
        tab.run(choose("joint", "8"))
        status = tab.run("document.querySelector('.filter [role=status]').textContent")
        assert status.startswith("None of the ")
        assert tab.run("document.querySelector('.pictures section').checkVisibility()") is False


def test_a_link_unfolds_its_model_and_the_tab_key_reaches_the_page(
    browser: Browser, pages: dict[str, Path]
) -> None:
    with browser.open(pages["three"]) as tab:
        tab.press("Tab")
        assert tab.run("document.activeElement.className") == "skip"
        assert tab.run("document.activeElement.getBoundingClientRect().left") >= 0
        tab.press("Enter")
        assert tab.run("location.hash") == "#scored"
        tab.run("document.querySelector('a[href=\"#model-1\"]').click()")
        tab.run("new Promise((done) => setTimeout(done, 50))")
        assert tab.run("document.getElementById('model-1').open") is True


def test_without_its_script_the_page_is_whole(
    browser: Browser, pages: dict[str, Path], tmp_path: Path
) -> None:
    text = pages["one"].read_text("utf-8")
    still = tmp_path / "still.html"
    still.write_text(text.replace("script-src 'sha256-", "script-src 'sha256-x"), "utf-8")
    with browser.open(still) as tab:
        assert tab.run("document.querySelector('.filter').checkVisibility()") is False
        assert tab.run("document.getElementById('theme').checkVisibility()") is False
        assert len(tab.run(_SHOWN)) > 5
        assert tab.run("document.querySelectorAll('th button').length") == 0


def test_paper_shows_models_and_no_controls(browser: Browser, pages: dict[str, Path]) -> None:
    with browser.open(pages["three"]) as tab:
        tab.run("dispatchEvent(new Event('beforeprint'))")
        tab.call("Emulation.setEmulatedMedia", media="print")
        folded = (
            "[...document.querySelectorAll('details.model')].filter((model) => !model.open).length"
        )
        assert tab.run(folded) == 0
        controls = "[...document.querySelectorAll('nav, #theme, .filter, .downloads')]"
        assert tab.run(f"{controls}.filter((part) => part.checkVisibility()).length") == 0
        assert tab.run("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
