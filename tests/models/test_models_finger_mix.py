from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from handbench.hand import FINGERS
from handbench.models.augment import Augmentation, transform_points
from handbench.models.examples import augment_images
from handbench.models.finger_mix import FingerMix, finger_masks, sample_mix

SIZE = 128
ALWAYS = Augmentation(mix=1.0)
FINGER_JOINTS = torch.tensor(list(FINGERS.values()))


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def hand(*angles: float, length: float = 12.0) -> torch.Tensor:
    """(21, 2) px: one palm, and fingers that leave their bases at some angles from straight up."""
    points = torch.empty(21, 2)
    points[0] = torch.tensor([70.0, 100.0])
    for finger, base, angle in zip(FINGERS.values(), (-70, -25, -8, 8, 25), angles):
        for place, joint in enumerate(finger):
            turn = math.radians(base if place == 0 else angle)
            step = torch.tensor([math.sin(turn), -math.cos(turn)])
            before = points[0] if place == 0 else points[finger[place - 1]]
            points[joint] = before + step * (32.0 if place == 0 else length)
    return points


OPEN = hand(-70, -25, -8, 8, 25)
OTHER = hand(-100, -45, -20, 20, 50)


def identity(count: int) -> torch.Tensor:
    return torch.eye(3, dtype=torch.float64).repeat(count, 1, 1)


def drawn(keypoints: torch.Tensor, seed: int = 0) -> FingerMix:
    mix = sample_mix(keypoints.double(), identity(len(keypoints)), ALWAYS, rng(seed))
    assert mix is not None
    return mix


def test_nothing_is_drawn_without_being_asked() -> None:
    generator = rng()
    both = torch.stack([OPEN, OTHER])
    assert sample_mix(both.double(), identity(2), Augmentation(fingers=20), generator) is None
    assert torch.equal(torch.rand(1, generator=generator), torch.rand(1, generator=rng()))
    assert sample_mix(both[:1].double(), identity(1), ALWAYS, rng()) is None


def test_one_to_three_fingers_of_the_other_hand_are_taken() -> None:
    both = torch.stack([OPEN, OTHER])
    seen = set()
    for seed in range(40):
        mix = drawn(both, seed)
        assert (mix.rows.tolist(), mix.partners.tolist()) == ([0, 1], [1, 0])
        for row, fingers in zip(mix.rows.tolist(), mix.fingers):
            seen.add(int(fingers.sum()))
            for joints, taken in zip(FINGER_JOINTS, fingers):
                from_whom = both[1 - row] if taken else both[row]
                torch.testing.assert_close(mix.points[row, joints], from_whom[joints])
            assert torch.equal(mix.points[row, 0], both[row, 0])
    assert seen == {1, 2, 3}


def test_a_hand_that_is_turned_resized_and_elsewhere_is_laid_over() -> None:
    turn = math.radians(25)
    matrix = identity(1)
    matrix[0, :2, :2] = 0.8 * torch.tensor(
        [[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]]
    )
    matrix[0, :2, 2] = torch.tensor([30.0, -12.0])
    moved = transform_points(matrix, OTHER[None].double())[0].float()
    mix = drawn(torch.stack([OPEN, moved]))
    torch.testing.assert_close(mix.given[0], OTHER, atol=1e-3, rtol=0)
    torch.testing.assert_close(mix.matrices[0], torch.linalg.inv(matrix[0]), atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    "stranger",
    [
        (OTHER * torch.tensor([-1.0, 1.0]) + torch.tensor([128.0, 0.0])),
        (OTHER - 64) @ torch.tensor([[0.0, 1.0], [-1.0, 0.0]]) + 64,
        OTHER * 0.5,
        OTHER.clone().index_fill_(0, torch.tensor([7]), torch.nan),
    ],
    ids=["mirrored", "turned by 90°", "half as large", "a joint is unlabelled"],
)
def test_hands_that_do_not_fit_neither_give_nor_get(stranger: torch.Tensor) -> None:
    assert sample_mix(torch.stack([OPEN, stranger]).double(), identity(2), ALWAYS, rng()) is None
    mix = drawn(torch.stack([OPEN, stranger, OTHER]))
    assert sorted(mix.rows.tolist()) == sorted(mix.partners.tolist()) == [0, 2]
    torch.testing.assert_close(mix.points[1], stranger, equal_nan=True)


def test_the_share_of_images_that_change() -> None:
    many = torch.stack([OPEN, OTHER]).repeat(400, 1, 1)
    mix = sample_mix(many.double(), identity(len(many)), Augmentation(mix=0.3), rng())
    assert mix is not None
    assert len(mix.rows) / len(many) == pytest.approx(0.3, abs=0.05)
    assert torch.equal(mix.points[2], many[2]) or 2 in mix.rows


def test_masks_lie_on_the_old_and_the_new_finger_alone() -> None:
    mix = drawn(torch.stack([OPEN, OTHER]))
    masks = finger_masks(mix, SIZE, torch.device("cpu"), None)[:, 0]
    assert masks.shape == (2, SIZE, SIZE)

    def at(row: int, point: torch.Tensor) -> float:
        x, y = point.round().long().tolist()
        return float(masks[row, y, x])

    for row in range(2):
        for joints, taken in zip(FINGER_JOINTS, mix.fingers[row]):
            tip = joints[3]
            assert at(row, mix.points[row, tip]) == pytest.approx(float(taken), abs=0.1)
            assert not taken or at(row, mix.before[row, tip]) > 0.9
        assert at(row, mix.before[row, 0]) < 0.05
        assert at(row, torch.tensor([5.0, 5.0])) < 0.01


@pytest.mark.parametrize("more", [{}, {"bend": 0.1, "fingers": 20.0, "rotation": 20, "scale": 0.2}])
def test_the_picture_shows_each_finger_where_its_keypoints_say(more: dict[str, float]) -> None:
    """Colours are a picture's number and its coordinates: each tip has those it had."""
    both = torch.stack([OPEN, OTHER])
    count = 60
    keypoints = both.repeat(count // 2, 1, 1)
    y, x = torch.meshgrid(torch.arange(SIZE), torch.arange(SIZE), indexing="ij")
    pictures = torch.stack(
        [torch.stack([x, y, torch.full_like(x, 250 * which)]) for which in (0, 1)]
    ).byte()
    images = pictures.repeat(count // 2, 1, 1, 1)
    augmentation = Augmentation(mix=1.0, **more)  # type: ignore[arg-type]
    pixels, points, matrices = augment_images(images, keypoints, SIZE, augmentation, rng(5))
    moved = transform_points(matrices, keypoints.double())
    mix = sample_mix(moved, matrices, augmentation, _after_matrices(count, augmentation))
    assert mix is not None
    assert len(mix.rows) == count
    places = ((2 * points + 1) / SIZE - 1)[:, None]
    found = functional.grid_sample(pixels * 255, places, align_corners=False)[:, :, 0]
    right = total = 0
    for row, partner, fingers in zip(mix.rows.tolist(), mix.partners.tolist(), mix.fingers):
        for joints, taken in zip(FINGER_JOINTS, fingers):
            tip = int(joints[3])
            if not ((points[row, tip] > 4) & (points[row, tip] < SIZE - 5)).all():
                continue
            source = (partner if taken else row) % 2
            away = (found[row, :2, tip] - both[source, tip]).abs().max()
            total += 1
            right += bool(away < 1 and (found[row, 2, tip] > 125) == bool(source))
    assert total > 2 * count
    # Where two fingers come to lie on each other, only one can be seen.
    assert right / total > (0.9 if more else 0.99)


def _after_matrices(count: int, augmentation: Augmentation) -> torch.Generator:
    """The generator of :func:`augment_images` after it has drawn the matrices."""
    from handbench.models.augment import sample_matrices

    generator = rng(5)
    sample_matrices(count, (SIZE, SIZE), SIZE, augmentation, generator)
    return generator


@pytest.mark.gpu
def test_a_gpu_joins_the_same_pictures() -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    keypoints = torch.stack([OPEN, OTHER]).repeat(4, 1, 1)
    images = torch.randint(0, 256, (8, 3, SIZE, SIZE), dtype=torch.uint8, generator=rng(1))
    # Smooth, so that a rounding of a place in a picture changes little.
    images = functional.avg_pool2d(images.float(), 9, 1, 4).byte()
    more = {"bend": 0.1, "fingers": 20.0, "rotation": 20, "colour": 0.3}
    augmentation = Augmentation(mix=1.0, **more)  # type: ignore[arg-type]
    pixels, points, _ = augment_images(images, keypoints, SIZE, augmentation, rng(2))
    found, places, _ = augment_images(images.cuda(), keypoints, SIZE, augmentation, rng(2))
    torch.testing.assert_close(places.cpu(), points, atol=1e-3, rtol=0)
    torch.testing.assert_close(found.cpu(), pixels, atol=5e-3, rtol=0)
