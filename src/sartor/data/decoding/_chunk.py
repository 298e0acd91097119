"""Some samples as one array, none of their levels lost.

Nothing here needs torch: processes that decode start sooner without it.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from sartor.data._preprocessing import Preprocessing
from sartor.data._source import Sample
from sartor.errors import DataError
from sartor.machine import require

Pixels = npt.NDArray[Any]

#: Channels of an image, last in arrays of libraries that read images.
_CHANNELS = (1, 3, 4)


def decode(samples: Sequence[Sample], preprocessing: Preprocessing) -> Pixels:
    """Inputs of a network as (count, channels, height, width), before mean and std.

    One channel if all are grey, else three. Images of 8 bits are uint8; if any has 16 bits, all are
    float32 in [0, 1]; arrays and tensors are inputs already and stay as they are.

    Raises `DataError` for images of different size, and as `Preprocessing.apply` does.
    """
    arrays: list[Pixels] = []
    for sample in samples:
        array = _pixels(sample, preprocessing)
        arrays.append(array)
        require_same_size(arrays[0].shape, samples[0].name, array.shape, sample.name)

    channels = max(len(array) for array in arrays)
    dtype = common_type([array.dtype for array in arrays])
    return np.stack([widened(array, channels, dtype, axis=0) for array in arrays])


def require_same_size(
    expected: tuple[int, ...], first: str, found: tuple[int, ...], name: str
) -> None:
    """Raise `DataError` unless two images, (channels, …), are of one size."""
    size = _size(expected)
    other = _size(found)
    if size == other:
        return
    raise DataError(
        f"{first} is {_text(size)} pixels and {name} is {_text(other)}; all must agree: give "
        "--resize and --crop, or preprocessing=Preprocessing(resize=…, crop=…) in Python"
    )


def common_type(types: Sequence[np.dtype[Any]]) -> np.dtype[Any]:
    """What holds images of several types: that of all, or float32."""
    return types[0] if len(set(types)) == 1 else np.dtype(np.float32)


def widened(pixels: Pixels, channels: int, dtype: np.dtype[Any], axis: int) -> Pixels:
    """Images with their channels along an axis, grey ones repeated, in a type."""
    if pixels.dtype != dtype:
        levels = 255 if pixels.dtype == np.uint8 else 1
        pixels = pixels.astype(np.float32) / levels
    if pixels.shape[axis] == channels:
        return pixels
    return np.repeat(pixels, channels, axis=axis)


def _pixels(sample: Sample, preprocessing: Preprocessing) -> Pixels:
    image = sample.image
    if hasattr(image, "detach"):
        plain = image.detach().cpu()
        # NumPy has no bfloat16, and nothing here needs 64 bits.
        return np.asarray(plain.float() if plain.is_floating_point() else plain)
    if isinstance(image, np.ndarray) and not _is_picture(image):
        return image

    opener = require("PIL.Image", extra="data")
    if isinstance(image, np.ndarray):
        image = opener.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
    if isinstance(image, opener.Image):
        return preprocessing.apply(image, sample.name)

    if not isinstance(image, bytes):
        raise DataError(
            f"{sample.name} is a {type(image).__name__}; allowed are tensors, arrays, images of "
            "Pillow and the bytes of image files"
        )
    try:
        with opener.open(io.BytesIO(image)) as opened:
            return preprocessing.apply(opened, sample.name)
    except DataError:
        raise
    except Exception as error:  # Pillow raises many kinds
        raise DataError(f"{sample.name} cannot be decoded as an image: {error}") from error


def _is_picture(array: Pixels) -> bool:
    """Whether an array is (height, width, channels), as libraries that read images give it."""
    if array.dtype != np.uint8 or array.ndim != 3:
        return False
    return array.shape[-1] in _CHANNELS and array.shape[0] not in _CHANNELS


def _size(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Height and width of an image; the whole shape of anything else, whose channels count."""
    is_image = len(shape) == 3 and shape[0] in (1, 3)
    return shape[1:] if is_image else shape


def _text(size: tuple[int, ...]) -> str:
    return " x ".join(map(str, size))
