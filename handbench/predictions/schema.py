"""JSON Schemas that ship with the package, and one readable sentence about a violation."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator

PREDICTIONS_SCHEMA = Path(__file__).with_name("predictions.schema.json")


def first_violation(document: Any, schema: Path) -> str | None:
    """Say where and how `document` breaks `schema`, or return None if it does not.

    Parameters
    ----------
    document
        Parsed JSON.
    schema
        File with a JSON Schema (draft 2020-12).
    """
    from jsonschema.exceptions import best_match

    error = best_match(_validator(schema).iter_errors(document))
    if error is None:
        return None
    place = ".".join(str(part) for part in error.absolute_path)
    message = error.message if len(error.message) <= 200 else error.message[:197] + "..."
    return f"field {place!r}: {message}" if place else message


@functools.cache
def _validator(schema: Path) -> Draft202012Validator:
    """The schemas of the package never change while it runs."""
    from jsonschema import Draft202012Validator

    return Draft202012Validator(json.loads(schema.read_text("utf-8")))
