"""Seeded hands with everything that can go wrong in a label, and predictions of them.

Joints that nobody labelled, occluded joints, missing 3D joints, photos with two hands, predictions
that are turned, scaled, shifted and noisy by very different amounts: what the scorers are compared
on must reach every branch and every threshold.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from generators.freihand import project, right_hand, seen_from_elsewhere
from generators.scored import make_truth

from handbench.predictions.record import Predictions
from handbench.scores.truth import Truth

Floats = npt.NDArray[np.float64]

FOCAL, SIZE = 500.0, 640.0


@dataclass(frozen=True)
class RandomHands:
    """N hands as truth and prediction, in the units of handbench: px and metres."""

    truth: Truth
    predictions: Predictions

    def __len__(self) -> int:
        return len(self.truth)

    @property
    def keypoints(self) -> tuple[Floats, Floats]:
        """Truth and prediction (N, 21, 2) px."""
        assert self.predictions.keypoints is not None
        return self.truth.keypoints, self.predictions.keypoints

    @property
    def keypoints_3d(self) -> tuple[Floats, Floats]:
        """Truth and prediction (N, 21, 3) m."""
        assert self.truth.keypoints_3d is not None
        assert self.predictions.keypoints_3d is not None
        return self.truth.keypoints_3d, self.predictions.keypoints_3d

    @property
    def vertices(self) -> tuple[Floats, Floats]:
        """Truth and prediction (N, V, 3) m."""
        assert self.truth.vertices is not None
        assert self.predictions.vertices is not None
        return self.truth.vertices.astype(np.float64), self.predictions.vertices

    def shuffled(self, seed: int = 0) -> RandomHands:
        """The same hands and predictions, each in an order of its own."""
        rng = np.random.default_rng(seed)
        return RandomHands(
            self.truth.rows(rng.permutation(len(self))),
            reordered(self.predictions, rng.permutation(len(self.predictions))),
        )


def reordered(predictions: Predictions, rows: npt.NDArray[np.intp]) -> Predictions:
    """The rows of `predictions` that are chosen, in that order."""
    return replace(predictions, **{k: v[rows] for k, v in predictions.columns().items()})


def random_hands(
    photos: int = 30,
    *,
    vertices: int = 0,
    predicted_vertices: int | None = None,
    holes: float = 0.0,
    seed: int = 0,
    **changes: Any,
) -> RandomHands:
    """Make hands and predictions.

    Parameters
    ----------
    photos
        Every third shows two hands, a right and a left one; rows come in the order of photos.
    vertices, predicted_vertices
        Of the mesh of truth and prediction; 0 for no mesh.
    holes
        Share of joints without 2D label and, independently, without 3D label.
    seed
        Of everything.
    changes
        Further fields of the truth.
    """
    rng = np.random.default_rng(seed)
    interacting = np.arange(photos) % 3 == 0
    photo = np.repeat(np.arange(photos), np.where(interacting, 2, 1))
    count = len(photo)
    second = np.append(False, photo[1:] == photo[:-1])
    is_right = np.where(interacting[photo], ~second, rng.random(count) < 0.5)

    joints = np.stack([_place(right_hand(rng), right, rng) for right in is_right])
    camera = np.tile([[FOCAL, 0, SIZE / 2], [0, FOCAL, SIZE / 2], [0, 0, 1.0]], (count, 1, 1))
    keypoints = project(camera, joints)
    low, high = keypoints.min(axis=1), keypoints.max(axis=1)

    # Every tenth of the hands is an order of magnitude worse than the best tenth.
    quality = rng.permutation(np.geomspace(0.15, 4.0, count))[:, None, None]
    turned = np.stack([_wrongly_turned(hand, rng, 0.1 * q) for hand, q in zip(joints, quality)])
    found_3d = turned + quality * rng.normal(0, 0.004, turned.shape)
    found = keypoints + quality * rng.normal(0, 5.0, keypoints.shape)

    valid = rng.random((count, 21)) >= holes
    valid_3d = rng.random((count, 21)) >= holes
    visibility = np.where(valid, np.where(rng.random((count, 21)) < 0.3, 1, 2), 0)
    mesh = found_mesh = None
    if vertices:
        mesh = _mesh(joints, vertices, np.random.default_rng(seed + 1)).astype(np.float32)
        number = predicted_vertices or vertices
        found_mesh = _mesh(turned, number, np.random.default_rng(seed + 1))
        found_mesh += quality * rng.normal(0, 0.003, found_mesh.shape)

    names = np.array([f"p{p:04d}/{'right' if r else 'left'}" for p, r in zip(photo, is_right)])
    area = (high - low).prod(axis=1)
    truth = make_truth(
        count,
        sample_id=names,
        image_id=np.array([f"p{p:04d}" for p in photo]),
        hand_type=np.where(interacting[photo], "interacting", np.where(is_right, "right", "left")),
        known=frozenset(names.tolist()),
        keypoints=np.where(valid[..., None], keypoints, np.nan),
        valid=valid,
        valid_3d=valid_3d,
        visibility=visibility.astype(np.uint8),
        bbox=np.concatenate([low - 12, high - low + [24, 20]], axis=1),
        is_right=is_right.astype(np.int8),
        cluster=np.array([f"c{p // 2}" for p in photo]),
        keypoints_3d=np.where(valid_3d[..., None], joints, np.nan),
        person_area_px2=area * rng.uniform(8, 30, count),
        hand_area_px2=area,
        vertices=mesh,
        **changes,
    )
    predictions = Predictions(
        dataset=truth.dataset,
        split=truth.split,
        model={"name": "random"},
        id=names,
        keypoints=found,
        score=rng.permutation(np.linspace(0.1, 0.9, count)),
        keypoints_3d=found_3d,
        vertices=found_mesh,
        is_right=np.where(rng.random(count) < 0.85, is_right, ~is_right).astype(np.int8),
        input={"box": "gt_annotation"},
        gt_used=("box",),
    )
    return RandomHands(truth, predictions)


def _place(hand: Floats, right: bool, rng: np.random.Generator) -> Floats:
    mirror = np.array([1.0 if right else -1.0, 1.0, 1.0])
    return seen_from_elsewhere(hand * mirror, rng)


def _wrongly_turned(hand: Floats, rng: np.random.Generator, amount: float) -> Floats:
    """A hand turned, scaled and moved by as much as `amount` says."""
    skew = amount * rng.normal(0, 1, (3, 3))
    u, _, vt = np.linalg.svd(np.eye(3) + skew - skew.T)
    scale = np.exp(amount * rng.normal(0, 0.5))
    middle = hand.mean(axis=0)
    moved = middle + amount * rng.normal(0, 0.06, 3)
    turned: Floats = scale * (hand - middle) @ (u @ vt).T + moved
    return turned


def _mesh(joints: Floats, vertices: int, rng: np.random.Generator) -> Floats:
    """(N, V, 3): points around the joints, the same ones in every hand."""
    offsets = rng.normal(0, 0.006, (vertices, 3))
    nearest = np.arange(vertices) % 21
    mesh: Floats = joints[:, nearest] + offsets
    return mesh
