"""Cuts of ours: whole split units, chosen by a hash of their id, never by random image."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from handbench.errors import SourceError
from handbench.sources.block import SampleBlock

VAL_SHARE = 0.05
_SALT = "handbench-val/1:"


def draw(unit_id: str) -> float:
    """Number in 0 … 1 that belongs to a split unit: first 8 hex digits of a hash, over 2³².

    The hash is sha256("handbench-val/1:" + id). The number depends on nothing but the id: it stays
    the same on every machine and in every subset.
    """
    return _number(_SALT + unit_id)


def _number(text: str) -> float:
    return int(hashlib.sha256(text.encode()).hexdigest()[:8], 16) / 2**32


def is_val(unit_id: str) -> bool:
    """Whether the split unit of this id belongs to `val`: its number lies below 0.05.

    >>> is_val("training/instant-00000004"), is_val("training/instant-00000000")
    (True, False)
    """
    return draw(unit_id) < VAL_SHARE


def val_rows(unit_ids: Iterable[str]) -> npt.NDArray[np.bool_]:
    """(N,) bool: the rows whose unit is in `val`."""
    known: dict[str, bool] = {}
    answers = []
    for unit in unit_ids:
        if unit not in known:
            known[unit] = is_val(unit)
        answers.append(known[unit])
    return np.array(answers, dtype=bool)


SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Cut:
    """A split cut by us: whole units, dealt out in an order that a seed decides.

    Attributes
    ----------
    column
        Id column that holds the units: ``subject_id``, ``sequence_id``, ``instant_id``.
    ratios
        Shares of train, val and test in the units; they add up to 1.
    seed
        Another seed deals out otherwise.
    """

    column: str
    ratios: tuple[float, float, float] = (0.8, 0.1, 0.1)
    seed: int = 0

    def sizes(self, count: int) -> tuple[int, ...]:
        """How many of `count` units go to train, val and test.

        Every split with a share gets at least one, the rest as the shares say, rounded so that the
        largest remainders win.

        Raises
        ------
        SourceError
            If there are fewer units than splits with a share.

        >>> Cut("subject_id", (0.8, 0.1, 0.1)).sizes(5)
        (3, 1, 1)
        """
        least = [int(ratio > 0) for ratio in self.ratios]
        if count < sum(least):
            raise SourceError(
                f"expected {sum(least)} different values of {self.column} or more to fill "
                f"{sum(least)} splits, found {count}: choose other --ratios, or another --split-by"
            )
        sizes = [max(few, int(count * ratio + 1e-9)) for few, ratio in zip(least, self.ratios)]
        while sum(sizes) != count:
            # One more where most is missing, or one less where most is too many.
            lacks = [count * ratio - size for ratio, size in zip(self.ratios, sizes)]
            step = 1 if sum(sizes) < count else -1
            free = [i for i in range(3) if least[i] and (step > 0 or sizes[i] > least[i])]
            sizes[max(free, key=lambda i: (step * lacks[i], -i))] += step
        return tuple(sizes)

    def deal(self, units: Iterable[str]) -> dict[str, str]:
        """Unit → split.

        Units are put in the order of sha256("handbench-split/1:<seed>:<id>"); the first go to
        train, the next to val, the last to test. The order in which they come plays no part.

        Raises
        ------
        SourceError
            If there are too few; see :meth:`sizes`.
        """
        salt = f"handbench-split/1:{self.seed}:"
        order = sorted(
            set(units), key=lambda unit: (hashlib.sha256((salt + unit).encode()).digest(), unit)
        )
        splits = np.repeat(SPLITS, self.sizes(len(order))).tolist()
        return dict(zip(order, splits))

    def describe(self) -> dict[str, object]:
        """All that is needed to make the same cut again."""
        return {
            "column": self.column,
            "ratios": dict(zip(SPLITS, self.ratios)),
            "seed": self.seed,
            "rule": "units in the order of sha256('handbench-split/1:<seed>:<id>'): train, val, "
            "test; at least one each, then largest remainders",
        }


class Dealer:
    """Deals rows out to splits by their unit; no unit and no photo comes to stand in two.

    Every row is shown to :meth:`survey` before the first is dealt out: who is there decides.
    """

    def __init__(self, cut: Cut) -> None:
        self.cut = cut
        self.split_of: dict[str, str] = {}
        self._rows: Counter[str] = Counter()
        self._shared: dict[tuple[str, str], str] = {}
        self._last = ("", "")

    def survey(self, block: SampleBlock) -> None:
        """Take note of the units of a block, and of photos that show several.

        Raises
        ------
        SourceError
            If a row has no unit.
        """
        column = self.cut.column
        units = block.ids.get(column)
        if units is None:
            raise SourceError(
                f"expected {column} for every row to split by it, found only the columns "
                f"{', '.join(sorted(block.ids)) or 'none'}: split by another one"
            )
        if "" in units:
            raise SourceError(
                f"expected {column} for every row to split by it, found none for "
                f"{block.sample_id[units.index('')]}: split by another column"
            )
        self._rows.update(units)
        # The hands of one photo follow each other: neighbours alone need a look.
        for photo, unit in zip(block.ids.get("image_id", ()), units):
            if self._last[0] == photo and self._last[1] != unit:
                self._shared.setdefault((self._last[1], unit), photo)
            self._last = (photo, unit)

    def settle(self) -> None:
        """Decide which unit goes where.

        Raises
        ------
        SourceError
            If there are too few units, or a photo shows hands of units that part.
        """
        self.split_of = self.cut.deal(self._rows)
        for (one, other), photo in self._shared.items():
            if self.split_of[one] != self.split_of[other]:
                raise SourceError(
                    f"the photo {photo} shows hands of {one} and {other}, which would go to "
                    f"{self.split_of[one]} and {self.split_of[other]}: split by another column, "
                    "or take another --seed"
                )

    def deal(self, block: SampleBlock) -> Iterator[tuple[str, npt.NDArray[np.intp]]]:
        """Split and rows of a block, for each split that gets any."""
        splits = np.array([self.split_of[unit] for unit in block.ids[self.cut.column]])
        for split in SPLITS:
            rows = np.flatnonzero(splits == split)
            if len(rows):
                yield split, rows

    def units(self) -> dict[str, int]:
        """Split → units."""
        units = Counter(self.split_of.values())
        return {split: units[split] for split in SPLITS if units[split]}

    def rows(self) -> dict[str, int]:
        """Split → rows that were surveyed."""
        rows: Counter[str] = Counter()
        for unit, count in self._rows.items():
            rows[self.split_of[unit]] += count
        return {split: rows[split] for split in SPLITS if rows[split]}
