from __future__ import annotations

import multiprocessing
import os
import pickle
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from generators.freihand import FakeFreiHAND
from generators.tiny_hdf5 import write_tiny

import handbench
from handbench.errors import FormatError, SourceError
from handbench.hdf5.reader import HandFile
from handbench.hdf5.verify import verify

# From Python 3.12 on, forking a process with threads (those of torch, say) warns; forked loaders
# are in use all the same.
FORKS = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


@pytest.fixture
def copy(freihand_file: Path, tmp_path: Path) -> Path:
    return shutil.copy(freihand_file, tmp_path / "copy.h5")


def test_the_public_way_to_open_a_file(freihand_file: Path, fake_freihand: FakeFreiHAND):
    with handbench.open(freihand_file) as file:
        assert file.splits == ("train", "val", "test")
        assert "test" in file and "dev" not in file
        sample = file["test"][0]
        assert sample.sample_id == "evaluation/00000000"
        assert sample.image.shape == (224, 224, 3)
        assert sample.keypoints_2d == pytest.approx(fake_freihand.uv("evaluation")[0], abs=1e-9)
        assert sample.keypoints_3d == pytest.approx(fake_freihand.xyz["evaluation"][0], abs=1e-6)
        assert np.array_equal(sample.camera, fake_freihand.camera["evaluation"][0])
        assert sample.extra["instant_id"] == "evaluation/instant-00000000"
        assert sample.extra["vertices"].shape == (778, 3)


def test_a_split_is_a_sequence(freihand_file: Path):
    with HandFile(freihand_file) as file:
        split = file["test"]
        assert [s.sample_id for s in split] == split.column("sample_id").tolist()
        assert split[-1].sample_id == split[len(split) - 1].sample_id
        for index in (8, -9):
            with pytest.raises(IndexError, match=f"'test' has 8 samples, no sample {index}"):
                split[index]
        assert "splits=['train', 'val', 'test']" in repr(file)


def test_what_is_not_there_is_named_with_what_is(freihand_file: Path):
    with HandFile(freihand_file) as file:
        with pytest.raises(FormatError, match="has no split 'dev'; it has train, val, test"):
            file["dev"]
        with pytest.raises(FormatError, match="split 'test' has no column 'subject_id'; it has sa"):
            file["test"].column("subject_id")
        with pytest.raises(FormatError, match="split 'test' has no masks"):
            file["test"].mask(0)


def test_the_source_frame_is_the_published_one(fake_freihand: FakeFreiHAND, tmp_path: Path):
    from handbench.hdf5.convert import ConvertSettings, convert
    from handbench.sources import freihand, manifest

    source = freihand.open_source(fake_freihand.folder, manifest.load("freihand"))
    settings = ConvertSettings(size=100, padding=1.3, splits=("test",))
    with HandFile(convert(source, tmp_path / "a.h5", settings).path) as file:
        points = file["test"].source_keypoints_2d()
        assert points == pytest.approx(fake_freihand.uv("evaluation"), abs=1e-9)
        boxes = file["test"].source_bbox()
        assert boxes == pytest.approx(np.tile([-0.5, -0.5, 224, 224], (8, 1)))


def test_crop_fingerprint_depends_on_the_crop(tmp_path: Path):
    def fingerprint(**options: float) -> str:
        with HandFile(write_tiny(tmp_path / "a.h5", {"test": 2}, **options)) as file:  # type: ignore[arg-type]
            return file["test"].crop_sha256()

    assert fingerprint() == fingerprint()
    assert fingerprint() != fingerprint(source_scale=3.0)


# -- other processes ---------------------------------------------------------------------------


def sums(file: HandFile) -> list[int]:
    return [int(file["train"].image(row).sum()) for row in range(len(file["train"]))]


def test_a_pickled_file_reads_on(freihand_file: Path):
    with HandFile(freihand_file) as file:
        expected = sums(file)
        again, split = pickle.loads(  # noqa: S301 - our own
            pickle.dumps((file, file["train"]))
        )
        assert sums(again) == expected
        assert split.image_bytes(3) == file["train"].image_bytes(3)
        again.close()
        assert sums(again) == expected  # reading again opens again
        again.close()


def in_child(work: Callable[[], object]) -> None:
    """Run `work` in a fork; fail when it raises or returns something false."""
    pid = os.fork()
    if pid == 0:
        try:
            os._exit(0 if work() else 3)
        except BaseException:  # noqa: BLE001 - the child must never return
            os._exit(4)
    assert os.waitpid(pid, 0)[1] == 0


@FORKS
def test_reading_goes_on_on_both_sides_of_a_fork(freihand_file: Path):
    with HandFile(freihand_file) as file:
        expected = sums(file)
        parents = file.handle
        for _ in range(3):
            in_child(lambda: sums(file) == expected and file.handle is not parents)
            assert sums(file) == expected


@FORKS
def test_a_child_may_close_what_it_inherited(freihand_file: Path):
    with HandFile(freihand_file) as file:
        expected = sums(file)
        in_child(lambda: file.close() is None and sums(file) == expected)
        assert sums(file) == expected


@FORKS
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_pool_workers(freihand_file: Path, method: str):
    with HandFile(freihand_file) as file:
        expected = sums(file)
        with multiprocessing.get_context(method).Pool(2) as pool:
            assert pool.map(sums, [file] * 4) == [expected] * 4


def test_threads(freihand_file: Path):
    with HandFile(freihand_file) as file:
        expected = sums(file)
        found: list[list[int]] = []
        threads = [threading.Thread(target=lambda: found.append(sums(file))) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found == [expected] * 4


# -- refusals ----------------------------------------------------------------------------------


def test_a_missing_file(tmp_path: Path):
    with pytest.raises(FormatError, match=r"at .*none\.h5, found no such file; `handbench conv"):
        HandFile(tmp_path / "none.h5")


def test_what_is_no_hdf5(tmp_path: Path):
    for content in (b"", b"PK\x03\x04" * 100):
        (tmp_path / "a.h5").write_bytes(content)
        with pytest.raises(FormatError, match="found a file that HDF5 cannot open"):
            HandFile(tmp_path / "a.h5")


def test_truncated_files(copy: Path):
    data = copy.read_bytes()
    for share in (0.1, 0.9, 0.999):
        copy.write_bytes(data[: int(len(data) * share)])
        with pytest.raises(FormatError, match="found a file that HDF5 cannot open"):
            HandFile(copy)


def test_some_other_hdf5(tmp_path: Path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = 1
    with pytest.raises(FormatError, match=r"not a handbench file .no attribute handbench_format"):
        HandFile(tmp_path / "a.h5")


@pytest.mark.parametrize("version", ["2.0", "10.3", "0.9", "banana"])
def test_another_major_version_is_refused_by_name(copy: Path, version: str):
    with h5py.File(copy, "r+") as file:
        file.attrs["handbench_format"] = version
        del file.attrs["complete"]  # the version comes first: later ones may say this otherwise
    with pytest.raises(FormatError, match=f"has format {version}; this handbench reads 1.x"):
        HandFile(copy)


def test_a_newer_minor_version_is_read(copy: Path):
    with h5py.File(copy, "r+") as file:
        file.attrs["handbench_format"] = "1.7"
    with HandFile(copy) as opened:
        assert len(opened["test"]) == 8


@pytest.mark.parametrize("value", [None, False])
def test_an_incomplete_file_is_never_read_as_whole(copy: Path, value: bool | None):
    with h5py.File(copy, "r+") as file:
        del file.attrs["complete"]
        if value is not None:
            file.attrs["complete"] = value
    with pytest.raises(FormatError, match="incomplete: its conversion did not finish; convert it"):
        HandFile(copy)


def test_unknown_datasets_and_groups_are_ignored(copy: Path):
    with h5py.File(copy, "r+") as file:
        file["test/my_embedding"] = np.zeros((8, 5))
        file["notes"] = "hello"
        file["analysis/curve"] = np.arange(5)
    with HandFile(copy) as opened:
        assert opened.splits == ("train", "val", "test")
        assert "my_embedding" not in opened["test"].names
        assert "my_embedding" not in opened["test"][0].extra
    assert verify(copy).passed


@pytest.mark.parametrize("name", ["sample_id", "bbox", "image"])
def test_a_split_without_its_core_is_a_format_error(copy: Path, name: str):
    with h5py.File(copy, "r+") as file:
        del file["test"][name]
    with HandFile(copy) as opened:
        assert len(opened["train"]) == 24
        with pytest.raises(FormatError, match=f"split 'test' has no dataset {name}"):
            opened["test"]


def test_a_damaged_image_is_named(copy: Path):
    with h5py.File(copy, "r+") as file:
        start, stop = file["test/image_offset"][2:4]
        file["test/image"][start:stop] = 7
    with HandFile(copy) as opened:
        assert opened["test"].image(1).shape == (224, 224, 3)
        with pytest.raises(SourceError, match=r"whole image at .*copy\.h5: test, row 2, found"):
            opened["test"].image(2)


def test_a_flipped_bit_on_disk_does_not_go_unnoticed(copy: Path):
    with h5py.File(copy) as file:
        chunk = file["test/keypoints_2d"].id.get_chunk_info(0)
    data = bytearray(copy.read_bytes())
    data[chunk.byte_offset + 100] ^= 1
    copy.write_bytes(data)
    with HandFile(copy) as opened, pytest.raises(OSError, match=r"(?i)read"):
        opened["test"].column("keypoints_2d")


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="found a folder: name the file in it"):
        HandFile(tmp_path)
