"""Predictions that look wrong in a way with a name: all guards, run on a sample of the split.

A guard warns with evidence and never changes a score. At most 2,000 hands are looked at, so that
this costs nothing beside the evaluation. ``docs/guards.md`` lists every slip, how it is recognised
and what is said about it; what is refused outright stands in :mod:`handbench.scores.refusals`.
"""

from __future__ import annotations

import numpy as np

from handbench.files import describe_names
from handbench.scores.evidence import find, metres, pixels, sampled, sentences
from handbench.scores.joint_order import bone_faults, mesh_disagrees, order_repairs
from handbench.scores.matching import Matched
from handbench.scores.refusals import truth_warnings
from handbench.scores.row_order import same_hand, swapped_sides, wrong_rows
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
    if not len(sample.truth):
        return warnings
    hands_2d, hands_3d = pixels(sample), metres(sample)
    guards = [wrong_rows(matched), same_hand(sample), swapped_sides(sample)]
    if hands_3d is not None:
        unit = wrong_unit(hands_3d)
        # Distances from the camera mean nothing in a wrong unit.
        guards += [unit] if unit else [wrong_root(sample, hands_3d), wrong_axes(sample, hands_3d)]
    scaled = None if hands_2d is None else normalised(sample, hands_2d)
    guards.append(scaled)
    # One repair a space: a mirrored hand also fits better in some other order, and the reverse.
    best_2d = best_3d = None
    if hands_2d is not None and scaled is None:
        best_2d = find(hands_2d, [*pixel_repairs(sample, hands_2d), *order_repairs(hands_2d)])
        guards.append(bone_faults(hands_2d) if best_2d is None else None)
    if hands_3d is not None:
        best_3d = find(hands_3d, [*mirror_repairs(hands_3d), *order_repairs(hands_3d)])
        guards.append(
            (mesh_disagrees(sample) or bone_faults(hands_3d)) if best_3d is None else None
        )
    told = [sentence for sentence in guards if sentence is not None]
    return warnings + told + sentences([best_2d, best_3d])


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
    expected = len(matched.truth)
    if len(rows) >= 4 and (np.diff(rows) == 2).all() and len(rows) >= expected // 2:
        return ": was every second one written?"
    if (
        4 <= len(rows) <= expected // 2 * 2
        and rows[-1] == len(rows) - 1
        and expected > len(rows) + 3
    ):
        return f": the first {len(rows):,} are there and all others are missing, did the run stop?"
    return f": missing {describe_names(matched.missing)}"
