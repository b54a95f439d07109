from __future__ import annotations

from pathlib import Path

import pytest
from generators import moving_hand


@pytest.fixture(scope="session")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 frames of a synthetic hand, 20 a second; read-only."""
    path = tmp_path_factory.mktemp("video") / "hand.mp4"
    return moving_hand.write_video(path, (picture for picture, _ in moving_hand.frames(40)))
