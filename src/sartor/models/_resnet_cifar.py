"""The CIFAR networks of He et al. (2015, section 4.2): plain and residual, 6n + 2 layers, parameter-free shortcuts."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class _Block(nn.Module):
    def __init__(self, in_channels: int, channels: int, stride: int, *, residual: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.residual, self.stride, self.pad = residual, stride, (channels - in_channels) // 2

    def _shortcut(self, x: Tensor) -> Tensor:
        """Stride by subsampling; new channels are zeros, half in front and half behind."""
        if self.stride == 1 and self.pad == 0:
            return x
        x = x[:, :, :: self.stride, :: self.stride]
        return F.pad(x, (0, 0, 0, 0, self.pad, self.pad))

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        if self.residual:
            out = out + self._shortcut(x)
        return F.relu(out)


class CifarResNet(nn.Module):
    """``blocks`` per stage at 16, 32 and 64 channels; input (batch, 3, 32, 32), output (batch, classes)."""

    def __init__(self, blocks: int, classes: int = 10, *, residual: bool = True) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = self._stage(16, 16, blocks, 1, residual)
        self.layer2 = self._stage(16, 32, blocks, 2, residual)
        self.layer3 = self._stage(32, 64, blocks, 2, residual)
        self.linear = nn.Linear(64, classes)

    @staticmethod
    def _stage(
        in_channels: int, channels: int, blocks: int, stride: int, residual: bool
    ) -> nn.Sequential:
        first = _Block(in_channels, channels, stride, residual=residual)
        return nn.Sequential(
            first, *(_Block(channels, channels, 1, residual=residual) for _ in range(blocks - 1))
        )

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.linear(x.mean((2, 3)))
