"""An error diagnosis as plain text for a terminal: a table of classes, and a few lines below it."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import numpy as np

from handbench.hand import FINGERS
from handbench.scores.diagnosis import Diagnosis
from handbench.scores.error_classes import MEANINGS, NAMES
from handbench.scores.text import table

SHOWN_PAIRS = 5
"""Pairs of fingers that the text names."""


def diagnosis_text(diagnosis: Diagnosis, width: int = 0, label: str = "") -> str:
    """The diagnosis as an aligned table, the costliest class first.

    Parameters
    ----------
    diagnosis
        Of one model.
    width
        Of the terminal; 0 never wraps.
    label
        Tells models of the same name apart; without it the name of the model.
    """
    metrics = list(diagnosis.costs)
    first = diagnosis.costs[metrics[0]]
    counts = diagnosis.counts
    order = sorted(range(len(NAMES)), key=lambda code: (-first[code], -counts[code]))
    total = max(1, diagnosis.keypoints)
    rows = [
        [
            NAMES[code],
            f"{counts[code]:,}",
            f"{counts[code] / total:.1%}",
            f"{diagnosis.hands[code]:,}",
            "" if (expected := diagnosis.by_chance(code)) is None else f"{expected:,.0f}",
            *(f"{diagnosis.costs[name][code]:+.4f}" for name in metrics),
            MEANINGS[code],
        ]
        for code in order
        if counts[code]
    ]
    headers = ["class", "keypoints", "share", "hands", "by chance", *metrics]
    headers.append("meaning, in tight boxes")
    now = ", ".join(f"{name} is {value:.4f}" for name, value in diagnosis.values.items())
    lines = [
        f"{label or diagnosis.model} on {diagnosis.dataset} {diagnosis.split}: "
        f"{diagnosis.keypoints:,} labelled keypoints of {len(diagnosis.sample_id):,} "
        f"hand{'' if len(diagnosis.sample_id) == 1 else 's'}, by what happened to them",
        textwrap.indent(table(headers, rows, width=max(0, width - 2)), "  "),
        f"reading: {now}; a class adds its number if all its keypoints were right",
        *_chance_line(rows),
        *remarks(diagnosis),
    ]
    return "\n".join(lines)


def remarks(diagnosis: Diagnosis) -> list[str]:
    """Sentences beside the table: pairs of fingers, hands misplaced as a whole, empty classes."""
    return [
        *_finger_lines(diagnosis),
        *_whole_hand_line(diagnosis),
        *_empty_line(diagnosis),
    ]


def _chance_line(rows: Sequence[Sequence[str]]) -> list[str]:
    """What the column says, where it says something."""
    if not any(row[4] for row in rows):
        return []
    return [
        "by chance: keypoints of the class if unexplained errors had the same lengths and other "
        "directions"
    ]


def _finger_lines(diagnosis: Diagnosis) -> list[str]:
    """Which finger's joints lie at which finger, the most frequent first."""
    pairs, fingers = diagnosis.finger_pairs, list(FINGERS)
    ranked = sorted(zip(*np.nonzero(pairs)), key=lambda pair: -int(pairs[pair]))
    swaps = [f"{fingers[a]} at {fingers[b]} {pairs[a, b]:,}" for a, b in ranked if a != b]
    along = [f"{fingers[a]} {pairs[a, a]:,}" for a, b in ranked if a == b]
    return [
        f"{what}: {', '.join(found[:SHOWN_PAIRS])}" + (", …" if len(found) > SHOWN_PAIRS else "")
        for what, found in (("swaps", swaps), ("inversions", along))
        if found
    ]


def _whole_hand_line(diagnosis: Diagnosis) -> list[str]:
    """How hands are misplaced: the same scale on all of them points at the crop, not the model."""
    hands, scale, shift = diagnosis.whole_hand
    if not hands:
        return []
    return [
        f"whole hands: {hands:,}, median scale {scale:.2f}, median shift ({shift[0]:+.2f}, "
        f"{shift[1]:+.2f}) of the tight box"
    ]


def _empty_line(diagnosis: Diagnosis) -> list[str]:
    """Classes without keypoints, and why those had no chance that had none."""
    empty = [
        f"{name} ({diagnosis.not_judged[name]})" if name in diagnosis.not_judged else name
        for name, count in zip(NAMES, diagnosis.counts)
        if not count
    ]
    return [f"none: {', '.join(empty)}"] if empty else []
