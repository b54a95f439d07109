"""``handbench doctor``: describes the installation, for a bug report."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from handbench import __version__
from handbench.home import Home
from handbench.provenance import processor_name

_NAME = re.compile(r"[A-Za-z0-9._-]+")
_GIGABYTE = 1e9
_NOT_FOR_USERS = frozenset({"dev"})


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_obj
def doctor(home: Home, /, as_json: bool) -> None:
    """Describe the installation: versions, extras, devices, home folder, disk.

    Paste what it prints into a bug report. It names folders, but nothing of what is in them.
    """
    from handbench.files import to_json

    facts = describe(home)
    if as_json:
        click.echo(to_json(facts).decode())
        return
    for line in _lines(facts):
        click.echo(line)


def describe(home: Home) -> dict[str, Any]:
    """Everything `doctor` says, as JSON."""
    return {
        "handbench": __version__,
        "where": str(Path(__file__).resolve().parents[1]),
        "machine": machine(),
        "packages": {name: _version(name) for name in _requirements("")},
        "extras": {
            extra: {name: _version(name) for name in _requirements(extra)} for extra in _extras()
        },
        "home": _home(home),
    }


def machine() -> dict[str, Any]:
    """System, processor, threads, torch and its device."""
    found: dict[str, Any] = {
        "system": platform.platform(),
        "python": platform.python_version(),
        "executable": sys.executable,
        "processor": processor_name(),
        "cores": os.cpu_count(),
        "memory_gb": _memory_gb(),
        "torch": None,
        "threads": None,
        "device": None,
        "device_name": None,
    }
    try:
        import torch
    except (ImportError, OSError) as error:  # a library of its own may be missing
        return {**found, "torch": f"cannot be imported: {type(error).__name__}: {error}"}
    found |= {"torch": torch.__version__, "threads": torch.get_num_threads(), "device": "cpu"}
    if torch.cuda.is_available():
        found |= {"device": "cuda", "device_name": torch.cuda.get_device_name()}
    elif torch.backends.mps.is_available():
        found |= {"device": "mps", "device_name": "Apple GPU"}
    return found


def _memory_gb() -> float | None:
    if not hasattr(os, "sysconf"):
        return None
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / _GIGABYTE, 1)
    except (OSError, ValueError):
        return None


def _requirements(extra: str) -> list[str]:
    """Names of the packages that handbench, or one of its extras, asks for."""
    try:
        asked = importlib.metadata.requires("handbench") or []
    except importlib.metadata.PackageNotFoundError:
        return []
    names = []
    for text in asked:
        found = _NAME.match(text)
        marked = re.search(r"extra == ['\"]([^'\"]+)['\"]", text)
        if found and (marked[1] if marked else "") == extra and found[0] != "handbench":
            names.append(found[0])
    return names


def _extras() -> list[str]:
    try:
        about = importlib.metadata.metadata("handbench")
    except importlib.metadata.PackageNotFoundError:
        return []
    return sorted(set(about.get_all("Provides-Extra") or []) - _NOT_FOR_USERS)


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _is_named(root: Path) -> bool:
    """Whether ``$HANDBENCH_HOME`` is what makes `root` the home; ``--home`` goes before it."""
    name = os.environ.get("HANDBENCH_HOME")
    return bool(name) and Path(str(name)).expanduser() == root


def _home(home: Home) -> dict[str, Any]:
    root = home.root
    there = next(folder for folder in (root, *root.absolute().parents) if folder.exists())
    free = shutil.disk_usage(there).free / _GIGABYTE
    return {
        "root": str(root),
        "exists": root.exists(),
        "writable": os.access(there, os.W_OK),
        "free_gb": round(free, 1),
        "from": "HANDBENCH_HOME" if _is_named(root) else "default or --home",
        "datasets": len(list((root / "datasets").glob("*.h5"))),
        "runs": len(home.trained()),
    }


def _lines(facts: dict[str, Any]) -> Iterator[str]:
    on, home = facts["machine"], facts["home"]
    memory = "" if on["memory_gb"] is None else f", {on['memory_gb']:g} GB of memory"
    device = on["device"] if on["device_name"] is None else f"{on['device']}: {on['device_name']}"
    yield f"handbench {facts['handbench']} in {facts['where']}"
    yield f"python    {on['python']} ({on['executable']}) on {on['system']}"
    yield f"machine   {on['processor']}, {on['cores']} cores{memory}"
    yield f"torch     {on['torch']}, {on['threads']} threads, device {device}"
    yield (
        f"home      {home['root']} ({home['from']}): "
        f"{'there' if home['exists'] else 'not made yet'}, "
        f"{'' if home['writable'] else 'not '}writable, {home['free_gb']:,} GB free, "
        f"{home['datasets']} datasets, {home['runs']} runs"
    )
    yield "packages  " + ", ".join(
        f"{name} {version or 'MISSING'}" for name, version in facts["packages"].items()
    )
    if not facts["packages"]:
        yield "          handbench itself is not installed: its requirements are unknown here"
    for extra, packages in facts["extras"].items():
        missing = [name for name, version in packages.items() if version is None]
        listed = ", ".join(f"{name} {version}" for name, version in packages.items() if version)
        if missing:
            yield (
                f"extra     {extra}: {', '.join(missing)} missing: pip install 'handbench[{extra}]'"
            )
        else:
            yield f"extra     {extra}: {listed}"
