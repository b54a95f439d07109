"""``handbench inspect``: the facts of a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def inspect(file: Path, as_json: bool) -> None:
    """Print what FILE.h5 holds and where it comes from."""
    from handbench.files import to_json
    from handbench.hdf5.reader import HandFile

    with HandFile(file) as opened:
        facts = _facts(opened)
    if as_json:
        click.echo(to_json(facts).decode())
        return
    click.echo(f"{facts['file']} ({facts['bytes'] / 1e6:,.1f} MB)")
    for name, value in facts["attributes"].items():
        text = str(value).strip()
        if text and name not in ("joint_names", "bones", "sources", "citation"):
            click.echo(f"  {name:<18} {text}")
    for source in facts["attributes"].get("sources", []):
        digest = str(source["sha256"])[:12]
        click.echo(f"  {'source':<18} {source['file']}, {source['size']:,} bytes, sha256 {digest}…")
    for split in facts["splits"]:
        click.echo(f"\n{split['name']}: {split['samples']:,} samples, {split['groups']:,} groups")
        click.echo(f"  {'truth_sha256':<18} {split['truth_sha256'][:16]}…")
        click.echo(f"  {'box':<18} source {split['box_source']}, padding {split['box_padding']:g}")
        for name, column in split["columns"].items():
            click.echo(f"  {name:<18} {column['shape']!s:<20} {column['meaning']}")


def _facts(file: Any) -> dict[str, Any]:
    import numpy as np

    from handbench.hdf5.format import COLUMNS

    splits = [
        {
            "name": name,
            "samples": len(split),
            "groups": len(np.unique(split.cluster_ids())),
            "truth_sha256": split.truth_sha256,
            "split_unit": split.split_unit,
            "cluster_unit": split.cluster_unit,
            "image_storage": split.storage,
            "box_source": split.box_source,
            "box_padding": split.box_padding,
            "columns": {
                column: {"shape": split.shape(column), "meaning": COLUMNS[column].meaning}
                for column in split.names
            },
        }
        for name in file.splits
        for split in [file[name]]
    ]
    return {
        "file": str(file.path),
        "bytes": file.path.stat().st_size,
        "attributes": {name: _plain(value) for name, value in file.attributes.items()},
        "splits": splits,
    }


def _plain(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else value
