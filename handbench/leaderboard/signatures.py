"""Signatures of strangers, taken apart without trust in their form."""

from __future__ import annotations

from collections.abc import Sequence

from handbench.scores.hygiene import signed_parts
from handbench.scores.results import Results
from handbench.scores.text import signature_differences


def parts(signature: str) -> dict[str, str]:
    """Part → value; what has no value is left out.

    >>> parts("protocol: mmpose/1; expected: 3; nonsense")
    {'protocol': 'mmpose/1', 'expected': '3'}
    """
    return {name: value for name, value in signed_parts(signature).items() if value}


def protocol_tag(results: Results) -> str:
    """Protocol with its version, as ``mmpose/1``; the name alone where the signature has none."""
    tag = parts(results.signature).get("protocol", "")
    return tag if tag.startswith(f"{results.protocol}/") else results.protocol


def differences(signatures: Sequence[str]) -> list[dict[str, str]]:
    """What sets each signature apart from the others: part → its value, "" where it is long."""
    if len(signatures) < 2:
        return [{} for _ in signatures]
    whole = ["; ".join(f"{name}: {value}" for name, value in parts(s).items()) for s in signatures]
    try:
        differing = signature_differences(whole)
    except ValueError:  # a signature without a single part
        differing = {}
    if not differing:
        return [{"signature": ""} for _ in signatures]
    return [{part: values[i] for part, values in differing.items()} for i in range(len(whole))]
