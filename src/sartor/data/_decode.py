"""Image files as tensors, none of their levels lost."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from sartor.data._plain import plain
from sartor.errors import DataError
from sartor.machine import require

Pixels = npt.NDArray[Any]


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
    array = np.asarray(plain(image, name))
    return array if array.ndim == 3 else array[..., None]


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
