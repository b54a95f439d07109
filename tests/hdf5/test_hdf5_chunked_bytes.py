from __future__ import annotations

import multiprocessing
import pickle
from pathlib import Path

import h5py
import numpy as np
import pytest

from handbench.errors import FormatError
from handbench.hdf5.chunked_bytes import ChunkedBytes

VALUES = np.random.default_rng(0).integers(0, 256, 1000, dtype=np.uint8)
SPANS = [(0, 1000), (0, 1), (999, 1000), (63, 65), (64, 128), (100, 700), (5, 5)]


def write(path: Path, **options: object) -> Path:
    with h5py.File(path, "w") as file:
        file.create_dataset("filler", data=np.arange(7))
        file.create_dataset("image", data=VALUES, **options)
    return path


@pytest.mark.parametrize(
    "options",
    [{}, {"chunks": (64,)}, {"chunks": (64,), "fletcher32": True}, {"chunks": (1000,)}],
    ids=["contiguous", "chunked", "with sums", "one chunk"],
)
def test_bytes_are_those_of_the_dataset(tmp_path: Path, options: dict[str, object]) -> None:
    path = write(tmp_path / "a.h5", **options)
    with h5py.File(path) as file:
        found = ChunkedBytes.of(path, file["image"])
    assert found is not None
    for start, stop in SPANS:
        assert bytes(found.read(start, stop)) == VALUES[start:stop].tobytes()


@pytest.mark.parametrize(
    "options",
    [{"chunks": (64,), "compression": "gzip"}, {"chunks": (64,), "shuffle": True}],
    ids=["compressed", "shuffled"],
)
def test_what_does_not_lie_there_as_it_is_is_left_to_hdf5(
    tmp_path: Path, options: dict[str, object]
) -> None:
    path = write(tmp_path / "a.h5", **options)
    with h5py.File(path) as file:
        assert ChunkedBytes.of(path, file["image"]) is None


def test_other_datasets_are_left_to_hdf5(tmp_path: Path) -> None:
    write(tmp_path / "a.h5")
    path = tmp_path / "b.h5"
    layout = h5py.VirtualLayout((1000,), "uint8")
    layout[:] = h5py.VirtualSource(str(tmp_path / "a.h5"), "image", (1000,))
    with h5py.File(path, "w") as file:
        file.create_virtual_dataset("virtual", layout)
        file.create_dataset("floats", data=np.zeros(4))
        file.create_dataset("table", data=np.zeros((4, 2), np.uint8))
        file.create_dataset("holes", (1000,), "uint8", chunks=(64,))[:10] = 1
        file.create_dataset("empty", (0,), "uint8", maxshape=(None,))
        for name in file:
            assert ChunkedBytes.of(path, file[name]) is None, name
    with h5py.File(tmp_path / "c.h5", "w", userblock_size=512) as file:
        assert ChunkedBytes.of(path, file.create_dataset("image", data=VALUES)) is None


def test_it_works_on_after_pickling_and_closing(tmp_path: Path) -> None:
    path = write(tmp_path / "a.h5", chunks=(64,))
    with h5py.File(path) as file:
        found = ChunkedBytes.of(path, file["image"])
    assert found is not None
    found.read(0, 10)
    again = pickle.loads(pickle.dumps(found))  # noqa: S301 - our own object
    found.close()
    found.close()
    for reader in (found, again):
        assert bytes(reader.read(60, 70)) == VALUES[60:70].tobytes()


def test_several_processes_read_at_once(tmp_path: Path) -> None:
    path = write(tmp_path / "a.h5", chunks=(64,))
    with h5py.File(path) as file:
        found = ChunkedBytes.of(path, file["image"])
    assert found is not None
    found.read(0, 1)
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        pieces = pool.starmap(found.read, SPANS)
    assert [bytes(piece) for piece in pieces] == [VALUES[a:b].tobytes() for a, b in SPANS]


def test_a_file_that_was_cut_off_is_an_error(tmp_path: Path) -> None:
    path = write(tmp_path / "a.h5")
    with h5py.File(path) as file:
        found = ChunkedBytes.of(path, file["image"])
    assert found is not None
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 900)
    with pytest.raises(
        FormatError, match=r"expected 1,000 bytes of an image in .*, found \d+: the"
    ):
        found.read(0, 1000)
