"""Fuzz `handbench serve`: damaged pictures, and requests made from its OpenAPI description.

python benchmarks/fuzz_serve.py [--pictures 2500] [--examples 300]

Starts the real server with an untrained network on a free port of 127.0.0.1. Nothing may answer
with a 5xx, take longer than its time limit, or end the server. Exit code 1 if something did.
"""

from __future__ import annotations

import argparse
import http.client
import sys
import time
from collections import Counter
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY / "tests" / "web"))

from serve_load import start  # noqa: E402
from web_mutations import mutated  # noqa: E402

TIME_LIMIT_S = 15.0


def pictures(address: str, count: int, seed: int) -> list[str]:
    """Send damaged pictures as raw bodies and as forms; returns what went wrong."""
    wrong: list[str] = []
    statuses: Counter[int] = Counter()
    slowest = 0.0
    connection = http.client.HTTPConnection(address, timeout=2 * TIME_LIMIT_S)
    for number, data in enumerate(mutated(count, seed)):
        body, kind = data, "image/jpeg"
        if number % 2:
            head = b'--q\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'
            body, kind = head + data + b"\r\n--q--\r\n", "multipart/form-data; boundary=q"
        began = time.monotonic()
        connection.request("POST", "/api/v1/predict", body, {"Content-Type": kind})
        response = connection.getresponse()
        response.read()
        took = time.monotonic() - began
        slowest = max(slowest, took)
        statuses[response.status] += 1
        if response.status >= 500 or took > TIME_LIMIT_S:
            wrong.append(f"mutation {number} of seed {seed}: {response.status} in {took:.1f} s")
    connection.close()
    found = ", ".join(f"{n}x {status}" for status, n in sorted(statuses.items()))
    print(f"{count} damaged pictures: {found}; slowest {slowest:.2f} s", flush=True)
    return wrong


def description(address: str, examples: int) -> list[str]:
    """Send what schemathesis makes of the description; returns what went wrong."""
    import schemathesis
    from hypothesis import HealthCheck, given, settings
    from hypothesis.errors import Unsatisfiable
    from schemathesis.specs.openapi.checks import positive_data_acceptance

    schema = schemathesis.openapi.from_url(f"http://{address}/api/v1/openapi.json")
    statuses: Counter[int] = Counter()
    wrong: list[str] = []
    for found in schema.get_all_operations():
        operation = found.ok()
        # A picture can be asked for in a thousand ways, the health of a server in one.
        count = examples if operation.method == "post" else max(1, examples // 10)
        for mode in schemathesis.GenerationMode:

            @given(operation.as_strategy(generation_mode=mode))
            @settings(
                max_examples=count,
                deadline=None,
                derandomize=True,
                database=None,
                suppress_health_check=list(HealthCheck),
            )
            def try_all(case: schemathesis.Case) -> None:
                response = case.call(timeout=2 * TIME_LIMIT_S)
                statuses[response.status_code] += 1
                # A schema cannot say what a picture is, so random bytes fit it and are refused.
                case.validate_response(response, excluded_checks=[positive_data_acceptance])

            try:
                try_all()
            except Unsatisfiable:  # an operation without parameters has nothing to get wrong
                continue
            except Exception as error:  # noqa: BLE001 - told, and the next is tried
                wrong.append(f"{operation.label}, {mode.value}: {error}")
    found_ = ", ".join(f"{n}x {status}" for status, n in sorted(statuses.items()))
    print(f"{statuses.total()} requests from the description: {found_}", flush=True)
    return wrong + [f"{n} answers {status}" for status, n in statuses.items() if status >= 500]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=2500)
    parser.add_argument("--examples", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    process, address = start("untrained")
    try:
        wrong = pictures(address, arguments.pictures, arguments.seed)
        wrong += description(address, arguments.examples)
        if process.poll() is not None:
            wrong.append("the server has died")
    finally:
        process.terminate()
        process.wait(30)
    for sentence in wrong:
        print(sentence)
    print("nothing went wrong" if not wrong else f"{len(wrong)} things went wrong")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
