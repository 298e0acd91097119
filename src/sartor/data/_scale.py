"""What a mean and a standard deviation per channel must be."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sartor.errors import DataError


def require_scale(mean: Sequence[float], std: Sequence[float], *, channels: int) -> None:
    """Raise `DataError` unless there are as many finite numbers as channels, or none at all."""
    is_given = bool(mean or std)
    if is_given and not len(mean) == len(std) == channels:
        raise DataError(
            f"mean {mean} and std {std} must have one number for each of {channels} channels"
        )

    # As they are applied: in float32, 1e-50 is 0.
    with np.errstate(over="ignore"):
        both = np.array([mean, std], dtype=np.float32)
    is_finite = np.isfinite(both)
    is_positive = both[1] > 0
    if not is_finite.all() or not is_positive.all():
        raise DataError(f"mean {mean} and std {std} must be finite, and every std above 0")
