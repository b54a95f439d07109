from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from handbench.errors import HandbenchError, ManifestError
from handbench.sources import manifest

BUILT_IN = manifest.names()


def changed(tmp_path: Path, old: str, new: str, name: str = "freihand") -> Path:
    text = (manifest.folder() / "freihand.toml").read_text(encoding="utf-8")
    assert old in text
    path = tmp_path / f"{name}.toml"
    path.write_text(text.replace(old, new), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('title = "FreiHAND v2"\n', "", r"field '\(top level\)': 'title' is a required property"),
        ('unit = "m"', 'unit = "inch"', "field 'unit': 'inch' is not one of"),
        ('axes = "opencv"', 'axes = "opengl2"', "field 'axes': 'opengl2' is not one of"),
        ("box_padding = 1.0", "box_padding = 0", "field 'box_padding': 0 is less than or equal"),
        ("box_padding = 1.0", "box_paddin = 1.0\nbox_padding = 1.0", "'box_paddin' was unexpected"),
        ("samples = 130240", 'samples = "many"', "field 'splits.train.samples': 'many' is not"),
        ("[splits.test]", "[splits.evaluation]", "field 'splits': 'evaluation' is not one of"),
        ("size_bytes = 3881833583", "size_bytes = 0", r"field 'archives\.0\.size_bytes': 0 is"),
        ("[0, 1, 2,", "[0, 1, 1,", r"field 'joint_order'.* missing \[2\], repeated.* \[1\]"),
        ("[0, 1, 2,", "[0, 1,", "field 'joint_order'"),
        ("publish_images = true", "publish_images = maybe", "expected a TOML manifest, found"),
    ],
)
def test_a_bad_manifest_names_file_and_field(tmp_path: Path, old: str, new: str, message: str):
    with pytest.raises(ManifestError, match=rf"freihand\.toml: .*{message}"):
        manifest.read(changed(tmp_path, old, new))


def test_a_manifest_is_called_like_its_file(tmp_path: Path):
    path = changed(tmp_path, "x", "x", name="other")
    with pytest.raises(ManifestError, match=r"'name' must equal the file name 'other', found 'fre"):
        manifest.read(path)


def test_unreadable_manifests_are_manifest_errors(tmp_path: Path):
    (tmp_path / "a.toml").write_bytes(b"\xff\xfe")
    for path in (tmp_path / "a.toml", tmp_path / "none.toml"):
        with pytest.raises(ManifestError, match=f"{path.name}: expected a TOML manifest"):
            manifest.read(path)


def test_a_misspelt_name_gets_a_suggestion():
    with pytest.raises(HandbenchError, match="no dataset is called 'freihnad'; did you mean 'frei"):
        manifest.load("freihnad")
    with pytest.raises(HandbenchError, match=r"there are: coco, .*freihand, .*sample"):
        manifest.load("zzz")


def test_the_folder_is_the_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    shutil.copytree(manifest.folder(), tmp_path / "manifests")
    shutil.copy(tmp_path / "manifests/sample.toml", tmp_path / "manifests/aaa.toml")
    monkeypatch.setattr(manifest, "folder", lambda: tmp_path / "manifests")
    assert manifest.names() == sorted([*BUILT_IN, "aaa"])


def test_canonical_3d_is_in_metres_opencv_axes_and_order(tmp_path: Path):
    path = changed(tmp_path, 'unit = "m"', 'unit = "mm"')
    text = path.read_text(encoding="utf-8").replace('axes = "opencv"', 'axes = "opengl"')
    path.write_text(text.replace("[0, 1, 2, 3, 4,", "[0, 4, 3, 2, 1,"), encoding="utf-8")
    native = np.arange(63.0).reshape(1, 21, 3)
    found = manifest.read(path).to_canonical_3d(native)
    assert found[0, 1].tolist() == pytest.approx([0.012, -0.013, -0.014])
    assert found[0, 5].tolist() == pytest.approx([0.015, -0.016, -0.017])
