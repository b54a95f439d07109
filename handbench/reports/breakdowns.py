"""Groups of hands or joints on the page: visibility, side, size, view, and what was asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from markupsafe import Markup

from handbench.hdf5.reader import HandFile
from handbench.reports.marks import Mark, interval_marks, span
from handbench.reports.ranking import is_error, presets
from handbench.scores.results import Evaluation
from handbench.scores.subsets import Breakdown, Subset, breakdown

ALWAYS = ("visibility", "side", "size", "view")
"""Groupings that every report shows where more than one group occurs."""

MAX_ROWS = 30
"""Rows of one table; a column of ids may have hundreds of groups, which the CSV holds."""

MAX_CSV_ROWS = 10_000
"""Rows of one CSV, all models together: about a megabyte of the page."""


@dataclass(frozen=True)
class GroupTable:
    """One breakdown of one or several models.

    Attributes
    ----------
    by, definition
        Name of the grouping or column, and how its groups are made.
    primary
        Name of the metric that is drawn and has intervals.
    of_models
        Slot → the breakdown of that model.
    order
        Names of all groups, in the order of the grouping.
    overall
        Slot → the primary metric of all hands.
    """

    by: str
    definition: str
    primary: str
    of_models: dict[int, Breakdown]
    order: list[str]
    overall: dict[int, float | None]

    @property
    def shown(self) -> list[str]:
        """Names of the groups that the page has room for."""
        return self.order[:MAX_ROWS]

    @property
    def kept(self) -> int:
        """Number of groups that the CSV holds."""
        return min(len(self.order), MAX_CSV_ROWS // len(self.of_models))

    def subset(self, slot: int, group: str) -> Subset | None:
        """Scores of a group of one model."""
        return self._subsets[slot].get(group)

    @cached_property
    def _subsets(self) -> dict[int, dict[str, Subset]]:
        return {
            slot: {subset.value: subset for subset in found.subsets}
            for slot, found in self.of_models.items()
        }

    def sizes(self, group: str) -> Subset:
        """The group in the first model that has it, for its numbers of hands and joints."""
        return next(of[group] for of in self._subsets.values() if group in of)

    def metrics(self, slot: int) -> list[str]:
        """Names of the metrics of one model."""
        return list(self.of_models[slot].subsets[0].metrics)

    def marks(self, group: str, slots: Sequence[int]) -> Markup:
        """Draw the primary metric of a group for the models `slots`."""
        of_models = self._subsets
        everything = [
            mark
            for slot in slots
            for subset in of_models[slot].values()
            if subset.value in self.shown
            for mark in self._mark(slot, subset)
        ]
        low, high = span(everything)
        here = [
            mark
            for slot in slots
            if group in of_models[slot]
            for mark in self._mark(slot, of_models[slot][group])
        ]
        alone = self.overall.get(slots[0]) if len(slots) == 1 else None
        return interval_marks(here, low, high, alone)

    def _mark(self, slot: int, subset: Subset) -> list[Mark]:
        value = subset.metrics.get(self.primary)
        return [] if value is None else [Mark(slot, value, subset.ci95.get(self.primary))]


def group_tables(
    evaluations: Sequence[Evaluation], data: HandFile, asked: Sequence[str] = ()
) -> tuple[list[GroupTable], list[str]]:
    """Break all models down by :data:`ALWAYS` and by what was asked for.

    Parameters
    ----------
    evaluations
        Models on one split.
    data
        The file that was predicted on.
    asked
        Further groupings or columns.

    Returns
    -------
    tables
        One a grouping with more than one group.
    whole
        For the other groupings, their name and the one group: ``"side: right"``.

    Raises
    ------
    ScoreError
        If a grouping is unknown, or the file does not hold the hands that were scored.
    """
    names = list(dict.fromkeys((*ALWAYS, *asked)))
    of_models = {
        slot: breakdown(evaluation, data, names, presets(evaluation))
        for slot, evaluation in enumerate(evaluations)
    }
    tables, whole = [], []
    for place, name in enumerate(names):
        found = {slot: breakdowns[place] for slot, breakdowns in of_models.items()}
        order = list(dict.fromkeys(s.value for one in found.values() for s in one.subsets))
        if len(order) < 2:
            whole.append(f"{name}: {', '.join(order) or 'no hand'}")
            continue
        first = next(iter(found.values()))
        primary = next(iter(first.subsets[0].metrics), "")
        overall = {slot: _overall(evaluations[slot], primary) for slot in found}
        tables.append(GroupTable(name, first.definition, primary, found, order, overall))
    return tables, whole


def _overall(evaluation: Evaluation, metric: str) -> float | None:
    values = [r.metrics[metric].value for r in evaluation.results if metric in r.metrics]
    return values[0] if values else None


def unit_of(metric: str, evaluation: Evaluation) -> str:
    """Unit of a metric's values, also of those that stand beside a protocol's own."""
    known = [r.metrics[metric].unit for r in evaluation.results if metric in r.metrics]
    if known:
        return known[0]
    if not is_error(metric):
        return "fraction"
    return "mm" if "mm" in metric else "px"
