"""Drive Chromium from tests, over the pipe of its DevTools protocol; no package is needed.

Scripts that a test runs in the page are not bound by the page's content security policy, so the
page is tested as it is.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")

# Chromium wants its pipe at file descriptors 3 and 4.
_LAUNCH = """
import fcntl, os, sys
ends = [fcntl.fcntl(int(end), fcntl.F_DUPFD, 10) for end in sys.argv[1:3]]
for place, end in zip((3, 4), ends):
    os.dup2(end, place)
os.execvp(sys.argv[3], sys.argv[3:])
"""
_QUIET = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--hide-scrollbars", "--disable-dev-shm-usage", "--remote-debugging-pipe"),
)
_TIMEOUT_S = 90.0

UNFOLD = "document.querySelectorAll('details').forEach((part) => { part.open = true; })"
"""Script that opens everything that is folded."""


def find() -> str | None:
    """Chromium or Chrome on this machine."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Browser:
    """A running browser.

    Attributes
    ----------
    events
        Everything it reported and nobody has taken yet.
    """

    def __init__(self, command: str, profile: Path) -> None:
        to_browser, self._write = os.pipe()
        self._read, from_browser = os.pipe()
        ends = (to_browser, from_browser)
        launch = [sys.executable, "-c", _LAUNCH, *map(str, ends), command, *_QUIET]
        self._process = subprocess.Popen(
            [*launch, f"--user-data-dir={profile}", "about:blank"],
            pass_fds=ends,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for end in ends:
            os.close(end)
        self._buffer = b""
        self._number = 0
        self.events: list[dict[str, Any]] = []

    def call(self, method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        """Send a command and return its result; raises :class:`AssertionError` if it is refused."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if session is not None:
            message["sessionId"] = session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self._write, data) :]
        number = self._number
        answer = self._until(lambda found: found.get("id") == number)
        if "error" in answer:
            raise AssertionError(f"{method}: {answer['error']}")
        result: dict[str, Any] = answer["result"]
        return result

    def wait(self, method: str, **expected: Any) -> dict[str, Any]:
        """Parameters of the first event of that name, old or new, that has these values."""

        def fits(found: dict[str, Any]) -> bool:
            values = found.get("params", {})
            return found.get("method") == method and expected.items() <= values.items()

        for place, event in enumerate(self.events):
            if fits(event):
                found: dict[str, Any] = self.events.pop(place)["params"]
                return found
        latest: dict[str, Any] = self._until(fits)["params"]
        return latest

    def _until(self, wanted: Any) -> dict[str, Any]:
        ends = time.monotonic() + _TIMEOUT_S
        while True:
            whole, found, rest = self._buffer.partition(b"\0")
            if found:
                self._buffer = rest
                message: dict[str, Any] = json.loads(whole)
                if wanted(message):
                    return message
                if "method" in message:
                    self.events.append(message)
                continue
            ready, _, _ = select.select([self._read], [], [], max(0.0, ends - time.monotonic()))
            data = os.read(self._read, 1 << 20) if ready else b""
            if not data:
                raise AssertionError("the browser went silent")
            self._buffer += data

    def close(self) -> None:
        """End the browser."""
        with contextlib.suppress(OSError, AssertionError):
            self.call("Browser.close")
        for end in (self._read, self._write):
            os.close(end)
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    @contextlib.contextmanager
    def open(
        self, page: Path | str, *, width: int = 1280, height: int = 900, dark: bool = False
    ) -> Any:
        """A page, a file or an address, in a window of that width; closed at the end."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        try:
            tab = Tab(self, attached["sessionId"])
            tab.show(page, width=width, height=height, dark=dark)
            yield tab
        finally:
            self.call("Target.closeTarget", targetId=target)


class Tab:
    """One page."""

    def __init__(self, browser: Browser, session: str) -> None:
        self.browser, self.session = browser, session
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """A command to this page."""
        return self.browser.call(method, self.session, **parameters)

    def show(self, page: Path | str, *, width: int, height: int, dark: bool) -> None:
        """Load `page`."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self.browser.events.clear()
        self.call("Page.navigate", url=page if isinstance(page, str) else page.as_uri())
        self.browser.wait("Page.loadEventFired")

    def run(self, script: str) -> Any:
        """Value of a JavaScript expression in the page; a promise is awaited."""
        answer = self.call(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        if "exceptionDetails" in answer:
            raise AssertionError(answer["exceptionDetails"]["exception"].get("description"))
        return answer["result"].get("value")

    def press(self, key: str) -> None:
        """Press and release a key, such as ``Tab`` or ``Enter``."""
        codes = {"Tab": 9, "Enter": 13, " ": 32}
        text = {"Enter": "\r", " ": " "}.get(key)
        for kind in ("keyDown", "keyUp"):
            more = {"text": text} if text is not None and kind == "keyDown" else {}
            self.call(
                "Input.dispatchKeyEvent",
                type=kind,
                key=key,
                windowsVirtualKeyCode=codes[key],
                **more,
            )

    def download(self, script: str, folder: Path) -> Path:
        """Run `script`, which starts a download; returns the file."""
        folder.mkdir(parents=True, exist_ok=True)
        self.browser.call(
            "Browser.setDownloadBehavior",
            behavior="allow",
            downloadPath=str(folder),
            eventsEnabled=True,
        )
        self.run(script)
        begun = self.browser.wait("Browser.downloadWillBegin")
        self.browser.wait("Browser.downloadProgress", guid=begun["guid"], state="completed")
        return folder / begun["suggestedFilename"]

    def complaints(self) -> list[str]:
        """Errors and warnings of the console, uncaught exceptions and breaches of the policy."""
        found = []
        for event in self.browser.events:
            about = event.get("params", {})
            if event["method"] == "Runtime.exceptionThrown":
                found.append(str(about["exceptionDetails"]))
            elif event["method"] == "Runtime.consoleAPICalled" and about["type"] != "log":
                found.append(str(about["args"]))
            elif event["method"] == "Log.entryAdded":
                found.append(about["entry"]["text"])
        return found

    def requests(self) -> list[str]:
        """Addresses that the page asked for, its own first; what it holds itself left out."""
        asked = [e["params"] for e in self.browser.events if e["method"].endswith("WillBeSent")]
        found = [about["request"]["url"] for about in asked if "request" in about]
        return [url for url in found if not url.startswith("data:")]


@contextlib.contextmanager
def running(profile: Path) -> Iterator[Browser]:
    """A browser with a fresh profile; :func:`find` must have found one."""
    command = find()
    assert command is not None, "no Chromium or Chrome on this machine"
    browser = Browser(command, profile)
    try:
        yield browser
    finally:
        browser.close()
