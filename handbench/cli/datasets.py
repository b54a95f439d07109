"""``handbench datasets``: what handbench knows, and what is on disk."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import click

from handbench.home import Home

if TYPE_CHECKING:
    from handbench.sources.manifest import Manifest

_INDENT = "\n    "


@click.command()
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_obj
def datasets(home: Home, /, name: str | None, as_json: bool) -> None:
    """List the datasets handbench knows, or the one called NAME in full."""
    from handbench.files import to_json
    from handbench.scores.text import table
    from handbench.sources import manifest as manifests
    from handbench.sources.facts import counts_text, hands_text, labels_text

    chosen = [manifests.load(n) for n in ([name] if name else manifests.names())]
    if as_json:
        facts = [{**dataclasses.asdict(m), "on_disk": _on_disk(home, m)} for m in chosen]
        click.echo(to_json(facts[0] if name else facts).decode())
    elif name:
        _print_one(chosen[0], _on_disk(home, chosen[0]))
    else:
        rows = [
            [
                *(
                    m.name,
                    m.title,
                    counts_text(m),
                    hands_text(m),
                    labels_text(m).partition(" (")[0],
                ),
                _state(_on_disk(home, m)),
            ]
            for m in chosen
        ]
        click.echo(table(["name", "title", "published counts", "hands", "labels", "on disk"], rows))


def _on_disk(home: Home, manifest: Manifest) -> dict[str, Any]:
    """What of a dataset lies in the home folder: raw files, archives among them, HDF5 files."""
    from handbench.sources.download import local

    raw = home.raw(manifest.name)
    archives = [local(archive, raw) for archive in manifest.archives]
    # `convert` calls a consistent part of a dataset by a name of its own.
    files = [home.dataset(name) for name in (manifest.name, f"{manifest.name}-subset")]
    return {
        "raw": str(raw) if raw.exists() else None,
        "archives": [
            {
                "file": found.archive.file,
                "found_bytes": found.found_bytes,
                "part_bytes": found.part_bytes,
                "whole": found.whole,
            }
            for found in archives
        ],
        "converted": [_converted(file) for file in files if file.exists()],
    }


def _converted(path: Any) -> dict[str, Any]:
    """Rows of every split of an HDF5 file; or why it cannot be read."""
    from handbench.errors import FormatError
    from handbench.hdf5.reader import HandFile

    try:
        with HandFile(path) as file:
            rows = {split: len(file[split]) for split in file.splits}
    except FormatError as error:
        return {"path": str(path), "rows": None, "problem": str(error)}
    return {"path": str(path), "rows": rows, "problem": None}


def _state(on_disk: dict[str, Any]) -> str:
    """What is on disk, in few words: the furthest that a dataset has come."""
    if on_disk["converted"]:
        return (
            "HDF5" if any(file["rows"] is not None for file in on_disk["converted"]) else "damaged"
        )
    whole = sum(archive["whole"] for archive in on_disk["archives"])
    if whole or any(archive["part_bytes"] for archive in on_disk["archives"]):
        return f"{whole} of {len(on_disk['archives'])} archives"
    return "raw" if on_disk["raw"] else "–"


def _print_one(manifest: Manifest, on_disk: dict[str, Any]) -> None:
    from handbench.sources.facts import archive_text, facts

    click.echo(f"{manifest.name}: {manifest.title}")
    for label, text in facts(manifest):
        click.echo(f"  {label:<13} {text}")
    for archive in manifest.archives:
        click.echo(f"  {'archive':<13} {archive_text(archive)}")
    for trap in manifest.traps:
        click.echo(f"  {'beware':<13} {trap}")
    fetched = [archive.file for archive in manifest.archives if archive.url]
    fetching = (
        f"`handbench download {manifest.name}` fetches {', '.join(fetched)}.\n" if fetched else ""
    )
    for label, text in (
        ("layout", manifest.layout),
        ("get it", fetching + manifest.instructions.strip()),
        ("cite", manifest.citation),
    ):
        if text.strip():
            click.echo(f"  {label}{_INDENT}" + text.strip().replace("\n", _INDENT))
    _print_on_disk(on_disk)


def _print_on_disk(on_disk: dict[str, Any]) -> None:
    click.echo("  on disk")
    click.echo(f"    raw files: {on_disk['raw'] or 'none'}")
    for archive in on_disk["archives"]:
        click.echo(f"    {archive['file']}: {_archive_state(archive)}")
    for file in on_disk["converted"]:
        rows = ", ".join(f"{count:,} {split}" for split, count in (file["rows"] or {}).items())
        click.echo(f"    {file['path']}: {file['problem'] or rows}")
    if not on_disk["converted"]:
        click.echo("    HDF5: none")


def _archive_state(archive: dict[str, Any]) -> str:
    if archive["whole"]:
        return "there"
    if archive["found_bytes"] is not None:
        return f"of another size, {archive['found_bytes']:,} bytes"
    if archive["part_bytes"]:
        return f"{archive['part_bytes']:,} bytes of it; `download` goes on with it"
    return "not there"
