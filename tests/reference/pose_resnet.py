"""The network of Simple Baselines from its published list of layers; shares no code with handbench.

Xiao, Wu and Wei, "Simple Baselines for Human Pose Estimation and Tracking", ECCV 2018: a ResNet
(He et al., CVPR 2016; stride in the 3×3 convolution of a bottleneck), three deconvolutions of 256
channels with kernel 4, stride 2, padding 1 and no bias, each with batch norm and ReLU, and a 1×1
convolution. Layers have the names of the published checkpoints.
"""

from __future__ import annotations

import torch
from torch import nn

BLOCKS = {
    18: [2, 2, 2, 2],
    34: [3, 4, 6, 3],
    50: [3, 4, 6, 3],
    101: [3, 4, 23, 3],
    152: [3, 8, 36, 3],
}


class Block(nn.Module):
    """Two 3×3 convolutions, or 1×1, 3×3, 1×1 with four times the channels."""

    def __init__(self, inputs: int, width: int, stride: int, bottleneck: bool) -> None:
        super().__init__()
        outputs = 4 * width if bottleneck else width
        kernels = [1, 3, 1] if bottleneck else [3, 3]
        strides = [1, stride, 1] if bottleneck else [stride, 1]
        channels = [inputs, width, width, outputs] if bottleneck else [inputs, width, width]
        for number, (kernel, step) in enumerate(zip(kernels, strides), start=1):
            layer = nn.Conv2d(
                channels[number - 1], channels[number], kernel, step, kernel // 2, bias=False
            )
            self.add_module(f"conv{number}", layer)
            self.add_module(f"bn{number}", nn.BatchNorm2d(channels[number]))
        self.count = len(kernels)
        self.downsample = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        kept = x if self.downsample is None else self.downsample(x)
        for number in range(1, self.count + 1):
            x = getattr(self, f"bn{number}")(getattr(self, f"conv{number}")(x))
            x = torch.relu(x if number < self.count else x + kept)
        return x


class PoseResNet(nn.Module):
    """Simple Baselines; input is normalised already."""

    def __init__(self, depth: int, joints: int) -> None:
        super().__init__()
        bottleneck = depth >= 50
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        channels = 64
        for number, blocks in enumerate(BLOCKS[depth]):
            layer = nn.Sequential()
            for block in range(blocks):
                width = 64 * 2**number
                stride = 2 if number > 0 and block == 0 else 1
                layer.append(Block(channels, width, stride, bottleneck))
                channels = 4 * width if bottleneck else width
            self.add_module(f"layer{number + 1}", layer)
        self.deconv_layers = nn.Sequential()
        for inputs in (channels, 256, 256):
            self.deconv_layers.append(nn.ConvTranspose2d(inputs, 256, 4, 2, 1, bias=False))
            self.deconv_layers.append(nn.BatchNorm2d(256))
            self.deconv_layers.append(nn.ReLU())
        self.final_layer = nn.Conv2d(256, joints, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.bn1(self.conv1(x)))
        x = nn.functional.max_pool2d(x, 3, 2, 1)
        for number in range(1, 5):
            x = getattr(self, f"layer{number}")(x)
        return self.final_layer(self.deconv_layers(x))


def random_pose_resnet(depth: int, joints: int, seed: int = 0) -> PoseResNet:
    """One whose weights, scales, shifts and running statistics all matter, in evaluation mode."""
    torch.manual_seed(seed)
    network = PoseResNet(depth, joints)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.1)
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
        elif isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.kaiming_normal_(module.weight)
    network.eval()
    with torch.no_grad():
        # Heatmaps run from 0 to 1; layers with random weights know no such measure.
        network.final_layer.weight /= 4 * network(torch.randn(1, 3, 64, 64)).std()
        nn.init.uniform_(network.final_layer.bias)
    return network
