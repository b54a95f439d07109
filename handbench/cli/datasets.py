"""``handbench datasets``: what handbench knows, and what is on disk."""

from __future__ import annotations

import dataclasses
from typing import Any

import click

from handbench.home import Home


@click.command()
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_obj
def datasets(home: Home, /, name: str | None, as_json: bool) -> None:
    """List the datasets handbench knows, or the one called NAME in full."""
    from handbench.files import to_json
    from handbench.sources import manifest as manifests

    chosen = [manifests.load(n) for n in ([name] if name else manifests.names())]
    facts = [{**dataclasses.asdict(m), "on_disk": _on_disk(home, m.name)} for m in chosen]
    if as_json:
        click.echo(to_json(facts[0] if name else facts).decode())
    elif name:
        _print_one(facts[0])
    else:
        for fact in facts:
            rows = sum(split["samples"] for split in fact["splits"].values())
            count = f"{rows:,} images" if rows else "any size"
            state = " (on disk)" if fact["on_disk"]["converted"] else ""
            click.echo(f"{fact['name']:<12} {fact['title']:<46} {count}{state}")


def _on_disk(home: Home, name: str) -> dict[str, Any]:
    raw, converted = home.raw(name), home.dataset(name)
    return {
        "raw": str(raw) if raw.exists() else None,
        "converted": str(converted) if converted.exists() else None,
    }


def _print_one(fact: dict[str, Any]) -> None:
    click.echo(f"{fact['name']}: {fact['title']}")
    for label, key in (
        ("homepage", "homepage"),
        ("licence", "license"),
        ("labels", "label_source"),
        ("hands", "handedness"),
        ("visibility", "visibility"),
        ("3D", "unit"),
        ("groups", "group_rule"),
    ):
        value = f"{fact['unit']}, {fact['axes']} axes" if key == "unit" else fact[key]
        if value:
            click.echo(f"  {label:<11} {str(value).strip()}")
    for name, split in fact["splits"].items():
        count = f"{split['samples']:,}" if split["samples"] else "as many as you have"
        click.echo(f"  {'split':<11} {name} (native {split['native']}): {count}")
    for archive in fact["archives"]:
        click.echo(f"  {'file':<11} {archive['file']}, {archive['size_bytes']:,} bytes")
    for label, key in (("layout", "layout"), ("get it", "instructions"), ("cite", "citation")):
        text = fact[key].strip()
        if text:
            click.echo(f"  {label}\n    " + text.replace("\n", "\n    "))
    for other in fact["known_overlap"]:
        click.echo(f"  {'overlaps':<11} {other}: share images or moments with it")
    for trap in fact["traps"]:
        click.echo(f"  {'beware':<11} {trap}")
    on_disk = fact["on_disk"]
    click.echo(
        f"  {'on disk':<11} raw: {on_disk['raw'] or 'no'}; HDF5: {on_disk['converted'] or 'no'}"
    )
