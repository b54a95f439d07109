from __future__ import annotations

import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from generators.freihand import (
    FakeFreiHAND,
    read_json,
    write_freihand,
    write_json,
    zip_freihand,
)

from handbench.errors import HandbenchError, SourceError
from handbench.hdf5.convert import convert
from handbench.sources import freihand, manifest
from handbench.sources.block import SampleBlock


def open_source(path: Path, name: str = "freihand", **options) -> freihand.FreiHAND:
    return freihand.open_source(path, manifest.load(name), **options)


def rows_of(
    source: freihand.FreiHAND, split: str, *extras: str, limit: int | None = None
) -> SampleBlock:
    (block,) = source.blocks(split, frozenset(extras), limit)
    return block


# -- what is read ------------------------------------------------------------------------------


def test_labels_are_those_of_the_files(fake_freihand: FakeFreiHAND):
    source = open_source(fake_freihand.folder)
    assert source.splits() == {"train": 32, "test": 8}
    for split, native in (("train", "training"), ("test", "evaluation")):
        block = rows_of(source, split)
        rows = np.arange(len(block)) % 8
        assert np.array_equal(block.keypoints_3d, fake_freihand.xyz[native][rows])
        assert np.array_equal(block.camera, fake_freihand.camera[native][rows])
        assert block.keypoints_2d == pytest.approx(fake_freihand.uv(native)[rows], abs=1e-9)
        assert np.array_equal(block.extra["scale"], fake_freihand.scale[native][rows])
        assert block.valid_2d.all() and block.valid_3d.all()
        assert (block.visibility == 255).all()
        assert (block.is_right == 1).all()
        assert (block.bbox == [-0.5, -0.5, 224, 224]).all()
        assert (block.image_size == 224).all()


def test_images_and_ids_follow_base_plus_l_times_version(fake_freihand: FakeFreiHAND):
    block = rows_of(open_source(fake_freihand.folder), "train")
    assert block.sample_id == [f"training/{i:08d}" for i in range(32)]
    for sample_id, data in zip(block.sample_id, block.images):
        number = sample_id.removeprefix("training/")
        assert data == (fake_freihand.folder / "training" / "rgb" / f"{number}.jpg").read_bytes()
    # The four versions of annotation 3 share its labels.
    assert np.unique(block.keypoints_2d[3::8], axis=0).shape[0] == 1


def test_instants_join_versions_and_cameras(fake_freihand: FakeFreiHAND):
    block = rows_of(open_source(fake_freihand.folder), "train")
    first = [0, 0, 2, 3, 4, 4, 6, 7]  # views of each moment: 2, 1, 1, 2, 1, 1
    expected = [f"training/instant-{first[i % 8]:08d}" for i in range(32)]
    assert block.ids["instant_id"] == expected


def test_versions_can_be_chosen(fake_freihand: FakeFreiHAND):
    source = open_source(fake_freihand.folder, versions=["auto", "1"])
    assert source.splits() == {"train": 16, "test": 8}
    numbers = [int(name[-8:]) for name in rows_of(source, "train").sample_id]
    assert numbers == [*range(8, 16), *range(24, 32)]
    with pytest.raises(SourceError, match="no version is called 'greenscreen'; there are gs, hom"):
        open_source(fake_freihand.folder, versions=["greenscreen"])


def test_fewer_versions_on_disk(tmp_path: Path):
    fake = write_freihand(tmp_path, versions=1, masks=False)
    source = open_source(fake.folder)
    assert source.splits()["train"] == 8
    assert "1 of the 4 versions" not in " ".join(source.notes)  # too few annotations comes first
    with pytest.raises(SourceError, match=r"expected version auto of .* found only gs; choose"):
        open_source(fake.folder, versions=["auto"])


def test_vertices_mano_and_masks(fake_freihand: FakeFreiHAND):
    block = rows_of(open_source(fake_freihand.folder), "train", "vertices", "mano", "mask")
    rows = np.arange(32) % 8
    mano = fake_freihand.mano["training"][rows]
    assert block.extra["vertices"].shape == (32, 778, 3)
    assert block.extra["vertices"] == pytest.approx(fake_freihand.verts["training"][rows], abs=1e-5)
    assert block.extra["mano_pose"] == pytest.approx(mano[:, :48], abs=1e-6)
    assert block.extra["mano_shape"] == pytest.approx(mano[:, 48:58], abs=1e-6)
    # The mesh's root is joint 9: ((u - cx)/s, (v - cy)/s, f/s).
    assert block.extra["mano_trans"] == pytest.approx(
        fake_freihand.xyz["training"][rows, 9], abs=1e-5
    )
    assert block.masks is not None
    mask = fake_freihand.folder / "training" / "mask" / "00000003.jpg"
    assert [block.masks[row] for row in (3, 11, 19, 27)] == [mask.read_bytes()] * 4
    assert rows_of(open_source(fake_freihand.folder), "test", "mask").masks is None


def test_an_extra_that_is_not_there_is_noted(tmp_path: Path):
    fake = write_freihand(tmp_path, masks=False)
    (fake.folder / "training_verts.json").unlink()
    source = open_source(fake.folder)
    block = next(iter(source.blocks("train", frozenset({"vertices", "mask"}))))
    assert block.masks is None and "vertices" not in block.extra
    assert source.notes[-2:] == [
        "training has no mask: no training/mask in the source",
        "training has no vertices: no training_verts.json in the source",
    ]


def test_limit_takes_the_first_rows_and_their_vertices(fake_freihand: FakeFreiHAND):
    block = rows_of(open_source(fake_freihand.folder), "train", "vertices", limit=3)
    assert block.sample_id == [f"training/{i:08d}" for i in range(3)]
    assert block.extra["vertices"].shape == (3, 778, 3)


def test_archives_give_the_same_rows_as_the_folder(fake_freihand: FakeFreiHAND, tmp_path: Path):
    first, second = zip_freihand(fake_freihand, tmp_path / "zips")
    expected = open_source(fake_freihand.folder)
    extras = ("vertices", "mano", "mask")
    for path in (tmp_path / "zips", first, second):
        source = open_source(path)
        assert source.splits() == expected.splits()
        for split in ("train", "test"):
            found, wanted = rows_of(source, split, *extras), rows_of(expected, split, *extras)
            assert found.images == wanted.images
            assert found.masks == wanted.masks
            assert found.ids == wanted.ids
            assert np.array_equal(found.keypoints_2d, wanted.keypoints_2d)
            assert np.array_equal(found.extra["vertices"], wanted.extra["vertices"])
        assert [f["file"] for f in source.files()] == [first.name, second.name]


def test_only_the_first_archive_has_no_evaluation_labels(
    fake_freihand: FakeFreiHAND, tmp_path: Path
):
    first, second = zip_freihand(fake_freihand, tmp_path)
    second.unlink()
    block = rows_of(open_source(first), "test")
    assert not block.valid_2d.any()


def test_evaluation_without_labels_keeps_images_and_intrinsics(tmp_path: Path):
    fake = write_freihand(tmp_path, training=False, evaluation_labels=False)
    source = open_source(fake.folder)
    assert any("evaluation has no labels (no evaluation_xyz.json)" in n for n in source.notes)
    block = rows_of(source, "test", "vertices", "mano")
    assert np.array_equal(block.camera, fake.camera["evaluation"])
    assert np.isnan(block.keypoints_2d).all()
    assert not block.valid_2d.any() and not block.valid_3d.any()
    assert block.keypoints_3d is None
    assert (block.visibility == 0).all()
    assert block.ids["instant_id"] == [f"evaluation/instant-{i:08d}" for i in range(8)]


def test_a_small_copy_is_called_a_subset_and_says_so(fake_freihand: FakeFreiHAND):
    source = open_source(fake_freihand.folder)
    assert source.name == "freihand-subset"
    (note,) = [n for n in source.notes if n.startswith("a subset")]
    assert "training has 8 of 32,560 annotations; evaluation has 8 of 3,960" in note
    assert "'freihand-subset'" in note
    (clusters,) = [n for n in source.notes if n.startswith("training:")]
    assert "8 annotations in 6 instants (4 of size 1, 2 of size 2)" in clusters


# -- names -------------------------------------------------------------------------------------


def test_the_marker_names_the_dataset_whatever_was_asked_for(tmp_path: Path):
    fake = write_freihand(tmp_path, marker="sample", instants=(1,), evaluation=1, versions=1)
    for asked in ("freihand", "sample"):
        source = open_source(fake.folder, asked)
        assert source.name == "sample"
        assert source.manifest.title == "handbench synthetic hands"


def test_sample_needs_the_marker(freihand_dir: Path):
    with pytest.raises(SourceError, match=r"calls itself 'sample' .* `handbench convert freihand`"):
        open_source(freihand_dir, "sample")


@pytest.mark.parametrize("content", ['{"handbench_source": 3}', "[]", '"sample"'])
def test_a_marker_without_a_name_is_refused(tmp_path: Path, content: str):
    (tmp_path / "handbench_source.json").write_text(content)
    with pytest.raises(SourceError, match="expected the field handbench_source with a name"):
        open_source(tmp_path)


def test_a_marker_with_an_unknown_name_is_refused(tmp_path: Path):
    (tmp_path / "handbench_source.json").write_text('{"handbench_source": "freihnad"}')
    with pytest.raises(HandbenchError, match="no dataset is called 'freihnad'"):
        open_source(tmp_path)


# -- bad input ---------------------------------------------------------------------------------


def change(name: str, how: Callable[[list], list | None]) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        entries = read_json(folder / name)
        write_json(folder / name, how(entries) or entries)

    return damage


def put(value: object, *place: int) -> Callable[[list], None]:
    def how(entries: list) -> None:
        for index in place[:-1]:
            entries = entries[index]
        entries[place[-1]] = value

    return how


def remove(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def cut(name: str, share: float) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        data = (folder / name).read_bytes()
        (folder / name).write_bytes(data[: int(len(data) * share)])

    return damage


def copy(name: str, new: str) -> Callable[[Path], None]:
    return lambda folder: shutil.copy(folder / name, folder / new)


def no_images(folder: Path) -> None:
    shutil.rmtree(folder / "training" / "rgb")


def no_intrinsics(folder: Path) -> None:
    for path in folder.glob("*.json"):
        path.unlink()


def empty(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


IMAGE = "training/rgb/00000005.jpg"
BAD = {
    "empty folder": (empty, "expected FreiHAND v2 in .* found no files; point --source at"),
    "v1": (
        change("training_K.json", put(117.3, 2, 0, 2)),
        r"principal point \(112, 112\) px in .*training_K.json, found \(117.3, 112.0\) in entry 2"
        ".*probably v1",
    ),
    "missing image": (remove(IMAGE), "8 annotations, .* missing: 00000005.jpg"),
    "missing last image": (remove("training/rgb/00000031.jpg"), "missing: 00000031.jpg"),
    "extra image": (copy(IMAGE, "training/rgb/00000032.jpg"), "not expected: 00000032.jpg"),
    "extra evaluation image": (
        copy("evaluation/rgb/00000000.jpg", "evaluation/rgb/00000008.jpg"),
        r"evaluation_K.json has 8 .* \(1 version of each\); not expected: 00000008.jpg",
    ),
    "no images": (no_images, "expected images in .*training/rgb, found none; unpack"),
    "no labels at all": (no_intrinsics, "expected training_K.json beside training/rgb in"),
    "no xyz": (remove("training_xyz.json"), "expected training_xyz.json in .*, found no such"),
    "no scale": (remove("evaluation_scale.json"), "expected evaluation_scale.json in"),
    "short xyz": (
        change("training_xyz.json", lambda e: e[:-1]),
        "labels of one length .* training_K.json 8, .*training_xyz.json 7.* cut short",
    ),
    "long scale": (
        change("evaluation_scale.json", lambda e: [*e, 0.03]),
        "labels of one length .* evaluation_scale.json 9",
    ),
    "short everything": (
        lambda folder: [
            change(f"training_{n}.json", lambda e: e[:6])(folder)
            for n in ("K", "xyz", "scale", "mano", "verts")
        ],
        "6 annotations, .* 00000000.jpg to 00000023.jpg .* not expected: 00000024.jpg",
    ),
    "short vertices": (
        change("training_verts.json", lambda e: e[:-1]),
        "expected 8 entries in .*training_verts.json, found 7",
    ),
    "long vertices": (
        change("training_verts.json", lambda e: [*e, e[0]]),
        "expected 8 entries in .*training_verts.json, found 9",
    ),
    "other vertices": (
        change("training_verts.json", lambda e: [*e[:3], e[3][:-1], *e[4:]]),
        r"entry 3 of .*training_verts.json: expected \(778, 3\) .* found \(777, 3\)",
    ),
    "truncated xyz": (
        cut("training_xyz.json", 0.7),
        "labels as JSON at .*training_xyz.json, found a file that breaks off",
    ),
    "truncated vertices": (cut("evaluation_verts.json", 0.5), "verts.json breaks off after"),
    "empty K": (cut("training_K.json", 0), "labels as JSON at .*K.json, found an empty file"),
    "NaN": (
        change("training_xyz.json", put(float("nan"), 3, 1, 0)),
        "labels as JSON at .*training_xyz.json, found NaN or an infinity",
    ),
    "null": (
        change("training_xyz.json", put(None, 3, 1, 0)),
        r"entry 3 of .*training_xyz.json is not finite; take .* such entries out \(1 here",
    ),
    "behind": (
        change("training_xyz.json", put(-0.5, 6, 20, 2)),
        "in front of the camera .* found depth -0.500 m in entry 6; .* OpenCV axes",
    ),
    "in the camera": (change("evaluation_xyz.json", put(0.0, 1, 4, 2)), "found depth 0.000 m"),
    "ragged": (
        change("training_xyz.json", put([[0.0, 0.1, 0.5]] * 20, 4)),
        "entry 4 of .*training_xyz.json: expected 21×3 numbers, found something else",
    ),
    "transposed": (
        change("training_xyz.json", lambda e: [np.transpose(hand).tolist() for hand in e]),
        "entry 0 of .*training_xyz.json: expected 21×3 numbers",
    ),
    "words": (change("training_scale.json", put("big", 2)), "entry 2 of .* expected one numbers"),
    "a dictionary": (
        lambda folder: write_json(folder / "training_K.json", {"K": []}),
        "expected a JSON list with one entry an image in .*training_K.json",
    ),
    "truncated first JPEG": (
        cut("training/rgb/00000000.jpg", 0.5),
        "expected a whole image at .*00000000.jpg, found one that is truncated",
    ),
    "truncated JPEG": (cut(IMAGE, 0.5), "expected a whole image at .*training/rgb/00000005.jpg"),
    "zero-byte JPEG": (cut(IMAGE, 0), "expected an image at .*00000005.jpg, found an empty file"),
    "missing mask": (remove("training/mask/00000004.jpg"), "expected training/mask/00000004.jpg"),
    "truncated mask": (
        cut("training/mask/00000004.jpg", 0.5),
        "expected a whole image at the mask of training/00000004",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_sentence_and_leaves_nothing(
    fake_freihand: FakeFreiHAND, tmp_path: Path, case: str
):
    damage, message = BAD[case]
    folder = tmp_path / "data"
    # Links where nothing is rewritten in place would be quicker; these 64 small files are fine.
    shutil.copytree(fake_freihand.folder, folder)
    damage(folder)
    out = tmp_path / "out" / "a.h5"
    with pytest.raises(SourceError, match=message) as caught:
        convert_everything(folder, out)
    assert "\n" not in str(caught.value)
    assert not out.parent.exists() or list(out.parent.iterdir()) == []


def convert_everything(path: Path, out: Path) -> None:
    from handbench.hdf5.convert import ConvertSettings

    extras = frozenset({"vertices", "mano", "mask"})
    convert(open_source(path), out, ConvertSettings(extras=extras))


def test_the_wrong_folder_lists_what_is_there(tmp_path: Path):
    (tmp_path / "thesis.pdf").write_text("")
    with pytest.raises(SourceError, match=r"expected FreiHAND v2 in .* found thesis\.pdf; point"):
        open_source(tmp_path)


def test_a_missing_path(tmp_path: Path):
    with pytest.raises(SourceError, match="found nothing there; pass --source"):
        open_source(tmp_path / "none")


def test_an_archive_packed_with_its_folder_says_what_it_holds(
    fake_freihand: FakeFreiHAND, tmp_path: Path
):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(fake_freihand.folder / "training_K.json", "FreiHAND/training_K.json")
    with pytest.raises(SourceError, match=r"expected FreiHAND v2 in .*a.zip.* found FreiHAND;"):
        open_source(tmp_path / "a.zip")


def test_a_truncated_archive(fake_freihand: FakeFreiHAND, tmp_path: Path):
    first, _ = zip_freihand(fake_freihand, tmp_path)
    data = first.read_bytes()
    first.write_bytes(data[: len(data) // 2])
    with pytest.raises(SourceError, match=r"FreiHAND_pub_v2.zip, found a damaged or partial one"):
        open_source(tmp_path)


def test_mano_vectors_may_come_with_and_without_the_extra_level(tmp_path: Path):
    fake = write_freihand(tmp_path, versions=1, masks=False, evaluation=0)
    change("training_mano.json", lambda e: [e[0], *(row[0] for row in e[1:])])(fake.folder)
    block = rows_of(open_source(fake.folder), "train", "mano")
    assert block.extra["mano_pose"] == pytest.approx(fake.mano["training"][:, :48], abs=1e-6)
