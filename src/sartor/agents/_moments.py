"""Running mean and variance."""

from __future__ import annotations

import numpy as np

from sartor.machine import Float32Array, FloatArray

#: Added to the variance, as in a batch norm.
_EPSILON = 1e-5


class RunningMoments:
    """Mean and variance (features,) of the rows seen so far.

    With a ``rate``, which is the least weight of a new row, old ones fade: the mean is then an
    exponential moving average.

    >>> moments = RunningMoments(1)
    >>> moments.add(np.array([1.0]))
    >>> moments.add(np.array([3.0]))
    >>> moments.standardise(np.array([2.0, 3.0])).round(3)
    array([0., 1.], dtype=float32)
    """

    def __init__(self, features: int, *, rate: float = 0.0) -> None:
        self._rate = rate
        self._rows = 0
        self._mean = np.zeros(features)
        self._square = np.ones(features)

    def add(self, row: FloatArray) -> None:
        """Take a row (features,) into account."""
        self._rows += 1
        weight = max(1 / self._rows, self._rate)
        self._mean = self._mean + weight * (row - self._mean)
        self._square = self._square + weight * (np.square(row) - self._square)

    def standardise(self, rows: FloatArray | Float32Array) -> Float32Array:
        """Rows (…, features) less the mean, in standard deviations."""
        variance = np.maximum(self._square - np.square(self._mean), 0.0)
        standard = (rows - self._mean) / np.sqrt(variance + _EPSILON)
        return standard.astype(np.float32)
