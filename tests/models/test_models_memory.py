from __future__ import annotations

import platform

import pytest
import torch

from handbench.models.memory import freed_memory_kept

CPU = torch.device("cpu")


def new_pages(count: int = 3) -> int:
    """Pages that the system handed out while 64 MB were asked for and freed some times."""
    import resource

    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(count):
        torch.empty(16 * 2**20).fill_(1.0)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")
def test_freed_memory_is_used_again_within_the_block_only() -> None:
    torch.empty(8).fill_(1.0)
    outside = new_pages()
    with freed_memory_kept(CPU):
        # Where the heap happens to lie so that a freed piece is a few bytes short once it is
        # aligned, the first rounds each take another piece.
        new_pages(16)
        inside = new_pages()
    after = new_pages()
    # Some systems hand out 2 MB at once: 32 of them each time.
    assert outside >= 3 * 32
    assert inside < outside / 10
    assert after > 10 * max(1, inside)


def test_other_devices_and_errors_pass_through() -> None:
    with freed_memory_kept(torch.device("meta")):
        pass
    with pytest.raises(ValueError, match="mine"), freed_memory_kept(CPU):
        raise ValueError("mine")
