"""What was measured on every hand, kept so that every number can be made again without the model.

Scoring has two steps: predictions and truth → errors of every joint of every hand (this record),
and errors → numbers. The first is stored beside the results; other thresholds, metrics, subsets and
intervals need the second alone.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterable
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from handbench.errors import ScoreError
from handbench.files import atomic_path, describe_names, parse_json, sha256_bytes, to_json
from handbench.hand import JOINT_NAMES, NUM_JOINTS

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

ERRORS_VERSION = 1
_ABOUT = "about"
_OF_IMAGES = ("MRRPE", "handedness")
_NEEDED = ("dataset", "split", "model", "truth_sha256", "cluster_unit", "subset", "reasons")


@dataclass(frozen=True)
class SampleErrors:
    """Errors of every expected hand, and what is needed to normalise and group them.

    Rows are the expected hands in the order of the data. N is their number.

    Attributes
    ----------
    sample_id
        (N,) str.
    predicted
        (N,) bool: a prediction was found for this hand.
    cluster
        (N,) str: the group that the bootstrap resamples as a whole.
    visibility
        (N, 21) uint8 as in the HDF5 file: 0 unlabelled, 1 occluded, 2 visible, 255 unknown.
    is_right
        (N,) int8: 1 right, 0 left, -1 unknown.
    labelled_2d, labelled_3d
        (N, 21) bool.
    keypoints_px
        (N, 21, 2) float64, predictions in source px; NaN where missed.
    joints
        Name of a kind of errors (:func:`handbench.scores.distances.errors_name`: ``px``,
        ``mm,cam``, ``mm,root=0``, …) → (N, 21) float64 in its unit. NaN: joint not labelled, or
        the hand cannot be aligned. inf: labelled, but the hand was missed.
    sizes
        Normaliser → (N,) float64 source px; NaN where undefined.
    hands
        Name of a metric with one score a hand (of meshes, of two wrists, of sides) → (N,)
        float64. NaN: nothing labelled. inf: labelled, but the hand was missed.
    hand_type
        (N,) str, ``left``, ``right`` or ``interacting``; None where the split does not say.
    about
        What a signature and a report need: ``dataset``, ``split``, ``model``, ``truth_sha256``,
        ``columns`` (their hashes), ``cluster_unit``, ``subset``, ``gt_used``, ``box``,
        ``label_noise``, ``extra``, ``duplicate``, ``warnings``, ``provenance``; ``values`` of
        metrics that are no means of hands; and ``reasons`` why some kinds of errors could not be
        measured.
    """

    sample_id: npt.NDArray[np.str_]
    predicted: Bools
    cluster: npt.NDArray[np.str_]
    visibility: npt.NDArray[np.uint8]
    is_right: npt.NDArray[np.int8]
    labelled_2d: Bools
    labelled_3d: Bools
    keypoints_px: Floats
    joints: dict[str, Floats] = field(default_factory=dict)
    sizes: dict[str, Floats] = field(default_factory=dict)
    hands: dict[str, Floats] = field(default_factory=dict)
    hand_type: npt.NDArray[np.str_] | None = None
    about: dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.sample_id)

    # --- the errors that reports and breakdowns ask for ------------------------------------------

    @property
    def errors_px(self) -> Floats:
        """(N, 21) source px; NaN throughout where the model predicts no 2D."""
        known = self.joints.get("px")
        return np.full(self.visibility.shape, np.nan) if known is None else known

    @property
    def root_mm(self) -> Floats | None:
        """(N, 21) mm with the wrists aligned; None without 3D."""
        return self.joints.get("mm,root=0")

    @property
    def pa_mm(self) -> Floats | None:
        """(N, 21) mm after proper Procrustes alignment; None without 3D."""
        return self.joints.get("mm,pa")

    @property
    def tight_px(self) -> Floats:
        """(N,) longer side of the tight box around the labelled joints, source px."""
        return self.sizes["tight"]

    # --- parts -----------------------------------------------------------------------------------

    def rows(self, keep: npt.NDArray[Any]) -> SampleErrors:
        """The hands chosen by a mask or index array."""
        changes: dict[str, Any] = {}
        for entry in fields(self):
            value = getattr(self, entry.name)
            if isinstance(value, np.ndarray):
                changes[entry.name] = value[keep]
            elif isinstance(value, dict) and entry.name != _ABOUT:
                changes[entry.name] = {name: array[keep] for name, array in value.items()}
        return replace(self, **changes)

    def only(self, ids: Iterable[str], where: str) -> SampleErrors:
        """The hands named by `ids`, in their order here.

        The mean pose of other hands is another one, an average precision is no mean of hands, and
        an image's score may lie in the row of a hand that is not chosen: what depends on other
        hands is left out, with a reason.

        Parameters
        ----------
        ids
            Sample ids.
        where
            Where they came from, for messages.

        Raises
        ------
        ScoreError
            If an id was not scored, or none is given.
        """
        about = self.about
        keep, subset = choose(self.sample_id, ids, where, f"{about['dataset']} {about['split']}")
        if keep.all():
            return self
        lost = [name for name in self.joints if "mean-pose" in name] + list(about.get("values", {}))
        lost += [name for name in self.hands if name.startswith(_OF_IMAGES)]
        why = "it cannot be made from stored errors of other hands: evaluate the predictions"
        chosen = self.rows(keep)
        return replace(
            chosen,
            joints={name: array for name, array in chosen.joints.items() if name not in lost},
            hands={name: array for name, array in chosen.hands.items() if name not in lost},
            about={
                **about,
                "subset": subset,
                "values": {},
                "reasons": {**about["reasons"], **dict.fromkeys(lost, why)},
            },
        )

    # --- files -----------------------------------------------------------------------------------

    def write(self, path: Path) -> None:
        """Write every array under its name to the compressed ``.npz`` file `path`."""
        arrays: dict[str, npt.NDArray[Any]] = {}
        for entry in fields(self):
            value = getattr(self, entry.name)
            if entry.name == _ABOUT:
                header = {"handbench_errors": ERRORS_VERSION, **value}
                arrays[_ABOUT] = np.array(to_json(header, indent=False).decode())
            elif isinstance(value, dict):
                arrays |= {f"{entry.name}/{name}": array for name, array in value.items()}
            elif value is not None:
                arrays[entry.name] = value
        # A file object, because numpy appends ".npz" to a temporary name.
        with atomic_path(Path(path)) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, **arrays)

    @classmethod
    def read(cls, path: Path) -> SampleErrors:
        """Read what :meth:`write` wrote; raises :class:`ScoreError` if it is no such file."""
        try:
            with Path(path).open("rb") as file, np.load(file, allow_pickle=False) as archive:
                arrays = {name: archive[name] for name in archive.files}
        except Exception as error:
            # zipfile, zlib and numpy raise half a dozen unrelated classes on damaged archives.
            raise ScoreError(
                f"{path}: expected per-sample errors (.npz) written by "
                f"`handbench evaluate --out`, found something else ({error})"
            ) from error
        again = "evaluate the predictions again to write the file anew"
        about = _about(arrays.pop(_ABOUT, None), path, again)
        found: dict[str, Any] = {}
        for name, array in arrays.items():
            group, _, key = name.partition("/")
            if key:
                found.setdefault(group, {})[key] = array
            else:
                found[name] = array
        needed = {f.name for f in fields(cls)} - {"hand_type", "hands", "joints"}
        missing = sorted(needed - {_ABOUT} - set(found))
        if missing:
            raise ScoreError(
                f"{path}: per-sample errors lack the array(s) {', '.join(missing)}: {again}"
            )
        known = {f.name for f in fields(cls)}
        return cls(**{name: value for name, value in found.items() if name in known}, about=about)

    def to_frame(self) -> pd.DataFrame:
        """A frame with one row a hand (:func:`handbench.scores.frames.samples_frame`).

        :meth:`to_pandas` has one row a joint.
        """
        from handbench.scores.frames import samples_frame

        return samples_frame(self)

    def to_pandas(self) -> pd.DataFrame:
        """A table with one row a joint of every expected hand, for grouping and plotting.

        Returns
        -------
        N·21 rows, hand by hand in the order of the data and joint by joint in canonical order,
        with the columns ``sample_id``, ``joint`` (name), ``error_px`` (NaN: not labelled; inf:
        labelled, but the hand was missed), ``predicted``, ``visibility``, ``is_right``,
        ``cluster`` and ``box_px``; a value of the whole hand stands in each of its rows.
        """
        import pandas as pd

        hands = len(self)
        of_hand = np.repeat(np.arange(hands), NUM_JOINTS)
        return pd.DataFrame(
            {
                "sample_id": self.sample_id[of_hand],
                "joint": np.tile(np.array(JOINT_NAMES), hands),
                "error_px": self.errors_px.reshape(-1),
                "predicted": self.predicted[of_hand],
                "visibility": self.visibility.reshape(-1),
                "is_right": self.is_right[of_hand],
                "cluster": self.cluster[of_hand],
                "box_px": self.sizes["bbox"][of_hand],
            }
        )


def is_errors_file(path: Path) -> bool:
    """Whether `path` holds stored errors, and not predictions; False if it cannot be read."""
    try:
        with zipfile.ZipFile(path) as archive:
            return f"{_ABOUT}.npy" in archive.namelist()
    except (OSError, zipfile.BadZipFile):
        return False


def choose(
    sample_id: npt.NDArray[np.str_], ids: Iterable[str], where: str, data: str
) -> tuple[Bools, str]:
    """Which samples `ids` name, and a hash that stands for them.

    Parameters
    ----------
    sample_id
        (N,) ids that may be chosen.
    ids
        Ids to keep.
    where, data
        Where `ids` come from and what they should be in, for messages.

    Returns
    -------
    keep
        (N,) bool.
    subset
        16 hex digits.

    Raises
    ------
    ScoreError
        If an id is unknown, or none is given.
    """
    wanted = set(ids)
    unknown = sorted(wanted - set(sample_id.tolist()))
    if unknown or not wanted:
        found = f"{len(unknown):,} others: {describe_names(unknown)}" if unknown else "no id at all"
        raise ScoreError(
            f"{where}: expected labelled sample ids of {data}, found {found}; one id a line, as in "
            f"{str(sample_id[0])!r}"
        )
    chosen = sorted(wanted)
    return np.isin(sample_id, chosen), sha256_bytes("\n".join(chosen).encode())[:16]


def _about(stored: npt.NDArray[Any] | None, path: Path, again: str) -> dict[str, Any]:
    """The header of a file of stored errors."""
    if stored is None:
        raise ScoreError(f"{path}: per-sample errors lack the header {_ABOUT!r}: {again}")
    about = parse_json(str(stored).encode(), "the header of stored errors", str(path), ScoreError)
    version = about.pop("handbench_errors", None) if isinstance(about, dict) else None
    if version != ERRORS_VERSION:
        raise ScoreError(
            f"{path}: stored errors of format {version!r}, but this handbench reads format "
            f"{ERRORS_VERSION}: {again}"
        )
    missing = [name for name in _NEEDED if name not in about]
    if missing:
        raise ScoreError(f"{path}: the header of stored errors lacks {', '.join(missing)}: {again}")
    checked: dict[str, Any] = about
    return checked
