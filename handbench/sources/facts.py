"""A manifest in words: what `handbench datasets` prints and docs/datasets.md shows."""

from __future__ import annotations

from handbench.hand import NATIVE_ORDERS, NUM_JOINTS
from handbench.sources.manifest import Archive, Manifest, Split

_AXES = {"opencv": "OpenCV axes", "opengl": "OpenGL axes"}
_HANDS = {"both": "left and right", "unknown": "side unknown"}
_BOXES = {
    "annotation": "the dataset's own",
    "keypoints": "of the labelled keypoints",
    "image": "the whole image",
    "detector": "of a detector",
}


def facts(manifest: Manifest) -> list[tuple[str, str]]:
    """(label, text of one line) of everything short that a manifest says, in reading order."""
    size = manifest.image_size
    rows = [
        ("homepage", manifest.homepage),
        ("licence", manifest.license),
        ("terms", manifest.license_url),
        *(("split", split_text(name, split)) for name, split in manifest.splits.items()),
        ("labels", labels_text(manifest)),
        ("label source", manifest.label_source),
        ("label noise", _noise(manifest)),
        ("hands", hands_text(manifest)),
        ("visibility", manifest.visibility),
        ("joint order", joint_order_text(manifest)),
        ("images", f"all {size[0]} px high, {size[1]} px wide" if size else ""),
        ("box", f"{_BOXES[manifest.box_source]}; crop {manifest.box_padding:g} × its longer side"),
        ("reprojection", _reprojection(manifest)),
        ("groups", _groups(manifest)),
        ("overlaps", ", ".join(manifest.known_overlap)),
        ("in reports", "photos may be shown" if manifest.publish_images else "no photos are shown"),
    ]
    return [(label, flat(text)) for label, text in rows if text.strip()]


def split_text(name: str, split: Split) -> str:
    """``train: 130,240 images, 32,560 annotations (native training)``."""
    native = "" if split.native == name else f" (native {split.native})"
    return f"{name}: {_count(split) or 'as many as you have'}{native}"


def counts_text(manifest: Manifest) -> str:
    """Expected rows of every split in one line: ``130,240 train, 3,960 test``."""
    known = {name: s.samples or s.annotations for name, s in manifest.splits.items()}
    return ", ".join(f"{n:,} {name}" for name, n in known.items() if n) or "as many as you have"


def labels_text(manifest: Manifest) -> str:
    """Whether hands have 3D labels, with their native unit and axes."""
    spatial = f"3D ({manifest.unit}, {_AXES[manifest.axes]})"
    words = {"always": f"2D and {spatial}", "optional": f"2D; {spatial} where files have it"}
    return words.get(manifest.labels_3d, "2D")


def hands_text(manifest: Manifest) -> str:
    """Which sides the dataset shows."""
    return _HANDS.get(manifest.handedness, manifest.handedness)


def joint_order_text(manifest: Manifest) -> str:
    """The permutation ``canonical[i] = native[order[i]]``, or that there is none."""
    if manifest.joint_order == tuple(range(NUM_JOINTS)):
        return "canonical"
    names = [name for name, order in NATIVE_ORDERS.items() if order == manifest.joint_order]
    called = f" (that of {names[0]})" if names and names[0] != manifest.name else ""
    return f"canonical[i] = native[I[i]], I = {','.join(map(str, manifest.joint_order))}{called}"


def archive_text(archive: Archive) -> str:
    """``RHD_v1-1.zip, 7,080,690,299 bytes; size from a third-party record``."""
    size = f"{archive.size_bytes:,} bytes" if archive.size_bytes else "size unknown"
    digest = f"SHA-256 {archive.sha256}" if archive.sha256 else ""
    return "; ".join(filter(None, [f"{archive.file}, {size}", digest, flat(archive.note)]))


def flat(text: str) -> str:
    """`text` in one line."""
    return " ".join(text.split())


def _count(split: Split) -> str:
    samples = f"{split.samples:,} samples" if split.samples else ""
    annotations = f"{split.annotations:,} annotations" if split.annotations else ""
    same = split.samples == split.annotations
    return samples if same else ", ".join(filter(None, [samples, annotations]))


def _noise(manifest: Manifest) -> str:
    known = ((manifest.label_noise_px, "px"), (manifest.label_noise_mm, "mm"))
    return ", ".join(f"{value:g} {unit}" for value, unit in known if value is not None)


def _reprojection(manifest: Manifest) -> str:
    if manifest.labels_3d == "none":
        return ""
    return f"3D meets 2D within {manifest.reprojection_tolerance_px:g} px"


def _groups(manifest: Manifest) -> str:
    units = f"cut by {manifest.split_unit}, resampled by {manifest.cluster_unit}"
    if manifest.split_unit == manifest.cluster_unit:
        units = f"cut and resampled by {manifest.split_unit}"
    return f"{units}: {manifest.group_rule}"
