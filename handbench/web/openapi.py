"""The REST interface described in OpenAPI 3.1."""

from __future__ import annotations

from typing import Any

from handbench import __version__
from handbench.hand import NUM_JOINTS
from handbench.web.limits import Limits, in_words
from handbench.web.metrics import MEDIA_TYPE as METRICS_TYPE
from handbench.web.problems import CODES
from handbench.web.problems import MEDIA_TYPE as PROBLEM_TYPE

_NUMBER, _NO_NUMBER = {"type": "number"}, {"type": ["number", "null"]}
_TEXT = {"type": "string"}
_REQUEST_ID = {
    "X-Request-ID": {
        "description": "Names this request in the log of the server.",
        "schema": {"type": "string"},
    }
}
_BOX_WORDS = (
    "Box around the hand as x,y,width,height in pixels of the upright picture; without it the hand "
    "should fill the picture. What the model sees is 1.25 times as large."
)
_MODEL_WORDS = "Id of a model; the first one by default."
_PREDICT_CODES = (
    "empty",
    "unknown_model",
    "too_large",
    "unsupported_picture",
    "damaged",
    "busy",
    "headers_too_large",
    "internal",
    "too_slow",
)


def description(limits: Limits) -> dict[str, Any]:
    """The document that ``/api/v1/openapi.json`` answers with."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "handbench",
            "version": __version__,
            "summary": "Finds the 21 points of a hand in a picture.",
            "description": (
                f"Pictures are JPEG or PNG of at most {in_words(limits.max_bytes)} and "
                f"{limits.max_pixels / 1e6:g} million pixels. They are held in memory while they "
                "are answered, and never written to disk."
            ),
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        # From the address of this document to the root of the server.
        "servers": [{"url": "../.."}],
        "paths": {
            "/api/v1/predict": {"post": _predict()},
            "/api/v1/models": {"get": _models()},
            "/healthz": {"get": _health()},
            "/metrics": {"get": _metrics()},
        },
        "components": {"schemas": _schemas()},
    }


def _predict() -> dict[str, Any]:
    query = [
        {"name": name, "in": "query", "required": False, "description": words, "schema": _TEXT}
        for name, words in (("model", _MODEL_WORDS), ("box", _BOX_WORDS))
    ]
    picture = {"type": "string", "contentMediaType": "application/octet-stream"}
    form = {
        "type": "object",
        "required": ["image"],
        "properties": {
            "image": {**picture, "description": "The picture, as a file."},
            "model": {**_TEXT, "description": _MODEL_WORDS},
            "box": {**_TEXT, "description": _BOX_WORDS},
        },
    }
    return {
        "operationId": "predict",
        "summary": "Find the 21 points of the hand in a picture.",
        "parameters": query,
        "requestBody": {
            "required": True,
            "content": {
                "multipart/form-data": {"schema": form},
                **{
                    kind: {"schema": {}}
                    for kind in ("image/jpeg", "image/png", "application/octet-stream")
                },
            },
        },
        "responses": {
            "200": _json("What was found; `hand` is null where there is none.", "Answer"),
            **{
                str(status): _problem(status)
                for status in sorted({CODES[code] for code in _PREDICT_CODES})
            },
        },
    }


def _models() -> dict[str, Any]:
    return {
        "operationId": "models",
        "summary": "The models that are loaded; the first is the default.",
        "responses": {"200": _json("The models.", "Models"), "500": _problem(500)},
    }


def _health() -> dict[str, Any]:
    return {
        "operationId": "health",
        "summary": "Whether the server can answer.",
        "responses": {
            "200": _json("It can.", "Health"),
            "500": _problem(500),
            "503": _json("It runs, but no model is loaded.", "Health"),
        },
    }


def _metrics() -> dict[str, Any]:
    return {
        "operationId": "metrics",
        "summary": "Counts and times in the text format of Prometheus.",
        "responses": {
            "200": {
                "description": "The metrics.",
                "headers": _REQUEST_ID,
                "content": {METRICS_TYPE: {"schema": _TEXT}},
            },
            "500": _problem(500),
        },
    }


def _json(words: str, schema: str) -> dict[str, Any]:
    return {
        "description": words,
        "headers": _REQUEST_ID,
        "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}},
    }


def _problem(status: int) -> dict[str, Any]:
    headers = dict(_REQUEST_ID)
    if status in (429, 503):
        headers["Retry-After"] = {
            "description": "Seconds after which to try again.",
            "schema": {"type": "integer"},
        }
    codes = ", ".join(code for code, of in CODES.items() if of == status)
    return {
        "description": f"Refused. Codes: {codes}.",
        "headers": headers,
        "content": {PROBLEM_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }


def _schemas() -> dict[str, Any]:
    pair = {"type": "array", "items": _NO_NUMBER, "minItems": 2, "maxItems": 2}
    triple = {"type": "array", "items": _NO_NUMBER, "minItems": 3, "maxItems": 3}
    return {
        "Answer": _object(
            request_id=_TEXT,
            model=_object(id=_TEXT, name=_TEXT),
            image=_object(
                width={"type": "integer", "description": "Of the upright picture, px."},
                height={"type": "integer", "description": "Of the upright picture, px."},
                format={"enum": ["jpeg", "png"]},
                turned_upright={
                    "type": "boolean",
                    "description": "The file asked to be turned (EXIF orientation), and was.",
                },
            ),
            box={
                "type": ["array", "null"],
                "items": _NUMBER,
                "minItems": 4,
                "maxItems": 4,
                "description": "x, y, width, height as given; null: the whole picture.",
            },
            hand={
                "anyOf": [{"$ref": "#/components/schemas/Hand"}, {"type": "null"}],
                "description": "null: no hand found.",
            },
            joint_names={"type": "array", "items": _TEXT, **_exactly(NUM_JOINTS)},
            bones={
                "type": "array",
                "items": {"type": "array", "items": {"type": "integer"}, **_exactly(2)},
                "description": "Joints that are joined, as indices of parent and child.",
            },
            ms=_object(decode=_NUMBER, model=_NUMBER),
        ),
        "Hand": _object(
            keypoints={
                "type": "array",
                "items": pair,
                **_exactly(NUM_JOINTS),
                "description": "x, y in px of the upright picture; (0, 0) is the centre of the "
                "top left pixel.",
            },
            scores={
                "type": ["array", "null"],
                "items": _NO_NUMBER,
                "description": "Of each point, 0 to 1; null: the model gives none.",
            },
            score={**_NO_NUMBER, "description": "Of the hand, 0 to 1."},
            is_right={
                "type": ["boolean", "null"],
                "description": "Side of the real hand; null: the model does not say.",
            },
            keypoints_3d={
                "type": ["array", "null"],
                "items": triple,
                "description": "x, y, z in mm: x right, y down, z away from the camera.",
            },
        ),
        "Models": _object(
            models={"type": "array", "items": {"$ref": "#/components/schemas/Model"}},
            default={"type": ["string", "null"]},
        ),
        "Model": _object(
            id=_TEXT,
            name=_TEXT,
            note=_TEXT,
            params={"type": ["integer", "null"]},
            training_data={"type": ["array", "null"], "items": _TEXT},
            input_size={"type": ["integer", "null"]},
            finds_hands_itself={"type": "boolean"},
        ),
        "Health": _object(
            status={"enum": ["ok", "no model"]},
            models={"type": "integer"},
            version=_TEXT,
        ),
        "Problem": _object(
            type=_TEXT,
            title=_TEXT,
            status={"type": "integer"},
            code={"enum": list(CODES)},
            detail={**_TEXT, "description": "A sentence for people."},
            request_id=_TEXT,
        ),
    }


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": list(properties), "properties": properties}


def _exactly(count: int) -> dict[str, int]:
    return {"minItems": count, "maxItems": count}
