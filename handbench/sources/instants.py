"""Which annotations show the same instant: inferred from what no camera changes.

A multi-view recording gives several samples of one moment; their camera-frame joints differ by a
rigid motion, so all distances between joints agree. This is our inference, not the publisher's.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from handbench.hand import FINGERTIPS, NUM_JOINTS

TOLERANCE_M = 0.0002
"""Largest difference of any joint distance within an instant: 0.2 mm, far above the rounding of
JSON labels and below what a moving hand changes between frames."""

_BLOCK_PAIRS = 4096


def cluster_instants(
    keypoints_3d: npt.NDArray[np.float64], tolerance_m: float = TOLERANCE_M
) -> npt.NDArray[np.intp]:
    """Group hands whose 210 joint distances agree.

    Parameters
    ----------
    keypoints_3d
        (N, 21, 3) m, camera frames of any cameras.
    tolerance_m
        Largest difference of any distance between two hands of one instant.

    Returns
    -------
    (N,) for every hand the index of the first hand of its instant. Groups are the connected
    components of "agrees with", so a slow motion may chain into one group; for a split that is
    the safe side.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    if len(keypoints_3d) == 0:
        return np.zeros(0, dtype=np.intp)
    # Repeated labels would give a number of pairs that grows with the square of the repeats.
    rows = np.ascontiguousarray(keypoints_3d).reshape(len(keypoints_3d), -1)
    _, first_row, hand = np.unique(
        rows.view(np.dtype((np.void, rows.shape[1] * rows.itemsize)))[:, 0],
        return_index=True,
        return_inverse=True,
    )
    count = len(first_row)
    pairs = _agreeing_pairs(keypoints_3d[first_row], tolerance_m)
    graph = coo_array((np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    label = connected_components(graph, directed=False)[1][hand]
    # The first hand names the group: stable whatever order the labels come in.
    _, first_of_label = np.unique(label, return_index=True)
    groups: npt.NDArray[np.intp] = first_of_label[label]
    return groups


def _agreeing_pairs(
    keypoints_3d: npt.NDArray[np.float64], tolerance_m: float
) -> npt.NDArray[np.intp]:
    """(P, 2) pairs of hands whose joint distances all agree."""
    from scipy.spatial import cKDTree

    # A tree on a few telling distances finds the candidates; all 210 decide.
    few = np.array([(a, b) for a in (0, *FINGERTIPS) for b in (0, *FINGERTIPS) if a < b])
    tree = cKDTree(_lengths(keypoints_3d, few))
    pairs: npt.NDArray[np.intp] = tree.query_pairs(tolerance_m, p=np.inf, output_type="ndarray")
    joints = np.stack(np.triu_indices(NUM_JOINTS, k=1), axis=1)
    keep = np.empty(len(pairs), dtype=bool)
    for start in range(0, len(pairs), _BLOCK_PAIRS):
        block = pairs[start : start + _BLOCK_PAIRS]
        away = _lengths(keypoints_3d[block[:, 0]], joints) - _lengths(
            keypoints_3d[block[:, 1]], joints
        )
        keep[start : start + _BLOCK_PAIRS] = np.abs(away).max(axis=1) <= tolerance_m
    return pairs[keep]


def _lengths(
    keypoints_3d: npt.NDArray[np.float64], joints: npt.NDArray[np.intp]
) -> npt.NDArray[np.float64]:
    """(N, D) distances between the (D, 2) pairs of joints."""
    away = keypoints_3d[:, joints[:, 0]] - keypoints_3d[:, joints[:, 1]]
    lengths: npt.NDArray[np.float64] = np.sqrt(np.einsum("njk,njk->nj", away, away))
    return lengths


def describe_clusters(groups: npt.NDArray[np.intp]) -> str:
    """One line on how many groups there are, and of what sizes.

    >>> describe_clusters(np.array([0, 0, 2]))
    '3 annotations in 2 instants (1 of size 1, 1 of size 2)'
    """
    _, sizes = np.unique(groups, return_counts=True)
    values, counts = np.unique(sizes, return_counts=True)
    parts = [f"{n:,} of size {size}" for size, n in zip(values, counts)]
    if len(parts) > 8:
        parts = [*parts[:7], f"{counts[7:].sum():,} of size {values[7]} to {values[-1]}"]
    return f"{len(groups):,} annotations in {len(sizes):,} instants ({', '.join(parts)})"
