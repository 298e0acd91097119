"""ResNet-18 and ResNet-50 (He et al. 2015), at 224 pixels or with a CIFAR stem.

The latter has a 3×3 convolution of stride 1 and no max-pool.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


def _shortcut(in_channels: int, out_channels: int, stride: int) -> nn.Sequential:
    if stride == 1 and in_channels == out_channels:
        return nn.Sequential()
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels)
    )


class _Basic(nn.Module):
    expansion = 1

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)

        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)

        self.shortcut = _shortcut(in_channels, channels, stride)

    def forward(self, x: Tensor) -> Tensor:
        out = self.bn1(self.conv1(x))
        out = F.relu(out)

        out = self.bn2(self.conv2(out))

        return F.relu(out + self.shortcut(x))


class _Bottleneck(nn.Module):
    expansion = 4

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)

        self.conv2 = nn.Conv2d(channels, channels, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)

        self.conv3 = nn.Conv2d(channels, 4 * channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * channels)

        self.shortcut = _shortcut(in_channels, 4 * channels, stride)

    def forward(self, x: Tensor) -> Tensor:
        out = self.bn1(self.conv1(x))
        out = F.relu(out)

        out = self.bn2(self.conv2(out))
        out = F.relu(out)

        out = self.bn3(self.conv3(out))

        return F.relu(out + self.shortcut(x))


def _stage(
    block: type[_Basic] | type[_Bottleneck],
    in_channels: int,
    channels: int,
    count: int,
    stride: int,
) -> nn.Sequential:
    wide = channels * block.expansion
    # Made first, for the order in which weights are drawn decides them.
    others = [block(wide, channels, 1) for _ in range(count - 1)]
    first = block(in_channels, channels, stride)
    return nn.Sequential(first, *others)


class ResNet(nn.Module):
    """Stages of 64, 128, 256, 512 channels; ``pixels`` below 64 takes the CIFAR stem."""

    def __init__(
        self,
        block: type[_Basic] | type[_Bottleneck],
        blocks: tuple[int, ...],
        classes: int,
        pixels: int,
    ) -> None:
        super().__init__()
        self.small = pixels < 64
        if self.small:
            self.conv1 = nn.Conv2d(3, 64, 3, 1, 1, bias=False)
        else:
            self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)

        wide = block.expansion
        self.layer1 = _stage(block, 64, 64, blocks[0], 1)
        self.layer2 = _stage(block, 64 * wide, 128, blocks[1], 2)
        self.layer3 = _stage(block, 128 * wide, 256, blocks[2], 2)
        self.layer4 = _stage(block, 256 * wide, 512, blocks[3], 2)

        self.linear = nn.Linear(512 * wide, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.bn1(self.conv1(x))
        x = F.relu(x)

        if not self.small:
            x = F.max_pool2d(x, 3, 2, 1)

        x = self.layer1(x)
        x = self.layer2(x)
        x = self.layer3(x)
        x = self.layer4(x)

        pooled = x.mean((2, 3))
        return self.linear(pooled)


def resnet18(classes: int, pixels: int) -> ResNet:
    """Two basic blocks a stage.

    >>> sum(parameter.numel() for parameter in resnet18(10, 32).parameters())
    11173962
    """
    return ResNet(_Basic, (2, 2, 2, 2), classes, pixels)


def resnet50(classes: int, pixels: int) -> ResNet:
    """Bottlenecks, 3-4-6-3."""
    return ResNet(_Bottleneck, (3, 4, 6, 3), classes, pixels)
