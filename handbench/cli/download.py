"""``handbench download``: fetches what may be fetched, and says where to get the rest."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from handbench.home import Home

if TYPE_CHECKING:
    from handbench.sources.download import Local
    from handbench.sources.manifest import Manifest

_UNKNOWN = "size unknown"


@click.command()
@click.argument("name")
@click.option("--accept-terms", is_flag=True, help="You have read the licence and accept it.")
@click.option(
    "--file", "files", multiple=True, metavar="NAME", help="Only this archive; repeatable."
)
@click.option(
    "--to",
    type=click.Path(path_type=Path),
    help="Folder for the archives.  [default: raw/NAME in the home folder]",
)
@click.pass_obj
def download(
    home: Home, /, name: str, accept_terms: bool, files: tuple[str, ...], to: Path
) -> None:
    """Fetch the archives of the dataset NAME into the home folder, where `convert` looks.

    Without --accept-terms it says what would be fetched and under which licence, and stops. A
    download that broke off goes on where it stopped. Archives behind a form are named, with their
    page and the folder to put them in.

    \b
    handbench download freihand
    handbench download freihand --accept-terms
    handbench download freihand --file FreiHAND_pub_v2_eval.zip --accept-terms
    """  # noqa: D301 - click wants the backspace character itself
    from handbench.errors import HandbenchError
    from handbench.sources import manifest as manifests
    from handbench.sources.download import check_local, check_room, fetch, local
    from handbench.sources.facts import flat

    manifest = manifests.load(name)
    folder = to or home.raw(name)
    if not manifest.archives:
        raise HandbenchError(f"{name} has no archives to fetch. {flat(manifest.instructions)}")
    _check_names(files, manifest)
    wanted = [local(a, folder) for a in manifest.archives if not files or a.file in files]
    for one in wanted:
        check_local(one)
    to_fetch = [one for one in wanted if one.archive.url and not one.whole]
    by_hand = [one for one in wanted if not one.archive.url and not one.whole]
    if to_fetch and not accept_terms:
        _print_plan(manifest, folder, to_fetch, by_hand)
        raise HandbenchError(
            f"nothing was fetched: read the terms at {_page(manifest)} and add --accept-terms if "
            "you accept them"
        )
    check_room(sum(one.missing_bytes for one in to_fetch), folder)
    for one in wanted:
        if one not in by_hand:
            click.echo(f"{fetch(one.archive, folder)}: {_checked(one)}")
    if by_hand:
        _print_by_hand(manifest, folder, by_hand)
        raise HandbenchError(
            f"{', '.join(one.archive.file for one in by_hand)}: no program may fetch this; get it "
            f"at {manifest.homepage} and put it into {folder}"
        )


def _check_names(files: tuple[str, ...], manifest: Manifest) -> None:
    known = [archive.file for archive in manifest.archives]
    for file in files:
        if file not in known:
            raise click.UsageError(
                f"--file: {manifest.name} has no archive {file!r}; it has {', '.join(known)}"
            )


def _print_plan(
    manifest: Manifest, folder: Path, to_fetch: list[Local], by_hand: list[Local]
) -> None:
    from handbench.sources.download import free_bytes
    from handbench.sources.facts import flat

    click.echo(manifest.title)
    click.echo(f"licence: {manifest.license}")
    click.echo(f"terms:   {_page(manifest)}")
    click.echo(f"would fetch into {folder}:")
    for one in to_fetch:
        here = f", {_size_text(one.part_bytes)} of it already here" if one.part_bytes else ""
        click.echo(f"  {one.archive.file}: {_size_text(one.archive.size_bytes)}{here}")
        click.echo(f"    {one.archive.url}")
    come = _size_text(sum(one.missing_bytes for one in to_fetch))
    if not all(one.archive.size_bytes for one in to_fetch):
        come = f"{come}, and files of unknown size" if come != _UNKNOWN else come
    click.echo(f"to come: {come}; free there: {_size_text(free_bytes(folder))}")
    if by_hand:
        _print_by_hand(manifest, folder, by_hand)
    elif manifest.instructions:
        click.echo(flat(manifest.instructions))


def _print_by_hand(manifest: Manifest, folder: Path, by_hand: list[Local]) -> None:
    from handbench.sources.facts import flat

    click.echo(f"to get by hand at {manifest.homepage} and put into {folder}:")
    for one in by_hand:
        click.echo(f"  {one.archive.file}: {_size_text(one.archive.size_bytes)}")
    if manifest.instructions:
        click.echo(flat(manifest.instructions))


def _page(manifest: Manifest) -> str:
    return manifest.license_url or manifest.homepage


def _checked(one: Local) -> str:
    what = "SHA-256" if one.archive.sha256 else "size" if one.archive.size_bytes else "nothing"
    return f"{'was already here' if one.whole else 'fetched'}, {what} checked"


def _size_text(size_bytes: int) -> str:
    """3881833583 → ``3.88GB``; 0 is unknown."""
    from tqdm import tqdm

    return f"{tqdm.format_sizeof(size_bytes)}B" if size_bytes else _UNKNOWN
