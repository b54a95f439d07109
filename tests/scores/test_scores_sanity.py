"""All guards at once: every slip is named and nothing else, honest models are left alone."""

from __future__ import annotations

import itertools
import json
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from click.testing import CliRunner
from generators.scored import make_predictions, make_truth
from hypothesis import given, settings
from hypothesis import strategies as st

from handbench.camera import transform_points
from handbench.cli import cli
from handbench.hand import NATIVE_ORDERS, ORDER_WORDS, from_canonical, to_canonical
from handbench.hdf5.reader import HandFile
from handbench.metrics import align_procrustes, keypoint_errors
from handbench.predictions.record import Predictions
from handbench.scores.evidence import SAMPLED
from handbench.scores.matching import Matched, match
from handbench.scores.sanity import warnings_about
from handbench.scores.truth import Truth, read_truth
from handbench.synthetic.scene import Split, pictures

Floats = npt.NDArray[np.float64]
NOISES = ((0.0, 0.0), (3.0, 5.0), (15.0, 10.0))
"""Standard deviations: px of x and y, mm of x, y and z."""


# --- hands ----------------------------------------------------------------------------------------


@cache
def plain() -> Truth:
    """Hands of one pose in 200 px images that are stored at half size."""
    return make_truth(40)


@cache
def drawn(hands: int = 480) -> tuple[Floats, Floats]:
    """Right hands of the synthetic generator, (N, 21, 2) px of 224 px images and (N, 21, 3) m."""
    found = []
    for picture in itertools.islice(pictures(3, Split.EVALUATION, 224), hands):
        found.append(picture.view.from_hand(picture.instant.skeleton.keypoints))
    order = np.random.default_rng(3).permutation(hands)  # neighbours are views of one instant
    points_3d = np.array(found)[order]
    on_image = points_3d @ picture.view.camera.T
    return on_image[..., :2] / on_image[..., 2:], points_3d


def cropped(points: Floats, points_3d: Floats, mirrored: npt.NDArray[np.bool_]) -> Truth:
    """Hands anywhere in 640 px images, stored in crops of 224 px, some of them mirrored."""
    count, side = len(points), 224.0
    moved = points + np.random.default_rng(4).uniform([0, 0], [400, 250], (count, 2))[:, None]
    low, high = moved.min(axis=1), moved.max(axis=1)
    scale = side / (1.5 * (high - low).max(axis=1))
    crop = np.tile(np.eye(3), (count, 1, 1))
    crop[:, 0, 0] = crop[:, 1, 1] = scale
    crop[:, :2, 2] = side / 2 - 0.5 - scale[:, None] * (low + high) / 2
    crop[mirrored] = np.array([[-1, 0, side - 1], [0, 1, 0], [0, 0, 1]]) @ crop[mirrored]
    to_source = np.tile(np.eye(3), (count, 1, 1))
    to_source[mirrored, 0, 0] = -1
    return replace(
        make_truth(count),
        keypoints=moved,
        keypoints_3d=points_3d,
        bbox=np.concatenate([low, high - low], axis=1),
        crop=crop,
        stored_width=np.full(count, side),
        to_source_3d=to_source,
        is_right=np.where(mirrored, 0, 1).astype(np.int8),
    )


@cache
def various() -> Truth:
    """Hands in many poses and views; left ones are stored mirrored."""
    points, points_3d = (array[:160] for array in drawn())
    left = np.arange(160) % 3 == 0
    points, points_3d = points.copy(), points_3d.copy()
    points[left, :, 0] = 223 - points[left, :, 0]
    points_3d[left, :, 0] *= -1
    return cropped(points, points_3d, left)


@cache
def fists() -> Truth:
    """The hundred most clenched hands."""
    points, points_3d = drawn()
    from_wrist = np.linalg.norm(points_3d - points_3d[:, :1], axis=-1)
    bent = from_wrist[:, [8, 12, 16, 20]] / from_wrist[:, [5, 9, 13, 17]]
    rows = np.sort(np.argsort(bent.mean(axis=1))[:100])
    assert bent[rows].mean() < 1.2
    return cropped(points[rows], points_3d[rows], np.zeros(100, dtype=bool))


TRUTHS: dict[str, Callable[[], Truth]] = {"plain": plain, "various": various, "fists": fists}


def noisy(truth: Truth, px: float, mm: float) -> Predictions:
    rng = np.random.default_rng(1)
    assert truth.keypoints_3d is not None
    points = truth.keypoints + rng.normal(0, px, truth.keypoints.shape)
    points_3d = truth.keypoints_3d + rng.normal(0, mm / 1000, truth.keypoints_3d.shape)
    return make_predictions(truth, 0.0, keypoints=points, keypoints_3d=points_3d)


def said(predictions: Predictions, truth: Truth) -> list[str]:
    return warnings_about(match(predictions, truth))


def told(predictions: Predictions, truth: Truth) -> str:
    return "\n".join(said(predictions, truth))


# --- slips ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Hands:
    """Honest predictions to spoil."""

    truth: Truth
    honest: Predictions

    @property
    def p(self) -> Floats:
        assert self.honest.keypoints is not None
        return self.honest.keypoints

    @property
    def p3(self) -> Floats:
        assert self.honest.keypoints_3d is not None
        return self.honest.keypoints_3d

    @property
    def stored(self) -> Floats:
        return transform_points(self.truth.crop, self.p)

    def from_stored(self, points: Floats) -> Floats:
        return transform_points(np.linalg.inv(self.truth.crop), points)

    def in_2d(self, points: Floats, **changes: object) -> Predictions:
        return replace(self.honest, keypoints=points, keypoints_3d=None, **changes)

    def in_3d(self, points: Floats, **changes: object) -> Predictions:
        return replace(self.honest, keypoints=None, keypoints_3d=points, **changes)

    def as_stored(self, points: Floats) -> Predictions:
        return self.in_2d(points, frame="stored", crop_sha256=self.truth.crop_sha256)

    def from_root(self, joint: int) -> Floats:
        return self.p3 - self.p3[:, [joint]]


def flip(points: Floats, axis: int, side: float) -> Floats:
    flipped = points.copy()
    flipped[..., axis] = side - 1 - flipped[..., axis]
    return flipped


ANY_ORDER = tuple(np.random.default_rng(9).permutation(21).tolist())
TWO_JOINTS = tuple(np.arange(21)[[*range(6), 7, 6, *range(8, 21)]].tolist())

Spoil = Callable[[Hands], Predictions]
SLIPS_2D: dict[str, tuple[Spoil, str]] = {
    "crop pixels": (
        lambda h: h.in_2d(h.stored),
        '2D keypoints seem to be pixels of the stored crop.*set "frame": "stored"',
    ),
    "source pixels declared as stored": (
        lambda h: h.as_stored(h.p),
        'pixels of the source image, though declared as stored.*set "frame": "source"',
    ),
    "mirrored crops": (
        lambda h: h.in_2d(h.from_stored(flip(h.stored, 0, h.truth.stored_width[0]))),
        r"mirrored left to right.*flip x back \(width - 1 - x\)",
    ),
    "mirrored images": (
        lambda h: h.in_2d(flip(h.p, 0, 640)),
        r"mirrored left to right.*flip x back \(width - 1 - x\)",
    ),
    "upside down": (
        lambda h: h.in_2d(flip(h.p, 1, 480)),
        "upside down, y counted from the bottom.*write height - 1 - y",
    ),
    "turned by 180 degrees": (
        lambda h: h.in_2d(flip(flip(h.p, 0, 640), 1, 480)),
        "turned by 180°.*EXIF",
    ),
    "turned by 90 degrees": (
        lambda h: h.in_2d(flip(h.p, 1, 480)[..., ::-1]),
        "turned by 90°.*EXIF",
    ),
    "turned by -90 degrees": (
        lambda h: h.in_2d(flip(h.p, 0, 640)[..., ::-1]),
        "turned by 90°.*EXIF",
    ),
    "y before x": (lambda h: h.in_2d(h.p[..., ::-1]), r"with y before x.*every joint as \[x, y\]"),
    "y before x in crops": (
        lambda h: h.as_stored(h.stored[..., ::-1]),
        r"with y before x.*every joint as \[x, y\]",
    ),
    **{
        f"order {key}": (
            lambda h, key=key: h.in_2d(from_canonical(h.p, NATIVE_ORDERS[key])),
            f'2D keypoints seem to be in the joint order of {re.escape(ORDER_WORDS[key])}.*"{key}"',
        )
        for key in NATIVE_ORDERS
    },
    "order mano, wrong way": (
        lambda h: h.in_2d(
            from_canonical(from_canonical(h.p, NATIVE_ORDERS["mano"]), NATIVE_ORDERS["mano"])
        ),
        'reordered the wrong way round from MANO.*set "keypoint_order": "mano"',
    ),
    "order interhand, once too often": (
        lambda h: h.in_2d(to_canonical(h.p, NATIVE_ORDERS["interhand"])),
        "reordered from InterHand2.6M .* though they were canonical.*leave that out",
    ),
    "any order": (
        lambda h: h.in_2d(from_canonical(h.p, ANY_ORDER)),
        re.escape(f"canonical now, set it to {np.argsort(ANY_ORDER).tolist()}"),
    ),
    "two joints": (
        lambda h: h.in_2d(from_canonical(h.p, TWO_JOINTS)),
        r"in another joint order \(index_pip, index_dip changed places\)",
    ),
}
SLIPS_3D: dict[str, tuple[Spoil, str]] = {
    **{
        f"order {key}": (
            lambda h, key=key: h.in_3d(from_canonical(h.p3, NATIVE_ORDERS[key])),
            f'3D keypoints seem to be in the joint order of {re.escape(ORDER_WORDS[key])}.*"{key}"',
        )
        for key in NATIVE_ORDERS
    },
    "mirrored": (lambda h: h.in_3d(h.p3 * [-1.0, 1, 1]), "3D keypoints seem to be mirrored.*ate x"),
    "mirrored, y": (
        lambda h: h.in_3d(h.from_root(0) * [1.0, -1, 1], frame_3d="root:wrist"),
        "3D keypoints seem to be mirrored.*negate y$",
    ),
}
# Recognised by where or how large hands are, so there is no error that falls.
OTHER_SLIPS: dict[str, tuple[Spoil, str]] = {
    "0 to 1": (lambda h: h.in_2d((h.p + 0.5) / 800), r"normalised to the image \(0 to 1\)"),
    "-1 to 1": (lambda h: h.in_2d((h.p + 0.5) / 400 - 1), r"normalised to the image \(-1 to 1\)"),
    "0 to 1 of the crop": (
        lambda h: h.as_stored((h.stored + 0.5) / h.truth.stored_width[0]),
        r"normalised to the image \(0 to 1\)",
    ),
    "millimetres": (lambda h: h.in_3d(1000 * h.p3), "in millimetres: expected hands 0.1. m"),
    "centimetres": (lambda h: h.in_3d(100 * h.p3), "in centimetres.*divide by 100$"),
    "metres declared as millimetres": (
        lambda h: h.in_3d(h.p3 / 1000),
        'divided by 1,000 once too often.*"unit": "m"',
    ),
    "units of a bone": (
        lambda h: h.in_3d(h.from_root(9) / 0.03, frame_3d="root:middle_mcp"),
        "impossible size",
    ),
    "OpenGL": (lambda h: h.in_3d(h.p3 * [1.0, -1, -1]), 'OpenGL axes.*"axes": "opengl"'),
    "OpenGL from the wrist": (
        lambda h: h.in_3d(h.from_root(0) * [1.0, -1, -1], frame_3d="root:wrist"),
        "OpenGL axes: MPJPE of centred hands",
    ),
    "root-relative": (
        lambda h: h.in_3d(h.from_root(0)),
        'though declared in camera space.*wrist at the origin.*"frame_3d": "root:wrist"',
    ),
    "relative to the middle knuckle": (
        lambda h: h.in_3d(h.from_root(9)),
        'middle_mcp at the origin.*"frame_3d": "root:middle_mcp"',
    ),
    "centred": (
        lambda h: h.in_3d(h.p3 - h.p3.mean(axis=1, keepdims=True)),
        "the mean of all joints at the origin",
    ),
    "another root": (
        lambda h: h.in_3d(h.from_root(9), frame_3d="root:wrist"),
        'declared relative to wrist.*while middle_mcp is there: set "frame_3d": "root:middle_mcp"',
    ),
    "absolute, declared as relative": (
        lambda h: h.in_3d(h.p3, frame_3d="root:wrist"),
        'if they are in camera space, set "frame_3d": "camera"',
    ),
    "sides": (
        lambda h: replace(h.honest, is_right=(1 - h.truth.is_right).astype(np.int8)),
        "the predicted side disagrees with the truth for 100%",
    ),
    "zeros": (
        lambda h: h.in_2d(np.where(np.arange(len(h.p))[:, None, None] % 4 == 1, 0.0, h.p)),
        r"all 2D joints of \d+ of \d+ predicted hands lie on one point \(first: hands/0001\)",
    ),
    "one hand": (
        lambda h: replace(
            h.honest,
            keypoints=np.repeat(h.p[:1], len(h.p), axis=0),
            keypoints_3d=np.repeat(h.p3[:1], len(h.p), axis=0),
        ),
        "the same hand for every sample: its 2D keypoints and its 3D keypoints",
    ),
}
TOO_FAINT = {
    # Neighbours on a finger are about as far apart as the noise moves them.
    *((SLIPS_2D["two joints"][1], name, 15.0) for name in TRUTHS),
    # Flat hands look much the same from the other side, with the fingers in reverse.
    (SLIPS_3D["order stb"][1], "plain", 15.0),
}
"""Words, hands and noise in px where a slip goes unnoticed."""
_FALLS = re.compile(r"falls from ([\d.]+) to ([\d.]+) (px|mm) on (\d+) hands")


@pytest.mark.parametrize("noise", NOISES, ids=str)
@pytest.mark.parametrize("name", TRUTHS)
@pytest.mark.parametrize(
    ("spoil", "words"),
    [*SLIPS_2D.values(), *SLIPS_3D.values()],
    ids=[*(f"2D {s}" for s in SLIPS_2D), *(f"3D {s}" for s in SLIPS_3D)],
)
def test_a_slip_is_named_with_the_error_that_remains_without_it(
    spoil: Spoil, words: str, name: str, noise: tuple[float, float]
) -> None:
    hands = Hands(TRUTHS[name](), noisy(TRUTHS[name](), *noise))
    spoilt = spoil(hands)
    messages = said(spoilt, hands.truth)
    if not messages:
        assert (words, name, noise[0]) in TOO_FAINT
        return
    assert len(messages) == 1, messages
    assert re.search(words, messages[0])
    falls = _FALLS.search(messages[0])
    assert falls is not None
    assert int(falls[4]) == len(hands.truth)
    before, after = float(falls[1]), float(falls[2])
    assert after == pytest.approx(epe(spoilt, hands.honest, hands.truth), abs=0.3 + 0.02 * noise[0])
    assert after < 0.8 * before


def epe(spoilt: Predictions, honest: Predictions, truth: Truth) -> float:
    """Mean error of `honest` in the space that `spoilt` has: px, or mm once aligned."""
    if spoilt.keypoints is not None:
        assert honest.keypoints is not None
        return float(keypoint_errors(honest.keypoints, truth.keypoints, truth.valid).mean())
    assert honest.keypoints_3d is not None
    assert truth.keypoints_3d is not None
    aligned = align_procrustes(honest.keypoints_3d, truth.keypoints_3d, truth.valid_3d)
    return 1000 * float(keypoint_errors(aligned, truth.keypoints_3d, truth.valid_3d).mean())


@pytest.mark.parametrize("noise", NOISES, ids=str)
@pytest.mark.parametrize("name", TRUTHS)
@pytest.mark.parametrize(("spoil", "words"), OTHER_SLIPS.values(), ids=OTHER_SLIPS)
def test_a_slip_of_place_or_size_is_named_and_nothing_else(
    spoil: Spoil, words: str, name: str, noise: tuple[float, float]
) -> None:
    hands = Hands(TRUTHS[name](), noisy(TRUTHS[name](), *noise))
    messages = said(spoil(hands), hands.truth)
    assert len(messages) == 1, messages
    assert re.search(words, messages[0]), messages[0]


@pytest.mark.parametrize("noise", NOISES, ids=str)
@pytest.mark.parametrize("name", ["various", "fists"])
@pytest.mark.parametrize(
    ("source", "words"),
    [
        (lambda n: np.roll(np.arange(n), -1), "fit the next sample of the split"),
        (lambda n: np.roll(np.arange(n), 1), "fit the previous sample of the split"),
        (lambda n: np.arange(n)[::-1], "the same place from the end.*reversed order"),
    ],
    ids=["next", "previous", "reversed"],
)
def test_hands_under_the_wrong_sample(
    source: Callable[[int], npt.NDArray[np.intp]],
    words: str,
    name: str,
    noise: tuple[float, float],
) -> None:
    truth = TRUTHS[name]()
    honest, rows = noisy(truth, *noise), source(len(truth))
    hands = Hands(truth, honest)
    for spoilt in (hands.in_2d(hands.p[rows]), hands.in_3d(hands.p3[rows])):
        messages = said(spoilt, truth)
        assert len(messages) == 1, messages
        assert re.search(words, messages[0])


@pytest.mark.parametrize("factor", [0.5, 2.0])
@pytest.mark.parametrize("noise", NOISES[:2], ids=str)
def test_resized_images(noise: tuple[float, float], factor: float) -> None:
    hands = Hands(various(), noisy(various(), *noise))
    source = said(hands.in_2d(factor * (hands.p + 0.5) - 0.5), hands.truth)
    assert len(source) == 1
    assert "pixels of the source image at another size" in source[0]
    assert float(re.findall("by about ([0-9.]+) ", source[0])[0]) == pytest.approx(
        1 / factor, rel=0.02
    )
    for spoilt in (hands.in_2d, hands.as_stored):
        stored = said(spoilt(factor * (hands.stored + 0.5) - 0.5), hands.truth)
        assert len(stored) == 1
        assert "pixels of the stored image at another size" in stored[0]


def test_what_2d_and_3d_share_is_said_once() -> None:
    hands = Hands(various(), noisy(various(), 3.0, 5.0))
    order = NATIVE_ORDERS["mano"]
    spoilt = replace(
        hands.honest,
        keypoints=from_canonical(hands.p, order),
        keypoints_3d=from_canonical(hands.p3, order),
    )
    (message,) = said(spoilt, hands.truth)
    assert message.startswith("2D and 3D keypoints seem to be in the joint order of MANO")
    assert "EPE falls from" in message
    assert "PA-MPJPE falls from" in message


def test_slips_that_come_together_are_all_named() -> None:
    hands = Hands(various(), noisy(various(), 3.0, 5.0))
    ho3d = from_canonical(hands.p3, NATIVE_ORDERS["mano"]) * [1.0, -1, -1]
    message = told(hands.in_3d(ho3d), hands.truth)
    assert "joint order of MANO" in message
    assert "OpenGL axes" in message
    mm_from_wrist = 1000 * from_canonical(hands.from_root(0), NATIVE_ORDERS["interhand"])
    message = told(hands.in_3d(mm_from_wrist), hands.truth)
    assert "in millimetres" in message
    assert "joint order of InterHand2.6M" in message
    flipped = replace(
        hands.honest, keypoints=flip(hands.p, 0, 640), keypoints_3d=hands.p3 * [-1.0, 1, 1]
    )
    message = told(flipped, hands.truth)
    assert "2D keypoints seem to be mirrored left to right" in message
    assert "3D keypoints seem to be mirrored" in message


def test_hands_behind_the_camera() -> None:
    hands = Hands(various(), noisy(various(), 3.0, 5.0))
    message = told(hands.in_3d(hands.p3 * [1.0, 1, -1]), hands.truth)
    assert re.search(r"3D hands lie behind the camera: expected z of about 0\.\d+ m", message)
    assert "3D keypoints seem to be mirrored" in message
    assert "OpenGL" not in message


# --- honest models --------------------------------------------------------------------------------


def honest_models(truth: Truth) -> dict[str, Predictions]:
    """From perfect to terrible, each without a slip."""
    rng = np.random.default_rng(5)
    g, g3 = truth.keypoints, truth.keypoints_3d
    assert g3 is not None
    count = len(g)
    low, span = g.min(axis=1, keepdims=True), np.ptp(g, axis=1, keepdims=True)
    size = span.max(axis=-1, keepdims=True)
    centre, centre_3d = g.mean(axis=1, keepdims=True), g3.mean(axis=1, keepdims=True)
    found: dict[str, tuple[Floats, Floats, dict[str, object]]] = {}
    for share in (0.0, 0.02, 0.1, 0.3, 0.6, 1.0, 2.0):
        found[f"noise {share}"] = (
            g + share * size * rng.normal(size=g.shape),
            g3 + share * 0.15 * rng.normal(size=g3.shape),
            {},
        )
        found[f"misplaced {share}"] = (
            g + share * size * rng.normal(size=(count, 1, 2)),
            g3 + share * 0.15 * rng.normal(size=(count, 1, 3)),
            {},
        )
    for factor in (0.3, 0.7, 1.5, 3.0):
        found[f"size {factor}"] = (
            centre + factor * (g - centre),
            centre_3d + factor * (g3 - centre_3d),
            {},
        )
    found["pulled to the mean"] = (0.5 * (g + g.mean(axis=0)), 0.5 * (g3 + g3.mean(axis=0)), {})
    # Where the other hand has the other side, it is indeed mirrored.
    sides = [np.flatnonzero(truth.is_right == side) for side in (0, 1)]
    other = np.arange(count)
    for rows in sides:
        other[rows] = np.roll(rows, 7)
    found["pose of another hand"] = (
        low + (g[other] - low[other]) / span[other] * span,
        g3[other] - centre_3d[other] + centre_3d,
        {},
    )
    found["mean pose in the box"] = (
        low + ((g - low) / span).mean(axis=0) * span,
        g3.mean(axis=0) - g3.mean(axis=(0, 1)) + centre_3d + rng.normal(0, 0.005, g3.shape),
        {},
    )
    angle = rng.uniform(-np.pi / 2, np.pi / 2, count)
    turn = np.stack([np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)], axis=-1)
    found["turned anyhow"] = (
        centre + (g - centre) @ turn.reshape(-1, 2, 2),
        centre_3d + (g3 - centre_3d) * [1.0, 1.0, 0.3],
        {},
    )
    depth = np.where(rng.random(g.shape[:2]) < 0.3, -1.0, 1.0) * (g3[..., 2] - g3[:, :1, 2])
    flipped = np.concatenate([g3[..., :2], (g3[:, :1, 2] + depth)[..., None]], axis=-1)
    found["depth of some joints flipped"] = (g, flipped, {})
    found["wrong absolute depth"] = (g, 1.7 * g3, {})
    for joint, name in ((0, "wrist"), (9, "middle_mcp")):
        for mm in (0.0, 8.0, 60.0):
            found[f"from {name}, {mm} mm"] = (
                g,
                g3 - g3[:, [joint]] + rng.normal(0, mm / 1000, g3.shape),
                {"frame_3d": f"root:{name}"},
            )
    found["from the centre"] = (g, g3 - centre_3d, {"frame_3d": "root:centre"})
    for px in (0.0, 5.0, 60.0):
        found[f"in crops, {px} px"] = (
            transform_points(truth.crop, g) + rng.normal(0, px, g.shape),
            np.einsum("nji,nkj->nki", truth.to_source_3d, g3),
            {"frame": "stored", "crop_sha256": truth.crop_sha256},
        )
    right = np.where(rng.random(count) < 0.5, 1, 0).astype(np.int8)
    found["guessed sides"] = (g, g3, {"is_right": right})
    return {
        name: make_predictions(truth, 0.0, keypoints=points, keypoints_3d=points_3d, **header)
        for name, (points, points_3d, header) in found.items()
    }


def left_hands() -> Truth:
    points, points_3d = (array[:120].copy() for array in drawn())
    points[..., 0] = 223 - points[..., 0]
    points_3d[..., 0] *= -1
    truth = cropped(points, points_3d, np.zeros(120, dtype=bool))
    return replace(truth, is_right=np.zeros(120, dtype=np.int8))


def few_hands() -> Truth:
    points, points_3d = (array[200:212] for array in drawn())
    return cropped(points, points_3d, np.zeros(12, dtype=bool))


@pytest.mark.parametrize("make", [*TRUTHS.values(), left_hands, few_hands, lambda: make_truth(24)])
def test_honest_models_are_never_warned_about(make: Callable[[], Truth]) -> None:
    truth = make()
    for name, predictions in honest_models(truth).items():
        assert said(predictions, truth) == [], name
        assert said(replace(predictions, keypoints_3d=None), truth) == [], name
        assert said(replace(predictions, keypoints=None), truth) == [], name


@pytest.mark.parametrize("noise", [0.0, 3.0, 15.0, 40.0])
def test_noise_alone_is_not_warned_about(noise: float) -> None:
    truth = make_truth(24)
    assert said(make_predictions(truth, noise), truth) == []


@pytest.mark.parametrize("share", [0.9, 0.3, 0.1])
def test_missed_hands_are_counted_and_the_rest_is_judged_alone(share: float) -> None:
    truth = various()
    rows = np.flatnonzero(np.random.default_rng(6).random(len(truth)) < share)
    missed = noisy(truth, 3.0, 5.0)
    assert missed.keypoints is not None
    assert missed.keypoints_3d is not None
    gone = np.delete(np.arange(len(truth)), rows)
    missed.keypoints[gone] = missed.keypoints_3d[gone] = np.nan
    (message,) = said(missed, truth)
    assert message.startswith(f"{len(rows)} predictions for 160 samples: missing hands/")
    assert said(missed, truth.rows(rows)) == []
    wrong = replace(missed, keypoints=missed.keypoints[..., ::-1])
    assert f"on {len(rows)} hands" in said(wrong, truth)[1]


def test_one_pose_for_all_hands_gets_one_warning_and_no_other() -> None:
    truth = various()
    g, g3 = truth.keypoints, truth.keypoints_3d
    assert g3 is not None
    for points, points_3d in (
        (g.mean(axis=0), g3.mean(axis=0)),
        (g[7], g3[7]),
    ):
        constant = make_predictions(
            truth,
            0.0,
            keypoints=np.broadcast_to(points, g.shape),
            keypoints_3d=np.broadcast_to(points_3d, g3.shape),
        )
        (message,) = said(constant, truth)
        assert message.startswith("the model predicts the same hand for every sample: its 2D")
        assert "(160 hands)" in message


@pytest.mark.parametrize("frame_3d", ["camera", "root:wrist"])
def test_all_zeros_are_called_zeros_and_nothing_else(frame_3d: str) -> None:
    truth = various()
    zeros = make_predictions(
        truth,
        0.0,
        keypoints=np.zeros((160, 21, 2)),
        keypoints_3d=np.zeros((160, 21, 3)),
        frame_3d=frame_3d,
    )
    (message,) = said(zeros, truth)
    assert message.startswith(
        "all 2D joints of 160 and all 3D joints of 160 of 160 predicted hands lie on one point"
    )


def test_hands_in_the_middle_of_their_boxes_are_points_and_nothing_else() -> None:
    truth = various()
    centre = truth.keypoints.mean(axis=1, keepdims=True)
    points = make_predictions(truth, 0.0, keypoints=np.repeat(centre, 21, axis=1))
    (message,) = said(points, truth)
    assert "lie on one point" in message


def test_fewer_than_eight_hands_say_nothing() -> None:
    truth = make_truth(7)
    hands = Hands(truth, noisy(truth, 3.0, 5.0))
    assert said(hands.in_2d(hands.stored), truth) == []
    assert said(hands.in_3d(hands.p3 * [1.0, -1, -1]), truth) == []


# --- counts ---------------------------------------------------------------------------------------


def test_what_is_missing_and_how() -> None:
    truth = make_truth(24)
    every_second = make_predictions(truth, rows=slice(0, None, 2))
    assert told(every_second, truth) == (
        "12 predictions for 24 samples: was every second one written?"
    )
    stopped = make_predictions(truth, rows=slice(0, 10))
    assert "the first 10 are there and all others are missing, did the run stop?" in told(
        stopped, truth
    )
    late = make_predictions(truth, rows=slice(0, 20))
    assert "the first 20 are there" in told(late, truth)
    rows = np.delete(np.arange(24), [3, 11])
    assert told(make_predictions(truth, rows=rows), truth).endswith(
        "22 predictions for 24 samples: missing hands/0003, hands/0011"
    )
    three_short = make_predictions(truth, rows=slice(0, 21))
    assert told(three_short, truth).endswith("missing hands/0021, hands/0022, hands/0023")


def test_ids_that_are_unknown_or_come_twice() -> None:
    truth = make_truth(12)
    predictions = make_predictions(truth)
    ids = predictions.id.copy()
    ids[0] = "hands/9999"
    strange = told(replace(predictions, id=ids), truth)
    assert "11 predictions for 12 samples: missing hands/0000" in strange
    assert "1 predictions have ids that are not in sample test and are left out: hands/9999" in (
        strange
    )
    ids[0] = ids[1]
    twice = told(replace(predictions, id=ids), truth)
    assert "1 ids were predicted more than once; the first prediction counts: hands/0001" in twice


def test_nothing_found_at_all_is_no_crash() -> None:
    truth = make_truth(24)
    predictions = make_predictions(truth, keypoints_3d=None)
    assert predictions.keypoints is not None
    predictions.keypoints[:] = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert told(predictions, truth).startswith("0 predictions for 24 samples: missing")


def test_suspicious_truth_is_told_too() -> None:
    truth = make_truth(24)
    points = truth.keypoints.copy()
    points[5] = 3.0
    assert "1 of 24 hands with all 2D joints on one point" in told(
        make_predictions(truth), replace(truth, keypoints=points)
    )


def test_a_large_split_is_sampled() -> None:
    truth = make_truth(5000)
    hands = Hands(truth, make_predictions(truth))
    (message,) = said(hands.in_2d(hands.stored), truth)
    falls = _FALLS.search(message.replace(",", ""))
    assert falls is not None
    assert 1000 < int(falls[4]) <= SAMPLED


# --- guards only look -----------------------------------------------------------------------------


def arrays_of(matched: Matched) -> list[npt.NDArray[np.generic]]:
    found: list[npt.NDArray[np.generic]] = []
    for part in (matched, matched.truth, matched.predictions):
        values = (getattr(part, field.name) for field in fields(part))
        found += [value for value in values if isinstance(value, np.ndarray)]
    return found


SPOILERS = [spoil for slips in (SLIPS_2D, SLIPS_3D, OTHER_SLIPS) for spoil, _ in slips.values()]


@settings(max_examples=25)
@given(
    spoil=st.sampled_from(SPOILERS),
    px=st.sampled_from([0.0, 3.0, 200.0]),
    missed=st.integers(0, 30),
)
def test_guards_alter_nothing(spoil: Spoil, px: float, missed: int) -> None:
    truth = plain()
    spoilt = spoil(Hands(truth, noisy(truth, px, px)))
    keep = np.random.default_rng(missed).permutation(len(truth))[missed:]
    columns = {name: values[keep] for name, values in spoilt.columns().items()}
    matched = match(replace(spoilt, **columns), truth)
    before = arrays_of(matched)
    copies = [array.copy() for array in before]
    warnings_about(matched)
    after = arrays_of(matched)
    for array, same, copy in zip(before, after, copies, strict=True):
        assert same is array
        assert same.tobytes() == copy.tobytes()


# --- a real model on real photos ------------------------------------------------------------------


@pytest.mark.real_data
@pytest.mark.parametrize("model", ["lite", "full"])
def test_mediapipe_on_real_photos_gets_no_false_warning(
    real_data: Path, tmp_path: Path, model: str
) -> None:
    from tools.mediapipe_to_predictions import to_predictions

    source, out = real_data / "realhands_coco", tmp_path / "realhands.h5"
    converting = ["convert", "coco", "--annotations", str(source / "annotations.json")]
    converting += ["--images-dir", str(source / "images"), "--name", "realhands", "--out", str(out)]
    CliRunner().invoke(cli, converting, catch_exceptions=False)
    with HandFile(out) as file:
        truth = read_truth(file, "test")
    found = json.loads((real_data / f"mediapipe_{model}_realhands.json").read_text("utf-8"))
    predictions = to_predictions(found, "realhands", "test", model)
    missing = sum(hand is None for hand in found.values())
    counted = [f"{300 - missing} predictions for 300 samples: missing 00284, 00285, 00286"]
    expected = counted if missing else []
    assert said(predictions, truth) == expected
    # These photos do not say which hand they show. If they did, MediaPipe's own names of sides,
    # which hold for a mirrored selfie, would be found out: the converter has swapped them.
    assert predictions.is_right is not None
    sided = np.full(len(truth), -1, dtype=np.int8)
    row_of = {name: row for row, name in enumerate(truth.sample_id.tolist())}
    sided[[row_of[name] for name in predictions.id.tolist()]] = predictions.is_right
    selfie = np.where(predictions.is_right < 0, -1, 1 - predictions.is_right).astype(np.int8)
    *rest, message = said(replace(predictions, is_right=selfie), replace(truth, is_right=sided))
    assert rest == expected
    assert message.startswith("the predicted side disagrees with the truth for 100%")
    # And real predictions with a slip are recognised as well as synthetic ones.
    hands = Hands(truth, predictions)
    for key, order in NATIVE_ORDERS.items():
        spoilt = replace(
            predictions,
            keypoints=from_canonical(hands.p, order),
            keypoints_3d=from_canonical(hands.p3, order),
        )
        *_, message = said(spoilt, truth)
        assert message.startswith(
            f"2D and 3D keypoints seem to be in the joint order of {ORDER_WORDS[key]}"
        )
    mirrored = replace(predictions, keypoints=flip(hands.p, 0, 256), keypoints_3d=None)
    assert "mirrored left to right" in told(mirrored, truth)
    opengl = replace(predictions, keypoints_3d=hands.p3 * [1.0, -1, -1])
    assert "OpenGL axes" in told(opengl, truth)
    assert "root-relative" in told(replace(predictions, frame_3d="camera"), truth)
