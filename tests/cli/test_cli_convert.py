from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from generators.coco import FakeCOCO, write_coco
from generators.freihand import FakeFreiHAND, write_freihand, zip_freihand

from handbench.cli import cli
from handbench.errors import HandbenchError
from handbench.hdf5.reader import HandFile


def convert(*arguments: object, home: Path | None = None) -> Result:
    before = ["--home", str(home)] if home else []
    return CliRunner().invoke(cli, [*before, "convert", *map(str, arguments)])


def converted(*arguments: object, home: Path | None = None) -> Result:
    result = convert(*arguments, home=home)
    assert result.exit_code == 0, result.output + repr(result.exception)
    return result


def failure(*arguments: object, home: Path | None = None) -> str:
    """The one sentence of a task that failed."""
    result = convert(*arguments, home=home)
    assert isinstance(result.exception, HandbenchError), result.output
    return str(result.exception)


def usage_error(*arguments: object) -> str:
    result = convert(*arguments)
    assert result.exit_code == 2
    return " ".join(result.stderr.split())


def rows(path: Path) -> dict[str, int]:
    with HandFile(path) as file:
        return {split: len(file[split]) for split in file.splits}


def run(*arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "handbench", *map(str, arguments)],
        capture_output=True,
        text=True,
        **options,
    )


# -- the real command --------------------------------------------------------------------------


def test_from_archives_to_a_verified_file(fake_freihand: FakeFreiHAND, tmp_path: Path):
    zip_freihand(fake_freihand, tmp_path / "zips")
    out = tmp_path / "a.h5"
    done = run("convert", "freihand", "--source", tmp_path / "zips", "--out", out, "--size", 96)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{out}: freihand-subset, train 24, val 8, test 8 samples, ")
    assert "note: training: 8 annotations in 6 instants" in done.stderr
    assert "note: a subset: training has 8 of 32,560" in done.stderr
    assert "%|" not in done.stderr  # no bar where stderr is no terminal
    assert run("verify", "--deep", out).returncode == 0
    with HandFile(out) as file:
        assert "convert freihand --source" in file.attributes["command"]
        assert [s["file"] for s in file.attributes["sources"]] == [
            "FreiHAND_pub_v2.zip",
            "FreiHAND_pub_v2_eval.zip",
        ]


def test_a_failed_conversion_leaves_nothing(tmp_path: Path):
    fake = write_freihand(tmp_path / "data", instants=(1, 1), evaluation=0, versions=1)
    image = fake.folder / "training" / "rgb" / "00000001.jpg"
    image.write_bytes(image.read_bytes()[:900])
    out = tmp_path / "out" / "a.h5"
    done = run("convert", "freihand", "--source", fake.folder, "--out", out)
    assert done.returncode == 1
    assert done.stdout == ""
    (sentence,) = [line for line in done.stderr.splitlines() if not line.startswith("note: ")]
    assert sentence.startswith("Error: expected a whole image at ")
    assert "training/rgb/00000001.jpg" in sentence
    assert not out.parent.exists() or list(out.parent.iterdir()) == []


def test_non_ascii_paths(tmp_path: Path):
    folder = tmp_path / "手 données"
    write_coco(folder, 2, name="Größe/写真{}.jpg")
    out = folder / "сюда" / "é.h5"
    done = run(
        "convert", "coco", "--annotations", folder / "annotations.json",
        "--images-dir", folder / "images", "--out", out,
        env={**os.environ, "PYTHONUTF8": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    with HandFile(out) as file:
        assert file.dataset == "é"
        assert file["test"].column("sample_id").tolist() == ["Größe/写真0", "Größe/写真1"]


# -- home, names, targets ----------------------------------------------------------------------


def test_home_is_the_default_source_and_target(tmp_path: Path):
    write_freihand(tmp_path / "raw" / "freihand", instants=(1,), evaluation=2, versions=1)
    converted("freihand", home=tmp_path)
    assert rows(tmp_path / "datasets" / "freihand-subset.h5") == {"train": 1, "test": 2}


def test_a_marked_sample_lands_under_its_own_name(tmp_path: Path):
    fake = write_freihand(
        tmp_path / "data", instants=(1,), evaluation=1, versions=1, marker="sample"
    )
    converted("freihand", "--source", fake.folder, home=tmp_path)
    with HandFile(tmp_path / "datasets" / "sample.h5") as file:
        assert file.dataset == "sample"
        assert file.attributes["license"].startswith("CC0")


def test_sample_on_unmarked_data(freihand_dir: Path, tmp_path: Path):
    message = failure("sample", "--source", freihand_dir, home=tmp_path)
    assert "expected a dataset that calls itself 'sample'" in message
    assert not (tmp_path / "datasets").exists()


def test_an_existing_target_needs_overwrite(freihand_dir: Path, tmp_path: Path):
    out = tmp_path / "a.h5"
    out.write_text("old")
    arguments = ("freihand", "--source", freihand_dir, "--out", out, "--limit", 1)
    assert "exists already; pass --overwrite" in failure(*arguments)
    assert out.read_text() == "old"
    converted(*arguments, "--overwrite")
    assert rows(out) == {"train": 1, "test": 1}


def test_a_misspelt_dataset(tmp_path: Path):
    assert "no dataset is called 'freihnd'; did you mean 'freihand'?" in failure("freihnd")


def test_nothing_in_home(tmp_path: Path):
    message = failure("freihand", home=tmp_path)
    assert (
        "raw/freihand, found nothing there; pass --source, or see `handbench datasets`" in message
    )


# -- options -----------------------------------------------------------------------------------


def test_options_of_the_freihand_layout(freihand_dir: Path, tmp_path: Path):
    out = tmp_path / "a.h5"
    converted(
        "freihand", "--source", freihand_dir, "--out", out, "--versions", "gs, auto",
        "--splits", "train,test", "--with", "mask, mano,vertices", "--size", 64, "--padding", 1.5,
        "--image-storage", "raw", "--heatmaps", "--sigma", 1.5, "--grid", "corner",
        "--workers", 2, "--limit", 12,
    )  # fmt: skip
    with HandFile(out) as file:
        train = file["train"]
        numbers = [int(name[-8:]) for name in train.column("sample_id")]
        # The first 12 of the versions 0 and 3, without the moment of val: annotations 4 and 5.
        assert numbers == [0, 1, 2, 3, 6, 7, 24, 25, 26, 27]
        assert train.storage == "raw"
        assert train.box_padding == 1.5
        assert train.shape("heatmaps") == (10, 21, 16, 16)
        assert train.attributes("heatmaps")["grid"] == "corner"
        assert train.attributes("heatmaps")["sigma"] == 1.5
        assert all(train.has(name) for name in ("mask", "mano_pose", "vertices"))
        assert file.splits == ("train", "test")


def test_dry_run_writes_nothing_and_ignores_the_target(freihand_dir: Path, tmp_path: Path):
    out = tmp_path / "new" / "a.h5"
    result = converted("freihand", "--source", freihand_dir, "--out", out, "--dry-run")
    assert "train: 32 samples, about" in result.stdout
    assert f"would write {out}" in result.stdout
    assert not out.parent.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["freihand", "--with", "depth"], "--with knows vertices, mano, mask, not 'depth'"),
        (
            ["freihand", "--annotations", "a.json"],
            "--annotations does not belong to `convert freihand`",
        ),
        (
            ["freihand", "--split-blocks", "train=1"],
            "--split-blocks does not belong to `convert freihand`",
        ),
        (["coco"], "convert coco needs --annotations FILE and --images-dir DIR"),
        (["coco", "--annotations", "a.json"], "convert coco needs --annotations FILE and --images"),
        (["coco", "--versions", "gs"], "--versions does not belong to `convert coco`"),
        (["coco", "--with", "mask"], "--with mask: coco has no such part"),
        (["coco", "--source", "x"], "--source does not belong to `convert coco`"),
        (["freihand", "--limit", "0"], "0 is not in the range x>=1"),
        (["freihand", "--size", "4"], "4 is not in the range x>=8"),
        (["freihand", "--padding", "0"], "0.0 is not in the range x>0"),
        (["freihand", "--crop", "round"], "'round' is not one of 'affine', 'perspective'"),
        (["freihand", "--min-valid", "22"], "22 is not in the range 1<=x<=21"),
        (["freihand", "--split-by", "image"], "'image' is not one of 'subject', 'sequence', 'ins"),
        (["freihand", "--seed", "1"], "--seed needs --split-by"),
        (["freihand", "--ratios", "1,1,1"], "--ratios needs --split-by"),
        (
            ["freihand", "--split-by", "instant", "--ratios", "8,2"],
            "--ratios takes three shares of train, val and test such as 0.8,0.1,0.1, not '8,2'",
        ),
        (["freihand", "--split-by", "instant", "--ratios", "0,0,0"], "--ratios takes three shares"),
        (["freihand", "--split-by", "instant", "--ratios", "a,b,c"], "--ratios takes three shares"),
        (["freihand", "--split-by", "instant", "--ratios", "2,-1,0"], "--ratios takes three share"),
        (["freihand", "--split-by", "instant", "--ratios", "1,nan,0"], "--ratios takes three sha"),
        (["freihand", "--only", "subject=3"], "--only takes COLUMN=ID,... with a column among sam"),
        (["freihand", "--only", "subject_id"], "--only takes COLUMN=ID,..."),
        (
            ["freihand", "--cameras", "a", "--only", "camera_id=b"],
            "camera_id is chosen twice",
        ),
    ],
)
def test_wrong_usage(arguments: list[str], message: str):
    assert message in usage_error(*arguments)


def test_unknown_split_and_version(freihand_dir: Path, tmp_path: Path):
    arguments = ("freihand", "--source", freihand_dir, "--out", tmp_path / "a.h5")
    assert "no split 'tset'; it has test, train, val" in failure(*arguments, "--splits", "tset")
    assert "no version is called '4'" in failure(*arguments, "--versions", "4")


# -- crops, choice of rows, splits -------------------------------------------------------------


def test_perspective_crops_pass_verify(freihand_dir: Path, tmp_path: Path):
    out = tmp_path / "a.h5"
    converted(
        "freihand", "--source", freihand_dir, "--out", out, "--crop", "perspective",
        "--mirror-left", "--with", "mano,vertices,mask", "--size", 96,
    )  # fmt: skip
    assert run("verify", "--deep", out).returncode == 0
    with HandFile(out) as file:
        assert file["train"].has("crop_rotation")
        assert not file["train"].column("mirrored").any()  # all hands are right ones


def test_dealing_out_anew(freihand_dir: Path, tmp_path: Path):
    out = tmp_path / "a.h5"
    arguments = (
        "freihand", "--source", freihand_dir, "--out", out, "--size", 32,
        "--split-by", "instant", "--ratios", "6,2,2", "--seed", 4,
    )  # fmt: skip
    planned = converted(*arguments, "--dry-run")
    done = converted(*arguments)
    # 6 moments of the training split and 8 evaluation images.
    assert done.stdout.endswith("instant_id: train 8, val 3, test 3; none stands in two splits\n")
    told = ", ".join(f"{split} {count}" for split, count in rows(out).items())
    assert f"dealt out by instant_id: {told} samples" in planned.stdout
    with HandFile(out) as file:
        moments = [set(file[split].column("instant_id")) for split in file.splits]
        assert [len(moment) for moment in moments] == [8, 3, 3]
        assert len(set.union(*moments)) == 14
    assert run("verify", out).returncode == 0


def test_splitting_by_what_a_dataset_does_not_tell(freihand_dir: Path, tmp_path: Path):
    message = failure(
        "freihand", "--source", freihand_dir, "--out", tmp_path / "a.h5", "--split-by", "subject"
    )
    assert "expected subject_id for every row to split by it, found only the columns insta" in (
        message
    )
    assert list(tmp_path.iterdir()) == []


def test_choosing_rows(freihand_dir: Path, tmp_path: Path):
    out = tmp_path / "a.h5"
    moment = "training/instant-00000002"
    result = converted(
        "freihand", "--source", freihand_dir, "--out", out, "--splits", "train,val",
        "--only", f"instant_id={moment}", "--min-valid", 21, "--size", 32,
    )  # fmt: skip
    assert "note: left out: 28 × instant_id not chosen" in result.stderr
    assert sum(rows(out).values()) == 4
    other = tmp_path / "b.h5"
    cameras = failure("freihand", "--source", freihand_dir, "--out", other, "--views", "1")
    assert "expected camera_id for every row, to choose by it" in cameras


def outside(folder: Path, name: str = "{:05d}.jpg") -> FakeCOCO:
    fake = write_coco(folder, 4, name=name)
    fake.data["annotations"][1]["bbox"] = [300, 20, 50, 50]
    fake.data["annotations"][2]["bbox"] = [-90, 20, 50, 50]
    fake.save()
    return fake


def test_hands_outside_their_image_stop_or_are_listed(tmp_path: Path):
    fake = outside(tmp_path)
    arguments = (
        "coco", "--annotations", fake.annotations, "--images-dir", fake.images,
        "--out", tmp_path / "a.h5", "--size", 48,
    )  # fmt: skip
    message = failure(*arguments)
    assert "expected the hand 00001 in its image of 224×224 px, found its box" in message
    assert not (tmp_path / "a.h5").exists()
    result = converted(*arguments, "--skip-bad")
    listed = [line for line in result.stderr.splitlines() if line.startswith("left out: ")]
    assert ["00001" in listed[0], "00002" in listed[1], len(listed)] == [True, True, 2]
    assert "note: left out: 2 × hand outside its image" in result.stderr
    assert rows(tmp_path / "a.h5") == {"test": 2}
    with HandFile(tmp_path / "a.h5") as file:
        assert file.attributes["dropped"] == {"hand outside its image": 2}


def test_a_shortened_dataset_lands_under_its_own_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    from handbench.hdf5 import convert as module
    from handbench.sources.freihand import FreiHAND

    fake = write_freihand(tmp_path / "raw" / "freihand", instants=(1,), evaluation=3, versions=1)
    monkeypatch.setattr(FreiHAND, "_dataset_name", lambda _: "freihand")  # as if complete
    converted("freihand", "--splits", "test", "--skip-bad", home=tmp_path)
    assert rows(tmp_path / "datasets" / "freihand.h5") == {"test": 3}
    image = fake.folder / "evaluation" / "rgb" / "00000001.jpg"
    data = image.read_bytes()
    image.write_bytes(data[:2] + b"\xff\xc0\x00\x11\x08\x00\xe0\x00\xe0" + data[-400:])
    arguments = ("freihand", "--splits", "test", "--size", 32, "--skip-bad", "--overwrite")
    converted(*arguments, home=tmp_path)
    assert rows(tmp_path / "datasets" / "freihand-subset.h5") == {"test": 2}
    assert rows(tmp_path / "datasets" / "freihand.h5") == {"test": 3}  # the whole one stays
    names = {path.name for path in (tmp_path / "datasets").iterdir()}
    assert names == {"freihand.h5", "freihand-subset.h5"}
    # Before an hour's work, not after it.
    monkeypatch.setattr(module, "Shaper", None)
    (tmp_path / "datasets" / "freihand.h5").unlink()
    message = failure(*arguments[:-1], home=tmp_path)
    assert "freihand-subset.h5 exists already" in message


def test_dry_run_counts_what_would_be_stored(fake_coco: FakeCOCO, tmp_path: Path):
    arguments = (
        "coco", "--annotations", fake_coco.annotations, "--images-dir", fake_coco.images,
        "--out", tmp_path / "a.h5",
    )  # fmt: skip
    sizes = []
    for options in (["--size", 48], ["--size", 224], ["--size", 224, "--image-storage", "raw"]):
        told = converted(*arguments, *options, "--dry-run").stdout
        assert "test: 10 samples, about" in told
        assert "MB free" in told
        converted(*arguments, *options, "--overwrite")
        stored = (tmp_path / "a.h5").stat().st_size / 1e6
        estimate = float(told.split("about ")[1].split(" MB")[0])
        assert 0.5 * stored - 0.1 < estimate < 1.5 * stored
        sizes.append(estimate)
        (tmp_path / "a.h5").unlink()
    assert sizes == sorted(sizes)
    narrowed = converted(*arguments, "--min-valid", 3, "--dry-run").stdout
    assert "test: at most 10 samples" in narrowed


def test_dry_run_says_when_the_disk_is_full(
    fake_coco: FakeCOCO, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    from handbench.cli import convert_plan

    class Full:
        free = 10

    monkeypatch.setattr(convert_plan.shutil, "disk_usage", lambda _: Full)
    result = converted(
        "coco", "--annotations", fake_coco.annotations, "--images-dir", fake_coco.images,
        "--out", tmp_path / "a.h5", "--dry-run",
    )  # fmt: skip
    assert f"note: the disk of {tmp_path} has not enough room" in result.stderr


# -- coco --------------------------------------------------------------------------------------


def from_coco(fake: FakeCOCO, out: Path, *arguments: object) -> Result:
    return converted(
        "coco", "--annotations", fake.annotations, "--images-dir", fake.images, "--out", out,
        "--size", 48, *arguments,
    )  # fmt: skip


def test_coco_names_come_from_name_then_out(fake_coco: FakeCOCO, tmp_path: Path):
    from_coco(fake_coco, tmp_path / "lab.h5")
    from_coco(fake_coco, tmp_path / "x.h5", "--name", "mine")
    for path, name in (("lab.h5", "lab"), ("x.h5", "mine")):
        with HandFile(tmp_path / path) as file:
            assert file.dataset == file.attributes["title"] == name
    converted(
        "coco", "--annotations", fake_coco.annotations, "--images-dir", fake_coco.images,
        home=tmp_path,
    )  # fmt: skip
    assert rows(tmp_path / "datasets" / "coco.h5") == {"test": 10}


def test_coco_splits_and_joint_order(tmp_path: Path):
    order = [0, 4, 3, 2, 1, 8, 7, 6, 5, 12, 11, 10, 9, 16, 15, 14, 13, 20, 19, 18, 17]
    a = write_coco(tmp_path / "a", 9, native_order=order)
    b = write_coco(tmp_path / "a" / "b", 3, native_order=order, name="b{}.jpg", seed=1)
    for image in b.images.iterdir():
        image.rename(a.images / image.name)
    converted(
        "coco", "--annotations", f"train={a.annotations}", "--annotations", f"test={b.annotations}",
        "--images-dir", a.images, "--out", tmp_path / "a.h5",
        "--joint-order", ",".join(map(str, order)),
    )  # fmt: skip
    assert rows(tmp_path / "a.h5") == {"train": 9, "test": 3}
    with HandFile(tmp_path / "a.h5") as file:
        assert file["train"].source_keypoints_2d() == pytest.approx(a.uv, abs=1e-6)


def test_coco_split_blocks(tmp_path: Path):
    fake = write_coco(tmp_path, 50)
    from_coco(fake, tmp_path / "a.h5", "--split-blocks", "train=2,test=1", "--block-size", 10)
    with HandFile(tmp_path / "a.h5") as file:
        assert file["train"].split_unit == "sequence_id"
        numbers = [int(name) for name in file["test"].column("sample_id")]
        assert numbers == list(range(20, 30))
        assert len(file["train"]) == 40


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--annotations", "x.json"], "--annotations gives split 'test' twice"),
        (["--split-blocks", "train"], "--split-blocks takes SPLIT=N,... such as train=2,test=1"),
        (["--split-blocks", "train=0"], "--split-blocks takes SPLIT=N,..."),
        (["--split-blocks", "dev=1"], "--split-blocks takes SPLIT=N,..."),
        (["--joint-order", "a,b"], "--joint-order takes 21 numbers separated by commas"),
    ],
)
def test_wrong_usage_of_coco(fake_coco: FakeCOCO, arguments: list[str], message: str):
    fixed = ["coco", "--annotations", fake_coco.annotations, "--images-dir", fake_coco.images]
    assert message in usage_error(*fixed, *arguments)


def test_a_joint_order_that_is_no_permutation(fake_coco: FakeCOCO, tmp_path: Path):
    order = ",".join(map(str, [*range(20), 19]))
    message = failure(
        "coco", "--annotations", fake_coco.annotations, "--images-dir", fake_coco.images,
        "--out", tmp_path / "a.h5", "--joint-order", order,
    )  # fmt: skip
    assert "--joint-order must hold every joint 0-20 once: missing [20]" in message
    assert list(tmp_path.iterdir()) == []
