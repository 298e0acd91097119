"""Whose objects can be read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sartor.registry import Registry

if TYPE_CHECKING:
    from sartor.models.preprocessing._reader import Reader

#: Kinds of objects, asked in this order whether one is of theirs.
READERS: Registry[type[Reader]] = Registry(
    "reader of preprocessing",
    {
        "timm": "sartor.models.preprocessing._timm:Timm",
        "torchvision": "sartor.models.preprocessing._torchvision:Preset",
        "transforms": "sartor.models.preprocessing._transforms:Transforms",
        "huggingface": "sartor.models.preprocessing._huggingface:ImageProcessor",
    },
)
