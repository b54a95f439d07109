from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
from generators.tiny_hdf5 import png

from handbench.errors import SourceError
from handbench.images import encode_jpeg
from handbench.sources.archive import Archives, Folder
from handbench.sources.image_sizes import image_sizes

NAMES = ["a.png", "é/b.jpg", "a.png"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "é").mkdir()
    (tmp_path / "a.png").write_bytes(png(np.zeros((6, 8, 3), dtype=np.uint8)))
    (tmp_path / "é" / "b.jpg").write_bytes(encode_jpeg(np.zeros((30, 20, 3), dtype=np.uint8)))
    return tmp_path


def test_sizes_of_files_and_members(folder: Path):
    with zipfile.ZipFile(folder / "all.zip", "w") as archive:
        for name in set(NAMES):
            archive.write(folder / name, name)
    for files in (Folder(folder), Archives([folder / "all.zip"])):
        assert image_sizes(files, NAMES).tolist() == [[6, 8], [30, 20], [6, 8]]
    assert image_sizes(Folder(folder), []).shape == (0, 2)


def test_what_is_no_image_is_named(folder: Path):
    for data, found in ((b"", "an empty file"), (b"text", "one that is truncated or damaged")):
        (folder / "a.png").write_bytes(data)
        with pytest.raises(SourceError, match=rf"image at .*a\.png, found {found}"):
            image_sizes(Folder(folder), NAMES)
    with pytest.raises(SourceError, match=r"expected none\.jpg in .*, found no such file"):
        image_sizes(Folder(folder), ["none.jpg"])


def test_a_lenient_look_knows_no_size_of_a_damaged_image(folder: Path):
    (folder / "a.png").write_bytes(b"text")
    names = [*NAMES, "none.jpg"]
    sizes = image_sizes(Folder(folder), names, lenient=True)
    assert sizes.tolist() == [[-1, -1] if n in ("a.png", "none.jpg") else [30, 20] for n in names]
