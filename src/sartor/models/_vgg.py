"""VGG-16 with batch norm (Simonyan & Zisserman 2014)."""

from __future__ import annotations

from torch import Tensor, nn

#: Output channels of the convolutions of each stage; a max-pool ends it.
_STAGES = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))


class Vgg16(nn.Module):
    """Thirteen convolutions, and then the paper's three linear layers.

    Below 64 pixels there is one instead, as is usual on CIFAR.
    """

    def __init__(self, classes: int, pixels: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        in_channels = 3
        for stage in _STAGES:
            for channels in stage:
                conv = nn.Conv2d(in_channels, channels, 3, 1, 1)
                norm = nn.BatchNorm2d(channels)
                layers += [conv, norm, nn.ReLU()]
                in_channels = channels

            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)

        # Five max-pools divide each side by 32.
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
        features = self.features(x)
        return self.classifier(features.flatten(1))
