"""DexYCB's official hand scores in millimetres.

Source of the facts: NVlabs/dex-ycb-toolkit, ``hpe_eval.py``. Samples whose joints are all -1 have
no truth; every other id must be predicted.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from reference import alignment
from reference.joint_errors import JointErrors

Floats = npt.NDArray[np.float64]

RANGE_MM, STEPS = 50.0, 100


def read_results(path: Path) -> dict[int, Floats]:
    """Lines of an id and 63 numbers (mm, joint after joint), between commas."""
    results: dict[int, Floats] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        number, *values = line.split(",")
        if len(values) != 63:
            raise ValueError(f"expected 63 numbers after the id, found {len(values)}")
        results[int(number)] = np.array([float(value) for value in values]).reshape(21, 3)
    return results


def scores(truth_m: dict[int, Floats], results_mm: dict[int, Floats]) -> dict[str, float]:
    """Mean and AUC: ``cam``, ``root`` (minus its own wrist) and ``pa`` (reflections allowed)."""
    collected = {"cam": JointErrors(), "root": JointErrors(), "pa": JointErrors()}
    for number, metres in truth_m.items():
        if np.all(metres == -1):
            continue
        truth, prediction = 1000 * metres, results_mm[number]
        collected["cam"].add(truth, prediction)
        collected["root"].add(alignment.from_root(truth, 0), alignment.from_root(prediction, 0))
        collected["pa"].add(truth, alignment.official(truth, prediction))
    values = {name: errors.mean() for name, errors in collected.items()}
    areas = {f"{name}_auc": errors.auc(0.0, RANGE_MM, STEPS) for name, errors in collected.items()}
    return values | areas
