"""timm's ``pretrained_cfg``: what its own evaluation does with images."""

from __future__ import annotations

import math
from typing import Any, cast

from sartor.data import Interpolation, Preprocessing
from sartor.errors import UsageError
from sartor.models.preprocessing._reader import Reader, entry, has_entries, numbers

#: timm's own, for networks that do not say.
_CROP_PCT = 0.875
_INTERPOLATION = "bicubic"


class Timm(Reader):
    """A network of timm, or its ``pretrained_cfg`` (``default_cfg``)."""

    @staticmethod
    def recognises(value: Any) -> bool:
        """Whether it is such a configuration, or has one."""
        return has_entries(_configuration(value), "mean", "std", "input_size")

    @staticmethod
    def read(value: Any) -> Preprocessing:
        """As timm's ``resolve_data_config`` and ``create_transform`` for evaluation.

        Raises `UsageError` for images that are padded to a square.
        """
        config = _configuration(value)
        channels, height, width = entry(config, "input_size")
        mode = entry(config, "crop_mode") or "center"
        fraction = float(entry(config, "crop_pct") or _CROP_PCT)

        whole = (math.floor(height / fraction), math.floor(width / fraction))
        resize: int | tuple[int, int] = whole
        if mode == "center" and height == width:
            resize = whole[0]
        elif mode != "squash":
            raise UsageError(
                f"timm's pretrained_cfg says crop_mode {mode!r} for inputs of {height} x {width}, "
                "which cannot be followed; give resize and crop"
            )

        mean = numbers(entry(config, "mean"))
        std = numbers(entry(config, "std"))
        if len(mean) != channels:
            # As timm does for networks of one channel.
            mean = (sum(mean) / len(mean),) * channels
            std = (sum(std) / len(std),) * channels
        return Preprocessing(
            channels=channels if channels in (1, 3) else None,
            resize=resize,
            interpolation=cast("Interpolation", entry(config, "interpolation") or _INTERPOLATION),
            crop=height if height == width else (height, width),
            mean=mean,
            std=std,
            origin="from timm's pretrained_cfg",
        )


def _configuration(value: Any) -> Any:
    for name in ("pretrained_cfg", "default_cfg"):
        config = entry(value, name)
        if config is not None:
            return config
    return value
