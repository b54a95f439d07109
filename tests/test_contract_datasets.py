"""One contract for every manifest: what a dataset must say about itself, and its reader provide."""

from __future__ import annotations

import importlib
import json
import tomllib

import jsonschema
import pytest

from handbench.hdf5.format import BOX_SOURCES, COLUMNS
from handbench.sources import manifest

NAMES = manifest.names()


@pytest.fixture(params=NAMES)
def facts(request: pytest.FixtureRequest) -> manifest.Manifest:
    return manifest.load(request.param)


def test_the_three_that_ship_are_there():
    assert {"freihand", "coco", "sample"} <= set(NAMES)


def test_the_schema_itself_is_valid_and_closed():
    path = manifest.folder() / "manifest.schema.json"
    schema = json.loads(path.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["additionalProperties"] is False
    fields = set(manifest.Manifest.__dataclass_fields__)
    assert set(schema["properties"]) == fields


@pytest.mark.parametrize("name", NAMES)
def test_the_file_keeps_the_schema(name: str):
    folder = manifest.folder()
    schema = json.loads((folder / "manifest.schema.json").read_text(encoding="utf-8"))
    jsonschema.validate(tomllib.loads((folder / f"{name}.toml").read_text("utf-8")), schema)


def test_origin_and_terms_are_stated(facts: manifest.Manifest):
    assert facts.title and facts.license and facts.label_source and facts.layout
    # What can be fetched somewhere has a page; our own synthetic hands have none.
    assert facts.homepage.startswith("https://") or not facts.archives
    if facts.archives:  # somebody else's work
        assert facts.license_url.startswith("https://")
        assert facts.citation.strip().startswith("@")
        assert facts.instructions


def test_joints_units_and_axes(facts: manifest.Manifest):
    assert sorted(facts.joint_order) == list(range(21))
    assert facts.unit in ("m", "cm", "mm")
    assert facts.axes in ("opencv", "opengl")
    assert facts.box_source in BOX_SOURCES
    assert 0.5 <= facts.box_padding <= 3
    assert 0 < facts.reprojection_tolerance_px <= 1


def test_grouping_uses_columns_of_the_format(facts: manifest.Manifest):
    for unit in (facts.split_unit, facts.cluster_unit):
        assert COLUMNS[unit].dtype == "str"
    assert facts.group_rule


def test_splits_have_our_names_and_sound_counts(facts: manifest.Manifest):
    assert set(facts.splits) <= {"train", "val", "test"}
    for split in facts.splits.values():
        assert split.native
        if split.samples and split.annotations:
            assert split.samples % split.annotations == 0


def test_archives_have_names_and_sizes(facts: manifest.Manifest):
    for archive in facts.archives:
        assert "/" not in archive.file
        assert archive.size_bytes > 1_000_000
        assert archive.sha256 or archive.note  # no checksum: say so


def test_the_reader_can_be_imported(facts: manifest.Manifest):
    reader = importlib.import_module(f"handbench.sources.{facts.reader}")
    assert callable(reader.open_source)
    assert reader.__doc__
    assert {"source", "annotations"} & reader.OPTIONS
    assert reader.EXTRAS <= {"vertices", "mano", "mask"}


def test_published_counts_of_freihand():
    splits = manifest.load("freihand").splits
    assert splits["train"] == manifest.Split("training", 130_240, 32_560)
    assert splits["test"] == manifest.Split("evaluation", 3_960, 3_960)
    sizes = {a.file: a.size_bytes for a in manifest.load("freihand").archives}
    assert sizes == {
        "FreiHAND_pub_v2.zip": 3_881_833_583,
        "FreiHAND_pub_v2_eval.zip": 758_382_230,
    }
