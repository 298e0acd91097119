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
    conv = nn.Conv2d(
        in_channels,
        channels,
        kernel,
        stride,
        padding=kernel // 2,
        groups=groups,
        bias=False,
    )
    norm = nn.BatchNorm2d(channels)

    layers: list[nn.Module] = [conv, norm]
    if act is not None:
        layers.append(act())
    return layers


class MobileNetV1(nn.Module):
    """Depthwise-separable stack.

    Below 64 pixels the first two strides of 2 become 1, as is usual on CIFAR.
    """

    #: Channels and stride of each block.
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
        is_small = pixels < 64

        first_stride = 1 if is_small else 2
        layers = _conv(3, 32, 3, first_stride, act=nn.ReLU)
        in_channels = 32

        for index, (channels, stride) in enumerate(self._BLOCKS):
            if is_small and index == 1:
                stride = 1

            # Depthwise: as many groups as channels.
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

        # Depthwise: as many groups as channels.
        layers += _conv(hidden, hidden, 3, stride, hidden, act=nn.ReLU6)

        # A linear bottleneck: an activation would lose information in so few channels.
        layers += _conv(hidden, channels, 1, act=None)

        self.conv = nn.Sequential(*layers)
        self.residual = stride == 1 and in_channels == channels

    def forward(self, x: Tensor) -> Tensor:
        out = self.conv(x)
        return x + out if self.residual else out


class MobileNetV2(nn.Module):
    """Inverted residuals.

    Below 64 pixels the first two strides of 2 become 1, as is usual on CIFAR.
    """

    #: Expansion, channels, blocks and first stride of each stage.
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
        is_small = pixels < 64

        first_stride = 1 if is_small else 2
        layers = _conv(3, 32, 3, first_stride, act=nn.ReLU6)
        in_channels = 32

        for stage, (expand, channels, count, stride) in enumerate(self._STAGES):
            if is_small and stage == 1:
                stride = 1

            for _ in range(count):
                block = _InvertedResidual(in_channels, channels, stride, expand)
                layers.append(block)

                # Only the first block of a stage changes the shape.
                in_channels = channels
                stride = 1

        layers += _conv(in_channels, 1280, 1, act=nn.ReLU6)
        self.features = nn.Sequential(*layers)
        self.linear = nn.Linear(1280, classes)

    def forward(self, x: Tensor) -> Tensor:
        features = self.features(x)
        pooled = features.mean((2, 3))
        return self.linear(pooled)
