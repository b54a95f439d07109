from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import pickle
import shutil
import tracemalloc
from pathlib import Path

import h5py
import numpy as np
import pytest
from generators.coco import FakeCOCO
from generators.tiny_hdf5 import write_tiny

import handbench
from handbench.errors import FormatError, HandbenchError
from handbench.hdf5 import duplicates
from handbench.hdf5.convert import ConvertSettings, convert
from handbench.hdf5.format import COLUMNS, TruthHash
from handbench.hdf5.merge import Input, Merged, merge
from handbench.hdf5.merged_split import spans_of
from handbench.hdf5.reader import HandFile
from handbench.hdf5.verify import verify
from handbench.sources import coco, manifest

FORKS = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


def join(*paths: Path, out: Path | None = None, **options: object) -> Merged:
    target = paths[0].with_name("merged.h5") if out is None else out
    return merge([Input(path) for path in paths], target, **options)  # type: ignore[arg-type]


def convert_coco(fake: FakeCOCO, out: Path, size: int, split: str = "test", **more: object) -> Path:
    source = coco.open_source(
        {split: fake.annotations}, fake.images, manifest.load("coco"), name=out.stem
    )
    return convert(source, out, ConvertSettings(size=size, **more)).path  # type: ignore[arg-type]


def append_bytes(path: Path, split: str, change: dict[str, object]) -> None:
    """Replace columns of a file as another program might."""
    with h5py.File(path, "r+") as file:
        for name, values in change.items():
            del file[split][name]
            file[split][name] = values


@pytest.fixture
def alpha(tmp_path: Path) -> Path:
    return write_tiny(tmp_path / "a.h5", {"train": 6, "test": 4}, size=32, dataset="alpha")


@pytest.fixture
def beta(tmp_path: Path) -> Path:
    return write_tiny(tmp_path / "b.h5", {"train": 5, "val": 2}, size=32, seed=9, dataset="beta")


@pytest.fixture(scope="module")
def rich(
    freihand_file: Path, fake_coco: FakeCOCO, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path, Path]:
    """A merged file of three unlike ones: 3D with meshes, 3D alone, 2D alone."""
    folder = tmp_path_factory.mktemp("rich")
    first = shutil.copy(freihand_file, folder / "freihand.h5")
    second = convert_coco(fake_coco, folder / "own.h5", 224, split="train")
    with h5py.File(second, "r+") as file:
        file["train/hand_type"] = np.array([b"right"] * 10, h5py.string_dtype("utf-8", 5))
    third = write_tiny(folder / "tiny.h5", {"train": 3}, size=224)
    merged = join(first, second, third, out=folder / "merged.h5")
    assert merged.rows == {"train": 24 + 10 + 3, "val": 8, "test": 8}
    return merged.path, first, second


# -- what it holds -----------------------------------------------------------------------------


def test_every_row_is_that_of_its_source(alpha: Path, beta: Path):
    merged = join(alpha, beta)
    assert merged.rows == {"train": 11, "val": 2, "test": 4}
    with HandFile(merged.path) as file, HandFile(alpha) as a, HandFile(beta) as b:
        expected = [("alpha", sample) for sample in a["train"]]
        expected += [("beta", sample) for sample in b["train"]]
        assert file.splits == ("train", "val", "test")
        for found, (name, sample) in zip(file["train"], expected, strict=True):
            assert found.sample_id == f"{name}/{sample.sample_id}"
            assert found.extra["instant_id"] == f"{name}/{sample.extra['instant_id']}"
            assert found.extra["source_dataset"] == name
            assert np.array_equal(found.image, sample.image)
            for column in ("keypoints_2d", "valid_2d", "valid_3d", "visibility", "crop", "bbox"):
                assert np.array_equal(getattr(found, column), getattr(sample, column)), column
            assert (found.is_right, found.mirrored) == (sample.is_right, sample.mirrored)
        assert file["val"].image_bytes(1) == b["val"].image_bytes(1)
        assert file["train"].box_source == "annotation" and file["train"].box_padding == 1.5


def test_columns_of_unlike_files(rich: tuple[Path, Path, Path]):
    path, first, second = rich
    with HandFile(path) as file, HandFile(first) as a, HandFile(second) as b:
        train, one, two = file["train"], a["train"], b["train"]
        for name in ("keypoints_3d", "camera", "valid_3d", "crop"):
            values = train.column(name)
            assert values.dtype == COLUMNS[name].dtype
            assert np.array_equal(values[:24], one.column(name))
            assert np.array_equal(values[24:34], two.column(name))
        for name in ("keypoints_3d", "camera"):
            assert np.isnan(train.column(name)[34:]).all()
        for name in ("vertices", "mano_pose", "scale"):
            assert np.array_equal(train.column(name)[:24], one.column(name))
            assert np.isnan(train.column(name)[24:]).all()
        assert train.attributes("mano_pose") == one.attributes("mano_pose")
        assert train.column("hand_type").tolist() == [""] * 24 + ["right"] * 10 + [""] * 3
        native = train.column("native_image_id")
        assert native[:24].tolist() == [""] * 24 and native[24] == "own/100"
        # A photo that nobody names is that of the sample id.
        assert train.column("image_id")[34:].tolist() == train.column("sample_id")[34:].tolist()
        assert one.has("mask") and not train.has("mask")
        # A split of one source has all that the source has.
        assert np.array_equal(file["val"].mask(3), a["val"].mask(3))


def test_what_cannot_come_along_is_said(freihand_file: Path, fake_coco: FakeCOCO, tmp_path: Path):
    first = shutil.copy(freihand_file, tmp_path / "a.h5")
    second = shutil.copy(freihand_file, tmp_path / "b.h5")
    with h5py.File(second, "r+") as file:
        file.attrs["dataset"] = "other"
        file["train/mano_pose"].attrs["flat_hand_mean"] = "unlike"
        file["train/bbox"].attrs.update({"source": "keypoints", "padding": 9.0})
        del file["train/mask"], file["train/mask_offset"]
    append_bytes(second, "train", {"vertices": np.zeros((24, 5, 3), np.float32)})
    merged = join(first, second, splits=["train"])
    assert merged.notes == [
        "train: mano_pose is left out: the files differ in flat_hand_mean",
        "train: vertices is left out: the files differ in its shape",
        "train: mask is left out: not every file has one",
    ]
    with HandFile(merged.path) as file:
        names = file["train"].names
        assert "mano_pose" not in names and "vertices" not in names and "mano_shape" in names
        # The one that takes more from the labels; a padding only where it is one.
        assert file["train"].box_source == "keypoints"
        assert np.isnan(file["train"].box_padding)


def test_perspective_crops_beside_affine_ones(fake_coco: FakeCOCO, tmp_path: Path):
    turned = convert_coco(fake_coco, tmp_path / "turned.h5", 64, perspective=True)
    plain = convert_coco(fake_coco, tmp_path / "plain.h5", 64)
    merged = join(turned, plain)
    with HandFile(merged.path) as file, HandFile(turned) as a, HandFile(plain) as b:
        split = file["test"]
        assert np.array_equal(split.column("crop_rotation")[10:], np.tile(np.eye(3), (10, 1, 1)))
        assert np.array_equal(split.column("crop_rotation")[:10], a["test"].column("crop_rotation"))
        boxes = np.concatenate([a["test"].source_bbox(), b["test"].source_bbox()])
        assert np.array_equal(split.source_bbox(), boxes)
        assert split.attributes("crop")["kind"] == "mixed"
    assert verify(merged.path, deep=True).passed


def test_units_that_differ_get_a_column_of_their_own(tmp_path: Path):
    a = write_tiny(tmp_path / "a.h5", {"train": 4, "val": 2}, size=32, dataset="alpha")
    b = write_tiny(
        tmp_path / "b.h5", {"train": 4, "test": 2}, size=32, seed=5, dataset="beta",
        unit="sample_id",
    )  # fmt: skip
    with HandFile(join(a, b).path) as file:
        for split in file.splits:
            assert file[split].split_unit == "split_group"
            assert file[split].cluster_unit == "instant_id"
        groups = file["train"].column("split_group").tolist()
        assert groups[3:5] == ["alpha/train-1", "beta/train/0000"]
        assert not file["train"].has("cluster_group")
    assert verify(tmp_path / "merged.h5").passed


def test_all_licences_and_sources_come_along(alpha: Path, beta: Path):
    with h5py.File(alpha, "r+") as file:
        file.attrs.update({"license": "CC BY 4.0", "citation": "@a{}", "label_noise_px": 1.5})
        file.attrs["sources"] = json.dumps([{"file": "a.zip", "size": 1, "sha256": "aa"}])
        file.attrs["dropped"] = json.dumps({"too small": 2})
    with h5py.File(beta, "r+") as file:
        file.attrs.update({"license": "research only", "citation": "@b{}", "title": "Beta"})
        file.attrs.update({"publish_images": False, "label_noise_px": 1.5})
        file.attrs["dropped"] = json.dumps({"too small": 3, "hidden": 1})
    merge([Input(alpha), Input(beta, 0.5)], alpha.with_name("both.h5"))
    with HandFile(alpha.with_name("both.h5")) as file:
        facts = file.attributes
    assert facts["dataset"] == "both"
    assert facts["title"] == "tiny + Beta"
    assert facts["license"] == "alpha: CC BY 4.0\nbeta: research only"
    assert facts["citation"] == "@a{}\n\n@b{}"
    assert not facts["publish_images"]
    assert facts["label_noise_px"] == 1.5
    assert facts["sources"] == [{"file": "a.zip", "size": 1, "sha256": "aa"}]
    assert facts["dropped"] == {"too small": 5, "hidden": 1}
    parts = facts["merged_from"]
    assert [(p["file"], p["dataset"], p["weight"]) for p in parts] == [
        ("a.h5", "alpha", 1.0), ("b.h5", "beta", 0.5),
    ]  # fmt: skip
    assert parts[1]["rows"] == {"train": 5, "val": 2}


def test_images_may_be_shown_if_all_may(alpha: Path, beta: Path):
    with HandFile(join(alpha, beta).path) as file:
        assert file.attributes["publish_images"]


def test_weights_are_those_of_file_and_row(alpha: Path, beta: Path):
    with h5py.File(beta, "r+") as file:
        file["train/sample_weight"] = np.arange(1.0, 6.0)
    out = alpha.with_name("both.h5")
    merged = merge([Input(alpha, 2.5), Input(beta, 2.0)], out)
    assert merged.drawn == {"alpha": 15 / 45, "beta": 30 / 45}
    with HandFile(out) as file:
        weights = file["train"].column("sample_weight")
    assert weights.tolist() == [2.5] * 6 + [2.0, 4.0, 6.0, 8.0, 10.0]


def test_the_fingerprint_is_that_of_the_parts_whatever_their_crops(
    fake_coco: FakeCOCO, tmp_path: Path
):
    found = set()
    for number, crop in enumerate(({}, {"perspective": True}, {"mirror_left": True})):
        for size in (64, 96):
            folder = tmp_path / f"{number}-{size}"
            one = convert_coco(fake_coco, folder / "one.h5", size, **crop)
            two = convert_coco(fake_coco, folder / "two.h5", size)
            for order, paths in enumerate(((one, two), (two, one))):
                merged = join(*paths, out=folder / f"merged-{order}.h5")
                with HandFile(merged.path) as file:
                    found.add(file["test"].truth_sha256)
    parts = []
    for name in ("one", "two"):
        truth = TruthHash()
        source = coco.open_source(
            {"test": fake_coco.annotations}, fake_coco.images, manifest.load("coco"), name=name
        )
        for block in source.blocks("test", frozenset(), None):
            truth.add(
                block.sample_id,
                block.keypoints_2d,
                block.keypoints_3d,
                block.valid_2d,
                block.valid_3d,
                block.bbox,
            )
        # As docs/merge.md says it.
        parts.append(hashlib.sha256(f"{name}/\0{truth.hexdigest()}\0".encode()).digest())
    assert found == {hashlib.sha256(b"".join(sorted(parts))).hexdigest()}


def test_the_fingerprint_sees_rows_that_were_left_out(tmp_path: Path):
    one = write_tiny(tmp_path / "one.h5", {"train": 6, "test": 4}, size=32, dataset="one")
    two = write_tiny(tmp_path / "two.h5", {"val": 6, "train": 5}, size=32, seed=1, dataset="two")
    # The first rows of `two` in `val` show the images of `one` in `test`.
    with h5py.File(one) as a, h5py.File(two, "r+") as b:
        pictures = [a["test/image"][slice(*a["test/image_offset"][i : i + 2])] for i in range(2)]
        stop = b["val/image_offset"][2]
        rest, lengths = b["val/image"][stop:], np.diff(b["val/image_offset"][:])
        lengths[:2] = list(map(len, pictures))
        del b["val/image"], b["val/image_offset"]
        b["val/image"] = np.concatenate([*pictures, rest])
        b["val/image"].attrs["storage"] = "encoded"
        b["val/image_offset"] = np.concatenate([[0], np.cumsum(lengths)])

    def fingerprints(**options: bool) -> dict[str, str]:
        with HandFile(join(one, two, overwrite=True, **options).path) as file:
            return {split: file[split].truth_sha256 for split in file.splits}

    whole, without = fingerprints(), fingerprints(drop_duplicates=True)
    assert whole.keys() == without.keys()
    assert {split for split in whole if whole[split] != without[split]} == {"val"}


def test_the_fingerprint_sees_labels_and_ids(alpha: Path, beta: Path):
    def fingerprint() -> str:
        with HandFile(join(alpha, beta, overwrite=True).path) as file:
            return file["train"].truth_sha256

    first = fingerprint()
    assert fingerprint() == first
    write_tiny(beta, {"train": 5, "val": 2}, size=32, seed=10, dataset="beta")
    second = fingerprint()
    with h5py.File(beta, "r+") as file:
        file.attrs["dataset"] = "gamma"
    assert len({first, second, fingerprint()}) == 3


@pytest.mark.parametrize("deep", [False, True])
def test_a_merged_file_is_sound(rich: tuple[Path, Path, Path], deep: bool):
    result = verify(rich[0], deep=deep)
    assert [c for c in result.checks if c.passed is False] == []
    (reprojection,) = [c for c in result.checks if c.name == "reprojection" and c.split == "train"]
    assert reprojection.passed and "nan" not in reprojection.detail


def test_a_fault_of_a_source_is_still_found(rich: tuple[Path, Path, Path], tmp_path: Path):
    bad = shutil.copy(rich[2], tmp_path / "own.h5")
    with h5py.File(bad, "r+") as file:
        file["train/keypoints_3d"][...] *= 1.1
        file["train/keypoints_2d"][3, 4, 0] += 3
    tiny = write_tiny(tmp_path / "tiny.h5", {"train": 3}, size=224)
    result = verify(join(bad, tiny).path)
    assert "reprojection" in [c.name for c in result.checks if c.passed is False]


def test_raw_images(fake_coco: FakeCOCO, tmp_path: Path):
    one = convert_coco(fake_coco, tmp_path / "one.h5", 48, raw_images=True)
    two = convert_coco(fake_coco, tmp_path / "two.h5", 48, raw_images=True, mirror_left=True)
    merged = join(one, two)
    with HandFile(merged.path) as file, HandFile(two) as source:
        assert file["test"].storage == "raw"
        assert np.array_equal(file["test"].image(13), source["test"].image(3))
    assert len(merged.copies) == 10
    assert verify(merged.path, deep=True).passed


def test_evaluation_and_loading_do_not_know(alpha: Path, beta: Path):
    from torch.utils.data import DataLoader

    path = join(alpha, beta).path
    with HandFile(path) as file:
        points = file["test"].source_keypoints_2d().tolist()
        ids = file["test"].column("sample_id").tolist()
    document = {
        "handbench_predictions": 1,
        "dataset": "merged",
        "split": "test",
        "model": {"name": "perfect"},
        "predictions": [{"id": i, "keypoints": p} for i, p in zip(ids, points)],
    }
    predictions = path.with_name("p.json")
    predictions.write_text(json.dumps(document))
    scored = handbench.evaluate(predictions, path, protocol="handbench")
    assert scored.missing == scored.extra == []
    assert np.nanmin(scored.primary["handbench"]) == pytest.approx(1)
    batch = next(iter(DataLoader(handbench.HandDataset(path, "train"), batch_size=11)))
    assert batch["image"].shape == (11, 3, 32, 32)


# -- the files it points to --------------------------------------------------------------------


def test_a_folder_can_be_moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    old = tmp_path / "old"
    # `%b` would be the number of a series to HDF5.
    a = write_tiny(old / "raw %b" / "ä%d.h5", {"train": 4}, size=32, dataset="alpha")
    b = write_tiny(old / "b.h5", {"train": 4}, size=32, seed=3, dataset="beta")
    out = old / "sets" / "merged.h5"
    monkeypatch.chdir(old)
    merge([Input(Path("raw %b/ä%d.h5")), Input(Path("b.h5"))], Path("sets/merged.h5"))
    with HandFile(a) as one, HandFile(b) as two:
        expected = [sample.image for split in (one["train"], two["train"]) for sample in split]
    assert [p["file"] for p in HandFile(out).attributes["merged_from"]] == [
        "../raw %b/ä%d.h5", "../b.h5",
    ]  # fmt: skip
    monkeypatch.chdir(tmp_path)
    old.rename(tmp_path / "new")
    with HandFile(Path("new/sets/merged.h5")) as file:
        assert all(map(np.array_equal, [s.image for s in file["train"]], expected))
    # A link to the merged file elsewhere leads to the same sources.
    (tmp_path / "elsewhere").mkdir()
    link = tmp_path / "elsewhere" / "link.h5"
    link.symlink_to(tmp_path / "new" / "sets" / "merged.h5")
    with HandFile(link) as file:
        assert np.array_equal(file["train"].image(0), expected[0])


def test_a_source_that_is_a_link_in_the_same_folder(alpha: Path, tmp_path: Path):
    (tmp_path / "set").mkdir()
    b = write_tiny(tmp_path / "set" / "b.h5", {"train": 2}, size=32, seed=3, dataset="beta")
    (tmp_path / "set" / "a.h5").symlink_to(alpha)
    path = join(tmp_path / "set" / "a.h5", b).path
    assert [p["file"] for p in HandFile(path).attributes["merged_from"]] == ["a.h5", "b.h5"]
    with HandFile(path) as file, HandFile(alpha) as source:
        assert file["train"].image_bytes(2) == source["train"].image_bytes(2)


def test_a_source_that_is_gone_is_named(alpha: Path, beta: Path):
    path = join(alpha, beta).path
    file = HandFile(path)
    file.close()
    beta.rename(beta.with_name("c.h5"))
    for read in (lambda: HandFile(path), lambda: file["train"].image(0)):
        with pytest.raises(
            FormatError,
            match=r"merged.h5 only points into other files: expected its part b.h5 \(beta, [\d,]+ "
            r"bytes\), found no such file; put it back, or merge again",
        ):
            read()
    beta.with_name("c.h5").rename(beta)
    assert file["train"].image(0).any()


def test_another_file_in_its_place_is_seen(alpha: Path, beta: Path):
    path = join(alpha, beta).path
    saved = beta.read_bytes()
    beta.write_bytes(saved[:-7])
    with pytest.raises(FormatError, match=r"expected its part b.h5 .* found one of [\d,]+ bytes"):
        HandFile(path)
    beta.write_bytes(b"\0" * len(saved))
    with pytest.raises(FormatError, match=r"b.h5 .* found a file with other labels"):
        HandFile(path)
    beta.write_bytes(saved)
    with h5py.File(beta, "r+") as file:
        digest = str(file["val"].attrs["truth_sha256"])
        file["val"].attrs.modify("truth_sha256", digest[::-1])
    assert beta.stat().st_size == len(saved)
    with pytest.raises(FormatError, match=r"b.h5 .* found a file with other labels"):
        HandFile(path)
    beta.write_bytes(saved)
    assert verify(path).passed


@FORKS
def test_other_processes_read_on(alpha: Path, beta: Path):
    with HandFile(join(alpha, beta).path) as file:
        expected = [file["train"].image_bytes(row) for row in range(11)]
        pid = os.fork()
        if pid == 0:
            try:
                found = [file["train"].image_bytes(row) for row in range(11)]
                os._exit(0 if found == expected else 3)
            except BaseException:  # noqa: BLE001 - the child must never return
                os._exit(4)
        assert os.waitpid(pid, 0)[1] == 0
        again = pickle.loads(pickle.dumps(file))  # noqa: S301 - our own
        assert again["train"].image_bytes(9) == expected[9]
        with multiprocessing.get_context("fork").Pool(2) as pool:
            assert pool.map(file["train"].image_bytes, range(11)) == expected


def test_workers_load_it(alpha: Path, beta: Path):
    from torch.utils.data import DataLoader

    dataset = handbench.HandDataset(join(alpha, beta).path, "train", labels=("sample_weight",))
    dataset[0]
    plain = [batch["image"] for batch in DataLoader(dataset, batch_size=4)]
    loader = DataLoader(dataset, batch_size=4, num_workers=1, multiprocessing_context="spawn")
    for one, other in zip(plain, loader, strict=True):
        assert bool((one == other["image"]).all())


def test_it_stays_small(tmp_path: Path):
    noise = np.random.default_rng(0).integers(0, 255, (300, 20_000), dtype=np.uint8)
    paths = []
    for number, name in enumerate(("alpha", "beta")):
        path = write_tiny(tmp_path / f"{name}.h5", {"train": 300}, size=16, dataset=name)
        images = np.roll(noise, number, axis=1)
        append_bytes(
            path,
            "train",
            {"image": images.ravel(), "image_offset": np.arange(301, dtype=np.int64) * 20_000},
        )
        with h5py.File(path, "r+") as file:
            file["train/image"].attrs["storage"] = "encoded"
        paths.append(path)
    merged = join(*paths)
    assert merged.rows == {"train": 600}
    assert sum(path.stat().st_size for path in paths) > 12_000_000
    assert merged.path.stat().st_size < 60_000


# -- what does not fit -------------------------------------------------------------------------


def test_other_sizes_are_refused(alpha: Path, tmp_path: Path):
    other = write_tiny(tmp_path / "c.h5", {"test": 2}, size=48, dataset="gamma")
    with pytest.raises(
        FormatError,
        match=r"images of one size, found 32×32 px in .*a.h5 and 48×48 px in .*c.h5; convert both",
    ):
        join(alpha, other)
    assert not alpha.with_name("merged.h5").exists()
    # Only what is taken must fit.
    assert join(alpha, other, splits=["train"]).rows == {"train": 6}


def test_other_storage_is_refused(fake_coco: FakeCOCO, tmp_path: Path):
    one = convert_coco(fake_coco, tmp_path / "one.h5", 48, raw_images=True)
    two = convert_coco(fake_coco, tmp_path / "two.h5", 48)
    with pytest.raises(
        FormatError, match=r"found raw ones in .*one.h5 and encoded ones in .*two.h5; convert one"
    ):
        join(one, two)


def test_a_merged_file_is_not_merged_again(alpha: Path, beta: Path, tmp_path: Path):
    first = join(alpha, beta).path
    third = write_tiny(tmp_path / "c.h5", {"train": 2}, size=32, dataset="gamma")
    with pytest.raises(HandbenchError, match=r"is merged itself; .* instead: a.h5, b.h5"):
        join(first, third, out=tmp_path / "all.h5")


@pytest.mark.parametrize("name", ["alpha", "freihand", "coco"])
def test_it_cannot_pass_for_a_dataset(alpha: Path, beta: Path, name: str):
    with pytest.raises(HandbenchError, match=f"must not be called '{name}', which names a dataset"):
        join(alpha, beta, name=name)


def test_inputs_that_make_no_sense(alpha: Path, beta: Path, tmp_path: Path):
    with pytest.raises(HandbenchError, match="at least two files, found 1"):
        join(alpha)
    with pytest.raises(HandbenchError, match=r"a.h5 is given twice; .* weight: .*a.h5:2"):
        join(alpha, tmp_path / "." / "a.h5")
    with pytest.raises(HandbenchError, match="is one of the files to merge"):
        join(alpha, beta, out=beta, overwrite=True)
    with pytest.raises(HandbenchError, match=r"exists already; pass --overwrite"):
        join(alpha, beta, out=beta)
    with pytest.raises(HandbenchError, match=r"no.* split 'dev'; they have train, test, val"):
        join(alpha, beta, splits=["dev"])
    for weight in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(HandbenchError, match=r"a positive weight for .*b.h5, found"):
            merge([Input(alpha), Input(beta, weight)], tmp_path / "m.h5")


def test_a_column_of_another_type_is_refused(alpha: Path, beta: Path):
    append_bytes(beta, "train", {"crop": np.tile(np.eye(3, dtype=np.float32), (5, 1, 1))})
    with pytest.raises(FormatError, match=r"expected crop of split 'train' as float64, found floa"):
        join(alpha, beta)
    assert not alpha.with_name("merged.h5").exists()


def test_a_unit_without_a_column_is_refused(alpha: Path, beta: Path):
    with h5py.File(beta, "r+") as file:
        file["train"].attrs["split_unit"] = "subject_id"
    with pytest.raises(
        FormatError, match=r"b.h5: split 'train' names subject_id as its split_unit"
    ):
        join(alpha, beta)


def test_files_of_one_dataset_must_not_share_samples(tmp_path: Path):
    one = write_tiny(tmp_path / "one.h5", {"train": 4}, size=32)
    two = write_tiny(tmp_path / "two.h5", {"train": 2, "test": 3}, size=32, seed=1)
    with pytest.raises(
        FormatError, match=r"both of tiny and share 2 samples, such as tiny/train/0000; merge files"
    ):
        join(one, two)
    merged = join(one, two, splits=["test"])
    assert merged.rows == {"test": 3}


def test_known_overlaps_are_said(tmp_path: Path):
    one = write_tiny(tmp_path / "one.h5", {"train": 2}, size=32, dataset="hanco")
    two = write_tiny(tmp_path / "two.h5", {"train": 2}, size=32, seed=1, dataset="freihand-subset")
    assert join(one, two).notes == [
        "hanco and freihand are known to overlap: a model that is trained on the one has seen part "
        "of the other"
    ]


def test_a_file_without_val_is_said(alpha: Path, beta: Path):
    assert join(alpha, beta).notes == [f"{alpha} has no split val: it takes no part in validation"]
    assert join(alpha, beta, splits=["train"], overwrite=True).notes == []


# -- the same image twice ----------------------------------------------------------------------


@pytest.fixture
def overlapping(tmp_path: Path) -> tuple[Path, Path]:
    """`two` has in `val` the images that `one` has in `test`."""
    one = write_tiny(tmp_path / "one.h5", {"train": 6, "test": 4}, size=32, dataset="one")
    two = write_tiny(tmp_path / "two.h5", {"val": 4, "train": 5}, size=32, seed=1, dataset="two")
    return one, two


def test_equal_images_are_listed_and_kept(overlapping: tuple[Path, Path]):
    merged = join(*overlapping)
    assert [str(copy) for _, copy in merged.copies] == [
        f"val/{row:04d} of {overlapping[1]}" for row in range(4)
    ]
    assert [str(kept) for kept, _ in merged.copies] == [
        f"test/{row:04d} of {overlapping[0]}" for row in range(4)
    ]
    assert not merged.dropped
    assert merged.rows == {"train": 11, "test": 4, "val": 4}


def test_copies_are_dropped_when_asked_to(overlapping: tuple[Path, Path]):
    merged = join(*overlapping, drop_duplicates=True)
    assert merged.dropped
    assert merged.rows == {"train": 11, "test": 4}
    with HandFile(merged.path) as file:
        assert file.splits == ("train", "test")
        assert file.attributes["dropped"] == {"image that another merged file holds too": 4}
    assert verify(merged.path, deep=True).passed
    assert join(*overlapping, drop_duplicates=True, splits=["train"], overwrite=True).copies == []


def test_rows_between_dropped_ones_stay_whole(tmp_path: Path):
    one = write_tiny(tmp_path / "one.h5", {"test": 3}, size=32, dataset="one")
    two = write_tiny(tmp_path / "two.h5", {"train": 8}, size=32, seed=7, dataset="two")
    with HandFile(one) as a, HandFile(two) as b:
        images = [b["train"].image_bytes(row) for row in range(8)]
        for row, copied in ((0, 1), (3, 0), (4, 0), (7, 2)):
            images[row] = a["test"].image_bytes(copied)
        kept = [1, 2, 5, 6]
        expected = [images[row] for row in kept]
        points = b["train"].column("keypoints_2d")[kept]
    offsets = np.cumsum([0, *map(len, images)]).astype(np.int64)
    data = np.frombuffer(b"".join(images), np.uint8)
    append_bytes(two, "train", {"image": data, "image_offset": offsets})
    merged = join(one, two, drop_duplicates=True)
    # Training gives way to what is tested, whatever the order of the files.
    assert merged.rows == {"test": 3, "train": 4}
    assert join(two, one, drop_duplicates=True, overwrite=True).rows == {"test": 3, "train": 4}
    with HandFile(merged.path) as file:
        train = file["train"]
        assert [train.image_bytes(row) for row in range(4)] == expected
        assert np.array_equal(train.column("keypoints_2d"), points)
        assert train.column("sample_id").tolist() == [f"two/train/{row:04d}" for row in kept]
    assert verify(merged.path, deep=True).passed


def test_a_file_of_nothing_but_copies_gives_nothing(tmp_path: Path):
    one = write_tiny(tmp_path / "one.h5", {"train": 4}, size=32)
    two = write_tiny(tmp_path / "two.h5", {"train": 4}, size=32)
    merged = join(one, two, drop_duplicates=True)
    assert merged.rows == {"train": 4}
    with HandFile(merged.path) as file:
        assert [part["rows"] for part in file.attributes["merged_from"]] == [{"train": 4}, {}]
    assert verify(merged.path).passed


def test_what_stands_twice_in_one_file_is_its_own_affair(tmp_path: Path):
    one = write_tiny(tmp_path / "one.h5", {"train": 2}, size=32, dataset="one")
    with HandFile(one) as file:
        image = file["train"].image_bytes(0)
    data = np.frombuffer(image * 2, np.uint8)
    offsets = np.array([0, len(image), 2 * len(image)], np.int64)
    append_bytes(one, "train", {"image": data, "image_offset": offsets})
    two = write_tiny(tmp_path / "two.h5", {"train": 2}, size=32, seed=4, dataset="two")
    assert join(one, two, drop_duplicates=True).rows == {"train": 4}


def test_images_are_compared_in_flat_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = write_tiny(tmp_path / "one.h5", {"train": 200}, size=16)
    big = np.random.default_rng(0).integers(0, 255, 200 * 50_000, dtype=np.uint8)
    append_bytes(path, "train", {"image": big, "image_offset": np.arange(201) * 50_000})
    with HandFile(path) as file:
        whole = duplicates.image_digests(file["train"])
        monkeypatch.setattr(duplicates, "_SLAB_BYTES", 120_000)
        tracemalloc.start()
        counted: list[int] = []
        pieces = duplicates.image_digests(file["train"], counted.append)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert np.array_equal(whole, pieces)
    assert counted == [2] * 100
    assert peak < 1_000_000
    assert len(np.unique(whole, axis=0)) == 200


def test_runs_of_rows():
    assert spans_of(np.array([False, True, True, False, True])) == ((1, 3), (4, 5))
    assert spans_of(np.zeros(3, dtype=bool)) == ()
