"""The description of the REST interface: valid, and true of every answer."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest
from flask.testing import FlaskClient
from web_fakes import FakePredictor, app_of
from web_pictures import jpeg

from handbench.web.limits import Limits
from handbench.web.openapi import description
from handbench.web.problems import CODES

DOCUMENT = description(Limits())


@pytest.fixture(scope="module")
def client() -> FlaskClient:
    return app_of(FakePredictor()).test_client()


def schema_of(path: str, method: str, status: int, media_type: str) -> dict[str, Any]:
    answers = DOCUMENT["paths"][path][method]["responses"]
    (schema,) = (
        content["schema"]
        for kind, content in answers[str(status)]["content"].items()
        if kind.split(";")[0] == media_type
    )
    return {**schema, "components": DOCUMENT["components"]}


def check(response: Any, path: str, method: str) -> None:
    schema = schema_of(path, method, response.status_code, response.mimetype)
    jsonschema.Draft202012Validator(schema).validate(response.get_json())


def test_the_description_is_valid(client: FlaskClient) -> None:
    validator = pytest.importorskip("openapi_spec_validator")
    served = client.get("/api/v1/openapi.json").get_json()
    assert served == DOCUMENT
    validator.validate(served)


def test_answers_are_as_described(client: FlaskClient) -> None:
    check(client.get("/api/v1/models"), "/api/v1/models", "get")
    check(client.get("/healthz"), "/healthz", "get")
    check(app_of().test_client().get("/healthz"), "/healthz", "get")
    check(client.post("/api/v1/predict", data=jpeg()), "/api/v1/predict", "post")
    lost = app_of(FakePredictor(finds=False)).test_client()
    check(lost.post("/api/v1/predict", data=jpeg()), "/api/v1/predict", "post")


@pytest.mark.parametrize(
    ("body", "kind", "query", "status"),
    [
        (b"", "image/jpeg", "", 400),
        (b"x", "image/jpeg", "?model=no", 404),
        (bytes(2_000_000), "image/jpeg", "", 413),
        (b"x", "text/plain", "", 415),
        (jpeg()[:-900], "image/jpeg", "", 422),
    ],
)
def test_refusals_are_as_described(
    client: FlaskClient, body: bytes, kind: str, query: str, status: int
) -> None:
    response = client.post(f"/api/v1/predict{query}", data=body, content_type=kind)
    assert response.status_code == status
    check(response, "/api/v1/predict", "post")


def test_what_the_server_is_too_busy_for_is_described() -> None:
    few = app_of(FakePredictor(), per_minute=1).test_client()
    few.post("/api/v1/predict", data=jpeg())
    check(few.post("/api/v1/predict", data=jpeg()), "/api/v1/predict", "post")
    check(app_of().test_client().post("/api/v1/predict", data=jpeg()), "/api/v1/predict", "post")
    broken = app_of(FakePredictor(error=ValueError())).test_client()
    check(broken.post("/api/v1/predict", data=jpeg()), "/api/v1/predict", "post")


def test_every_address_of_the_interface_is_described(client: FlaskClient) -> None:
    served = {
        rule.rule
        for rule in client.application.url_map.iter_rules()
        if rule.rule.startswith(("/api", "/healthz", "/metrics"))
    }
    assert served - {"/api/v1/openapi.json"} == set(DOCUMENT["paths"])


def test_codes_are_told_under_their_status() -> None:
    answers = DOCUMENT["paths"]["/api/v1/predict"]["post"]["responses"]
    for code in ("empty", "bad_box", "animated", "busy", "rate_limited", "too_slow", "no_model"):
        assert code in answers[str(CODES[code])]["description"]
