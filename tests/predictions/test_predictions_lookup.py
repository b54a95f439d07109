from __future__ import annotations

from pathlib import Path

import h5py
import pytest
from generators.tiny_hdf5 import write_tiny

from handbench.errors import PredictionsError
from handbench.hdf5.reader import HandFile
from handbench.predictions.lookup import SampleNames, split_of


def names(folder: Path, **columns: list[str]) -> SampleNames:
    """Names of a split of four samples, with these text columns."""
    path = write_tiny(folder / "tiny.h5", {"test": 4})
    with h5py.File(path, "r+") as file:
        for name, values in columns.items():
            if name in file["test"]:
                del file["test"][name]
            file["test"].create_dataset(name, data=[value.encode() for value in values])
    with HandFile(path) as data:
        return SampleNames.of(data["test"])


def test_a_number_is_a_native_id_where_there_are_some(tmp_path: Path) -> None:
    found = names(tmp_path, native_image_id=["7", "8", "8", "test/0000"], image_id=list("7890"))
    assert found.of_image(7) == ["test/0000"]
    assert found.of_image(8) == ["test/0001", "test/0002"]
    assert found.of_image(9) == ["9"]
    # Text may also be a sample id or a photo.
    assert found.of_image("9") == ["test/0002"]
    assert found.of_image("test/0003") == ["test/0003"]
    assert (found.at(7), found.at(8), found.at(0)) == ("test/0000", "8", "0")


def test_a_number_is_a_row_where_there_are_no_native_ids(tmp_path: Path) -> None:
    found = names(tmp_path, sample_id=["3", "2", "1", "x"])
    assert [found.at(index) for index in (0, 3, 4, -1)] == ["3", "x", "4", "-1"]
    assert found.of_image(3) == ["3"]


def test_an_unknown_name_never_is_that_of_a_sample(tmp_path: Path) -> None:
    found = names(tmp_path, sample_id=["7", "b", "c", "d"], native_image_id=list("0123"))
    assert found.of_image(7) == ["image_id 7"]
    assert found.at(7) == "sample 7"


@pytest.mark.parametrize(
    ("path", "sample"),
    [
        ("/data/FreiHAND_pub_v2/evaluation/rgb/00000001.jpg", ["evaluation/00000001"]),
        ("evaluation/00000001.jpg", ["evaluation/00000001"]),
        ("C:\\data\\evaluation\\rgb\\00000001.jpg", ["evaluation/00000001"]),
        ("b/c.v2.png", ["b/c.v2"]),
        ("x/photo.png", ["photo#1", "photo#2"]),
        ("00000001.jpg", []),
        ("", []),
    ],
)
def test_paths_are_found_by_their_longest_tail(
    tmp_path: Path, path: str, sample: list[str]
) -> None:
    samples = ["evaluation/00000001", "b/c.v2", "photo#1", "photo#2"]
    photos = ["evaluation/00000001", "b/c.v2", "photo", "photo"]
    assert names(tmp_path, sample_id=samples, image_id=photos).find_path(path) == sample


def test_the_split_of_a_file_without_header(tmp_path: Path) -> None:
    with HandFile(write_tiny(tmp_path / "a.h5", {"train": 2, "test": 2})) as data:
        assert split_of(data, None, "f").name == "test"
        assert split_of(data, "train", "f").name == "train"
    with HandFile(write_tiny(tmp_path / "b.h5", {"val": 2})) as data:
        assert split_of(data, None, "f").name == "val"
        with pytest.raises(PredictionsError, match=r"f: assumed split=test, but .*b\.h5 has val"):
            split_of(data, "test", "f")
