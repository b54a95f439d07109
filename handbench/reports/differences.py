"""Two models joint by joint: how far apart they are on the same hands, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from markupsafe import Markup

from handbench.hand import JOINT_NAMES, NUM_JOINTS
from handbench.reports.marks import Mark, joint_differences
from handbench.reports.ranking import Ranking, is_error
from handbench.scores.intervals import bootstrap, cluster_sums
from handbench.scores.results import Evaluation

MAX_MODELS = 5
"""Models that are drawn against the best; tables and CSV hold all."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class JointDifferences:
    """Differences of every joint to one model.

    Attributes
    ----------
    reference
        Slot of the model that the others are compared with.
    metric, unit
        What differs.
    smaller_is_better
        Whether it is an error.
    slots
        The other models, in the order of the ranking.
    rows
        21 rows in canonical order: slot → mark, the model minus the reference.
    figure
        The first models, drawn.
    """

    reference: int
    metric: str
    unit: str
    smaller_is_better: bool
    slots: list[int]
    rows: list[dict[int, Mark]]
    figure: Markup

    def sure(self, joint: int, slot: int) -> str:
        """``"better"`` or ``"worse"`` where the interval leaves out 0, else ""."""
        mark = self.rows[joint].get(slot)
        if mark is None or mark.ci95 is None or mark.ci95[0] <= 0 <= mark.ci95[1]:
            return ""
        return "worse" if (mark.value > 0) == self.smaller_is_better else "better"

    def counts(self, slot: int) -> dict[str, int]:
        """How many joints are surely better, surely worse, and neither."""
        found = [self.sure(joint, slot) for joint in range(NUM_JOINTS)]
        return {word: found.count(word) for word in ("better", "worse", "")}


def differences(
    evaluations: Sequence[Evaluation], names: Sequence[str], ranking: Ranking
) -> JointDifferences | None:
    """Compare the models of one ranking with its first, joint by joint.

    Parameters
    ----------
    evaluations, names
        All models of the page and their unique names.
    ranking
        Which of them may be compared.

    Returns
    -------
    None where there are not two models with one score a joint under this protocol.
    """
    protocol, metric = ranking.protocol, ranking.primary
    usable = [
        slot
        for slot in ranking.slots
        if (scores := evaluations[slot].primary.get(protocol)) is not None
        and scores.shape[1] == NUM_JOINTS
        and str(evaluations[slot].ranks_by[protocol]) == metric
        and evaluations[slot].ranks_by[protocol].stat == "mean"
    ]
    if len(usable) < 2:
        return None
    reference, *others = usable
    best = evaluations[reference]
    others = [s for s in others if len(evaluations[s].errors) == len(best.errors)]
    _, cluster = np.unique(best.errors.cluster, return_inverse=True)
    gaps = {
        slot: _gaps(evaluations[slot].primary[protocol], best.primary[protocol]) for slot in others
    }
    number = int(cluster.max()) + 1 if len(cluster) else 0
    sums = [
        cluster_sums(gaps[slot][:, [joint]], cluster, number, "pool")
        for joint in range(NUM_JOINTS)
        for slot in others
    ]
    intervals = iter(bootstrap(sums))
    rows: list[dict[int, Mark]] = []
    for joint in range(NUM_JOINTS):
        row = {}
        for slot in others:
            interval = next(intervals)
            known = gaps[slot][:, joint]
            known = known[np.isfinite(known)]
            if known.size:
                row[slot] = Mark(slot, float(known.mean()), interval)
        rows.append(row)
    smaller = is_error(metric)
    unit = next((line.unit for line in ranking.lines if line.name == metric), "fraction")
    drawn = others[:MAX_MODELS]
    return JointDifferences(
        reference=reference,
        metric=metric,
        unit=unit,
        smaller_is_better=smaller,
        slots=others,
        rows=rows,
        figure=joint_differences(
            [[row[slot] for slot in drawn if slot in row] for row in rows],
            f"difference in {metric}" + ("" if unit == "fraction" else f", {unit}"),
            ("better", "worse") if smaller else ("worse", "better"),
            f"Difference to {names[reference]} in {metric} of each joint with its 95 % interval, "
            f"for {', '.join(names[slot] for slot in drawn)}; the table beside it holds the same "
            f"numbers for {JOINT_NAMES[0]} to {JOINT_NAMES[-1]}.",
        ),
    )


def _gaps(scores: Floats, other: Floats) -> Floats:
    """(N, 21) differences where both have a score, else NaN."""
    both = np.isfinite(scores) & np.isfinite(other)
    # Subtracting two infinities would warn.
    one, two = np.where(both, scores, 0.0), np.where(both, other, 0.0)
    return np.where(both, one - two, np.nan)
