from __future__ import annotations

import pytest
import torch
from generators.small_network import small_network
from torch import nn

from handbench.models.averaging import MovingAverage, PartStatistics, running_statistics
from handbench.models.baseline import Baseline


def test_parts_move_running_statistics_by_their_mean() -> None:
    images = torch.rand(8, 3, 4, 4)
    both, first, second = (nn.BatchNorm2d(3, momentum=0.3) for _ in range(3))
    statistics = PartStatistics(both, 2)
    statistics.start()
    for half in (images[:4], images[4:]):
        both(half)
        statistics.end_part()
    first(images[:4])
    second(images[4:])
    for mine, one, other in zip(*(running_statistics(each) for each in (both, first, second))):
        torch.testing.assert_close(mine, (one + other) / 2)


def test_a_single_part_is_left_alone() -> None:
    norm, same = nn.BatchNorm2d(3), nn.BatchNorm2d(3)
    statistics = PartStatistics(norm, 1)
    images = torch.rand(8, 3, 4, 4)
    statistics.start()
    norm(images)
    statistics.end_part()
    same(images)
    assert torch.equal(norm.running_mean, same.running_mean)


def test_the_average_follows_weights_and_statistics_by_its_formula() -> None:
    with small_network():
        network = Baseline(18)
    average = MovingAverage(network, 0.5)
    weight, variance = average.network.heatmaps.weight, running_statistics(average.network)[1]
    before = weight.clone()
    with torch.no_grad():
        network.heatmaps.weight += 1
        running_statistics(network)[1].fill_(3)
    average.update(network, 0)  # (1 + 0) / (10 + 0) is less than 0.5
    torch.testing.assert_close(weight, before + 0.9)
    assert variance[0] == pytest.approx(0.1 * 1 + 0.9 * 3)
    average.update(network, 1000)
    torch.testing.assert_close(weight, before + 0.95)
    assert not weight.requires_grad
    assert not average.network.training
