"""Write the reference parts of docs/metrics.md and docs/protocols.md from the definitions.

python tests/tools/make_metrics_reference.py

Text between ``<!-- generated: PART -->`` and ``<!-- end -->`` is replaced; everything else on the
pages is written by hand. A test fails when a part is out of date, and this program fails when the
arithmetic of an example is not what the code gives.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import get_args

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from tools.worked_examples import (
    EXAMPLES,
    METRICS,
    NORMALISERS,
    PROTOCOLS,
    Example,
    Worked,
    offset,
)

from handbench.errors import ScoreError
from handbench.hand import JOINT_NAMES
from handbench.metrics import keypoint_errors
from handbench.scores import definitions
from handbench.scores.definitions import Word, define
from handbench.scores.metric import (
    JOINT_SETS,
    Alignment,
    Area,
    Metric,
    Size,
    number,
    usual_options,
)
from handbench.scores.names import NAMES, parse
from handbench.scores.protocol import Protocol
from handbench.scores.protocols import PROTOCOLS as PRESETS
from handbench.scores.protocols import find_protocol

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGES = ("metrics.md", "protocols.md")
PART = re.compile(
    r"(?P<start><!-- generated: (?P<part>[^>]+?) -->\n).*?(?P<end><!-- end -->)", re.DOTALL
)
EPSILON = 1e-6
"""Meshes are kept in float32, where 5 mm is 4.9999999."""


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines)


def code(words: Iterable[object], between: str = ", ") -> str:
    return between.join(f"`{word}`" for word in words)


def shown(value: float) -> str:
    return number(round(value, 4) + 0.0)


# --- the grammar ----------------------------------------------------------------------------------

_SPELLINGS = {
    "EPE": ("EPE", "EPE[px]"),
    "PCK": ("PCK@1", "PCK@1px", "PCK@1mm", "PCK@1mm[root=0]"),
    "AUC": ("AUC@0-1", "AUC@0-1px", "AUC@0-1mm", "AUC@0-1px[n=9]", "AUC@0-1mm[root=0]"),
    "F": ("F@1mm", "F@1mm[root=0]"),
    "MPJPE": ("MPJPE", "MPJPE[root=0]"),
    "MPVPE": ("MPVPE", "MPVPE[root=0]"),
}
"""Ways to write a name to which some word or key may be added; others are their own only one."""
_TRIED = {"root": ["9"], "bone": ["0-9"], "n": ["7"], "joints": ["tip"], "sigma": ["0.05"]}
_DEFAULTS = {
    "n": "none",
    "rule": "`exact`; `trapz` where `n` is given",
    "root": "none",
    "bone": "none",
    "joints": "`all`",
    "sigma": "the 21 published ones",
}
_FREE = {
    "n": "2 to 100,000",
    "root": "a joint",
    "bone": "two joints, `0-9`",
    "joints": "`all`, or a set of joints",
    "sigma": "a number",
}


def _parses(text: str) -> bool:
    try:
        parse(text)
    except ScoreError:
        return False
    return True


def _takes(name: str, option: str) -> bool:
    """Whether some spelling of `name` accepts `option`: the parser itself is asked."""
    for spelling in _SPELLINGS.get(name, (name,)):
        plain, _, options = spelling.rstrip("]").partition("[")
        if _parses(f"{plain}[{','.join(filter(None, [options, option]))}]"):
            return True
    return False


def _names_with(options: Iterable[str]) -> list[str]:
    options = list(options)
    return [name for name in NAMES if any(_takes(name, option) for option in options)]


def names() -> str:
    ranges = {"": "", "threshold": "threshold", "range": "low-high"}

    def row(name: str) -> list[str]:
        takes, word = NAMES[name], definitions.METRICS[name]
        units = ["a normaliser" if u == "fraction" else f"`{u}`" for u in takes.units]
        unit = ", ".join(units) if takes.quantity in ("EPE", "PCK", "AUC") else ""
        unit = unit or (f"`{takes.units[0]}`" if takes.units[0] != "fraction" else "")
        return [f"[`{name}`](#{name.lower()})", word.phrase, ranges[takes.range], unit, word.source]

    return table(["name", "what it is", "after @", "unit or normaliser", "source"], map(row, NAMES))


def _words(words: dict[str, Word], known: Sequence[str], options: Callable[[str], str]) -> str:
    rows = [
        [
            f"`{word}`",
            f"{words[word].phrase}. {words[word].detail}".rstrip(),
            code(_names_with([options(word)])),
            words[word].source,
        ]
        for word in known
    ]
    return table(["word", "meaning", "taken by", "source"], rows)


def normalisers() -> str:
    return _words(definitions.SIZES, get_args(Size), str)


def areas() -> str:
    return _words(definitions.AREAS, get_args(Area), str)


def alignments() -> str:
    return _words(
        definitions.ALIGNMENTS,
        get_args(Alignment),
        lambda word: "root=9" if word == "root" else word,
    )


def _default(key: str, takers: Sequence[str]) -> str:
    """`le`; F: `lt` — the most common one first, without names."""
    if key in _DEFAULTS:
        return _DEFAULTS[key]
    by_value: dict[str, list[str]] = {}
    for name in takers:
        by_value.setdefault(usual_options(NAMES[name].quantity)[key], []).append(name)
    if len(by_value) == 1:
        return f"`{next(iter(by_value))}`"
    return "; ".join(f"{code(group)}: `{value}`" for value, group in by_value.items())


def keys() -> str:
    def row(key: str) -> list[str]:
        word = definitions.KEYS[key]
        values = definitions.VALUES.get(key)
        takers = _names_with(f"{key}={value}" for value in values or _TRIED[key])
        takers = [name for name in takers if key not in usual_options("") or _may_set(name, key)]
        said = (
            "<br>".join(f"`{value}`: {meaning}" for value, meaning in values.items())
            if values
            else _FREE[key]
        )
        meaning = f"{word.phrase}. {word.detail}" if word.detail else word.phrase
        return [f"`{key}`", meaning, said, _default(key, takers), code(takers), word.source]

    return table(
        ["key", "decides", "values", "default", "taken by", "source"], map(row, definitions.KEYS)
    )


def _may_set(name: str, key: str) -> bool:
    """Whether `key` may have another value than its default: the default is accepted anywhere."""
    usual = usual_options(NAMES[name].quantity)[key]
    others = definitions.VALUES.get(key, dict.fromkeys(_TRIED.get(key, [])))
    return any(_takes(name, f"{key}={value}") for value in others if value != usual)


def joint_sets() -> str:
    rows = [[f"`{name}`", ", ".join(map(str, joints))] for name, joints in JOINT_SETS.items()]
    return table(["set", "joints"], rows)


# --- examples -------------------------------------------------------------------------------------


def _place(point: Sequence[float] | None, otherwise: str) -> str:
    return otherwise if point is None else f"({', '.join(number(float(v)) for v in point)})"


def input_of(example: Example) -> str:
    """The labelled joints of an example, with the errors that the code finds."""
    truth, predictions = example.truth(), example.predictions()
    rows = []
    flat = example.axes == 2
    row_of = {name: row for row, name in enumerate(predictions.id.tolist())}
    for index, hand in enumerate(example.hands):
        for joint in example.joints:
            label = hand.labels.get(joint)
            found = None if hand.predicted is None else hand.predicted.get(joint, (1,) * 2)
            error = "left out" if label is None else "missed"
            if label is not None and found is not None:
                points = predictions.keypoints if flat else predictions.keypoints_3d
                labels = truth.keypoints if flat else truth.keypoints_3d
                assert points is not None and labels is not None
                one = (slice(row_of[hand.name], row_of[hand.name] + 1), slice(joint, joint + 1))
                same = (slice(index, index + 1), slice(joint, joint + 1))
                distance = keypoint_errors(points[one], labels[same], np.ones((1, 1), bool))
                error = shown(float(distance[0, 0]) * (1 if flat else 1000))
            name = f"{joint} ({JOINT_NAMES[joint]})"
            name += ", occluded" if joint in hand.occluded else ""
            rows.append([hand.name, name, _place(label, "none"), _place(found, "none"), error])
    unit = "px" if flat else "mm"
    return table(["hand", "joint", f"label, {unit}", f"prediction, {unit}", f"error, {unit}"], rows)


def vertices_of(example: Example) -> str:
    """The vertices of a mesh, with the distances to their partners and to the nearest others."""
    assert example.meshes is not None
    true, found = example.meshes
    apart = np.linalg.norm(true[:, None] - found[None], axis=-1)
    rows = [
        [str(i), _place(true[i], ""), _place(found[i], "")]
        + [shown(float(d)) for d in (apart[i, i], apart[:, i].min(), apart[i].min())]
        for i in range(len(true))
    ]
    head = ["vertex", "label, mm", "prediction, mm", "apart, mm"]
    return table([*head, "prediction to nearest label", "label to nearest prediction"], rows)


def by_hand(worked: Worked, protocol: str | None = None) -> str:
    """Metric, arithmetic and the code's value; they must agree."""
    rows = []
    for row in worked.rows:
        value = EXAMPLES[worked.example].value(row.name, protocol)
        if abs(value - row.result) > EPSILON:
            raise ValueError(f"{row.name}: {row.by_hand} is {row.result}, the code gives {value}")
        unit = parse(row.name).result_unit
        value_shown = shown(value) + ("" if unit == "fraction" else f" {unit}")
        rows.append([f"`{row.name}`", row.shown, value_shown])
    return table(["metric", "by hand", "value"], rows)


def metric(name: str) -> str:
    word, worked = definitions.METRICS[name], METRICS[name]
    first = parse(worked.rows[0].name)
    unit = {"px": "px, or units of the normaliser", "mm": "mm", "fraction": "fraction, 0 to 1"}
    better = "lower" if first.is_distance else "higher"
    lines = [
        f"`{first}`: {define(first)}. {word.detail}",
        "",
        f"- Unit of the value: {unit[first.result_unit]}; {better} is better.",
        f"- Source: {word.source}.",
        "",
        by_hand(worked),
    ]
    return "\n".join(lines)


# --- protocols ------------------------------------------------------------------------------------


def _grouped(metrics: Sequence[Metric]) -> dict[Metric, list[Metric]]:
    """Metric → its companions: the same over the hands found, and of the mean-pose floor."""
    groups: dict[Metric, list[Metric]] = {}
    for one in metrics:
        usual = usual_options(one.quantity)["missing"]
        plain = replace(one, missing="wrong" if usual == "wrong" else "drop", of="model")
        groups.setdefault(plain, [])
        if plain != one:
            groups[plain].append(one)
    return groups


def _also(plain: Metric, companions: Sequence[Metric]) -> str:
    changed = [
        f"{key}={getattr(other, key)}"
        for other in companions
        for key in ("missing", "of")
        if getattr(other, key) != getattr(plain, key)
    ]
    return code(changed)


def protocol(name: str) -> str:
    preset: Protocol = find_protocol(name)
    primary = str(preset.primary)
    rows = []
    for listed in (preset.metrics_2d, preset.metrics_3d):
        for plain, companions in _grouped(listed).items():
            mark = " (ranks)" if str(plain) == primary else ""
            rows.append([f"`{plain}`{mark}", define(plain), _also(plain, companions)])
    curves = ", ".join(
        f"`{curve.name}` to {number(curve.metric.high)} in {curve.points} points"
        for curve in preset.curves
    )
    facts = [
        f"- Reproduces: {preset.source}.",
        f"- Missed hands: {preset.missing_rule}.",
        f"- Curves: {curves}." if curves else "- Curves: none.",
    ]
    metrics = table(["metric", "in words", "also as"], rows)
    return "\n".join([f"Version {preset.version}. {preset.summary}.", "", *facts, "", metrics])


def overview() -> str:
    rows = [
        [
            f"[`{preset.name}`](#{preset.name})",
            str(preset.version),
            " and ".join(
                words
                for words, metrics in (("2D", preset.metrics_2d), ("3D", preset.metrics_3d))
                if metrics
            )
            + (", meshes" if preset.needs_meshes else ""),
            f"`{preset.primary}`",
            preset.source,
        ]
        for preset in PRESETS
    ]
    return table(["protocol", "version", "scores", "ranks by", "reproduces"], rows)


_PIXELS = (
    ("mmpose", "AUC@0-30px[n=20,rule=left,cmp=lt]"),
    ("zb2d", "AUC@0-30px[n=20,joints=visible]"),
)
_MILLIMETRES = (
    "AUC@0-50mm[cam,n=100]",
    *(f"AUC@20-50mm[cam,n={n}]" for n in (20, 16, 15)),
)


def known_pixels() -> str:
    rows = [
        [str(error)] + [f"{offset(error, 2).value(name, preset):.5f}" for preset, name in _PIXELS]
        for error in (0, 1, 2, 5, 10, 20, 29)
    ]
    heads = [f"{preset}, `{name}`" for preset, name in _PIXELS]
    return table(["error of every joint, px", *heads], rows)


def known_millimetres() -> str:
    rows = [
        [str(error), *(f"{offset(error, 3).value(name):.5f}" for name in _MILLIMETRES)]
        for error in (0, 3, 5, 10, 20, 31, 49)
    ]
    return table(["error of every joint, mm", *(f"`{name}`" for name in _MILLIMETRES)], rows)


# --- pages ----------------------------------------------------------------------------------------


def parts() -> dict[str, Callable[[], str]]:
    """Everything that a page may ask for, by name."""
    made: dict[str, Callable[[], str]] = {
        "names": names,
        "normalisers": normalisers,
        "areas": areas,
        "alignments": alignments,
        "keys": keys,
        "joint sets": joint_sets,
        "normalisers by hand": partial(by_hand, NORMALISERS),
        "protocols": overview,
        "known answers in px": known_pixels,
        "known answers in mm": known_millimetres,
    }
    for name, example in EXAMPLES.items():
        if name != "line":
            made[f"input {name}"] = partial(input_of, example)
    made["vertices line"] = partial(vertices_of, EXAMPLES["line"])
    made |= {f"metric {name}": partial(metric, name) for name in NAMES}
    for preset in PRESETS:
        made[f"protocol {preset.name}"] = partial(protocol, preset.name)
        made[f"{preset.name} by hand"] = partial(by_hand, PROTOCOLS[preset.name], preset.name)
    return made


def refreshed(text: str) -> str:
    """`text` with every generated part made anew."""
    made = parts()

    def part(found: re.Match[str]) -> str:
        return f"{found['start']}\n{made[found['part']]()}\n\n{found['end']}"

    return PART.sub(part, text)


if __name__ == "__main__":
    for page in PAGES:
        path = DOCS / page
        path.write_text(refreshed(path.read_text("utf-8")), "utf-8")
        print(path)
