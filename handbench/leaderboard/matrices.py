"""Trained on × tested on: how well models travel from one dataset to another.

The numbers carry no unit of one dataset's images: 2D errors are divided by boxes, 3D errors are
aligned at the wrist or by Procrustes. The idea is that of the FreiHAND paper (Zimmermann et al.,
ICCV 2019), whose published row is a matrix of its own.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from handbench.errors import HandbenchError
from handbench.leaderboard.board import Cell, Entry, Evidence, Group, Matrix, Overlap, Table
from handbench.leaderboard.published import header, published_groups
from handbench.leaderboard.signatures import parts
from handbench.leaderboard.tables import coverage, over_found, value_of
from handbench.leaderboard.training import datasets_of
from handbench.scores.definitions import define
from handbench.scores.names import parse
from handbench.sources import manifest

_CROSS_DATASET = "freihand_cross_dataset_auc"
_TRAINED_ON = re.compile(r"trained on (.+)$")
_FEWEST_CELLS = 2
_APART = "with other signatures than most on their test set"


@dataclass(frozen=True)
class _Kind:
    """A matrix that is made of results under a protocol."""

    title: str
    protocol: str
    metric: str


_KINDS = (
    _Kind("2D, AUC in units of the hand", "handbench", "AUC@0-0.2[tight,rule=exact]"),
    _Kind("2D, PCK in units of the box", "mmpose", "PCK@0.2[bbox,cmp=lt]"),
    _Kind("3D, after Procrustes alignment", "handbench", "PA-MPJPE[mm]"),
    _Kind("3D, from the wrist", "handbench", "MPJPE[mm,root=0]"),
)


def make_matrices(
    groups: Sequence[Group], model_slugs: dict[str, str], *, rank_self_reported: bool = False
) -> list[Matrix]:
    """Matrices that have cells: those of the results, then the published one.

    Parameters
    ----------
    groups
        With their tables.
    model_slugs
        Name of a model → its page.
    rank_self_reported
        Whether numbers that nobody has checked count.
    """
    made = [_matrix(kind, groups, model_slugs, rank_self_reported) for kind in _KINDS]
    return [*(matrix for matrix in made if matrix is not None), published_matrix()]


def _matrix(
    kind: _Kind, groups: Sequence[Group], model_slugs: dict[str, str], rank_self_reported: bool
) -> Matrix | None:
    metric = parse(kind.metric)
    cells: dict[tuple[str, str], tuple[tuple[bool, float, str], Cell]] = {}
    left_out: dict[str, int] = {}
    for group in groups:
        table = _table(group, kind)
        if table is None:
            continue
        others = sum(len(other.rows) for other in group.tables if other is not table)
        left_out[_APART] = left_out.get(_APART, 0) + others
        for entry in (row.entry for row in table.rows):
            value = value_of(entry.results, kind.metric)
            if value is None or not _counts(entry, rank_self_reported):
                continue
            reason = _reason_without(entry, kind)
            if reason:
                left_out[reason] = left_out.get(reason, 0) + 1
                continue
            trained = " + ".join(datasets_of(entry.training_data or ())) or "nothing"
            place = (trained, f"{group.dataset}/{group.split}")
            sign = 1.0 if metric.is_distance else -1.0
            # A model that has seen the test images stands there only where no other does.
            seen = entry.contamination.overlap is Overlap.SAME
            order = (seen, sign * value, entry.slug)
            if place not in cells or order < cells[place][0]:
                cells[place] = (order, _cell(entry, kind, value, model_slugs))
    if len(cells) < _FEWEST_CELLS:
        return None
    tested_on = sorted({tested for _, tested in cells})
    # Sets of one dataset first, then those of several.
    trained_on = sorted({t for t, _ in cells}, key=lambda t: (t.count(" + "), t))
    named = sorted({name.partition("/")[0] for name in tested_on})
    return Matrix(
        title=kind.title,
        metric=kind.metric,
        definition=define(metric),
        smaller_is_better=metric.is_distance,
        trained_on=tuple(trained_on),
        tested_on=tuple(tested_on),
        cells={place: cells[place][1] for place in sorted(cells)},
        remarks=(
            *_definitions(named),
            *(_left_out(count, why) for why, count in sorted(left_out.items()) if count),
        ),
    )


def _table(group: Group, kind: _Kind) -> Table | None:
    """The largest table of a whole split under the protocol."""
    if group.protocol.partition("/")[0] != kind.protocol:
        return None
    return next((t for t in group.tables if parts(t.signature).get("ids") == "all"), None)


def _counts(entry: Entry, rank_self_reported: bool) -> bool:
    said = entry.evidence is Evidence.SELF_REPORTED and not rank_self_reported
    return not (said or entry.problems or entry.superseded_by)


def _reason_without(entry: Entry, kind: _Kind) -> str:
    """Why an entry that is ranked has no place in a matrix, or ""."""
    if entry.training_data is None:
        return "whose training data are not declared"
    if over_found(kind.metric) and coverage(entry.results) != 1.0:
        return "that missed hands, because this metric is over the hands found"
    return ""


def _cell(entry: Entry, kind: _Kind, value: float, model_slugs: dict[str, str]) -> Cell:
    mark = entry.contamination
    return Cell(
        value=value,
        unit=entry.results.metrics[kind.metric].unit,
        model=entry.name,
        slug=model_slugs[entry.name],
        within=entry.results.dataset.removesuffix("-subset")
        in datasets_of(entry.training_data or ()),
        mark=mark.sentence if mark.overlap in (Overlap.SAME, Overlap.POSSIBLE) else "",
    )


def _definitions(datasets: Sequence[str]) -> list[str]:
    """How the labels of the datasets came about, where they did so differently."""
    labels = {name: _label_source(name) for name in datasets}
    known = {name: source for name, source in labels.items() if source}
    if len(set(known.values())) + (len(known) < len(labels)) < 2:
        return []
    listed = "; ".join(f"{name}: {known.get(name, 'not known here')}" for name in datasets)
    return [
        "The datasets do not define joints alike, so part of a difference between columns is one "
        f"of labels. {listed}."
    ]


def _label_source(dataset: str) -> str:
    name = dataset.removesuffix("-subset")
    if name not in manifest.names():
        return ""
    try:
        return " ".join(manifest.load(name).label_source.split()).rstrip(".")
    except HandbenchError:
        return ""


def _left_out(count: int, why: str) -> str:
    what = "1 result is" if count == 1 else f"{count:,} results are"
    return f"{what} left out {why}."


def published_matrix() -> Matrix:
    """What was found of the cross-dataset study in the FreiHAND paper."""
    cells: dict[tuple[str, str], Cell] = {}
    notes: dict[str, None] = {}
    for group in published_groups():
        if group.protocol != _CROSS_DATASET:
            continue
        for row in group.rows:
            trained = _TRAINED_ON.search(row.model)
            name = trained[1] if trained else row.model
            cells[name, row.dataset] = Cell(
                value=row.printed["auc_3d"],
                unit="fraction",
                model=row.model,
                slug="",
                within=row.dataset.casefold().startswith(name.casefold()),
            )
            notes[f"{row.note} Read in: {row.source} ({row.evidence.value}, {row.year})."] = None
    return Matrix(
        title="Published: cross-dataset study of the FreiHAND paper",
        metric="auc_3d",
        definition=str(header()["protocols"][_CROSS_DATASET]),
        smaller_is_better=False,
        trained_on=tuple(dict.fromkeys(trained for trained, _ in cells)),
        tested_on=tuple(dict.fromkeys(tested for _, tested in cells)),
        cells=cells,
        remarks=tuple(notes),
        published=True,
    )
