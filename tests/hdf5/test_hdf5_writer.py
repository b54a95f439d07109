from __future__ import annotations

import io
import json
import os
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from PIL import Image

from handbench.errors import FormatError, HandbenchError
from handbench.hdf5 import writer as writers
from handbench.hdf5.reader import HandFile
from handbench.hdf5.writer import HandFileWriter

HEADER: dict[str, Any] = {
    "dataset": "made-up",
    "title": "Made up",
    "license": "none",
    "citation": "",
    "homepage": "",
    "label_source": "a test",
    "publish_images": False,
    "sources": [{"file": "ä.json", "size": 3, "sha256": None}],
}


def columns(rows: int = 3, start: int = 0) -> dict[str, Any]:
    rng = np.random.default_rng(start)
    return {
        "sample_id": [f"id-{start + r}" for r in range(rows)],
        "image_id": [f"{'x' * (start + r)}" for r in range(rows)],
        "image_size": np.full((rows, 2), 8),
        "keypoints_2d": rng.normal(size=(rows, 21, 2)),
        "valid_2d": np.ones((rows, 21), bool),
        "valid_3d": np.zeros((rows, 21), bool),
        "visibility": np.full((rows, 21), 2),
        "crop": np.tile(np.eye(3), (rows, 1, 1)),
        "bbox": np.ones((rows, 4)),
        "is_right": np.ones(rows),
        "mirrored": np.zeros(rows, bool),
    }


def pictures(rows: int = 3, start: int = 0) -> list[bytes]:
    made = []
    for row in range(start, start + rows):
        buffer = io.BytesIO()
        Image.new("RGB", (8, 8), (row, 0, 0)).save(buffer, "PNG")
        made.append(buffer.getvalue())
    return made


BOX = {"source": "annotation", "padding": 1.0}


def write(
    path: Path,
    *blocks: tuple[Any, ...],
    header: dict[str, Any] = HEADER,
    box: dict[str, Any] = BOX,
) -> Path:
    with HandFileWriter(path, header) as writer:
        split = writer.split("test", split_unit="image_id", cluster_unit="image_id")
        split.attributes = {"bbox": box}
        for block in blocks:
            split.append(*block)
    return path


def test_blocks_come_back_as_one_table(tmp_path: Path):
    first, second = columns(3), columns(5, start=3)
    path = write(tmp_path / "a.h5", (first, pictures(3)), (second, pictures(5, start=3)))
    with HandFile(path) as file:
        split = file["test"]
        assert len(split) == 8
        assert split.column("sample_id").tolist() == [f"id-{r}" for r in range(8)]
        assert split.column("image_id").tolist() == ["x" * r for r in range(8)]
        both = np.concatenate([first["keypoints_2d"], second["keypoints_2d"]])
        assert np.array_equal(split.column("keypoints_2d"), both)
        assert [split.image(r)[0, 0, 0] for r in range(8)] == list(range(8))
        assert [split.image_bytes(r) for r in range(8)] == pictures(8)


def test_dtypes_are_those_of_the_format(tmp_path: Path):
    write(tmp_path / "a.h5", (columns(), pictures()))
    with h5py.File(tmp_path / "a.h5") as file:
        split = file["test"]
        found = {name: split[name].dtype for name in split}
    expected = {
        "image": "u1", "image_offset": "i8", "image_size": "i4", "keypoints_2d": "f8",
        "valid_2d": "?", "valid_3d": "?", "visibility": "u1", "crop": "f8", "bbox": "f8",
        "is_right": "i1", "mirrored": "?",
    }  # fmt: skip
    assert {name: found[name] for name in expected} == expected
    assert found["sample_id"].kind == "S"


def test_header_and_provenance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")
    write(tmp_path / "a.h5", (columns(), pictures()))
    with h5py.File(tmp_path / "a.h5") as file:
        attributes = dict(file.attrs)
    assert attributes["handbench_format"] == "1.0"
    assert attributes["created"] == "1970-01-01T00:00:00+00:00"
    assert json.loads(attributes["sources"]) == HEADER["sources"]
    assert bool(attributes["complete"]) is True
    assert not attributes["publish_images"]


def test_two_writings_are_equal_byte_for_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")
    one = write(tmp_path / "a.h5", (columns(), pictures()))
    two = write(tmp_path / "b.h5", (columns(), pictures()))
    assert one.read_bytes() == two.read_bytes()


def test_a_short_file_is_small(tmp_path: Path):
    path = write(tmp_path / "a.h5", (columns(), pictures()))
    assert path.stat().st_size < 30_000


def test_many_chunks_and_flushes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    # With small buffers the images cross chunks and the tables are written in several goes.
    monkeypatch.setattr(writers, "IMAGE_CHUNK_BYTES", 100)
    monkeypatch.setattr(writers, "_BYTES_PER_FLUSH", 250)
    monkeypatch.setattr(writers, "_CHUNK_TARGET_BYTES", 700)
    blocks = [(columns(4, start=4 * i), pictures(4, start=4 * i)) for i in range(6)]
    with HandFile(write(tmp_path / "a.h5", *blocks)) as file:
        split = file["test"]
        assert [split.image_bytes(r) for r in range(24)] == pictures(24)
        expected = np.concatenate([block["keypoints_2d"] for block, _ in blocks])
        assert np.array_equal(split.column("keypoints_2d"), expected)
    with h5py.File(tmp_path / "a.h5") as raw:
        assert raw["test/image"].chunks == (100,)


def test_several_splits_may_be_open_at_once(tmp_path: Path):
    with HandFileWriter(tmp_path / "a.h5", HEADER) as writer:
        a, b = (writer.split(n, "image_id", "image_id") for n in ("train", "val"))
        a.attributes = b.attributes = {"bbox": BOX}
        for i in range(3):
            a.append(columns(2, start=2 * i), pictures(2))
            b.append(columns(1, start=i), pictures(1))
        assert (len(a), len(b)) == (6, 3)
    with HandFile(tmp_path / "a.h5") as file:
        assert file.splits == ("train", "val")
        assert file["val"].column("sample_id").tolist() == ["id-0", "id-1", "id-2"]


def test_raw_images(tmp_path: Path):
    pixels = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3), dtype=np.uint8)
    with HandFile(write(tmp_path / "a.h5", (columns(), pixels))) as file:
        split = file["test"]
        assert split.storage == "raw"
        assert np.array_equal(split[1].image, pixels[1])
        assert not split.has("image_offset")
        with pytest.raises(FormatError, match="images are stored raw, not encoded"):
            split.image_bytes(0)


def test_masks(tmp_path: Path):
    def mask(row: int) -> bytes:
        buffer = io.BytesIO()
        Image.fromarray(np.arange(64).reshape(8, 8) == row).save(buffer, "PNG")
        return buffer.getvalue()

    with HandFile(
        write(tmp_path / "a.h5", (columns(), pictures(), [mask(r) for r in range(3)]))
    ) as file:
        found = [np.flatnonzero(file["test"].mask(r)).tolist() for r in range(3)]
        assert found == [[0], [1], [2]]


def test_heatmaps_and_their_attributes(tmp_path: Path):
    maps = np.random.default_rng(0).random((3, 21, 4, 4)).astype(np.float16)
    with HandFileWriter(tmp_path / "a.h5", HEADER) as writer:
        split = writer.split("test", "image_id", "image_id")
        split.append({**columns(), "heatmaps": maps}, pictures())
        split.attributes = {"heatmaps": {"sigma": 2.0, "grid": "center"}, "camera": {"a": 1}}
        split.attributes["bbox"] = BOX
    with HandFile(tmp_path / "a.h5") as file:
        assert np.array_equal(file["test"].column("heatmaps"), maps)
        assert file["test"].attributes("heatmaps")["grid"] == "center"


# -- refusals ----------------------------------------------------------------------------------


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in columns().items() if key != name}


@pytest.mark.parametrize(
    ("blocks", "message"),
    [
        ([(without("bbox"), pictures())], r"missing columns \['bbox'\], unknown columns \[\]"),
        ([({**columns(), "bbx": [1, 2, 3]}, pictures())], r"unknown columns \['bbx'\]"),
        ([(columns(), pictures(2))], "2 images, but other row counts in .*'bbox'"),
        ([(columns(), pictures(), pictures(2))], "3 images, but other row counts in .*mask"),
        (
            [(columns(), pictures()), ({**columns(3, 3), "scale": np.ones(3)}, pictures())],
            r"other columns than the first one: \['scale'\]",
        ),
        (
            [(columns(), pictures(), pictures()), (columns(3, 3), pictures())],
            "some blocks have masks and some have not",
        ),
        (
            [({**columns(), "keypoints_2d": np.zeros((3, 20, 2))}, pictures())],
            r"column keypoints_2d: expected rows of shape \(21, 2\), found \(20, 2\)",
        ),
        (
            [({**columns(), "crop": np.zeros((3, 9))}, pictures())],
            r"column crop: expected rows of shape \(3, 3\), found \(9,\)",
        ),
        (
            [
                ({**columns(), "vertices": np.zeros((3, 5, 3))}, pictures()),
                ({**columns(3, 3), "vertices": np.zeros((3, 6, 3))}, pictures()),
            ],
            r"vertices: rows of shape \(5, 3\) so far, now \(6, 3\)",
        ),
        ([(columns(), pictures()), (columns(), pictures())], "sample ids are not unique"),
    ],
)
def test_what_does_not_fit_is_refused_and_leaves_nothing(tmp_path: Path, blocks, message: str):
    with pytest.raises(FormatError, match=message):
        write(tmp_path / "new" / "a.h5", *blocks)
    assert list((tmp_path / "new").iterdir()) == []


def test_a_header_without_licence_is_refused(tmp_path: Path):
    header = {name: value for name, value in HEADER.items() if name != "license"}
    with pytest.raises(FormatError, match="the header lacks license"):
        write(tmp_path / "a.h5", header=header)
    with pytest.raises(TypeError):
        write(tmp_path / "a.h5", header={**HEADER, "title": object()})
    assert list(tmp_path.iterdir()) == []


def test_boxes_come_from_one_of_four_sources(tmp_path: Path):
    with pytest.raises(FormatError, match="bbox must be one of annotation, keypoints, image, det"):
        write(tmp_path / "a.h5", (columns(), pictures()), box={"source": "guess"})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_nothing_is_left_behind_after(tmp_path: Path, error: type[BaseException]):
    old = write(tmp_path / "a.h5", (columns(), pictures())).read_bytes()
    with pytest.raises(error, match="stop"), HandFileWriter(tmp_path / "a.h5", HEADER) as writer:
        writer.split("test", "image_id", "image_id").append(columns(), pictures())
        assert len(list(tmp_path.iterdir())) == 2
        raise error("stop")
    assert [p.name for p in tmp_path.iterdir()] == ["a.h5"]
    assert (tmp_path / "a.h5").read_bytes() == old


_FULL = (
    "(file write failed: time = Fri\n, filename = 'a.part', file descriptor = 3, errno = 28, "
    "error message = 'No space left on device', buf = 0x1)"
)
"""What HDF5 says of a full disk."""


@pytest.mark.parametrize("kind", [OSError, RuntimeError])
def test_a_full_disk_is_one_sentence_and_leaves_nothing(
    tmp_path: Path, kind: type[Exception], monkeypatch: pytest.MonkeyPatch
):
    def full(*_: Any, **__: Any) -> None:
        raise kind(f"Can't write data {_FULL}")

    monkeypatch.setattr(writers._Growing, "write", full)
    with pytest.raises(HandbenchError) as caught:
        write(tmp_path / "a.h5", (columns(), pictures()))
    assert str(caught.value) == (
        f"cannot write {tmp_path / 'a.h5'}: No space left on device; nothing of it was kept: make "
        "room there or choose another place"
    )
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_that_h5py_only_prints_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    # h5py cannot raise where it lets go of a dataset: it prints, and goes on.
    close = writers.SplitWriter.close

    def prints(self: writers.SplitWriter) -> None:
        close(self)
        sys.excepthook(RuntimeError, RuntimeError(f"Can't decrement id ref count {_FULL}"), None)

    hooks = sys.excepthook, sys.unraisablehook
    monkeypatch.setattr(writers.SplitWriter, "close", prints)
    with pytest.raises(HandbenchError, match="No space left on device; nothing of it was kept"):
        write(tmp_path / "a.h5", (columns(), pictures()))
    assert capsys.readouterr().err == ""
    assert list(tmp_path.iterdir()) == []
    assert hooks == (sys.excepthook, sys.unraisablehook)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_killed_process_leaves_no_file_of_the_wanted_name(tmp_path: Path):
    pid = os.fork()
    if pid == 0:
        with HandFileWriter(tmp_path / "a.h5", HEADER) as writer:
            writer.split("test", "image_id", "image_id").append(columns(), pictures())
            os._exit(9)
    os.waitpid(pid, 0)
    assert not (tmp_path / "a.h5").exists()
    assert list(tmp_path.glob("*.h5")) == []
    (left,) = tmp_path.iterdir()
    left.rename(tmp_path / "a.h5")
    with pytest.raises(FormatError):
        HandFile(tmp_path / "a.h5")
