"""Fixtures shared by all tests: fake datasets made once a session, and real data."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from generators.coco import FakeCOCO, write_coco
from generators.freihand import FakeFreiHAND, write_freihand
from hypothesis import settings
from tools.browser import Browser, find, running

# The same examples on every run: a failure that comes and goes teaches nobody anything.
settings.register_profile("handbench", derandomize=True, deadline=None, max_examples=50)
settings.load_profile("handbench")


@pytest.fixture(scope="session")
def fake_freihand(tmp_path_factory: pytest.TempPathFactory) -> FakeFreiHAND:
    """A complete small FreiHAND v2, unpacked, with its labels; read-only."""
    return write_freihand(tmp_path_factory.mktemp("freihand") / "FreiHAND_pub_v2")


@pytest.fixture(scope="session")
def freihand_dir(fake_freihand: FakeFreiHAND) -> Path:
    """Folder of :func:`fake_freihand`."""
    return fake_freihand.folder


@pytest.fixture(scope="session")
def freihand_file(fake_freihand: FakeFreiHAND, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The fake FreiHAND converted at 224 px with all extras; read-only."""
    from handbench.hdf5.convert import ConvertSettings, convert
    from handbench.sources import freihand, manifest

    source = freihand.open_source(fake_freihand.folder, manifest.load("freihand"))
    out = tmp_path_factory.mktemp("converted") / "freihand.h5"
    extras = frozenset({"vertices", "mano", "mask"})
    return convert(source, out, ConvertSettings(extras=extras)).path


@pytest.fixture(scope="session")
def fake_coco(tmp_path_factory: pytest.TempPathFactory) -> FakeCOCO:
    """Ten photos with a hand each in a COCO keypoints file with 3D; read-only."""
    return write_coco(tmp_path_factory.mktemp("coco"))


@pytest.fixture(scope="session")
def coco_dir(fake_coco: FakeCOCO) -> Path:
    """Folder of :func:`fake_coco`: `annotations.json` and `images/`."""
    return fake_coco.annotations.parent


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real sample files, or skip."""
    folder = os.environ.get("HANDBENCH_REAL_DATA")
    if not folder:
        pytest.skip("HANDBENCH_REAL_DATA is not set")
    return Path(folder).resolve()


@pytest.fixture(autouse=True)
def _own_home(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No test reads or writes the home folder of the person who runs it."""
    monkeypatch.setenv("HANDBENCH_HOME", str(tmp_path_factory.getbasetemp() / "home"))


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Chromium with a profile of its own; skips where there is none."""
    if find() is None:
        pytest.skip("no Chromium or Chrome on this machine")
    with running(tmp_path_factory.mktemp("profile")) as found:
        yield found
