"""What the report says about each model: tables, drawings and pictures, ready for the template."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from handbench.reports import figures, summary
from handbench.reports.gallery import Gallery, Thumbnail
from handbench.scores.results import Evaluation

# A page of many models stays under five megabytes: about 14 kB a picture.
_MAX_PICTURES = 180
_PICTURES_OF_A_KIND = 6
_DISAGREEMENTS = 4
_MAX_MODELS_SIDE_BY_SIDE = 6


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
        Title → rows, for tables: fingers, joint types, visibility, side.
    joints
        One row a joint.
    hand
        The schematic hand.
    histogram
        Distribution of the mean error of a hand; None when no hand was scored.
    spread
        The same distribution in a sentence.
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
    pictures: dict[str, list[Thumbnail]]


def model_views(
    evaluations: Sequence[Evaluation],
    names: Sequence[str],
    gallery: Gallery,
    basis: summary.Basis,
) -> list[ModelView]:
    """Return what the page says about each model.

    Parameters
    ----------
    evaluations, names
        Models and their unique names.
    gallery
        Draws the pictures.
    basis
        Which errors are broken down.
    """
    joints = [summary.by_joint(evaluation.errors, basis) for evaluation in evaluations]
    # One colour scale for all models, so that their hands can be compared at a glance.
    medians = [row.median for rows in joints for row in rows if row.median is not None]
    low, high = min(medians, default=0.0), max(medians, default=0.0)
    each = min(_PICTURES_OF_A_KIND, max(2, _MAX_PICTURES // (4 * len(evaluations))))
    views = []
    for slot, (evaluation, name) in enumerate(zip(evaluations, names, strict=True)):
        errors = evaluation.errors
        means = summary.hand_means(basis.errors(errors))
        scored = means[np.isfinite(means)]
        samples = evaluation.results[0].samples
        expected = samples["expected"]
        views.append(
            ModelView(
                slot=slot,
                name=name,
                evaluation=evaluation,
                coverage=samples["predicted"] / expected if expected else None,
                clusters=len(np.unique(errors.cluster)),
                groups={
                    title: rows
                    for title, rows in (
                        ("Finger", summary.by_finger(errors, basis)),
                        ("Joint type", summary.by_joint_type(errors, basis)),
                        ("Visibility", summary.by_visibility(errors, basis)),
                        ("Side", summary.by_side(errors, basis)),
                    )
                    if rows
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
                pictures=_pictures(evaluation, gallery, each),
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


def _pictures(evaluation: Evaluation, gallery: Gallery, each: int) -> dict[str, list[Thumbnail]]:
    picks = summary.pick_samples(evaluation.errors, each)
    kinds = {
        "Worst": picks.worst,
        "Missed": picks.missed,
        "Typical": picks.median,
        "Best": picks.best,
    }
    drawn = {
        title: gallery.thumbnails(evaluation.errors, rows) for title, rows in kinds.items() if rows
    }
    return {title: thumbnails for title, thumbnails in drawn.items() if thumbnails}


def disagreements(
    evaluations: Sequence[Evaluation], names: Sequence[str], gallery: Gallery
) -> list[tuple[str, list[Thumbnail]]]:
    """Return (sample id, one picture a model) where the models differ most; at most six models."""
    if len(evaluations) < 2:
        return []
    compared = list(zip(evaluations, names, strict=True))[:_MAX_MODELS_SIDE_BY_SIDE]
    rows = []
    for sample_id in summary.disagreements([e for e, _ in compared], _DISAGREEMENTS):
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
