from __future__ import annotations

import re
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from handbench.hand import JOINT_NAMES
from handbench.reports import figures
from handbench.reports.svg import FLOOR, MODEL_COLORS, legend_key, short

HOSTILE = "</svg><script>alert(1)</script>\"'&"


def parsed(svg: str) -> ET.Element:
    """The drawing as XML: broken escaping does not parse."""
    return ET.fromstring(svg)  # noqa: S314 - our own text


def test_line_chart_puts_points_where_they_belong() -> None:
    line = figures.Series("net", [0.0, 5.0, 10.0], [0.0, 0.5, 1.0])
    svg = parsed(figures.line_chart([line], "threshold, px", "correct", "a curve"))
    (polyline,) = svg.iter("polyline")
    points = [tuple(map(float, pair.split(","))) for pair in polyline.attrib["points"].split()]
    (x0, y0), (x1, y1), (x2, y2) = points
    assert x1 - x0 == pytest.approx(x2 - x1, abs=0.11)
    assert y0 - y1 == pytest.approx(y1 - y2, abs=0.11)
    assert y0 > y2, "SVG's y axis points down"
    assert svg.attrib["role"] == "img"
    assert svg.attrib["aria-label"] == "a curve"


def test_every_model_has_its_own_line_style() -> None:
    lines = [figures.Series(str(k), [0, 1], [0, 1], k) for k in range(MODEL_COLORS)]
    svg = figures.line_chart(lines, "x", "y", "d")
    styles = re.findall(r'class="line (s\d)"', svg)
    assert len(set(styles)) == MODEL_COLORS


@pytest.mark.parametrize("slot", range(9))
def test_legend_key_repeats_the_style_of_the_line(slot: int) -> None:
    style = f"s{slot % MODEL_COLORS}"
    assert style in legend_key(slot)
    assert style in legend_key(slot, dot=True)


def test_the_floor_is_drawn_below_the_models_in_its_own_style() -> None:
    lines = [figures.Series("a", [0, 1], [0, 1], 0), figures.Series("f", [0, 1], [0, 0.5], FLOOR)]
    styles = re.findall(r'class="line (\w+)"', figures.line_chart(lines, "x", "y", "d"))
    assert styles == ["floor", "s0"]
    assert "floor" in legend_key(FLOOR)


def test_no_tick_runs_into_the_word_for_the_last_bar() -> None:
    svg = parsed(figures.histogram(np.array([*range(99), 1e4]) / 6.4, "px", "d"))
    base = max(float(t.attrib["y"]) for t in svg.iter("text") if t.text == "more")
    ticks = [t for t in svg.iter("text") if t.attrib["y"] == f"{base:.1f}" and t.text != "more"]
    assert max(float(t.attrib["x"]) for t in ticks) < 370


def test_histogram_counts_every_hand() -> None:
    values = np.concatenate([np.full(30, 2.0), np.full(10, 7.5), [500.0]])
    svg = parsed(figures.histogram(values, "px", "d", bins=10))
    kinds = {bar.attrib["class"] for bar in svg.iter("rect")}
    heights = sorted(float(bar.attrib["height"]) for bar in svg.iter("rect"))
    # 98 % of the hands lie at or below 7.5 px: the last bar holds both 7.5 px and the wild one.
    assert heights[1] / heights[0] == pytest.approx(30 / 11, rel=0.02)
    assert "bar beyond" in kinds
    assert "median 2.0" in "".join(svg.itertext())


@pytest.mark.parametrize("values", [[3.0], [0.0, 0.0], [1e-9, 2e-9], [1e6] * 5, list(range(400))])
def test_histogram_of_odd_data_is_drawn(values: list[float]) -> None:
    svg = parsed(figures.histogram(np.array(values), "px", "d"))
    for bar in svg.iter("rect"):
        assert 0 < float(bar.attrib["height"]) < 250


def test_hand_carries_all_values_and_their_names() -> None:
    values: list[float | None] = [float(joint) for joint in range(21)]
    values[4] = None
    svg = parsed(figures.hand(values, "a hand", low=0.0, high=20.0, unit="px"))
    titles = [title.text for title in svg.iter("title")]
    assert titles[8] == "index_tip: 8.00 px"
    assert titles[4] == "thumb_tip: no value"
    circles = [c for c in svg.iter("circle") if "joint" in c.attrib["class"]]
    assert len(circles) == 21
    fills = [circle.attrib["fill"] for circle in circles]
    assert fills[4] == "none"
    assert fills[0] != fills[20]
    assert all(re.fullmatch("#[0-9a-f]{6}", fill) for fill in fills if fill != "none")


def test_text_on_a_joint_contrasts_with_it() -> None:
    svg = parsed(figures.hand([0.0] * 10 + [9.0] * 11, "d", low=0.0, high=9.0, unit="px"))
    texts = [t.attrib["class"] for t in svg.iter("text") if "value" in t.attrib["class"]]
    assert texts[0] == "value on-pale"
    assert texts[20] == "value on-dark"


def test_equal_values_have_one_colour() -> None:
    svg = parsed(figures.hand([4.0] * 21, "d", low=4.0, high=4.0, unit="px"))
    fills = {c.attrib["fill"] for c in svg.iter("circle")}
    assert len(fills) == 1


def test_joint_dots_name_every_joint_and_leave_out_what_is_missing() -> None:
    rows: list[list[float | None]] = [[1.0] * 21, [2.0] * 20 + [None]]
    svg = parsed(figures.joint_dots(rows, "px", "d"))
    words = "".join(svg.itertext())
    assert all(name.replace("_", " ") in words for name in JOINT_NAMES)
    assert len([e for e in svg.iter() if e.attrib.get("class") == "dot s0"]) == 21
    assert len([e for e in svg.iter() if e.attrib.get("class") == "dot s1"]) == 20


@pytest.mark.parametrize("rows", [[[None] * 21, [None] * 21], [[0.0] * 21]])
def test_joint_dots_without_values_are_drawn(rows: list[list[float | None]]) -> None:
    assert "NaN" not in figures.joint_dots(rows, "px", "d")


def test_words_are_escaped() -> None:
    drawings = [
        figures.line_chart([figures.Series(HOSTILE, [0, 1], [0, 1])], HOSTILE, HOSTILE, HOSTILE),
        figures.histogram(np.ones(3), HOSTILE, HOSTILE),
        figures.hand([1.0] * 21, HOSTILE, low=0, high=1, unit=HOSTILE),
        figures.joint_dots([[1.0] * 21], HOSTILE, HOSTILE),
    ]
    for svg in drawings:
        assert "<script" not in svg
        assert parsed(svg).attrib["aria-label"] == HOSTILE


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0.0"), (9.94, "9.9"), (9.96, "10"), (1234.4, "1234"), (12345.0, "12k"), (1e9, "≫")],
)
def test_short_numbers_fit_a_joint(value: float, text: str) -> None:
    assert short(value) == text
    assert len(text) <= 4
