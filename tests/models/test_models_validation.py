from __future__ import annotations

import pytest

from handbench.models.preparation import Row
from handbench.models.validation import (
    best_epoch,
    gets_a_sheet,
    is_better,
    out_of_patience,
)


def rows(*scores: tuple[float, float]) -> list[Row]:
    return [{"val_epe_px": error, "val_auc_0_30px": area} for error, area in scores]


LOG = rows((9.0, 0.5), (7.0, 0.6), (7.0, 0.7), (8.0, 0.65))


@pytest.mark.parametrize(("select", "best"), [("epe", 2), ("auc", 3)])
def test_the_best_epoch_is_the_first_with_the_best_score(select: str, best: int) -> None:
    assert best_epoch(LOG, select) == best


def test_an_equal_epoch_is_not_better() -> None:
    assert is_better(LOG[0], [], "epe")
    assert is_better(LOG[1], LOG[:1], "epe")
    assert not is_better(LOG[2], LOG[:2], "epe")
    assert is_better(LOG[2], LOG[:2], "auc")


def test_an_error_that_is_no_number_is_worst() -> None:
    nan = rows((float("nan"), float("nan")))
    assert not is_better(nan[0], LOG, "epe")
    assert is_better(LOG[0], nan, "epe")
    assert is_better(LOG[0], nan, "auc")


def test_without_scores_the_last_epoch_is_the_best() -> None:
    none = rows(*[(float("nan"), float("nan"))] * 3)
    assert best_epoch(none, "epe") == 3
    assert is_better(none[2], none[:2], "auc")


def test_patience_counts_epochs_since_the_best() -> None:
    assert [out_of_patience(LOG[:n], "epe", 2) for n in range(5)] == [
        False, False, False, False, True,
    ]  # fmt: skip
    assert not out_of_patience(LOG, "auc", 2)
    assert not out_of_patience(LOG, "epe", None)


def test_sheets_are_few() -> None:
    assert [epoch for epoch in range(1, 141) if gets_a_sheet(epoch, 140)] == [
        1, 2, 5, 10, 20, 50, 100, 140,
    ]  # fmt: skip
