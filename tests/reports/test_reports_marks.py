from __future__ import annotations

import re
from xml.etree import ElementTree as ET

import pytest

from handbench.hand import JOINT_NAMES
from handbench.reports.marks import Mark, bar, interval_marks, joint_differences, share_bar, span


def parsed(svg: str) -> ET.Element:
    """The drawing as XML: broken escaping does not parse."""
    return ET.fromstring(svg)  # noqa: S314 - our own text


def test_a_mark_lies_inside_its_interval_on_one_scale() -> None:
    svg = parsed(interval_marks([Mark(0, 0.5, (0.4, 0.6))], 0.0, 1.0, reference=0.25))
    (interval,) = (e for e in svg.iter("line") if e.attrib["class"] == "ci s0")
    (disc,) = svg.iter("circle")
    (everything,) = (e for e in svg.iter("line") if e.attrib["class"] == "all")
    left, right = float(interval.attrib["x1"]), float(interval.attrib["x2"])
    middle = float(disc.attrib["cx"])
    assert left < middle < right
    assert middle - left == pytest.approx(right - middle, abs=0.2)
    # A quarter of the scale below the value, which is in its middle.
    assert middle - float(everything.attrib["x1"]) == pytest.approx(2.5 * (middle - left), abs=0.5)
    assert svg.attrib["aria-hidden"] == "true", "the numbers stand beside it"


def test_marks_of_several_models_lie_below_each_other() -> None:
    svg = parsed(interval_marks([Mark(k, 0.5) for k in (0, 4, 8)], 0.0, 1.0))
    heights = [float(disc.attrib["cy"]) for disc in svg.iter("circle")]
    assert heights == sorted(set(heights))
    assert not list(svg.iter("line")), "no interval, no line"


def test_the_scale_holds_all_ends() -> None:
    low, high = span([Mark(0, 0.5, (0.3, 0.6)), Mark(1, 0.9)])
    assert low < 0.3
    assert high > 0.9
    assert span([Mark(0, 0.5)])[0] < 0.5 < span([Mark(0, 0.5)])[1]
    assert span([Mark(0, 0.0)])[0] < 0 < span([Mark(0, 0.0)])[1]
    assert span([]) == (0.0, 1.0)


def test_differences_stand_on_their_side_of_zero() -> None:
    rows = [[Mark(1, 0.1, (0.05, 0.15))], [Mark(1, -0.2, (-0.3, -0.1))], *([[]] * 19)]
    svg = parsed(joint_differences(rows, "x", ("worse", "better"), "d"))
    (zero,) = (e for e in svg.iter("line") if e.attrib["class"] == "zero")
    first, second = (float(e.attrib["x"]) for e in svg.iter("rect"))
    assert second < float(zero.attrib["x1"]) < first
    words = "".join(svg.itertext())
    assert "← worse" in words
    assert "better →" in words
    assert all(name.replace("_", " ") in words for name in JOINT_NAMES)


@pytest.mark.parametrize("marks", [[], [Mark(0, 0.0)], [Mark(0, 1e-9)], [Mark(0, 1e6)]])
def test_odd_differences_are_drawn(marks: list[Mark]) -> None:
    svg = joint_differences([marks] * 21, "x", ("worse", "better"), "d")
    assert parsed(svg).attrib["aria-label"] == "d"
    assert not re.search("nan|inf", svg)


def test_shares_fill_the_bar() -> None:
    svg = parsed(share_bar([(0, "good", 0.75), (2, "<miss>", 0.25), (3, "swap", 0.0)], "a & b"))
    widths = [float(e.attrib["width"]) for e in svg.iter("rect")]
    assert widths[0] / widths[1] == pytest.approx(3, rel=0.02)
    assert [e.attrib["class"] for e in svg.iter("rect")] == ["k0", "k2"]
    assert "".join(svg.itertext()) == "good: 75.0 %<miss>: 25.0 %"
    assert svg.attrib["aria-label"] == "a & b"


def test_the_largest_cost_fills_its_bar() -> None:
    half, whole = (
        float(next(parsed(bar(value, 0.2, 3)).iter("rect")).attrib["width"]) for value in (0.1, 0.2)
    )
    assert whole == pytest.approx(2 * half)
    assert not list(parsed(bar(0.0, 0.2, 3)).iter("rect"))
    assert not list(parsed(bar(0.0, 0.0, 3)).iter("rect"))
