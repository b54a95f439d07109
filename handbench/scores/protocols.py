"""All protocols: our own default, the published ones, and metrics that a user names.

``docs/protocols.md`` says in words what each protocol does and works one example.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from handbench.errors import ScoreError
from handbench.scores.metric import Metric
from handbench.scores.names import parse
from handbench.scores.protocol import WRONG_IF_MISSED, Curve, Protocol, metrics
from handbench.scores.protocols_2d import HINT, MMPOSE, WHOLEBODY_OKS, ZB2D
from handbench.scores.protocols_3d import AUC3D_20_50, DEXYCB, FREIHAND, HO3D, INTERHAND


def _with_companions(*names: str) -> tuple[Metric, ...]:
    """Each metric, then itself over the hands that were found, then its mean-pose floor."""
    listed: list[Metric] = []
    for name in names:
        metric = parse(name)
        listed += metrics(name)
        if not metric.is_3d and metric.stat == "mean":
            listed.append(replace(metric, of="mean-pose"))
    return tuple(listed)


HANDBENCH = Protocol(
    name="handbench",
    version=1,
    summary=(
        "2D error in units of the tight box and of the projected palm, PCK at 0.05, 0.1 and 0.2, "
        "threshold-free AUC; 3D in camera space, from the wrist and after proper Procrustes"
    ),
    source="handbench; argued in docs/protocols.md",
    missing_rule=WRONG_IF_MISSED,
    primary=parse("AUC@0-0.2[tight,rule=exact]"),
    primary_3d=parse("AUC@0-50mm[root=0,rule=exact]"),
    metrics_2d=(
        parse("coverage"),
        *_with_companions(
            "AUC@0-0.2[tight,rule=exact]",
            "PCK@0.05[tight]",
            "PCK@0.1[tight]",
            "PCK@0.2[tight]",
            "EPE[tight]",
            "AUC@0-0.2[palm,rule=exact]",
            "PCK@0.05[palm]",
            "PCK@0.1[palm]",
            "PCK@0.2[palm]",
            "EPE[palm]",
            "EPE[px]",
            "EPE[px,stat=median]",
            "EPE[px,stat=p95]",
        ),
    ),
    metrics_3d=_with_companions(
        "MPJPE[mm,cam]",
        "MPJPE[mm,root=0]",
        "PA-MPJPE[mm]",
        "AUC@0-50mm[cam,rule=exact]",
        "AUC@0-50mm[root=0,rule=exact]",
        "AUC@0-50mm[pa,rule=exact]",
    ),
    curves=(
        Curve("PCK[tight]", parse("PCK@0.5[tight]"), 101),
        Curve("PCK[palm]", parse("PCK@0.5[palm]"), 101),
        Curve("PCK[px]", parse("PCK@30px"), 61),
        Curve("PCK[mm,cam]", parse("PCK@50mm[cam]"), 101),
        Curve("PCK[mm,root=0]", parse("PCK@50mm[root=0]"), 101),
        Curve("PCK[mm,pa]", parse("PCK@50mm[pa]"), 101),
    ),
)
"""Our default: sizes that every dataset has, and no grid that a reader would have to know."""

PROTOCOLS: tuple[Protocol, ...] = (
    *(HANDBENCH, MMPOSE, FREIHAND, HO3D, DEXYCB, INTERHAND),
    *(ZB2D, AUC3D_20_50, HINT, WHOLEBODY_OKS),
)


def find_protocol(name: str) -> Protocol:
    """Protocol of that name; raises :class:`ScoreError` with the nearest one if there is none."""
    for protocol in PROTOCOLS:
        if protocol.name == name:
            return protocol
    known = [protocol.name for protocol in PROTOCOLS]
    near = difflib.get_close_matches(name.lower(), known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
    raise ScoreError(f"unknown protocol {name!r}; {hint}")


def list_convention(protocols: Sequence[Protocol], assumed: Mapping[str, Any]) -> dict[str, str]:
    """What lists without header, such as ``pred.json``, are written in under these protocols.

    Parameters
    ----------
    protocols
        Those that speak of lists must agree.
    assumed
        What the user says; it decides, whatever the protocols say.

    Raises
    ------
    ScoreError
        If two protocols disagree.
    """
    said: dict[str, tuple[str, str]] = {}
    for protocol in protocols:
        for key, value in protocol.list_convention:
            other, name = said.setdefault(key, (value, protocol.name))
            if other != value and key not in assumed:
                raise ScoreError(
                    f"a list without header has {key} {other} under {name} and {value} under "
                    f"{protocol.name}: score under one of them, or say --assume {key}=…"
                )
    return {key: value for key, (value, _) in said.items() if key not in assumed}


def custom_protocol(names: tuple[str, ...]) -> Protocol:
    """Preset of metrics that the user names, without convention behind it.

    The first metric ranks.

    Raises
    ------
    ScoreError
        If `names` is empty or a name does not parse.
    """
    if not names:
        raise ScoreError("expected at least one metric name, found none")
    # One name twice is one metric; dict keeps the order.
    asked = tuple(dict.fromkeys(parse(name) for name in names))
    return Protocol(
        name="custom",
        version=1,
        summary="metrics named by the user: " + ", ".join(map(str, asked)),
        source="none",
        missing_rule="as each metric name says (PCK and AUC: wrong; distances: left out)",
        primary=asked[0],
        metrics_2d=tuple(metric for metric in asked if not metric.is_3d),
        metrics_3d=tuple(metric for metric in asked if metric.is_3d),
    )


def known_protocol(name: str, metric_names: Sequence[str]) -> Protocol | None:
    """The preset behind results under protocol `name`; None if this handbench does not know it."""
    try:
        return custom_protocol(tuple(metric_names)) if name == "custom" else find_protocol(name)
    except ScoreError:  # results of a newer handbench
        return None
