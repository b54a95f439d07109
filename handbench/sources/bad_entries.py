"""Malformed label entries: the first one stops a reader, or all are left out and listed.

An entry is what a label file says of one hand, image or moment. What is wrong with a file as a
whole (missing, cut short, of another kind, of another length than its partner) stops in any case.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

from handbench.errors import SourceError

_HINT = "`handbench convert --skip-bad` leaves such entries out"


class BadEntries:
    """Account of the malformed entries of one split.

    Parameters
    ----------
    lenient
        Leave them out instead of stopping at the first.

    Attributes
    ----------
    sentences
        One for each entry that was left out; it names file and entry.
    """

    def __init__(self, *, lenient: bool = False) -> None:
        self.lenient = lenient
        self.sentences: list[str] = []

    @contextlib.contextmanager
    def entry(self) -> Iterator[None]:
        """Read one entry; what is raised within says what is wrong with it.

        Raises
        ------
        SourceError
            What was raised within, with a hint, unless lenient.
        """
        try:
            yield
        except SourceError as error:
            if not self.lenient:
                raise SourceError(f"{error}; {_HINT}") from error
            self.sentences.append(str(error))

    def sound(
        self, faulty: npt.NDArray[np.bool_], sentence: Callable[[int], str]
    ) -> npt.NDArray[np.bool_]:
        """Which of N entries are not `faulty`.

        Parameters
        ----------
        faulty
            (N,) bool.
        sentence
            Says what is wrong with the entry of a number.

        Returns
        -------
        (N,) bool.

        Raises
        ------
        SourceError
            At the first faulty entry, unless lenient.
        """
        numbers = np.flatnonzero(faulty).tolist()
        if numbers and not self.lenient:
            raise SourceError(f"{sentence(numbers[0])}; {_HINT} ({len(numbers):,} here)")
        self.sentences += [sentence(number) for number in numbers]
        return ~faulty

    def check_few(self, sound: int) -> None:
        """Refuse a file most of whose entries are malformed: that is no damage here and there.

        Parameters
        ----------
        sound
            How many entries are not.

        Raises
        ------
        SourceError
            If they are fewer than those that were left out.
        """
        bad = len(self.sentences)
        if bad > sound:
            raise SourceError(
                f"{bad:,} of {bad + sound:,} label entries are malformed, which looks like another "
                f"kind of file rather than like damage; the first: {self.sentences[0]}"
            )


def read_masks(
    read: Callable[[int], bytes], count: int, *, lenient: bool
) -> tuple[list[bytes], list[str]]:
    """Encoded masks of rows 0 to `count` - 1.

    Parameters
    ----------
    read
        Gives the mask of a row.
    lenient
        A mask that cannot be read comes as no bytes at all.

    Returns
    -------
    The masks, and what is wrong with each, "" where nothing is.

    Raises
    ------
    SourceError
        At the first mask that cannot be read, unless `lenient`.
    """
    masks, faults = [], []
    bad = BadEntries(lenient=lenient)
    for row in range(count):
        mask = b""
        with bad.entry():
            mask = read(row)
        masks.append(mask)
        faults += bad.sentences or [""]
        bad.sentences.clear()
    return masks, faults
