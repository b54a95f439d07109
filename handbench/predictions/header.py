"""The header of predictions: version, schema, and what its joint order means."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from handbench.errors import HandbenchError, PredictionsError
from handbench.hand import JOINT_NAMES, NATIVE_ORDERS, NUM_JOINTS, check_permutation
from handbench.predictions.record import FORMAT_VERSION, brief, json_kind
from handbench.predictions.schema import PREDICTIONS_SCHEMA, first_violation

Header = Mapping[str, Any]

DEFAULTS: dict[str, str] = {
    "axes": "opencv",
    "unit": "m",
    "keypoint_order": "canonical",
    "frame": "source",
    "frame_3d": "camera",
}
"""What a header means that leaves a key out."""

_DEEPEST = 20
_ORDER_NAMES = ("canonical", *NATIVE_ORDERS)


def check_version(document: Any, where: str) -> Header:
    """Return `document` if it claims to be predictions of format 1.

    Raises
    ------
    PredictionsError
        If it is another kind of document or of another version.
    """
    if not isinstance(document, Mapping) or "handbench_predictions" not in document:
        found = (
            f"the keys {', '.join(list(document)[:5]) or 'none'}"
            if isinstance(document, Mapping)
            else json_kind(document)
        )
        raise PredictionsError(
            f"{where}: expected a predictions file with the key 'handbench_predictions', found "
            f"{found:.200}: see docs/predictions.md for a minimal example"
        )
    version = document["handbench_predictions"]
    if isinstance(version, bool) or version != FORMAT_VERSION:
        raise PredictionsError(
            f"{where}: predictions format {brief(version)}, but this handbench reads format "
            f"{FORMAT_VERSION}: update handbench, or write format {FORMAT_VERSION}"
        )
    return document


def check_schema(header: Header, where: str) -> Header:
    """Return `header` if it fits the schema; raise :class:`PredictionsError` if not."""
    # Neither the validator nor Python's repr, which it calls, ends well with a thousand levels.
    if _deeper_than(header, _DEEPEST):
        raise PredictionsError(
            f"{where}: expected a header of a few levels, found one nested more than {_DEEPEST} "
            "deep; correct the header (docs/predictions.md)"
        )
    problem = first_violation(dict(header), PREDICTIONS_SCHEMA)
    if problem is not None:
        raise PredictionsError(f"{where}: {problem}; correct the header (docs/predictions.md)")
    return header


def _deeper_than(value: Any, levels: int) -> bool:
    layer = [value]
    for _ in range(levels):
        layer = [
            part
            for outer in layer
            if isinstance(outer, list | Mapping)
            for part in (outer.values() if isinstance(outer, Mapping) else outer)
        ]
    return bool(layer)


def joint_order(order: str | Sequence[str | int], where: str) -> npt.NDArray[np.intp]:
    """Index array that brings joints of a declared order into the canonical one.

    Parameters
    ----------
    order
        ``"canonical"``, a key of :data:`~handbench.hand.NATIVE_ORDERS`, or a list that says which
        joint stands at each of the 21 places, by canonical name or canonical index.
    where
        Named in messages.

    Returns
    -------
    `index` such that ``canonical = native[:, index]``.

    Raises
    ------
    PredictionsError
        If the order is another word, or the list is no permutation of the 21 joints.
    """
    if isinstance(order, str):
        if order == "canonical":
            return np.arange(NUM_JOINTS)
        if order in NATIVE_ORDERS:
            return np.asarray(NATIVE_ORDERS[order], dtype=np.intp)
        raise PredictionsError(
            f"{where}: expected keypoint_order {', '.join(_ORDER_NAMES)} or a list of 21 joints, "
            f"found {order!r:.60}: {_near(order, _ORDER_NAMES)}"
        )
    if not isinstance(order, Sequence) or not all(isinstance(joint, str | int) for joint in order):
        raise PredictionsError(
            f"{where}: expected keypoint_order to be a word or a list of 21 joints, found "
            f"{brief(order)}: {_near('', _ORDER_NAMES)}"
        )
    indices: list[int] = []
    for joint in order:
        if isinstance(joint, str):
            if joint not in JOINT_NAMES:
                raise PredictionsError(
                    f"{where}: keypoint_order names {joint!r:.60}, which is no joint of a hand: "
                    f"{_near(joint, JOINT_NAMES)}"
                )
            indices.append(JOINT_NAMES.index(joint))
        else:
            indices.append(joint)
    try:
        native_to_canonical = check_permutation(indices, "keypoint_order")
    except HandbenchError as error:
        raise PredictionsError(f"{where}: {error}; list every joint once") from error
    return np.argsort(native_to_canonical)


def _near(word: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(word, known, n=1)
    if near:
        return f"did you mean {near[0]!r}?"
    return f"list the joint at each place by name ({', '.join(JOINT_NAMES[:2])}, …) or index 0-20"
