"""A converted file as WebDataset shards: ``<split>-000000.tar``, each with so many hands.

A hand is ``<key>.jpg`` (or ``.png``) with the stored bytes and ``<key>.json`` with every column of
the file under its own name; ``<key>.mask.png`` where there are masks. Tar files are written by the
library ``webdataset`` (the extra of that name), which reads them too.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from handbench.errors import MissingExtraError
from handbench.files import to_json
from handbench.hdf5.export_folder import Exported, Job, export_to_folder, safe_name
from handbench.hdf5.export_rows import Rows, row_of
from handbench.hdf5.reader import HandFile

SHARD_SIZE = 10_000
"""Hands in a shard: about 100 MB at 224 px."""
_LEFT_OUT = frozenset({"heatmaps"})


def export_webdataset(
    file: HandFile,
    out: Path,
    splits: Sequence[str] | None = None,
    *,
    shard_size: int = SHARD_SIZE,
    overwrite: bool = False,
    progress: bool = False,
) -> Exported:
    """Write shards; equal files give equal bytes.

    Parameters
    ----------
    file, out, splits, overwrite, progress
        See :func:`handbench.hdf5.export_folder.export_to_folder`, also for what else is raised.
    shard_size
        Hands in a shard.

    Raises
    ------
    MissingExtraError
        Without the library.
    """
    _library()
    write = functools.partial(_write, shard_size=shard_size)
    return export_to_folder(
        file, out, "webdataset", write, splits, overwrite=overwrite, progress=progress
    )


def _library() -> Any:
    try:
        return importlib.import_module("webdataset")
    except ImportError as error:
        raise MissingExtraError("webdataset", "webdataset", "exporting a WebDataset") from error


def _write(job: Job, shard_size: int) -> None:
    library = _library()
    for split in job.splits:
        samples = _samples(job, Rows(job.file, split))
        for shard, start in enumerate(range(0, len(split), shard_size)):
            count = min(shard_size, len(split) - start)
            # No user, group and time of this machine: equal files give equal shards.
            with (
                job.new_file(f"{split.name}-{shard:06d}.tar") as stream,
                library.TarWriter(
                    stream,
                    user="handbench",
                    group="handbench",
                    mode=0o644,
                    mtime=0,
                    encoder=False,
                    format="PAX_FORMAT",
                ) as writer,
            ):
                for _ in range(count):
                    writer.write(next(samples))
        if _LEFT_OUT & set(split.names):
            job.notes.append(f"{split.name}: heatmaps are left out; they follow from the keypoints")


def _samples(job: Job, rows: Rows) -> Iterator[dict[str, Any]]:
    """Hands as the library takes them: a key, and bytes by suffix."""
    split = rows.split.name
    wanted = [name for name in rows.split.names if name not in _LEFT_OUT]
    for start, columns in rows.blocks(wanted):
        for row, sample in enumerate(columns["sample_id"].tolist()):
            data, suffix = rows.image(start + row)
            labels = {"dataset": job.file.dataset, "split": split, **row_of(columns, row)}
            entry: dict[str, Any] = {
                # A key ends at the first dot of the file name.
                "__key__": safe_name(sample, also="."),
                suffix: data,
                "json": to_json(labels, indent=False),
            }
            if rows.has_masks:
                entry["mask.png"] = rows.mask(start + row)
            job.count_image(data, split)
            yield entry
