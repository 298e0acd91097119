"""The learning rate of every step."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import nn

#: What lets a network learn at ten times the rate.
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


@dataclass(frozen=True)
class LearningRate:
    """A linear rise to the largest rate, then half a cosine down to 0.

    Attributes:
        largest: The rate at the end of the rise.
        steps: Of the whole training.
        warmup: Share of the steps in which the rate rises.

    >>> rate = LearningRate(largest=1.0, steps=10, warmup=0.2)
    >>> [round(rate.at(step), 3) for step in (0, 1, 2, 6, 10)]
    [0.5, 1.0, 1.0, 0.5, 0.0]
    """

    largest: float
    steps: int
    warmup: float

    def at(self, step: int) -> float:
        """The rate of one step, counted from 0."""
        return self.largest * self._share(step)

    def _share(self, step: int) -> float:
        rise = max(1, round(self.warmup * self.steps))
        if step < rise:
            # Not step / rise: nothing would be learned in the first step.
            return (step + 1) / rise

        fall = max(1, self.steps - rise)
        progress = min(1.0, (step - rise) / fall)
        cosine = math.cos(math.pi * progress)
        return 0.5 * (1 + cosine)


def usual_rate(student: nn.Module, *, frozen: bool = False) -> float:
    """The largest learning rate, where none is given.

    A tenth without batch norms, which would let it learn faster; a hundredth with ``frozen`` ones,
    which make steps in the weights larger instead.

    >>> usual_rate(nn.Linear(1, 1)), usual_rate(nn.BatchNorm1d(2))
    (0.002, 0.02)
    >>> usual_rate(nn.BatchNorm1d(2), frozen=True)
    0.0002
    """
    has_norms = any(isinstance(module, _NORMS) for module in student.modules())
    if not has_norms:
        return 0.002
    return 0.0002 if frozen else 0.02
