"""Which annotations show the same instant: inferred from what no camera changes.

A multi-view recording gives several samples of one moment; their camera-frame joints differ by a
rigid motion, so all distances between joints agree. This is our inference, not the publisher's.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from handbench.hand import NUM_JOINTS

TOLERANCE_M = 0.0002
"""Largest difference of any joint distance within an instant: 0.2 mm, far above the rounding of
JSON labels and below what a moving hand changes between frames."""


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
    from scipy.spatial import cKDTree

    count = len(keypoints_3d)
    if count == 0:
        return np.zeros(0, dtype=np.intp)
    first, second = np.triu_indices(NUM_JOINTS, k=1)
    # Joint-to-joint lengths, in blocks: 210 numbers a hand.
    lengths = np.empty((count, len(first)))
    for start in range(0, count, 4096):
        block = keypoints_3d[start : start + 4096]
        lengths[start : start + 4096] = np.linalg.norm(block[:, first] - block[:, second], axis=-1)
    pairs = cKDTree(lengths).query_pairs(tolerance_m, p=np.inf, output_type="ndarray")
    graph = coo_array((np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    _, label = connected_components(graph, directed=False)
    # The first hand names the group: stable whatever order the labels come in.
    _, first_of_label = np.unique(label, return_index=True)
    groups: npt.NDArray[np.intp] = first_of_label[label]
    return groups


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
