"""Write the confusion tables of docs/diagnosis.md: inject every kind of error, then diagnose it.

python tests/tools/make_confusion.py

Hands of the synthetic generator in poses and views that vary as in the quickstart's data set; every
other image holds two hands. Predictions are the truth with Gaussian noise; into these one kind of
error at a time is put, and only the keypoints that were touched are counted.
"""

from __future__ import annotations

import functools
import itertools
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from generators.scored import make_predictions, make_truth

from handbench.hand import FINGERS, NUM_JOINTS, WRIST
from handbench.metrics import keypoint_errors, normalise, tight_size
from handbench.scores.error_classes import GOOD, JITTER, NAMES, KeypointClass, classify
from handbench.scores.matching import Matched, match
from handbench.scores.truth import Truth
from handbench.synthetic.scene import Split, pictures

PAGE = Path(__file__).resolve().parents[2] / "docs" / "diagnosis.md"
HANDS = 800
SEED = 7
NOISES = (0.012, 0.02)
"""Standard deviation of x and y, tight boxes. The mean error is 1.25 times as large."""
NOISE_3D_M = 0.004

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
_FINGERS = np.array(list(FINGERS.values()))


@dataclass
class Hands:
    """Predictions to spoil. N hands; hand i and `partner[i]` are in one image, -1 alone."""

    truth: Truth
    size: Floats
    partner: npt.NDArray[np.intp]
    noise: float
    rng: np.random.Generator
    p: Floats
    p3: Floats

    @property
    def g(self) -> Floats:
        return self.truth.keypoints

    @property
    def rows(self) -> npt.NDArray[np.intp]:
        return np.arange(len(self.size))

    def none(self) -> Bools:
        return np.zeros(self.p.shape[:2], dtype=bool)

    def noisy(self, points: Floats, rows: npt.NDArray[np.intp]) -> Floats:
        """Points (M, …, 2) of hands `rows` with the model's usual noise."""
        spread = self.noise * self.size[rows].reshape(-1, *(1,) * (points.ndim - 1))
        return points + self.rng.normal(size=points.shape) * spread

    def directions(self, shape: tuple[int, ...]) -> Floats:
        angle = self.rng.uniform(0, 2 * np.pi, shape)
        return np.stack([np.cos(angle), np.sin(angle)], axis=-1)


Injection = Callable[[Hands], Bools]
"""Spoils `p` or `p3` in place; returns (N, 21) which keypoints it touched."""


@functools.cache
def synthetic_truth(seed: int) -> tuple[Truth, npt.NDArray[np.intp]]:
    """HANDS labelled hands, 2D and 3D, and the partner of each."""
    rng = np.random.default_rng(seed)
    g3 = np.empty((HANDS, NUM_JOINTS, 3))
    g = np.empty((HANDS, NUM_JOINTS, 2))
    drawn = itertools.islice(pictures(seed, Split.EVALUATION, 224), HANDS)
    for row, picture in enumerate(drawn):
        g3[row] = picture.view.from_hand(picture.instant.skeleton.keypoints)
        on_image = g3[row] @ picture.view.camera.T
        g[row] = on_image[:, :2] / on_image[:, 2:]
    order = rng.permutation(HANDS)  # neighbours are views of one instant
    g, g3 = g[order], g3[order]
    partner = np.full(HANDS, -1)
    paired = np.arange(0, HANDS // 2)
    partner[paired] = paired ^ 1
    first, second = paired[::2], paired[1::2]
    # The second hand of an image is a left one of similar size, beside the first or over it.
    size = np.ptp(g, axis=1).max(axis=1)
    middle = (g.min(axis=1) + g.max(axis=1)) / 2
    mirror = np.array([-1.0, 1.0])
    factor = size[first] / size[second] * rng.uniform(0.8, 1.25, len(first))
    angle = rng.uniform(0, 2 * np.pi, len(first))
    away = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    away *= (size[first] * rng.uniform(0.3, 1.5, len(first)))[:, None]
    own = (g[second] - middle[second, None]) * mirror * factor[:, None, None]
    g[second] = own + (middle[first] + away)[:, None]
    g3[second, :, 0] *= -1
    image = np.array([f"image {min(i, j) if j >= 0 else i}" for i, j in enumerate(partner)])
    truth = replace(make_truth(HANDS), keypoints=g, keypoints_3d=g3, image_id=image)
    return truth, partner


# --- what is injected -----------------------------------------------------------------------------


def nothing(hands: Hands) -> Bools:
    return ~hands.none()


def jitter(hands: Hands) -> Bools:
    """Seven of ten keypoints between 0.055 and 0.095 off, each in its own direction."""
    touched = hands.rng.random(hands.none().shape) < 0.7
    length = hands.rng.uniform(0.055, 0.095, touched.shape) * hands.size[:, None]
    moved = hands.g + hands.directions(touched.shape) * length[..., None]
    hands.p[touched] = moved[touched]
    return touched


def miss(clear: bool) -> Injection:
    """Two keypoints anywhere in 1.5 tight boxes, at least 0.12 off; `clear` of all joints."""

    def inject(hands: Hands) -> Bools:
        touched = hands.none()
        middle = (hands.g.min(axis=1) + hands.g.max(axis=1)) / 2
        for row in hands.rows:
            near = [row] if hands.partner[row] < 0 else [row, hands.partner[row]]
            joints = hands.g[near].reshape(-1, 2)
            tries = middle[row] + hands.rng.uniform(-0.75, 0.75, (200, 2)) * hands.size[row]
            gap = np.linalg.norm(tries[:, None] - joints, axis=-1) / hands.size[row]
            for joint in hands.rng.choice(NUM_JOINTS, 2, replace=False):
                allowed = gap[:, joint] >= 0.12
                if clear:
                    allowed &= gap.min(axis=1) >= 0.07
                hands.p[row, joint] = hands.rng.choice(tries[allowed])
                touched[row, joint] = True
        return touched

    return inject


def two_fingers(hands: Hands) -> Bools:
    """Two neighbouring fingers exchanged."""
    touched = hands.none()
    finger = hands.rng.integers(0, 4, HANDS)
    rows, a, b = hands.rows[:, None], _FINGERS[finger], _FINGERS[finger + 1]
    hands.p[rows, a], hands.p[rows, b] = hands.p[rows, b], hands.p[rows, a]
    touched[rows, a] = touched[rows, b] = True
    return touched


def joint_of_another_finger(hands: Hands) -> Bools:
    """One keypoint at the same joint of any other finger."""
    touched = hands.none()
    finger, place = hands.rng.integers(0, 5, HANDS), hands.rng.integers(0, 4, HANDS)
    other = (finger + hands.rng.integers(1, 5, HANDS)) % 5
    rows, joint = hands.rows, _FINGERS[finger, place]
    hands.p[rows, joint] = hands.noisy(hands.g[rows, _FINGERS[other, place]], rows)
    touched[rows, joint] = True
    return touched


def reversed_finger(hands: Hands) -> Bools:
    """The four keypoints of one finger from tip to base."""
    touched = hands.none()
    rows, joints = hands.rows[:, None], _FINGERS[hands.rng.integers(0, 5, HANDS)]
    hands.p[rows, joints] = hands.p[rows, joints[:, ::-1]]
    touched[rows, joints] = True
    return touched


def joint_of_same_finger(hands: Hands) -> Bools:
    """One keypoint at another joint of its finger."""
    touched = hands.none()
    finger, place = hands.rng.integers(0, 5, HANDS), hands.rng.integers(0, 4, HANDS)
    other = (place + hands.rng.integers(1, 4, HANDS)) % 4
    rows, joint = hands.rows, _FINGERS[finger, place]
    hands.p[rows, joint] = hands.noisy(hands.g[rows, _FINGERS[finger, other]], rows)
    touched[rows, joint] = True
    return touched


def hand_on_other_hand(hands: Hands) -> Bools:
    """The whole prediction of one hand is that of the other hand in the image."""
    rows = np.flatnonzero(hands.partner >= 0)
    hands.p[rows] = hands.p[hands.partner[rows]]
    touched = hands.none()
    touched[rows] = True
    return touched


def finger_on_other_hand(hands: Hands) -> Bools:
    """One finger lies on the same finger of the other hand in the image."""
    touched = hands.none()
    rows = np.flatnonzero(hands.partner >= 0)
    joints = _FINGERS[hands.rng.integers(0, 5, len(rows))]
    there = hands.g[hands.partner[rows, None], joints]
    hands.p[rows[:, None], joints] = hands.noisy(there, hands.partner[rows])
    touched[rows[:, None], joints] = True
    return touched


def shifted(hands: Hands) -> Bools:
    """The hand 0.1 to 0.6 tight boxes off."""
    length = hands.rng.uniform(0.1, 0.6, HANDS) * hands.size
    hands.p += (hands.directions((HANDS,)) * length[:, None])[:, None]
    return ~hands.none()


def scaled(hands: Hands) -> Bools:
    """The hand 1.2 to 1.8 times too large or too small about the centre of its box."""
    factor = hands.rng.uniform(1.2, 1.8, HANDS) ** hands.rng.choice([-1, 1], HANDS)
    middle = ((hands.g.min(axis=1) + hands.g.max(axis=1)) / 2)[:, None]
    hands.p[:] = middle + factor[:, None, None] * (hands.p - middle)
    return ~hands.none()


def shifted_and_scaled(hands: Hands) -> Bools:
    scaled(hands)
    return shifted(hands)


def mirrored_depth(hands: Hands) -> Bools:
    """A third of the keypoints that are 15 mm or more from the wrist's depth, mirrored there."""
    mirrored = hands.rng.random(hands.none().shape) < 1 / 3
    return mirror_depth(hands, mirrored, np.full(NUM_JOINTS, WRIST))


def mirrored_finger(hands: Hands) -> Bools:
    """One finger mirrored in depth at its first joint."""
    mirrored = hands.none()
    mirrored[hands.rows[:, None], _FINGERS[hands.rng.integers(0, 5, HANDS)]] = True
    return mirror_depth(hands, mirrored, np.array([WRIST, *np.repeat(_FINGERS[:, 0], 4)]))


def mirror_depth(hands: Hands, mirrored: Bools, at: npt.NDArray[np.intp]) -> Bools:
    """Mirror depths at those of the joints `at`; touched are joints 15 mm or more from there."""
    truth = hands.truth.keypoints_3d
    assert truth is not None
    depth = hands.p3[..., 2]
    hands.p3[..., 2] = np.where(mirrored, 2 * depth[:, at] - depth, depth)
    return mirrored & (np.abs(truth[..., 2] - truth[:, at, 2]) >= 0.015)


def wrong_depth(hands: Hands) -> Bools:
    """A third of the keypoints 40 to 80 mm too near or too far."""
    touched = hands.rng.random(hands.none().shape) < 1 / 3
    touched[:, WRIST] = False
    sign = hands.rng.choice([-1, 1], touched.shape)
    hands.p3[..., 2] += touched * sign * hands.rng.uniform(0.04, 0.08, touched.shape)
    return touched


def noisy_depth(hands: Hands) -> Bools:
    """Depths of all keypoints with three times the usual noise."""
    hands.p3[..., 2] += hands.rng.normal(0, np.sqrt(8) * NOISE_3D_M, hands.none().shape)
    return ~hands.none()


def between_two_joints(hands: Hands) -> Bools:
    """Half-way between a joint of the same and a joint of another finger at most 0.04 apart."""
    touched = hands.none()
    gap = np.linalg.norm(hands.g[:, :, None] - hands.g[:, None], axis=-1)
    gap /= hands.size[:, None, None]
    finger = np.repeat(np.arange(5), 4)
    for row, a, b in np.argwhere(gap[:, 1:, 1:] <= 0.04):
        if finger[a] != finger[b]:
            joint = 1 + hands.rng.choice(np.flatnonzero(finger == finger[a]))
            if joint != 1 + a:
                hands.p[row, joint] = hands.g[row, [1 + a, 1 + b]].mean(axis=0)
                touched[row, joint] = True
    return touched


def no_prediction(hands: Hands) -> Bools:
    """A third of the hands are not predicted."""
    touched = hands.none()
    touched[hands.rng.random(HANDS) < 1 / 3] = True
    hands.p[touched] = hands.p3[touched] = np.nan
    return touched


def very_noisy(hands: Hands) -> Bools:
    """Gaussian noise of 0.08 tight boxes a coordinate."""
    hands.p += hands.rng.normal(0, 0.08, hands.p.shape) * hands.size[:, None, None]
    return ~hands.none()


def turned(hands: Hands) -> Bools:
    """The hand turned by 30° to 60° about the middle of its box."""
    angle = np.radians(hands.rng.uniform(30, 60, HANDS)) * hands.rng.choice([-1, 1], HANDS)
    turn = np.stack([np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)], axis=-1)
    middle = ((hands.g.min(axis=1) + hands.g.max(axis=1)) / 2)[:, None]
    hands.p[:] = middle + (hands.p - middle) @ turn.reshape(-1, 2, 2).transpose(0, 2, 1)
    return ~hands.none()


def another_pose(hands: Hands) -> Bools:
    """Any other hand of the set, moved and scaled into the right box."""
    low, span = hands.g.min(axis=1, keepdims=True), np.ptp(hands.g, axis=1, keepdims=True)
    other = np.roll(hands.rows, 7)
    hands.p[:] = low + (hands.p[other] - low[other]) / span[other] * span
    return ~hands.none()


K = KeypointClass
INJECTIONS: tuple[tuple[str, KeypointClass | None, Injection, float], ...] = (
    ("good: noise alone", K.GOOD, nothing, 0.0),
    ("jitter", K.JITTER, jitter, 0.0),
    ("miss: clear of all joints", K.MISS, miss(True), 0.0),
    ("miss: anywhere", K.MISS, miss(False), 0.0),
    ("swap: two fingers", K.SWAP, two_fingers, JITTER),
    ("swap: one joint", K.SWAP, joint_of_another_finger, JITTER),
    ("inversion: finger reversed", K.INVERSION, reversed_finger, JITTER),
    ("inversion: one joint", K.INVERSION, joint_of_same_finger, JITTER),
    ("other hand: whole hand", K.OTHER_HAND, hand_on_other_hand, JITTER),
    ("other hand: one finger", K.OTHER_HAND, finger_on_other_hand, JITTER),
    ("whole hand: shifted", K.WHOLE_HAND, shifted, GOOD),
    ("whole hand: scaled", K.WHOLE_HAND, scaled, GOOD),
    ("whole hand: both", K.WHOLE_HAND, shifted_and_scaled, GOOD),
    ("depth flip: at the wrist", K.DEPTH_FLIP, mirrored_depth, 0.0),
    ("depth flip: one finger", K.DEPTH_FLIP, mirrored_finger, 0.0),
    ("ambiguous", K.AMBIGUOUS, between_two_joints, JITTER),
    ("missed hand", K.MISSED_HAND, no_prediction, 0.0),
    ("(noise of 0.08)", None, very_noisy, JITTER),
    ("(hand turned by 30°–60°)", None, turned, JITTER),
    ("(pose of another hand)", None, another_pose, JITTER),
    ("(depth noise of 12 mm)", None, noisy_depth, 0.0),
    ("(depth off by 40–80 mm)", None, wrong_depth, 0.0),
)
"""What is injected, the class it should get, and the error below which it changed nothing.

Rows in brackets have no class of their own: they show what chance alone is taken for.
"""


@dataclass(frozen=True)
class Row:
    """Share of each class (10,) among the `keypoints` that one injection touched."""

    label: str
    kind: KeypointClass | None
    keypoints: int
    shares: Floats

    @property
    def right(self) -> float:
        return float(self.shares[self.kind]) if self.kind is not None else float("nan")


def confusion(noise: float, seed: int = SEED) -> list[Row]:
    """One row an injection, into predictions with this noise."""
    truth, partner = synthetic_truth(seed)
    size = tight_size(truth.keypoints, truth.valid)
    rows = []
    for number, (label, kind, inject, least) in enumerate(INJECTIONS):
        rng = np.random.default_rng([seed, number])
        assert truth.keypoints_3d is not None
        p3 = truth.keypoints_3d + rng.normal(0, NOISE_3D_M, truth.keypoints_3d.shape)
        hands = Hands(truth, size, partner, noise, rng, truth.keypoints.copy(), p3)
        hands.p = hands.noisy(hands.p, hands.rows)
        touched = inject(hands)
        errors = normalise(keypoint_errors(hands.p, truth.keypoints, truth.valid), size)
        touched &= errors >= least
        codes = classify(matched(hands)).codes[touched]
        counts = np.bincount(codes, minlength=len(NAMES))
        rows.append(Row(label, kind, len(codes), counts / len(codes)))
    return rows


def matched(hands: Hands) -> Matched:
    predictions = make_predictions(hands.truth, 0.0, keypoints=hands.p, keypoints_3d=hands.p3)
    return match(predictions, hands.truth)


# --- the page -------------------------------------------------------------------------------------


def marks(noise: float) -> tuple[str, str]:
    return f"<!-- confusion {noise}: begin -->", f"<!-- confusion {noise}: end -->"


def markdown(rows: list[Row]) -> str:
    """Percentages; the right class in bold, nothing below half a percent."""
    lines = [
        "| injected | keypoints | " + " | ".join(NAMES) + " |",
        "|---|" + "---:|" * (1 + len(NAMES)),
    ]
    for row in rows:
        cells = [f"{100 * share:.0f}" if share >= 0.005 else "" for share in row.shares]
        if row.kind is not None:
            cells[row.kind] = f"**{cells[row.kind] or 0}**"
        lines.append(f"| {row.label} | {row.keypoints:,} | {' | '.join(cells)} |")
    return "\n".join(lines)


def read_table(page: str, noise: float) -> dict[str, list[int]]:
    """Injected error → percentages (10,) as the page has them."""
    begin, end = marks(noise)
    table = page.split(begin)[1].split(end)[0].strip().splitlines()[2:]
    cells = [[cell.strip(" *") for cell in line.strip("|").split("|")] for line in table]
    return {row[0]: [int(cell or 0) for cell in row[2:]] for row in cells}


def main() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for noise in NOISES:
        begin, end = marks(noise)
        before, rest = page.split(begin)
        _, after = rest.split(end)
        page = f"{before}{begin}\n{markdown(confusion(noise))}\n{end}{after}"
    PAGE.write_text(page, encoding="utf-8")
    print(PAGE)


if __name__ == "__main__":
    main()
