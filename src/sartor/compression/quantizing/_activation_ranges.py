"""Ranges of activations as schemes allow them."""

from __future__ import annotations

import math

from sartor.compression.quantizing._ranges import SMALLEST_SCALE
from sartor.compression.quantizing._scheme import Scheme


def activation_range(bits: int, low: float, high: float, scheme: Scheme) -> tuple[float, int]:
    """Scale and zero point of unsigned numbers of so many bits that hold a range, and zero.

    >>> from sartor.compression import DATAFLOW, DATAFLOW_EXACT, INTEGER
    >>> activation_range(2, -1.0, 2.0, INTEGER)
    (1.0, 1)
    >>> activation_range(2, 0.0, 2.25, DATAFLOW), activation_range(2, -1.0, 2.0, DATAFLOW)
    ((0.75, 0), (2.0, 2))
    >>> activation_range(2, 0.0, 2.25, DATAFLOW_EXACT)
    (1.0, 0)
    """
    # Zero must be exact: padding is made of it.
    low = min(low, 0.0)
    high = max(high, 0.0)
    if scheme.zero_points:
        scale = max((high - low) / (2**bits - 1), SMALLEST_SCALE)
        return scale, round(-low / scale)

    if low == 0:
        step, zero_point = high / (2**bits - 1), 0
    else:
        half = 2 ** (bits - 1)
        step, zero_point = max(-low / half, high / (half - 1)), half
    scale = max(step, SMALLEST_SCALE)
    if scheme.powers_of_two:
        # Up, or the ends of the range would be cut off.
        scale = 2.0 ** math.ceil(math.log2(scale))
    return scale, zero_point
