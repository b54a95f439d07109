"""3D alignment: what may be taken out of a prediction before it is measured. Pure functions.

Hands are arrays (N, K, 3): N hands of K points (joints or vertices), in one unit.

References
----------
Similarity alignment: Umeyama, "Least-squares estimation of transformation parameters between two
point patterns", PAMI 1991. With reflections: ``align_w_scale`` in the official FreiHAND and HO-3D
scripts. Root and bone: ``align_sc_tr`` of HO-3D.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from handbench.hand import WRIST

Floats = npt.NDArray[np.float64]
Points = npt.NDArray[np.floating[Any]]

MIN_POINTS = 4
"""Labelled points that a similarity needs; and they must not lie on one line."""


def align_root(points: npt.ArrayLike, root: int = WRIST) -> Floats:
    """Move joint `root` of every hand (..., K, 3) into the origin; NaN where it is unknown."""
    hands = np.asarray(points, dtype=np.float64)
    moved: Floats = hands - hands[..., root : root + 1, :]
    return moved


def align_bone(
    prediction: npt.ArrayLike, truth: npt.ArrayLike, bone: tuple[int, int], root: int = WRIST
) -> Floats:
    """Scale each prediction about its root so that one bone is as long as the truth's.

    Parameters
    ----------
    prediction, truth
        (N, K, 3).
    bone
        Two joints: (0, 9), wrist to middle MCP, in HO-3D's "scale-trans" alignment.
    root
        Joint that is moved into the origin.

    Returns
    -------
    (N, K, 3), root in the origin. A predicted bone without length is taken as 1, as in the
    official script, so that a prediction of zeros stays zero.
    """
    factor = bone_factor(prediction, truth, bone)
    scaled: Floats = align_root(prediction, root) * factor[:, None, None]
    return scaled


def bone_factor(prediction: npt.ArrayLike, truth: npt.ArrayLike, bone: tuple[int, int]) -> Floats:
    """(N,) true length of a bone divided by the predicted one; see :func:`align_bone`."""
    predicted, labelled = np.asarray(prediction, dtype=np.float64), np.asarray(truth, dtype=float)
    start, end = bone
    found = np.linalg.norm(predicted[:, end] - predicted[:, start], axis=-1)
    wanted = np.linalg.norm(labelled[:, end] - labelled[:, start], axis=-1)
    factor: Floats = wanted / np.where(found == 0, 1.0, found)
    return factor


def align_scale(prediction: npt.ArrayLike, truth: npt.ArrayLike, valid: npt.ArrayLike) -> Floats:
    """Scale each prediction by the least-squares factor Σ p·g / Σ p·p; nothing is centred.

    Parameters
    ----------
    prediction, truth
        (N, K, 3) in one unit.
    valid
        (N, K) bool: joints that enter the fit.

    Returns
    -------
    (N, K, 3). A prediction of zeros stays zero.
    """
    factor = scale_factor(prediction, truth, valid)
    scaled: Floats = np.asarray(prediction, dtype=np.float64) * factor[:, None, None]
    return scaled


def scale_factor(prediction: npt.ArrayLike, truth: npt.ArrayLike, valid: npt.ArrayLike) -> Floats:
    """(N,) least-squares factors Σ p·g / Σ p·p; see :func:`align_scale`."""
    keep = np.asarray(valid, dtype=bool)[..., None]
    p = np.where(keep, np.asarray(prediction, dtype=np.float64), 0.0)
    g = np.where(keep, np.asarray(truth, dtype=np.float64), 0.0)
    squares = (p * p).sum(axis=(-2, -1))
    factor: Floats = (p * g).sum(axis=(-2, -1)) / np.where(squares == 0, 1.0, squares)
    return factor


@dataclass(frozen=True)
class Similarity:
    """One similarity a hand: x → scale · rotation · (x - source) + target.

    Attributes
    ----------
    rotation
        (N, 3, 3) orthogonal; NaN where nothing could be fitted.
    scale
        (N,).
    source, target
        (N, 3) centroids of the predicted and of the true points in the fit.
    source_norm
        (N,) Frobenius norm of the centred predicted points.
    """

    rotation: Floats
    scale: Floats
    source: Floats
    target: Floats
    source_norm: Floats

    def apply(self, points: Points) -> Floats:
        """Move points (N, K, 3)."""
        turned = (points - self.source[:, None]) @ np.swapaxes(self.rotation, 1, 2)
        moved: Floats = turned * self.scale[:, None, None] + self.target[:, None]
        return moved

    def reflects(self) -> npt.NDArray[np.bool_]:
        """(N,) whether the rotation is a reflection; not where there is none."""
        determinant: npt.NDArray[np.bool_] = np.linalg.det(np.nan_to_num(self.rotation)) < 0
        return determinant

    def apply_to_foreign_mesh(self, vertices: Points) -> Floats:
        """Move meshes (N, V, 3) m as the official scripts do if they have another topology.

        Their ``align_by_trafo`` turns the mesh about its *own* centroid, multiplies by the two
        factors of the fit but leaves out the division by the norm of the predicted joints, and
        moves the mesh by the shift between the joints' centroids. F-scores of such meshes in
        published tables are made like this.
        """
        centre = vertices.mean(axis=1, keepdims=True)
        turned = (vertices - centre) @ np.swapaxes(self.rotation, 1, 2)
        factor = self.scale * self.source_norm
        moved: Floats = turned * factor[:, None, None] + centre
        return moved + (self.target - self.source)[:, None]


def fit_similarity(
    prediction: npt.ArrayLike,
    truth: npt.ArrayLike,
    valid: npt.ArrayLike,
    *,
    reflect: bool = False,
) -> Similarity:
    """Best similarity that moves each prediction onto the truth.

    Parameters
    ----------
    prediction, truth
        (N, K, 3) in one unit.
    valid
        (N, K) bool: points that enter the fit. See :func:`alignable`.
    reflect
        False: proper rotations only (Umeyama 1991), so that a mirrored hand stays wrong.
        True: reflections allowed, as the official FreiHAND, HO-3D and DexYCB scripts do, where a
        mirrored hand scores 0.

    Returns
    -------
    Similarity with NaN where a hand was not predicted or cannot be aligned.
    """
    predicted = np.asarray(prediction)
    labelled = np.asarray(truth)
    keep = np.asarray(valid, dtype=bool) & ~np.isnan(predicted).any(axis=-1)
    if keep.all():
        p, g = predicted.astype(np.float64), labelled.astype(np.float64)
        mean_p, mean_g = p.mean(axis=1), g.mean(axis=1)
        p -= mean_p[:, None]
        g -= mean_g[:, None]
    else:
        weights = keep[..., None]
        count = np.maximum(weights.sum(axis=1), 1.0)
        p = np.where(weights, predicted, 0.0).astype(np.float64)
        g = np.where(weights, labelled, 0.0).astype(np.float64)
        mean_p, mean_g = p.sum(axis=1) / count, g.sum(axis=1) / count
        p = (p - mean_p[:, None]) * weights
        g = (g - mean_g[:, None]) * weights
    # Rotation R maximises Σ g·(R p); with cross = Σ g pᵀ = U S Vᵀ that is R = U D Vᵀ.
    u, s, vt = np.linalg.svd(np.swapaxes(g, 1, 2) @ p)
    signs = np.ones_like(s)
    if not reflect:
        signs[:, -1] = np.where(np.linalg.det(u) * np.linalg.det(vt) < 0, -1.0, 1.0)
    rotation = (u * signs[:, None, :]) @ vt
    norm = np.sqrt((p * p).sum(axis=(1, 2)))
    # The official scripts add 1e-8 m to the norms instead, which moves no error by 1e-6 mm.
    scale = (s * signs).sum(axis=-1) / np.where(norm == 0, 1.0, norm**2)
    rotation[~_fix_a_rotation(g, keep)] = np.nan
    return Similarity(rotation, scale, mean_p, mean_g, norm)


def alignable(truth: npt.ArrayLike, valid: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Whether the labels of a hand fix a rotation: at least four, and not on one line.

    Parameters
    ----------
    truth
        (N, K, 3).
    valid
        (N, K) bool.

    Returns
    -------
    (N,) bool.
    """
    keep = np.asarray(valid, dtype=bool)
    weights = keep[..., None]
    count = np.maximum(weights.sum(axis=1, keepdims=True), 1)
    points = np.where(weights, np.asarray(truth, dtype=np.float64), 0.0)
    return _fix_a_rotation((points - points.sum(axis=1, keepdims=True) / count) * weights, keep)


def _fix_a_rotation(centred: Floats, keep: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """(N,) whether points (N, K, 3), centred and 0 where they are not kept, fix a rotation."""
    # Variances along the principal axes, rising: on a line only the last one is not zero.
    variances = np.linalg.eigvalsh(np.swapaxes(centred, 1, 2) @ centred)
    fixed: npt.NDArray[np.bool_] = variances[:, 1] > 1e-10 * variances[:, 2]
    fixed &= keep.sum(axis=1) >= MIN_POINTS
    return fixed


def align_procrustes(
    prediction: npt.ArrayLike,
    truth: npt.ArrayLike,
    valid: npt.ArrayLike,
    *,
    reflect: bool = False,
) -> Floats:
    """Move each predicted hand onto the truth by the best rotation, scale and translation.

    Parameters
    ----------
    prediction, truth
        (N, K, 3) in one unit.
    valid
        (N, K) bool: joints that enter the fit. Fewer than four, or all on one line, cannot fix a
        rotation, and such a hand becomes NaN.
    reflect
        See :func:`fit_similarity`.

    Returns
    -------
    (N, K, 3). A prediction collapsed to one point goes to the truth's centre, as in the official
    scripts. NaN where the hand was not predicted.
    """
    fit = fit_similarity(prediction, truth, valid, reflect=reflect)
    return fit.apply(np.asarray(prediction, dtype=np.float64))
