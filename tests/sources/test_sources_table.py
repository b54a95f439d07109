from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from generators.tiny_hdf5 import png

from handbench.errors import SourceError
from handbench.sources import manifest
from handbench.sources.archive import Folder
from handbench.sources.table import HandTable, TableSource


def table(count: int = 3) -> HandTable:
    points = np.arange(count * 42, dtype=float).reshape(count, 21, 2)
    visibility = np.full((count, 21), 2, dtype=np.uint8)
    visibility[0, 4] = 0
    points[0, 4] = np.nan
    points_3d = np.ones((count, 21, 3))
    points_3d[1, 7] = np.nan
    return HandTable(
        sample_id=[f"p/{i}" for i in range(count)],
        file_name=["p/a.png", "p/a.png", *(f"p/{i}.png" for i in range(2, count))],
        keypoints_2d=points,
        visibility=visibility,
        bbox=np.tile([0.0, 0.0, 5.0, 5.0], (count, 1)),
        is_right=np.ones(count, dtype=np.int8),
        keypoints_3d=points_3d,
        ids={"image_id": ["p/a", "p/a", *(f"p/{i}" for i in range(2, count))]},
        extra={"scale": np.arange(count, dtype=float)},
        mask_name=[f"p/{i}.mask" for i in range(count)],
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "p").mkdir()
    for name in ("a", *map(str, range(2, 700))):
        (tmp_path / "p" / f"{name}.png").write_bytes(png(np.zeros((6, 8, 3), dtype=np.uint8)))
    for number in range(3):
        (tmp_path / "p" / f"{number}.mask").write_bytes(b"mask")
    (tmp_path / "labels.txt").write_text("labels", "utf-8")
    return tmp_path


def source(folder: Path, hands: HandTable, **options: object) -> TableSource:
    return TableSource(manifest.load("coco"), Folder(folder), {"test": hands}, **options)  # type: ignore[arg-type]


def test_rows_become_blocks(folder: Path) -> None:
    made = source(folder, table(), label_files=["labels.txt"], notes=["look"], dropped={"bad": 2})
    assert made.splits() == {"test": 3}
    (block,) = made.blocks("test", frozenset({"mask"}))
    assert block.sample_id == ["p/0", "p/1", "p/2"]
    assert block.images[0] is block.images[1]
    assert block.image_size.tolist() == [[6, 8]] * 3
    assert not block.valid_2d[0, 4]
    assert block.valid_2d.sum() == 62
    assert not block.valid_3d[1, 7]
    assert block.valid_3d.sum() == 62
    assert block.extra["scale"].tolist() == [0, 1, 2]
    assert block.masks == [b"mask"] * 3
    assert [entry["file"] for entry in made.files()] == ["labels.txt"]
    assert (made.notes, made.dropped, made.name) == (["look"], {"bad": 2}, "coco")
    (first,) = made.blocks("test", limit=1)
    assert len(first) == 1
    assert first.masks is None


def test_large_tables_come_in_several_blocks(folder: Path) -> None:
    blocks = list(source(folder, table(600)).blocks("test"))
    assert [len(block) for block in blocks] == [512, 88]
    names = [name for block in blocks for name in block.sample_id]
    assert names == [f"p/{i}" for i in range(600)]


def test_images_of_another_size_are_refused(folder: Path) -> None:
    hands = table()
    hands.image_size = np.array([[6, 8], [-1, -1], [8, 6]], dtype=np.int32)
    with pytest.raises(SourceError, match=r"p/2.png to have 6×8 px as its record says, found 8×6"):
        list(source(folder, hands).blocks("test"))
    hands.image_size[2] = [6, 8]
    assert len(list(source(folder, hands).blocks("test"))) == 1


def test_a_missing_image_is_named(folder: Path) -> None:
    (folder / "p" / "2.png").unlink()
    with pytest.raises(SourceError, match=r"expected p/2\.png in"):
        list(source(folder, table()).blocks("test"))


def test_rows_are_taken_in_order() -> None:
    taken = table().take([2, 0])
    assert taken.sample_id == ["p/2", "p/0"]
    assert taken.extra["scale"].tolist() == [2, 0]
    assert taken.ids["image_id"] == ["p/2", "p/a"]
    assert taken.camera is None
    assert len(table().take(slice(1, 3))) == 2


def test_a_lenient_source_says_what_is_wrong_with_a_mask(folder: Path) -> None:
    (folder / "p" / "1.mask").unlink()
    with pytest.raises(SourceError, match=r"expected p/1\.mask in"):
        next(source(folder, table()).blocks("test", frozenset({"mask"})))
    (block,) = source(folder, table(), lenient=True).blocks("test", frozenset({"mask"}))
    assert block.masks == [b"mask", b"", b"mask"]
    assert block.faults is not None
    assert [bool(fault) for fault in block.faults] == [False, True, False]
    assert "p/1.mask" in block.faults[1]
