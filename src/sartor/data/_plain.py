"""Image files as Pillow's plain kinds, none of their levels lost."""

from __future__ import annotations

from typing import Any

import numpy as np

from sartor.errors import DataError
from sartor.machine import require

_GREY = ("1", "L", "LA", "La")
_WITH_ALPHA = ("LA", "La", "PA", "RGBA", "RGBa")
#: Formats whose images of mode I hold 16 bits.
_SIXTEEN_BITS = ("PNG", "PPM")
_LARGEST_OF_16_BITS = 65535

#: The tag of a photo that says how the camera was held, and its value for upright.
_ORIENTATION = 0x0112
_UPRIGHT = 1


def plain(image: Any, name: str) -> Any:
    """An image of Pillow in mode L, RGB or F: grey, in colours, or grey in floats.

    Palettes, CMYK and other colours become RGB; 16 bits become floats in [0, 1]; floating-point
    images are as they are stored. ``name`` is for messages.

    Raises `DataError` for transparent pixels, and for whole numbers of 32 bits.
    """
    mode = str(image.mode)
    widened = mode == "I" and image.format in _SIXTEEN_BITS
    if mode.startswith("I;16") or widened:
        levels = np.asarray(image).astype(np.float32)
        opener = require("PIL.Image", extra="data")
        return opener.fromarray(levels / _LARGEST_OF_16_BITS)
    if mode == "F":
        return image
    if mode == "I":
        raise DataError(
            f"{name} has whole numbers of 32 bits, or signed ones; "
            "images must have 8 or 16 bits, or floating-point numbers"
        )

    _require_opaque(image, name)
    return image.convert("L" if mode in _GREY else "RGB")


def upright(image: Any) -> Any:
    """An image turned as its camera says it was held; the same object if it was held upright."""
    orientation = image.getexif().get(_ORIENTATION, _UPRIGHT)
    if orientation == _UPRIGHT:
        return image

    turned = require("PIL.ImageOps", extra="data").exif_transpose(image)
    # Pillow forgets it, and 16 bits are told by it.
    turned.format = image.format
    return turned


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
