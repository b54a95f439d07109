"""How the command line names a raw source: shared by ``convert``, ``verify`` and ``show``."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from handbench.home import Home

if TYPE_CHECKING:
    from handbench.sources.block import Source
    from handbench.sources.manifest import Manifest
    from handbench.sources.own_data import SplitBlocks

_OF_READERS = (
    *("source", "versions", "annotations", "images_dir", "name", "joint_order", "split_blocks"),
)
"""Options that belong to readers: each says which it takes (`OPTIONS`)."""

_Command = TypeVar("_Command", bound=Callable[..., Any])

source_option = click.option(
    "--source",
    type=click.Path(path_type=Path),
    help="Folder or original archive.  [default: raw/DATASET in the home folder]",
)
versions_option = click.option(
    "--versions", help="FreiHAND layout: gs,hom,sample,auto (or 0 to 3).  [default: all]"
)
_annotations = click.option(
    "--annotations",
    multiple=True,
    metavar="[SPLIT=]FILE",
    help="coco, points: file of keypoints; give it once for each split.  [default split: test]",
)
_images_dir = click.option(
    "--images-dir",
    type=click.Path(path_type=Path),
    help="coco, points: folder that file names start from.",
)
_joint_order = click.option(
    "--joint-order",
    metavar="I,I,...",
    help="coco, points: 21 indices, canonical[i] = native[I[i]].  [default: canonical already]",
)


def own_data_options(command: _Command) -> _Command:
    """Add the options that name one's own label files: annotations, images, joint order."""
    return _annotations(_images_dir(_joint_order(command)))


def open_source(
    home: Home,
    manifest: Manifest,
    options: Mapping[str, Any],
    *,
    name: str | None = None,
    lenient: bool = False,
) -> Source:
    """Open the source of a dataset with the options its reader knows.

    Parameters
    ----------
    home
        Holds ``raw/DATASET``, the default place.
    manifest
        Names the reader.
    options
        What the user gave; those that no reader takes are not looked at.
    name
        Of one's own data where ``--name`` is not given.
    lenient
        Leave out malformed label entries.

    Raises
    ------
    click.UsageError
        If an option belongs to another reader, or a needed one is missing.
    SourceError
        If the source is not there, damaged or another one.
    """
    reader = importlib.import_module(f"handbench.sources.{manifest.reader}")
    given = {option: options[option] for option in _OF_READERS if options.get(option)}
    command = click.get_current_context().info_name
    foreign = [option for option in given if option not in reader.OPTIONS]
    if foreign:
        word = foreign[0].replace("_", "-")
        raise click.UsageError(f"--{word} does not belong to `{command} {manifest.name}`")
    parsed = {option: _PARSERS.get(option, _as_given)(value) for option, value in given.items()}
    parsed["lenient"] = lenient
    if "annotations" not in reader.OPTIONS:
        path = parsed.pop("source", None) or home.raw(manifest.name)
        return cast("Source", reader.open_source(path, manifest, **parsed))
    if not given.get("annotations") or not given.get("images_dir"):
        raise click.UsageError(
            f"{command} {manifest.name} needs --annotations FILE and --images-dir DIR"
        )
    if "split_blocks" in parsed:
        parsed["blocks"] = _split_blocks(parsed.pop("split_blocks"), options["block_size"])
    parsed.setdefault("name", name or manifest.name)
    return cast(
        "Source",
        reader.open_source(parsed.pop("annotations"), parsed.pop("images_dir"), manifest, **parsed),
    )


def is_dataset(text: str) -> bool:
    """Whether an argument names a dataset rather than a file.

    Whatever looks like a path or is a file is a file; any other word is a name, maybe a wrong one.
    """
    looks_like_a_path = "/" in text or "\\" in text or Path(text).suffix in (".h5", ".hdf5")
    return not looks_like_a_path and not Path(text).is_file()


def say_notes(source: Source, already: int = 0) -> int:
    """Print the notes after the first `already`; returns how many there are now."""
    for note in source.notes[already:]:
        click.echo(f"note: {note}", err=True)
    return len(source.notes)


def words(text: str | None) -> list[str]:
    """What an option lists, separated by commas."""
    return [part.strip() for part in text.split(",") if part.strip()] if text else []


def _annotation_files(values: tuple[str, ...]) -> dict[str, Path]:
    files: dict[str, Path] = {}
    for value in values:
        split, equals, path = value.partition("=")
        if not equals or split not in ("train", "val", "test"):
            split, path = "test", value
        if split in files:
            raise click.UsageError(
                f"--annotations gives split {split!r} twice; write train=FILE, val=FILE or "
                "test=FILE"
            )
        files[split] = Path(path)
    return files


def _joint_indices(text: str) -> list[int]:
    from handbench.hand import check_permutation

    try:
        order = [int(part) for part in words(text)]
    except ValueError as error:
        raise click.UsageError("--joint-order takes 21 numbers separated by commas") from error
    return [int(joint) for joint in check_permutation(order, "--joint-order")]


def _split_blocks(text: str, block_size: int) -> SplitBlocks:
    from handbench.sources.own_data import SplitBlocks

    shares: dict[str, int] = {}
    for part in words(text):
        split, _, share = part.partition("=")
        if split not in ("train", "val", "test") or not share.isdigit() or int(share) < 1:
            raise click.UsageError("--split-blocks takes SPLIT=N,... such as train=2,test=1")
        shares[split] = int(share)
    return SplitBlocks(shares, block_size)


def _as_given(value: Any) -> Any:
    return value


_PARSERS: dict[str, Callable[[Any], Any]] = {
    "versions": words,
    "annotations": _annotation_files,
    "joint_order": _joint_indices,
}
"""How the text of an option becomes what readers take."""
