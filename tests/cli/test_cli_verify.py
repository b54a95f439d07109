from __future__ import annotations

import json
import shutil
from pathlib import Path

import h5py
import pytest
from click.testing import CliRunner, Result
from generators.coco import FakeCOCO, write_coco
from generators.freihand import FakeFreiHAND, write_freihand

from handbench.cli import cli
from handbench.errors import HandbenchError


def verify(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["verify", *map(str, arguments)])


@pytest.fixture
def bad(freihand_file: Path, tmp_path: Path) -> Path:
    path = shutil.copy(freihand_file, tmp_path / "bad.h5")
    with h5py.File(path, "r+") as file:
        file["test/keypoints_3d"][...] *= 1000
        del file["val/visibility"]
        file.attrs["dropped"] = json.dumps({"annotation without keypoints": 1200})
    return path


def test_a_good_file(freihand_file: Path):
    result = verify(freihand_file, "--deep")
    assert result.exit_code == 0
    assert result.stderr == ""
    lines = result.stdout.splitlines()
    assert lines[0] == f"{freihand_file}: freihand-subset"
    table = [line.split() for line in lines[-4:]]
    assert table == [
        ["kept", "24", "train"],
        ["kept", "8", "val"],
        ["kept", "8", "test"],
        ["dropped", "0", "nothing"],
    ]
    assert all(line.split()[0] in ("ok", "-") for line in lines[1:-4])


def test_a_bad_file_exits_with_1_and_names_the_checks(bad: Path):
    result = verify(bad)
    assert result.exit_code == 1
    assert result.stderr == "Error: 3 checks failed: val: columns; test: hand size; test: scale\n"
    failed = [line.split()[1:3] for line in result.stdout.splitlines() if "FAILED" in line]
    assert failed == [["val", "columns"], ["test", "hand"], ["test", "scale"]]
    assert "are the labels in metres?" in result.stdout
    assert "dropped 1,200  annotation without keypoints" in result.stdout


def test_json_is_one_document(freihand_file: Path, bad: Path):
    good, wrong = (json.loads(verify(path, "--json").stdout) for path in (freihand_file, bad))
    assert good["passed"] is True
    assert good["kept"] == {"train": 24, "val": 8, "test": 8}
    assert wrong["passed"] is False
    assert {c["name"] for c in wrong["checks"] if c["passed"] is False} == {
        "columns",
        "hand size",
        "scale",
    }
    assert set(wrong["checks"][0]) == {"split", "name", "passed", "detail"}


def test_json_of_a_bad_file_exits_with_1_too(bad: Path):
    assert verify(bad, "--json").exit_code == 1


# -- raw sources -------------------------------------------------------------------------------


def failed(result: Result) -> list[str]:
    return [line.split("  ")[-1].strip() for line in result.stdout.splitlines() if "FAILED" in line]


def test_a_good_source_is_read_and_nothing_is_written(
    fake_freihand: FakeFreiHAND, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    before = sorted(fake_freihand.folder.rglob("*"))
    result = verify("freihand", "--source", fake_freihand.folder, "--deep")
    assert result.exit_code == 0, result.output
    assert "note: a subset" in result.stderr
    assert result.stdout.startswith(f"{fake_freihand.folder}: freihand-subset\n")
    assert "32 of 130,240 published: this is freihand-subset" in result.stdout
    table = [line.split() for line in result.stdout.splitlines()[-4:]]
    assert table[:3] == [["kept", "24", "train"], ["kept", "8", "val"], ["kept", "8", "test"]]
    assert not list(tmp_path.iterdir())
    assert sorted(fake_freihand.folder.rglob("*")) == before


def test_the_raw_folder_of_the_home_is_the_default(tmp_path: Path):
    write_freihand(tmp_path / "raw" / "freihand", training=False)
    result = CliRunner().invoke(cli, ["--home", str(tmp_path), "verify", "freihand", "--json"])
    report = json.loads(result.stdout)
    assert report["passed"] is True
    assert report["kept"] == {"test": 8}
    assert set(report["checks"][0]) == {"split", "name", "passed", "detail"}


def test_own_data_are_a_source_too(tmp_path: Path):
    fake = write_coco(tmp_path)
    words = ("coco", "--annotations", fake.annotations, "--images-dir", fake.images)
    assert verify(*words).exit_code == 0
    for hand in fake.data["annotations"]:
        hand["joint_cam"] = [[x / 10, y / 10, z / 10] for x, y, z in hand["joint_cam"]]
    fake.data["annotations"][3]["bbox"] = [-500, 0, 20, 20]
    fake.save()
    result = verify(*words)
    assert result.exit_code == 1
    size, crops = failed(result)
    assert size == "wrist to middle MCP, median 8.7 mm: are the labels in metres?"
    assert crops.startswith("1 of 10 rows cannot be cut; expected the hand 00003 in its image")
    assert "kept    9  test" in result.stdout
    assert "dropped 1  hand outside its image" in result.stdout
    assert "Error: 2 checks failed: test: hand size; test: crops" in result.stderr


def test_a_damaged_image_is_found(tmp_path: Path):
    fake = write_freihand(tmp_path / "data", training=False, evaluation=40)
    path = fake.folder / "evaluation" / "rgb" / "00000004.jpg"
    data = bytearray(path.read_bytes())
    data[300:-2] = bytes(len(data) - 302)
    path.write_bytes(data)
    words = ("freihand", "--source", fake.folder)
    some, every = verify(*words), verify(*words, "--deep")
    assert "decoded 32 of 40 rows (all with --deep)" in some.stdout
    assert every.exit_code == 1
    assert failed(every)[0].startswith(
        "1 cannot be used, first: expected a whole image at evaluation/00000004,"
    )


def test_a_missing_image_ends_a_split_with_what_was_seen(tmp_path: Path):
    fake = write_coco(tmp_path)
    (fake.images / "00004.jpg").unlink()
    result = verify("coco", "--annotations", fake.annotations, "--images-dir", fake.images)
    assert result.exit_code == 1
    assert "expected 00004.jpg in" in failed(result)[0]


def test_only_the_first_rows(fake_freihand: FakeFreiHAND):
    result = verify("freihand", "--source", fake_freihand.folder, "--limit", 3)
    assert result.exit_code == 0
    assert "3 rows read" in result.stdout


def test_a_file_is_compared_with_its_source(freihand_file: Path, fake_freihand: FakeFreiHAND):
    result = verify(freihand_file, "--source", fake_freihand.folder)
    assert result.exit_code == 0, result.output
    lines = [line for line in result.stdout.splitlines() if " source " in line]
    assert [line.split()[:4] for line in lines if "rows with" in line] == [
        ["ok", "train", "source", "24"],
        ["ok", "val", "source", "8"],
        ["ok", "test", "source", "8"],
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a.h5", "--limit", "3"], "--limit is for the source of a DATASET"),
        (["freihand", "--annotations", "a.json"], "does not belong to `verify freihand`"),
        (["coco"], "verify coco needs --annotations FILE and --images-dir DIR"),
    ],
)
def test_wrong_usage(arguments: list[str], message: str):
    result = verify(*arguments)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())


def test_a_file_of_own_data_has_no_reader_to_compare_with(fake_coco: FakeCOCO, tmp_path: Path):
    out = tmp_path / "mine.h5"
    words = ["--annotations", fake_coco.annotations, "--images-dir", fake_coco.images]
    done = CliRunner().invoke(cli, ["convert", "coco", *map(str, words), "--out", str(out)])
    assert done.exit_code == 0, done.output
    result = verify(out, "--source", fake_coco.images)
    assert result.exit_code == 2
    assert "holds 'mine', one's own data" in " ".join(result.stderr.split())


def test_neither_a_file_nor_a_dataset():
    result = verify("freihnad")
    assert isinstance(result.exception, HandbenchError)
    assert "did you mean 'freihand'" in str(result.exception)
    assert "found no such file" in str(verify("gone.h5").exception)
