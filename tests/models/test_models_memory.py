from __future__ import annotations

import platform
import subprocess
import sys

import pytest
import torch

from handbench.models.memory import freed_memory_kept

CPU = torch.device("cpu")

COUNTS = """
import resource
import torch
from handbench.models.memory import freed_memory_kept

def new_pages(count=3):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(count):
        torch.empty(16 * 2**20).fill_(1.0)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

torch.empty(8).fill_(1.0)
outside = new_pages()
with freed_memory_kept(torch.device("cpu")):
    # Where the heap happens to lie so that a freed piece is a few bytes short once it is aligned,
    # the first rounds each take another piece.
    new_pages(16)
    inside = new_pages()
print(outside, inside, new_pages())
"""
"""Counts pages that the system hands out while 64 MB are asked for and freed some times."""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")
def test_freed_memory_is_used_again_within_the_block_only() -> None:
    # In a process of its own: what other tests left free on the heap would be used as well.
    done = subprocess.run(
        [sys.executable, "-c", COUNTS], capture_output=True, text=True, check=True
    )
    outside, inside, after = map(int, done.stdout.split())
    # Some systems hand out 2 MB at once: 32 of them each time.
    assert outside >= 3 * 32
    assert inside < outside / 10
    assert after > 10 * max(1, inside)


def test_other_devices_and_errors_pass_through() -> None:
    with freed_memory_kept(torch.device("meta")):
        pass
    with pytest.raises(ValueError, match="mine"), freed_memory_kept(CPU):
        raise ValueError("mine")
