"""Running statistics of what an agent sees."""

from __future__ import annotations

import numpy as np

from sartor.machine import Float32Array, FloatArray

#: Added to the variance, as in a batch norm.
_EPSILON = 1e-5


class RunningMoments:
    """Mean and variance (features,) of the rows seen so far.

    >>> moments = RunningMoments(1)
    >>> moments.add(np.array([1.0]))
    >>> moments.add(np.array([3.0]))
    >>> moments.standardise(np.array([2.0, 3.0])).round(3)
    array([0., 1.], dtype=float32)
    """

    def __init__(self, features: int) -> None:
        self._rows = 0
        self._mean = np.zeros(features)
        self._square = np.ones(features)

    def add(self, row: FloatArray) -> None:
        """Take a row (features,) into account."""
        self._rows += 1
        weight = 1 / self._rows
        self._mean = self._mean + weight * (row - self._mean)
        self._square = self._square + weight * (np.square(row) - self._square)

    def standardise(self, rows: FloatArray | Float32Array) -> Float32Array:
        """Rows (…, features) less the mean, in standard deviations."""
        variance = np.maximum(self._square - np.square(self._mean), 0.0)
        standard = (rows - self._mean) / np.sqrt(variance + _EPSILON)
        return standard.astype(np.float32)


class MovingAverage:
    """Exponential moving average of numbers; ``rate`` is the share of a new one.

    >>> average = MovingAverage(0.5)
    >>> average.value is None
    True
    >>> for number in (1.0, 3.0):
    ...     average.add(number)
    >>> average.value
    2.0
    """

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self.value: float | None = None

    def add(self, number: float) -> None:
        """Take a number into account; the average begins with the first."""
        if self.value is None:
            self.value = number
        else:
            self.value += self._rate * (number - self.value)
