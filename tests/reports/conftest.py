"""A tiny file to report on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest
from generators.tiny_hdf5 import write_tiny
from scored_models import HANDS

from handbench.hdf5.reader import HandFile


@pytest.fixture(scope="session")
def tiny_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 hands of 12 moments; sides alternate, the thumb is occluded; photos may be published."""
    path = write_tiny(tmp_path_factory.mktemp("report") / "tiny.h5", {"test": HANDS})
    with h5py.File(path, "r+") as file:
        file["test/is_right"][:] = np.arange(HANDS) % 2
        visibility = file["test/visibility"][:]
        visibility[:, 1:5] = 1
        file["test/visibility"][:] = visibility
    return path


@pytest.fixture(scope="session")
def tiny(tiny_path: Path) -> Iterator[HandFile]:
    with HandFile(tiny_path) as file:
        yield file
