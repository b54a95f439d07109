from __future__ import annotations

from dataclasses import replace

import numpy as np

from handbench.sources import manifest
from handbench.sources.origin import Origin, joined

ONE = Origin({"license": "free"}, "image", "a", "b", {"mano_trans": {"root_joint": 9}}, 1.5, 0.1)


def test_splits_of_one_dataset_may_differ_in_boxes_padding_and_tolerance():
    other = replace(ONE, box_source="keypoints", padding=1.0, tolerance_px=0.3, attributes={})
    both = joined([ONE, other])
    assert both is not None
    assert (both.box_source, both.tolerance_px) == ("keypoints", 0.3)
    assert np.isnan(both.padding)
    assert both.column_attributes() == {
        "mano_trans": {"root_joint": 9},
        "camera": {"reprojection_tolerance_px": 0.3},
    }
    assert joined([ONE, ONE]) == ONE


def test_others_are_not_of_one_dataset():
    assert joined([ONE, None]) is None
    assert joined([None]) is None
    for change in (
        {"terms": {"license": "paid"}},
        {"split_unit": "c"},
        {"cluster_unit": "c"},
        {"attributes": {"mano_trans": {"root_joint": 0}}},
    ):
        assert joined([ONE, replace(ONE, **change)]) is None


def test_the_manifest_keeps_what_the_dataset_does_not_say():
    layout = manifest.load("coco")
    facts = ONE.manifest(layout)
    assert (facts.license, facts.box_padding, facts.reprojection_tolerance_px) == ("free", 1.5, 0.1)
    assert facts.joint_order == layout.joint_order
