from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from generators.coco import FakeCOCO
from generators.freihand import FakeFreiHAND, write_freihand

from handbench.camera import project
from handbench.errors import FormatError, HandbenchError, SourceError
from handbench.hdf5.convert import ConvertSettings, convert
from handbench.hdf5.reader import HandFile
from handbench.hdf5.verify import verify
from handbench.heatmaps import gaussian_targets
from handbench.images import decode
from handbench.sources import coco, freihand, manifest
from handbench.sources.own_data import OwnData


def freihand_source(folder: Path, **options: Any) -> freihand.FreiHAND:
    return freihand.open_source(folder, manifest.load("freihand"), **options)


def coco_source(fake: FakeCOCO, **options: Any) -> OwnData:
    return coco.open_source(
        {"test": fake.annotations}, fake.images, manifest.load("coco"), **options
    )


def made(source: Any, out: Path, **settings: Any) -> HandFile:
    return HandFile(convert(source, out, ConvertSettings(**settings)).path)


def arrays(path: Path) -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = {}

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            found[name] = item[...]

    with h5py.File(path) as file:
        file.visititems(visit)
    return found


def equal(a: Path, b: Path) -> bool:
    one, two = arrays(a), arrays(b)
    return one.keys() == two.keys() and all(
        np.array_equal(one[n], two[n], equal_nan=one[n].dtype.kind == "f") for n in one
    )


# -- freihand ----------------------------------------------------------------------------------


def test_a_whole_image_at_its_own_size_keeps_its_bytes(
    freihand_file: Path, fake_freihand: FakeFreiHAND
):
    with HandFile(freihand_file) as file:
        for split in file.splits:
            for row, name in enumerate(file[split].column("sample_id")):
                folder, number = name.split("/")
                path = fake_freihand.folder / folder / "rgb" / f"{number}.jpg"
                assert file[split].image_bytes(row) == path.read_bytes()
            assert np.array_equal(
                file[split].column("crop"), np.tile(np.eye(3), (len(file[split]), 1, 1))
            )


def test_the_val_cut_follows_the_contract_and_never_straddles_a_moment(tmp_path: Path):
    instants = (1, 2, 3, 1, 2, 4, 1, 1, 2, 1, 3, 1)
    fake = write_freihand(tmp_path / "data", instants=instants, evaluation=0, versions=2)
    with made(freihand_source(fake.folder), tmp_path / "a.h5") as file:
        assert file.splits == ("train", "val")
        # Recomputed from scratch: the moment of annotation a is named after its first annotation.
        first = np.repeat(np.cumsum((0, *instants[:-1])), instants)
        expected: dict[str, list[str]] = {"train": [], "val": []}
        for image in range(2 * len(first)):
            unit = f"training/instant-{first[image % len(first)]:08d}"
            digest = hashlib.sha256(f"handbench-val/1:{unit}".encode()).hexdigest()
            split = "val" if int(digest[:8], 16) / 2**32 < 0.05 else "train"
            expected[split].append(f"training/{image:08d}")
        assert expected["val"]
        for split, ids in expected.items():
            assert file[split].column("sample_id").tolist() == ids
            assert file[split].split_unit == file[split].cluster_unit == "instant_id"
        moments = [set(file[s].column("instant_id")) for s in file.splits]
        assert not moments[0] & moments[1]


def test_attributes_tell_the_origin(freihand_file: Path, fake_freihand: FakeFreiHAND):
    with HandFile(freihand_file) as file:
        assert file.attributes["title"] == "FreiHAND v2"
        assert "Research only" in file.attributes["license"]
        assert "zimmermann2019freihand" in file.attributes["citation"]
        listed = {s["file"]: s for s in file.attributes["sources"]}
        data = (fake_freihand.folder / "training_xyz.json").read_bytes()
        assert listed["training_xyz.json"]["sha256"] == hashlib.sha256(data).hexdigest()
        assert listed["training_xyz.json"]["size"] == len(data)
        assert file["test"].box_source == "image"
        assert file["test"].box_padding == 1.0
        assert bool(file["test"].attributes("mano_pose")["flat_hand_mean"]) is False
        assert file["train"].attributes("mano_trans")["root_joint"] == 9


def test_masks_mano_and_vertices(freihand_file: Path, fake_freihand: FakeFreiHAND):
    with HandFile(freihand_file) as file:
        train = file["train"]
        for row, name in enumerate(train.column("sample_id").tolist()):
            annotation = int(name[-8:]) % 8
            jpeg = fake_freihand.folder / "training" / "mask" / f"{annotation:08d}.jpg"
            grey = decode(jpeg.read_bytes(), "mask")[..., 0]
            assert np.array_equal(train.mask(row), np.where(grey >= 128, 255, 0))
            vertices = fake_freihand.verts["training"][annotation]
            assert train[row].extra["vertices"] == pytest.approx(vertices, abs=1e-5)
        assert not file["test"].has("mask")
        assert file["test"].column("mano_pose") == pytest.approx(
            fake_freihand.mano["evaluation"][:, :48], abs=1e-6
        )


def test_extras_are_stored_only_when_asked_for(fake_freihand: FakeFreiHAND, tmp_path: Path):
    with made(freihand_source(fake_freihand.folder), tmp_path / "a.h5", splits=("test",)) as file:
        optional = {"vertices", "mano_pose", "mask", "heatmaps"}
        assert not any(file["test"].has(name) for name in optional)


def test_converting_twice_and_with_threads_gives_the_same_arrays(
    fake_freihand: FakeFreiHAND, tmp_path: Path
):
    options = {"size": 64, "extras": frozenset({"mask"}), "heatmaps": True}
    source = freihand_source(fake_freihand.folder)
    one, again, four = (
        convert(source, tmp_path / f"{n}.h5", ConvertSettings(**options, workers=w)).path  # type: ignore[arg-type]
        for n, w in (("one", 1), ("again", 1), ("four", 4))
    )
    assert equal(one, again)
    assert equal(one, four)


def test_a_smaller_size_moves_everything_together(fake_freihand: FakeFreiHAND, tmp_path: Path):
    with made(freihand_source(fake_freihand.folder), tmp_path / "a.h5", size=112) as file:
        test = file["test"]
        # x' = (x + 1/2) / 2 - 1/2
        expected = (fake_freihand.uv("evaluation") + 0.5) / 2 - 0.5
        assert test.column("keypoints_2d") == pytest.approx(expected, abs=1e-9)
        found = project(test.column("keypoints_3d"), test.column("camera"))
        assert np.abs(found - expected).max() < 1e-3
        assert test.image(0).shape == (112, 112, 3)
    assert verify(tmp_path / "a.h5", deep=True).passed


def test_truth_does_not_depend_on_the_crop(fake_freihand: FakeFreiHAND, tmp_path: Path):
    source = freihand_source(fake_freihand.folder)
    settings: list[dict[str, Any]] = [{}, {"size": 96}, {"padding": 1.7}, {"raw_images": True}]
    hashes = set()
    for number, options in enumerate(settings):
        with made(source, tmp_path / f"{number}.h5", splits=("test",), **options) as file:
            hashes.add(file["test"].truth_sha256)
    assert len(hashes) == 1


def test_heatmaps_are_those_of_the_heatmap_module(fake_freihand: FakeFreiHAND, tmp_path: Path):
    with made(
        freihand_source(fake_freihand.folder),
        tmp_path / "a.h5",
        size=64,
        heatmaps=True,
        sigma=1.5,
        grid="corner",
        splits=("test",),
    ) as file:
        test = file["test"]
        expected = gaussian_targets(
            test.column("keypoints_2d"), test.column("valid_2d"), (64, 64), 4, 1.5, "corner"
        )
        assert np.array_equal(test.column("heatmaps"), expected.astype(np.float16))
        attributes = test.attributes("heatmaps")
        found = (attributes["sigma"], attributes["stride"], attributes["grid"])
        assert found == (1.5, 4, "corner")


def test_heatmaps_need_a_fitting_size(fake_freihand: FakeFreiHAND, tmp_path: Path):
    with pytest.raises(HandbenchError, match="multiples of 4, found 62×62: choose another --size"):
        made(freihand_source(fake_freihand.folder), tmp_path / "a.h5", size=62, heatmaps=True)
    assert list(tmp_path.iterdir()) == []


def test_raw_images(fake_freihand: FakeFreiHAND, tmp_path: Path):
    source = freihand_source(fake_freihand.folder)
    with made(source, tmp_path / "a.h5", raw_images=True, splits=("test",)) as file:
        jpeg = (fake_freihand.folder / "evaluation/rgb/00000003.jpg").read_bytes()
        assert np.array_equal(file["test"].image(3), decode(jpeg, "a"))
    assert verify(tmp_path / "a.h5", deep=True).passed


@pytest.mark.parametrize(
    ("splits", "rows"),
    [
        (("test",), {"test": 8}),
        (("val",), {"val": 8}),
        (("train",), {"train": 24}),
        (("test", "train", "val"), {"train": 24, "val": 8, "test": 8}),
    ],
)
def test_splits_can_be_chosen(
    fake_freihand: FakeFreiHAND, tmp_path: Path, splits: tuple[str, ...], rows: dict[str, int]
):
    with made(freihand_source(fake_freihand.folder), tmp_path / "a.h5", splits=splits) as file:
        assert {split: len(file[split]) for split in file.splits} == rows
    assert verify(tmp_path / "a.h5").passed


def test_a_split_that_does_not_exist(fake_freihand: FakeFreiHAND, tmp_path: Path):
    with pytest.raises(HandbenchError, match="no split 'evaluation'; it has test, train, val"):
        made(freihand_source(fake_freihand.folder), tmp_path / "a.h5", splits=("evaluation",))


def test_limit_counts_rows_of_the_source(fake_freihand: FakeFreiHAND, tmp_path: Path):
    with made(freihand_source(fake_freihand.folder), tmp_path / "a.h5", limit=6) as file:
        both = [*file["train"].column("sample_id"), *file["val"].column("sample_id")]
        assert sorted(both) == [f"training/{i:08d}" for i in range(6)]
        assert len(file["test"]) == 6


def test_a_limit_makes_a_subset_of_a_complete_dataset(fake_freihand: FakeFreiHAND, tmp_path: Path):
    source = freihand_source(fake_freihand.folder)
    source.name = "freihand"  # as if all 130,240 images were there
    assert convert(source, tmp_path / "a.h5", ConvertSettings(limit=3)).dataset == "freihand-subset"
    assert convert(source, tmp_path / "b.h5", ConvertSettings(limit=99)).dataset == "freihand"


def test_chosen_versions(fake_freihand: FakeFreiHAND, tmp_path: Path):
    source = freihand_source(fake_freihand.folder, versions=["hom"])
    with made(source, tmp_path / "a.h5") as file:
        rows = {split: len(file[split]) for split in file.splits}
        assert rows == {"train": 6, "val": 2, "test": 8}
        assert file["val"].column("sample_id").tolist() == [
            "training/00000012",
            "training/00000013",
        ]


def test_evaluation_without_labels(tmp_path: Path):
    fake = write_freihand(tmp_path / "data", training=False, evaluation_labels=False)
    with made(freihand_source(fake.folder), tmp_path / "a.h5", size=96) as file:
        test = file["test"]
        assert np.isnan(test.column("keypoints_2d")).all()
        assert not test.column("valid_2d").any()
        assert not test.has("keypoints_3d")
        assert test.has("camera")


# -- coco --------------------------------------------------------------------------------------


def test_coco_with_3d_passes_verify(fake_coco: FakeCOCO, tmp_path: Path):
    with made(coco_source(fake_coco, name="mine"), tmp_path / "a.h5", size=128) as file:
        assert file.dataset == "mine"
        test = file["test"]
        assert test.box_source == "annotation"
        assert test.box_padding == 1.25
        assert test.source_keypoints_2d() == pytest.approx(fake_coco.uv, abs=1e-9)
        assert test.column("keypoints_3d") == pytest.approx(fake_coco.xyz, abs=1e-6)
        boxes = [a["bbox"] for a in fake_coco.data["annotations"]]
        assert test.source_bbox() == pytest.approx(np.array(boxes))
    assert verify(tmp_path / "a.h5", deep=True).passed


def test_a_reversed_joint_order_does_not_pass_verify(fake_coco: FakeCOCO, tmp_path: Path):
    order = [0, 4, 3, 2, 1, 8, 7, 6, 5, 12, 11, 10, 9, 16, 15, 14, 13, 20, 19, 18, 17]
    path = convert(coco_source(fake_coco, joint_order=order), tmp_path / "a.h5").path
    assert "chain order" in {c.name for c in verify(path).checks if c.passed is False}


def test_padding_is_stored_and_used(fake_coco: FakeCOCO, tmp_path: Path):
    with made(coco_source(fake_coco), tmp_path / "a.h5", padding=2.0, size=100) as file:
        assert file["test"].box_padding == 2.0
        longer = file["test"].column("bbox")[:, 2:].max(axis=1)
        assert longer == pytest.approx(np.full(10, 50.0))


# -- the target --------------------------------------------------------------------------------


def test_an_existing_file_is_replaced_only_on_request(fake_coco: FakeCOCO, tmp_path: Path):
    out = tmp_path / "a.h5"
    out.write_text("precious")
    with pytest.raises(FormatError, match=r"a\.h5 exists already; pass --overwrite to replace it"):
        convert(coco_source(fake_coco), out)
    assert out.read_text() == "precious"
    convert(coco_source(fake_coco), out, overwrite=True)
    assert verify(out).passed
    with pytest.raises(FormatError, match="expected a file name for --out, found the folder"):
        convert(coco_source(fake_coco), tmp_path, overwrite=True)


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
@pytest.mark.parametrize("workers", [1, 2])
def test_an_interrupted_conversion_leaves_the_old_file(
    fake_coco: FakeCOCO,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: type[BaseException],
    workers: int,
):
    from handbench.samples import shaping

    out = tmp_path / "a.h5"
    out.write_text("old")

    def interrupted(*_: Any) -> bytes:
        raise error

    monkeypatch.setattr(shaping, "encode_jpeg", interrupted)
    with pytest.raises(error):
        convert(coco_source(fake_coco), out, ConvertSettings(workers=workers), overwrite=True)
    assert [p.name for p in tmp_path.iterdir()] == ["a.h5"]
    assert out.read_text() == "old"


def test_nothing_to_convert(tmp_path: Path):
    fake = write_freihand(tmp_path / "data", instants=(1,), evaluation=0, versions=1)
    with pytest.raises(SourceError, match=r"expected samples in .*, found none to convert"):
        made(freihand_source(fake.folder), tmp_path / "a.h5", splits=("val",))
    assert not (tmp_path / "a.h5").exists()


# -- real data ---------------------------------------------------------------------------------


@pytest.mark.real_data
def test_real_freihand_evaluation(real_data: Path, tmp_path: Path):
    import json

    folder = real_data / "FreiHAND_pub_v2"
    source = freihand_source(folder)
    assert source.name == "freihand-subset"
    with made(source, tmp_path / "a.h5") as file:
        test = file["test"]
        assert len(test) == 40
        names = [f"evaluation/{i:08d}" for i in range(40)]
        assert test.column("sample_id").tolist() == names
        for row in range(40):
            path = folder / "evaluation" / "rgb" / f"{row:08d}.jpg"
            assert test.image_bytes(row) == path.read_bytes()
        published = json.loads((folder / "evaluation_K.json").read_text())
        assert np.array_equal(test.column("camera"), np.array(published))
        scale = json.loads((folder / "evaluation_scale.json").read_text())
        assert np.array_equal(test.column("scale"), np.array(scale))
        assert not test.column("valid_2d").any()
    assert verify(tmp_path / "a.h5", deep=True).passed


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("folder", "rows"),
    [
        ("realhands_coco", 300),
        ("freihand_train_coco", 4),
        ("onehand10k_coco", 2),
        ("panoptic_coco", 2),
        ("rhd_coco", 2),
    ],
)
def test_real_coco_files(real_data: Path, tmp_path: Path, folder: str, rows: int):
    import json

    order = None
    if folder == "rhd_coco":
        order = [0, 4, 3, 2, 1, 8, 7, 6, 5, 12, 11, 10, 9, 16, 15, 14, 13, 20, 19, 18, 17]
    source = coco.open_source(
        {"test": real_data / folder / "annotations.json"},
        real_data / folder / "images",
        manifest.load("coco"),
        name=folder,
        joint_order=order,
    )
    with made(source, tmp_path / "a.h5") as file:
        test = file["test"]
        assert len(test) == rows
        published = json.loads((real_data / folder / "annotations.json").read_text())
        native = np.array(
            [np.reshape(a["keypoints"], (21, 3)) for a in published["annotations"]], dtype=float
        )[:, order or range(21)]
        seen = native[..., 2] > 0
        assert np.array_equal(test.column("valid_2d"), seen)
        away = np.abs(test.source_keypoints_2d() - native[..., :2])[seen]
        assert away.max() < 1e-6
        if folder in ("realhands_coco", "rhd_coco"):
            assert test.column("valid_3d").all()
    result = verify(tmp_path / "a.h5", deep=True)
    assert [c for c in result.checks if c.passed is False] == []


@pytest.mark.real_data
def test_real_hands_in_the_wrong_order_are_found_out(real_data: Path, tmp_path: Path):
    order = [0, 4, 3, 2, 1, 8, 7, 6, 5, 12, 11, 10, 9, 16, 15, 14, 13, 20, 19, 18, 17]
    folder = real_data / "realhands_coco"
    source = coco.open_source(
        {"test": folder / "annotations.json"},
        folder / "images",
        manifest.load("coco"),
        joint_order=order,
    )
    path = convert(source, tmp_path / "a.h5", ConvertSettings(limit=60)).path
    assert "chain order" in {c.name for c in verify(path).checks if c.passed is False}
