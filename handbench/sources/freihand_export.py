"""Another dataset that ``handbench export freihand`` wrote in FreiHAND's layout.

Its marker names it, with its terms, and a list beside the labels has what the layout has no place
for. Joints are in FreiHAND's order whatever the dataset's own was: the name changes nothing in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from handbench.errors import SourceError
from handbench.files import parse_json
from handbench.sources.archive import RawFiles
from handbench.sources.manifest import Manifest, names

_FIELD = "handbench_export"
_TERMS = ("title", "license", "homepage", "label_source", "citation")


@dataclass(frozen=True)
class Exported:
    """An export, by its marker.

    Attributes
    ----------
    name
        What it calls itself; never a dataset with a manifest.
    terms
        Title, licence, homepage, origin of the labels, citation, and whether photos may be shown.
    """

    name: str
    terms: dict[str, Any]

    def manifest(self, layout: Manifest) -> Manifest:
        """Facts of the export: those of the `layout`, without what is true of FreiHAND alone."""
        splits = {
            split: replace(facts, samples=0, annotations=0)
            for split, facts in layout.splits.items()
        }
        return replace(
            layout,
            name=self.name,
            splits=splits,
            handedness="both",
            known_overlap=(),
            label_noise_px=None,
            label_noise_mm=None,
            **self.terms,
        )


def read_export(marker: Mapping[str, Any], where: str) -> Exported | None:
    """What a marker says of an export; None where it names a dataset of this layout.

    Raises
    ------
    SourceError
        If its terms are no terms, or it takes the name of a dataset.
    """
    if _FIELD not in marker:
        return None
    name, terms = str(marker["handbench_source"]), marker[_FIELD]
    if (
        not isinstance(terms, dict)
        or not all(isinstance(terms.get(field), str) for field in _TERMS)
        or not isinstance(terms.get("publish_images"), bool)
    ):
        raise SourceError(
            f"expected {', '.join(_TERMS)} and publish_images in the field {_FIELD} of {where}; "
            "export the file again"
        )
    if name.removesuffix("-subset") in names():
        raise SourceError(
            f"{where} calls an export {name!r}, which is the name of a dataset, beside whose "
            "published rows results would stand; export the file again"
        )
    kept = {field: terms[field] for field in (*_TERMS, "publish_images")}
    return Exported(name, kept)


def shown_sides(raw: RawFiles, native: str, images: int) -> npt.NDArray[np.int8]:
    """(images,) side of the hand as each image of an export shows it: 1, 0, -1 unknown.

    A mirrored left hand is shown as a right one.

    Raises
    ------
    SourceError
        If the list is not there, is of another length, or says something else.
    """
    file = f"handbench_{native}.json"
    if not raw.has(file):
        raise SourceError(
            f"expected {file} in {raw.path}, as an export has it, found no such file: it says "
            "which hands are right ones; export the file again"
        )
    where = raw.where(file)
    entries = parse_json(raw.read(file), "what the layout has no place for", where, SourceError)
    if not isinstance(entries, list) or len(entries) != images:
        found = f"{len(entries):,}" if isinstance(entries, list) else type(entries).__name__
        raise SourceError(
            f"expected a list of {images:,} entries in {where}, one an image, found {found}; "
            "export the file again"
        )
    sides = np.empty(images, dtype=np.int8)
    for row, entry in enumerate(entries):
        side = entry.get("is_right") if isinstance(entry, dict) else None
        mirrored = entry.get("mirrored") if isinstance(entry, dict) else None
        if side not in (1, 0, -1) or not isinstance(mirrored, bool):
            raise SourceError(
                f"entry {row} of {where}: expected is_right as 1, 0 or -1 and mirrored as true or "
                "false; export the file again"
            )
        sides[row] = 1 - side if mirrored and side in (0, 1) else side
    return sides
