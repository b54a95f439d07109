"""Results of models in memory that are off by known noise, scored for real."""

from __future__ import annotations

from typing import Any

from generators.scored import make_predictions, make_truth

from handbench.scores.protocols import custom_protocol, find_protocol
from handbench.scores.results import Evaluation, Results
from handbench.scores.scoring import score
from handbench.scores.truth import Truth

TRUTH = make_truth(40)


def evaluated(
    noise: float = 3.0,
    *,
    name: str = "my-net",
    protocols: tuple[str, ...] = ("handbench",),
    metrics: tuple[str, ...] = (),
    missing: int = 0,
    truth: Truth = TRUTH,
    seed: int = 1,
    **changes: Any,
) -> Evaluation:
    """A model with Gaussian noise, px and mm, that misses the first hands."""
    model = {"name": name, **changes.pop("model", {})}
    predictions = make_predictions(
        truth, noise, seed=seed, rows=slice(missing, None), model=model, **changes
    )
    presets = [find_protocol(protocol) for protocol in protocols]
    presets += [custom_protocol(metrics)] if metrics else []
    return score(predictions, truth, presets, {"data_sha256": "d" * 64})


def results_of(noise: float = 3.0, protocol: str = "handbench", **options: Any) -> Results:
    """The results of :func:`evaluated` under one protocol."""
    return evaluated(noise, protocols=(protocol,), **options).results[0]
