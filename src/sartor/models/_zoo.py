"""Reference networks by name, with the key names of the common checkpoints."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from sartor.errors import UsageError
from sartor.models._efficientnet_lite import EfficientNetLite0
from sartor.models._mobilenet import MobileNetV1, MobileNetV2
from sartor.models._resnet import resnet18, resnet50
from sartor.models._resnet_cifar import CifarResNet
from sartor.models._vgg import Vgg16
from sartor.registry import did_you_mean

#: Blocks of a stage.
_CIFAR = {"resnet8": 1, "resnet20": 3, "resnet32": 5, "resnet44": 7, "resnet56": 9, "resnet110": 18}
#: How to make a network of some classes and pixels, and the usual number of pixels.
_SIZED: dict[str, tuple[Callable[[int, int], nn.Module], int]] = {
    "resnet18": (resnet18, 32),
    "resnet50": (resnet50, 224),
    "vgg16_bn": (Vgg16, 32),
    "mobilenet_v1": (MobileNetV1, 224),
    "mobilenet_v2": (MobileNetV2, 224),
    "efficientnet_lite0": (EfficientNetLite0, 224),
}

#: Every name of the zoo.
NAMES = ("plain20", *_CIFAR, *_SIZED)


def default_pixels(name: str) -> int:
    """Side of the square input that a network is built for when none is given.

    >>> default_pixels("resnet50")
    224
    """
    return _SIZED[name][1] if name in _SIZED else 32


def build(name: str, *, classes: int | None = None, pixels: int | None = None) -> nn.Module:
    """A network of the zoo with fresh weights.

    ``classes`` defaults to 10 below 64 pixels and to 1000 above; ``pixels`` to 32 for the CIFAR
    networks, resnet18 and vgg16_bn, to 224 for the others. Raises `UsageError` for a name that is
    not in `NAMES`.
    """
    if name not in NAMES:
        meant = did_you_mean(name, NAMES)
        raise UsageError(
            f"model {name!r} is not in the zoo; {meant}known names: {', '.join(NAMES)}"
        )

    pixels = pixels or default_pixels(name)
    # Larger images are those of ImageNet, smaller ones those of CIFAR-10.
    usual = 1000 if pixels >= 64 else 10
    classes = classes or usual

    if name == "plain20":
        return CifarResNet(3, classes, residual=False)
    if name in _CIFAR:
        return CifarResNet(_CIFAR[name], classes)

    make, _ = _SIZED[name]
    return make(classes, pixels)
