"""3D hands as others write them: FreiHAND's and HO-3D's ``pred.json``, DexYCB's text."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from handbench.errors import PredictionsError
from handbench.hand import NUM_JOINTS
from handbench.hdf5.reader import SplitReader
from handbench.predictions.lookup import SampleNames
from handbench.predictions.record import Columns, brief

_FIELDS = 1 + 3 * NUM_JOINTS


def from_freihand(
    xyz: npt.NDArray[np.float64],
    verts: npt.NDArray[np.float64],
    split: SplitReader,
    dataset: str,
    where: str,
) -> tuple[Columns, tuple[str, ...]]:
    """``[xyz list, verts list]`` in the order of the split.

    Parameters
    ----------
    xyz
        (N, 21, 3).
    verts
        (N, V, 3); without entries, or all zero beside hands that are not, where there are none.
    split
        Gives the order.
    dataset
        Its name, for messages.
    where
        Names the file in messages.

    Returns
    -------
    Columns, and sentences for the user.

    Raises
    ------
    PredictionsError
        If there are more or fewer hands than samples.
    """
    ids = split.column("sample_id")
    if len(xyz) != len(ids):
        raise PredictionsError(
            f"{where}: {len(xyz):,} predictions for {len(ids):,} samples of {dataset} "
            f"{split.name}{_count_hint(len(xyz), len(ids))}"
        )
    columns: Columns = {"id": ids, "keypoints_3d": xyz}
    if not verts.size:
        return columns, ()
    # Zeros everywhere are a prediction, with published scores; beside real joints they fill a gap.
    if xyz.any() and not verts.any():
        return columns, ("its vertices are all zero, so it is read as a file without meshes",)
    if len(verts) != len(ids):
        raise PredictionsError(
            f"{where}: {len(xyz):,} hands in the first list, but {len(verts):,} meshes in the "
            "second: write one mesh a hand, or an empty second list"
        )
    columns["vertices"] = verts
    return columns, ()


def _count_hint(found: int, expected: int) -> str:
    if found and found * 2 in (expected, expected - 1, expected + 1):
        return ": was every second one written?"
    if found > expected:
        return ": were predictions of several splits or runs joined?"
    return ": a list without ids must hold every sample, in order; write the missing ones too"


def from_dexycb(raw: bytes, names: SampleNames, where: str) -> Columns:
    """DexYCB result text: a line a sample, its number and 63 numbers, joint by joint.

    Parameters
    ----------
    raw
        ``12, x, y, z, x, y, z, …``; commas, spaces or both.
    names
        Of the split: turns numbers of samples into sample ids.
    where
        Names the file in messages.

    Raises
    ------
    PredictionsError
        Naming the first line that is something else.
    """
    try:
        lines = raw.decode("ascii").splitlines()
    except UnicodeDecodeError:
        lines = ["binary data"]
    ids: list[str] = []
    hands: list[npt.NDArray[np.float64]] = []
    for number, line in enumerate(lines, 1):
        fields = line.replace(",", " ").split()
        if not fields:
            continue
        try:
            row = np.array(fields, dtype=np.float64)
        except ValueError:
            row = np.empty(0)
        if len(row) != _FIELDS or not row[0].is_integer():
            count = f"{len(fields)} fields" if len(fields) != _FIELDS else "other text"
            raise PredictionsError(
                f"{where}: expected DexYCB results, the number of a sample and {_FIELDS - 1} "
                f"coordinates a line, found {count} in line {number} ({brief(line)}): write the "
                "line again"
            )
        ids.append(names.at(int(row[0])))
        hands.append(row[1:].reshape(NUM_JOINTS, 3))
    return {"id": np.array(ids, dtype=np.str_), "keypoints_3d": np.array(hands)}
