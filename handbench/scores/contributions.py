"""Step two of a score: errors → what each joint or hand adds to a metric.

Values, intervals, paired tests and breakdowns are all averages of these contributions. Nothing here
needs predictions or truth: stored errors do.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from handbench import metrics as m
from handbench.hand import OCCLUDED
from handbench.scores.distances import errors_name
from handbench.scores.measuring import plain_hands
from handbench.scores.metric import Metric
from handbench.scores.protocol import Protocol
from handbench.scores.sample_errors import SampleErrors

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


class Contributions:
    """Scores of one model under any metric that its errors allow.

    Parameters
    ----------
    errors
        Measured just now or read from a file.
    """

    def __init__(self, errors: SampleErrors) -> None:
        self.errors = errors

    def reason_without(self, metric: Metric) -> str | None:
        """Why `metric` has no value for this model on this truth, or None if it has one."""
        errors = self.errors
        if metric.hands in ("single", "interacting") and errors.hand_type is None:
            return "the split does not say which hands interact (column hand_type)"
        if metric.size is not None and metric.size not in errors.sizes:
            return "the split stores no head sizes"
        if metric.quantity == "coverage":
            return None
        name = errors_name(metric) if metric.per_joint else str(plain_hands(metric))
        reasons: dict[str, str] = errors.about["reasons"]
        if name in reasons:
            return reasons[name]
        if name in errors.joints or name in errors.hands or name in errors.about.get("values", {}):
            return None
        return f"the stored errors do not hold {name!r}: evaluate the predictions with this metric"

    def of(self, metric: Metric, protocol: Protocol) -> Floats:
        """Contributions (N, K) to `metric`: its average is the metric's value.

        PCK: 1 or 0. AUC: the share of thresholds that an error passes. Distances: themselves. NaN:
        left out. K is 21 for metrics of joints, else 1.

        Parameters
        ----------
        metric
            With a value here (:meth:`reason_without`), and a mean of hands: no OKS-AP.
        protocol
            Says in which precision errors are compared, and what bad boxes are taken for.
        """
        if not metric.per_joint:
            return self._of_hands(metric)
        errors = self.distances(metric, replace_bad_boxes=protocol.replaces_bad_boxes)
        if metric.is_distance:
            return np.where(np.isfinite(errors), errors, np.nan)
        return _judged(metric, errors, single_precision=protocol.single_precision)

    def distances(self, metric: Metric, *, replace_bad_boxes: bool = False) -> Floats:
        """Errors (N, 21) for `metric`, a metric of joints: NaN is left out, inf is wrong.

        Parameters
        ----------
        metric
            With a value here.
        replace_bad_boxes
            mmpose's rule: a negative box side counts as 1e6, so that the hand is always right.
        """
        errors = self.errors.joints[errors_name(metric)]
        counted = self._counted(metric)
        if counted is not None:
            errors = np.where(counted, errors, np.nan)
        if metric.missing == "drop":
            errors = np.where(np.isinf(errors), np.nan, errors)
        if metric.size is None:
            return errors
        return m.normalise(errors, self._size(metric, replace_bad_boxes=replace_bad_boxes))

    def _size(self, metric: Metric, *, replace_bad_boxes: bool) -> Floats:
        """(N,) px that distances are divided by."""
        size = self.errors.sizes[str(metric.size)]
        if replace_bad_boxes and metric.size == "bbox":
            size = np.where(size < 0, 1e6, size)
        return size

    def left_out(self, metric: Metric, protocol: Protocol) -> str:
        """Say what a metric cannot use, "" if it uses all: hands, or everything there is.

        Metrics of which nothing is left have no value, and this says why. Hands that were predicted
        without what is measured are counted here too: the coverage beside it does not know of them.

        Parameters
        ----------
        metric, protocol
            As in :meth:`of`.
        """
        if metric.quantity == "coverage":
            return ""
        needs_found = metric.is_distance or metric.missing == "drop"
        if not metric.per_joint:
            scores = self.errors.hands[str(plain_hands(metric))]
            chosen = self._hands(metric)
            nothing = _nothing(scores[chosen], needs_found, _EMPTY[metric.quantity])
            return nothing or self._lacking(metric, (np.isinf(scores) & chosen)[:, None])
        errors = self.errors.joints[errors_name(metric)]
        labelled = self.errors.labelled_3d if metric.is_3d else self.errors.labelled_2d
        usable = ~np.isnan(errors)
        if metric.size is not None:
            size = self._size(metric, replace_bad_boxes=protocol.replaces_bad_boxes)
            usable &= (size > 0)[:, None]
        counted = self._counted(metric)
        here = usable if counted is None else usable & counted
        nothing = _nothing(errors[here], needs_found, "no labelled joint of the split counts here")
        if nothing or metric.of != "model":
            return nothing
        lacking = self._lacking(metric, np.isinf(errors) & here)
        count = int((labelled.any(axis=1) & ~usable.any(axis=1)).sum())
        left = f"; {count:,} hands {_why_unusable(metric)} are left out" if count else ""
        return left + lacking

    def _lacking(self, metric: Metric, missed: Bools) -> str:
        """Say how many hands with points `missed` (N, K) by a metric were predicted anyway."""
        count = int((missed.any(axis=1) & self.errors.predicted).sum())
        what = "a mesh" if metric.mesh else f"{'3D' if metric.is_3d else '2D'} keypoints"
        return f"; {count:,} hands predicted without {what} count as missed" if count else ""

    def coverage(self, metric: Metric) -> float:
        """Share of the hands that a metric can use for which it found what it measures.

        Less than the coverage of predicted hands where some of them lack 2D, 3D or a mesh. 1 where
        no hand can be used.

        Parameters
        ----------
        metric
            Of distances or of hands that were found, and with a value here.
        """
        if metric.per_joint:
            errors = self.distances(replace(metric, missing="wrong"))
        else:
            errors = self.errors.hands[str(plain_hands(metric))][:, None]
            errors = np.where(self._hands(metric)[:, None], errors, np.nan)
        usable = ~np.isnan(errors).all(axis=1)
        found = np.isfinite(errors).any(axis=1)
        return float(found.sum() / usable.sum()) if usable.any() else 1.0

    def _of_hands(self, metric: Metric) -> Floats:
        errors = self.errors
        if metric.quantity == "coverage":
            scores = errors.predicted.astype(np.float64)
        else:
            scores = errors.hands[str(plain_hands(metric))]
            wrong = 0.0 if metric.missing == "wrong" and not metric.is_distance else np.nan
            scores = np.where(np.isinf(scores), wrong, scores)
        if metric.hands != "all":
            scores = np.where(self._hands(metric), scores, np.nan)
        return scores[:, None]

    def _counted(self, metric: Metric) -> Bools | None:
        """(N, 21) joints that the metric's ``joints=`` and ``hands=`` name; None for all."""
        if metric.joints == "all" and metric.hands == "all":
            return None
        visibility = self.errors.visibility
        counted = np.zeros(visibility.shape, dtype=bool)
        counted[:, metric.joint_indices] = True
        if metric.visibility is not None:
            covered = visibility == OCCLUDED
            counted &= covered if metric.visibility == "occluded" else ~covered
        return counted & self._hands(metric)[:, None]

    def _hands(self, metric: Metric) -> Bools:
        """(N,) hands that the metric's ``hands=`` names."""
        errors = self.errors
        if metric.hands in ("right", "left"):
            chosen: Bools = errors.is_right == (metric.hands == "right")
            return chosen
        if metric.hands == "all" or errors.hand_type is None:
            return np.full(len(errors), metric.hands == "all")
        together = ["interacting"] if metric.hands == "interacting" else ["right", "left"]
        return np.isin(errors.hand_type, together)


_EMPTY = {
    "MRRPE": "no image's two hands were both found",
    "handedness": "every image has a hand of unknown side",
    "MPJPE": "no labelled mesh of the split counts here",
    "PCK": "no labelled mesh of the split counts here",
    "AUC": "no labelled mesh of the split counts here",
    "F": "no labelled mesh of the split counts here",
}
"""Why a metric of whole hands may have nothing to average."""


def _nothing(values: Floats, needs_found: bool, empty: str) -> str:
    """Why `values` (NaN unlabelled, inf missed) have no average, or ""."""
    if np.isnan(values).all():
        return f"; no value: {empty}"
    if needs_found and not np.isfinite(values).any():
        return "; no value: no hand was found"
    return ""


def _why_unusable(metric: Metric) -> str:
    """What a labelled hand lacks that `metric` cannot use."""
    if metric.size is not None:
        return "without this size"
    if metric.alignment == "root":
        ends = dict.fromkeys([metric.root, *(metric.bone or ())])
        return f"without a label for joint {' or '.join(map(str, ends))}"
    return "with fewer than four labelled joints, or all on a line,"


def _judged(metric: Metric, errors: Floats, *, single_precision: bool) -> Floats:
    """Scores 0-1 of PCK and AUC."""
    low, high = metric.low, metric.high
    compared: m.Floats = errors
    if single_precision:
        # Scripts that keep float32 distances divide by the end of an AUC's range first and then
        # compare with i / n.
        if metric.quantity == "AUC":
            compared, low, high = errors / high, low / high, 1.0
        compared = compared.astype(np.float32)
    if metric.quantity == "PCK":
        return m.pck_scores(compared, high, cmp=metric.cmp)
    return m.auc_scores(compared, low, high, rule=metric.rule, n=metric.n, cmp=metric.cmp)
