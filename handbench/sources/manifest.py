"""Manifests: what a dataset is, as data. One TOML file a dataset in ``manifests/``."""

from __future__ import annotations

import difflib
import functools
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from handbench.errors import HandbenchError, ManifestError
from handbench.files import read_json
from handbench.hand import check_permutation, to_canonical

_SCHEMA = "manifest.schema.json"
_METRES = {"m": 1.0, "mm": 1e-3, "cm": 1e-2}
_AXES = {"opencv": (1.0, 1.0, 1.0), "opengl": (1.0, -1.0, -1.0)}


@dataclass(frozen=True)
class Archive:
    """A file the publisher offers.

    Attributes
    ----------
    file, url
        Its name, and where it is offered ("" where only behind a form).
    size_bytes
        Published or recorded size; 0 where nobody says.
    sha256
        Checksum, "" where none is published.
    note
        Where the size comes from, what it holds.
    """

    file: str
    size_bytes: int = 0
    url: str = ""
    sha256: str = ""
    note: str = ""


@dataclass(frozen=True)
class Split:
    """A split: native name → ours, and how many rows to expect.

    Attributes
    ----------
    native
        The publisher's name.
    samples
        Expected rows; 0 where it depends on what the user has.
    annotations
        Expected label entries where one label serves several images.
    """

    native: str
    samples: int = 0
    annotations: int = 0


@dataclass(frozen=True)
class Manifest:
    """Facts of one dataset; see ``manifests/manifest.schema.json`` for every field."""

    name: str
    title: str
    reader: str
    license: str
    license_url: str
    publish_images: bool
    citation: str
    homepage: str
    label_source: str
    layout: str
    joint_order: tuple[int, ...]
    unit: str
    axes: str
    handedness: str
    visibility: str
    box_source: str
    box_padding: float
    reprojection_tolerance_px: float
    split_unit: str
    cluster_unit: str
    group_rule: str
    splits: dict[str, Split]
    archives: tuple[Archive, ...] = ()
    known_overlap: tuple[str, ...] = ()
    traps: tuple[str, ...] = ()
    instructions: str = ""
    labels_3d: str = "always"
    image_size: tuple[int, ...] = field(default=())
    label_noise_px: float | None = None
    label_noise_mm: float | None = None

    def to_canonical_3d(self, native: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        """Native 3D joints (..., 21, 3) → canonical order, metres, OpenCV axes."""
        ordered = to_canonical(native, self.joint_order)
        return ordered * (_METRES[self.unit] * np.asarray(_AXES[self.axes]))


def folder() -> Path:
    """The folder of manifests: inside the installed package, or at the top of a checkout."""
    package = Path(__file__).resolve().parent.parent
    for candidate in (package / "manifests", package.parent / "manifests"):
        if (candidate / _SCHEMA).is_file():
            return candidate
    raise ManifestError(
        f"expected the folder manifests/ in {package} or beside it, found neither: this "
        "installation of handbench is broken; install it again"
    )


def names() -> list[str]:
    """Names of all datasets with a manifest, sorted: the folder is the list."""
    return sorted(path.stem for path in folder().glob("*.toml"))


@functools.cache
def load(name: str) -> Manifest:
    """Load the manifest of a dataset by name.

    Raises
    ------
    HandbenchError
        If there is none; the message suggests near names.
    """
    path = folder() / f"{name}.toml"
    if not path.is_file():
        near = difflib.get_close_matches(name, names(), n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(names())}"
        raise HandbenchError(f"no dataset is called {name!r}; {hint}")
    return read(path)


def read(path: Path) -> Manifest:
    """Read and validate a manifest file.

    Raises
    ------
    ManifestError
        Naming file and field: no TOML, breaks the schema, no permutation, wrong name.
    """
    try:
        facts = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ManifestError(f"{path}: expected a TOML manifest, found: {error}") from error
    _validate(path, facts)
    if facts["name"] != path.stem:
        raise ManifestError(
            f"{path}: field 'name' must equal the file name {path.stem!r}, found {facts['name']!r}"
        )
    try:
        check_permutation(facts["joint_order"], "field 'joint_order'")
    except HandbenchError as error:
        raise ManifestError(f"{path}: {error}") from error
    facts["joint_order"] = tuple(facts["joint_order"])
    facts["splits"] = {name: Split(**split) for name, split in facts["splits"].items()}
    facts["archives"] = tuple(Archive(**archive) for archive in facts.get("archives", []))
    for name in ("known_overlap", "traps", "image_size"):
        facts[name] = tuple(facts.get(name, []))
    return Manifest(**facts)


def _validate(path: Path, facts: dict[str, Any]) -> None:
    import jsonschema

    schema = read_json(folder() / _SCHEMA, "the manifest schema", ManifestError)
    problems = jsonschema.Draft202012Validator(schema).iter_errors(facts)
    problem = next(iter(sorted(problems, key=lambda p: [str(part) for part in p.path])), None)
    if problem is not None:
        place = ".".join(str(part) for part in problem.absolute_path) or "(top level)"
        raise ManifestError(f"{path}: field '{place}': {problem.message}")
