"""What went wrong, on the page: kinds of errors, what they cost, and which hands show them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from markupsafe import Markup

from handbench.predictions.record import Predictions
from handbench.reports.marks import bar, share_bar
from handbench.reports.picks import HARMLESS, Codes, codes_from_size
from handbench.scores.diagnosis import Diagnosis, diagnose
from handbench.scores.diagnosis_text import remarks
from handbench.scores.error_classes import MEANINGS, NAMES, KeypointClass
from handbench.scores.matching import match
from handbench.scores.results import Evaluation
from handbench.scores.truth import Truth

_NO_3D = "stored points are 2D; evaluate the predictions with diagnosis=True"


@dataclass(frozen=True)
class Kind:
    """One kind of error of one model.

    Attributes
    ----------
    code, name, meaning
        As in :mod:`handbench.scores.error_classes`.
    keypoints, share, hands
        How many keypoints, which share of all diagnosed ones, in how many hands.
    by_chance
        Keypoints of this kind if misses had random directions; None where this has no part.
    costs
        What each metric would gain if all of them were right.
    bar
        The first cost as a bar.
    """

    code: int
    name: str
    meaning: str
    keypoints: int
    share: float
    hands: int
    by_chance: float | None
    costs: list[float]
    bar: Markup


@dataclass(frozen=True)
class DiagnosisView:
    """The diagnosis of one model.

    Attributes
    ----------
    metrics
        Name → its value now; costs are gains of these.
    kinds
        Those that occur, the costliest first.
    keypoints
        Number of keypoints diagnosed.
    shares
        All kinds as one bar.
    remarks
        Sentences: pairs of fingers, hands misplaced as a whole, kinds that do not occur.
    """

    metrics: dict[str, float]
    kinds: list[Kind]
    keypoints: int
    shares: Markup
    remarks: list[str]

    @property
    def codes(self) -> list[int]:
        """Codes of the kinds that occur."""
        return [kind.code for kind in self.kinds]

    def kind(self, code: int) -> Kind | None:
        """The kind with this code, if it occurs."""
        return next((kind for kind in self.kinds if kind.code == code), None)


def diagnosis_of(evaluation: Evaluation, truth: Truth | None) -> Diagnosis | None:
    """The diagnosis of an evaluation, made now from its stored points where it has none.

    Parameters
    ----------
    evaluation
        Of one model.
    truth
        The hands that were scored, in the same rows; None where the file does not hold them.

    Returns
    -------
    None where there is no 2D to diagnose.
    """
    if evaluation.diagnosis is not None:
        return evaluation.diagnosis
    errors = evaluation.errors
    there = np.isfinite(errors.keypoints_px).all(axis=(1, 2))
    # A model of 3D alone has no errors in px; one that missed every hand has infinite ones.
    in_2d = there.any() or np.isinf(errors.errors_px).any()
    if truth is None or not in_2d or not truth.valid.any():
        return None
    about = errors.about
    stored = Predictions(
        dataset=about["dataset"],
        split=about["split"],
        model=dict(about["model"]),
        id=errors.sample_id[there],
        keypoints=errors.keypoints_px[there],
    )
    found = diagnose(match(stored, truth))
    name = NAMES[KeypointClass.DEPTH_FLIP]
    if truth.has_3d and errors.root_mm is not None and name in found.not_judged:
        found = replace(found, not_judged={**found.not_judged, name: _NO_3D})
    return found


def codes_of(evaluation: Evaluation, diagnosis: Diagnosis | None) -> Codes:
    """(N, 21) kind of every keypoint; by its size alone where there is no diagnosis."""
    return codes_from_size(evaluation.errors) if diagnosis is None else diagnosis.classified.codes


def diagnosis_view(diagnosis: Diagnosis, name: str, largest: float) -> DiagnosisView:
    """Rows and figures of one diagnosis.

    Parameters
    ----------
    diagnosis
        Of one model.
    name
        The model's name on this page.
    largest
        Cost that fills a bar: the same for all models.
    """
    total = max(1, diagnosis.keypoints)
    first = next(iter(diagnosis.costs.values()))
    kinds = [
        Kind(
            code=code,
            name=kind,
            meaning=MEANINGS[code],
            keypoints=int(diagnosis.counts[code]),
            share=int(diagnosis.counts[code]) / total,
            hands=int(diagnosis.hands[code]),
            by_chance=diagnosis.by_chance(code),
            costs=[float(cost[code]) for cost in diagnosis.costs.values()],
            bar=bar(float(first[code]), largest, code),
        )
        for code, kind in enumerate(NAMES)
        if diagnosis.counts[code]
    ]
    in_words = ", ".join(f"{kind.name} {100 * kind.share:.1f} %" for kind in kinds)
    return DiagnosisView(
        metrics=diagnosis.values,
        kinds=sorted(kinds, key=lambda kind: (-kind.costs[0], -kind.keypoints)),
        keypoints=diagnosis.keypoints,
        shares=share_bar(
            [(kind.code, kind.name, kind.share) for kind in kinds],
            f"Kinds of keypoints of {name}: {in_words}.",
        ),
        remarks=[line.replace("none: ", "do not occur: ", 1) for line in remarks(diagnosis)],
    )


def largest_cost(diagnoses: Sequence[Diagnosis | None]) -> float:
    """The largest cost of any kind in the first metric; 0 where there is none."""
    return max(
        (float(np.nanmax(next(iter(d.costs.values())), initial=0.0)) for d in diagnoses if d),
        default=0.0,
    )


def kinds_that_occur(codes: Codes, diagnosis: Diagnosis | None) -> list[int]:
    """Codes of errors to show examples of, the costliest first."""
    present = [int(code) for code in np.unique(codes) if int(code) not in HARMLESS]
    if diagnosis is None:
        return present
    costs = next(iter(diagnosis.costs.values()))
    return sorted(present, key=lambda code: -float(costs[code]))
