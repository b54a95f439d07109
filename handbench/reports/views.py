"""What the report says about each model: tables, drawings and pictures, ready for the template."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from handbench.reports import figures, summary
from handbench.reports.diagnoses import (
    DiagnosisView,
    codes_of,
    diagnosis_view,
    kinds_that_occur,
    largest_cost,
)
from handbench.reports.gallery import Gallery, Thumbnail
from handbench.reports.picks import (
    Codes,
    disagreements,
    pick_of_each_kind,
    pick_of_each_pair,
    pick_samples,
)
from handbench.scores.diagnosis import Diagnosis
from handbench.scores.results import Evaluation

_EXTREMES = 96
_PICTURES_OF_A_KIND = 6
_EXAMPLES_OF_A_KIND = 3
_DISAGREEMENTS = 4
_MAX_MODELS_SIDE_BY_SIDE = 6

_MORE = "More examples"


@dataclass(frozen=True)
class ModelView:
    """What the page says about one model.

    Attributes
    ----------
    slot
        Position among the models; decides line style and anchor.
    name
        Model name, made unique by a number where two are called the same.
    evaluation
        As scored.
    coverage
        Fraction of expected hands that were predicted; None when none were expected.
    clusters
        Number of groups that the bootstrap resamples.
    groups
        Title → rows, for tables: fingers and joint types.
    joints
        One row a joint.
    hand
        The schematic hand.
    histogram
        Distribution of the mean error of a hand; None when no hand was scored.
    spread
        The same distribution in a sentence.
    diagnosis
        Kinds of errors; None where there is no 2D to diagnose.
    pictures
        Title → thumbnails; kinds without any are left out.
    """

    slot: int
    name: str
    evaluation: Evaluation
    coverage: float | None
    clusters: int
    groups: dict[str, list[summary.GroupErrors]]
    joints: list[summary.GroupErrors]
    hand: Markup
    histogram: Markup | None
    spread: str
    diagnosis: DiagnosisView | None
    pictures: dict[str, list[Thumbnail]]

    @property
    def letters(self) -> set[str]:
        """Letters of all kinds of errors that the pictures show."""
        return {
            letter
            for thumbnails in self.pictures.values()
            for thumbnail in thumbnails
            for letter in thumbnail.codes
        }


def model_views(
    evaluations: Sequence[Evaluation],
    names: Sequence[str],
    gallery: Gallery,
    basis: summary.Basis,
    diagnoses: Sequence[Diagnosis | None],
    room: int,
) -> list[ModelView]:
    """Return what the page says about each model.

    Parameters
    ----------
    evaluations, names
        Models and their unique names.
    gallery
        Draws the pictures; those of one model after the other, and examples last.
    basis
        Which errors are broken down.
    diagnoses
        One a model; None where there is none.
    room
        Bytes that all pictures of the gallery may take; only examples are left out for want of it.
    """
    joints = [summary.by_joint(evaluation.errors, basis) for evaluation in evaluations]
    # One colour scale for all models, so that their hands can be compared at a glance.
    medians = [row.median for rows in joints for row in rows if row.median is not None]
    low, high = min(medians, default=0.0), max(medians, default=0.0)
    cost = largest_cost(diagnoses)
    pictures = _pictures(evaluations, diagnoses, gallery, room)
    views = []
    for slot, (evaluation, name) in enumerate(zip(evaluations, names, strict=True)):
        errors = evaluation.errors
        means = summary.hand_means(basis.errors(errors))
        scored = means[np.isfinite(means)]
        samples = evaluation.results[0].samples
        expected = samples["expected"]
        diagnosis = diagnoses[slot]
        views.append(
            ModelView(
                slot=slot,
                name=name,
                evaluation=evaluation,
                coverage=samples["predicted"] / expected if expected else None,
                clusters=len(np.unique(errors.cluster)),
                groups={
                    "Finger": summary.by_finger(errors, basis),
                    "Joint type": summary.by_joint_type(errors, basis),
                },
                joints=joints[slot],
                hand=figures.hand(
                    [row.median for row in joints[slot]],
                    f"Schematic hand with the median error of each joint of {name}, in "
                    f"{basis.unit}; the table beside it holds the same numbers.",
                    low=low,
                    high=high,
                    unit=basis.unit,
                ),
                histogram=_histogram(scored, name, basis) if len(scored) else None,
                spread=_spread(scored, basis.unit),
                diagnosis=None if diagnosis is None else diagnosis_view(diagnosis, name, cost),
                pictures=pictures[slot],
            )
        )
    return views


def _histogram(means: summary.Floats, name: str, basis: summary.Basis) -> Markup:
    middle, wide = np.percentile(means, [50, 95])
    return figures.histogram(
        means,
        f"mean error of a hand, {basis.words}",
        f"Histogram of the mean error of {len(means)} hands of {name}: median {middle:.1f} "
        f"{basis.unit}, 95th percentile {wide:.1f}, largest {means.max():.1f}.",
    )


def _spread(means: summary.Floats, unit: str) -> str:
    if len(means) == 0:
        return ""
    if len(means) == 1:
        return f"One hand was scored; its mean error is {means[0]:.2f} {unit}."
    middle, wide = np.percentile(means, [50, 95])
    return (
        f"Of {len(means):,} scored hands, half have a mean error of {middle:.2f} {unit} or less, "
        f"95\u202f% of {wide:.2f} {unit} or less, and the worst has {means.max():.2f} {unit}."
    )


def _pictures(
    evaluations: Sequence[Evaluation],
    diagnoses: Sequence[Diagnosis | None],
    gallery: Gallery,
    room: int,
) -> list[dict[str, list[Thumbnail]]]:
    """Pictures of every model: the extremes, then in turn examples while there is room."""
    each = min(_PICTURES_OF_A_KIND, max(2, _EXTREMES // (4 * len(evaluations))))
    codes = [codes_of(e, d) for e, d in zip(evaluations, diagnoses, strict=True)]
    drawn: list[dict[str, list[Thumbnail]]] = []
    waiting: list[list[int]] = []
    for evaluation, of_model, diagnosis in zip(evaluations, codes, diagnoses, strict=True):
        picks = pick_samples(evaluation.errors, each)
        kinds = {
            "Worst": picks.worst,
            "Missed": picks.missed,
            "Typical": picks.median,
            "Best": picks.best,
        }
        drawn.append(
            {
                title: gallery.thumbnails(evaluation.errors, rows, codes=of_model)
                for title, rows in kinds.items()
            }
        )
        taken = [row for rows in kinds.values() for row in rows]
        waiting.append(_examples(evaluation, of_model, diagnosis, taken))
    turn = 0
    while any(turn < len(rows) for rows in waiting) and gallery.bytes < room:
        for slot, rows in enumerate(waiting):
            more = drawn[slot].setdefault(_MORE, [])
            more += gallery.thumbnails(
                evaluations[slot].errors, rows[turn : turn + 1], codes=codes[slot]
            )
        turn += 1
    return [{title: found for title, found in of.items() if found} for of in drawn]


def _examples(
    evaluation: Evaluation, codes: Codes, diagnosis: Diagnosis | None, taken: Sequence[int]
) -> list[int]:
    """Rows that show each kind of error, then each at every joint; without those already drawn."""
    errors = evaluation.errors
    # A missed hand looks like any other.
    kinds = kinds_that_occur(np.where(errors.predicted[:, None], codes, 255), diagnosis)
    rows = [row for row in pick_of_each_kind(codes, kinds, _EXAMPLES_OF_A_KIND) if row not in taken]
    return rows + pick_of_each_pair(codes, kinds, [*taken, *rows])


def disagreement_pictures(
    evaluations: Sequence[Evaluation],
    names: Sequence[str],
    gallery: Gallery,
) -> list[tuple[str, list[Thumbnail]]]:
    """Return (sample id, one picture a model) where the models differ most; at most six models."""
    if len(evaluations) < 2:
        return []
    compared = list(zip(evaluations, names, strict=True))[:_MAX_MODELS_SIDE_BY_SIDE]
    rows = []
    for sample_id in disagreements([e for e, _ in compared], _DISAGREEMENTS):
        thumbnails: list[Thumbnail] = []
        for evaluation, name in compared:
            row = np.flatnonzero(evaluation.errors.sample_id == sample_id).tolist()
            thumbnails += gallery.thumbnails(evaluation.errors, row, model=name)
        if thumbnails:
            rows.append((sample_id, thumbnails))
    return rows


def joint_dots(models: Sequence[ModelView], basis: summary.Basis) -> Markup | None:
    """Draw the median error of every joint, one dot a model; None for one model alone."""
    if len(models) < 2:
        return None
    return figures.joint_dots(
        [[row.median for row in model.joints] for model in models],
        f"median error, {basis.words}",
        "Median error of each joint, one dot a model; the table below holds the same numbers.",
    )
