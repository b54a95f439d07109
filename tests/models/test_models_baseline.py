from __future__ import annotations

from pathlib import Path

import pytest
import torch
from reference.pose_resnet import PoseResNet
from torch import nn

from handbench.errors import TrainError
from handbench.models.architecture import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    Normalisation,
    check_input_size,
)
from handbench.models.baseline import Baseline, count_parameters, load_pretrained


@pytest.fixture(scope="module")
def small() -> Baseline:
    return Baseline(18)


def test_heatmaps_have_a_quarter_of_the_side(small: Baseline) -> None:
    assert small.eval()(torch.zeros(2, 3, 64, 96)).shape == (2, 21, 16, 24)


def test_initialisation_is_that_of_simple_baselines(small: Baseline) -> None:
    layers = [*small.deconvolutions, small.heatmaps]
    weights = [x for x in layers if isinstance(x, nn.ConvTranspose2d | nn.Conv2d)]
    norms = [x for x in layers if isinstance(x, nn.BatchNorm2d)]
    assert [len(weights), len(norms)] == [4, 3]
    for layer in weights:
        assert layer.weight.std().item() == pytest.approx(0.001, rel=0.05)
    assert all(layer.bias is None for layer in weights[:3])
    assert not small.heatmaps.bias.any()  # type: ignore[union-attr]
    assert {norm.momentum for norm in norms} == {0.1}
    assert [(x.kernel_size, x.stride, x.padding) for x in weights[:3]] == [
        ((4, 4), (2, 2), (1, 1))
    ] * 3


def test_input_is_normalised_with_imagenet_statistics(small: Baseline) -> None:
    seen = []
    handle = small.encoder.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    mean = torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1)
    std = torch.tensor(IMAGENET_STD).view(1, 3, 1, 1)
    small((mean + 2 * std).expand(2, 3, 32, 32))
    handle.remove()
    torch.testing.assert_close(seen[0], torch.full((2, 3, 32, 32), 2.0))


def test_an_unknown_depth_is_refused() -> None:
    with pytest.raises(TrainError, match="18, 34, 50, 101 or 152 layers, found depth 20"):
        Baseline(20)


@pytest.mark.parametrize(("size", "advice"), [(100, "96 or --size 128"), (16, "32 or --size 64")])
def test_input_sides_must_be_multiples_of_32(size: int, advice: str) -> None:
    with pytest.raises(TrainError, match=f"found {size}: use --size {advice}"):
        check_input_size(size)


def test_torchvision_weights_fill_the_encoder(tmp_path: Path) -> None:
    from torchvision.models import resnet18

    resnet = resnet18(weights=None)
    torch.save(resnet.state_dict(), tmp_path / "resnet18.pth")
    network = Baseline(18)
    load_pretrained(network, str(tmp_path / "resnet18.pth"))
    assert torch.equal(network.encoder.layer4[1].conv2.weight, resnet.layer4[1].conv2.weight)


def test_weights_of_another_depth_are_refused(tmp_path: Path) -> None:
    from torchvision.models import resnet34

    torch.save(resnet34(weights=None).state_dict(), tmp_path / "w.pth")
    with pytest.raises(TrainError, match="does not hold the weights of a ResNet-18"):
        load_pretrained(Baseline(18), str(tmp_path / "w.pth"))


def test_missing_and_damaged_weights_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainError, match="found no such file"):
        load_pretrained(Baseline(18), str(tmp_path / "none.pth"))
    (tmp_path / "w.pth").write_bytes(b"PK\x03\x04 cut off")
    with pytest.raises(TrainError, match="damaged, cut off"):
        load_pretrained(Baseline(18), str(tmp_path / "w.pth"))
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(TrainError, match="tensors by name, found something else"):
        load_pretrained(Baseline(18), str(tmp_path / "list.pth"))


def test_pickled_code_is_not_run(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (tmp_path / "ran",))

    torch.save({"w": Evil()}, tmp_path / "w.pth")
    with pytest.raises(TrainError, match="holds more than"):
        load_pretrained(Baseline(18), str(tmp_path / "w.pth"))
    assert not (tmp_path / "ran").exists()


def test_a_failed_download_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def offline(url: str, target: str, **_: object) -> None:
        assert url.endswith("resnet18-f37072fd.pth")
        raise OSError("no network")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", offline)
    with pytest.raises(TrainError, match=r"\(no network\).* --pretrained FILE, or train with"):
        load_pretrained(Baseline(18), "imagenet")


# Fidelity to the published network


@pytest.mark.parametrize(
    ("depth", "of_17_joints", "of_21_joints"),
    [
        (18, 15_376_721, 15_377_749),
        (34, 25_484_881, 25_485_909),
        (50, 33_999_697, 34_000_725),
        (101, 52_991_825, 52_992_853),
        (152, 68_635_473, 68_636_501),
    ],
)
def test_parameters_and_layers_are_those_of_the_reference(
    depth: int, of_17_joints: int, of_21_joints: int
) -> None:
    # The paper's table: 34.0 M, 53.0 M and 68.6 M for ResNet-50, 101 and 152 on 17 joints.
    with torch.device("meta"):
        own, published = Baseline(depth, joints=17), PoseResNet(depth, 17)
        assert count_parameters(Baseline(depth)) == of_21_joints
    assert count_parameters(own) == of_17_joints
    names = {"deconvolutions": "deconv_layers", "heatmaps": "final_layer"}
    shapes = {}
    for name, value in own.state_dict().items():
        part, rest = name.split(".", 1)
        there = rest if part == "encoder" else f"{names[part]}.{rest}"
        shapes[there] = value.shape
    assert shapes == {name: value.shape for name, value in published.state_dict().items()}


def test_a_random_encoder_starts_as_torchvisions() -> None:
    from torchvision.models import resnet18

    torch.manual_seed(0)
    expected = resnet18(weights=None).state_dict()
    torch.manual_seed(0)
    for name, value in Baseline(18).encoder.state_dict().items():
        assert torch.equal(value, expected[name]), name


def test_bgr_turns_the_channels_round_before_normalisation() -> None:
    seen = []
    network = Baseline(18, normalisation=Normalisation("bgr", (0.1, 0.2, 0.3), (0.5, 1.0, 2.0)))
    network.encoder.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    red = torch.zeros(2, 3, 32, 32)
    red[:, 0] = 1.0
    network(red)
    expected = torch.tensor([-0.2, -0.2, 0.35]).view(1, 3, 1, 1).expand(2, 3, 32, 32)
    torch.testing.assert_close(seen[0], expected)
