from __future__ import annotations

import pickle
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from generators.tiny_hdf5 import tiny_hands, write_tiny

from handbench.errors import SourceError, TrainError
from handbench.hdf5.merge import Input, merge
from handbench.hdf5.reader import HandFile
from handbench.models import image_cache
from handbench.models.batches import in_order, loader
from handbench.models.rows import HandRows, keep_in_memory


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("rows") / "tiny.h5"
    return write_tiny(path, {"train": 12, "test": 4}, size=32)


def test_a_batch_holds_the_images_and_positions_asked_for(tiny: Path) -> None:
    images, _ = tiny_hands(12, 32, seed=0)
    batch, positions = HandRows([(tiny, "train", None)])[[3, 0]]
    np.testing.assert_array_equal(batch.permute(0, 2, 3, 1), images[[3, 0]])
    assert batch.is_contiguous(memory_format=torch.channels_last)
    assert positions.tolist() == [3, 0]


def test_chosen_rows_and_labels_belong_together(tiny: Path) -> None:
    images, keypoints = tiny_hands(12, 32, seed=0)
    rows = HandRows([(tiny, "train", np.array([7, 2]))])
    np.testing.assert_array_equal(rows[[1]][0][0].permute(1, 2, 0), images[2])
    np.testing.assert_allclose(rows.labels.keypoints, keypoints[[7, 2]], rtol=1e-6)
    assert rows.labels.sample_id.tolist() == ["train/0007", "train/0002"]


def test_labels_lead_back_to_source_pixels(tiny: Path) -> None:
    rows = HandRows([(tiny, "train", None)])
    with HandFile(tiny) as file:
        expected = file["train"].source_keypoints_2d()
    found = rows.labels.to_source(rows.labels.keypoints)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_several_files_become_one_set(tiny: Path, tmp_path: Path) -> None:
    other = write_tiny(tmp_path / "b.h5", {"train": 3}, size=32, seed=9, dataset="other")
    rows = HandRows([(tiny, "train", None), (other, "train", None)])
    images, _ = tiny_hands(3, 32, seed=9)
    assert len(rows) == 15
    assert rows.names == ("tiny/train", "other/train")
    np.testing.assert_array_equal(rows[[14]][0][0].permute(1, 2, 0), images[2])


def test_mixed_image_sizes_are_refused(tmp_path: Path) -> None:
    path = write_tiny(tmp_path / "mixed.h5", {"train": 5}, sizes=(32, 48))
    with pytest.raises(
        TrainError, match=r"one size, found 2 sizes in .*: 32×32 \(3\), 48×48 \(2\); convert with"
    ):
        HandRows([(path, "train", None)])


def test_no_rows_are_refused(tiny: Path) -> None:
    with pytest.raises(TrainError, match=r"expected images in .*split 'train', found none"):
        HandRows([(tiny, "train", np.array([], dtype=np.int64))])


def test_rows_can_be_pickled_for_workers(tiny: Path) -> None:
    rows = HandRows([(tiny, "train", None)])
    again = pickle.loads(pickle.dumps(rows))  # noqa: S301 - our own object
    assert torch.equal(again[[2]][0], rows[[2]][0])


def test_rows_of_a_merged_file(tmp_path: Path, tiny: Path) -> None:
    other = write_tiny(tmp_path / "b.h5", {"train": 3}, size=32, seed=9, dataset="other")
    path = merge([Input(tiny), Input(other, 4)], tmp_path / "both.h5").path
    rows = HandRows([(path, "train", np.array([0, 13, 14])), (tiny, "test", None)])
    assert rows.names == ("tiny/train", "other/train", "tiny/test")
    assert rows.weights is not None
    assert rows.weights.tolist() == [1, 4, 4, 1, 1, 1, 1]
    images, _ = tiny_hands(3, 32, seed=9)
    np.testing.assert_array_equal(rows[[2]][0][0].permute(1, 2, 0), images[2])


def test_a_weight_that_is_none_is_refused(tmp_path: Path) -> None:
    path = write_tiny(tmp_path / "a.h5", {"train": 3}, size=32)
    with h5py.File(path, "r+") as file:
        file["train/sample_weight"] = np.array([1.0, 0.0, 2.0])
    with pytest.raises(
        TrainError, match=r"positive numbers as sample_weight in .*found 0 in row 1"
    ):
        HandRows([(path, "train", None)])


def everything(rows: HandRows) -> torch.Tensor:
    return rows[list(range(len(rows)))][0]


@pytest.mark.parametrize("cache", ["none", "auto", "ram"])
@pytest.mark.parametrize("least", [None, 16, 18])
def test_images_kept_in_memory_are_the_same(tiny: Path, cache: str, least: float | None) -> None:
    parts = [(tiny, "train", np.arange(3, 9)), (tiny, "test", None)]
    plain, kept = (HandRows(parts, least=least) for _ in range(2))
    keep_in_memory([kept], cache, workers=0)
    for _ in range(2):
        assert torch.equal(kept[[5, 1, 9]][0], plain[[5, 1, 9]][0])
    assert torch.equal(everything(kept), everything(plain))


@pytest.mark.parametrize(("room", "form"), [(1.0, "decoded"), (0.5, "encoded")])
def test_what_fits_is_kept_and_the_file_no_longer_read(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: float, form: str
) -> None:
    path = tmp_path / "copy.h5"
    path.write_bytes(tiny.read_bytes())
    rows = [HandRows([(path, split, None)]) for split in ("train", "test")]
    expected = [everything(part) for part in rows]
    decoded = sum(image_cache.decoded_bytes(part) for part in rows)
    encoded = sum(int(part.lengths().sum()) for part in rows)
    assert encoded < decoded
    # PNGs of noise shrink by a fifth only: the limit lies between the two.
    limit = {"decoded": decoded, "encoded": (encoded + decoded) // 2}[form]
    monkeypatch.setattr(image_cache, "free_memory", lambda: int(limit / image_cache.SHARE) + 2)
    keep_in_memory(rows, "ram", workers=0)
    path.unlink()
    for part, images in zip(rows, expected):
        assert torch.equal(everything(part), images)
        assert (part._decoded is None) == (form == "encoded")


def test_images_that_do_not_fit_are_refused(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_cache, "free_memory", lambda: 10_000)
    with pytest.raises(
        TrainError,
        match=r"--cache ram needs 0.0 GB of memory for the images in each of 2 processes, and "
        r"fills at most 80% of what is free: found 0.0 GB free; use --cache none",
    ):
        keep_in_memory([HandRows([(tiny, "train", None)])], "ram", workers=0, processes=2)


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # torch's way of starting workers
@pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")  # few cores
@pytest.mark.parametrize("cache", ["none", "auto", "ram"])
@pytest.mark.parametrize("workers", [0, 1, 3])
def test_loading_processes_hand_out_the_same_batches(tiny: Path, cache: str, workers: int) -> None:
    rows = HandRows([(tiny, "train", None)])
    batches = in_order(12, 5)
    expected = [rows[batch][0] for batch in batches]
    keep_in_memory([rows], cache, workers=workers)
    found = [images for images, _ in loader(rows, batches, workers, pin=False)]
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))


def test_large_images_are_halved_with_their_labels(tmp_path: Path) -> None:
    path = write_tiny(tmp_path / "large.h5", {"train": 6}, size=96)
    whole, half = HandRows([(path, "train", None)]), HandRows([(path, "train", None)], least=48)
    assert (whole.size, half.size) == ((96, 96), (48, 48))
    pixels = everything(whole).float().unflatten(2, (48, 2)).unflatten(4, (48, 2)).mean(dim=(3, 5))
    assert (everything(half) - pixels).abs().max() <= 1
    # A corner of the image stays a corner: -½ → -½, 95½ → 47½.
    np.testing.assert_allclose(
        half.labels.keypoints, (whole.labels.keypoints + 0.5) / 2 - 0.5, atol=1e-4
    )
    for rows in (whole, half):
        with HandFile(path) as file:
            truth = file["train"].source_keypoints_2d()
        np.testing.assert_allclose(rows.labels.to_source(rows.labels.keypoints), truth, atol=1e-3)


def test_images_are_not_made_smaller_than_needed(tiny: Path) -> None:
    assert HandRows([(tiny, "train", None)], least=16).size == (16, 16)
    assert HandRows([(tiny, "train", None)], least=16.5).size == (20, 20)
    assert HandRows([(tiny, "train", None)], least=28.5).size == (32, 32)
    assert HandRows([(tiny, "train", None)], least=32).size == (32, 32)


def test_an_image_of_another_size_than_the_file_says_is_refused(tmp_path: Path) -> None:
    path = write_tiny(tmp_path / "a.h5", {"train": 3}, size=32)
    with h5py.File(path, "r+") as file:
        file["train/image_size"][:] = 48
    with pytest.raises(
        TrainError, match=r"expected an image of 48×48 px at .*row 1, found one of 32×32"
    ):
        HandRows([(path, "train", None)])[[1]]


def test_a_damaged_image_is_named(tmp_path: Path) -> None:
    path = write_tiny(tmp_path / "a.h5", {"train": 3}, size=32)
    with h5py.File(path, "r+") as file:
        start = int(file["train/image_offset"][1])
        file["train/image"][start + 40 : start + 400] = 0
    with pytest.raises(SourceError, match=r"a whole image at .*a\.h5, split 'train', row 1, found"):
        HandRows([(path, "train", None)])[[0, 1]]
