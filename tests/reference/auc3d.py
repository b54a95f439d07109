"""3D AUC from 20 to 50 mm (RHD, STB): the truth's root is given, and in one variant its scale.

Sources of the facts: lmb-freiburg/hand3d, ``eval3d.py`` (root 0), and the PyTorch
re-implementation of minimal-hand, ``utils/align.py`` (bone 0-9 fitted, joint 9 pinned).
Papers differ in the number of thresholds: 15, 16 and 20 are in use.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from reference import alignment
from reference.joint_errors import JointErrors

Floats = npt.NDArray[np.float64]

LOW_MM, HIGH_MM = 20.0, 50.0


def root_given(truth_mm: Sequence[Floats], prediction_mm: Sequence[Floats], n: int) -> float:
    """AUC with the predicted wrist put onto the true one."""
    return errors_with_root_given(truth_mm, prediction_mm).auc(LOW_MM, HIGH_MM, n)


def errors_with_root_given(
    truth_mm: Sequence[Floats], prediction_mm: Sequence[Floats]
) -> JointErrors:
    """Distances behind :func:`root_given`, for hand3d's mean, median and AUC from 0 to 50 mm."""
    errors = JointErrors()
    for t, p in zip(truth_mm, prediction_mm, strict=True):
        errors.add(t, p - p[0] + t[0])
    return errors


def scale_fitted(truth_mm: Sequence[Floats], prediction_mm: Sequence[Floats], n: int) -> float:
    """AUC with the bone 0-9 scaled to the true length and joint 9 put onto the true one."""
    errors = JointErrors()
    for t, p in zip(truth_mm, prediction_mm, strict=True):
        errors.add(t, alignment.pinned_bone(t, p, 0, 9))
    return errors.auc(LOW_MM, HIGH_MM, n)
