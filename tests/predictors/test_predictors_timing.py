from __future__ import annotations

import numpy as np

from handbench.predictors.latency import measure_latency
from handbench.predictors.timing import Timing, summarise


def test_the_mean_is_over_images_and_percentiles_over_batches() -> None:
    # Ten images at 1 ms each, then one at 12 ms.
    found = summarise(np.array([1.0, 12.0]), np.array([10, 1]), {"read": 0.5})
    assert found["ms_per_image"] == 2.0
    assert found["ms_p50"] == 6.5
    assert found["ms_p99"] > 11.8
    assert found["batch_size"] == 10
    assert found["ms_parts"] == {"read": 0.5, "model": 2.0}
    assert summarise(np.zeros(0), np.zeros(0, dtype=np.int64)) == {}


def test_parts_are_counted_by_image() -> None:
    timing = Timing()
    for _ in range(2):
        with timing.part("read"):
            pass
        with timing.batch(5):
            sum(range(1000))
    found = timing.summary()
    assert found["batch_size"] == 5
    assert set(found["ms_parts"]) == {"read", "model"}
    assert found["ms_per_image"] > 0
    assert Timing().summary() == {}


def test_latency_calls_with_batches_of_the_wanted_size() -> None:
    calls: list[tuple[int, tuple[int, ...]]] = []

    class Model:
        name, input_size, whole_image = "m", 24, False

        def describe(self) -> dict[str, object]:
            return {}

        def __call__(self, images: list[np.ndarray]) -> list[None]:
            calls.append((len(images), images[0].shape))
            return [None] * len(images)

    rows = measure_latency("here", Model(), (1, 8), seconds=0)
    assert [row.batch for row in rows] == [1, 8]
    assert [row.calls for row in rows] == [3, 3]
    assert {count for count, _ in calls} == {1, 8}
    assert {shape for _, shape in calls} == {(24, 24, 3)}
    assert rows[0].to_dict()["runner"] == "here"
