"""ResNet-18 and ResNet-50 (He et al. 2015), at 224 pixels or with a CIFAR stem (3×3 stride 1, no max-pool)."""

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
        out = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(out)) + self.shortcut(x))


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
        out = F.relu(self.bn1(self.conv1(x)))
        out = F.relu(self.bn2(self.conv2(out)))
        return F.relu(self.bn3(self.conv3(out)) + self.shortcut(x))


def _stage(
    block: type[_Basic] | type[_Bottleneck],
    in_channels: int,
    channels: int,
    count: int,
    stride: int,
) -> nn.Sequential:
    rest = [block(channels * block.expansion, channels, 1) for _ in range(count - 1)]
    return nn.Sequential(block(in_channels, channels, stride), *rest)


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
        self.conv1 = (
            nn.Conv2d(3, 64, 3, 1, 1, bias=False)
            if self.small
            else nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        )
        self.bn1 = nn.BatchNorm2d(64)
        self.layer1 = _stage(block, 64, 64, blocks[0], 1)
        self.layer2 = _stage(block, 64 * block.expansion, 128, blocks[1], 2)
        self.layer3 = _stage(block, 128 * block.expansion, 256, blocks[2], 2)
        self.layer4 = _stage(block, 256 * block.expansion, 512, blocks[3], 2)
        self.linear = nn.Linear(512 * block.expansion, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.bn1(self.conv1(x)))
        if not self.small:
            x = F.max_pool2d(x, 3, 2, 1)
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.linear(x.mean((2, 3)))


def resnet18(classes: int, pixels: int) -> ResNet:
    """Two basic blocks a stage."""
    return ResNet(_Basic, (2, 2, 2, 2), classes, pixels)


def resnet50(classes: int, pixels: int) -> ResNet:
    """Bottlenecks, 3-4-6-3."""
    return ResNet(_Bottleneck, (3, 4, 6, 3), classes, pixels)
