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
    layers: list[nn.Module] = [
        nn.Conv2d(in_channels, channels, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(channels),
    ]
    return layers + ([act()] if act else [])


class MobileNetV1(nn.Module):
    """Depthwise-separable stack. Below 64 pixels the first two strides of 2 become 1, as is usual on CIFAR."""

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
            stride = 1 if pixels < 64 and index == 1 else stride
            layers += _conv(in_channels, in_channels, 3, stride, in_channels, act=nn.ReLU)
            layers += _conv(in_channels, channels, 1, act=nn.ReLU)
            in_channels = channels
        self.features = nn.Sequential(*layers)
        self.linear = nn.Linear(1024, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(self.features(x).mean((2, 3)))


class _InvertedResidual(nn.Module):
    def __init__(self, in_channels: int, channels: int, stride: int, expand: int) -> None:
        super().__init__()
        hidden = in_channels * expand
        layers = _conv(in_channels, hidden, 1, act=nn.ReLU6) if expand > 1 else []
        layers += _conv(hidden, hidden, 3, stride, hidden, act=nn.ReLU6)
        layers += _conv(hidden, channels, 1, act=None)
        self.conv = nn.Sequential(*layers)
        self.residual = stride == 1 and in_channels == channels

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x) if self.residual else self.conv(x)


class MobileNetV2(nn.Module):
    """Inverted residuals. Below 64 pixels the first two strides of 2 become 1, as is usual on CIFAR."""

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
            stride = 1 if pixels < 64 and stage == 1 else stride
            for index in range(count):
                layers.append(
                    _InvertedResidual(in_channels, channels, 1 if index else stride, expand)
                )
                in_channels = channels
        layers += _conv(in_channels, 1280, 1, act=nn.ReLU6)
        self.features = nn.Sequential(*layers)
        self.linear = nn.Linear(1280, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(self.features(x).mean((2, 3)))
