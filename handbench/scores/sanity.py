"""Predictions that look wrong in a way with a name: all guards, run on a sample of the split.

A guard warns with evidence and never changes a score. At most 2,000 hands are looked at, so that
this costs nothing beside the evaluation. ``docs/guards.md`` lists every slip, how it is recognised
and what is said about it; what is refused outright stands in :mod:`handbench.scores.refusals`.
"""

from __future__ import annotations

import numpy as np

from handbench.files import describe_names
from handbench.scores.evidence import Finding, find, metres, pixels, sampled, sentences
from handbench.scores.joint_order import bone_faults, mesh_disagrees, order_repairs
from handbench.scores.matching import Matched
from handbench.scores.refusals import truth_warnings
from handbench.scores.row_order import same_hand, swapped_sides, wrong_rows, zero_hands
from handbench.scores.slips_2d import normalised, pixel_repairs
from handbench.scores.slips_3d import mirror_repairs, wrong_axes, wrong_root, wrong_unit


def warnings_about(matched: Matched) -> list[str]:
    """One sentence for everything about `matched` that looks like a mistake.

    Parameters
    ----------
    matched
        Predictions in the rows of the truth.

    Returns
    -------
    Sentences that say what was expected, what was found, and what to do; none for an honest
    model, however bad.
    """
    warnings = _counts(matched) + truth_warnings(matched.truth)
    sample = sampled(matched)
    zeros, sides = zero_hands(matched), swapped_sides(sample)
    # One hand for all, or beside the truth of another one, fits no repair but by chance.
    chance = same_hand(sample) or wrong_rows(matched)
    if chance is not None:
        return warnings + [said for said in (zeros, sides, chance) if said is not None]
    said_2d, best_2d = _about_2d(sample)
    said_3d, best_3d = _about_3d(sample)
    told = [said for said in (zeros, sides, *said_3d, *said_2d) if said is not None]
    return warnings + told + sentences([best_2d, best_3d])


def _about_2d(sample: Matched) -> tuple[list[str | None], Finding | None]:
    hands = pixels(sample)
    if hands is None:
        return [], None
    scaled = normalised(sample, hands)
    if scaled is not None:
        return [scaled], None
    # One repair: a mirrored hand also fits better in some other order, and the reverse.
    best = find(hands, [*pixel_repairs(sample, hands), *order_repairs(hands)])
    return [bone_faults(hands) if best is None else None], best


def _about_3d(sample: Matched) -> tuple[list[str | None], Finding | None]:
    hands = metres(sample)
    if hands is None:
        return [], None
    unit = wrong_unit(hands)
    # Distances from the camera mean nothing in a wrong unit.
    said: list[str | None]
    said = [unit] if unit else [wrong_root(sample, hands), wrong_axes(sample, hands)]
    best = find(hands, [*mirror_repairs(hands), *order_repairs(hands)])
    if best is None:
        said.append(mesh_disagrees(sample) or bone_faults(hands))
    return said, best


def _counts(matched: Matched) -> list[str]:
    warnings = []
    predicted, expected = int(matched.predicted.sum()), len(matched.truth)
    if predicted < expected:
        warnings.append(f"{predicted:,} predictions for {expected:,} samples{_pattern(matched)}")
    if matched.extra:
        warnings.append(
            f"{len(matched.extra):,} predictions have ids that are not in {matched.truth.dataset} "
            f"{matched.truth.split} and are left out: {describe_names(matched.extra)}"
        )
    if matched.duplicate:
        warnings.append(
            f"{len(matched.duplicate):,} ids were predicted more than once; the first prediction "
            f"counts: {describe_names(matched.duplicate)}"
        )
    return warnings


def _pattern(matched: Matched) -> str:
    """What the places of the missing hands say about how they went missing."""
    rows = np.flatnonzero(matched.predicted)
    found, expected = len(rows), len(matched.truth)
    if found >= 4 and (np.diff(rows) == 2).all() and found >= expected // 2:
        return ": was every second one written?"
    if found >= 4 and rows[-1] == found - 1 and expected - found >= 4:
        return f": the first {found:,} are there and all others are missing, did the run stop?"
    return f": missing {describe_names(matched.missing)}"
