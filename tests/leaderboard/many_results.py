"""Many results files for tests and benchmarks: real scores of models with known noise."""

from __future__ import annotations

import copy
import functools
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from generators.scored import make_predictions, make_truth

from handbench.files import to_json
from handbench.scores.protocols import find_protocol
from handbench.scores.scoring import score

PROTOCOLS = ("handbench", "mmpose", "freihand")
DATASETS = ("freihand", "rhd", "myhands", "onehand10k")
TRAINED_ON: tuple[Any, ...] = (
    ["freihand/train"],
    ["rhd/train"],
    ["freihand/train", "rhd/train"],
    ["hanco/train"],
    "unknown",
    ["onehand10k/train"],
    ["freihand/test"],
)
HANDS = 40
VERSIONS = ("1.0.0", "1.1.0")


def hash_of(text: str) -> str:
    """A hash for provenance that has none of its own."""
    return hashlib.sha256(text.encode()).hexdigest()


@functools.cache
def templates(number: int = 12) -> tuple[tuple[dict[str, Any], ...], ...]:
    """Results of `number` models, each under all :data:`PROTOCOLS`, as JSON documents."""
    truth = make_truth(HANDS, groups=10)
    presets = [find_protocol(name) for name in PROTOCOLS]
    found = []
    for place in range(number):
        # Every fourth model misses the first hands.
        rows = np.arange(3 if place % 4 == 3 else 0, HANDS)
        predictions = make_predictions(truth, 2.0 + 0.7 * place, seed=place, rows=rows)
        evaluation = score(predictions, truth, presets)
        found.append(tuple(results.to_dict() for results in evaluation.results))
    return tuple(found)


def document(
    place: int = 0,
    protocol: str = "mmpose",
    *,
    name: str = "net",
    dataset: str = "myhands",
    training_data: Any = ("myhands/train",),
    version: str = VERSIONS[0],
    created: str = "2024-05-01T12:00:00+00:00",
    reproduced: bool = True,
    **changes: Any,
) -> dict[str, Any]:
    """One results document: of model `place` of :func:`templates`, under a name of your own.

    Parameters
    ----------
    place, protocol
        Whose numbers.
    name, dataset, training_data
        As declared; None leaves training data away.
    version, created
        Of the program that is said to have written it.
    reproduced
        Somebody says that they ran the command.
    changes
        Replace further keys of the document.
    """
    results = copy.deepcopy(templates()[place][PROTOCOLS.index(protocol)])
    model: dict[str, Any] = {"name": name, "params": 1_000_000 + place}
    if training_data is not None:
        model["training_data"] = (
            training_data if isinstance(training_data, str) else list(training_data)
        )
    provenance: dict[str, Any] = {
        "handbench": version,
        "command": f"handbench evaluate {place}.json --protocol {protocol}",
        "created": created,
        "data_sha256": hash_of(dataset),
        "predictions_sha256": hash_of(f"{name} {place} {dataset}"),
    }
    if reproduced:
        provenance["reproduced"] = {
            "command": provenance["command"],
            "by": "A. Reader",
            "date": "2024-06-01",
        }
    results.update(dataset=dataset, model=model, provenance=provenance)
    return {**results, **changes}


def many_results(count: int = 1000) -> Iterator[tuple[str, dict[str, Any]]]:
    """File name and document of `count` results over several datasets, protocols and versions."""
    for number in range(count):
        protocol = PROTOCOLS[number % len(PROTOCOLS)]
        model = number // len(PROTOCOLS)
        dataset = DATASETS[model % len(DATASETS)]
        # The last of every ten results of a dataset is an older version of the one before it.
        older = number // (len(PROTOCOLS) * len(DATASETS)) % 10 == 9
        name = f"net {model - len(DATASETS) if older else model}"
        results = document(
            model % len(templates()),
            protocol,
            name=name,
            dataset=dataset,
            training_data=TRAINED_ON[model % len(TRAINED_ON)],
            version=VERSIONS[not older],
            created=f"202{3 if older else 4}-05-01T12:00:00+00:00",
            reproduced=number % 5 != 4,
        )
        yield f"{dataset}/{number:04d}.json", results


def write_many(folder: Path, count: int = 1000) -> Path:
    """Write :func:`many_results` below `folder`, and return it."""
    for name, results in many_results(count):
        write(folder / name, results)
    return folder


def write(path: Path, results: dict[str, Any]) -> Path:
    """Write one document."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(to_json(results))
    return path
