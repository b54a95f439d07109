"""Assumptions: what a file leaves unsaid, said by whoever reads it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from handbench.errors import PredictionsError
from handbench.hand import JOINT_NAMES
from handbench.predictions.header import Header, joint_order

_WORDS: dict[str, tuple[str, ...]] = {
    "axes": ("opencv", "opengl"),
    "unit": ("m", "mm"),
    "frame": ("source", "stored"),
    "frame_3d": ("camera", *(f"root:{joint}" for joint in JOINT_NAMES)),
}
_TEXTS = ("split", "name")
KEYS = ("axes", "unit", "keypoint_order", "frame", "frame_3d", "split", "name")
"""What may be assumed: keys of the header, and ``name`` for the name in its ``model``."""


def parse_assumptions(texts: Iterable[str]) -> dict[str, Any]:
    """Assumptions written as ``KEY=VALUE``.

    Parameters
    ----------
    texts
        One assumption each; a joint order may also be 21 names or indices with commas between.

    Returns
    -------
    Checked as by :func:`check_assumptions`.

    Raises
    ------
    PredictionsError
        If one has no ``=``, an unknown key or value, or contradicts another.

    Examples
    --------
    >>> parse_assumptions(["axes=opengl", "keypoint_order=mano"])
    {'axes': 'opengl', 'keypoint_order': 'mano'}
    """
    assumed: dict[str, Any] = {}
    for text in texts:
        key, equals, value = (part.strip() for part in text.partition("="))
        if not equals or not key or not value:
            raise PredictionsError(
                f"expected an assumption as KEY=VALUE, found {text!r}: write for example "
                "axes=opengl or unit=mm"
            )
        parsed: Any = value
        if key == "keypoint_order" and "," in value:
            parts = (part.strip() for part in value.split(","))
            parsed = [int(part) if part.isdecimal() else part for part in parts]
        if key in assumed and assumed[key] != parsed:
            raise PredictionsError(
                f"{key} is assumed to be {assumed[key]!r} and {parsed!r}: keep one of them"
            )
        assumed[key] = parsed
    return check_assumptions(assumed)


def check_assumptions(assume: Mapping[str, Any]) -> dict[str, Any]:
    """`assume` as a dict, after a look at every key and value.

    Raises
    ------
    PredictionsError
        If a key or value is unknown; the nearest known one is named.
    """
    for key, value in assume.items():
        if key not in KEYS:
            raise PredictionsError(f"cannot assume {key!r}: {_nearest(key, KEYS)}")
        if key in _WORDS and value not in _WORDS[key]:
            known = _WORDS[key]
            raise PredictionsError(f"cannot assume {key}={value}: {_nearest(str(value), known)}")
        if key in _TEXTS and (not isinstance(value, str) or not value):
            raise PredictionsError(f"cannot assume {key}={value!r}: write some text")
        if key == "keypoint_order":
            joint_order(value, "the assumed keypoint_order")
    return dict(assume)


def _nearest(word: str, known: tuple[str, ...]) -> str:
    # Roots share their first letters, so that any of them is a little like another.
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.5 if ":" not in word else 0.8)
    # Of two words both are shown: centimetres are no slip for metres.
    if near and len(known) > 2:
        return f"did you mean {near[0]!r}?"
    shown = known if len(known) <= len(KEYS) else (*known[:2], "…")
    return f"expected one of {', '.join(shown)}"


def complete(header: Header, assume: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The header of a file with the assumptions it is silent about.

    Parameters
    ----------
    header
        As it stands in the file; not checked yet.
    assume
        From :func:`check_assumptions`.
    where
        Names the file in messages.

    Raises
    ------
    PredictionsError
        If the header says something else than is assumed.
    """
    whole = dict(header)
    for key, value in assume.items():
        said = _said(header, key)
        if said is None:
            if key == "name":
                model = header.get("model")
                whole["model"] = {**(model if isinstance(model, dict) else {}), "name": value}
            else:
                whole[key] = value
        elif said != value and not _same_order(key, said, value, where):
            raise PredictionsError(
                f"{where}: assumed {key}={value}, but its header says {said!r}: leave the "
                "assumption out, or correct the file"
            )
    return whole


def _said(header: Header, key: str) -> Any:
    if key != "name":
        return header.get(key)
    model = header.get("model")
    return model.get("name") if isinstance(model, dict) else None


def _same_order(key: str, said: Any, assumed: Any, where: str) -> bool:
    """Whether two spellings mean one joint order."""
    if key != "keypoint_order" or not isinstance(said, str | list):
        return False
    return bool((joint_order(said, where) == joint_order(assumed, where)).all())
