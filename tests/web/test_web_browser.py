"""The page in a real browser: photos in, points over them, for everyone, asking nobody else."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tools.browser import UNFOLD, Browser, Tab
from web_fakes import PLACES, FakePredictor, app_of, serving
from web_pictures import encoded, hand_picture, jpeg, with_exif

pytestmark = pytest.mark.browser

ACCESSIBILITY = (Path(__file__).parents[1] / "reports" / "accessibility.js").read_text("utf-8")
_TOO_WIDE = """
[...document.querySelectorAll("main *, header *, footer *")]
  .filter((element) => element.getBoundingClientRect().right > innerWidth + 1)
  .filter((element) => !element.closest(".scroll, .hidden, svg"))
  .map((element) => element.outerHTML.slice(0, 90))
"""
LOOKS = [
    pytest.param(width, dark, id=f"{width} {'dark' if dark else 'light'}")
    for width in (390, 1280)
    for dark in (False, True)
]


@dataclass(frozen=True)
class Address:
    """What `Browser.open` asks of a page."""

    url: str

    def as_uri(self) -> str:
        return self.url


@pytest.fixture(scope="module")
def address() -> Iterator[Address]:
    models = (FakePredictor(), FakePredictor("second", is_right=True, score=0.2))
    with serving(app_of(*models)) as server:
        yield Address(server.address)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("photos")
    noise = np.random.default_rng(0).integers(0, 255, (1000, 1400, 3), dtype=np.uint8)
    files = {
        "hand.jpg": jpeg(),
        "wide.png": encoded(hand_picture(600, 200), "PNG"),
        "turned.jpg": with_exif(6),
        "large.jpg": encoded(Image.fromarray(noise), quality=90),
        "text.jpg": b"no picture at all",
        "small.png": encoded(Image.new("RGB", (4, 4)), "PNG"),
    }
    for name, data in files.items():
        (folder / name).write_bytes(data)
    assert len(files["large.jpg"]) > 1_000_000
    return {name: folder / name for name in files}


def until(tab: Tab, script: str, what: str = "") -> None:
    ends = time.monotonic() + 40
    while not tab.run(f"Boolean({script})"):
        assert time.monotonic() < ends, f"never: {what or script}"
        time.sleep(0.02)


def choose(tab: Tab, photo: Path) -> None:
    """Choose a file, as a person does in the browser's own dialogue."""
    root = tab.call("DOM.getDocument")["root"]["nodeId"]
    node = tab.call("DOM.querySelector", nodeId=root, selector="#file")["nodeId"]
    tab.call("DOM.setFileInputFiles", files=[str(photo)], nodeId=node)


def status(tab: Tab) -> str:
    found: str = tab.run("document.getElementById('status').textContent.trim()")
    return found


def answered(tab: Tab) -> None:
    until(
        tab, "!document.getElementById('answer').hidden && document.querySelector('[data-joint]')"
    )


def refused(tab: Tab) -> str:
    until(tab, "document.getElementById('status').className === 'warning'")
    assert tab.run("document.getElementById('answer').hidden")
    return status(tab)


def asked(tab: Tab) -> int:
    """How many pictures were sent."""
    return sum(url.endswith("/api/v1/predict") for url in tab.requests())


def joints(tab: Tab) -> np.ndarray[Any, Any]:
    """Where the drawn points are, px of the shown photo."""
    return np.array(
        tab.run(
            "(() => { const photo = document.getElementById('photo').getBoundingClientRect();"
            "return [...document.querySelectorAll('[data-joint]')].map((dot) => {"
            "const box = dot.getBoundingClientRect();"
            "return [(box.left + box.right) / 2 - photo.left,"
            "(box.top + box.bottom) / 2 - photo.top, photo.width, photo.height]; }); })()"
        )
    )


def check_page(tab: Tab) -> None:
    tab.run(UNFOLD)
    assert tab.run(_TOO_WIDE) == []
    assert tab.run("document.documentElement.scrollWidth - innerWidth") == 0
    assert tab.run(f"(() => {{ {ACCESSIBILITY}\nreturn accessibilityProblems(); }})()") == []


@pytest.mark.parametrize(("width", "dark"), LOOKS)
def test_a_sample_picture_on_every_screen(
    browser: Browser, address: Address, width: int, dark: bool
) -> None:
    with browser.open(address, width=width, dark=dark) as tab:
        check_page(tab)
        tab.run("document.querySelector('[name=sample]').click()")
        answered(tab)
        assert "21 points found. Left or right is not given by this model; confidence 0.83." in (
            status(tab)
        )
        assert tab.run("document.getElementById('side').textContent") == "Not given"
        check_page(tab)
        assert tab.complaints() == []
        own = ("blob:" + address.url, address.url)
        assert all(url.startswith(own) for url in tab.requests())


@pytest.mark.parametrize("name", ["hand.jpg", "wide.png", "turned.jpg"])
def test_an_uploaded_photo_has_its_points_where_they_belong(
    browser: Browser, address: Address, photos: dict[str, Path], name: str
) -> None:
    with browser.open(address) as tab:
        choose(tab, photos[name])
        answered(tab)
        found = joints(tab)
        assert len(found) == 21
        width, height = {"hand.jpg": (320, 240), "wide.png": (600, 200)}.get(name, (240, 320))
        side = max(width, height)
        places = PLACES * side - [(side - width) / 2, (side - height) / 2]
        scale = found[0, 2] / width
        assert scale == pytest.approx(found[0, 3] / height, rel=0.01)
        np.testing.assert_allclose(found[:, :2], places * scale, atol=1.0)
        assert tab.complaints() == []


def test_a_photo_that_is_too_large_is_made_smaller_on_request(
    browser: Browser, address: Address, photos: dict[str, Path]
) -> None:
    with browser.open(address) as tab:
        choose(tab, photos["large.jpg"])
        assert "Expected a photo of at most 1 MB, found 1." in refused(tab)
        assert asked(tab) == 0
        assert not tab.run("document.getElementById('shrink').hidden")
        tab.run("document.getElementById('shrink').click()")
        answered(tab)
        assert "made smaller here" in tab.run("document.getElementById('photo').alt")
        assert "; the numbers are of the smaller one." in status(tab)
        assert tab.complaints() == []


def test_a_file_that_is_no_picture_gets_the_servers_sentence_and_the_next_one_its_points(
    browser: Browser, address: Address, photos: dict[str, Path]
) -> None:
    with browser.open(address) as tab:
        choose(tab, photos["text.jpg"])
        assert "Expected a JPEG or PNG picture, found another kind of file" in refused(tab)
        choose(tab, photos["small.png"])
        until(tab, "document.getElementById('status').textContent.includes('4 × 4')")
        choose(tab, photos["hand.jpg"])
        answered(tab)
        assert "21 points" in status(tab)


def test_two_photos_one_after_another_and_one_twice(
    browser: Browser, address: Address, photos: dict[str, Path]
) -> None:
    with browser.open(address) as tab:
        choose(tab, photos["hand.jpg"])
        choose(tab, photos["wide.png"])  # before the first is answered
        answered(tab)
        until(tab, "document.getElementById('photo').naturalWidth === 600")
        until(tab, "document.getElementById('save-json').download === 'wide.json'")
        before = asked(tab)
        choose(tab, photos["wide.png"])
        until(tab, "document.getElementById('answer').hidden === false")
        until(tab, "performance.getEntriesByType('resource').length > 0")
        ends = time.monotonic() + 20
        while asked(tab) == before and time.monotonic() < ends:
            tab.run("1")
        assert asked(tab) == before + 1
        answered(tab)


def test_a_box_is_drawn_with_the_mouse_and_taken_back(
    browser: Browser, address: Address, photos: dict[str, Path]
) -> None:
    with browser.open(address) as tab:
        choose(tab, photos["hand.jpg"])
        answered(tab)
        left, top, width, height = tab.run(
            "(() => { const r = document.getElementById('overlay').getBoundingClientRect();"
            "return [r.left, r.top, r.width, r.height]; })()"
        )
        for kind, x, y in (
            ("mousePressed", 0.25, 0.25),
            ("mouseMoved", 0.5, 0.5),
            ("mouseMoved", 0.75, 0.75),
            ("mouseReleased", 0.75, 0.75),
        ):
            place = {"x": left + x * width, "y": top + y * height}
            tab.call("Input.dispatchMouseEvent", type=kind, button="left", clickCount=1, **place)
        box = tab.run("document.getElementById('box').value.split(',').map(Number)")
        np.testing.assert_allclose(box, [79.5, 59.5, 160, 120], atol=1.5)
        wrist_y = "document.querySelectorAll('#points td')[1].textContent"
        until(tab, f"{wrist_y} !== '247.5'")
        until(tab, "!document.getElementById('frame').classList.contains('waiting')")
        found = joints(tab)[:, :2] * 320 / width
        np.testing.assert_allclose(found, PLACES * 200 + [160 - 100, 120 - 100], atol=2)
        tab.run("document.getElementById('whole').click()")
        until(tab, f"{wrist_y} === '247.5'")
        assert tab.run("document.getElementById('box').value") == ""
        assert tab.run("document.querySelector('#overlay .box')") is None


def test_another_model_is_asked_when_it_is_chosen(
    browser: Browser, address: Address, photos: dict[str, Path]
) -> None:
    with browser.open(address) as tab:
        choose(tab, photos["hand.jpg"])
        answered(tab)
        assert tab.run("document.getElementById('unsure').hidden")
        tab.run("const s = document.getElementById('model'); s.value = 'second';"
                "s.dispatchEvent(new Event('change'))")  # fmt: skip
        until(tab, "document.getElementById('side').textContent === 'Right'")
        assert not tab.run("document.getElementById('unsure').hidden")
        assert "Right hand; confidence 0.20." in status(tab)


def test_what_was_found_can_be_taken_away(
    browser: Browser, address: Address, photos: dict[str, Path], tmp_path: Path
) -> None:
    with browser.open(address) as tab:
        choose(tab, photos["hand.jpg"])
        answered(tab)
        click = "document.getElementById('save-%s').click()"
        numbers = tab.download(click % "json", tmp_path)
        assert numbers.name == "hand.json"
        assert len(json.loads(numbers.read_text("utf-8"))["hand"]["keypoints"]) == 21
        picture = tab.download(click % "picture", tmp_path)
        assert picture.name == "hand-points.jpg"
        drawn = np.asarray(Image.open(picture), int)
        assert drawn.shape == (240, 320, 3)
        photo = np.asarray(Image.open(photos["hand.jpg"]), int)
        x, y = PLACES[12] * 320 - [0, 40]  # tip of the middle finger
        tip = drawn[int(y), int(x)]
        assert np.abs(tip - [0x3F, 0xA3, 0x4D]).max() < 60, "no green dot at the tip"
        assert (np.abs(drawn - photo).max(axis=2) > 60).sum() > 300


def test_a_photo_is_dropped_on_the_page(browser: Browser, address: Address) -> None:
    with browser.open(address) as tab:
        tab.run(
            """(async () => {
              const { src } = document.querySelector("[name=sample]").dataset;
              const data = await (await fetch(src)).blob();
              const dataTransfer = new DataTransfer();
              dataTransfer.items.add(new File([data], "dropped.jpg", { type: "image/jpeg" }));
              const how = { dataTransfer, bubbles: true, cancelable: true };
              for (const kind of ["dragenter", "dragover", "drop"])
                document.body.dispatchEvent(new DragEvent(kind, how));
            })()"""
        )
        answered(tab)
        assert tab.run("document.getElementById('save-json').download") == "dropped.json"


def test_it_can_be_used_with_the_keyboard_alone(browser: Browser, address: Address) -> None:
    with browser.open(address) as tab:
        for _ in range(30):
            tab.press("Tab")
            if tab.run("document.activeElement.name === 'sample'"):
                break
        tab.press("Enter")
        answered(tab)
        assert tab.run("document.activeElement.name") == "sample"
        tab.run("document.getElementById('box').focus();"
                "document.getElementById('box').value = '40, 40, 200, 200'")  # fmt: skip
        tab.press("Enter")
        until(tab, "document.querySelector('#overlay .box')")


def test_a_server_that_is_gone_is_said(browser: Browser, photos: dict[str, Path]) -> None:
    with serving(app_of(FakePredictor())) as server:
        opened = browser.open(Address(server.address))
        tab = opened.__enter__()
    try:
        choose(tab, photos["hand.jpg"])
        assert "The server cannot be reached" in refused(tab)
        assert not tab.run("document.getElementById('again').hidden")
    finally:
        opened.__exit__(None, None, None)


def test_without_scripts_the_form_does_it(
    browser: Browser, address: Address, photos: dict[str, Path]
) -> None:
    with browser.open(address, width=390) as tab:
        tab.call("Emulation.setScriptExecutionDisabled", value=True)
        tab.show(address, width=390, height=900, dark=False)
        assert not tab.run("document.querySelector('#theme').checkVisibility()")
        choose(tab, photos["wide.png"])
        tab.browser.events.clear()
        tab.run("document.querySelector('.without-script').focus()")
        tab.press("Enter")
        tab.browser.wait("Page.loadEventFired")
        assert "21 points found" in status(tab)
        assert tab.run("document.getElementById('photo').naturalWidth") == 600
        check_page(tab)
        assert tab.complaints() == []


def test_a_phone_offers_its_camera(browser: Browser, address: Address) -> None:
    visible = "document.querySelector('label[for=camera]').checkVisibility()"
    with browser.open(address, width=390) as tab:
        tab.call("Emulation.setTouchEmulationEnabled", enabled=True)
        tab.show(address, width=390, height=844, dark=False)
        assert tab.run(visible)
        assert tab.run("document.getElementById('camera').getAttribute('capture')") == "environment"
        check_page(tab)


def test_without_a_model_the_page_helps(browser: Browser) -> None:
    with (
        serving(app_of()) as server,
        browser.open(Address(server.address), width=390) as tab,
    ):
        check_page(tab)
        assert "handbench quickstart" in tab.run("document.body.innerText")
        assert tab.complaints() == []
