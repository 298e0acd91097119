"""How sure an accuracy is that was counted on some images."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import torch
from torch import Tensor

#: Half of what a 95 % interval leaves out lies beyond each end.
_Z = NormalDist().inv_cdf(0.975)


@dataclass(frozen=True)
class Interval:
    """A 95 % confidence interval.

    Attributes:
        low: Its lower end.
        high: Its upper end.
        images: How many images it rests on.
    """

    low: float
    high: float
    images: int

    def holds(self, value: float) -> bool:
        """Whether a value lies within, ends included."""
        return self.low <= value <= self.high

    @property
    def half_width(self) -> float:
        """Half the distance of its ends."""
        return (self.high - self.low) / 2


def mean_interval(hits: Tensor) -> Interval:
    """Where the mean of ``hits`` (images,) truly lies, bool or numbers in [0, 1].

    >>> import torch
    >>> found = mean_interval(torch.tensor([0.4, 0.6] * 50))
    >>> round(found.low, 2), round(found.high, 2)
    (0.48, 0.52)
    """
    images = len(hits)
    if hits.dtype == torch.bool:
        accuracy = float(hits.float().mean())
        return accuracy_interval(accuracy, images)

    mean = float(hits.float().mean())
    half = _half_width(hits.float())
    return Interval(max(0.0, mean - half), min(1.0, mean + half), images)


def accuracy_interval(accuracy: float, images: int) -> Interval:
    """Where the true accuracy likely lies (Wilson, 1927).

    Right for few images and for accuracies near 0 and 1 too, where ± two standard errors is not.

    >>> found = accuracy_interval(0.913, 5000)
    >>> round(found.low, 3), round(found.high, 3)
    (0.905, 0.92)
    """
    spread = _Z**2 / images
    scale = 1 + spread
    middle = (accuracy + spread / 2) / scale

    of_sample = accuracy * (1 - accuracy) / images
    of_prior = spread / (4 * images)
    half = _Z * math.sqrt(of_sample + of_prior) / scale

    # Rounding may put an end a hair beyond what an accuracy can be.
    return Interval(max(0.0, middle - half), min(1.0, middle + half), images)


def change_interval(after: Tensor, before: Tensor) -> Interval:
    """Where the true change of accuracy likely lies, of two networks on the same images.

    ``after`` and ``before`` (images,) say which images each answers rightly, or how well. What
    both answer alike tells nothing, so it is much narrower than the two accuracies' own (of yes
    and no: Bonett and Price, 2012).

    >>> import torch
    >>> same = torch.ones(1000, dtype=torch.bool)
    >>> round(change_interval(same, same).high, 3)
    0.003
    """
    images = len(after)
    if after.dtype != torch.bool:
        change = after.float() - before.float()
        mean = float(change.mean())
        half = _half_width(change)
        return Interval(mean - half, mean + half, images)

    gained = int((after & ~before).sum())
    lost = int((before & ~after).sum())

    # One image more in each of both kinds, so that few images do not look sure.
    count = images + 2
    gains = (gained + 1) / count
    losses = (lost + 1) / count
    middle = gains - losses
    half = _Z * math.sqrt((gains + losses - middle**2) / count)
    return Interval(max(-1.0, middle - half), min(1.0, middle + half), images)


def _half_width(values: Tensor) -> float:
    """Of the interval of a mean of numbers (images,)."""
    # One value has no spread.
    spread = float(values.std(correction=0))
    return _Z * spread / math.sqrt(len(values))
