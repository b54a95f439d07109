"""JPEGs and PNGs with something wrong: bits flipped, parts cut, doubled, moved or lengthened."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from web_pictures import ACCEPTED, jpeg, png, with_exif

SEEDS = [
    *ACCEPTED.values(),
    with_exif(6),
    jpeg(64, 48),
    jpeg(33, 47, progressive=True),
    png(40, 40),
]


def mutated(count: int, seed: int) -> Iterator[bytes]:
    """`count` damaged pictures, the same for the same seed."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        data = bytearray(SEEDS[rng.integers(len(SEEDS))])
        for _ in range(int(rng.integers(1, 5))):
            _CHANGES[rng.integers(len(_CHANGES))](data, rng)
        yield bytes(data)


def _place(data: bytearray, rng: np.random.Generator) -> int:
    # Half of the changes fall into the first bytes, where sizes and tables are.
    most = len(data) if rng.random() < 0.5 else min(len(data), 700)
    return int(rng.integers(max(1, most)))


def _flip(data: bytearray, rng: np.random.Generator) -> None:
    for _ in range(int(rng.integers(1, 20))):
        if data:
            data[_place(data, rng)] ^= 1 << int(rng.integers(8))


def _byte(data: bytearray, rng: np.random.Generator) -> None:
    if data:
        data[_place(data, rng)] = int(rng.choice([0x00, 0xFF, 0xD8, 0xD9, 0xDA, 0xC0, 0x7F]))


def _cut(data: bytearray, rng: np.random.Generator) -> None:
    del data[_place(data, rng) :]


def _drop(data: bytearray, rng: np.random.Generator) -> None:
    start = _place(data, rng)
    del data[start : start + int(rng.integers(1, 200))]


def _double(data: bytearray, rng: np.random.Generator) -> None:
    start = _place(data, rng)
    part = data[start : start + int(rng.integers(1, 2000))]
    data[start:start] = part * int(rng.integers(1, 5))


def _insert(data: bytearray, rng: np.random.Generator) -> None:
    start = _place(data, rng)
    data[start:start] = rng.bytes(int(rng.integers(1, 300)))


def _splice(data: bytearray, rng: np.random.Generator) -> None:
    other = SEEDS[rng.integers(len(SEEDS))]
    data[_place(data, rng) :] = other[int(rng.integers(len(other))) :]


def _swap(data: bytearray, rng: np.random.Generator) -> None:
    one, two = sorted((_place(data, rng), _place(data, rng)))
    part = bytes(data[one:two])
    del data[one:two]
    data.extend(part)


_CHANGES = (_flip, _flip, _byte, _cut, _drop, _double, _insert, _splice, _swap)
