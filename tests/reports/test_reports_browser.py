"""The page in a real browser: it fits a phone, keeps its policy, and its script works."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from scored_models import scored

from handbench.hdf5.reader import HandFile
from handbench.reports.html import write_report

pytestmark = pytest.mark.browser

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")

# Run in the page after loading; what it finds goes into the title, where --dump-dom shows it.
_PROBE = """
<script>
addEventListener("load", () => {
  const wide = [...document.querySelectorAll("main *, header *")].filter((element) =>
    element.getBoundingClientRect().right > innerWidth + 1 && !element.closest(".scroll, .hidden"));
  const table = document.querySelector("table.sortable");
  const button = table.tHead.rows[0].cells[1].querySelector("button");
  const column = () => [...table.tBodies[0].rows].map((row) => row.cells[1].textContent.trim());
  button.click(); const up = column(); button.click(); const down = column();
  document.getElementById("theme").click();
  location.hash = "model-1";
  setTimeout(() => {
    document.title = JSON.stringify({
      overflow: document.documentElement.scrollWidth - innerWidth,
      wide: wide.slice(0, 5).map((element) => element.outerHTML.slice(0, 80)),
      up, down, sorted: table.tHead.rows[0].cells[1].getAttribute("aria-sort"),
      theme: document.documentElement.dataset.theme ?? "",
      unfolded: document.getElementById("model-1")?.open ?? null,
    });
  }, 50);
});
</script>
"""


@pytest.fixture(scope="module")
def browser() -> str:
    found = next((path for name in _NAMES if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip("no Chromium or Chrome on this machine")
    return found


def probe(browser: str, page: Path, folder: Path, width: int) -> dict[str, object]:
    """Load a copy of the page with the probe in it and return what the probe found."""
    # The policy would refuse the probe, which is its task: the copy goes without it.
    text = re.sub(r"<meta http-equiv=.*?>", "", page.read_text("utf-8"), count=1)
    copy = folder / "probed.html"
    copy.write_text(text.replace("</body>", _PROBE + "</body>"), "utf-8")
    dumped = dump(browser, copy, folder, width)
    (title,) = re.findall(r"<title>(\{.*?\})</title>", dumped, re.DOTALL)
    found: dict[str, object] = json.loads(html.unescape(title))
    return found


def dump(browser: str, page: Path, folder: Path, width: int) -> str:
    """The document after its scripts ran, in a window of that width."""
    command = [
        browser,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--hide-scrollbars",
        f"--user-data-dir={folder / 'profile'}",
        f"--window-size={width},900",
        "--virtual-time-budget=3000",
        "--dump-dom",
        page.as_uri(),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout


@pytest.fixture(scope="module")
def page(tiny: HandFile, tmp_path_factory: pytest.TempPathFactory) -> Path:
    models = [
        scored(tiny, "a model whose name is a whole sentence/and_then_a_path_without_any_spaces"),
        scored(tiny, "second", shift=6.0, missing=3),
        scored(tiny, "third", shift=1.0),
    ]
    return write_report(models, tiny, tmp_path_factory.mktemp("page") / "report.html")


@pytest.mark.parametrize("width", [500, 1280])
def test_several_models_fit_the_window(
    browser: str, page: Path, tmp_path: Path, width: int
) -> None:
    found = probe(browser, page, tmp_path, width)
    assert found["overflow"] == 0, found["wide"]
    assert found["wide"] == []


def test_one_model_fits_a_phone(browser: str, tiny: HandFile, tmp_path: Path) -> None:
    # Browsers may refuse narrow windows; a frame is as narrow as it is told.
    page = write_report([scored(tiny, missing=3)], tiny, tmp_path / "report.html")
    assert framed_overflow(browser, page, tmp_path) == "0 of 360"


def test_several_models_fit_a_phone(browser: str, page: Path, tmp_path: Path) -> None:
    assert framed_overflow(browser, page, tmp_path) == "0 of 360"


def framed_overflow(browser: str, page: Path, folder: Path) -> str:
    """How far the page is wider than a frame of 360 px: the frame reports it by itself."""
    text = re.sub(r"<meta http-equiv=.*?>", "", page.read_text("utf-8"), count=1)
    report = (
        "<script>addEventListener('load', () => parent.postMessage("
        "(document.documentElement.scrollWidth - innerWidth) + ' of ' + innerWidth, '*'))</script>"
    )
    inner = folder / "inner.html"
    inner.write_text(text.replace("</body>", report + "</body>"), "utf-8")
    outer = folder / "outer.html"
    outer.write_text(
        "<title>nothing</title><script>addEventListener('message', "
        "(event) => { document.title = event.data; })</script>"
        f'<iframe src="{inner.as_uri()}" style="width:360px;height:800px;border:0"></iframe>',
        "utf-8",
    )
    (title,) = re.findall(r"<title>(.*?)</title>", dump(browser, outer, folder, 800))[:1]
    return title


def test_tables_sort_colours_switch_and_models_unfold(
    browser: str, page: Path, tmp_path: Path
) -> None:
    found = probe(browser, page, tmp_path, 1280)
    assert found["up"] == ["87.5\u202f%", "100.0\u202f%", "100.0\u202f%"]
    assert found["down"] == ["100.0\u202f%", "100.0\u202f%", "87.5\u202f%"]
    assert found["sorted"] == "descending"
    assert found["theme"] in ("dark", "light")
    assert found["unfolded"] is True


def test_the_policy_lets_the_own_script_run_and_no_other(
    browser: str, page: Path, tmp_path: Path
) -> None:
    text = page.read_text("utf-8")
    foreign = "<script>document.title = 'foreign script ran'</script>"
    copy = tmp_path / "attacked.html"
    copy.write_text(text.replace("</body>", foreign + "</body>"), "utf-8")
    dumped = dump(browser, copy, tmp_path, 1280)
    assert "foreign script ran</title>" not in dumped
    assert re.search(r'<th[^>]*><button type="button">', dumped), "the page's script made buttons"
