from __future__ import annotations

import hashlib
import json
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from handbench import __version__
from handbench.errors import HandbenchError, SourceError
from handbench.hand import bone_lengths, chirality
from handbench.synthetic import dataset
from handbench.synthetic.dataset import (
    evaluation_count,
    hand_images,
    mano_vector,
    write_sample_dataset,
)
from handbench.synthetic.scene import Split

COUNT, SIZE = 9, 96


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("synthetic") / "sample"
    write_sample_dataset(folder, COUNT, seed=7, size=SIZE, progress=False)
    return folder


def labels(folder: Path, split: str, name: str) -> np.ndarray:
    return np.array(json.loads((folder / f"{split}_{name}.json").read_text()))


def hashes(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_the_layout_is_freihands(sample: Path) -> None:
    evaluation = evaluation_count(COUNT)
    expected = {f"training/rgb/{k:08d}.jpg" for k in range(4 * COUNT)}
    expected |= {f"training/mask/{k:08d}.jpg" for k in range(COUNT)}
    expected |= {f"evaluation/rgb/{k:08d}.jpg" for k in range(evaluation)}
    expected |= {
        f"{split}_{name}.json"
        for split in ("training", "evaluation")
        for name in ("K", "xyz", "verts", "scale", "mano")
    }
    assert set(hashes(sample)) == expected | {"handbench_source.json"}
    for path in sample.rglob("*.jpg"):
        with Image.open(path) as image:
            assert image.format == "JPEG"
            assert image.size == (SIZE, SIZE)
            assert image.mode == ("L" if "mask" in path.parts else "RGB")


@pytest.mark.parametrize(
    ("split", "entries"), [("training", COUNT), ("evaluation", evaluation_count(COUNT))]
)
def test_every_label_has_freihands_shape(sample: Path, split: str, entries: int) -> None:
    assert labels(sample, split, "K").shape == (entries, 3, 3)
    assert labels(sample, split, "xyz").shape == (entries, 21, 3)
    assert labels(sample, split, "verts").shape == (entries, 778, 3)
    assert labels(sample, split, "scale").shape == (entries,)
    assert labels(sample, split, "mano").shape == (entries, 1, 61)


def test_the_marker_says_that_it_is_not_freihand(sample: Path) -> None:
    marker = json.loads((sample / "handbench_source.json").read_text())
    assert marker["handbench_source"] == "sample"
    assert marker["handbench"] == __version__
    assert (marker["seed"], marker["count"], marker["size"]) == (7, COUNT, SIZE)
    assert marker["evaluation_count"] == evaluation_count(COUNT)
    assert "not FreiHAND" in marker["note"]


@pytest.mark.parametrize("split", ["training", "evaluation"])
def test_labels_agree_with_each_other(sample: Path, split: str) -> None:
    K, xyz, verts, scale, mano = (
        labels(sample, split, name) for name in ("K", "xyz", "verts", "scale", "mano")
    )
    np.testing.assert_array_equal(K[:, :2, 2], SIZE / 2)
    np.testing.assert_allclose(np.linalg.norm(xyz[:, 9] - xyz[:, 10], axis=-1), scale, atol=1e-9)
    assert xyz[..., 2].min() > 0.0
    assert 0.0197 < scale.min() <= scale.max() < 0.0350
    palm = bone_lengths(xyz)[:, 8]
    assert 0.079 < palm.min() <= palm.max() < 0.0955
    # The root of the mano vector is joint 9, by FreiHAND's formula.
    u, v, s = mano[:, 0, 58:].T
    focal = K[:, [0, 1], [0, 1]].mean(-1)
    root = np.stack([(u - K[:, 0, 2]) / s, (v - K[:, 1, 2]) / s, focal / s], -1)
    np.testing.assert_allclose(root, xyz[:, 9], atol=1e-9)
    assert not mano[:, 0, :58].any()
    nearest = np.linalg.norm(verts[:, :, None] - xyz[:, None], axis=-1).min(1)
    assert nearest.max() < 0.03


def test_hands_are_right_hands_with_tapering_fingers(sample: Path) -> None:
    xyz = labels(sample, "training", "xyz")
    assert (chirality(xyz) > 0).mean() > 0.8
    chains = bone_lengths(xyz).reshape(-1, 5, 4).mean(0)
    assert (chains[1:, 1] > chains[1:, 2]).all()
    assert (chains[1:, 0] > chains[1:, 1]).all()


def test_joints_lie_on_the_hand_in_the_picture(sample: Path) -> None:
    K, xyz = labels(sample, "training", "K"), labels(sample, "training", "xyz")
    found = []
    for k in range(COUNT):
        uv = xyz[k] @ K[k].T
        column, row = (uv[:, :2] / uv[:, 2:]).round().astype(int).T
        mask = np.asarray(Image.open(sample / f"training/mask/{k:08d}.jpg"))
        seen = (column >= 0) & (row >= 0) & (column < SIZE) & (row < SIZE)
        found.append(mask[row[seen], column[seen]] >= 128)
    assert np.concatenate(found).mean() > 0.85  # held objects and occluders hide a few


def test_masks_are_black_and_white(sample: Path) -> None:
    for path in (sample / "training/mask").iterdir():
        mask = np.asarray(Image.open(path))
        assert 0.02 < (mask >= 128).mean() < 0.5
        assert ((mask > 60) & (mask < 195)).mean() < 0.08


def test_four_versions_show_one_hand(sample: Path) -> None:
    for k in range(3):
        pictures = [
            np.asarray(Image.open(sample / f"training/rgb/{k + COUNT * v:08d}.jpg")).astype(float)
            for v in range(4)
        ]
        inside = np.asarray(Image.open(sample / f"training/mask/{k:08d}.jpg")) > 240
        green = pictures[0][~inside].mean(0)
        assert green[1] > 1.1 * max(green[0], green[2])
        for other in pictures[1:]:
            alike = np.corrcoef(pictures[0][inside].mean(-1), other[inside].mean(-1))[0, 1]
            assert alike > 0.8
            assert np.abs(pictures[0][~inside] - other[~inside]).mean() > 8.0


def test_equal_arguments_give_equal_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_sample_dataset(tmp_path / name, 2, seed=3, size=64, progress=False)
    assert hashes(tmp_path / "a") == hashes(tmp_path / "b")
    write_sample_dataset(tmp_path / "c", 2, seed=4, size=64, progress=False)
    assert (
        hashes(tmp_path / "c")["training/rgb/00000000.jpg"]
        != hashes(tmp_path / "a")["training/rgb/00000000.jpg"]
    )


def test_an_annotation_does_not_depend_on_the_count(sample: Path, tmp_path: Path) -> None:
    write_sample_dataset(tmp_path / "few", 2, seed=7, size=SIZE, progress=False)
    for k in range(2):
        for version in range(4):
            few = tmp_path / f"few/training/rgb/{k + 2 * version:08d}.jpg"
            many = sample / f"training/rgb/{k + COUNT * version:08d}.jpg"
            assert few.read_bytes() == many.read_bytes()
    np.testing.assert_array_equal(
        labels(tmp_path / "few", "training", "verts"), labels(sample, "training", "verts")[:2]
    )


def test_hand_images_are_what_is_written(sample: Path) -> None:
    first, second = islice(hand_images(7, Split.TRAINING, SIZE), 2)
    np.testing.assert_array_equal(second.keypoints, labels(sample, "training", "xyz")[1])
    np.testing.assert_array_equal(first.camera, labels(sample, "training", "K")[0])
    assert len(first.images) == 4
    unseen = next(hand_images(7, Split.EVALUATION, SIZE))
    assert len(unseen.images) == 1
    np.testing.assert_array_equal(unseen.vertices, labels(sample, "evaluation", "verts")[0])


def test_root_of_a_known_hand() -> None:
    keypoints = np.zeros((21, 3))
    keypoints[9] = (0.1, -0.2, 0.5)
    camera = np.array([[400.0, 0.0, 112.0], [0.0, 402.0, 112.0], [0.0, 0.0, 1.0]])
    vector = mano_vector(keypoints, camera)
    assert vector.shape == (61,)
    np.testing.assert_allclose(vector[58:], [112.0 + 80.2, 112.0 - 160.4, 802.0])


@pytest.mark.parametrize(("count", "expected"), [(1, 1), (7, 1), (8, 2), (64, 16)])
def test_a_quarter_is_kept_for_evaluation(count: int, expected: int) -> None:
    assert evaluation_count(count) == expected


def test_a_folder_with_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep me")
    with pytest.raises(SourceError, match=r"new or empty folder.*files in it.*another name"):
        write_sample_dataset(tmp_path, 1, size=32, progress=False)
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]
    with pytest.raises(SourceError, match="found a file"):
        write_sample_dataset(tmp_path / "mine.txt", 1, size=32, progress=False)


def test_the_current_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SourceError, match="current folder"):
        write_sample_dataset(Path(), 1, size=32, progress=False)


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    write_sample_dataset(tmp_path / "empty", 1, size=32, progress=False)
    assert (tmp_path / "empty/handbench_source.json").is_file()


@pytest.mark.parametrize("wrong", [{"count": 0}, {"seed": -1}, {"size": 31}, {"size": 4096}])
def test_numbers_out_of_range_are_named(tmp_path: Path, wrong: dict[str, int]) -> None:
    ((name, value),) = wrong.items()
    with pytest.raises(HandbenchError, match=f"{name} {value}"):
        write_sample_dataset(tmp_path / "x", **wrong)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("failure", "expected", "message"),
    [
        (KeyboardInterrupt("stop"), KeyboardInterrupt, "stop"),
        (OSError(28, "No space left on device"), HandbenchError, "No space left.*another place"),
    ],
)
def test_an_interrupted_sample_leaves_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    failure: BaseException,
    expected: type[BaseException],
    message: str,
) -> None:
    def fail(*_: object) -> None:
        raise failure

    monkeypatch.setattr(dataset, "mano_vector", fail)
    with pytest.raises(expected, match=message):
        write_sample_dataset(tmp_path / "half", 1, size=32, progress=False)
    assert not list(tmp_path.iterdir())
