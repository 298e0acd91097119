"""The filters of resizing, as others call them."""

from __future__ import annotations

from typing import Any

from sartor.data import INTERPOLATIONS, Interpolation
from sartor.errors import UsageError

#: What Pillow numbers them by, which older transforms and Hugging Face's processors have.
_BY_NUMBER: dict[int, Interpolation] = {
    0: "nearest",
    1: "lanczos",
    2: "bilinear",
    3: "bicubic",
    4: "box",
    5: "hamming",
}


def interpolation_of(value: Any) -> Interpolation:
    """A filter by its name, its number, or a member of an enumeration of either.

    Raises `UsageError` for one that is not known.

    >>> interpolation_of(3), interpolation_of("bilinear"), interpolation_of(None)
    ('bicubic', 'bilinear', 'bilinear')
    """
    plain = getattr(value, "value", value)
    if plain is None:
        return "bilinear"
    if plain in _BY_NUMBER:
        return _BY_NUMBER[plain]
    for name in INTERPOLATIONS:
        if plain in (name, f"{name}-exact"):
            return name
    allowed = ", ".join(INTERPOLATIONS)
    raise UsageError(f"interpolation {plain!r} is not known; allowed are {allowed}")
