"""Damaged pictures and requests made from the description: never a 5xx, never a hang.

`benchmarks/fuzz_serve.py` does the same at length against the real server.
"""

from __future__ import annotations

from collections import Counter

import pytest
from web_fakes import FakePredictor, app_of
from web_mutations import mutated

from handbench.web.problems import CODES

COUNT = 300


def test_damaged_pictures_get_an_answer_or_a_sentence() -> None:
    client = app_of(FakePredictor()).test_client()
    statuses: Counter[int] = Counter()
    for number, data in enumerate(mutated(COUNT, seed=5)):
        response = client.post("/api/v1/predict", data=data, content_type="image/jpeg")
        document = response.get_json()
        assert response.status_code in (200, 400, 413, 415, 422), f"mutation {number}: {document}"
        if response.status_code != 200:
            assert CODES[document["code"]] == response.status_code
            assert document["detail"].startswith("Expected ")
        statuses[response.status_code] += 1
    # Mutations that are all refused, or all pass, would try nothing.
    assert statuses[200] > COUNT / 20
    assert statuses[422] > COUNT / 10


def test_damage_is_the_same_every_time() -> None:
    assert list(mutated(20, seed=1)) == list(mutated(20, seed=1))
    assert list(mutated(20, seed=1)) != list(mutated(20, seed=2))


def test_requests_made_from_the_description() -> None:
    schemathesis = pytest.importorskip("schemathesis")
    from hypothesis import HealthCheck, given, settings
    from hypothesis import strategies as st
    from schemathesis.specs.openapi.checks import positive_data_acceptance

    app = app_of(FakePredictor())
    schema = schemathesis.openapi.from_wsgi("/api/v1/openapi.json", app)
    operations = [found.ok() for found in schema.get_all_operations()]
    assert len(operations) == 4

    @given(st.data())
    @settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
    def try_all(data: st.DataObject) -> None:
        operation = data.draw(st.sampled_from(operations))
        case = data.draw(operation.as_strategy())
        response = case.call()
        assert response.status_code < 500
        # A schema cannot say what a picture is, so random bytes fit it and are refused.
        case.validate_response(response, excluded_checks=[positive_data_acceptance])

    try_all()
