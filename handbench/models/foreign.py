"""Checkpoints of Simple Baselines and MMPose as networks of our own.

Both are the same layers under other names. What cannot be seen in a file, because it stands in a
configuration beside it, is given by the caller: the size of the input, the codec, the part of the
image that the network sees.
"""

from __future__ import annotations

import pickle
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from handbench.errors import TrainError
from handbench.files import describe_names
from handbench.hand import NUM_JOINTS
from handbench.models.architecture import ChannelOrder, Normalisation, check_input_size
from handbench.models.baseline import Baseline
from handbench.models.checkpoint import TrainedModel
from handbench.models.codecs import Codec

UNKNOWN_DATA = "unknown"
"""Training data of a network whose file does not tell."""

_ENCODER = ("conv1.", "bn1.", "layer1.", "layer2.", "layer3.", "layer4.")
_WRAPPER = "module."
"""What DataParallel puts before every name."""
_BLOCKS: dict[tuple[tuple[int, ...], bool], int] = {
    ((2, 2, 2, 2), False): 18,
    ((3, 4, 6, 3), False): 34,
    ((3, 4, 6, 3), True): 50,
    ((3, 4, 23, 3), True): 101,
    ((3, 8, 36, 3), True): 152,
}
"""Blocks in each of the four layers, and whether they are bottlenecks → depth."""


@dataclass(frozen=True)
class Layout:
    """Names in one family of checkpoints.

    Attributes
    ----------
    title
        For messages.
    names
        Start of a name there → start of the name here.
    head
        One of `names` that only this layout has.
    normalisation
        How its networks take images.
    """

    title: str
    names: Mapping[str, str]
    head: str
    normalisation: Normalisation


LAYOUTS = (
    # github.com/microsoft/human-pose-estimation.pytorch: images as OpenCV reads them, BGR, with the
    # numbers that ImageNet has for RGB.
    Layout(
        "Simple Baselines",
        {
            **{name: f"encoder.{name}" for name in _ENCODER},
            "deconv_layers.": "deconvolutions.",
            "final_layer.": "heatmaps.",
        },
        "final_layer.",
        Normalisation("bgr"),
    ),
    # MMPose 1.x; its mean and deviation are on a scale to 255: 123.675 is 0.485 · 255.
    Layout(
        "MMPose",
        {
            **{f"backbone.{name}": f"encoder.{name}" for name in _ENCODER},
            "head.deconv_layers.": "deconvolutions.",
            "head.final_layer.": "heatmaps.",
        },
        "head.final_layer.",
        Normalisation("rgb"),
    ),
    Layout(
        "MMPose 0.x",
        {
            **{f"backbone.{name}": f"encoder.{name}" for name in _ENCODER},
            "keypoint_head.deconv_layers.": "deconvolutions.",
            "keypoint_head.final_layer.": "heatmaps.",
        },
        "keypoint_head.final_layer.",
        Normalisation("rgb"),
    ),
)

NOT_NEEDED = ("fc.", "backbone.fc.", "data_preprocessor.")
"""Starts of names that do not belong to a pose network's layers and may be left out."""


@dataclass(frozen=True)
class Imported:
    """An imported network and how it was understood.

    Attributes
    ----------
    model
        Ready to predict.
    layout
        Title of the family that the file belongs to.
    left_out
        Names in the file that the network does not need.
    """

    model: TrainedModel
    layout: str
    left_out: tuple[str, ...]


def import_weights(
    path: Path,
    *,
    codec: Codec,
    size: int = 256,
    box_factor: float = 1.0,
    channel_order: ChannelOrder | None = None,
    joints: Sequence[int] | None = None,
    name: str | None = None,
    training_data: Sequence[str] = (),
) -> Imported:
    """Read a checkpoint of Simple Baselines or MMPose without running any code of it.

    Parameters
    ----------
    path
        ``.pth`` or ``.pth.tar`` with tensors by name, bare or inside ``state_dict``.
    codec
        What the network's maps mean: :class:`~handbench.models.codecs.Rounded` unless its
        configuration says otherwise.
    size
        Side of its input in px.
    box_factor
        Side of what it sees, as a share of our stored image's.
    channel_order
        Order of its input's channels; that of the family if left out.
    joints
        21 channels of the network in our order of joints; needed where it has other than 21, or
        has them in another order.
    name
        For predictions and tables; the file's if left out.
    training_data
        ``dataset/split`` of what it has seen; unknown if left out.

    Returns
    -------
    A network with the same outputs (channels `joints` of them).

    Raises
    ------
    TrainError
        If the file cannot be read safely, belongs to no known family, lacks layers, or has layers
        that our network does not have.
    """
    check_input_size(size)
    path = Path(path)
    state = _unwrapped(_read(path))
    layout = _layout(state, path)
    found = {_renamed(key, layout.names): value for key, value in state.items()}
    left_out = tuple(key for key in found if key.startswith(NOT_NEEDED))
    normalisation = _normalisation(found, layout, channel_order)
    found = {key: value for key, value in found.items() if key not in left_out}

    channels = _channels(found, joints, path)
    network = Baseline(_depth(found, path), normalisation=normalisation)
    for key in ("heatmaps.weight", "heatmaps.bias"):
        if key in found:
            found[key] = found[key][channels]
    _check_layers(found, network.state_dict(), layout, path)
    # Files older than PyTorch 0.4.1 do not count batches; nothing is computed from that number.
    counters = {k: v for k, v in network.state_dict().items() if k.endswith("num_batches_tracked")}
    network.load_state_dict({**counters, **found})
    model = TrainedModel(
        network=network,
        size=size,
        codec=codec,
        name=name or path.name.removesuffix(".tar").removesuffix(".pth"),
        training_data=tuple(training_data) or (UNKNOWN_DATA,),
        box_factor=box_factor,
    )
    return Imported(model, layout.title, left_out)


def _read(path: Path) -> dict[str, torch.Tensor]:
    try:
        values: Any = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise TrainError(f"expected weights at {path}, found no such file") from error
    except pickle.UnpicklingError as error:
        forbidden = re.search(r"GLOBAL (\S+)", str(error))
        if forbidden is None:
            raise TrainError(f"{path} is damaged or no torch file: download it again") from error
        raise TrainError(
            f"{path} holds more than tensors ({forbidden[1]}), and reading such things could run "
            "code, so it was not read; where you trust the file, save its tensors alone: python -c "
            f"\"import torch; torch.save(torch.load('{path}', weights_only=False)['state_dict'], "
            "'weights.pth')\""
        ) from error
    except Exception as error:
        raise TrainError(
            f"{path} is damaged, cut off or no torch file: download it again"
        ) from error
    if isinstance(values, dict) and isinstance(values.get("state_dict"), dict):
        values = values["state_dict"]
    if not isinstance(values, dict) or not all(
        isinstance(key, str) and torch.is_tensor(value) for key, value in values.items()
    ):
        raise TrainError(
            f"{path} should hold tensors by name, or a state_dict of such, found something else"
        )
    return values


def _unwrapped(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {key.removeprefix(_WRAPPER): value for key, value in state.items()}


def _layout(state: Mapping[str, torch.Tensor], path: Path) -> Layout:
    for layout in LAYOUTS:
        if any(key.startswith(layout.head) for key in state):
            return layout
    heads = ", ".join(f"{layout.head}* ({layout.title})" for layout in LAYOUTS)
    raise TrainError(
        f"expected a ResNet with three deconvolutions and a last layer named {heads} in {path}, "
        f"found {describe_names(state) or 'nothing'}"
    )


def _renamed(key: str, names: Mapping[str, str]) -> str:
    for there, here in names.items():
        if key.startswith(there):
            return here + key.removeprefix(there)
    return key


def _normalisation(
    state: Mapping[str, torch.Tensor], layout: Layout, channel_order: ChannelOrder | None
) -> Normalisation:
    """The family's, unless the file itself has numbers, which MMPose keeps on a scale to 255."""
    mean, std = layout.normalisation.mean, layout.normalisation.std
    if "data_preprocessor.mean" in state and "data_preprocessor.std" in state:
        mean, std = (
            tuple((state[f"data_preprocessor.{which}"].double().flatten() / 255).tolist())
            for which in ("mean", "std")
        )
    return Normalisation(channel_order or layout.normalisation.channel_order, mean, std)


def _depth(state: Mapping[str, torch.Tensor], path: Path) -> int:
    blocks = tuple(
        len({key.split(".")[2] for key in state if key.startswith(f"encoder.layer{layer}.")})
        for layer in range(1, 5)
    )
    bottlenecks = "encoder.layer1.0.conv3.weight" in state
    depth = _BLOCKS.get((blocks, bottlenecks))
    if depth is None:
        raise TrainError(
            f"expected the blocks of a ResNet-18, 34, 50, 101 or 152 in {path}, found "
            f"{', '.join(map(str, blocks))} in its four layers"
        )
    return depth


def _renamed_back(key: str, names: Mapping[str, str]) -> str:
    return _renamed(key, {here: there for there, here in names.items()})


def _channels(
    state: Mapping[str, torch.Tensor], joints: Sequence[int] | None, path: Path
) -> list[int]:
    weight = state.get("heatmaps.weight")
    count = 0 if weight is None or not weight.ndim else len(weight)
    if joints is None:
        if weight is not None and count != NUM_JOINTS:
            raise TrainError(
                f"{path} predicts {count} points, a hand has {NUM_JOINTS}: say with --joints which "
                f"{NUM_JOINTS} of its channels 0 to {count - 1} are the hand's joints, wrist first"
            )
        return list(range(NUM_JOINTS))
    chosen = list(joints)
    if len(chosen) != NUM_JOINTS or len(set(chosen)) != NUM_JOINTS:
        raise TrainError(
            f"--joints names {NUM_JOINTS} different channels, found {len(set(chosen))} different "
            f"ones among {len(chosen)}"
        )
    outside = [channel for channel in chosen if not 0 <= channel < count]
    if outside:
        raise TrainError(
            f"--joints names channel {outside[0]}, but {path} has channels 0 to {count - 1}"
        )
    return chosen


def _check_layers(
    found: Mapping[str, torch.Tensor],
    expected: Mapping[str, torch.Tensor],
    layout: Layout,
    path: Path,
) -> None:
    """Every layer must be there, in its shape, and no other: both change what comes out."""
    needed = [key for key in expected if not key.endswith("num_batches_tracked")]
    there = {key: _renamed_back(key, layout.names) for key in (*expected, *found)}
    wrong = {
        "missing": [there[key] for key in needed if key not in found],
        "unknown": [there[key] for key in found if key not in expected],
        "of another shape": [
            f"{there[key]} {_size(value)} instead of {_size(expected[key])}"
            for key, value in found.items()
            if key in expected and value.shape != expected[key].shape
        ],
    }
    parts = [
        f"{len(names)} {what} ({describe_names(names)})" for what, names in wrong.items() if names
    ]
    if parts:
        raise TrainError(
            f"{path} looks like {layout.title}, but is no ResNet with three deconvolutions of 256 "
            f"channels and a 1×1 convolution: {'; '.join(parts)}"
        )


def _size(value: torch.Tensor) -> str:
    return "×".join(map(str, value.shape)) or "a number"
