"""The scores of all-zero predictions that the readmes of FreiHAND and HO-3D print.

For whoever has the public evaluation labels. Nothing is predicted, so the numbers depend on the
labels and the scorer alone. The synthetic twin, which always runs, is
``test_agreement_freihand.py::test_predictions_of_zeros``.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from handbench.hdf5.reader import HandFile
from handbench.predictions.record import Predictions
from handbench.scores.protocols import find_protocol
from handbench.scores.scoring import score
from handbench.scores.truth import Truth, read_truth

# Printed in cm with two decimals, F-scores with three.
MM, SHARE = 0.05 + 1e-9, 0.0005 + 1e-9
FREIHAND = {
    "MPJPE[mm,cam,avg=joint]": 707.9,
    "MPJPE[mm,pa-reflect,avg=joint]": 47.3,
    "MPVPE[mm,cam]": 708.4,
    "MPVPE[mm,pa-reflect]": 50.7,
    "F@5mm[pa-reflect]": 0.001,
    "F@15mm[pa-reflect]": 0.031,
}
HO3D = {
    "MPJPE[mm,cam,avg=joint]": 568.7,
    "MPJPE[mm,pa-reflect,avg=joint]": 51.9,
    "MPVPE[mm,cam]": 571.2,
    "MPVPE[mm,pa-reflect]": 54.7,
    "F@5mm[pa-reflect]": 0.000,
    "F@15mm[pa-reflect]": 0.017,
}


@pytest.fixture
def public_truth() -> Callable[[str, str], Truth]:
    """Labels of the converted file that a variable names, or skip."""

    def read(variable: str, how: str) -> Truth:
        path = os.environ.get(variable)
        if not path:
            pytest.skip(f"{variable} is not set: {how}, and let it name the HDF5 file")
        with HandFile(Path(path)) as file:
            split = "test" if "test" in file.splits else file.splits[0]
            truth = read_truth(file, split, vertices=True)
        assert truth.vertices is not None, f"{path} holds no meshes: {how}"
        return truth

    return read


def scores_of_zeros(truth: Truth, protocol: str) -> dict[str, float | None]:
    assert truth.vertices is not None
    zeros = Predictions(
        truth.dataset,
        truth.split,
        {"name": "zeros"},
        truth.sample_id,
        None,
        keypoints_3d=np.zeros((len(truth), 21, 3)),
        vertices=np.zeros(truth.vertices.shape),
    )
    results = score(zeros, truth, [find_protocol(protocol)]).results[0]
    return {name: metric.value for name, metric in results.metrics.items()}


def assert_as_printed(found: dict[str, float | None], printed: dict[str, float]) -> None:
    for name, value in printed.items():
        tolerance = SHARE if name.startswith("F") else MM
        assert found[name] == pytest.approx(value, abs=tolerance), name


def test_freihand(public_truth: Callable[[str, str], Truth]) -> None:
    truth = public_truth(
        "HANDBENCH_FREIHAND_FILE",
        "put FreiHAND_pub_v2.zip and FreiHAND_pub_v2_eval.zip into one folder and run "
        "`handbench convert freihand --source FOLDER --splits test --with vertices`",
    )
    assert len(truth) == 3960
    assert_as_printed(scores_of_zeros(truth, "freihand"), FREIHAND)


def test_ho3d(public_truth: Callable[[str, str], Truth]) -> None:
    truth = public_truth(
        "HANDBENCH_HO3D_FILE",
        "get HO-3D with the evaluation labels released in November 2024 and convert its "
        "evaluation split with vertices",
    )
    assert_as_printed(scores_of_zeros(truth, "ho3d"), HO3D)


def test_the_comparison_can_fail() -> None:
    with pytest.raises(AssertionError, match="MPJPE"):
        assert_as_printed({**FREIHAND, "MPJPE[mm,cam,avg=joint]": 708.0}, FREIHAND)
