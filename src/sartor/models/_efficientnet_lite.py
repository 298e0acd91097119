"""EfficientNet-Lite0 (Tan & Le 2019; the lite variants are TensorFlow's, 2020).

No squeeze-and-excitation, ReLU6 in place of swish: what phones' integer kernels are good at.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

#: Kernel, first stride, expansion, channels and blocks of each stage.
_STAGES = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)
_STEM = 32
_HEAD = 1280


class _Block(nn.Module):
    """An inverted residual: expanded, filtered channel by channel, projected."""

    def __init__(
        self,
        in_channels: int,
        channels: int,
        *,
        kernel: int,
        stride: int,
        expansion: int,
        pixels: int,
    ) -> None:
        super().__init__()
        hidden = in_channels * expansion
        self.expands = expansion > 1
        if self.expands:
            self._expand_conv = nn.Conv2d(in_channels, hidden, 1, bias=False)
            self._bn0 = _norm(hidden)

        self._pad = _same(pixels, kernel, stride)
        self._depthwise_conv = nn.Conv2d(hidden, hidden, kernel, stride, groups=hidden, bias=False)
        self._bn1 = _norm(hidden)

        self._project_conv = nn.Conv2d(hidden, channels, 1, bias=False)
        self._bn2 = _norm(channels)

        self.residual = stride == 1 and in_channels == channels

    def forward(self, x: Tensor) -> Tensor:
        out = x
        if self.expands:
            out = self._bn0(self._expand_conv(out))
            out = F.relu6(out)

        out = self._bn1(self._depthwise_conv(self._pad(out)))
        out = F.relu6(out)

        out = self._bn2(self._project_conv(out))
        return x + out if self.residual else out


class EfficientNetLite0(nn.Module):
    """Inverted residuals of 3 × 3 and 5 × 5.

    Below 64 pixels the first two strides of 2 become 1, as is usual on CIFAR.

    >>> import torch
    >>> EfficientNetLite0(10, 32)(torch.zeros(1, 3, 32, 32)).shape
    torch.Size([1, 10])
    """

    def __init__(self, classes: int, pixels: int) -> None:
        super().__init__()
        is_small = pixels < 64

        stride = 1 if is_small else 2
        self._pad = _same(pixels, 3, stride)
        self._conv_stem = nn.Conv2d(3, _STEM, 3, stride, bias=False)
        self._bn0 = _norm(_STEM)
        pixels = _after(pixels, stride)

        blocks = []
        in_channels = _STEM
        for stage, (kernel, stride, expansion, channels, count) in enumerate(_STAGES):
            if is_small and stage == 1:
                stride = 1

            for _ in range(count):
                block = _Block(
                    in_channels,
                    channels,
                    kernel=kernel,
                    stride=stride,
                    expansion=expansion,
                    pixels=pixels,
                )
                blocks.append(block)
                pixels = _after(pixels, stride)

                # Only the first block of a stage changes the shape.
                in_channels = channels
                stride = 1
        self._blocks = nn.ModuleList(blocks)

        self._conv_head = nn.Conv2d(in_channels, _HEAD, 1, bias=False)
        self._bn1 = _norm(_HEAD)

        self._dropout = nn.Dropout(0.2)
        self._fc = nn.Linear(_HEAD, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self._bn0(self._conv_stem(self._pad(x)))
        x = F.relu6(x)

        for block in self._blocks:
            x = block(x)

        x = self._bn1(self._conv_head(x))
        x = F.relu6(x)

        pooled = x.mean((2, 3))
        return self._fc(self._dropout(pooled))


def _norm(channels: int) -> nn.BatchNorm2d:
    # What TensorFlow calls a momentum of 0.99 is 0.01 here.
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)


def _same(pixels: int, kernel: int, stride: int) -> nn.ZeroPad2d:
    """TensorFlow's "same" padding of an image: what is odd goes below and to the right."""
    last = (_after(pixels, stride) - 1) * stride
    missing = max(last + kernel - pixels, 0)
    before = missing // 2
    after = missing - before
    return nn.ZeroPad2d((before, after, before, after))


def _after(pixels: int, stride: int) -> int:
    """Side of what a convolution with "same" padding writes."""
    return -(-pixels // stride)
