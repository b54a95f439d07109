from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from handbench.errors import SourceError
from handbench.samples.grouping import SPLITS, Cut, is_val, val_rows


def by_the_contract(unit: str) -> bool:
    digits = hashlib.sha256(b"handbench-val/1:" + unit.encode("utf-8")).hexdigest()[:8]
    return int(digits, 16) / 2**32 < 0.05


@given(st.text(max_size=20))
def test_the_rule_of_the_contract(unit: str):
    assert is_val(unit) == by_the_contract(unit)


def test_known_units():
    # Written down once: a change here would move samples between published splits.
    chosen = [i for i in range(100) if is_val(f"training/instant-{i:08d}")]
    assert chosen == [4, 13, 15, 16, 74]


def test_the_share_is_five_percent_to_the_last_digit():
    # Ids whose hashes, over 2**32, are 0.0499981 and 0.0500002: found once by trying numbers.
    assert is_val("1583266")
    assert not is_val("1418230")


def test_about_five_percent_are_chosen():
    share = np.mean([is_val(str(i)) for i in range(20_000)])
    assert 0.045 < share < 0.055


def test_rows_follow_their_unit():
    units = [f"training/instant-{i:08d}" for i in (4, 0, 4, 13, 1, 4)]
    assert val_rows(units).tolist() == [True, False, True, True, False, True]
    assert val_rows([]).dtype == bool


# -- cuts by ratios ----------------------------------------------------------------------------

SHARES = st.tuples(*[st.integers(0, 10)] * 3).filter(sum)


def cut_of(shares: tuple[int, int, int], seed: int = 0) -> Cut:
    train, val, test = (share / sum(shares) for share in shares)
    return Cut("subject_id", (train, val, test), seed)


@given(SHARES, st.integers(3, 400))
def test_sizes_are_the_shares_rounded_and_never_zero(shares: tuple[int, int, int], count: int):
    cut = cut_of(shares)
    sizes = cut.sizes(count)
    assert sum(sizes) == count
    for size, ratio in zip(sizes, cut.ratios):
        assert (size > 0) == (ratio > 0)
        # One more or less than the share, and what a split at its least takes from the others.
        assert abs(size - count * ratio) < 3


@pytest.mark.parametrize(
    ("ratios", "count", "sizes"),
    [
        ((0.8, 0.1, 0.1), 10, (8, 1, 1)),
        ((0.8, 0.1, 0.1), 3, (1, 1, 1)),
        ((0.8, 0.1, 0.1), 27, (21, 3, 3)),
        ((0.5, 0.0, 0.5), 5, (3, 0, 2)),
        ((1.0, 0.0, 0.0), 4, (4, 0, 0)),
        ((0.7, 0.3, 0.0), 10, (7, 3, 0)),
        ((0.998, 0.001, 0.001), 4, (2, 1, 1)),
    ],
)
def test_sizes_by_hand(ratios: tuple[float, float, float], count: int, sizes: tuple[int, ...]):
    assert Cut("subject_id", ratios).sizes(count) == sizes


def test_too_few_units():
    with pytest.raises(SourceError, match="expected 3 different values of subject_id or more"):
        cut_of((8, 1, 1)).sizes(2)


@given(st.sets(st.text(min_size=1, max_size=5), min_size=3, max_size=60), st.integers(0, 99))
def test_every_unit_goes_to_one_split(units: set[str], seed: int):
    cut = cut_of((6, 2, 2), seed)
    split_of = cut.deal(units)
    assert split_of.keys() == units
    assert [list(split_of.values()).count(split) for split in SPLITS] == list(cut.sizes(len(units)))
    assert cut.deal(sorted(units, reverse=True)) == split_of


def test_the_order_is_that_of_the_hashes():
    units = [f"p{i}" for i in range(10)]
    order = sorted(
        units, key=lambda unit: hashlib.sha256(f"handbench-split/1:7:{unit}".encode()).digest()
    )
    dealt = cut_of((5, 3, 2), 7).deal(units)
    assert [dealt[unit] for unit in order] == ["train"] * 5 + ["val"] * 3 + ["test"] * 2
    # Written down once: a change here would move people between splits that are in use.
    assert [unit for unit in units if cut_of((8, 1, 1)).deal(units)[unit] != "train"] == [
        "p3",
        "p9",
    ]


def test_another_seed_deals_otherwise():
    units = [f"p{i}" for i in range(30)]
    assert len({tuple(cut_of((5, 0, 5), seed).deal(units).items()) for seed in range(8)}) == 8
