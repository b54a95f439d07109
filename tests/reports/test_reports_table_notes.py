from __future__ import annotations

import pytest
from generators.scored_results import results_of

from handbench.reports.table_columns import Choice, columns_of
from handbench.reports.table_notes import apart_because, notes_of

ONE = {"a": results_of(3.0)}
COLUMNS = columns_of(ONE, Choice(), ["EPE[px]"])
NOTHING = {"floor": False, "tied_by": "", "unequal": (), "apart": ""}


def test_a_table_that_needs_no_notes_has_none() -> None:
    assert notes_of(ONE, COLUMNS, Choice(), **NOTHING) == []  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "begins"),
    [
        ({"floor": True}, "mean pose (floor): the mean pose of this truth"),
        ({"tied_by": "EPE[px]"}, "≈: not distinguishable from the best model by EPE[px]"),
        ({"unequal": ("EPE[px]", "not shown")}, "nobody is best at EPE[px]: there the models"),
        ({"apart": "other\nmodels"}, "other models"),
    ],
)
def test_each_fact_is_one_line(change: dict[str, object], begins: str) -> None:
    (note,) = notes_of(ONE, COLUMNS, Choice(), **{**NOTHING, **change})  # type: ignore[arg-type]
    assert note.startswith(begins)
    assert not note.endswith(".")


def test_tables_of_one_signature_stand_with_no_other() -> None:
    signature = ONE["a"].signature
    assert apart_because(signature, [signature]) == ""


def test_parts_in_which_signatures_differ() -> None:
    one, other = (f"protocol: x/1; expected: {n}; box: image" for n in (3, 4))
    assert "differ in expected (4)" in apart_because(other, [one, other])
    # Lists that are too long to be told apart are named alone.
    one, other = (f"metrics: {'m ' * 40}{n}; box: image" for n in (3, 4))
    assert "differ in metrics: their numbers" in apart_because(other, [one, other])
    assert "differ in some part" in apart_because("mine", ["mine", one])
