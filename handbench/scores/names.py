"""Metric names that print and parse: ``PCK@0.2[bbox]``, ``AUC@0-30px[n=20,rule=left,cmp=lt]``.

A name is ``NAME@range[normaliser or alignment, key=value…]`` and complete: what it leaves out has
one documented default, and :func:`str` of a parsed name leaves out exactly the defaults. The
table of keys and defaults is in ``docs/metrics.md``.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np

from handbench.errors import ScoreError
from handbench.hand import NUM_JOINTS
from handbench.metrics import Average, Compare, Missing, Rule

Quantity = Literal["EPE", "PCK", "AUC", "MPJPE", "coverage"]
Unit = Literal["px", "mm", "fraction"]
Size = Literal["bbox", "tight", "palm"]
Alignment = Literal["cam", "root", "scale", "pa", "pa-reflect"]
Frame = Literal["source", "stored"]
Scored = Literal["model", "mean-pose"]
Word = TypeVar("Word", bound=str)

_LATER = {
    "OKS-AP": "average precision needs person areas",
    "F": "F-scores need meshes",
    "MPVPE": "vertex errors need meshes",
    "PA-MPVPE": "vertex errors need meshes",
    "MRRPE": "relative root errors need both hands of an image",
}
_LATER_SIZES = {
    "image": "the size of the source image is not stored",
    "head": "a head size is known for few datasets",
}
_QUANTITIES: dict[str, Quantity] = {
    "EPE": "EPE",
    "PCK": "PCK",
    "AUC": "AUC",
    "MPJPE": "MPJPE",
    "PA-MPJPE": "MPJPE",
    "coverage": "coverage",
}
_SIZES: tuple[Size, ...] = ("bbox", "tight", "palm")
_ALIGNMENTS: tuple[Alignment, ...] = ("cam", "scale", "pa", "pa-reflect")
_COMPARES: tuple[Compare, ...] = ("le", "lt")
_AVERAGES: tuple[Average, ...] = ("joint", "pool")
_MISSING: tuple[Missing, ...] = ("wrong", "drop")
_RULES: tuple[Rule, ...] = ("trapz", "left", "exact")
_FRAMES: tuple[Frame, ...] = ("source", "stored")
_SCORED: tuple[Scored, ...] = ("model", "mean-pose")
_KEYS = ("cmp", "n", "rule", "avg", "missing", "frame", "stat", "of", "root")
_WORDS = ("px", "mm", *_ALIGNMENTS, *_SIZES)
_PATTERN = re.compile(r"(?P<name>[^@\[\]]+)(?:@(?P<range>[^\[\]]*))?(?:\[(?P<options>[^\[\]]*)\])?")
_NUMBER = r"\d+(?:\.\d+)?"


@dataclass(frozen=True)
class Metric:
    """One metric, fully specified. :func:`parse` makes it from a name and ``str()`` prints it.

    Attributes
    ----------
    quantity
        ``EPE`` (2D distance), ``MPJPE`` (3D distance), ``PCK``, ``AUC`` or ``coverage``.
    unit
        Of distances and thresholds: px, mm, or fraction of `size`.
    low, high
        Range of thresholds of an AUC; `high` alone is the threshold of a PCK.
    size
        What 2D distances are divided by, or None.
    alignment
        For 3D: ``cam`` (none), ``root`` (minus joint `root`), ``scale``, ``pa``, ``pa-reflect``.
    cmp, rule, n, avg
        See :mod:`handbench.metrics`.
    missing
        ``wrong``: a missed hand is wrong at every threshold; ``drop``: it is left out.
    frame
        Pixels of the ``source`` or of the ``stored`` image.
    stat
        ``mean``, ``median`` or a percentile ``p95`` of distances.
    of
        ``model``, or ``mean-pose``: the floor that any model should beat.
    """

    quantity: Quantity
    unit: Unit
    low: float = 0.0
    high: float = 0.0
    size: Size | None = None
    alignment: Alignment | None = None
    root: int = 0
    cmp: Compare = "le"
    rule: Rule = "exact"
    n: int = 0
    avg: Average = "joint"
    missing: Missing = "wrong"
    frame: Frame = "source"
    stat: str = "mean"
    of: Scored = "model"

    @property
    def is_3d(self) -> bool:
        """Whether the metric compares 3D keypoints."""
        return self.unit == "mm"

    @property
    def is_distance(self) -> bool:
        """Whether smaller is better."""
        return self.quantity in ("EPE", "MPJPE")

    @property
    def result_unit(self) -> Unit:
        """Unit of the metric's value: px or mm for plain distances, else fraction."""
        return self.unit if self.is_distance else "fraction"

    def __str__(self) -> str:
        if self.quantity == "coverage":
            return "coverage"
        name, alignment = str(self.quantity), self.alignment
        if name == "MPJPE" and alignment == "pa":
            name, alignment = "PA-MPJPE", None
        unit = "" if self.unit == "fraction" else self.unit
        options: list[str] = []
        if self.quantity == "PCK":
            name += f"@{number(self.high)}{unit}"
        elif self.quantity == "AUC":
            name += f"@{number(self.low)}-{number(self.high)}{unit}"
        elif unit:
            options.append(unit)
        if self.size is not None:
            options.append(self.size)
        if alignment is not None:
            options.append(f"root={self.root}" if alignment == "root" else alignment)
        if self.quantity == "AUC":
            options += ["rule=exact"] if self.rule == "exact" else [f"n={self.n}"]
            options += ["rule=left"] if self.rule == "left" else []
        usual = _defaults(self.quantity)
        for key in ("stat", "cmp", "avg", "missing", "frame", "of"):
            value = getattr(self, key)
            if value != usual[key]:
                options.append(f"{key}={value}")
        return name + (f"[{','.join(options)}]" if options else "")


def number(value: float) -> str:
    """The shortest decimal that reads back as `value`, without exponent.

    >>> number(0.2), number(30.0), number(1e6), number(1e-5)
    ('0.2', '30', '1000000', '0.00001')
    """
    return np.format_float_positional(value, trim="-")


def _defaults(quantity: str) -> dict[str, str]:
    distance = quantity in ("EPE", "MPJPE")
    return {
        "cmp": "le",
        "avg": "pool" if distance else "joint",
        "missing": "drop" if distance else "wrong",
        "frame": "source",
        "stat": "mean",
        "of": "model",
    }


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
    if name not in _QUANTITIES:
        raise ScoreError(_unknown(text, "metric name", name, _QUANTITIES, _LATER))
    parser = _Parser(text, name, match["options"] or "")
    return parser.metric(match["range"])


class _Parser:
    """Words and keys between the brackets, taken off one by one."""

    def __init__(self, text: str, name: str, options: str) -> None:
        self.text, self.name = text, name
        self.words: list[str] = []
        self.keys: dict[str, str] = {}
        for part in filter(None, (part.strip() for part in options.split(","))):
            key, equals, value = (piece.strip() for piece in part.partition("="))
            if equals and key not in _KEYS:
                raise ScoreError(_unknown(text, "key", key, _KEYS))
            if not equals and part not in _WORDS:
                raise ScoreError(_unknown(text, "word", part, _WORDS, _LATER_SIZES))
            if part in self.words or key in self.keys:
                raise ScoreError(f"metric {text!r}: {key!r} stands there twice, say it once")
            if equals:
                self.keys[key] = value
            else:
                self.words.append(part)

    def metric(self, range_text: str | None) -> Metric:
        if self.name == "coverage":
            self._nothing_left(range_text)
            return Metric("coverage", "fraction", avg="pool", missing="drop")
        quantity = _QUANTITIES[self.name]
        low, high, unit = self._range(quantity, range_text)
        size = self._one(_SIZES, "normaliser")
        alignment = self._one(_ALIGNMENTS, "alignment")
        unit = self._unit(quantity, unit, size)
        root = 0
        if "root" in self.keys:
            if alignment is not None:
                raise ScoreError(f"metric {self.text!r}: choose one of {alignment} and root=")
            alignment, root = "root", self._integer("root", 0, NUM_JOINTS - 1)
        if self.name == "PA-MPJPE":
            if alignment not in (None, "pa"):
                raise ScoreError(
                    f"metric {self.text!r}: PA-MPJPE is aligned by a proper rotation; write "
                    f"MPJPE[mm,{alignment}] for another alignment"
                )
            alignment = "pa"
        if unit == "mm":
            alignment = alignment or "cam"
        elif alignment is not None:
            raise ScoreError(
                f"metric {self.text!r}: an alignment belongs to 3D metrics in mm, not to {unit}"
            )
        rule, n = self._grid(quantity)
        usual = _defaults(quantity)
        metric = Metric(
            quantity,
            unit,
            low=low,
            high=high,
            size=size,
            alignment=alignment,
            root=root,
            rule=rule,
            n=n,
            cmp=self._choice("cmp", _COMPARES, usual),
            avg=self._choice("avg", _AVERAGES, usual),
            missing=self._choice("missing", _MISSING, usual),
            frame=self._choice("frame", _FRAMES, usual),
            of=self._choice("of", _SCORED, usual),
            stat=self._stat(quantity),
        )
        self._nothing_left(None)
        return self._consistent(metric)

    def _range(self, quantity: str, text: str | None) -> tuple[float, float, str | None]:
        example = {"PCK": "PCK@0.2[bbox] or PCK@10px", "AUC": "AUC@0-30px[n=20]"}
        if quantity not in example:
            if text is not None:
                raise ScoreError(f"metric {self.text!r}: {self.name} takes no range, drop @{text}")
            return 0.0, 0.0, None
        pattern = _NUMBER if quantity == "PCK" else f"({_NUMBER})-({_NUMBER})"
        match = re.fullmatch(f"({pattern})(px|mm)?", (text or "").strip())
        if match is None:
            raise ScoreError(
                f"metric {self.text!r}: expected a {'threshold' if quantity == 'PCK' else 'range'} "
                f"after @, as in {example[quantity]}"
            )
        unit = match.groups()[-1]
        if not all(np.isfinite(float(end)) for end in match[1].split("-")):
            raise ScoreError(f"metric {self.text!r}: the threshold is beyond every number")
        if quantity == "PCK":
            return 0.0, float(match[1]), unit
        low, high = float(match[2]), float(match[3])
        if low >= high:
            raise ScoreError(
                f"metric {self.text!r}: the range must rise, found {number(low)} to {number(high)}"
            )
        return low, high, unit

    def _unit(self, quantity: str, unit: str | None, size: str | None) -> Unit:
        word = self._one(("px", "mm"), "unit")
        named = {u for u in (unit, word) if u is not None}
        if quantity == "MPJPE" and named == {"px"}:
            raise ScoreError(f"metric {self.text!r}: MPJPE is a 3D distance in mm; use EPE for px")
        if quantity == "EPE" and named == {"mm"}:
            raise ScoreError(f"metric {self.text!r}: EPE is a 2D distance; use MPJPE for mm")
        if len(named) > 1 or (named and size is not None):
            both = [*sorted(named), *([size] if size else [])]
            raise ScoreError(f"metric {self.text!r}: choose one of {' and '.join(both)}")
        if size is not None:
            return "fraction"
        if quantity == "MPJPE" or named == {"mm"}:
            return "mm"
        if named == {"px"} or quantity == "EPE":
            return "px"
        raise ScoreError(
            f"metric {self.text!r}: thresholds of what? Add a unit (px, mm) or a normaliser, as in "
            f"{self.text.split('[')[0]}[bbox]; known normalisers are {', '.join(_SIZES)}"
        )

    def _grid(self, quantity: str) -> tuple[Rule, int]:
        if quantity != "AUC":
            for key in ("n", "rule"):
                if key in self.keys:
                    raise ScoreError(f"metric {self.text!r}: {key!r} belongs to AUC only")
            return "exact", 0
        usual = "trapz" if "n" in self.keys else "exact"
        rule = self._choice("rule", _RULES, {"rule": usual})
        if rule == "exact":
            if "n" in self.keys:
                raise ScoreError(f"metric {self.text!r}: rule=exact uses no thresholds, drop n")
            return "exact", 0
        if "n" not in self.keys:
            raise ScoreError(
                f"metric {self.text!r}: rule={rule} needs the number of thresholds, as in n=20"
            )
        return rule, self._integer("n", 2, 100_000)

    def _stat(self, quantity: str) -> str:
        stat = self.keys.pop("stat", "mean")
        if stat != "mean" and quantity not in ("EPE", "MPJPE"):
            raise ScoreError(f"metric {self.text!r}: stat belongs to EPE and MPJPE only")
        if stat not in ("mean", "median") and not re.fullmatch(r"p[1-9]\d?", stat):
            raise ScoreError(
                f"metric {self.text!r}: stat is mean, median or p1 to p99, found {stat!r}"
            )
        return stat

    def _choice(self, key: str, known: tuple[Word, ...], usual: dict[str, str]) -> Word:
        value = self.keys.pop(key, usual[key])
        for word in known:
            if word == value:
                return word
        raise ScoreError(_unknown(self.text, key, value, known))

    def _integer(self, key: str, low: int, high: int) -> int:
        value = self.keys.pop(key)
        if not value.isdecimal() or not low <= int(value) <= high:
            raise ScoreError(
                f"metric {self.text!r}: {key} must be a whole number from {low} to {high:,}, "
                f"found {value!r}"
            )
        return int(value)

    def _one(self, known: tuple[Word, ...], what: str) -> Word | None:
        found = [word for word in known if word in self.words]
        if len(found) > 1:
            raise ScoreError(f"metric {self.text!r}: choose one {what} of {' and '.join(found)}")
        self.words = [word for word in self.words if word not in known]
        return found[0] if found else None

    def _nothing_left(self, range_text: str | None) -> None:
        left = [*self.words, *self.keys, *([f"@{range_text}"] if range_text else [])]
        if left:
            raise ScoreError(f"metric {self.text!r}: {self.name} takes no {', '.join(left)}")

    def _consistent(self, metric: Metric) -> Metric:
        if metric.is_distance and metric.missing == "wrong":
            raise ScoreError(
                f"metric {self.text!r}: a missed hand has no distance, so a mean of distances "
                "cannot count it; read it beside its coverage, or use PCK or AUC"
            )
        if metric.is_distance and metric.cmp != "le":
            raise ScoreError(f"metric {self.text!r}: cmp belongs to PCK and AUC only")
        if metric.frame == "stored" and metric.unit != "px":
            raise ScoreError(f"metric {self.text!r}: frame=stored belongs to metrics in px only")
        if metric.of == "mean-pose" and metric.is_3d:
            raise ScoreError(f"metric {self.text!r}: the mean-pose floor is defined in 2D only")
        if metric.quantity == "AUC" and metric.rule == "exact" and metric.cmp == "lt":
            raise ScoreError(f"metric {self.text!r}: rule=exact has no comparison, drop cmp=lt")
        return metric


def _unknown(
    text: str, kind: str, found: str, known: Iterable[str], later: dict[str, str] | None = None
) -> str:
    """Sentence for an unknown word: the nearest known one, or all of them."""
    if later and found in later:
        return f"metric {text!r}: {found} is not computed by this version ({later[found]})"
    names = {name.lower(): name for name in known}
    near = difflib.get_close_matches(found.lower(), names, n=1, cutoff=0.5)
    hint = f"did you mean {names[near[0]]!r}?" if near else f"known: {', '.join(names.values())}"
    return f"metric {text!r}: unknown {kind} {found!r}; {hint}"
