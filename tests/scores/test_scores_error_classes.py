from __future__ import annotations

import doctest
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from generators.scored import make_predictions, make_truth
from tools import make_confusion

from handbench.errors import ScoreError
from handbench.scores.error_classes import (
    MEANINGS,
    NAMES,
    NOT_DIAGNOSED,
    Classified,
    KeypointClass,
    classify,
)
from handbench.scores.matching import match
from handbench.scores.truth import Truth

K = KeypointClass
Floats = npt.NDArray[np.float64]

# A hand whose tight box is 100 px, so that 1 px is 0.01: thumb to pinky stand 25 px apart as
# columns, base to tip 25 px apart from below; the wrist is below the middle finger.
GRID = np.array([[50, 100], *([25 * f, 75 - 25 * j] for f in range(5) for j in range(4))], float)
WRIST, INDEX_PIP, INDEX_DIP, INDEX_TIP, MIDDLE_DIP, MIDDLE_TIP = 0, 6, 7, 8, 11, 12
BASE_OF = [0, *np.repeat([1, 5, 9, 13, 17], 4)]


def truth_of(*hands: Floats, **changes: Any) -> Truth:
    """Hands given by their keypoints, each in an image of its own."""
    points = np.stack(hands)
    truth = replace(make_truth(len(points)), keypoints=points, keypoints_3d=None)
    return replace(truth, valid=np.isfinite(points).all(axis=-1), **changes)


def classified(truth: Truth, points: Floats | None, points_3d: Floats | None = None) -> Classified:
    predictions = replace(
        make_predictions(make_truth(len(truth))), keypoints=points, keypoints_3d=points_3d
    )
    return classify(match(predictions, truth))


def moved(joints: dict[int, tuple[float, float]], truth: Truth | None = None) -> Classified:
    """The hand of the grid, or the first of `truth`, with some predicted keypoints elsewhere."""
    truth = truth_of(GRID) if truth is None else truth
    points = truth.keypoints.copy()
    for joint, place in joints.items():
        points[0, joint] = place
    return classified(truth, points)


def kinds(found: Classified, row: int = 0) -> list[K]:
    return [K(code) for code in found.codes[row]]


def only(expected: dict[int, K], found: Classified) -> bool:
    """Whether the first hand has these classes, and is good otherwise."""
    return kinds(found) == [expected.get(joint, K.GOOD) for joint in range(21)]


def test_every_class_has_a_name_and_a_meaning() -> None:
    assert len(NAMES) == len(MEANINGS) == len(K)
    assert NAMES[K.OTHER_HAND] == "other hand"
    assert MEANINGS[K.JITTER] == "within 0.1 of its place"


# --- near its own place --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error_px", "kind"),
    [(0.0, K.GOOD), (5.0, K.GOOD), (5.01, K.JITTER), (10.0, K.JITTER), (10.01, K.MISS)],
)
def test_good_jitter_and_miss_by_distance(error_px: float, kind: K) -> None:
    found = moved({INDEX_PIP: (25 + error_px, 50)})
    assert only({INDEX_PIP: kind}, found)
    assert found.errors[0, INDEX_PIP] == pytest.approx(error_px / 100)
    assert (found.landed == -1).all()


def test_the_longer_side_of_the_tight_box_is_the_unit() -> None:
    narrow = GRID * [0.4, 1.0]
    found = moved({INDEX_PIP: (10, 60)}, truth_of(narrow))
    assert found.codes[0, INDEX_PIP] == K.JITTER


def test_the_own_place_comes_before_any_other_joint() -> None:
    close = GRID.copy()
    close[MIDDLE_TIP] = (34, 0)
    found = moved({INDEX_TIP: (34, 0)}, truth_of(close))
    assert only({INDEX_TIP: K.JITTER}, found)


# --- at another joint of the same hand -----------------------------------------------------------


@pytest.mark.parametrize(
    ("joint", "place", "kind", "landed"),
    [
        (INDEX_TIP, (50, 0), K.SWAP, MIDDLE_TIP),
        (INDEX_TIP, (45, 0), K.SWAP, MIDDLE_TIP),
        (INDEX_TIP, (44.9, 0), K.MISS, -1),
        (INDEX_TIP, (50, 25), K.SWAP, MIDDLE_DIP),  # any joint of the other finger
        (INDEX_TIP, (25, 25), K.INVERSION, INDEX_DIP),
        (INDEX_TIP, (25, 20), K.INVERSION, INDEX_DIP),
        (INDEX_TIP, (25, 19.9), K.MISS, -1),
        (INDEX_TIP, (50, 100), K.MISS, -1),  # the wrist is of no finger
        (WRIST, (50, 75), K.MISS, -1),
        (1, (100, 0), K.SWAP, 20),
        (20, (100, 75), K.INVERSION, 17),
    ],
)
def test_swap_and_inversion(joint: int, place: tuple[float, float], kind: K, landed: int) -> None:
    found = moved({joint: place})
    assert only({joint: kind}, found)
    assert found.landed[0, joint] == landed
    assert np.count_nonzero(found.landed >= 0) == (landed >= 0)


def test_two_exchanged_fingers_land_at_each_other() -> None:
    truth = truth_of(GRID)
    points = truth.keypoints.copy()
    points[0, 5:13] = points[0, [9, 10, 11, 12, 5, 6, 7, 8]]
    found = classified(truth, points)
    assert only(dict.fromkeys(range(5, 13), K.SWAP), found)
    assert found.landed[0, 5:13].tolist() == [9, 10, 11, 12, 5, 6, 7, 8]


def test_an_unlabelled_joint_explains_nothing() -> None:
    truth = truth_of(GRID)
    valid = truth.valid.copy()
    valid[0, MIDDLE_TIP] = False  # its coordinates are in the file all the same
    found = moved({INDEX_TIP: (50, 0)}, replace(truth, valid=valid))
    assert found.codes[0, INDEX_TIP] == K.MISS
    assert found.codes[0, MIDDLE_TIP] == NOT_DIAGNOSED


@pytest.mark.parametrize(
    ("x", "middle_x", "kind"),
    [
        (27.0, 29, K.AMBIGUOUS),
        (26.6, 29, K.AMBIGUOUS),  # 0.016 from its own finger, 0.024 from the other
        (26.4, 29, K.INVERSION),  # 0.014 and 0.026
        (27.6, 29, K.SWAP),
        (29.9, 35, K.INVERSION),  # 0.049 and 0.051: the second would not do on its own
        (30.0, 35, K.AMBIGUOUS),
    ],
)
def test_ambiguous_between_two_fingers(x: float, middle_x: float, kind: K) -> None:
    close = GRID.copy()
    close[MIDDLE_DIP] = (middle_x, 25)
    found = moved({INDEX_TIP: (x, 25)}, truth_of(close))
    assert found.codes[0, INDEX_TIP] == kind
    assert (found.landed[0, INDEX_TIP] >= 0) == (kind != K.AMBIGUOUS)


# --- on another hand -----------------------------------------------------------------------------

BESIDE = 2 * GRID + [300, 0]  # twice as large: its unit is 200 px
PAIR = truth_of(GRID, BESIDE, image_id=np.array(["photo", "photo"]))


def on_the_other(joints: list[int], off_px: float = 0.0, truth: Truth = PAIR) -> Classified:
    """Keypoints of the first hand on the same joints of the second."""
    return moved({joint: tuple(BESIDE[joint] + [off_px, 0.0]) for joint in joints}, truth)


@pytest.mark.parametrize(("off_px", "kind"), [(0, K.OTHER_HAND), (10, K.OTHER_HAND), (11, K.MISS)])
def test_one_keypoint_on_the_other_hand(off_px: float, kind: K) -> None:
    found = on_the_other([INDEX_TIP], off_px)
    assert only({INDEX_TIP: kind}, found)
    assert kinds(found, 1) == [K.GOOD] * 21
    assert (found.landed == -1).all()


def test_only_the_same_joint_of_the_other_hand_counts() -> None:
    found = moved({INDEX_TIP: tuple(BESIDE[MIDDLE_TIP])}, PAIR)
    assert found.codes[0, INDEX_TIP] == K.MISS


@pytest.mark.parametrize(
    ("count", "kind"), [(14, K.OTHER_HAND), (13, K.MISS)], ids=["two thirds", "fewer"]
)
def test_two_thirds_on_the_other_hand_may_be_as_far_off_as_jitter(count: int, kind: K) -> None:
    found = on_the_other(list(range(count)), off_px=20)
    assert only(dict.fromkeys(range(count), kind), found)
    assert on_the_other(list(range(count)), off_px=20.1).codes[0, 0] == K.MISS


def test_unlabelled_keypoints_do_not_help_a_hand_to_be_on_another() -> None:
    valid = PAIR.valid.copy()
    valid[0, 12:] = False
    truth = replace(PAIR, valid=valid)
    points = truth.keypoints.copy()
    points[0, 5:] = np.add(BESIDE[5:], (20.0, 0.0))  # 7 of 12 that are labelled, and all others
    found = classified(truth, points)
    assert found.codes[0, 5:12].tolist() == [K.MISS] * 7
    points[0, 4] = BESIDE[4] + (20.0, 0.0)
    assert classified(truth, points).codes[0, 4:12].tolist() == [K.OTHER_HAND] * 8


def test_a_whole_hand_on_the_other_is_not_a_misplaced_one() -> None:
    # The other hand has the same pose, so a shift and a scale would explain it too.
    found = on_the_other(list(range(21)))
    assert kinds(found) == [K.OTHER_HAND] * 21
    assert np.isnan(found.scale).all()


@pytest.mark.parametrize("photos", [["a", "b"], ["", ""]], ids=["two photos", "unknown photos"])
def test_hands_of_different_or_unknown_photos_are_no_partners(photos: list[str]) -> None:
    found = on_the_other([INDEX_TIP], truth=replace(PAIR, image_id=np.array(photos)))
    assert only({INDEX_TIP: K.MISS}, found)


def test_unknown_photos_do_not_disturb_the_others() -> None:
    truth = truth_of(GRID, GRID, GRID + 500, BESIDE, image_id=np.array(["photo", "", "", "photo"]))
    found = on_the_other([INDEX_TIP], truth=truth)
    assert only({INDEX_TIP: K.OTHER_HAND}, found)


def test_every_other_hand_of_a_photo_is_tried() -> None:
    hands = [GRID, np.add(GRID, (0, 500)), BESIDE, np.add(GRID, (0, 900))]
    truth = truth_of(*hands, image_id=np.full(4, "photo"))
    found = on_the_other([INDEX_TIP, MIDDLE_TIP], truth=truth)
    assert only({INDEX_TIP: K.OTHER_HAND, MIDDLE_TIP: K.OTHER_HAND}, found)


def test_ambiguous_between_a_finger_and_the_other_hand() -> None:
    over = GRID.copy()
    over[INDEX_TIP] = (52, 2)  # the other hand's index tip is at this hand's middle tip
    truth = truth_of(GRID, over, image_id=np.array(["photo", "photo"]))
    assert moved({INDEX_TIP: (51, 1)}, truth).codes[0, INDEX_TIP] == K.AMBIGUOUS
    assert moved({INDEX_TIP: (52, 2)}, truth).codes[0, INDEX_TIP] == K.OTHER_HAND
    assert moved({INDEX_TIP: (50, 0)}, truth).codes[0, INDEX_TIP] == K.SWAP


# --- the hand as a whole -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shift", "scale"),
    [((0.3, 0.2), 1.0), ((0.08, 0.0), 1.0), ((0.0, 0.0), 1.5), ((-0.2, 0.4), 0.6)],
)
def test_shift_and_scale_of_a_hand(shift: tuple[float, float], scale: float) -> None:
    middle = GRID.mean(axis=0)
    points = middle + scale * (GRID - middle) + 100 * np.array(shift)
    found = classified(truth_of(GRID), points[None])
    expected = [K.WHOLE_HAND if error > 0.05 else K.GOOD for error in found.errors[0]]
    assert kinds(found) == expected
    assert expected.count(K.WHOLE_HAND) >= 15
    assert found.scale == pytest.approx(scale)
    assert found.shift[0] == pytest.approx(shift)


def test_what_the_fit_does_not_explain_is_judged_alone_and_does_not_disturb_it() -> None:
    points = GRID[None] + [30.0, 0.0]
    points[0, INDEX_TIP] = (300, 300)
    points[0, MIDDLE_TIP] = GRID[INDEX_TIP]
    found = classified(truth_of(GRID), points)
    codes = dict.fromkeys(range(21), K.WHOLE_HAND)
    assert only({**codes, INDEX_TIP: K.MISS, MIDDLE_TIP: K.SWAP}, found)
    assert found.shift[0] == pytest.approx((0.3, 0.0))
    assert found.scale == pytest.approx(1.0)


def test_after_the_fit_a_wrong_point_may_be_as_far_off_as_jitter() -> None:
    points = GRID[None] + [30.0, 0.0]
    points[0, INDEX_TIP, 1] -= 9.0
    points[0, MIDDLE_TIP, 1] -= 11.0
    found = classified(truth_of(GRID), points)
    assert found.codes[0, INDEX_TIP] == K.WHOLE_HAND
    assert found.codes[0, MIDDLE_TIP] == K.MISS


def test_a_hand_that_is_mostly_good_is_not_misplaced() -> None:
    points = GRID[None].copy()
    points[0, 14:] += 12.0
    assert kinds(classified(truth_of(GRID), points))[14:] == [K.MISS] * 7
    points[0, 13] += 12.0  # 13 of 21 good, less than two thirds, but no fit helps the others
    assert kinds(classified(truth_of(GRID), points))[13:] == [K.MISS] * 8


@pytest.mark.parametrize(
    ("jittering", "kind"), [(7, K.JITTER), (8, K.WHOLE_HAND)], ids=["two thirds good", "fewer"]
)
def test_a_common_shift_of_a_mostly_good_hand_is_no_explanation(jittering: int, kind: K) -> None:
    points = GRID[None] + [4.5, 0.0]
    points[0, :jittering, 0] += 1.0
    assert only(dict.fromkeys(range(jittering), kind), classified(truth_of(GRID), points))


@pytest.mark.parametrize(("joints", "kind"), [(6, K.WHOLE_HAND), (5, K.MISS)])
def test_a_shift_needs_six_keypoints(joints: int, kind: K) -> None:
    # The wrist and one column of each finger keep the box at 100 px.
    kept = [0, 1, 20, 8, 14, 11][:joints]
    some = np.full_like(GRID, np.nan)
    some[kept] = GRID[kept]
    found = classified(truth_of(some), np.add(GRID, (12.5, -12.5))[None])
    assert [found.codes[0, joint] for joint in kept] == [kind] * joints


@pytest.mark.parametrize(
    "points",
    [
        np.full((21, 2), 50.0),
        GRID * [-1, 1] + [100, 0],
        GRID * [-1, -1] + [100, 100],
    ],
    ids=["collapsed to a point", "mirrored", "turned by 180°"],
)
def test_no_shift_and_scale_explains_these(points: Floats) -> None:
    found = classified(truth_of(GRID), points[None])
    assert K.WHOLE_HAND not in kinds(found)
    assert np.isnan(found.scale).all()
    assert np.isnan(found.shift).all()


# --- what there is to diagnose -------------------------------------------------------------------


def test_hands_and_keypoints_without_prediction_are_missed() -> None:
    truth = truth_of(GRID, GRID, GRID)
    points = truth.keypoints.copy()
    points[0] = np.nan
    points[1, INDEX_TIP] = np.nan
    found = classified(truth, points)
    assert kinds(found) == [K.MISSED_HAND] * 21
    assert kinds(found, 1)[INDEX_TIP] == K.MISSED_HAND
    assert kinds(found, 1)[MIDDLE_TIP] == K.GOOD
    assert np.isinf(found.errors[0]).all()


@pytest.mark.parametrize(
    ("labelled", "diagnosed"), [([], 0), ([3], 0), ([3, 9], 2)], ids=["none", "one", "two"]
)
def test_a_hand_needs_two_labelled_joints_to_have_a_size(
    labelled: list[int], diagnosed: int
) -> None:
    few = np.full_like(GRID, np.nan)
    few[labelled] = GRID[labelled]
    truth = truth_of(few, GRID, image_id=np.array(["photo", "photo"]))
    found = classified(truth, np.stack([GRID, GRID]))
    assert (found.codes[0] != NOT_DIAGNOSED).sum() == diagnosed
    assert np.isnan(found.errors[0, found.codes[0] == NOT_DIAGNOSED]).all()
    assert kinds(found, 1) == [K.GOOD] * 21


def test_without_2d_there_is_nothing_to_diagnose() -> None:
    truth = truth_of(GRID)
    with pytest.raises(
        ScoreError, match=r"needs 2D labels .* the predictions of my-net hold no 2D"
    ):
        classified(truth, None, np.zeros((1, 21, 3)))
    unlabelled = replace(truth, valid=np.zeros((1, 21), dtype=bool))
    with pytest.raises(ScoreError, match="the labels of sample test hold no 2D keypoints"):
        classified(unlabelled, GRID[None])


# --- depth ---------------------------------------------------------------------------------------


def deep_hand(depths_mm: dict[int, float]) -> tuple[Truth, Floats]:
    """The hand of the grid, 100 px to 10 cm; wrist at 60 cm, some joints before or behind it."""
    points = np.concatenate([GRID / 1000, np.full((21, 1), 0.6)], axis=1)[None]
    for joint, depth_mm in depths_mm.items():
        points[0, joint, 2] += depth_mm / 1000
    return truth_of(GRID, keypoints_3d=points), points.copy()


def with_depth(truth: Truth, points_3d: Floats, points: Floats | None = None) -> Classified:
    return classified(truth, GRID[None] if points is None else points, points_3d)


@pytest.mark.parametrize(
    ("label_mm", "found_mm", "kind"),
    [
        (20, -20, K.DEPTH_FLIP),
        (-20, 20, K.DEPTH_FLIP),
        (15.01, -15.01, K.DEPTH_FLIP),
        (14.9, -14.9, K.GOOD),  # nearer than a finger's thickness to the wrist's depth
        (30, -10.1, K.DEPTH_FLIP),  # 19.9 from the mirror image, 40.1 from the label
        (30, -9.9, K.GOOD),
        (20, 60, K.GOOD),  # wrong, but not mirrored
        (20, -100, K.GOOD),
    ],
)
def test_depth_mirrored_at_the_wrist(label_mm: float, found_mm: float, kind: K) -> None:
    truth, points_3d = deep_hand({INDEX_TIP: label_mm})
    points_3d[0, INDEX_TIP, 2] = 0.6 + found_mm / 1000
    assert only({INDEX_TIP: kind}, with_depth(truth, points_3d))


def test_depth_of_a_finger_mirrored_at_its_base() -> None:
    truth, points_3d = deep_hand({5: 40, 6: 50, 7: 60, 8: 70})
    points_3d[0, 5:9, 2] = 0.6 + np.array([0.040, 0.030, 0.020, 0.010])
    # The PIP joint is 10 mm behind the base, too near to tell.
    assert only({7: K.DEPTH_FLIP, 8: K.DEPTH_FLIP}, with_depth(truth, points_3d))
    valid_3d = truth.valid_3d.copy()
    valid_3d[0, 5] = False
    assert only({}, with_depth(replace(truth, valid_3d=valid_3d), points_3d))


def test_a_depth_flip_is_right_in_the_image() -> None:
    truth, points_3d = deep_hand({INDEX_TIP: 30, MIDDLE_TIP: 30})
    points_3d[0, [INDEX_TIP, MIDDLE_TIP], 2] = 0.57
    points = GRID[None].copy()
    points[0, INDEX_TIP] += (6, 8)
    points[0, MIDDLE_TIP] += (12, 16)
    found = with_depth(truth, points_3d, points)
    assert only({INDEX_TIP: K.DEPTH_FLIP, MIDDLE_TIP: K.MISS}, found)
    shifted = with_depth(truth, points_3d, GRID[None] + 30)
    assert kinds(shifted) == [K.WHOLE_HAND] * 21


@pytest.mark.parametrize("factor", [0.5, 1.0, 3.0])
def test_size_and_distance_of_the_predicted_hand_do_not_matter(factor: float) -> None:
    truth, points_3d = deep_hand({INDEX_TIP: 20, MIDDLE_TIP: 20})
    points_3d[0, INDEX_TIP, 2] = 0.58
    points_3d = factor * points_3d + [0.1, -0.2, 0.3]
    assert only({INDEX_TIP: K.DEPTH_FLIP}, with_depth(truth, points_3d))


@pytest.mark.parametrize(("labelled", "kind"), [(6, K.DEPTH_FLIP), (5, K.GOOD)])
def test_the_size_of_a_hand_in_3d_needs_six_keypoints(labelled: int, kind: K) -> None:
    truth, points_3d = deep_hand({INDEX_TIP: 30})
    points_3d[0, INDEX_TIP, 2] = 0.57
    valid_3d = np.zeros((1, 21), dtype=bool)
    valid_3d[0, [WRIST, INDEX_TIP, 1, 2, 3, 4][:labelled]] = True
    assert only({INDEX_TIP: kind}, with_depth(replace(truth, valid_3d=valid_3d), points_3d))


@pytest.mark.parametrize("lacking", ["labels", "joint", "wrist", "predictions", "upside down"])
def test_no_depth_flip_without_3d(lacking: str) -> None:
    truth, points_3d = deep_hand({INDEX_TIP: 30})
    points_3d[0, INDEX_TIP, 2] = 0.57
    assert only({INDEX_TIP: K.DEPTH_FLIP}, with_depth(truth, points_3d))
    found: Floats | None = points_3d
    if lacking == "labels":
        truth = replace(truth, keypoints_3d=None)
    elif lacking == "predictions":
        found = None
    elif lacking == "upside down":  # x and y fit at no positive scale
        points_3d[..., :2] *= -1
    else:
        valid_3d = truth.valid_3d.copy()
        valid_3d[0, INDEX_TIP if lacking == "joint" else WRIST] = False
        truth = replace(truth, valid_3d=valid_3d)
    assert only({}, classified(truth, GRID[None], found))


# --- what must not matter ------------------------------------------------------------------------


def crowd(seed: int = 0) -> tuple[Truth, Floats, Floats]:
    """60 hands, two to four in some images, with errors of every kind and gaps."""
    rng = np.random.default_rng(seed)
    truth = make_truth(60, seed=seed)
    photos = np.array([f"photo {number}" for number in rng.integers(0, 40, 60)])
    valid = rng.random((60, 21)) < 0.9
    labels = np.where(valid[..., None], truth.keypoints, np.nan)
    truth = replace(truth, image_id=photos, valid=valid, valid_3d=valid, keypoints=labels)
    noise = rng.choice([2.0, 5.0, 15.0], (60, 1, 1))
    points = make_truth(60, seed=seed).keypoints + rng.normal(0, 1, (60, 21, 2)) * noise
    points[::4] += rng.uniform(-40, 40, (15, 1, 2))
    points[::7] = np.nan
    points[1::9, 5:13] = points[1::9][:, [9, 10, 11, 12, 5, 6, 7, 8]]
    points_3d = make_truth(60, seed=seed).keypoints_3d
    assert points_3d is not None
    points_3d[2::3, :, 2] = 1.2 - points_3d[2::3, :, 2]
    return truth, points, points_3d


def test_the_order_of_hands_does_not_matter() -> None:
    truth, points, points_3d = crowd()
    order = np.random.default_rng(1).permutation(60)
    before = classified(truth, points, points_3d)
    predictions = make_predictions(truth, keypoints=points, keypoints_3d=points_3d)
    after = classify(match(predictions, truth.rows(order)))
    assert set(np.unique(before.codes)) >= {*(set(K) - {K.AMBIGUOUS}), NOT_DIAGNOSED}
    for name in ("codes", "landed", "errors", "shift", "scale"):
        np.testing.assert_array_equal(getattr(after, name), getattr(before, name)[order])
    np.testing.assert_array_equal(after.by_chance, before.by_chance)


def test_left_and_right_hands_are_judged_alike() -> None:
    truth, points, points_3d = crowd()
    assert truth.keypoints_3d is not None
    before = classified(truth, points, points_3d)
    mirror = np.array([-1.0, 1.0, 1.0])
    mirrored = replace(
        truth,
        keypoints=truth.keypoints * mirror[:2],
        keypoints_3d=truth.keypoints_3d * mirror,
        is_right=np.zeros(60, dtype=np.int8),
    )
    after = classified(mirrored, points * mirror[:2], points_3d * mirror)
    np.testing.assert_array_equal(after.codes, before.codes)
    np.testing.assert_allclose(after.shift, before.shift * mirror[:2])
    np.testing.assert_allclose(after.scale, before.scale)


@pytest.mark.parametrize(("factor", "shift"), [(0.1, 0.0), (8.0, 1000.0)])
def test_pixels_do_not_matter(factor: float, shift: float) -> None:
    truth, points, points_3d = crowd()
    before = classified(truth, points, points_3d)
    larger = replace(truth, keypoints=factor * truth.keypoints + shift)
    after = classified(larger, factor * points + shift, points_3d)
    np.testing.assert_array_equal(after.codes, before.codes)


# --- chance --------------------------------------------------------------------------------------


def test_chance_counts_the_same_errors_in_four_other_directions() -> None:
    # 25 px from the middle tip, turned by 72°, 144°, 216°, 288°: nothing lies there.
    found = moved({INDEX_TIP: (50, 0)})
    assert found.by_chance.tolist() == [0, 0, 1, 0, 0, 0, 0, 0, 0, 0]
    # Now a joint of the ring finger does, after the first turn.
    angle = np.radians(72)
    there = GRID.copy()
    there[14] = GRID[INDEX_TIP] + 25 * np.array([np.cos(angle), np.sin(angle)])
    found = moved({INDEX_TIP: (50, 0)}, truth_of(there))
    assert found.by_chance[[K.MISS, K.SWAP]].tolist() == [0.75, 0.25]


def test_chance_looks_at_the_other_hands_too() -> None:
    angle = np.radians(72)
    there = np.add(GRID, (0, 400))
    there[INDEX_TIP] = GRID[INDEX_TIP] + 40 * np.array([np.cos(angle), -np.sin(angle)])
    truth = truth_of(GRID, there, image_id=np.array(["photo", "photo"]))
    found = moved({INDEX_TIP: (65, 0)}, truth)
    assert found.by_chance[[K.MISS, K.OTHER_HAND]].tolist() == [0.75, 0.25]


def test_chance_explains_noise_and_not_exchanged_fingers() -> None:
    truth, _ = make_confusion.synthetic_truth(make_confusion.SEED)
    size = np.ptp(truth.keypoints, axis=1).max(axis=1)
    noise = np.random.default_rng(0).normal(0, 0.08, truth.keypoints.shape)
    points = truth.keypoints + size[:, None, None] * noise
    found = classify(match(make_predictions(truth, keypoints=points, keypoints_3d=None), truth))
    counts = np.bincount(found.codes.ravel(), minlength=len(K))
    for kind in (K.MISS, K.SWAP, K.INVERSION):
        assert found.by_chance[kind] == pytest.approx(counts[kind], abs=4 * counts[kind] ** 0.5)
    points = truth.keypoints.copy()
    points[:, 5:13] = points[:, [9, 10, 11, 12, 5, 6, 7, 8]]
    found = classify(match(make_predictions(truth, keypoints=points, keypoints_3d=None), truth))
    assert np.count_nonzero(found.codes == K.SWAP) > 4 * found.by_chance[K.SWAP]


# --- by hand --------------------------------------------------------------------------------------


def test_the_example_of_the_page() -> None:
    text = make_confusion.PAGE.read_text(encoding="utf-8")
    example = doctest.DocTestParser().get_doctest(text, {}, "diagnosis.md", None, 0)
    assert len(example.examples) == 7
    said: list[str] = []
    runner = doctest.DocTestRunner(verbose=False)
    runner.run(example, out=said.append, clear_globs=False)
    assert runner.failures == 0, "".join(said)
    grid = example.globs["grid"].astype(float)
    found = moved({INDEX_TIP: tuple(example.globs["found"])}, truth_of(grid))
    assert only({INDEX_TIP: K.SWAP}, found)
    assert found.landed[0, INDEX_TIP] == MIDDLE_DIP
