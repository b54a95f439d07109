"""One contract for every manifest: what a dataset must say about itself, and its reader provide."""

from __future__ import annotations

import ast
import importlib
import itertools
import json
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

import h5py
import jsonschema
import numpy as np
import pytest
from click.testing import CliRunner, Result

from handbench.cli import cli
from handbench.cli.convert import convert
from handbench.cli.source_options import open_source
from handbench.hdf5.format import BOX_SOURCES, COLUMNS
from handbench.hdf5.reader import HandFile
from handbench.home import Home
from handbench.sources import manifest
from handbench.sources.block import SampleBlock

NAMES = manifest.names()
GENERATORS = Path(__file__).parent / "generators"


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
    assert facts.homepage.startswith(("https://", "http://")) or not facts.archives
    if facts.archives:  # somebody else's work
        assert facts.license_url.startswith(("https://", "http://"))
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
        assert archive.size_bytes > 1_000_000 or "size" in archive.note  # unknown: say so
        assert archive.sha256 or archive.note  # no checksum: say so


def test_the_reader_can_be_imported(facts: manifest.Manifest):
    reader = importlib.import_module(f"handbench.sources.{facts.reader}")
    assert callable(reader.open_source)
    assert reader.__doc__
    assert {"source", "annotations"} & reader.OPTIONS
    assert not reader.EXTRAS - {"vertices", "mano", "mask"}


def test_published_counts_of_freihand():
    splits = manifest.load("freihand").splits
    assert splits["train"] == manifest.Split("training", 130_240, 32_560)
    assert splits["test"] == manifest.Split("evaluation", 3_960, 3_960)
    sizes = {a.file: a.size_bytes for a in manifest.load("freihand").archives}
    assert sizes == {
        "FreiHAND_pub_v2.zip": 3_881_833_583,
        "FreiHAND_pub_v2_eval.zip": 758_382_230,
    }


# -- every dataset from its generator through the command line ---------------------------------


@dataclass
class Converted:
    """A dataset that its generator wrote and the command line converted.

    Attributes
    ----------
    words
        What followed its name.
    path
        The file.
    """

    facts: manifest.Manifest
    words: list[str]
    path: Path

    def columns(self, path: Path | None = None) -> dict[tuple[str, str], np.ndarray]:
        """Every array of the file by split and name."""
        with h5py.File(path or self.path) as file:
            return {(s, name): file[s][name][()] for s in file for name in file[s]}


def handbench(*words: object) -> Result:
    return CliRunner().invoke(cli, [str(word) for word in words])


def succeeded(result: Result) -> str:
    assert result.exit_code == 0, result.output + repr(result.exception)
    return result.stdout


@pytest.fixture(scope="module", params=NAMES)
def converted(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory):
    facts = manifest.load(request.param)
    folder = tmp_path_factory.mktemp(facts.name)
    generator = importlib.import_module(f"generators.{facts.reader}")
    words = generator.write_fake(folder, facts.name)
    path = folder / f"{facts.name}.h5"
    succeeded(handbench("convert", facts.name, *words, "--out", path))
    return Converted(facts, words, path)


@pytest.mark.parametrize("reader", sorted({manifest.load(name).reader for name in NAMES}))
def test_the_generator_of_a_reader_shares_nothing_with_it(reader: str):
    # Fake data in a native layout that took its facts from the package would share its mistakes.
    seen, waiting = set(), [GENERATORS / f"{reader}.py"]
    while waiting:
        module = waiting.pop()
        seen.add(module)
        for name in imported(module):
            assert name.split(".")[0] != "handbench", f"{module} imports {name}"
            other = GENERATORS / f"{name.removeprefix('generators.')}.py"
            if name.startswith("generators.") and other not in seen:
                waiting.append(other)


def imported(module: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module)
    return names


def test_the_file_says_where_it_comes_from(converted: Converted):
    with HandFile(converted.path) as file:
        facts = converted.facts
        assert file.dataset in (facts.name, f"{facts.name}-subset")
        stated = {name: file.attributes[name] for name in ("license", "citation", "homepage")}
        assert stated == {name: getattr(facts, name) for name in stated}
        assert set(file.splits) <= {*facts.splits, "val"}
        for split in file.splits:
            assert file[split].split_unit == facts.split_unit
            assert file[split].box_source == facts.box_source


def test_the_file_passes_verify_and_so_does_the_source(converted: Converted):
    name, words = converted.facts.name, converted.words
    of_file = json.loads(succeeded(handbench("verify", converted.path, "--deep", "--json")))
    of_source = json.loads(succeeded(handbench("verify", name, *words, "--deep", "--json")))
    assert of_source["kept"] == of_file["kept"]
    assert of_source["dropped"] == of_file["dropped"]
    for report in (of_file, of_source):
        passed = {c["name"] for c in report["checks"] if c["passed"]}
        # The fake data are large enough for statistics: nothing passes unseen.
        assert {"finite", "boxes", "chain order", "images"} <= passed
        if converted.facts.labels_3d == "always":
            assert {"reprojection", "depth", "hand size", "side"} <= passed


def test_labels_are_still_those_of_the_source(converted: Converted):
    out = succeeded(handbench("verify", converted.path, *converted.words))
    assert "rows with the same labels" in out


def test_rows_can_be_picked_without_reading_all_before_them(converted: Converted):
    command = convert.make_context("convert", [converted.facts.name, *converted.words])
    with command:
        source = open_source(Home(converted.path.parent), converted.facts, command.params)
    for split, count in source.splits().items():
        rows = [row for block in source.blocks(split, frozenset(), None) for row in rows_of(block)]
        assert len(rows) == count
        picked = source.at(split, np.array([count - 1, 0]))
        assert [str(row) for row in rows_of(picked)] == [str(rows[-1]), str(rows[0])]


def rows_of(block: SampleBlock) -> list[SampleBlock]:
    block.extra = {}
    return [block.take(np.array([row])) for row in range(len(block))]


def test_sides_are_what_the_manifest_says(converted: Converted):
    sides = {
        int(side)
        for (_, name), values in converted.columns().items()
        if name == "is_right"
        for side in values
    }
    expected = {"right": {1}, "left": {0}, "both": {0, 1}}.get(converted.facts.handedness)
    assert expected is None or sides - {-1} == expected


def test_a_second_conversion_is_identical(converted: Converted, tmp_path: Path):
    again = tmp_path / converted.path.name
    words = [converted.facts.name, *converted.words, "--out", again, "--workers", 3]
    succeeded(handbench("convert", *words))
    first, second = converted.columns(), converted.columns(again)
    assert first.keys() == second.keys()
    for place, values in first.items():
        equal_nan = values.dtype.kind == "f"
        assert np.array_equal(values, second[place], equal_nan=equal_nan), place
    with h5py.File(converted.path) as one, h5py.File(again) as other:
        for split in one:
            assert one[split].attrs["truth_sha256"] == other[split].attrs["truth_sha256"]


def test_rows_are_in_one_order_with_unique_ids(converted: Converted, tmp_path: Path):
    part = tmp_path / converted.path.name
    words = [converted.facts.name, *converted.words, "--out", part, "--limit", 3]
    succeeded(handbench("convert", *words))
    every: list[str] = []
    with HandFile(converted.path) as file, HandFile(part) as few:
        for split in file.splits:
            ids = file[split].column("sample_id").tolist()
            every += ids
            if split in few:
                first = few[split].column("sample_id").tolist()
                assert first == ids[: len(first)]
    assert len(set(every)) == len(every)
    assert not [name for name in every if "\\" in name or name.startswith(("/", "."))]


def test_hands_of_one_image_share_its_id_and_follow_each_other(converted: Converted):
    with HandFile(converted.path) as file:
        for split in file.splits:
            names = [
                re.sub(r"(#[^/]+)?(/left|/right)?$", "", name)
                for name in file[split].column("sample_id").tolist()
            ]
            runs = [name for name, _ in itertools.groupby(names)]
            assert len(runs) == len(set(runs))
            if len(runs) < len(names):
                assert file[split].has("image_id")
            if file[split].has("image_id"):
                pairs = set(zip(names, file[split].column("image_id").tolist(), strict=True))
                assert len(pairs) == len(runs)
