"""Figures of errors: curves, histogram, the schematic hand, joints of several models."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from markupsafe import Markup, escape

from handbench.hand import BONES, FINGERS, JOINT_NAMES, finger_of
from handbench.reports.svg import Frame, drawing, marker, round_ticks, short, style, words

Floats = npt.NDArray[np.float64]

_SCALE = ((255, 244, 206), (253, 203, 106), (241, 143, 62), (208, 75, 54), (134, 25, 56))
"""Pale to dark: readable in light, dark and grey print."""

# A right hand seen from its back, fingers up.
_HAND = (
    (180, 388),
    *((112, 338), (68, 284), (44, 232), (28, 184)),
    *((132, 226), (114, 164), (104, 116), (97, 70)),
    *((179, 212), (177, 142), (176, 90), (175, 40)),
    *((225, 222), (237, 156), (244, 108), (250, 61)),
    *((266, 248), (290, 202), (306, 163), (321, 124)),
)


@dataclass(frozen=True)
class Series:
    """One line of a chart.

    Attributes
    ----------
    name
        Model name, for the legend and the spoken description.
    x, y
        Numbers of equal length.
    slot
        Which line style, counted from 0.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float]
    slot: int = 0


def line_chart(series: Sequence[Series], x_label: str, y_label: str, description: str) -> Markup:
    """Draw curves of fractions over a threshold.

    Parameters
    ----------
    series
        Lines; y between 0 and 1.
    x_label, y_label
        Axis titles with units.
    description
        Read aloud by screen readers.
    """
    frame = Frame(width=350, height=250, left=50, right=14, top=26, bottom=44)
    x_max = max((max(line.x, default=0.0) for line in series), default=0.0) or 1.0
    parts = [
        *frame.y_axis([0, 0.25, 0.5, 0.75, 1.0], 1.0, lambda v: f"{100 * v:.0f} %"),
        *frame.x_axis(round_ticks(x_max), x_max),
        *frame.titles(x_label, y_label),
    ]
    for line in sorted(series, key=lambda line: line.slot):  # the floor lies lowest
        points = " ".join(
            f"{frame.x(x, x_max):.1f},{frame.y(y, 1.0):.1f}"
            for x, y in zip(line.x, line.y, strict=True)
            if math.isfinite(x) and math.isfinite(y)
        )
        parts.append(f'<polyline class="line {style(line.slot)}" points="{points}"/>')
    return drawing(frame.width, frame.height, parts, description)


def histogram(values: Floats, x_label: str, description: str, *, bins: int = 32) -> Markup:
    """Draw how often each size of error occurs, with a mark at the median.

    Parameters
    ----------
    values
        (N,) finite, not negative. The last bar holds all beyond the 98th percentile, so that a few
        wild errors do not squeeze the rest.
    x_label
        Axis title with unit.
    description
        Read aloud by screen readers.
    bins
        Number of bars.
    """
    frame = Frame(width=420, height=250, left=50, right=14, top=34, bottom=44)
    # A value that occurs: between the last two of a few hands, one wild error would set the limit.
    limit = float(np.percentile(values, 98, method="lower")) if len(values) else 1.0
    limit = limit if limit > 0 else 1.0
    beyond = bool(len(values)) and float(values.max()) > limit
    counts, _ = np.histogram(np.minimum(values, limit), bins=bins, range=(0.0, limit))
    top = round_ticks(max(1.0, float(counts.max())))[-1]
    top = max(top, float(counts.max()))
    parts = [
        *frame.y_axis([t for t in round_ticks(top) if t == int(t)], top, lambda v: f"{v:,.0f}"),
        *frame.x_axis(
            [t for t in round_ticks(limit) if t <= (0.86 if beyond else 0.97) * limit], limit
        ),
        *frame.titles(x_label, "hands"),
    ]
    step = (frame.width - frame.left - frame.right) / bins
    for i, count in enumerate(counts):
        if count:
            y = frame.y(float(count), top)
            height = frame.height - frame.bottom - y
            kind = "bar beyond" if beyond and i == bins - 1 else "bar"
            parts.append(
                f'<rect class="{kind}" x="{frame.left + i * step + 0.5:.1f}" y="{y:.1f}" '
                f'width="{step - 1:.1f}" height="{height:.1f}"/>'
            )
    if beyond:
        parts.append(words(frame.width - frame.right, frame.height - frame.bottom + 16, "more", 2))
    if len(values):
        median = float(np.median(values))
        x = frame.x(min(median, limit), limit)
        anchor = 0 if x < frame.width / 2 else 2
        offset = 5 if anchor == 0 else -5
        parts.append(
            f'<line class="mark" x1="{x:.1f}" x2="{x:.1f}" y1="{frame.top - 12}" '
            f'y2="{frame.height - frame.bottom}"/>'
        )
        parts.append(
            words(x + offset, frame.top - 4, f"median {short(median)}", anchor, "tick strong")
        )
    return drawing(frame.width, frame.height, parts, description)


def hand(
    values: Sequence[float | None], description: str, *, low: float, high: float, unit: str
) -> Markup:
    """Draw a schematic hand whose 21 joints carry their value as number and colour.

    Parameters
    ----------
    values
        21 numbers in canonical order; None where there is nothing to show.
    description
        Read aloud by screen readers.
    low, high
        Values at the pale and the dark end of the scale.
    unit
        Shown beside the scale.
    """
    palm = " ".join(f"{x},{y}" for x, y in (_HAND[j] for j in (0, 1, 5, 9, 13, 17)))
    parts = [f'<polygon class="skin" points="{palm}"/>']
    parts.extend(_bone(parent, child, "skin") for parent, child in BONES)
    parts.extend(_bone(parent, child, "bone") for parent, child in BONES)
    for joint, (x, y) in enumerate(_HAND):
        value = values[joint]
        title = f"{JOINT_NAMES[joint]}: {'no value' if value is None else f'{value:.2f} {unit}'}"
        fill, ink = ("none", "on-page") if value is None else _shade(value, low, high)
        kind = "joint empty" if value is None else "joint"
        parts.append(
            f'<g><title>{escape(title)}</title><circle class="{kind}" cx="{x}" cy="{y}" r="17.5" '
            f'fill="{fill}"/><text class="value {ink}" x="{x}" y="{y + 4.5}">'
            f"{'–' if value is None else short(value)}</text></g>"
        )
    for name, joints in FINGERS.items():
        x, y = _HAND[joints[3]]
        parts.append(words(x, y - 26, name, 1, "tick"))
    parts.append(words(_HAND[0][0], _HAND[0][1] + 36, "wrist", 1, "tick"))
    parts.extend(_scale_bar(238, 404, 120, low, high, unit))
    return drawing(360, 440, parts, description)


def joint_dots(rows: Sequence[Sequence[float | None]], x_label: str, description: str) -> Markup:
    """Draw one line a joint with a dot a model, so that differences show as gaps.

    Parameters
    ----------
    rows
        One sequence of 21 numbers (or None) a model, in canonical joint order.
    x_label
        Axis title with unit.
    description
        Read aloud by screen readers.
    """
    pitch = 19
    frame = Frame(
        width=440, height=len(JOINT_NAMES) * pitch + 60, left=92, right=16, top=10, bottom=46
    )
    known = [v for row in rows for v in row if v is not None]
    ticks = round_ticks(max(known, default=1.0) or 1.0)
    if ticks[-1] < max(known, default=1.0):
        ticks.append(ticks[-1] + ticks[1])
    x_max = ticks[-1]
    parts = [*frame.x_axis(ticks, x_max, grid=True), *frame.titles(x_label, "")]
    for joint, name in enumerate(JOINT_NAMES):
        y = frame.top + pitch * (joint + 0.5) + 2 * ((joint + 3) // 4)
        values = [(k, v) for k, row in enumerate(rows) if (v := row[joint]) is not None]
        parts.append(
            f'<circle class="f-{finger_of(joint)}" cx="{frame.left - 8}" cy="{y:.1f}" r="3.5"/>'
        )
        parts.append(words(frame.left - 16, y + 4, name.replace("_", " "), 2))
        if values:
            spread = [frame.x(v, x_max) for _, v in values]
            parts.append(
                f'<line class="span" x1="{min(spread):.1f}" x2="{max(spread):.1f}" '
                f'y1="{y:.1f}" y2="{y:.1f}"/>'
            )
        for k, value in values:
            parts.append(marker(frame.x(value, x_max), y, k))
    return drawing(frame.width, frame.height, parts, description)


def _bone(parent: int, child: int, kind: str) -> str:
    (x0, y0), (x1, y1) = _HAND[parent], _HAND[child]
    return f'<line class="{kind}" x1="{x0}" y1="{y0}" x2="{x1}" y2="{y1}"/>'


def _scale_bar(x: float, y: float, width: float, low: float, high: float, unit: str) -> list[str]:
    steps = 24
    parts = []
    for i in range(steps):
        fill, _ = _shade(i / (steps - 1), 0.0, 1.0)
        parts.append(
            f'<rect x="{x + i * width / steps:.2f}" y="{y}" width="{width / steps + 0.3:.2f}" '
            f'height="9" fill="{fill}"/>'
        )
    parts.append(words(x, y + 23, short(low), 0))
    parts.append(words(x + width, y + 23, f"{short(high)} {unit}", 2))
    return parts


def _shade(value: float, low: float, high: float) -> tuple[str, str]:
    """Fill of a value on the scale, and the class of text that can be read on it."""
    span = high - low
    t = min(max((value - low) / span, 0.0), 1.0) if span > 0 else 0.0
    position = t * (len(_SCALE) - 1)
    i = min(int(position), len(_SCALE) - 2)
    mix = position - i
    rgb = [round(a + mix * (b - a)) for a, b in zip(_SCALE[i], _SCALE[i + 1])]
    # The ink with the better contrast, as WCAG 2 measures it; the better one is always enough.
    linear = [
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in np.divide(rgb, 255)
    ]
    luminance = float(np.dot(linear, (0.2126, 0.7152, 0.0722)))
    ink = "on-pale" if (luminance + 0.05) / 0.05 > 1.05 / (luminance + 0.05) else "on-dark"
    return "#" + "".join(f"{c:02x}" for c in rgb), ink
