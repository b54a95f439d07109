from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from reference.pose_resnet import PoseResNet, random_pose_resnet

from handbench.errors import TrainError
from handbench.hand import NATIVE_ORDERS
from handbench.models.checkpoint import load_model, save_model
from handbench.models.codecs import Rounded, Udp
from handbench.models.foreign import Imported, import_weights

MEAN_255 = (123.675, 116.28, 103.53)
STD_255 = (58.395, 57.12, 57.375)
State = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def original() -> PoseResNet:
    return random_pose_resnet(18, 21)


@pytest.fixture(scope="module")
def picture() -> torch.Tensor:
    """(2, 3, 64, 64) uint8 RGB."""
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (2, 3, 64, 64), generator=generator, dtype=torch.uint8)


def as_simple_baselines(state: State) -> State:
    return dict(state)


def as_data_parallel(state: State) -> State:
    return {f"module.{key}": value for key, value in state.items()}


def as_mmpose(state: State, head: str = "head") -> State:
    heads = ("deconv_layers.", "final_layer.")
    return {
        f"{head if key.startswith(heads) else 'backbone'}.{key}": value
        for key, value in state.items()
    }


def as_old_mmpose(state: State) -> State:
    return as_mmpose(state, "keypoint_head")


def in_simple_baselines(images: torch.Tensor) -> torch.Tensor:
    """BGR as OpenCV reads it, 0 … 1, and then the numbers that ImageNet has for RGB."""
    mean = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)
    bgr = images[:, [2, 1, 0]]
    return (bgr.float() / 255 - mean) / std


def in_mmpose(images: torch.Tensor) -> torch.Tensor:
    """RGB on a scale to 255."""
    mean, std = (torch.tensor(each).view(1, 3, 1, 1) for each in (MEAN_255, STD_255))
    return (images.float() - mean) / std


def imported(path: Path, **more: Any) -> Imported:
    return import_weights(path, codec=Rounded(), size=64, **more)


@pytest.mark.parametrize(
    ("layout", "prepare", "title", "order"),
    [
        (as_simple_baselines, in_simple_baselines, "Simple Baselines", "bgr"),
        (as_data_parallel, in_simple_baselines, "Simple Baselines", "bgr"),
        (as_mmpose, in_mmpose, "MMPose", "rgb"),
        (as_old_mmpose, in_mmpose, "MMPose 0.x", "rgb"),
    ],
)
@pytest.mark.parametrize("inside", [False, True])
def test_outputs_are_those_of_the_original(
    layout: Callable[[State], State],
    prepare: Callable[[torch.Tensor], torch.Tensor],
    title: str,
    order: str,
    inside: bool,
    original: PoseResNet,
    picture: torch.Tensor,
    tmp_path: Path,
) -> None:
    state: Any = layout(original.state_dict())
    if inside:
        state = {"epoch": 140, "model": "pose_resnet", "perf": 0.7, "state_dict": state}
    torch.save(state, tmp_path / "w.pth")
    done = imported(tmp_path / "w.pth")
    assert (done.layout, done.left_out) == (title, ())
    assert done.model.network.normalisation.channel_order == order

    # … and still after a checkpoint of ours.
    save_model(tmp_path / "ours.pt", done.model)
    model = load_model(tmp_path / "ours.pt")
    with torch.inference_mode():
        expected = original(prepare(picture))
        found = model.network.eval()(picture.float() / 255)
    assert expected.std() > 0.1
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    assert (model.name, model.size, model.training_data) == ("w", 64, ("unknown",))
    assert model.codec == Rounded()


def test_the_wrong_order_of_channels_would_be_seen(
    original: PoseResNet, picture: torch.Tensor, tmp_path: Path
) -> None:
    torch.save(original.state_dict(), tmp_path / "w.pth")
    done = imported(tmp_path / "w.pth", channel_order="rgb")
    with torch.inference_mode():
        away = done.model.network.eval()(picture.float() / 255) - original(
            in_simple_baselines(picture)
        )
    assert away.abs().max() > 0.01


@pytest.mark.parametrize("depth", [34, 50, 101, 152])
def test_every_depth_is_recognised(depth: int, picture: torch.Tensor, tmp_path: Path) -> None:
    original = random_pose_resnet(depth, 21)
    torch.save({"state_dict": as_mmpose(original.state_dict())}, tmp_path / "w.pth")
    network = imported(tmp_path / "w.pth").model.network.eval()
    assert network.depth == depth
    with torch.inference_mode():
        expected, found = original(in_mmpose(picture)), network(picture.float() / 255)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_what_only_a_configuration_says_is_kept(original: PoseResNet, tmp_path: Path) -> None:
    torch.save(original.state_dict(), tmp_path / "pose_resnet_18.pth.tar")
    done = import_weights(
        tmp_path / "pose_resnet_18.pth.tar",
        codec=Udp(3.0),
        size=224,
        box_factor=0.8,
        training_data=["freihand/train"],
    )
    save_model(tmp_path / "ours.pt", done.model)
    model = load_model(tmp_path / "ours.pt")
    assert (model.codec, model.size, model.box_factor) == (Udp(3.0), 224, 0.8)
    assert (model.name, model.training_data) == ("pose_resnet_18", ("freihand/train",))


def test_numbers_in_the_file_win(original: PoseResNet, tmp_path: Path) -> None:
    state = as_mmpose(original.state_dict())
    state["data_preprocessor.mean"] = torch.tensor([127.5, 63.75, 0.0]).view(3, 1, 1)
    state["data_preprocessor.std"] = torch.tensor([255.0, 51.0, 25.5]).view(3, 1, 1)
    torch.save({"state_dict": state}, tmp_path / "w.pth")
    done = imported(tmp_path / "w.pth")
    assert done.model.network.normalisation.mean == pytest.approx((0.5, 0.25, 0.0))
    assert done.model.network.normalisation.std == pytest.approx((1.0, 0.2, 0.1))
    assert done.left_out == ("data_preprocessor.mean", "data_preprocessor.std")


def test_layers_without_use_are_named(original: PoseResNet, tmp_path: Path) -> None:
    state = original.state_dict()
    torch.save({**state, "fc.weight": torch.zeros(1000, 512)}, tmp_path / "w.pth")
    assert imported(tmp_path / "w.pth").left_out == ("fc.weight",)


def test_files_from_before_batch_counters_are_read(original: PoseResNet, tmp_path: Path) -> None:
    state = {
        key: value
        for key, value in original.state_dict().items()
        if not key.endswith("num_batches_tracked")
    }
    torch.save(state, tmp_path / "w.pth")
    assert imported(tmp_path / "w.pth").model.network.depth == 18


# Joints


def test_channels_are_put_into_our_order(
    original: PoseResNet, picture: torch.Tensor, tmp_path: Path
) -> None:
    torch.save(as_mmpose(original.state_dict()), tmp_path / "w.pth")
    order = NATIVE_ORDERS["rhd"]
    network = imported(tmp_path / "w.pth", joints=order).model.network.eval()
    with torch.inference_mode():
        expected = original(in_mmpose(picture))[:, list(order)]
        found = network(picture.float() / 255)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_a_hand_is_taken_out_of_a_whole_body(picture: torch.Tensor, tmp_path: Path) -> None:
    whole = random_pose_resnet(18, 133)
    torch.save(as_mmpose(whole.state_dict()), tmp_path / "w.pth")
    with pytest.raises(
        TrainError, match="predicts 133 points, a hand has 21: say with --joints which 21 of its ch"
    ):
        imported(tmp_path / "w.pth")
    network = imported(tmp_path / "w.pth", joints=range(91, 112)).model.network.eval()
    assert network.joints == 21
    with torch.inference_mode():
        expected = whole(in_mmpose(picture))[:, 91:112]
        found = network(picture.float() / 255)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("joints", "message"),
    [
        (range(20), "21 different channels, found 20 different ones among 20"),
        ([0] * 21, "found 1 different ones among 21"),
        (range(1, 22), "names channel 21, but .* has channels 0 to 20"),
    ],
)
def test_channels_that_are_not_there_are_refused(
    joints: Any, message: str, original: PoseResNet, tmp_path: Path
) -> None:
    torch.save(original.state_dict(), tmp_path / "w.pth")
    with pytest.raises(TrainError, match=message):
        imported(tmp_path / "w.pth", joints=joints)


# Files that do not fit


def without(key: str) -> Callable[[State], State]:
    return lambda state: {name: value for name, value in state.items() if name != key}


def with_more(key: str, *shape: int) -> Callable[[State], State]:
    return lambda state: {**state, key: torch.zeros(shape)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without("layer1.0.conv2.weight"), r"1 missing \(layer1\.0\.conv2\.weight\)"),
        (with_more("deconv_layers.9.weight", 4, 4), r"1 unknown \(deconv_layers\.9\.weight\)"),
        (with_more("layer1.0.se.fc.weight", 2), r"1 unknown \(layer1\.0\.se\.fc\.weight\)"),
        (
            with_more("final_layer.weight", 21, 256, 3, 3),
            r"1 of another shape \(final_layer\.weight 21×256×3×3 instead of 21×256×1×1\)",
        ),
        (
            with_more("deconv_layers.0.weight", 512, 128, 4, 4),
            r"deconv_layers\.0\.weight 512×128×4×4 instead of 512×256×4×4",
        ),
        (
            with_more("layer2.2.conv1.weight", 1),
            "blocks of a ResNet-18, 34, 50, 101 or 152 in .*, found 2, 3, 2, 2 in its four layers",
        ),
    ],
)
def test_layers_that_do_not_fit_are_named(
    change: Callable[[State], State], message: str, original: PoseResNet, tmp_path: Path
) -> None:
    torch.save(change(original.state_dict()), tmp_path / "w.pth")
    with pytest.raises(TrainError, match=message):
        imported(tmp_path / "w.pth")


def test_names_of_the_file_are_told_not_ours(original: PoseResNet, tmp_path: Path) -> None:
    state = as_mmpose(original.state_dict())
    del state["backbone.bn1.weight"], state["head.final_layer.bias"]
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(
        TrainError, match=r"MMPose.* 2 missing \(backbone\.bn1\.weight, head\.final_layer\.bias\)"
    ):
        imported(tmp_path / "w.pth")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"stem.weight": torch.zeros(1)}, r"final_layer\.\* \(Simple .*, found stem\.weight"),
        ({}, "found nothing"),
        ([1, 2], "tensors by name, or a state_dict of such, found something else"),
        ({"state_dict": {"final_layer.weight": "text"}}, "found something else"),
        ({3: torch.zeros(1)}, "found something else"),
    ],
)
def test_other_files_are_refused(content: Any, message: str, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(TrainError, match=message):
        imported(tmp_path / "w.pth")


def test_missing_and_damaged_files_are_refused(original: PoseResNet, tmp_path: Path) -> None:
    with pytest.raises(TrainError, match=r"expected weights at .*, found no such file"):
        imported(tmp_path / "none.pth")
    torch.save(original.state_dict(), tmp_path / "w.pth")
    whole = (tmp_path / "w.pth").read_bytes()
    (tmp_path / "half.pth").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.pth").write_text("<html>not found</html>")
    for name in ("half.pth", "text.pth"):
        with pytest.raises(TrainError, match=f"{name} is damaged"):
            imported(tmp_path / name)


def test_objects_in_a_file_are_named_and_not_loaded(original: PoseResNet, tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (tmp_path / "ran",))

    state = as_mmpose(original.state_dict())
    torch.save({"state_dict": state, "message_hub": Evil()}, tmp_path / "w.pth")
    with pytest.raises(TrainError, match=r"holds more than tensors \(\S+\).* save its tensors al"):
        imported(tmp_path / "w.pth")
    assert not (tmp_path / "ran").exists()

    # Checkpoints of training carry NumPy numbers in their history.
    torch.save({"state_dict": state, "history": np.float64(0.5)}, tmp_path / "n.pth")
    with pytest.raises(TrainError, match=r"holds more than tensors \(numpy\S+scalar\)"):
        imported(tmp_path / "n.pth")


def test_the_input_side_must_fit(original: PoseResNet, tmp_path: Path) -> None:
    torch.save(original.state_dict(), tmp_path / "w.pth")
    with pytest.raises(TrainError, match="multiple of 32 pixels, found 100"):
        import_weights(tmp_path / "w.pth", codec=Rounded(), size=100)
