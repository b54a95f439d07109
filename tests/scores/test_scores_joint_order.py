from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from generators.scored import make_predictions, make_truth

from handbench.hand import (
    BONES,
    JOINT_NAMES,
    NATIVE_ORDERS,
    ORDER_WORDS,
    from_canonical,
    to_canonical,
)
from handbench.predictions.read import read_predictions
from handbench.predictions.write import write_predictions
from handbench.scores.evidence import Hands, find
from handbench.scores.joint_order import (
    best_order,
    bone_faults,
    keypoint_order,
    known_slips,
    mesh_disagrees,
    order_repairs,
)
from handbench.scores.matching import Matched, match
from handbench.synthetic.scene import Split, pictures

TRUTH = make_truth(40)
ANY_ORDER = tuple(np.random.default_rng(2).permutation(21).tolist())


def hands_of(predicted: np.ndarray, labelled: np.ndarray) -> Hands:
    count = len(predicted)
    return Hands(predicted, labelled, np.ones((count, 21), dtype=bool), np.arange(count))


def noisy(points: np.ndarray, spread: float) -> np.ndarray:
    return points + np.random.default_rng(1).normal(0, spread, points.shape)


@pytest.fixture(scope="module")
def poses() -> np.ndarray:
    """(120, 21, 3) m, synthetic hands in many poses and views."""
    drawn = zip(range(120), pictures(5, Split.TRAINING, 224))
    return np.array([p.view.from_hand(p.instant.skeleton.keypoints) for _, p in drawn])


# --- known slips ----------------------------------------------------------------------------------


def test_known_slips_are_permutations_all_different_and_all_named() -> None:
    slips = known_slips()
    identity = tuple(range(21))
    assert all(sorted(slip.order) == list(identity) for slip in slips)
    assert identity not in [slip.order for slip in slips]
    assert len({slip.order for slip in slips}) == len(slips)
    for key, order in NATIVE_ORDERS.items():
        (native,) = (slip for slip in slips if slip.order == order)
        assert native.what == f"in the joint order of {ORDER_WORDS[key]}"
        assert f'set "keypoint_order": "{key}"' in native.advice
        assert f"--assume keypoint_order={key}" in native.advice


def test_a_slip_is_undone_by_its_order() -> None:
    joints = np.arange(21)[None, :, None]
    slips = {slip.what: slip for slip in known_slips()}
    words = ORDER_WORDS["mano"]
    for what, spoilt in (
        (f"in the joint order of {words}", from_canonical(joints, NATIVE_ORDERS["mano"])),
        (
            f"reordered the wrong way round from {words}",
            from_canonical(from_canonical(joints, NATIVE_ORDERS["mano"]), NATIVE_ORDERS["mano"]),
        ),
        (
            f"reordered from {words} though they were canonical",
            to_canonical(joints, NATIVE_ORDERS["mano"]),
        ),
    ):
        assert (to_canonical(spoilt, slips[what].order) == joints).all(), what
    # Reversing fingers twice is nothing, so RHD has one slip and not three.
    assert sum("RHD" in what for what in slips) == 1


@pytest.mark.parametrize("order", [*NATIVE_ORDERS, "any"])
def test_the_advice_works(order: str, tmp_path: Path) -> None:
    """Hands in a wrong order; the header as advised; read again they are right."""
    native = NATIVE_ORDERS.get(order, ANY_ORDER)
    honest = make_predictions(TRUTH)
    assert honest.keypoints is not None
    spoilt = replace(honest, keypoints=from_canonical(honest.keypoints, native), keypoints_3d=None)
    found = find(
        hands_of(from_canonical(honest.keypoints, native), TRUTH.keypoints),
        order_repairs(hands_of(from_canonical(honest.keypoints, native), TRUTH.keypoints)),
    )
    assert found is not None
    advised: str | list[int]
    if order == "any":
        advised = json.loads(found.repair.advice.rpartition("set it to ")[2])
        assert advised == keypoint_order(native)
    else:
        advised = found.repair.advice.split('"')[3]
    path = tmp_path / "preds.json"
    write_predictions(spoilt, path)
    document = json.loads(path.read_text("utf-8"))
    document["keypoint_order"] = advised
    path.write_text(json.dumps(document), "utf-8")
    read = read_predictions(path)
    assert read.keypoints == pytest.approx(honest.keypoints)


# --- the order that fits best ---------------------------------------------------------------------


@pytest.mark.parametrize("spread", [0.0, 3.0, 15.0])
def test_any_order_is_found(spread: float) -> None:
    spoilt = from_canonical(noisy(TRUTH.keypoints, spread), ANY_ORDER)
    assert best_order(hands_of(spoilt, TRUTH.keypoints)) == ANY_ORDER


def test_any_order_is_found_in_3d_wherever_hands_are_and_however_large(poses: np.ndarray) -> None:
    spoilt = from_canonical(1000 * noisy(poses, 0.005), ANY_ORDER) + 7.0
    assert best_order(hands_of(spoilt, poses)) == ANY_ORDER


def test_no_order_without_reason() -> None:
    assert best_order(hands_of(noisy(TRUTH.keypoints, 10.0), TRUTH.keypoints)) is None
    few = from_canonical(TRUTH.keypoints[:19], ANY_ORDER)
    assert best_order(hands_of(few, TRUTH.keypoints[:19])) is None


def test_outliers_do_not_spoil_the_order() -> None:
    spoilt = from_canonical(noisy(TRUTH.keypoints, 3.0), ANY_ORDER)
    spoilt[::7, 3] = 1e6
    assert best_order(hands_of(spoilt, TRUTH.keypoints)) == ANY_ORDER


def test_hands_with_unlabelled_joints_are_left_out_of_the_averages() -> None:
    spoilt = from_canonical(noisy(TRUTH.keypoints, 3.0), ANY_ORDER)
    hands = hands_of(spoilt, TRUTH.keypoints)
    hands.valid[:21, 4] = False
    assert best_order(hands) is None, "19 whole hands are left"
    hands.valid[20, 4] = True
    assert best_order(hands) == ANY_ORDER


def test_a_named_order_goes_before_the_same_order_found_by_search() -> None:
    spoilt = from_canonical(TRUTH.keypoints, NATIVE_ORDERS["stb"])
    repairs = order_repairs(hands_of(spoilt, TRUTH.keypoints))
    assert len(repairs) == len(known_slips())
    assert order_repairs(hands_of(0.1 * TRUTH.keypoints, TRUTH.keypoints)) == []


def test_names_of_joints_are_told_when_few_changed_places() -> None:
    order = list(range(21))
    order[4], order[8] = 8, 4
    for changed, words in (
        (tuple(order), "in another joint order (thumb_tip, index_tip changed places)"),
        (ANY_ORDER, "in another joint order"),
    ):
        spoilt = from_canonical(TRUTH.keypoints, changed)
        assert order_repairs(hands_of(spoilt, TRUTH.keypoints))[-1].what == words


@pytest.mark.parametrize(("share", "told"), [(0.45, False), (0.55, False), (0.65, True)])
def test_joints_drawn_towards_each_other_have_not_changed_places(share: float, told: bool) -> None:
    """An error of 0.55 that would be 0.45 in another order is no other order."""
    spoilt = TRUTH.keypoints.copy()
    for joint, other in ((6, 7), (7, 6)):
        spoilt[:, joint] += share * (TRUTH.keypoints[:, other] - TRUTH.keypoints[:, joint])
    hands = hands_of(spoilt, TRUTH.keypoints)
    assert (find(hands, order_repairs(hands)) is not None) == told


def test_what_half_of_the_hands_gain_from_is_no_order() -> None:
    spoilt = TRUTH.keypoints.copy()
    spoilt[::2] = from_canonical(spoilt[::2], NATIVE_ORDERS["rhd"])
    hands = hands_of(spoilt, TRUTH.keypoints)
    assert find(hands, order_repairs(hands)) is None


# --- bones ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", NATIVE_ORDERS)
def test_bones_alone_tell_a_wrong_order(key: str, poses: np.ndarray) -> None:
    """The hands are those of other samples, so the truth cannot tell which order fits."""
    spoilt = from_canonical(noisy(poses[::-1], 0.003), NATIVE_ORDERS[key])
    said = bone_faults(hands_of(spoilt, poses))
    if key == "stb":
        # Whole fingers change places: wrist apart, its bones are those of a hand.
        assert said is None
        return
    assert said is not None
    assert said.startswith(("3D hands have impossible bones", "3D fingers grow towards their tips"))
    assert said.endswith('are the joints in canonical order? See "keypoint_order"')


def test_the_bone_that_is_told_is_the_one_that_grew_most(poses: np.ndarray) -> None:
    spoilt = from_canonical(poses, NATIVE_ORDERS["interhand"])
    said = bone_faults(hands_of(spoilt, poses))
    assert said is not None
    shares = []
    for hands in (spoilt, poses):
        diagonal = np.linalg.norm(hands.max(axis=1) - hands.min(axis=1), axis=-1)
        bones = [np.linalg.norm(hands[:, b] - hands[:, a], axis=-1) / diagonal for a, b in BONES]
        shares.append(np.median(bones, axis=1))
    worst = int(np.argmax(shares[0] - shares[1]))
    parent, child = (JOINT_NAMES[joint] for joint in BONES[worst])
    assert said.startswith(
        "3D hands have impossible bones: expected none longer than 0.6 of the hand, found "
        f"{shares[0][worst]:.2f} from {parent} to {child} (truth {shares[1][worst]:.2f});"
    )


def test_fingers_that_grow() -> None:
    """Knuckles and tips stay, the joints between them move down: no bone is too long."""
    truth = np.zeros((60, 21, 3))
    for finger in range(5):
        for joint, y in enumerate((4.0, 7.0, 8.5, 9.0)):
            truth[:, 1 + 4 * finger + joint] = (1.2 * (finger - 2), y, 0.0)
    truth += np.random.default_rng(3).normal(0, 0.3, (60, 21, 1)) * [0.0, 0.0, 1.0]
    grown = truth.copy()
    grown[:, [2, 6, 10, 14, 18], 1] = 4.5
    grown[:, [3, 7, 11, 15, 19], 1] = 6.0
    said = bone_faults(hands_of(grown, truth))
    assert said is not None
    assert said.startswith("3D fingers grow towards their tips: expected bones in the ratio ")
    ratio = [float(number) for number in said.partition("found ")[2].split(";")[0].split(" : ")]
    assert ratio == sorted(ratio)
    expected = [float(n) for n in said.partition("ratio ")[2].split(" from")[0].split(" : ")]
    assert expected == sorted(expected, reverse=True)


@pytest.mark.parametrize("spread", [0.0, 0.01, 0.05, 0.2])
def test_bones_of_honest_models(spread: float, poses: np.ndarray) -> None:
    assert bone_faults(hands_of(noisy(poses, spread), poses)) is None
    assert bone_faults(hands_of(noisy(poses, spread)[..., :2], poses[..., :2])) is None
    assert bone_faults(hands_of(noisy(poses[:24], spread), poses[:24])) is None


def test_bones_of_one_pose_say_nothing(poses: np.ndarray) -> None:
    """The mean of many views has bones of any length, also where a box stretches it."""
    points = poses[..., :2] / poses[..., 2:]
    low, span = points.min(axis=1, keepdims=True), np.ptp(points, axis=1, keepdims=True)
    for rows in (slice(0, 20), slice(20, 40), slice(40, 60), slice(60, 120)):
        boxed = low[rows] + ((points - low) / span)[rows].mean(axis=0) * span[rows]
        assert bone_faults(hands_of(boxed, points[rows])) is None


def test_few_or_collapsed_hands_have_no_bones(poses: np.ndarray) -> None:
    spoilt = from_canonical(poses, NATIVE_ORDERS["rhd"])
    assert bone_faults(hands_of(spoilt, poses)) is not None
    assert bone_faults(hands_of(spoilt[:19], poses[:19])) is None
    assert bone_faults(hands_of(0.1 * spoilt, poses)) is None
    unlabelled = hands_of(spoilt, poses)
    unlabelled.valid[:, 4] = False
    assert bone_faults(unlabelled) is None


# --- joints beside a mesh -------------------------------------------------------------------------


def with_meshes(
    order: tuple[int, ...] | None, joints_mm: float = 5.0, mesh_mm: float = 5.0
) -> Matched:
    """Meshes of 42 points and joints in some order, with noise in each coordinate."""
    rng = np.random.default_rng(4)
    truth = make_truth(20)
    assert truth.keypoints_3d is not None
    vertices = np.concatenate(
        [truth.keypoints_3d, truth.keypoints_3d[:, ::-1] + [0.0, 0.0, 0.02]], axis=1
    ).astype(np.float32)
    joints = noisy(truth.keypoints_3d, joints_mm / 1000)
    predictions = make_predictions(
        truth,
        keypoints_3d=joints if order is None else from_canonical(joints, order),
        vertices=vertices + rng.normal(0, mesh_mm / 1000, vertices.shape),
    )
    return match(predictions, replace(truth, vertices=vertices))


def test_joints_much_worse_than_their_mesh() -> None:
    said = mesh_disagrees(with_meshes(NATIVE_ORDERS["mano"]))
    assert said is not None
    assert said.startswith("joints are off by ")
    assert "but the mesh only by 7." in said  # 5 mm in each of three directions, less the fit
    assert "(20 hands)" in said


def test_joints_about_as_good_as_their_mesh() -> None:
    assert mesh_disagrees(with_meshes(None)) is None
    assert mesh_disagrees(with_meshes(None, joints_mm=6.5, mesh_mm=1.0)) is None, "both are good"
    assert mesh_disagrees(with_meshes(None, joints_mm=12.0, mesh_mm=10.0)) is None
    assert mesh_disagrees(with_meshes(None, joints_mm=12.0, mesh_mm=4.0)) is not None


def test_meshes_that_cannot_be_compared() -> None:
    matched = with_meshes(NATIVE_ORDERS["mano"])
    assert matched.vertices is not None
    assert mesh_disagrees(replace(matched, vertices=None)) is None
    assert mesh_disagrees(replace(matched, keypoints_3d=None)) is None
    assert mesh_disagrees(replace(matched, vertices=matched.vertices[:, :30])) is None
    assert mesh_disagrees(replace(matched, truth=replace(matched.truth, vertices=None))) is None
    few = matched.vertices.copy()
    few[7:] = np.nan
    assert mesh_disagrees(replace(matched, vertices=few)) is None
