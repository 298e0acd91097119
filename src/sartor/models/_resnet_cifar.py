"""The CIFAR networks of He et al. (2015, section 4.2): 6n + 2 layers, plain or residual.

Shortcuts have no parameters.
"""

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

        self.residual = residual
        self.stride = stride
        #: Channels of zeros on each side of a shortcut.
        self.pad = (channels - in_channels) // 2

    def _shortcut(self, x: Tensor) -> Tensor:
        """Stride by subsampling; new channels are zeros, half in front and half behind."""
        if self.stride == 1 and self.pad == 0:
            return x
        step = self.stride
        fewer = x[:, :, ::step, ::step]
        return F.pad(fewer, (0, 0, 0, 0, self.pad, self.pad))

    def forward(self, x: Tensor) -> Tensor:
        out = self.bn1(self.conv1(x))
        out = F.relu(out)

        out = self.bn2(self.conv2(out))

        if self.residual:
            shortcut = self._shortcut(x)
            out = out + shortcut

        return F.relu(out)


class CifarResNet(nn.Module):
    """Stages of 16, 32 and 64 channels, with as many ``blocks`` each.

    The input is (batch, 3, 32, 32) or of another size, the output (batch, classes).

    >>> import torch
    >>> CifarResNet(3)(torch.zeros(1, 3, 32, 32)).shape
    torch.Size([1, 10])
    """

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
        stage = [_Block(in_channels, channels, stride, residual=residual)]
        for _ in range(blocks - 1):
            block = _Block(channels, channels, 1, residual=residual)
            stage.append(block)
        return nn.Sequential(*stage)

    def forward(self, x: Tensor) -> Tensor:
        x = self.bn1(self.conv1(x))
        x = F.relu(x)

        x = self.layer1(x)
        x = self.layer2(x)
        x = self.layer3(x)

        pooled = x.mean((2, 3))
        return self.linear(pooled)
