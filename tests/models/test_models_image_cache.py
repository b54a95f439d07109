from __future__ import annotations

from pathlib import Path

import pytest

from handbench.models import image_cache
from handbench.models.image_cache import free_memory


def pretend(monkeypatch: pytest.MonkeyPatch, files: dict[str, str]) -> None:
    monkeypatch.setattr(image_cache, "_lines", lambda path: files.get(path, "").splitlines())


MACHINE = {"/proc/meminfo": "MemTotal: 9000 kB\nMemAvailable:    4000 kB\n"}
CONTAINER = {
    "/sys/fs/cgroup/memory.max": "3000000\n",
    "/sys/fs/cgroup/memory.current": "2500000\n",
    "/sys/fs/cgroup/memory.stat": "anon 5\nfile 900000\ninactive_file 400000\n",
}
OLD_CONTAINER = {
    "/sys/fs/cgroup/memory/memory.limit_in_bytes": "3000000\n",
    "/sys/fs/cgroup/memory/memory.usage_in_bytes": "2500000\n",
    "/sys/fs/cgroup/memory/memory.stat": "inactive_file 7\ntotal_inactive_file 300000\n",
}


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (MACHINE, 4_096_000),
        ({**MACHINE, **CONTAINER}, 900_000),
        ({**MACHINE, **OLD_CONTAINER}, 800_000),
        # No limit: the container may take what the machine has.
        ({**MACHINE, **CONTAINER, "/sys/fs/cgroup/memory.max": "max\n"}, 4_096_000),
    ],
    ids=["machine", "container", "old container", "container without a limit"],
)
def test_free_memory_is_what_machine_and_container_leave(
    monkeypatch: pytest.MonkeyPatch, files: dict[str, str], expected: int
) -> None:
    pretend(monkeypatch, files)
    assert free_memory() == expected


def test_a_system_that_does_not_tell_refuses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, {})
    monkeypatch.setattr(image_cache, "_of_machine", lambda: None)
    assert free_memory() is None
    assert image_cache.choose_form([], 1) == "decoded"


def test_this_machine_has_memory() -> None:
    free = free_memory()
    assert free is None or free > 2**20


def test_files_that_cannot_be_read_hold_no_lines(tmp_path: Path) -> None:
    (tmp_path / "odd").write_bytes(b"\xff\xfe")
    assert list(image_cache._lines(str(tmp_path / "odd"))) == []
    assert list(image_cache._lines(str(tmp_path / "none"))) == []
