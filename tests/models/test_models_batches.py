from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from generators.tiny_hdf5 import write_tiny

from handbench.errors import TrainError
from handbench.hdf5.merge import Input, merge
from handbench.hdf5.reader import HandFile
from handbench.models.batches import (
    ShuffledBatches,
    generator,
    held_out,
    in_order,
    loader,
    training_and_validation,
    unit_ids,
)
from handbench.models.rows import HandRows


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("batches") / "tiny.h5"
    return write_tiny(path, {"train": 12, "test": 4}, size=32)


def cut(path: Path, **more: object) -> tuple[HandRows, HandRows]:
    options = {"split_val": "val", "val_fraction": 0.3, "val_blocks": 4, **more}
    training, validation = training_and_validation([path], "train", **options)  # type: ignore[arg-type]
    assert validation is not None
    return training, validation


def test_a_fraction_of_0_holds_nothing_out(tiny: Path) -> None:
    training, validation = training_and_validation([tiny], "train", "val", 0.0, 4)
    assert (len(training), validation) == (12, None)
    # A split that is there is still validated on, and so is another file's.
    training, validation = training_and_validation([tiny], "train", "test", 0.0, 4)
    assert validation is not None
    assert (len(training), len(validation)) == (12, 4)


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # torch's way of starting workers
@pytest.mark.parametrize("workers", [0, 1])
def test_the_loader_hands_out_batches_in_the_given_order(tiny: Path, workers: int) -> None:
    rows = HandRows([(tiny, "train", None)])
    found = [p.tolist() for _, p in loader(rows, in_order(12, 5), workers, pin=False)]
    assert found == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9], [10, 11]]


def test_order_follows_from_seed_and_epoch_and_covers_everything() -> None:
    def epoch(number: int, seed: int = 3) -> list[list[int]]:
        batches = ShuffledBatches(10, 5, seed)
        batches.epoch = number
        return list(batches)

    assert sorted(position for batch in epoch(0) for position in batch) == list(range(10))
    assert epoch(1) == epoch(1)
    assert epoch(0) != epoch(1)
    assert epoch(0) != epoch(0, seed=4)


def counts(weights: np.ndarray, epoch: int = 0, seed: int = 3) -> np.ndarray:
    batches = ShuffledBatches(len(weights), 1, seed, weights)
    batches.epoch = epoch
    return np.bincount(np.concatenate(list(batches)), minlength=len(weights))


def test_rows_are_drawn_as_often_as_their_weights_say() -> None:
    weights = np.repeat([1.0, 2.5, 0.1], [40, 20, 40])
    expected = 100 * weights / weights.sum()
    drawn = counts(weights)
    assert drawn.sum() == 100
    assert (np.abs(drawn - expected) < 1).all()
    total = sum(counts(weights, epoch) for epoch in range(400))
    np.testing.assert_allclose(total / 400, expected, atol=0.12)


def test_weighted_order_follows_from_seed_and_epoch_and_is_mixed() -> None:
    weights = np.repeat([1.0, 3.0], [50, 50])

    def order(epoch: int, seed: int = 3) -> list[int]:
        batches = ShuffledBatches(100, 10, seed, weights)
        batches.epoch = epoch
        return [position for batch in batches for position in batch]

    assert order(0) == order(0)
    assert order(0) != order(1)
    assert order(0) != order(0, seed=4)
    # Copies of an image are not neighbours, and both halves are everywhere.
    late = np.array(order(0)) >= 50
    assert 0.5 < late[:50].mean() < 0.95
    assert np.mean(np.diff(order(0)) == 0) < 0.1


def test_equal_weights_change_no_bit(tmp_path: Path, tiny: Path) -> None:
    plain = list(ShuffledBatches(10, 5, 3))
    assert plain == list(ShuffledBatches(10, 5, 3, None))
    random = torch.randperm(10, generator=generator(3, 0, "order"))
    assert [position for batch in plain for position in batch] == random.tolist()
    assert HandRows([(tiny, "train", None)]).weights is None
    other = write_tiny(tmp_path / "b.h5", {"train": 3}, size=32, seed=9, dataset="other")
    same = merge([Input(tiny, 2), Input(other, 2)], tmp_path / "same.h5").path
    assert HandRows([(same, "train", None)]).weights is None


def test_each_dataset_of_a_merged_file_has_units_of_its_own(tmp_path: Path, tiny: Path) -> None:
    # `tiny` has pairs, `other` a unit for every row: its neighbours stay together.
    other = write_tiny(tmp_path / "b.h5", {"train": 4}, size=32, unit="sample_id", dataset="other")
    path = merge([Input(tiny), Input(other)], tmp_path / "both.h5").path
    with HandFile(path) as file:
        ids = unit_ids(file["train"], 2).tolist()
    assert ids[:2] == ["tiny/tiny/train-0"] * 2
    assert ids[12:] == ["other/0", "other/0", "other/1", "other/1"]


def test_an_incomplete_batch_is_left_out_of_training_only() -> None:
    assert [len(batch) for batch in ShuffledBatches(11, 4, 0)] == [4, 4]
    assert [len(batch) for batch in in_order(11, 4)] == [4, 4, 3]


def test_generators_of_different_purposes_differ() -> None:
    draws = [
        torch.rand(4, generator=generator(*arguments)).tolist()
        for arguments in ((0, 0, "order"), (0, 0, "augmentation"), (0, 1, "order"), (0, 0, "order"))
    ]
    assert draws[0] == draws[3]
    assert len({tuple(draw) for draw in draws}) == 3


def test_a_unit_is_never_on_both_sides() -> None:
    ids = np.array([f"u{i % 200}" for i in range(1000)])
    mask = held_out(ids, 0.2)
    assert not set(ids[mask]) & set(ids[~mask])
    assert mask.mean() == pytest.approx(0.2, abs=0.08)


def test_what_is_held_out_depends_on_the_id_alone() -> None:
    ids = np.array([f"u{i}" for i in range(100)])
    some = ids[::3]
    np.testing.assert_array_equal(held_out(some, 0.2), held_out(ids, 0.2)[::3])


def test_the_cut_is_the_one_of_conversion() -> None:
    from handbench.samples.grouping import val_rows

    ids = np.array([f"training/instant-{i:08d}" for i in range(400)])
    np.testing.assert_array_equal(held_out(ids, 0.05), val_rows(ids.tolist()))


def test_at_least_one_unit_is_held_out() -> None:
    ids = np.array(["a", "a", "b", "b", "b"])
    mask = held_out(ids, 1e-9)
    assert mask.tolist() in ([True, True, False, False, False], [False, False, True, True, True])


def test_one_unit_cannot_be_parted() -> None:
    with pytest.raises(TrainError, match=r"at least two units .* found 1 in 6 rows"):
        held_out(np.array(["only"] * 6), 0.5)


def test_without_a_val_split_units_of_train_are_held_out(tiny: Path) -> None:
    training, validation = cut(tiny)
    assert len(training) + len(validation) == 12
    assert len(validation) > 0
    # Rows 2k and 2k + 1 are one instant.
    instants = [
        {int(i[-4:]) // 2 for i in part.labels.sample_id} for part in (training, validation)
    ]
    assert not instants[0] & instants[1]


def test_a_val_split_is_used_where_there_is_one(tiny: Path) -> None:
    training, validation = cut(tiny, split_val="test")
    assert [len(training), len(validation)] == [12, 4]


def test_a_val_split_without_labels_is_of_no_use(tmp_path: Path) -> None:
    path = write_tiny(tmp_path / "a.h5", {"train": 12, "val": 4}, size=32, unlabelled=("val",))
    _, validation = cut(path)
    assert validation.names == ("tiny/train",)
    assert validation.labels.valid.all()


def test_without_ids_neighbours_stay_together(tmp_path: Path) -> None:
    path = write_tiny(tmp_path / "a.h5", {"train": 12}, size=32, unit="sample_id")
    with HandFile(path) as file:
        assert unit_ids(file["train"], 4).tolist() == list("000111222333")
    _, validation = cut(path)
    rows = sorted(int(name[-4:]) for name in validation.labels.sample_id)
    assert len(rows) % 3 == 0
    assert all(rows[i] + 1 == rows[i + 1] for i in range(0, len(rows), 3))


def test_units_of_one_row_each_give_runs_of_neighbours(tmp_path: Path) -> None:
    path = write_tiny(tmp_path / "a.h5", {"train": 12}, size=32)
    with h5py.File(path, "r+") as file:
        file["train/instant_id"][:] = [f"unit-{row:02d}".encode() for row in range(12)]
    with HandFile(path) as opened:
        assert unit_ids(opened["train"], 4).tolist() == list("000111222333")


def test_a_file_without_labels_is_refused(tmp_path: Path) -> None:
    path = write_tiny(tmp_path / "a.h5", {"train": 4}, size=32, unlabelled=("train",))
    with pytest.raises(TrainError, match=r"none of the 4 images in .*split 'train', is labelled"):
        cut(path)


def test_a_missing_training_split_is_refused(tiny: Path) -> None:
    with pytest.raises(TrainError, match="no split 'fit' to train on; it has train, test"):
        training_and_validation([tiny], "fit", "val", 0.1, 4)
