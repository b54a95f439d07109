"""FreiHAND v2: 32,560 annotations × 4 versions, and 3,960 evaluation images.

Facts are in ``manifests/freihand.toml``. The same reader takes every source written in this
layout; a marker file ``handbench_source.json`` names another dataset than FreiHAND. References:
Zimmermann et al., ICCV 2019; lmb-freiburg/freihand (README, view_samples.py).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from handbench.camera import image_box, project
from handbench.errors import SourceError
from handbench.files import describe_names, parse_json
from handbench.hand import NUM_JOINTS, UNLABELLED, VISIBILITY_UNKNOWN
from handbench.images import encoded_size, read_images
from handbench.sources.archive import RawFiles, open_raw
from handbench.sources.bad_entries import BadEntries, read_masks
from handbench.sources.block import SampleBlock
from handbench.sources.freihand_export import Exported, read_export, shown_sides
from handbench.sources.instants import cluster_instants, describe_clusters
from handbench.sources.json_stream import iterate_entries
from handbench.sources.manifest import Manifest, load

OPTIONS = frozenset({"source", "versions"})
"""Options of ``handbench convert`` that this reader takes."""
EXTRAS = frozenset({"vertices", "mano", "mask"})
"""Words of ``--with`` that it knows."""

VERSIONS = ("gs", "hom", "sample", "auto")
"""Green screen, homogenised, two recoloured: in the order of the image ids."""

_MARKER = "handbench_source.json"
_LABELS = ("K", "xyz", "scale", "mano", "verts")
_BLOCK_ROWS = 512


@dataclass
class _Entries:
    """A label file: an array with a row an entry, and entry → what is wrong with it."""

    values: npt.NDArray[np.float64]
    faults: dict[int, str]

    def __len__(self) -> int:
        return len(self.values)


@dataclass
class _Native:
    """One native split: labels a moment of recording, and which images show it.

    The labels of entries that are not `sound` mean nothing; their images are no rows.
    """

    native: str
    camera: npt.NDArray[np.float64]
    scale: npt.NDArray[np.float64]
    xyz: npt.NDArray[np.float64] | None
    versions: int
    sound: npt.NDArray[np.bool_]
    instant: list[str] = field(default_factory=list)
    sides: npt.NDArray[np.int8] | None = None  # an image each; all are right hands where None

    @property
    def annotations(self) -> int:
        return len(self.camera)


class FreiHAND:
    """A FreiHAND v2 directory or its archives, found and checked.

    Implements :class:`handbench.sources.block.Source`; make one with :func:`open_source`.
    """

    box_source = "image"
    cuts_val = True

    def __init__(
        self,
        raw: RawFiles,
        manifest: Manifest,
        versions: Sequence[int],
        *,
        lenient: bool = False,
        exported: bool = False,
    ) -> None:
        self.manifest = manifest
        self._exported = exported
        self.lenient = lenient
        self.bad: dict[str, list[str]] = {}
        self.path = raw.path
        self.notes: list[str] = []
        self.dropped: dict[str, int] = {}
        self.split_unit = manifest.split_unit
        self.cluster_unit = manifest.cluster_unit
        self._raw = raw
        self._chosen = tuple(versions)
        self._native: dict[str, _Native] = {}
        for split, facts in manifest.splits.items():
            bad = BadEntries(lenient=lenient)
            native = self._open_native(facts.native, bad)
            if native is not None:
                self._native[split] = native
                self.bad[split] = bad.sentences
        if not self._native:
            raise SourceError(
                f"expected FreiHAND v2 in {raw.path}: training_K.json or evaluation_K.json beside "
                f"training/ or evaluation/, found {_contents(raw)}; point --source at the folder "
                "that holds them, or at FreiHAND_pub_v2.zip"
            )
        self.name = self._dataset_name()

    # -- finding and checking ---------------------------------------------------------------

    def _open_native(self, native: str, bad: BadEntries) -> _Native | None:
        images = self._raw.listing(f"{native}/rgb")
        if not self._raw.has(f"{native}_K.json"):
            if images:
                raise SourceError(
                    f"expected {native}_K.json beside {native}/rgb in {self._raw.path}, found no "
                    "such file; take it from the original archive"
                )
            return None
        labels = {name: self._read_labels(native, name) for name in ("K", "scale", "xyz")}
        camera, scale, xyz = labels["K"], labels["scale"], labels["xyz"]
        if camera is None or scale is None or (native == "training" and xyz is None):
            missing = [n for n in ("K", "scale", "xyz") if labels[n] is None]
            raise SourceError(
                f"expected {native}_{missing[0]}.json in {self._raw.path}, found no such file; "
                "take it from the original archive"
            )
        self._check_lengths(native, labels)
        versions = self._check_images(native, images, len(camera))
        if native == "training" and not self._versions_of(versions):
            asked = ", ".join(VERSIONS[v] for v in self._chosen)
            raise SourceError(
                f"expected version {asked} of the training images in {self._raw.path}, found only "
                f"{', '.join(VERSIONS[:versions])}; choose other --versions"
            )
        faults = {**(xyz.faults if xyz else {}), **scale.faults, **camera.faults}
        faulty = np.isin(np.arange(len(camera)), list(faults))
        sound = bad.sound(faulty, faults.__getitem__)
        spatial = None if xyz is None else xyz.values
        found = _Native(native, camera.values, scale.values, spatial, versions, sound)
        if self._exported:
            count = found.annotations * versions
            found.sides = shown_sides(self._raw, native, count)
        else:
            self._check_camera(found)
        self._check_depth(found, bad)
        bad.check_few(int(found.sound.sum()))
        self._group_instants(found)
        return found

    def _read_labels(self, native: str, name: str) -> _Entries | None:
        file = f"{native}_{name}.json"
        if not self._raw.has(file):
            return None
        where = self._raw.where(file)
        entries = parse_json(self._raw.read(file), "labels", where, SourceError)
        if not isinstance(entries, list) or not entries:
            raise SourceError(f"expected a JSON list with one entry an image in {where}")
        shape = {"K": (3, 3), "xyz": (NUM_JOINTS, 3), "scale": (), "mano": (61,)}[name]
        found = _as_array(entries, shape, where)
        finite = np.isfinite(found.values.reshape(len(found), -1)).all(axis=1)
        for row in np.flatnonzero(~finite).tolist():
            sentence = (
                f"entry {row} of {where} is not finite; take the file from the original archive"
            )
            found.faults.setdefault(row, sentence)
        return found

    def _check_lengths(self, native: str, labels: dict[str, _Entries | None]) -> None:
        lengths = {f"{native}_{n}.json": len(a) for n, a in labels.items() if a is not None}
        if len(set(lengths.values())) > 1:
            found = ", ".join(f"{name} {length:,}" for name, length in lengths.items())
            raise SourceError(
                f"expected {native} labels of one length in {self._raw.path}, found {found}; a "
                "file is cut short or from another release"
            )

    def _check_images(self, native: str, images: Sequence[str], annotations: int) -> int:
        """Images must be exactly 0 … annotations × versions - 1; returns the versions."""
        where = f"{self._raw.path}/{native}/rgb"
        found = {name for name in images if name.endswith(".jpg")}
        most = len(VERSIONS) if native == "training" else 1
        versions = min(most, max(1, round(len(found) / annotations)))
        expected = {f"{i:08d}.jpg" for i in range(annotations * versions)}
        if not found:
            raise SourceError(f"expected images in {where}, found none; unpack the archive there")
        if found != expected:
            missing, extra = sorted(expected - found), sorted(found - expected)
            parts = [
                f"{word}: {describe_names(names, 3)}"
                for word, names in (("missing", missing), ("not expected", extra))
                if names
            ]
            raise SourceError(
                f"{native}_K.json has {annotations:,} annotations, so {where} should hold images "
                f"00000000.jpg to {annotations * versions - 1:08d}.jpg ({versions} version"
                f"{'s' if versions > 1 else ''} of each); {'; '.join(parts)}"
            )
        return versions

    def _check_camera(self, found: _Native) -> None:
        # v2 was warped so that the principal point is the image centre; v1 was not.
        name = f"{found.native}/rgb/00000000.jpg"
        height, width = encoded_size(self._raw.read(name), self._raw.where(name))
        centre = np.array([width / 2, height / 2])
        off = np.abs(found.camera[:, :2, 2] - centre).max(axis=1) > 1e-3
        if off.any():
            row = int(off.argmax())
            x, y = found.camera[row, :2, 2]
            raise SourceError(
                f"expected principal point ({width / 2:g}, {height / 2:g}) px in "
                f"{self._raw.where(found.native + '_K.json')}, found ({x:.1f}, {y:.1f}) in entry "
                f"{row}: this is not FreiHAND v2, probably v1 of before October 2019; get "
                "FreiHAND_pub_v2.zip"
            )

    def _check_depth(self, found: _Native, bad: BadEntries) -> None:
        if found.xyz is None:
            return
        depth = found.xyz[..., 2].min(axis=1)
        where = self._raw.where(found.native + "_xyz.json")
        found.sound &= bad.sound(
            found.sound & (depth <= 0),
            lambda row: (
                f"expected joints in front of the camera in {where}, found depth "
                f"{depth[row]:.3f} m in entry {row}; is the file in metres and OpenCV axes?"
            ),
        )

    def _group_instants(self, found: _Native) -> None:
        if found.xyz is None:
            self.notes.append(
                f"{found.native} has no labels (no {found.native}_xyz.json): images and intrinsics "
                "only; the labels come in FreiHAND_pub_v2_eval.zip"
            )
            groups = np.arange(found.annotations)
        else:
            sound = np.flatnonzero(found.sound)
            groups = np.arange(found.annotations)
            groups[sound] = sound[cluster_instants(found.xyz[sound])]
            self.notes.append(
                f"{found.native}: {describe_clusters(groups[sound])}, inferred from joint distances"
            )
        found.instant = [f"{found.native}/instant-{group:08d}" for group in groups]

    def _dataset_name(self) -> str:
        short = []
        for split, native in self._native.items():
            expected = self.manifest.splits[split]
            taken = len(self._versions_taken(native))
            if expected.annotations and native.annotations != expected.annotations:
                short.append(
                    f"{native.native} has {native.annotations:,} of {expected.annotations:,} "
                    "annotations"
                )
            elif expected.samples and native.annotations * taken != expected.samples:
                short.append(f"{taken} of the {len(VERSIONS)} versions of {native.native}")
        if not short:
            return self.manifest.name
        name = f"{self.manifest.name}-subset"
        self.notes.append(
            f"a subset: {'; '.join(short)}; results will call it {name!r} so that it never stands "
            "beside published rows"
        )
        return name

    # -- the Source interface -----------------------------------------------------------------

    def splits(self) -> dict[str, int]:
        """Rows in each split."""
        return {split: len(self._image_ids(split)) for split in self._native}

    def _image_ids(self, split: str) -> npt.NDArray[np.intp]:
        native = self._native[split]
        per_version = np.flatnonzero(native.sound)
        versions = self._versions_taken(native)
        return np.concatenate([per_version + v * native.annotations for v in versions])

    def _versions_taken(self, native: _Native) -> list[int]:
        return self._versions_of(native.versions) if native.native == "training" else [0]

    def _versions_of(self, available: int) -> list[int]:
        """The chosen versions among the `available` first ones."""
        return [version for version in self._chosen if version < available]

    def blocks(
        self, split: str, extras: frozenset[str] = frozenset(), limit: int | None = None
    ) -> Iterator[SampleBlock]:
        """Rows of `split` by ascending image id; see :class:`handbench.sources.block.Source`."""
        native = self._native[split]
        image_ids = self._image_ids(split)[:limit]
        columns, faults = self._optional_columns(native, extras, image_ids)
        with_masks = "mask" in extras and self._raw.has(f"{native.native}/mask")
        self._note_absent(native.native, extras)
        for start in range(0, len(image_ids), _BLOCK_ROWS):
            ids = image_ids[start : start + _BLOCK_ROWS]
            rows = ids % native.annotations
            block = self._labelled_images(native, ids)
            if self.lenient:
                block.faults = [faults.get(row, "") for row in rows.tolist()]
            if with_masks:
                names = [f"{native.native}/mask/{row:08d}.jpg" for row in rows]
                block.masks, unread = read_masks(
                    lambda row, names=names: self._raw.read(names[row]),  # type: ignore[misc]
                    len(names),
                    lenient=self.lenient,
                )
                block.faults = [one or other for one, other in zip(block.faults or unread, unread)]
            block.extra = {name: values[rows] for name, values in columns.items()}
            yield block

    def at(self, split: str, rows: npt.NDArray[np.intp]) -> SampleBlock:
        """The chosen rows of `split` without extras."""
        return self._labelled_images(self._native[split], self._image_ids(split)[rows])

    def _labelled_images(self, native: _Native, ids: npt.NDArray[np.intp]) -> SampleBlock:
        """Images by id with their labels; those of one annotation have the same labels."""
        rows = ids % native.annotations
        known = native.xyz is not None
        xyz = (
            self.manifest.to_canonical_3d(native.xyz[rows])
            if native.xyz is not None
            else np.full((len(ids), NUM_JOINTS, 3), np.nan)
        )
        numbers = [f"{i:08d}" for i in ids.tolist()]
        names = [f"{native.native}/rgb/{number}.jpg" for number in numbers]
        images, size = read_images(self._raw.read, names, str(self._raw.path), lenient=self.lenient)
        valid = np.full((len(ids), NUM_JOINTS), known)
        visibility = VISIBILITY_UNKNOWN if known else UNLABELLED
        return SampleBlock(
            sample_id=[f"{native.native}/{number}" for number in numbers],
            images=images,
            image_size=size,
            keypoints_2d=project(xyz, native.camera[rows]),
            valid_2d=valid,
            valid_3d=valid,
            visibility=np.full((len(ids), NUM_JOINTS), visibility, dtype=np.uint8),
            bbox=image_box(size[:, 1], size[:, 0]),
            is_right=np.ones(len(ids), np.int8) if native.sides is None else native.sides[ids],
            keypoints_3d=xyz if known else None,
            camera=native.camera[rows],
            ids={"instant_id": [native.instant[row] for row in rows]},
        )

    def _note_absent(self, native: str, extras: frozenset[str]) -> None:
        files = {"mask": "/mask", "vertices": "_verts.json", "mano": "_mano.json"}
        for extra in sorted(extras):
            if not self._raw.has(native + files[extra]):
                self.notes.append(
                    f"{native} has no {extra}: no {native}{files[extra]} in the source"
                )

    def _optional_columns(
        self, native: _Native, extras: frozenset[str], image_ids: npt.NDArray[np.intp]
    ) -> tuple[dict[str, npt.NDArray[Any]], dict[int, str]]:
        """Columns with a row an annotation, and annotation → what is wrong with one of them."""
        columns: dict[str, npt.NDArray[Any]] = {"scale": native.scale}
        faults: dict[int, str] = {}
        entries = self._read_labels(native.native, "mano") if "mano" in extras else None
        if entries is not None:
            self._check_lengths(native.native, {"K": _Entries(native.camera, {}), "mano": entries})
            mano, faults = entries.values, entries.faults
            columns["mano_pose"] = mano[:, :48].astype(np.float32)
            columns["mano_shape"] = mano[:, 48:58].astype(np.float32)
            columns["mano_trans"] = _mano_root(mano, native.camera).astype(np.float32)
        if "vertices" in extras and self._raw.has(f"{native.native}_verts.json"):
            needed = min(native.annotations, int((image_ids % native.annotations).max()) + 1)
            columns["vertices"], missing = self._read_vertices(native, needed)
            faults |= missing
        faulty = np.isin(np.arange(native.annotations), list(faults))
        bad = BadEntries(lenient=self.lenient)
        fine = bad.sound(faulty & native.sound, faults.__getitem__)
        bad.check_few(int((fine & native.sound).sum()))
        return columns, faults

    def _read_vertices(
        self, native: _Native, needed: int
    ) -> tuple[npt.NDArray[np.float32], dict[int, str]]:
        """The first `needed` entries, and what is wrong with some."""
        file = f"{native.native}_verts.json"
        where = self._raw.where(file)
        vertices: npt.NDArray[np.float32] | None = None
        faults: dict[int, str] = {}
        found = 0
        with contextlib.closing(self._raw.stream(file)) as stream:
            for entry in iterate_entries(stream, where):
                if found == needed < native.annotations:
                    break  # --limit wants no more
                if vertices is None:
                    vertices = np.empty((needed, *entry.shape), dtype=np.float32)
                if entry.shape != vertices.shape[1:] or not np.isfinite(entry).all():
                    faults[found] = (
                        f"entry {found} of {where}: expected {vertices.shape[1:]} finite numbers, "
                        f"found {entry.shape}"
                    )
                elif found < needed:
                    vertices[found] = entry
                found += 1
        if vertices is None or found != needed:
            raise SourceError(
                f"expected {native.annotations:,} entries in {where}, found {found:,}; take the "
                "file from the original archive"
            )
        return vertices, faults

    def column_attributes(self) -> dict[str, dict[str, Any]]:
        """What the MANO columns mean: pose relative to the mean pose, root at joint 9."""
        return {"mano_pose": {"flat_hand_mean": False}, "mano_trans": {"root_joint": 9}}

    def files(self) -> list[dict[str, Any]]:
        """Label files, or the archives, with size and sha256."""
        labels = [f"{n.native}_{name}.json" for n in self._native.values() for name in _LABELS]
        return self._raw.describe([_MARKER, *labels])


def open_source(
    path: Path,
    manifest: Manifest,
    versions: Sequence[str] | None = None,
    *,
    lenient: bool = False,
) -> FreiHAND:
    """Find and check a source in the FreiHAND v2 layout.

    Parameters
    ----------
    path
        Unpacked folder, ``FreiHAND_pub_v2.zip``, or a folder that holds the archives.
    manifest
        The dataset asked for. A marker file in the source overrides it: a synthetic sample or an
        export of another dataset can never pass for FreiHAND.
    versions
        Which of the four versions of the training images, by name or number; all by default.
    lenient
        Leave out malformed label entries; see :class:`handbench.sources.block.Source`.

    Raises
    ------
    SourceError
        If what is there is not FreiHAND v2; one sentence with what was expected and found.
    """
    raw = open_raw(Path(path), [archive.file for archive in manifest.archives])
    named = _marked_name(raw)
    if named is None and manifest.reader == "freihand" and manifest.name != "freihand":
        raise SourceError(
            f"expected a dataset that calls itself {manifest.name!r} in {raw.path}, found no "
            f"{_MARKER}; if this is FreiHAND, use `handbench convert freihand`"
        )
    taken = _version_numbers(versions)
    if isinstance(named, Exported):
        facts = named.manifest(manifest)
        return FreiHAND(raw, facts, taken, lenient=lenient, exported=True)
    facts = load(named) if named else manifest
    if facts.reader != manifest.reader:
        raise SourceError(
            f"{raw.where(_MARKER)} calls this {named!r}, which is published in another layout with "
            "joints in another order; take the original files, or export it again"
        )
    return FreiHAND(raw, facts, taken, lenient=lenient)


def _marked_name(raw: RawFiles) -> str | Exported | None:
    """What a marker file calls the source; None without one."""
    if not raw.has(_MARKER):
        return None
    where = raw.where(_MARKER)
    marker = parse_json(raw.read(_MARKER), "the marker of a generated dataset", where, SourceError)
    name = marker.get("handbench_source") if isinstance(marker, dict) else None
    if not isinstance(name, str):
        raise SourceError(f"expected the field handbench_source with a name in {where}")
    return read_export(marker, where) or name


def _version_numbers(versions: Sequence[str] | None) -> tuple[int, ...]:
    if not versions:
        return tuple(range(len(VERSIONS)))
    numbers = set()
    for version in versions:
        if version in VERSIONS:
            numbers.add(VERSIONS.index(version))
        elif version.isdecimal() and int(version) < len(VERSIONS):
            numbers.add(int(version))
        else:
            raise SourceError(
                f"no version is called {version!r}; there are {', '.join(VERSIONS)} (0 to 3)"
            )
    return tuple(sorted(numbers))


def _as_array(entries: list[Any], shape: tuple[int, ...], where: str) -> _Entries:
    """Entries as one array; those of another shape are NaN."""
    try:
        whole = np.array(entries, dtype=np.float64)
        return _Entries(_without_extra_levels(whole, (len(entries), *shape)), {})
    except (TypeError, ValueError):
        pass  # which entries these are takes a slower look
    found = _Entries(np.full((len(entries), *shape), np.nan), {})
    for row, entry in enumerate(entries):
        try:
            found.values[row] = _without_extra_levels(np.array(entry, dtype=np.float64), shape)
        except (TypeError, ValueError):
            found.faults[row] = (
                f"entry {row} of {where}: expected {'×'.join(map(str, shape)) or 'one'} "
                "numbers, found something else; take the file from the original archive"
            )
    return found


def _without_extra_levels(
    array: npt.NDArray[np.float64], shape: tuple[int, ...]
) -> npt.NDArray[np.float64]:
    """MANO vectors come with one list level more than they need; a 3×21 table is no 21×3 one."""
    if [n for n in array.shape if n != 1] != [n for n in shape if n != 1]:
        raise ValueError(f"shape {array.shape}")
    return array.reshape(shape)


def _mano_root(
    mano: npt.NDArray[np.float64], camera: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Position (N, 3) m of joint 9, where the MANO mesh is put: ((u-cx)/s, (v-cy)/s, f/s)."""
    scale = mano[:, 60]
    focal = (camera[:, 0, 0] + camera[:, 1, 1]) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        xy = (mano[:, 58:60] - camera[:, :2, 2]) / scale[:, None]
        return np.concatenate([xy, (focal / scale)[:, None]], axis=1)


def _contents(raw: RawFiles) -> str:
    names = raw.listing("")
    return describe_names(names) if names else "no files"
