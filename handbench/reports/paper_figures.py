"""Figures for papers as SVG, PDF and PNG: PCK curves, joints, intervals, groups of hands.

One style for all: the report's colours and dashes for models, so that colour is never the only
difference; sizes of a column (3.35 in) or a page (6.9 in) of a two-column paper; fonts inside the
file. The same results give the same bytes: no date, no random ids.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from handbench.errors import HandbenchError
from handbench.files import write_bytes
from handbench.hand import JOINT_NAMES
from handbench.reports.curves import families
from handbench.reports.escape import one_line
from handbench.reports.table_columns import Models, number_of, parsed, preset_of
from handbench.scores.metric import Metric
from handbench.scores.results import Results
from handbench.scores.subsets import Breakdown

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTHS = {"column": 3.35, "page": 6.9}
"""Name → inches."""
KINDS = ("curves", "joints", "intervals", "groups")
FILES = ("svg", "pdf", "png")
PNG_DPI = 300

COLORS = (
    *("#0b69b7", "#d2500c", "#0a8560", "#9c3f97"),
    *("#8a6d00", "#2aa0d8", "#c2264b", "#5f6772"),
)
"""Of models, as in the light style sheet of the report."""
_DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1.2, 1.6)), (0, (6, 2, 1.2, 2)))
_MARKERS = ("o", "s", "D", "^")
_INK, _GREY, _GRID = "#1d2329", "#5f6772", "#d9dde2"
_INSIDE = 6
"""Models whose legend fits inside the axes."""
_KEY, _LETTER, _LEGEND_ROW = 0.4, 0.055, 0.13
"""Inches that a legend takes: its key, a letter, a row."""
_LONGEST = 40

STYLE: dict[str, Any] = {
    "font.family": ["DejaVu Sans"],  # comes with matplotlib: the same on every machine
    "font.size": 7,
    "axes.labelsize": 7.5,
    "axes.edgecolor": _GREY,
    "axes.labelcolor": _INK,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": _GRID,
    "grid.linewidth": 0.5,
    "lines.linewidth": 1.3,
    "lines.markersize": 4,
    "legend.frameon": False,
    "legend.fontsize": 6.5,
    "legend.title_fontsize": 6.5,
    "legend.handlelength": 2.4,
    "legend.labelspacing": 0.3,
    "text.color": _INK,
    "text.parse_math": False,  # names of models are text, whatever they hold
    "xtick.color": _GREY,
    "ytick.color": _GREY,
    "xtick.labelcolor": _INK,
    "ytick.labelcolor": _INK,
    "xtick.labelsize": 6.5,
    "ytick.labelsize": 6.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "svg.fonttype": "path",
    "svg.hashsalt": "handbench",
    "pdf.fonttype": 42,
    "savefig.facecolor": "white",
    "figure.constrained_layout.use": True,
    "figure.constrained_layout.h_pad": 0.03,
    "figure.constrained_layout.w_pad": 0.03,
}
METADATA: dict[str, dict[str, Any]] = {
    "svg": {"Date": None, "Creator": "handbench"},
    "pdf": {"CreationDate": None, "Creator": "handbench", "Producer": None},
    "png": {"Software": "handbench"},
}


@dataclass(frozen=True)
class Drawn:
    """What was written: paths, and sentences on names that could not be drawn."""

    paths: list[Path]
    notes: list[str]


def write_figures(
    named: Sequence[tuple[str, Results]],
    out: Path,
    *,
    kinds: Sequence[str] = KINDS,
    width: str = "column",
    breakdowns: Mapping[str, Sequence[Breakdown]] | None = None,
) -> Drawn:
    """Draw results that may be compared into common figures, each as SVG, PDF and PNG.

    Parameters
    ----------
    named
        Label of the model and its results. Only equal signatures share a figure.
    out
        Folder.
    kinds
        Of :data:`KINDS`. ``curves``: one figure a PCK curve. ``joints`` and ``intervals``: of the
        metric that ranks. ``groups``: one figure a breakdown.
    width
        Of :data:`WIDTHS`.
    breakdowns
        Label → groups of hands, where there are any.

    Raises
    ------
    HandbenchError
        If there is nothing to draw, or `out` cannot be written.
    """
    from matplotlib import rc_context

    groups: dict[tuple[str, str, str, str], dict[str, Results]] = {}
    for label, one in named:
        key = (one.dataset, one.split, one.protocol, one.signature)
        groups.setdefault(key, {})[label] = one
    paths: list[Path] = []
    drawable, notes = _drawable([label for label, _ in named])
    stems: list[str] = []
    for key, group in groups.items():
        stem = _slug(*key[:3])
        stems.append(stem)
        stem = f"{stem}-{stems.count(stem)}" if stems.count(stem) > 1 else stem
        models = {drawable[label]: one for label, one in group.items()}
        of_models = {
            drawable[label]: parts for label, parts in (breakdowns or {}).items() if label in group
        }
        with rc_context(cast("Any", STYLE)):
            for name, figure in _figures(models, kinds, WIDTHS[width], of_models):
                paths += _save(figure, out, f"{stem}-{name}")
    if not paths:
        raise HandbenchError(
            f"nothing to draw: expected {', '.join(kinds)} in the results, found none; evaluate "
            "under a protocol with curves, such as handbench"
        )
    return Drawn(paths, notes)


def _figures(
    models: Models,
    kinds: Sequence[str],
    inches: float,
    breakdowns: Mapping[str, Sequence[Breakdown]],
) -> list[tuple[str, Figure]]:
    found: list[tuple[str, Figure]] = []
    if "curves" in kinds:
        found += _curves(models, inches)
    ranks = _ranking_metric(models)
    if ranks is not None and "joints" in kinds:
        found += _joints(models, ranks, inches)
    if ranks is not None and "intervals" in kinds:
        found += _intervals(models, ranks, inches)
    if "groups" in kinds and breakdowns:
        found += _groups(breakdowns, inches)
    return found


# --- PCK curves -----------------------------------------------------------------------------------


def _curves(models: Models, inches: float) -> list[tuple[str, Figure]]:
    found = []
    for family in families([one.curves for one in models.values()], list(models)):
        figure, axes = _axes(inches, min(0.72 * inches, 3.2))
        auc = _area(models, family.name)
        handles = []
        for series in family.series:
            (line,) = axes.plot(series.x, series.y, clip_on=False, **_line(series.slot))
            handles.append(line)
        axes.set_xlim(0, max(max(series.x) for series in family.series))
        axes.set_ylim(0, 1.0)
        axes.set_xlabel(family.x_label)
        axes.set_ylabel("share of correct joints")
        labels = [series.name for series in family.series]
        if auc is not None:
            values = (number_of(models[label], auc) for label in labels)
            labels = [
                label if value is None else f"{label}  {value:.3f}"
                for label, value in zip(labels, values)
            ]
        title = None if auc is None else re.sub(r"\[.*", "", auc)
        _legend(figure, axes, handles, labels, title, above=len(handles) > _INSIDE)
        found.append((_slug(family.name), figure))
    return found


def _area(models: Models, curve: str) -> str | None:
    """Name of the AUC that belongs to a curve, for its legend."""
    preset = preset_of(models)
    swept = next((c.metric for c in preset.curves if c.name == curve), None) if preset else None
    if swept is None:
        return None
    for name in next(iter(models.values())).metrics:
        metric = parsed(name)
        if metric is not None and metric.quantity == "AUC":
            at_end = replace(metric, quantity="PCK", low=0.0, high=swept.high, rule="exact", n=0)
            if at_end == swept:
                return name
    return None


# --- joints ---------------------------------------------------------------------------------------


def _joints(models: Models, metric: Metric, inches: float) -> list[tuple[str, Figure]]:
    """A dot a model and joint; joints downwards in a column, side by side on a page."""
    name = str(metric)
    rows = {label: one.per_joint[name] for label, one in models.items() if name in one.per_joint}
    if not rows:
        return []
    upright = inches <= WIDTHS["column"]
    figure, axes = _axes(inches, 3.7 if upright else 2.3)
    # A little room between fingers.
    places = [joint + 0.6 * ((joint + 3) // 4) for joint in range(len(JOINT_NAMES))]
    known = [value for row in rows.values() for value in row if value is not None]
    for place, joint in zip(places, range(len(JOINT_NAMES))):
        spread = [v for row in rows.values() if (v := row[joint]) is not None]
        if len(spread) > 1:
            ends = (min(spread), max(spread))
            span = (ends, (place, place)) if upright else ((place, place), ends)
            axes.plot(*span, color=_GRID, linewidth=1.6, zorder=1, solid_capstyle="round")
    handles = []
    for slot, row in enumerate(rows.values()):
        there = {place: value for place, value in zip(places, row) if value is not None}
        values, along = list(there.values()), list(there)
        points = (values, along) if upright else (along, values)
        (dots,) = axes.plot(*points, linestyle="none", zorder=3, **_dot(slot))
        handles.append(dots)
    names = [joint.replace("_", " ") for joint in JOINT_NAMES]
    low, high = (min(known), max(known)) if known else (0.0, 1.0)
    room = 0.06 * (high - low) or 0.05
    limits = (0.0 if metric.is_distance else low - room, high + room)
    if upright:
        axes.set_yticks(places, names)
        axes.set_ylim(places[-1] + 0.8, -0.8)
        axes.set_xlim(*limits)
        axes.set_xlabel(_axis(metric))
        axes.grid(False, axis="y")
    else:
        axes.set_xticks(places, names, rotation=55, ha="right", rotation_mode="anchor")
        axes.set_xlim(-0.8, places[-1] + 0.8)
        axes.set_ylim(*limits)
        axes.set_ylabel(_axis(metric))
        axes.grid(False, axis="x")
    _legend(figure, axes, handles, list(rows), None, above=True)
    return [("joints", figure)]


# --- intervals ------------------------------------------------------------------------------------


def _intervals(models: Models, metric: Metric, inches: float) -> list[tuple[str, Figure]]:
    """A line a model with its 95 % interval, best first; the mean pose as a mark."""
    name = str(metric)
    rows = [
        (value, one.metrics[name].ci95, slot, label)
        for slot, (label, one) in enumerate(models.items())
        if (value := number_of(one, name)) is not None
    ]
    if not any(ends for _, ends, _, _ in rows):
        return []
    rows.sort(key=lambda row: row[0], reverse=not metric.is_distance)
    figure, axes = _axes(inches, 0.62 + 0.2 * len(rows))
    for place, (value, ends, slot, _) in enumerate(rows):
        style = _dot(slot)
        if ends is not None:
            axes.plot(ends, (place, place), color=style["color"], linewidth=1.1)
        axes.plot([value], [place], linestyle="none", zorder=3, **style)
    axes.set_yticks(range(len(rows)), [label for *_, label in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.grid(False, axis="y")
    axes.set_xlabel(f"{_axis(metric)}\nwith 95 % interval")
    floor = next(iter(models.values())).metrics.get(str(replace(metric, of="mean-pose")))
    if floor is not None and floor.value is not None:
        axes.axvline(floor.value, color=_GREY, linewidth=0.8, linestyle=(0, (3, 2)))
        low, high = axes.get_xlim()
        left = floor.value > (low + high) / 2
        axes.annotate(
            "mean pose",
            (floor.value, 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(-3 if left else 3, 1),
            textcoords="offset points",
            ha="right" if left else "left",
            va="bottom",
            fontsize=6,
            color=_GREY,
        )
    return [("intervals", figure)]


# --- groups of hands ------------------------------------------------------------------------------


def _groups(
    breakdowns: Mapping[str, Sequence[Breakdown]], inches: float
) -> list[tuple[str, Figure]]:
    """A dot with its interval a group and model, of the first metric of each breakdown."""
    found = []
    labels = list(breakdowns)
    for parts in zip(*breakdowns.values()):
        values = list(dict.fromkeys(s.value for part in parts for s in part.subsets))
        first = next((s for part in parts for s in part.subsets if s.metrics), None)
        if first is None or len(values) < 2:
            continue
        name = next(iter(first.metrics))
        metric = parsed(name)
        if metric is None:
            continue
        step = 0.7 / max(1, len(parts))
        figure, axes = _axes(inches, 0.75 + len(values) * (0.12 + 0.09 * len(parts)))
        handles = []
        for slot, part in enumerate(parts):
            offset = (slot - (len(parts) - 1) / 2) * step
            style = _dot(slot)
            points = []
            for subset in part.subsets:
                value, ends = subset.metrics.get(name), subset.ci95.get(name)
                if value is None:
                    continue
                place = values.index(subset.value) + offset
                points.append((value, place))
                if ends is not None:
                    axes.plot(ends, (place, place), color=style["color"], linewidth=1)
            x, y = zip(*points) if points else ((), ())
            (dots,) = axes.plot(x, y, linestyle="none", zorder=3, **style)
            handles.append(dots)
        axes.set_yticks(range(len(values)), _drawable(values, "group")[0].values())
        axes.set_ylim(len(values) - 0.5, -0.5)
        axes.grid(False, axis="y")
        some = any(subset.ci95.get(name) for part in parts for subset in part.subsets)
        axes.set_xlabel(_axis(metric) + ("\nwith 95 % interval" if some else ""))
        axes.set_ylabel(parts[0].by.replace("_", " "))
        _legend(figure, axes, handles, labels, None, above=True)
        found.append((f"by-{_slug(parts[0].by)}", figure))
    return found


# --- what all share -------------------------------------------------------------------------------


def _ranking_metric(models: Models) -> Metric | None:
    preset = preset_of(models)
    ranks = preset.ranking_metrics if preset else ()
    return next(
        (m for m in ranks if any(number_of(r, str(m)) is not None for r in models.values())), None
    )


def _axes(width: float, height: float) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height))
    return figure, figure.add_subplot()


def _line(slot: int) -> dict[str, Any]:
    return {"color": COLORS[slot % len(COLORS)], "linestyle": _DASHES[slot % len(_DASHES)]}


def _dot(slot: int) -> dict[str, Any]:
    return {
        "color": COLORS[slot % len(COLORS)],
        "marker": _MARKERS[slot % len(_MARKERS)],
        "markeredgecolor": "white",
        "markeredgewidth": 0.4,
    }


def _axis(metric: Metric) -> str:
    """Title of an axis: the full name with its better direction, as in tables."""
    return f"{metric} {'↓' if metric.is_distance else '↑'}"


def _legend(
    figure: Figure,
    axes: Axes,
    handles: Sequence[Any],
    labels: Sequence[str],
    title: str | None,
    *,
    above: bool,
) -> None:
    """A legend inside the axes or above them; none where a single model needs none."""
    if len(handles) < 2 and title is None:
        return
    # matplotlib leaves out labels that begin with an underscore.
    shown = [f" {label}" if label.startswith("_") else label for label in labels]
    if above:
        width = _KEY + _LETTER * max(map(len, shown))
        columns = max(1, min(len(handles), int(figure.get_figwidth() / width)))
        rows = math.ceil(len(handles) / columns)
        figure.set_figheight(figure.get_figheight() + _LEGEND_ROW * rows)
        dots = all(handle.get_linestyle() == "None" for handle in handles)
        short = {"handlelength": 1.0, "columnspacing": 1.2} if dots else {}
        figure.legend(
            handles,
            shown,
            loc="outside upper center",
            ncols=columns,
            title=title,
            alignment="left",
            **short,
        )
    else:
        axes.legend(handles, shown, loc="lower right", title=title, alignment="left")


def _drawable(labels: Sequence[str], kind: str = "model") -> tuple[dict[str, str], list[str]]:
    """Label → label that the font can draw, and a sentence on each that had to change."""
    from matplotlib.font_manager import findfont, get_font

    letters = get_font(findfont("DejaVu Sans")).get_charmap()
    drawable: dict[str, str] = {}
    notes = []
    for label in dict.fromkeys(labels):
        line = one_line(label)
        if any(ord(mark) not in letters for mark in line):
            line = f"{kind} {len(drawable) + 1}"
            notes.append(f"figures call {label!r} {line!r}: their font lacks its letters")
        line = line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"
        while line in drawable.values():
            line += "'"
        drawable[label] = line
    return drawable, notes


def _save(figure: Figure, out: Path, stem: str) -> list[Path]:
    paths = []
    for ending in FILES:
        path = Path(out) / f"{stem}.{ending}"
        stream = io.BytesIO()
        figure.savefig(stream, format=ending, dpi=PNG_DPI, metadata=METADATA[ending])
        write_bytes(path, stream.getvalue())
        paths.append(path)
    return paths


def _slug(*words: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", "-".join(words).lower()).strip("-") or "figure"
