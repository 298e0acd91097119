"""Libraries of networks by what stands before the colon."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sartor.registry import Registry

if TYPE_CHECKING:
    from sartor.models.libraries._library import Library

#: By the word before the colon of ``timm:resnet18``.
LIBRARIES: Registry[type[Library]] = Registry(
    "library of networks",
    {
        "timm": "sartor.models.libraries._timm:Timm",
        "torchvision": "sartor.models.libraries._torchvision:Torchvision",
    },
)


def library_of(reference: str) -> Library | None:
    """The library that a name such as ``timm:resnet18`` points to; None for other names.

    >>> library_of("resnet18") is None, library_of("mynet:build") is None
    (True, True)
    """
    family, colon, _ = reference.partition(":")
    if not colon or family not in LIBRARIES:
        return None
    return LIBRARIES.get(family)()
