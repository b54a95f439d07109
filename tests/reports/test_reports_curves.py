from __future__ import annotations

import dataclasses

import pytest
from scored_models import scored

from handbench.hdf5.reader import HandFile
from handbench.reports.curves import curve_families, families


def test_curves_are_those_of_the_results(tiny: HandFile) -> None:
    models = [scored(tiny, "a", shift=3.0), scored(tiny, "b", shift=9.0)]
    drawn = {family.name: family for family in curve_families(models, ["a", "b"])}
    assert list(drawn) == ["PCK[tight]", "PCK[palm]", "PCK[px]"]
    for slot, line in enumerate(drawn["PCK[px]"].series):
        assert line.slot == slot
        assert line.y == models[slot].results[0].curves["PCK[px]"]["y"]
    pixels = drawn["PCK[px]"]
    assert pixels.file_name == "pck-px.csv"
    # Every joint is 3 px off: none correct below, all from there on.
    at = dict(zip(pixels.series[0].x, pixels.series[0].y))
    assert (at[2.5], at[3.5]) == (0.0, 1.0)


def test_table_has_a_row_a_step_and_both_ends(tiny: HandFile) -> None:
    (family,) = [f for f in curve_families([scored(tiny)], ["net"]) if f.name == "PCK[px]"]
    rows = family.table(10)
    assert len(rows) == 11
    assert (rows[0][0], rows[-1][0]) == (0.0, 30.0)


def test_models_without_curves_are_left_out(tiny: HandFile) -> None:
    model = scored(tiny)
    bare = dataclasses.replace(
        model, results=[dataclasses.replace(one, curves={}) for one in model.results]
    )
    assert curve_families([bare], ["bare"]) == []
    drawn = curve_families([bare, model], ["bare", "net"])
    assert [[line.slot for line in family.series] for family in drawn] == [[1]] * 3


@pytest.mark.parametrize(
    "curve",
    [
        {"x": [0.0], "y": [0.5]},
        {"x": [0.0, 1.0], "y": [0.5, float("nan")]},
        {"x": [0.0, 2.0], "y": [0.5, 0.6]},
    ],
)
def test_curves_that_cannot_share_a_table_are_left_out(
    tiny: HandFile, curve: dict[str, list[float]]
) -> None:
    model = scored(tiny)
    plain = {"PCK[odd]": {"x": [0.0, 1.0], "y": [0.2, 0.4]}}

    def with_curves(curves: dict[str, dict[str, list[float]]]) -> object:
        return dataclasses.replace(
            model, results=[dataclasses.replace(model.results[0], curves=curves)]
        )

    models = [with_curves(plain), with_curves({"PCK[odd]": curve})]
    (family,) = curve_families(models, ["a", "b"])  # type: ignore[arg-type]
    assert (family.name, family.title) == ("PCK[odd]", "PCK[odd]")
    assert [line.slot for line in family.series] == [0]


def test_lists_of_unequal_length_are_no_curve() -> None:
    whole = {"PCK[px]": {"x": [0.0, 1.0, 2.0], "y": [0.0, 0.5, 1.0]}}
    short = {"PCK[px]": {"x": [0.0, 1.0, 2.0], "y": [0.0, 0.5]}}
    assert families([short], ["short"]) == []
    (drawn,) = families([short, whole], ["short", "whole"])
    assert [line.name for line in drawn.series] == ["whole"]
