"""Image files as tensors, none of their levels lost."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from sartor.errors import DataError
from sartor.machine import require

Pixels = npt.NDArray[Any]

_GREY = ("1", "L", "LA", "La")
_WITH_ALPHA = ("LA", "La", "PA", "RGBA", "RGBa")
#: Formats whose images of mode I hold 16 bits.
_SIXTEEN_BITS = ("PNG", "PPM")


def decode(encoded: Sequence[bytes], names: Sequence[str]) -> Tensor:
    """Images as (count, channels, height, width); ``names`` say which could not be decoded.

    One channel if all are grey, else three. Images of 8 bits are uint8; if any has 16 bits, all are
    float32 in [0, 1]; floating-point images are as they are stored.

    Raises `DataError` for images of different size, for transparent pixels, and for whole numbers
    of 32 bits.
    """
    opener = require("PIL.Image", extra="data")
    arrays: list[Pixels] = []
    for item, name in zip(encoded, names, strict=True):
        try:
            with opener.open(io.BytesIO(item)) as image:
                array = _pixels(image, name)
        except DataError:
            raise
        except Exception as error:  # Pillow raises many kinds
            raise DataError(f"{name} cannot be decoded as an image: {error}") from error
        arrays.append(array)

        size = array.shape[:2]
        first_size = arrays[0].shape[:2]
        if size != first_size:
            raise DataError(f"{name} is {size} pixels, {names[0]} is {first_size}; all must agree")

    return _stack(arrays)


def _pixels(image: Any, name: str) -> Pixels:
    """(height, width, channels), uint8 or float32."""
    mode = str(image.mode)
    widened = mode == "I" and image.format in _SIXTEEN_BITS
    if mode.startswith("I;16") or widened:
        levels = np.asarray(image).astype(np.float32)
        return levels[..., None] / 65535
    if mode == "F":
        numbers = np.asarray(image).astype(np.float32)
        return numbers[..., None]
    if mode == "I":
        raise DataError(
            f"{name} has whole numbers of 32 bits, or signed ones; "
            "images must have 8 or 16 bits, or floating-point numbers"
        )

    _require_opaque(image, name)
    if mode in _GREY:
        grey = np.asarray(image.convert("L"))
        return grey[..., None]
    return np.asarray(image.convert("RGB"))


def _require_opaque(image: Any, name: str) -> None:
    has_alpha = image.mode in _WITH_ALPHA
    if not has_alpha and "transparency" not in image.info:
        return

    # An alpha channel that is opaque throughout does no harm.
    alpha = np.asarray(image.convert("RGBA"))[..., 3]
    if alpha.min() < 255:
        raise DataError(
            f"{name} has transparent pixels, which would be lost; "
            "lay the images on a background first"
        )


def _stack(arrays: Sequence[Pixels]) -> Tensor:
    channels = 1
    in_floats = False
    for array in arrays:
        channels = max(channels, array.shape[2])
        in_floats |= array.dtype == np.float32

    alike = []
    for array in arrays:
        if in_floats and array.dtype == np.uint8:
            array = array.astype(np.float32) / 255
        if array.shape[2] < channels:
            array = np.repeat(array, channels, axis=2)
        alike.append(array)

    stacked = torch.from_numpy(np.stack(alike))
    return stacked.permute(0, 3, 1, 2).contiguous()
