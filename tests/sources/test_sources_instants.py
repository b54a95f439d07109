from __future__ import annotations

import numpy as np
from generators.freihand import right_hand, seen_from_elsewhere

from handbench.sources.instants import cluster_instants, describe_clusters


def recorded(sizes: tuple[int, ...], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Hands of moments with so many views each, and the moment of each hand."""
    rng = np.random.default_rng(seed)
    hands, moment = [], []
    for number, views in enumerate(sizes):
        hand = right_hand(rng)
        for _ in range(views):
            # Published with six decimals or so.
            hands.append(seen_from_elsewhere(hand, rng).round(6))
            moment.append(number)
    return np.stack(hands), np.array(moment)


def test_views_of_one_moment_are_one_group_wherever_they_stand():
    hands, moment = recorded((3, 1, 2, 1, 8))
    order = np.random.default_rng(1).permutation(len(hands))
    groups = cluster_instants(hands[order])
    same_moment = moment[order][:, None] == moment[order][None]
    assert np.array_equal(groups[:, None] == groups[None], same_moment)


def test_a_group_is_named_after_its_first_hand():
    hands, _ = recorded((2, 1, 3))
    assert cluster_instants(hands).tolist() == [0, 0, 2, 3, 3, 3]
    assert cluster_instants(hands[::-1]).tolist() == [0, 0, 0, 3, 4, 4]


def test_a_small_movement_is_another_moment():
    hands, _ = recorded((1,))
    for joint in range(21):
        moved = hands.copy()
        moved[0, joint] += [0.0, 0.0005, 0.0]
        assert cluster_instants(np.concatenate([hands, moved])).tolist() == [0, 1], joint
    assert cluster_instants(np.concatenate([hands, hands + 2e-5])).tolist() == [0, 0]


def test_chains_join_whole_groups():
    hands, _ = recorded((1,))
    # Each step is within the tolerance, the ends are not: the safe side is one group.
    steps = np.concatenate([hands * (1 + 0.001 * i) for i in range(6)])
    assert cluster_instants(steps).tolist() == [0] * 6
    assert cluster_instants(steps[[0, 5]]).tolist() == [0, 1]


def test_the_mirror_image_is_not_told_apart():
    # Distances do not see a mirror; no recording holds both, so this is only written down.
    hands, _ = recorded((1,))
    assert cluster_instants(np.concatenate([hands, hands * [-1, 1, 1]])).tolist() == [0, 0]


def test_none_and_one():
    assert cluster_instants(np.zeros((0, 21, 3))).tolist() == []
    assert cluster_instants(recorded((1,))[0]).tolist() == [0]


def test_descriptions():
    assert describe_clusters(np.array([0, 0, 2])) == (
        "3 annotations in 2 instants (1 of size 1, 1 of size 2)"
    )
    many = np.repeat(np.arange(10), np.arange(1, 11))
    text = describe_clusters(many)
    assert text.endswith("1 of size 7, 3 of size 8 to 10)")
    assert text.startswith("55 annotations in 10 instants")
