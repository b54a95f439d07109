"""Ways to divide what was scored: by joint, by how the hand lies, by a column of the file.

A grouping is either of joints (every hand counts, with some of its joints) or of hands (with all
their joints). ``docs/breakdowns.md`` says how each one is computed.
"""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from handbench.errors import ScoreError
from handbench.hand import FINGERS, JOINT_NAMES, JOINT_TYPES, NUM_JOINTS, OCCLUDED, VISIBLE, WRIST
from handbench.hdf5.format import COLUMNS
from handbench.hdf5.reader import SplitReader
from handbench.metrics import tight_size
from handbench.scores.hand_geometry import (
    direction_deg,
    joints_occluded,
    joints_outside,
    view_deg,
)
from handbench.scores.truth import Truth

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]

UNKNOWN = "unknown"
QUANTILE_GROUPS = 5
"""Number of groups that a column of measurements is divided into."""

SIZE_EDGES_PX = (32.0, 48.0, 64.0, 96.0, 128.0, 192.0, 256.0, 384.0, 512.0)
"""Half octaves. Fixed, so that a row means the same on every dataset."""
VIEW_EDGES_DEG = (60.0, 120.0)
SECTORS = ("up", "up right", "right", "down right", "down", "down left", "left", "up left")
"""Where the fingers point, clockwise in steps of 45°."""
TRUNCATION_EDGES = (1, 5)
OCCLUSION_EDGES = (1, 6, 11)

GROUPINGS: dict[str, str] = {
    "joint": "each of the 21 joints by itself",
    "finger": "joints of one finger; the wrist by itself",
    "joint_type": (
        "joints by their place along the finger; the thumb's CMC, MCP and IP stand with the "
        "fingers' MCP, PIP and DIP"
    ),
    "visibility": "joints by their label; unknown: labelled without saying whether visible",
    "side": "side of the real hand",
    "size": (
        "longer side of the tight box around the labelled keypoints, source px; 32 to 48 means "
        "32 ≤ size < 48"
    ),
    "rotation": (
        "direction from wrist to middle MCP in the source image, clockwise from up, in sectors of "
        "45°"
    ),
    "view": (
        "angle between the palm's normal and the way to the camera, from the 3D labels: palm below "
        "60°, side below 120°, back from 120°"
    ),
    "truncation": "labelled keypoints outside the stored image, number a hand",
    "occlusion": "occluded keypoints, number a hand; unknown unless every label of the hand says",
}
"""Name of each grouping that needs no column → how it is made, in one line."""


@dataclass(frozen=True)
class Group:
    """Some joints of some hands.

    Attributes
    ----------
    value
        What they share, as text.
    rows
        (n,) rows of the truth: hands with a labelled joint in the group.
    joints
        (k,) joint indices, or None for a group of whole hands.
    keep
        (n, k) bool: which of these joints belong to the group; None for all.
    """

    value: str
    rows: Indices
    joints: Indices | None = None
    keep: npt.NDArray[np.bool_] | None = None

    def of(self, values: Floats) -> Floats:
        """Values (N, 21) of the group: (n, k), NaN where a joint does not belong to it."""
        if self.joints is None:
            return values[self.rows]
        chosen = values[self.rows[:, None], self.joints]
        return chosen if self.keep is None else np.where(self.keep, chosen, np.nan)


@dataclass(frozen=True)
class Grouping:
    """Groups in the order of a table; those without hands are left out.

    Attributes
    ----------
    by
        Name of the grouping or column.
    definition
        How the groups are made, in one line.
    groups
        Never empty.
    """

    by: str
    definition: str
    groups: list[Group]


def grouping(name: str, truth: Truth, split: SplitReader) -> Grouping:
    """Divide the hands of `truth`, or their joints.

    Parameters
    ----------
    name
        One of :data:`GROUPINGS`, or a column of `split` with one value a hand.
    truth
        Hands of `split`, all or some.
    split
        Where they were read from.

    Raises
    ------
    ScoreError
        If there is neither such a grouping nor such a column.
    """
    match name:
        case "joint":
            groups = _by_joints(truth, {JOINT_NAMES[j]: (j,) for j in range(NUM_JOINTS)})
        case "finger":
            groups = _by_joints(truth, {"wrist": (WRIST,), **FINGERS})
        case "joint_type":
            groups = _by_joints(truth, JOINT_TYPES)
        case "visibility":
            groups = _by_visibility(truth)
        case "side":
            codes = np.where(truth.is_right < 0, -1, 1 - truth.is_right)
            groups = _by_hands(("right", "left"), codes)
        case "size":
            sizes = tight_size(truth.keypoints, truth.valid)
            # One labelled joint has a box without extent, which says nothing about the hand.
            groups = _in_ranges(np.where(sizes > 0, sizes, np.nan), SIZE_EDGES_PX, " px")
        case "rotation":
            sectors = np.floor(direction_deg(truth.keypoints, truth.valid) / 45.0 + 0.5) % 8
            groups = _by_hands(
                [f"{sector} ({45 * i}°)" for i, sector in enumerate(SECTORS)], _codes(sectors)
            )
        case "view":
            angles = view_deg(truth.keypoints_3d, truth.valid_3d, truth.is_right)
            groups = _by_hands(("palm", "side", "back"), _codes(_digitize(angles, VIEW_EDGES_DEG)))
        case "truncation":
            rows = _rows_in(split, truth)
            points, sizes = split.column("keypoints_2d")[rows], split.column("image_size")[rows]
            outside = joints_outside(points, truth.valid, sizes)
            groups = _in_counts(outside, TRUNCATION_EDGES)
        case "occlusion":
            groups = _in_counts(joints_occluded(truth.visibility), OCCLUSION_EDGES)
        case _:
            return _by_column(name, truth, split)
    return Grouping(name, GROUPINGS[name], groups)


def labelled(truth: Truth) -> npt.NDArray[np.bool_]:
    """(N, 21) joints with a label in 2D or in 3D."""
    return truth.valid | truth.valid_3d


# --- joints -----------------------------------------------------------------------------------


def _by_joints(truth: Truth, sets: dict[str, tuple[int, ...]]) -> list[Group]:
    there = labelled(truth)
    groups = []
    for value, joints in sets.items():
        rows = np.flatnonzero(there[:, joints].any(axis=1))
        if rows.size:
            groups.append(Group(value, rows, np.asarray(joints, dtype=np.intp)))
    return groups


def _by_visibility(truth: Truth) -> list[Group]:
    there = labelled(truth)
    visible, occluded = (there & (truth.visibility == code) for code in (VISIBLE, OCCLUDED))
    masks = {"visible": visible, "occluded": occluded, UNKNOWN: there & ~visible & ~occluded}
    every = np.arange(NUM_JOINTS)
    groups = []
    for value, mask in masks.items():
        rows = np.flatnonzero(mask.any(axis=1))
        if rows.size:
            groups.append(Group(value, rows, every, mask[rows]))
    return groups


# --- hands ------------------------------------------------------------------------------------


def _codes(numbers: Floats) -> Indices:
    """Whole numbers as indices; NaN is -1."""
    return np.where(np.isnan(numbers), -1, numbers).astype(np.intp)


def _by_hands(values: Sequence[str], codes: Indices) -> list[Group]:
    """One group a value that occurs: `codes` (N,) are indices into `values`, -1 is unknown."""
    order = np.argsort(codes, kind="stable")
    there, starts = np.unique(codes[order], return_index=True)
    groups = [
        Group(values[code] if code >= 0 else UNKNOWN, rows)
        for code, rows in zip(there.tolist(), np.split(order, starts[1:]))
    ]
    # Sorting put -1 first; a table reads better with what is not known last.
    return groups[1:] + groups[:1] if there[0] < 0 else groups


def _digitize(values: Floats, edges: Sequence[float]) -> Floats:
    """Index of the range of each value, lower edge included; NaN stays NaN."""
    return np.where(np.isnan(values), np.nan, np.digitize(values, edges))


def _in_ranges(values: Floats, edges: Sequence[float], unit: str = "") -> list[Group]:
    """Groups of measurements (N,): below the first edge, between two, from the last one."""
    text = [f"{edge:.15g}" for edge in edges]
    names = [f"below {text[0]}{unit}"]
    names += [f"{low} to {high}{unit}" for low, high in itertools.pairwise(text)]
    names += [f"from {text[-1]}{unit}"]
    return _by_hands(names, _codes(_digitize(values, edges)))


def _in_counts(counts: Floats, edges: Sequence[int]) -> list[Group]:
    """Groups of whole numbers (N,) that begin with 0 and with each edge: 0, 1-4, 5+."""
    ends = [edge - 1 for edge in edges]
    names = [f"{low}-{high}" if low < high else f"{low}" for low, high in zip((0, *edges), ends)]
    return _by_hands([*names, f"{edges[-1]}+"], _codes(_digitize(counts, edges)))


# --- columns ----------------------------------------------------------------------------------


def _rows_in(split: SplitReader, truth: Truth) -> Indices:
    """(N,) row in `split` of each hand of `truth`."""
    row_of = {name: row for row, name in enumerate(split.column("sample_id").tolist())}
    return np.array([row_of[name] for name in truth.sample_id.tolist()], dtype=np.intp)


def _by_column(column: str, truth: Truth, split: SplitReader) -> Grouping:
    usable = [name for name in split.names if name != "sample_id" and len(split.shape(name)) == 1]
    if column not in usable:
        raise ScoreError(_no_such(column, usable, split))
    values = split.column(column)[_rows_in(split, truth)]
    definition = f"hands with the same value in column {column!r}"
    if values.dtype.kind == "f":
        finite = values[np.isfinite(values)]
        if np.unique(finite).size > QUANTILE_GROUPS:
            edges = quantile_edges(finite)
            measures = np.where(np.isfinite(values), values, np.nan).astype(np.float64)
            definition = (
                f"column {column!r} at its quantiles, up to {QUANTILE_GROUPS} groups; a to b means "
                "a ≤ value < b"
            )
            return Grouping(column, definition, _in_ranges(measures, edges))
        known = np.isfinite(values)
    else:
        known = values != "" if values.dtype.kind == "U" else np.ones(len(values), dtype=bool)
    different, index = np.unique(values[known], return_inverse=True)
    codes = np.full(len(values), -1)
    codes[known] = index
    return Grouping(column, definition, _by_hands([str(value) for value in different], codes))


def quantile_edges(values: npt.ArrayLike) -> list[float]:
    """Edges between :data:`QUANTILE_GROUPS` groups of about equal number.

    They are rounded to about three digits of their own spread, so that the printed edges are
    exactly those that divide the hands. Edges that fall together are one edge.

    Parameters
    ----------
    values
        (N,) finite numbers.

    Returns
    -------
    At most four numbers, rising.

    >>> quantile_edges(np.arange(1000) / 7)
    [28.5, 57.1, 85.6, 114.2]
    """
    shares = np.arange(1, QUANTILE_GROUPS) / QUANTILE_GROUPS
    edges = np.quantile(np.asarray(values, dtype=np.float64), shares)
    spread = float(edges[-1] - edges[0]) or float(abs(edges[0])) or 1.0
    digits = 2 - int(np.floor(np.log10(spread)))
    # Adding zero turns -0 into 0.
    return sorted({round(edge, digits) + 0.0 for edge in edges.tolist()})


def _no_such(name: str, usable: Sequence[str], split: SplitReader) -> str:
    """Sentence for a name that is neither a grouping nor a column that can group."""
    known = list(dict.fromkeys([*GROUPINGS, *usable]))
    near = difflib.get_close_matches(name, known, n=1)
    where = f"split {split.name!r}"
    if split.has(name):
        found = f"in {where} this column does not hold one value a hand that hands could share"
    elif name in COLUMNS:
        found = f"{where} does not hold this column"
        near = []
    else:
        found = f"there is no such grouping, and {where} has no such column with one value a hand"
    hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
    return f"cannot group by {name!r}: {found}; {hint}"
