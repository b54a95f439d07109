"""The reference network: a ResNet encoder, three deconvolutions, one heatmap a joint.

Architecture and initialisation follow "Simple Baselines for Human Pose Estimation and Tracking"
(Xiao, Wu and Wei, ECCV 2018). The network normalises its input itself, so that a checkpoint needs
no further rule; the output has a quarter of the input's side.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from handbench.errors import TrainError
from handbench.hand import NUM_JOINTS
from handbench.models.architecture import DEPTHS, Normalisation

DECONV_CHANNELS = 256


class Baseline(nn.Module):
    """ResNet encoder → 3 × (4×4 deconvolution to 256, batch norm, ReLU) → 1×1 convolution.

    Parameters
    ----------
    depth
        18, 34, 50, 101 or 152 layers.
    joints
        Number of heatmaps.
    normalisation
        Order of the channels, mean and standard deviation; ImageNet's if left out.
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(
        self,
        depth: int = 50,
        joints: int = NUM_JOINTS,
        normalisation: Normalisation | None = None,
    ) -> None:
        super().__init__()
        if depth not in DEPTHS:
            raise TrainError(
                f"a ResNet has {', '.join(map(str, DEPTHS[:-1]))} or {DEPTHS[-1]} layers, "
                f"found depth {depth}"
            )
        self.depth = depth
        self.joints = joints
        self.normalisation = normalisation or Normalisation()
        self.encoder, channels = _encoder(depth)
        self.deconvolutions = nn.Sequential(
            *_deconvolution(channels, DECONV_CHANNELS),
            *_deconvolution(DECONV_CHANNELS, DECONV_CHANNELS),
            *_deconvolution(DECONV_CHANNELS, DECONV_CHANNELS),
        )
        self.heatmaps = nn.Conv2d(DECONV_CHANNELS, joints, kernel_size=1)
        for module in (*self.deconvolutions, self.heatmaps):
            if isinstance(module, nn.ConvTranspose2d | nn.Conv2d):
                nn.init.normal_(module.weight, std=0.001)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        mean = torch.tensor(self.normalisation.mean).view(1, 3, 1, 1)
        std = torch.tensor(self.normalisation.std).view(1, 3, 1, 1)
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("std", std, persistent=False)

    def forward(self, images: torch.Tensor, *, normalised: bool = False) -> torch.Tensor:
        """Heatmaps of RGB images.

        Parameters
        ----------
        images
            (N, 3, H, W) float, 0 … 1, sides multiples of 32.
        normalised
            The images come in the order and with the mean and standard deviation that the network
            works with (:func:`handbench.models.pixels.make_pixels`).

        Returns
        -------
        (N, joints, H / 4, W / 4) float; what they mean is the codec's matter
        (:mod:`handbench.models.codecs`).
        """
        if not normalised:
            if self.normalisation.channel_order == "bgr":
                images = images.flip(1)
            images = (images - self.mean) / self.std
        features: torch.Tensor = self.deconvolutions(self.encoder(images))
        if features.dtype == torch.float32:
            maps: torch.Tensor = self.heatmaps(features)
        else:
            # Neighbouring cells differ by less than bf16 can tell apart; decoding lives on that.
            with torch.autocast(features.device.type, enabled=False):
                maps = self.heatmaps(features.float())
        return maps


def _encoder(depth: int) -> tuple[nn.Sequential, int]:
    """Torchvision's ResNet without pooling and classifier, layers under their usual names."""
    from torchvision.models import get_model

    resnet = get_model(f"resnet{depth}", weights=None)
    layers = nn.Sequential()
    for name, layer in resnet.named_children():
        if name not in ("avgpool", "fc"):
            layers.add_module(name, layer)
    return layers, resnet.fc.in_features


def _deconvolution(inputs: int, outputs: int) -> tuple[nn.Module, ...]:
    return (
        nn.ConvTranspose2d(inputs, outputs, kernel_size=4, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(outputs, momentum=0.1),
        nn.ReLU(inplace=True),
    )


def count_parameters(network: nn.Module) -> int:
    """Number of trained numbers (batch-norm statistics are not)."""
    return sum(parameter.numel() for parameter in network.parameters())


def load_pretrained(network: Baseline, weights: str) -> None:
    """Fill the encoder with ImageNet weights.

    Parameters
    ----------
    network
        Changed in place; deconvolutions keep their initialisation.
    weights
        ``none``, ``imagenet`` (downloaded once by torchvision's address and checksum), or the
        path of a torchvision ResNet state dict.

    Raises
    ------
    TrainError
        If the weights cannot be fetched, read, or are of another depth.
    """
    if weights == "none":
        return
    path = _imagenet_file(network.depth) if weights == "imagenet" else Path(weights)
    state = read_state(path, "ImageNet weights")
    state = {name: value for name, value in state.items() if not name.startswith("fc.")}
    try:
        network.encoder.load_state_dict(state)
    except RuntimeError as error:
        raise TrainError(
            f"{path} does not hold the weights of a ResNet-{network.depth}: choose the --depth "
            "that it was made for"
        ) from error


def read_state(path: Path, what: str) -> dict[str, torch.Tensor]:
    """Read a plain state dict without running any code of it.

    Raises
    ------
    TrainError
        If the file is missing, damaged, or holds anything but tensors by name.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise TrainError(f"expected {what} at {path}, found no such file") from error
    except Exception as error:
        raise TrainError(
            f"{path} cannot be read as {what}: it is damaged, cut off, or holds more than "
            "tensors; download or save it again"
        ) from error
    if not isinstance(state, dict) or not all(torch.is_tensor(value) for value in state.values()):
        raise TrainError(f"{path} should hold {what} as tensors by name, found something else")
    return state


def _imagenet_file(depth: int) -> Path:
    """Local copy of torchvision's ImageNet-1k weights, fetched on first use."""
    from torchvision.models import get_model_weights

    url: str = get_model_weights(f"resnet{depth}")["IMAGENET1K_V1"].url
    target = Path(torch.hub.get_dir()) / "checkpoints" / url.rsplit("/", 1)[-1]
    if target.exists():
        return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        # The name ends in the first digits of the SHA-256, which torch then checks.
        torch.hub.download_url_to_file(
            url, str(target), hash_prefix=target.stem.rsplit("-", 1)[-1], progress=False
        )
    except (OSError, RuntimeError) as error:
        raise TrainError(
            f"the ImageNet weights could not be downloaded from {url} ({error}): fetch that file "
            "elsewhere and pass it as --pretrained FILE, or train with --pretrained none"
        ) from error
    return target
