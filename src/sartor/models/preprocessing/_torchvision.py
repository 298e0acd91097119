"""torchvision's presets: ``weights.transforms()``."""

from __future__ import annotations

from typing import Any

from sartor.data import Preprocessing
from sartor.models.preprocessing._filters import interpolation_of
from sartor.models.preprocessing._reader import Reader, entry, has_entries, numbers, size_of


class Preset(Reader):
    """A preset of classification or segmentation, or the weights that have one."""

    @staticmethod
    def recognises(value: Any) -> bool:
        """Whether it is such a preset, or a member of a class of weights."""
        return has_entries(_preset(value), "resize_size", "mean", "std")

    @staticmethod
    def read(value: Any) -> Preprocessing:
        """Resized by the shorter side, then cut from the centre where the preset does that."""
        preset = _preset(value)
        crop = entry(preset, "crop_size")
        return Preprocessing(
            channels=3,
            resize=size_of(entry(preset, "resize_size")),
            interpolation=interpolation_of(entry(preset, "interpolation")),
            crop=None if crop is None else size_of(crop),
            mean=numbers(entry(preset, "mean")),
            std=numbers(entry(preset, "std")),
            origin="from torchvision's weights.transforms()",
        )


def _preset(value: Any) -> Any:
    """The preset that weights name; others as they are."""
    is_weights = has_entries(value, "transforms", "url", "meta")
    return value.transforms() if is_weights else value
