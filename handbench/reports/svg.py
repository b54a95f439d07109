"""The ground of every figure: the frame that data are drawn in, axes, words and markers.

Figures are inline SVG, written by hand rather than by a plotting library, because the page's own
style sheet then colours them: one drawing serves light, dark and paper, text stays text, and a
figure weighs a few kilobytes. Colours come from CSS classes (``s0`` … ``s7`` for models), so this
module and those that use it hold geometry alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

MODEL_COLORS = 8
"""Number of distinct line styles for models; the ninth model looks like the first."""

FLOOR = -1
"""Slot of the mean pose, which is drawn in grey and is no model."""


@dataclass(frozen=True)
class Frame:
    """The rectangle that data are drawn in, in SVG units."""

    width: int
    height: int
    left: int
    right: int
    top: int
    bottom: int

    @property
    def base(self) -> int:
        """Where y is 0."""
        return self.height - self.bottom

    def x(self, value: float, maximum: float, minimum: float = 0.0) -> float:
        """Place of `value` between the left edge (`minimum`) and the right one (`maximum`)."""
        share = (value - minimum) / (maximum - minimum)
        return self.left + share * (self.width - self.left - self.right)

    def y(self, value: float, maximum: float) -> float:
        """Place of `value` between the bottom (0) and the top (`maximum`)."""
        return self.base - value / maximum * (self.base - self.top)

    def x_axis(
        self,
        ticks: Sequence[float],
        maximum: float,
        minimum: float = 0.0,
        *,
        grid: bool = False,
        signed: bool = False,
    ) -> list[str]:
        """The line at the bottom with its ticks; `grid` draws them up to the top."""
        top = self.top if grid else self.base
        parts = [
            f'<line class="axis" x1="{self.left}" x2="{self.width - self.right}" '
            f'y1="{self.base}" y2="{self.base}"/>'
        ]
        places = decimals(ticks)
        for tick in ticks:
            x = self.x(tick, maximum, minimum)
            parts.append(
                f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{top}" y2="{self.base + 4}"/>'
            )
            sign = "+" if signed and tick > 0 else ""
            number = f"{sign}{tick:,.{places}f}".replace("-", "\u2212")
            parts.append(words(x, self.base + 16, number, 1))
        return parts

    def y_axis(
        self, ticks: Sequence[float], maximum: float, label: Callable[[float], str]
    ) -> list[str]:
        """Horizontal lines with their labels."""
        parts = []
        for tick in ticks:
            y = self.y(tick, maximum)
            parts.append(
                f'<line class="grid" x1="{self.left}" x2="{self.width - self.right}" '
                f'y1="{y:.1f}" y2="{y:.1f}"/>'
            )
            parts.append(words(self.left - 7, y + 4, label(tick), 2))
        return parts

    def titles(self, x_label: str, y_label: str) -> list[str]:
        """Names of both axes."""
        middle = (self.left + self.width - self.right) / 2
        return [
            words(middle, self.height - 8, x_label, 1, "label"),
            words(2, 12, y_label, 0, "label"),
        ]


def style(slot: int) -> str:
    """CSS class of model number `slot`, or of the mean pose."""
    return "floor" if slot == FLOOR else f"s{slot % MODEL_COLORS}"


def legend_key(slot: int, *, dot: bool = False) -> Markup:
    """Draw the line style (or the dot) of model number `slot` for an HTML legend."""
    inside = (
        marker(14, 7, slot)
        if dot
        else f'<line class="line {style(slot)}" x1="1" x2="27" y1="7" y2="7"/>'
    )
    return Markup(  # noqa: S704 - numbers only
        f'<svg class="key" viewBox="0 0 28 14" width="28" height="14" aria-hidden="true">{inside}'
        "</svg>"
    )


def marker(x: float, y: float, slot: int, size: float = 1.0) -> str:
    """Disc, square, diamond or triangle: shape tells models apart where colour cannot."""
    kind = f'class="dot {style(slot)}"'
    shape = slot % 4
    if shape == 0:
        return f'<circle {kind} cx="{x:.1f}" cy="{y:.1f}" r="{5 * size:g}"/>'
    if shape == 1:
        half = 4.5 * size
        return (
            f'<rect {kind} x="{x - half:.1f}" y="{y - half:.1f}" width="{2 * half:g}" '
            f'height="{2 * half:g}"/>'
        )
    if shape == 2:
        h = f"{6 * size:g}"
        return f'<path {kind} d="M{x:.1f} {y - 6 * size:.1f}l{h} {h}l-{h} {h}l-{h} -{h}z"/>'
    right, down = f"{5.5 * size:g}", f"{10 * size:g}"
    return f'<path {kind} d="M{x:.1f} {y - 5.5 * size:.1f}l{right} {down}h-{11 * size:g}z"/>'


def round_ticks(maximum: float, count: int = 5) -> list[float]:
    """About `count` round numbers from 0 up to `maximum`."""
    step = maximum / count
    magnitude = 10.0 ** math.floor(math.log10(step))
    step = next(m * magnitude for m in (1, 2, 2.5, 5, 10) if m * magnitude >= step * 0.999)
    return [i * step for i in range(math.floor(maximum / step * 1.0001) + 1)]


def decimals(ticks: Sequence[float]) -> int:
    """Digits after the point that tell all ticks apart."""
    return next(d for d in range(10) if d == 9 or all(abs(t - round(t, d)) < 1e-9 for t in ticks))


def short(value: float) -> str:
    """Return a number in at most four characters.

    >>> short(3.14159), short(31.4159), short(31415.9)
    ('3.1', '31', '31k')
    """
    if not math.isfinite(value):
        return "–"
    if value < 9.95:
        return f"{value:.1f}"
    if value < 9999.5:
        return f"{value:.0f}"
    return f"{value / 1000:.0f}k" if value < 999_500 else "≫"


def words(x: float, y: float, text: str, anchor: int, kind: str = "tick") -> str:
    """Text that starts (0), is centred (1) or ends (2) at `x`."""
    where = ("start", "middle", "end")[anchor]
    return (
        f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{where}">{escape(text)}</text>'
    )


def drawing(width: int, height: int, parts: Iterable[str], description: str = "") -> Markup:
    """A whole figure; without a description it is decoration beside the same numbers."""
    about = 'aria-hidden="true"'
    if description:
        about = f'role="img" aria-label="{escape(description)}"'
    return Markup(  # noqa: S704 - numbers, fixed words and escaped text
        f'<svg viewBox="0 0 {width} {height}" {about}>{"".join(parts)}</svg>'
    )
