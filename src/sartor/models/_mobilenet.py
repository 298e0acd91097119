"""MobileNet-V1 (Howard et al. 2017) and MobileNet-V2 (Sandler et al. 2018)."""

from __future__ import annotations

from torch import Tensor, nn


def _conv(
    in_channels: int,
    channels: int,
    kernel: int,
    stride: int = 1,
    groups: int = 1,
    *,
    act: type[nn.Module] | None,
) -> list[nn.Module]:
    padding = kernel // 2
    conv = nn.Conv2d(in_channels, channels, kernel, stride, padding, groups=groups, bias=False)
    layers: list[nn.Module] = [conv, nn.BatchNorm2d(channels)]
    if act is not None:
        layers.append(act())
    return layers


class MobileNetV1(nn.Module):
    """Depthwise-separable stack.

    Below 64 pixels the first two strides of 2 become 1, as is usual on CIFAR.
    """

    _BLOCKS = (
        (64, 1),
        (128, 2),
        (128, 1),
        (256, 2),
        (256, 1),
        (512, 2),
        *((512, 1),) * 5,
        (1024, 2),
        (1024, 1),
    )

    def __init__(self, classes: int, pixels: int) -> None:
        super().__init__()
        layers = _conv(3, 32, 3, 2 if pixels >= 64 else 1, act=nn.ReLU)
        in_channels = 32
        for index, (channels, stride) in enumerate(self._BLOCKS):
            if pixels < 64 and index == 1:
                stride = 1
            layers += _conv(in_channels, in_channels, 3, stride, in_channels, act=nn.ReLU)
            layers += _conv(in_channels, channels, 1, act=nn.ReLU)
            in_channels = channels
        self.features = nn.Sequential(*layers)
        self.linear = nn.Linear(1024, classes)

    def forward(self, x: Tensor) -> Tensor:
        features = self.features(x)
        pooled = features.mean((2, 3))
        return self.linear(pooled)


class _InvertedResidual(nn.Module):
    def __init__(self, in_channels: int, channels: int, stride: int, expand: int) -> None:
        super().__init__()
        hidden = in_channels * expand
        layers: list[nn.Module] = []
        if expand > 1:
            layers += _conv(in_channels, hidden, 1, act=nn.ReLU6)
        layers += _conv(hidden, hidden, 3, stride, hidden, act=nn.ReLU6)
        layers += _conv(hidden, channels, 1, act=None)
        self.conv = nn.Sequential(*layers)
        self.residual = stride == 1 and in_channels == channels

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x) if self.residual else self.conv(x)


class MobileNetV2(nn.Module):
    """Inverted residuals.

    Below 64 pixels the first two strides of 2 become 1, as is usual on CIFAR.
    """

    _STAGES = (
        (1, 16, 1, 1),
        (6, 24, 2, 2),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 96, 3, 1),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    )

    def __init__(self, classes: int, pixels: int) -> None:
        super().__init__()
        layers = _conv(3, 32, 3, 2 if pixels >= 64 else 1, act=nn.ReLU6)
        in_channels = 32
        for stage, (expand, channels, count, stride) in enumerate(self._STAGES):
            if pixels < 64 and stage == 1:
                stride = 1
            for _ in range(count):
                block = _InvertedResidual(in_channels, channels, stride, expand)
                layers.append(block)
                in_channels = channels
                stride = 1
        layers += _conv(in_channels, 1280, 1, act=nn.ReLU6)
        self.features = nn.Sequential(*layers)
        self.linear = nn.Linear(1280, classes)

    def forward(self, x: Tensor) -> Tensor:
        features = self.features(x)
        pooled = features.mean((2, 3))
        return self.linear(pooled)
