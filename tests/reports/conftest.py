"""Models that are off by a known amount on a tiny file, scored for real."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from tiny_hdf5 import write_tiny

from handbench.hdf5.reader import HandFile
from handbench.predictions.record import Predictions
from handbench.scores.protocols import find_protocol
from handbench.scores.results import Evaluation
from handbench.scores.scoring import score
from handbench.scores.truth import read_truth

HANDS = 24

Score = Callable[..., Evaluation]


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


@pytest.fixture
def tiny(tiny_path: Path) -> Iterator[HandFile]:
    with HandFile(tiny_path) as file:
        yield file


@pytest.fixture
def score_model(tiny: HandFile) -> Score:
    """Score a model that is off by `shift` px to the right and misses the first hands."""

    def scored(
        name: str = "net",
        *,
        shift: float = 3.0,
        missing: int = 0,
        file: HandFile | None = None,
        protocols: tuple[str, ...] = ("handbench", "mmpose"),
        noise: float = 0.0,
        gt_used: tuple[str, ...] = ("box",),
        extra: tuple[str, ...] = (),
        keypoints: bool = True,
    ) -> Evaluation:
        data = file or tiny
        truth = read_truth(data, "test")
        points = truth.keypoints + np.array([shift, 0.0])
        points += np.random.default_rng(0).normal(0, noise, points.shape) if noise else 0.0
        points = np.concatenate([points[missing:], np.zeros((len(extra), 21, 2))])
        ids = np.array([*truth.sample_id[missing:].tolist(), *extra], dtype=np.str_)
        model: dict[str, Any] = {"name": name, "training_data": ["tiny/train"], "params": 1234567}
        predictions = Predictions(
            data.dataset,
            "test",
            model,
            ids,
            points if keypoints else None,
            input={"box": "gt_annotation", "padding": 1.5},
            gt_used=gt_used,
        )
        return score(predictions, truth, [find_protocol(name) for name in protocols])

    return scored
