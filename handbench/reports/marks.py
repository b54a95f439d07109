"""Small marks beside numbers, and bars: values with their intervals, differences, shares."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from handbench.hand import JOINT_NAMES, finger_of
from handbench.reports.svg import Frame, drawing, marker, round_ticks, style, words

_ROW = 14
_DENSE_ROW = 9
_WIDTH = 132


@dataclass(frozen=True)
class Mark:
    """A value with its interval.

    Attributes
    ----------
    slot
        Which model, counted from 0.
    value, ci95
        A number, and its 95 % interval or None.
    """

    slot: int
    value: float
    ci95: tuple[float, float] | None = None

    @property
    def ends(self) -> tuple[float, float]:
        """The interval, or the value twice."""
        return self.ci95 or (self.value, self.value)


def span(marks: Sequence[Mark]) -> tuple[float, float]:
    """Smallest and largest end of all marks, a little apart; (0, 1) where there is none."""
    if not marks:
        return 0.0, 1.0
    low = min(mark.ends[0] for mark in marks)
    high = max(mark.ends[1] for mark in marks)
    room = 0.04 * (high - low) or 0.01 * abs(high) or 0.01
    return low - room, high + room


def interval_marks(
    marks: Sequence[Mark], low: float, high: float, reference: float | None = None
) -> Markup:
    """Draw values with their intervals on a line from `low` to `high`; decoration beside numbers.

    Parameters
    ----------
    marks
        One a model, drawn one below the other.
    low, high
        Ends of the line, the same in all rows of a table.
    reference
        Where a thin upright line stands: the value of all hands.
    """
    row_px, size = (_ROW, 1.0) if len(marks) < 2 else (_DENSE_ROW, 0.8)
    frame = Frame(_WIDTH, row_px * max(1, len(marks)) + 4, 6, 6, 2, 2)
    parts = []
    if reference is not None and low <= reference <= high:
        x = frame.x(reference, high, low)
        parts.append(f'<line class="all" x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{frame.height}"/>')
    for row, mark in enumerate(marks):
        y = frame.top + row_px * (row + 0.5)
        left, right = (frame.x(end, high, low) for end in mark.ends)
        if mark.ci95 is not None:
            parts.append(
                f'<line class="ci {style(mark.slot)}" x1="{left:.1f}" x2="{right:.1f}" '
                f'y1="{y}" y2="{y}"/>'
            )
        parts.append(marker(frame.x(mark.value, high, low), y, mark.slot, size))
    return drawing(frame.width, frame.height, parts)


def joint_differences(
    rows: Sequence[Sequence[Mark]], x_label: str, hints: tuple[str, str], description: str
) -> Markup:
    """Draw for every joint how far each model is from another one, with intervals.

    Parameters
    ----------
    rows
        Marks of 21 joints in canonical order.
    x_label
        Axis title with unit.
    hints
        What lies left and right of zero: ``("worse", "better")``.
    description
        Read aloud by screen readers.
    """
    models = max((len(row) for row in rows), default=1)
    pitch = max(19, _DENSE_ROW * models + 7)
    size = 1.0 if models < 2 else 0.8
    frame = Frame(440, len(JOINT_NAMES) * pitch + 84, 92, 16, 26, 46)
    ends = [end for row in rows for mark in row for end in mark.ends]
    least, most = min([0.0, *ends]), max([0.0, *ends])
    reach = (most - least) or 1.0
    # Room on both sides of zero, so that either word stands beside it.
    low, high = min(least - 0.04 * reach, -0.22 * reach), max(most + 0.04 * reach, 0.22 * reach)
    step = round_ticks(high - low)[1]
    both = [step * i for i in range(math.ceil(low / step), math.floor(high / step) + 1)]
    middle = frame.x(0.0, high, low)
    parts = [
        *frame.x_axis(both, high, low, grid=True, signed=True),
        *frame.titles(x_label, ""),
        words(middle - 8, 14, f"← {hints[0]}", 2),
        words(middle + 8, 14, f"{hints[1]} →", 0),
        f'<line class="zero" x1="{middle:.1f}" x2="{middle:.1f}" y1="{frame.top - 6}" '
        f'y2="{frame.base}"/>',
    ]
    for joint, name in enumerate(JOINT_NAMES):
        y = frame.top + pitch * (joint + 0.5) + 2 * ((joint + 3) // 4)
        parts.append(
            f'<circle class="f-{finger_of(joint)}" cx="{frame.left - 8}" cy="{y:.1f}" r="3.5"/>'
        )
        parts.append(words(frame.left - 16, y + 4, name.replace("_", " "), 2))
        first = y - _DENSE_ROW * (len(rows[joint]) - 1) / 2
        for place, mark in enumerate(rows[joint]):
            at = first + _DENSE_ROW * place
            left, right = (frame.x(end, high, low) for end in mark.ends)
            parts.append(
                f'<line class="ci {style(mark.slot)}" x1="{left:.1f}" x2="{right:.1f}" '
                f'y1="{at:.1f}" y2="{at:.1f}"/>'
            )
            parts.append(marker(frame.x(mark.value, high, low), at, mark.slot, size))
    return drawing(frame.width, frame.height, parts, description)


def share_bar(shares: Sequence[tuple[int, str, float]], description: str) -> Markup:
    """Draw shares of a whole as one bar.

    Parameters
    ----------
    shares
        Code of a kind of error (its colour), name and share; the shares add up to 1 at most.
    description
        Read aloud by screen readers.
    """
    width, height = 640, 22
    parts, x = [], 0.0
    for code, name, share in shares:
        if not math.isfinite(share) or share <= 0:
            continue
        long = share * width
        parts.append(
            f'<rect class="k{code}" x="{x:.1f}" y="0" width="{max(long - 1, 0.5):.1f}" '
            f'height="{height}"><title>{escape(name)}: {100 * share:.1f} %</title></rect>'
        )
        x += long
    return Markup(  # noqa: S704 - numbers and escaped text
        f'<svg class="shares" viewBox="0 0 {width} {height}" preserveAspectRatio="none" role="img" '
        f'aria-label="{escape(description)}">{"".join(parts)}</svg>'
    )


def bar(value: float, largest: float, code: int) -> Markup:
    """Draw one bar of a table; decoration beside the number. `code` is a kind of error."""
    share = value / largest if largest > 0 and math.isfinite(value) else 0.0
    part = (
        f'<rect class="k{code}" x="0" y="2" width="{max(1.0, _WIDTH * share):.1f}" height="10"/>'
        if share > 0
        else ""
    )
    return drawing(_WIDTH, _ROW, [part])
