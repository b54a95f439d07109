from __future__ import annotations

import numpy as np
import pytest
from scored_models import HANDS, scored

from handbench.errors import ScoreError
from handbench.hdf5.reader import HandFile
from handbench.reports.breakdowns import ALWAYS, group_tables, unit_of
from handbench.scores.protocols import find_protocol
from handbench.scores.subsets import breakdown


def test_the_tables_are_the_breakdowns_of_the_command_line(tiny: HandFile) -> None:
    model = scored(tiny, noise=1.0)
    tables, _ = group_tables([model], tiny)
    by = {table.by: table for table in tables}
    assert list(by) == ["visibility", "side", "size"]
    protocols = [find_protocol("handbench"), find_protocol("mmpose")]
    (visibility,) = breakdown(model, tiny, ["visibility"], protocols)
    assert by["visibility"].of_models[0] == visibility
    assert by["visibility"].order == ["visible", "occluded"]
    assert by["visibility"].primary == str(protocols[0].primary)
    assert by["visibility"].overall[0] == model.results[0].metrics[by["side"].primary].value


def test_what_is_not_divided_is_named(tiny: HandFile) -> None:
    _, whole = group_tables([scored(tiny)], tiny)
    assert ALWAYS == ("visibility", "side", "size", "view")
    assert whole == ["view: unknown"]


def test_what_was_asked_for_stands_last_and_once(tiny: HandFile) -> None:
    tables, _ = group_tables([scored(tiny)], tiny, ["finger", "side", "instant_id"])
    assert [table.by for table in tables] == [*ALWAYS[:3], "finger", "instant_id"]
    assert len(tables[-1].order) == HANDS // 2


def test_models_share_a_scale_and_have_a_mark_each(tiny: HandFile) -> None:
    models = [scored(tiny, "a"), scored(tiny, "b", shift=6.0)]
    tables, _ = group_tables(models, tiny)
    drawn = tables[0].marks("visible", [0, 1])
    assert drawn.count('class="dot ') == 2
    assert tables[0].marks("visible", [1]).count('class="dot s1"') == 1
    assert tables[0].sizes("visible").expected == HANDS


def test_an_unknown_grouping_is_an_error(tiny: HandFile) -> None:
    with pytest.raises(ScoreError, match="did you mean 'finger'"):
        group_tables([scored(tiny)], tiny, ["fingr"])


@pytest.mark.parametrize(
    ("metric", "unit"),
    [
        ("EPE[px]", "px"),
        ("PA-MPJPE[mm]", "mm"),
        ("MPJPE[mm,root=0]", "mm"),
        ("PCK@0.3[bbox]", "fraction"),
    ],
)
def test_units_of_metrics_beside_those_of_a_protocol(
    tiny: HandFile, metric: str, unit: str
) -> None:
    assert unit_of(metric, scored(tiny)) == unit


def test_groups_of_one_cluster_have_no_interval(tiny: HandFile) -> None:
    tables, _ = group_tables([scored(tiny)], tiny, ["instant_id"])
    subset = tables[-1].subset(0, tables[-1].order[0])
    assert subset is not None
    assert not subset.reliable
    assert set(subset.ci95.values()) == {None}
    assert np.isfinite(subset.metrics["EPE[px]"] or np.nan)
