"""Metric names read: ``PCK@0.2[bbox]``, ``AUC@0-30px[n=20,rule=left,cmp=lt]``.

A name is ``NAME@range[normaliser or alignment, key=value…]`` and complete: what it leaves out has
one documented default. The table of words, keys and defaults is in ``docs/metrics.md``.
"""

from __future__ import annotations

import difflib
import functools
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar, get_args

import numpy as np

from handbench.errors import ScoreError
from handbench.hand import JOINT_NAMES, NUM_JOINTS
from handbench.metrics import Average, Compare, Missing, Rule
from handbench.scores.metric import (
    JOINT_SETS,
    OCCLUDED,
    VISIBLE,
    Alignment,
    Area,
    Frame,
    Hands,
    Metric,
    Quantity,
    Scored,
    Size,
    Unit,
    number,
    usual_options,
)

__all__ = ["NAMES", "Metric", "parse"]

Word = TypeVar("Word", bound=str)


@dataclass(frozen=True)
class _Takes:
    """What a metric name takes.

    Attributes
    ----------
    quantity
        What it measures.
    range
        ``""`` nothing after @, ``"threshold"`` or ``"range"``.
    units
        Units it may be in.
    keys
        Keys beside those that decide unit, normaliser and alignment.
    example
        A good name, for messages.
    """

    quantity: Quantity
    range: str = ""
    units: tuple[Unit, ...] = ("fraction",)
    keys: tuple[str, ...] = ()
    example: str = ""


_COUNTING = ("cmp", "avg", "missing", "frame", "joints", "hands", "of")
_MEASURING = ("stat", "avg", "missing", "frame", "joints", "hands", "of")
_MESHES = ("missing", "hands")

NAMES: dict[str, _Takes] = {
    "EPE": _Takes("EPE", units=("px", "fraction"), keys=_MEASURING),
    "PCK": _Takes(
        "PCK", "threshold", ("px", "mm", "fraction"), _COUNTING, "PCK@0.2[bbox] or PCK@10px"
    ),
    "AUC": _Takes(
        "AUC", "range", ("px", "mm", "fraction"), (*_COUNTING, "n", "rule"), "AUC@0-30px[n=20]"
    ),
    "MPJPE": _Takes("MPJPE", units=("mm",), keys=_MEASURING),
    "PA-MPJPE": _Takes("MPJPE", units=("mm",), keys=_MEASURING),
    "MPVPE": _Takes("MPJPE", units=("mm",), keys=_MESHES),
    "PA-MPVPE": _Takes("MPJPE", units=("mm",), keys=_MESHES),
    "F": _Takes("F", "threshold", ("mm",), _MESHES, "F@5mm[pa-reflect]"),
    "MRRPE": _Takes("MRRPE", units=("mm",)),
    "handedness": _Takes("handedness"),
    "OKS-AP": _Takes("OKS-AP", keys=("hands", "sigma")),
    "coverage": _Takes("coverage", keys=("hands",)),
}
"""Every metric name. ``PA-`` is a proper Procrustes alignment, ``MPVPE`` is of vertices."""

_ALIGNMENTS: tuple[Alignment, ...] = ("cam", "scale", "pa", "pa-reflect")
_KEYS = (
    *("cmp", "n", "rule", "avg", "missing", "frame", "stat", "of", "root", "bone"),
    *("joints", "hands", "sigma"),
)
_WORDS = ("px", "mm", "mesh", *_ALIGNMENTS, *get_args(Size), *get_args(Area))
_JOINT_WORDS = ("all", *JOINT_SETS, VISIBLE, OCCLUDED)
_PATTERN = re.compile(r"(?P<name>[^@\[\]]+)(?:@(?P<range>[^\[\]]*))?(?:\[(?P<options>[^\[\]]*)\])?")
_NUMBER = r"\d+(?:\.\d+)?"


@functools.lru_cache(maxsize=4096)
def parse(text: str) -> Metric:
    """Metric from its name.

    Raises
    ------
    ScoreError
        With the nearest known word, if a name, word or key is unknown; or with the missing part.

    >>> str(parse("PCK@0.20[bbox, cmp=le]"))
    'PCK@0.2[bbox]'
    """
    match = _PATTERN.fullmatch(text.strip())
    if match is None:
        raise ScoreError(
            f"metric {text!r}: expected NAME@range[options], for example PCK@0.2[bbox] or "
            "AUC@0-30px[n=20]"
        )
    name = match["name"].strip()
    if name not in NAMES:
        raise ScoreError(_unknown(text, "metric name", name, NAMES))
    return _Parser(text, name, match["options"] or "").metric(match["range"])


class _Parser:
    """Words and keys between the brackets, taken off one by one."""

    def __init__(self, text: str, name: str, options: str) -> None:
        self.text, self.name, self.takes = text, name, NAMES[name]
        self.words: list[str] = []
        self.keys: dict[str, str] = {}
        for part in filter(None, (part.strip() for part in options.split(","))):
            key, equals, value = (piece.strip() for piece in part.partition("="))
            if equals and key not in _KEYS:
                raise ScoreError(_unknown(text, "key", key, _KEYS))
            if not equals and part not in _WORDS:
                raise ScoreError(_unknown(text, "word", part, _WORDS))
            if part in self.words or key in self.keys:
                raise self._error(f"{key!r} stands there twice, say it once")
            if equals:
                self.keys[key] = value
            else:
                self.words.append(part)

    def metric(self, range_text: str | None) -> Metric:
        quantity = self.takes.quantity
        low, high, unit = self._range(range_text)
        size: Size | None = None
        if "fraction" in self.takes.units and quantity in ("EPE", "PCK", "AUC"):
            size = self._one(get_args(Size), "normaliser")
        area: Area | None = None
        if quantity == "OKS-AP":
            area = self._one(get_args(Area), "area") or "person"
        unit = self._unit(unit, size)
        mesh = self._mesh(unit)
        alignment, root, bone = self._alignment(unit)
        rule, n = self._grid(quantity)
        usual = usual_options(quantity)
        metric = Metric(
            quantity,
            unit,
            low=low,
            high=high,
            size=size,
            area=area,
            alignment=alignment,
            root=root,
            bone=bone,
            mesh=mesh,
            rule=rule,
            n=n,
            joints=self._joints(),
            sigma=self._sigma(),
            cmp=self._choice("cmp", get_args(Compare), usual),
            avg=self._choice("avg", get_args(Average), usual),
            missing=self._choice("missing", get_args(Missing), usual),
            frame=self._choice("frame", get_args(Frame), usual),
            hands=self._choice("hands", get_args(Hands), usual),
            of=self._choice("of", get_args(Scored), usual),
            stat=self._stat(),
        )
        if self.words or self.keys:
            raise self._error(f"{self.name} takes no {', '.join([*self.words, *self.keys])}")
        self._check(metric, usual)
        return metric

    # --- parts --------------------------------------------------------------------------------

    def _range(self, text: str | None) -> tuple[float, float, str | None]:
        kind = self.takes.range
        if not kind:
            if text is not None:
                what = "no range, drop" if self.takes.quantity != "coverage" else "no"
                raise self._error(f"{self.name} takes {what} @{text}")
            return 0.0, 0.0, None
        pattern = _NUMBER if kind == "threshold" else f"({_NUMBER})-({_NUMBER})"
        match = re.fullmatch(f"({pattern})(px|mm)?", (text or "").strip())
        if match is None:
            raise self._error(f"expected a {kind} after @, as in {self.takes.example}")
        unit = match.groups()[-1]
        if not all(np.isfinite(float(end)) for end in match[1].split("-")):
            raise self._error("the threshold is beyond every number")
        if kind == "threshold":
            return 0.0, float(match[1]), unit
        low, high = float(match[2]), float(match[3])
        if low >= high:
            raise self._error(f"the range must rise, found {number(low)} to {number(high)}")
        return low, high, unit

    def _unit(self, unit: str | None, size: str | None) -> Unit:
        word = self._one(("px", "mm"), "unit")
        named = {u for u in (unit, word) if u is not None}
        if self.takes.units == ("fraction",):
            if named:
                raise self._error(f"{self.name} takes no {' or '.join(sorted(named))}")
            return "fraction"
        if "px" not in self.takes.units and named == {"px"}:
            raise self._error(f"{self.name} is a 3D distance in mm; use EPE for px")
        if self.takes.quantity == "EPE" and named == {"mm"}:
            raise self._error("EPE is a 2D distance; use MPJPE for mm")
        if len(named) > 1 or (named and size is not None):
            both = [*sorted(named), *([size] if size else [])]
            raise self._error(f"choose one of {' and '.join(both)}")
        if size is not None:
            return "fraction"
        if self.takes.units == ("mm",) or named == {"mm"}:
            return "mm"
        if named == {"px"} or self.takes.quantity == "EPE":
            return "px"
        raise self._error(
            f"thresholds of what? Add a unit (px, mm) or a normaliser, as in "
            f"{self.text.split('[')[0]}[bbox]; known normalisers are {', '.join(get_args(Size))}"
        )

    def _mesh(self, unit: Unit) -> bool:
        word = self._one(("mesh",), "surface") is not None
        if word and (unit != "mm" or self.takes.range == ""):
            raise self._error("mesh belongs to PCK and AUC in mm; the mean distance is MPVPE")
        return word or self.name in ("MPVPE", "PA-MPVPE", "F")

    def _alignment(self, unit: Unit) -> tuple[Alignment | None, int, tuple[int, int] | None]:
        alignment = self._one(_ALIGNMENTS, "alignment")
        root, bone = 0, None
        if "root" in self.keys:
            if alignment is not None:
                raise self._error(f"choose one of {alignment} and root=")
            alignment, root = "root", self._joint("root", self.keys.pop("root"))
        if "bone" in self.keys:
            if alignment != "root":
                raise self._error("bone= scales a hand about its root, so it needs root=<joint>")
            ends = [self._joint("bone", end) for end in self.keys.pop("bone").split("-")]
            if len(ends) != 2 or ends[0] == ends[1]:
                raise self._error("bone takes two joints, as in bone=0-9")
            bone = (ends[0], ends[1])
        if self.name.startswith("PA-"):
            if alignment not in (None, "pa"):
                raise self._error(
                    f"{self.name} is aligned by a proper rotation; write "
                    f"{self.name[3:]}[mm,{alignment}] for another alignment"
                )
            alignment = "pa"
        if unit == "mm" and self.takes.quantity != "MRRPE":
            return alignment or "cam", root, bone
        if alignment is not None:
            raise self._error(
                f"an alignment belongs to 3D metrics in mm, not to {unit}"
                if unit != "mm"
                else "MRRPE compares wrists in camera space and takes no alignment"
            )
        return None, root, bone

    def _grid(self, quantity: str) -> tuple[Rule, int]:
        if quantity != "AUC":
            for key in ("n", "rule"):
                if key in self.keys:
                    raise self._error(f"{key!r} belongs to AUC only")
            return "exact", 0
        usual = "trapz" if "n" in self.keys else "exact"
        rule = self._choice("rule", get_args(Rule), {"rule": usual})
        if rule == "exact":
            if "n" in self.keys:
                raise self._error("rule=exact uses no thresholds, drop n")
            return "exact", 0
        if "n" not in self.keys:
            raise self._error(f"rule={rule} needs the number of thresholds, as in n=20")
        return rule, self._integer("n", self.keys.pop("n"), 2, 100_000)

    def _joints(self) -> str:
        """The joint set in one spelling: words in their order, numbers rising, all left out."""
        parts = {part.strip() for part in self.keys.pop("joints", "all").split("+")} - {"all", ""}
        numbers = {self._joint("joints", p) for p in parts if p.isdecimal() or p in JOINT_NAMES[1:]}
        words = {p for p in parts if not (p.isdecimal() or p in JOINT_NAMES[1:])}
        for word in words - set(_JOINT_WORDS):
            raise ScoreError(_unknown(self.text, "joint set", word, _JOINT_WORDS))
        if {VISIBLE, OCCLUDED} <= words:
            raise self._error("choose one of visible and occluded")
        listed = [word for word in _JOINT_WORDS if word in words]
        return "+".join([*listed, *map(str, sorted(numbers))]) or "all"

    def _sigma(self) -> float:
        text = self.keys.pop("sigma", "0") if self.takes.quantity == "OKS-AP" else "0"
        if not re.fullmatch(_NUMBER, text):
            raise self._error(f"sigma must be a number such as 0.05, found {text!r}")
        return float(text)

    def _stat(self) -> str:
        stat = self.keys.pop("stat", "mean")
        if stat != "mean" and "stat" not in self.takes.keys:
            raise self._error("stat belongs to EPE and MPJPE only")
        if stat not in ("mean", "median") and not re.fullmatch(r"p[1-9]\d?", stat):
            raise self._error(f"stat is mean, median or p1 to p99, found {stat!r}")
        return stat

    def _choice(self, key: str, known: tuple[Word, ...], usual: dict[str, str]) -> Word:
        value = self.keys.pop(key, usual[key])
        for word in known:
            if word == value:
                return word
        raise ScoreError(_unknown(self.text, key, value, known))

    def _joint(self, key: str, value: str) -> int:
        if value in JOINT_NAMES:
            return JOINT_NAMES.index(value)
        return self._integer(key, value, 0, NUM_JOINTS - 1)

    def _integer(self, key: str, value: str, low: int, high: int) -> int:
        if not value.isdecimal() or not low <= int(value) <= high:
            raise self._error(
                f"{key} must be a whole number from {low} to {high:,}, found {value!r}"
            )
        return int(value)

    def _one(self, known: tuple[Word, ...], what: str) -> Word | None:
        found = [word for word in known if word in self.words]
        if len(found) > 1:
            raise self._error(f"choose one {what} of {' and '.join(found)}")
        self.words = [word for word in self.words if word not in known]
        return found[0] if found else None

    def _error(self, sentence: str) -> ScoreError:
        return ScoreError(f"metric {self.text!r}: {sentence}")

    # --- what does not go together ----------------------------------------------------------------

    def _check(self, metric: Metric, usual: dict[str, str]) -> None:
        if metric.is_distance and metric.missing == "wrong":
            raise self._error(
                "a missed hand has no distance, so a mean of distances cannot count it; read it "
                "beside its coverage, or use PCK or AUC"
            )
        if metric.cmp != usual["cmp"] and metric.quantity not in ("PCK", "AUC"):
            raise self._error("cmp belongs to PCK and AUC only")
        for key in ("avg", "missing", "frame", "joints", "hands", "of"):
            if getattr(metric, key) != usual[key] and key not in self.takes.keys:
                raise self._error(f"{self.name} takes no {key}")
        if metric.mesh and metric.quantity != "F":
            for key in ("avg", "joints", "of"):
                if getattr(metric, key) != usual[key]:
                    raise self._error(f"a mesh takes no {key}")
        if metric.frame == "stored" and metric.unit != "px":
            raise self._error("frame=stored belongs to metrics in px only")
        if metric.of == "mean-pose" and metric.is_3d:
            raise self._error("the mean-pose floor is defined in 2D only")
        if metric.quantity == "AUC" and metric.rule == "exact" and metric.cmp == "lt":
            raise self._error("rule=exact has no comparison, drop cmp=lt")
        if metric.stat != "mean" and metric.avg in ("hand", "side"):
            raise self._error(f"stat={metric.stat} goes with avg=pool or avg=joint")


def _unknown(text: str, kind: str, found: str, known: Iterable[str]) -> str:
    """Sentence for an unknown word: the nearest known one, or all of them."""
    names = {name.lower(): name for name in known}
    near = difflib.get_close_matches(found.lower(), names, n=1, cutoff=0.5)
    hint = f"did you mean {names[near[0]]!r}?" if near else f"known: {', '.join(names.values())}"
    return f"metric {text!r}: unknown {kind} {found!r}; {hint}"
