from __future__ import annotations

import gc
import hashlib
import io
import json
import sys
import tarfile
import warnings
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from generators.tiny_hdf5 import write_tiny
from PIL import Image

from handbench.errors import MissingExtraError
from handbench.hdf5.export_webdataset import export_webdataset
from handbench.hdf5.reader import HandFile


def samples(folder: Path, split: str) -> list[dict[str, Any]]:
    """What the library itself reads from the shards of a split, in order."""
    webdataset = pytest.importorskip("webdataset")
    shards = sorted(map(str, folder.glob(f"{split}-*.tar")))
    with warnings.catch_warnings():
        # The library leaves its shards to the garbage collector, which warns about open files.
        warnings.simplefilter("ignore", ResourceWarning)
        read = list(webdataset.WebDataset(shards, shardshuffle=False))
        gc.collect()
    return read


def test_the_library_reads_every_array_back(freihand_file: Path, tmp_path: Path):
    with HandFile(freihand_file) as file:
        done = export_webdataset(file, tmp_path / "out", shard_size=10)
        assert done.notes == []
        for name in file.splits:
            split = file[name]
            read = samples(tmp_path / "out", name)
            assert [sample["__key__"] for sample in read] == split.column("sample_id").tolist()
            labels = [json.loads(sample["json"]) for sample in read]
            assert {(entry["dataset"], entry["split"]) for entry in labels} == {
                (file.dataset, name)
            }
            for column in split.names:
                expected = split.column(column)
                # null is NaN.
                values = np.array([entry[column] for entry in labels])
                values = values.astype(expected.dtype)
                kind = expected.dtype.kind
                assert np.array_equal(values, expected, equal_nan=kind == "f"), column
            for row, sample in enumerate(read):
                assert sample["jpg"] == split.image_bytes(row)
            if split.has("mask"):
                with Image.open(io.BytesIO(read[3]["mask.png"])) as mask:
                    assert np.array_equal(np.asarray(mask.convert("L")), split.mask(3))


def test_shards_hold_so_many_hands(freihand_file: Path, tmp_path: Path):
    with HandFile(freihand_file) as file:
        export_webdataset(file, tmp_path / "out", ("train", "val"), shard_size=10)
    counts = {}
    for path in sorted((tmp_path / "out").glob("*.tar")):
        with tarfile.open(path) as tar:
            counts[path.name] = sum(name.endswith(".json") for name in tar.getnames())
    assert counts == {
        "train-000000.tar": 10,
        "train-000001.tar": 10,
        "train-000002.tar": 4,
        "val-000000.tar": 8,
    }
    said = json.loads((tmp_path / "out" / "handbench_export.json").read_text())
    assert said["files_sha256"] == {
        name: hashlib.sha256((tmp_path / "out" / name).read_bytes()).hexdigest() for name in counts
    }


def test_equal_files_give_equal_shards(freihand_file: Path, tmp_path: Path):
    with HandFile(freihand_file) as file:
        for name in ("one", "two"):
            export_webdataset(file, tmp_path / name, ("test",))
    one, two = (tmp_path / name / "test-000000.tar" for name in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()
    with tarfile.open(one) as tar:
        assert {(m.mtime, m.uname, m.uid) for m in tar} == {(0, "handbench", 0)}


def test_png_keeps_its_suffix_and_nan_becomes_null(tmp_path: Path):
    path = write_tiny(tmp_path / "tiny.h5", {"test": 3}, unlabelled=("test",))
    with HandFile(path) as file:
        export_webdataset(file, tmp_path / "out")
        read = samples(tmp_path / "out", "test")
        assert [sample["png"] for sample in read] == [file["test"].image_bytes(i) for i in range(3)]
    assert json.loads(read[0]["json"])["keypoints_2d"][20] == [None, None]


def test_raw_pixels_become_png(tmp_path: Path):
    from generators.coco import write_coco

    from handbench.hdf5.convert import ConvertSettings, convert
    from handbench.sources import coco, manifest

    fake = write_coco(tmp_path / "source", 3)
    source = coco.open_source({"test": fake.annotations}, fake.images, manifest.load("coco"))
    settings = ConvertSettings(size=64, raw_images=True)
    with HandFile(convert(source, tmp_path / "a.h5", settings).path) as file:
        export_webdataset(file, tmp_path / "out")
        for row, sample in enumerate(samples(tmp_path / "out", "test")):
            with Image.open(io.BytesIO(sample["png"])) as picture:
                assert np.array_equal(np.asarray(picture), file["test"].image(row))


def test_keys_have_no_dots_and_stay_different(tmp_path: Path):
    path = write_tiny(tmp_path / "tiny.h5", {"test": 3})
    with h5py.File(path, "r+") as raw:
        del raw["test/sample_id"]
        names = np.array([b"v1.2/a.b", b"v1.2/a%2Eb", ("ü" * 90).encode()])
        raw["test/sample_id"] = names.astype(h5py.string_dtype("utf-8", length=180))
    with HandFile(path) as file:
        export_webdataset(file, tmp_path / "out")
        read = samples(tmp_path / "out", "test")
        assert [s["__key__"] for s in read] == ["v1%2E2/a%2Eb", "v1%2E2/a%252Eb", "ü" * 90]
        assert [json.loads(s["json"])["sample_id"] for s in read] == file["test"].column(
            "sample_id"
        ).tolist()


def test_heatmaps_are_left_out_and_it_is_said(tmp_path: Path, freihand_dir: Path):
    from handbench.hdf5.convert import ConvertSettings, convert
    from handbench.sources import freihand, manifest

    source = freihand.open_source(freihand_dir, manifest.load("freihand"))
    settings = ConvertSettings(splits=("test",), heatmaps=True)
    with HandFile(convert(source, tmp_path / "a.h5", settings).path) as file:
        done = export_webdataset(file, tmp_path / "out")
    assert done.notes == ["test: heatmaps are left out; they follow from the keypoints"]
    assert "heatmaps" not in json.loads(samples(tmp_path / "out", "test")[0]["json"])


def test_without_the_library_the_message_says_what_to_install(
    freihand_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "webdataset", None)
    with (
        HandFile(freihand_file) as file,
        pytest.raises(MissingExtraError, match=r"pip install 'handbench\[webdataset\]'"),
    ):
        export_webdataset(file, tmp_path / "out")
    assert not (tmp_path / "out").exists()
