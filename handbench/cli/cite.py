"""``handbench cite``: the BibTeX of everything that results, datasets and protocols rest on."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("things", nargs=-1, required=True, metavar="RESULTS|DATASET|PROTOCOL…")
def cite(things: tuple[str, ...]) -> None:
    """Print BibTeX: of results files (or folders of them), datasets and protocols.

    Results cite the data they were tested on, the data their model declares to be trained on, the
    protocol, the reference baseline where it was used, and handbench. Comment lines say why each
    entry is there, and what is unknown.

    \b
    handbench cite results/
    handbench cite freihand mmpose
    """  # noqa: D301 - click wants the backspace character itself
    from handbench.cli.results import read_results
    from handbench.scores.papers import (
        Citations,
        cite_dataset,
        cite_handbench,
        cite_protocol,
        cite_results,
    )
    from handbench.scores.protocols import PROTOCOLS
    from handbench.sources import manifest as manifests

    datasets, protocols = manifests.names(), [protocol.name for protocol in PROTOCOLS]
    citations = Citations()
    files = tuple(Path(thing) for thing in things if thing not in (*datasets, *protocols))
    _check(files, datasets, protocols)
    if files:
        cite_results(read_results(files), citations)
    for thing in things:
        # freihand is both: the same paper.
        if thing in datasets:
            cite_dataset(thing, f"dataset {thing}", citations)
        if thing in protocols:
            cite_protocol(thing, citations)
    if not files:
        cite_handbench(citations)
    click.echo(citations.text())


def _check(files: tuple[Path, ...], datasets: list[str], protocols: list[str]) -> None:
    import difflib

    from handbench.errors import HandbenchError

    for file in files:
        if not file.exists():
            known = [*datasets, *protocols]
            near = difflib.get_close_matches(str(file), known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
            raise HandbenchError(
                f"expected a results file, a folder, a dataset or a protocol, found {str(file)!r}; "
                f"{hint}"
            )
