"""VGG-16 with batch norm (Simonyan & Zisserman 2014)."""

from __future__ import annotations

from torch import Tensor, nn

_CHANNELS = (
    64,
    64,
    0,
    128,
    128,
    0,
    256,
    256,
    256,
    0,
    512,
    512,
    512,
    0,
    512,
    512,
    512,
    0,
)  # 0: max-pool


class Vgg16(nn.Module):
    """At 32 pixels one linear layer after the convolutions, as is usual on CIFAR; at 224 the paper's three."""

    def __init__(self, classes: int, pixels: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        in_channels = 3
        for channels in _CHANNELS:
            if channels:
                layers += [
                    nn.Conv2d(in_channels, channels, 3, 1, 1),
                    nn.BatchNorm2d(channels),
                    nn.ReLU(),
                ]
                in_channels = channels
            else:
                layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        size = 512 * (pixels // 32) ** 2
        head: list[nn.Module] = [nn.Linear(size, classes)]
        if pixels >= 64:
            head = [
                nn.Linear(size, 4096),
                nn.ReLU(),
                nn.Dropout(),
                nn.Linear(4096, 4096),
                nn.ReLU(),
                nn.Dropout(),
                nn.Linear(4096, classes),
            ]
        self.classifier = nn.Sequential(*head)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x).flatten(1))
