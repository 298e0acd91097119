"""How to repair."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sartor.errors import UsageError
from sartor.machine import require_seed

if TYPE_CHECKING:
    from sartor.data import Images

#: Numbers that the images of a step have on the CPU at most: 64 small images, or 33 photos.
_NUMBERS = 5_000_000
#: Images of a step: more would be fewer steps, fewer would tell batch norms too little.
_BATCHES = (16, 64)


@dataclass(frozen=True)
class RepairOptions:
    """How to repair.

    Raises `UsageError` for a value out of its range.

    Attributes:
        shown: Images that are shown in all, each as often as it takes.
        batch: Images of a step; if not given, 64 small ones, or fewer photos, at least 16.
        rounds: Parts of the training after each of which the network is looked at.
        patience: Rounds in a row, each worse than the one before, after which it ends early.
        learning_rate: Largest learning rate; found by trying if not given.
        temperature: Softens the outputs that are compared, where those are class scores.
        ema: Decay of the moving average of the weights, which is what is delivered.
        seed: Fixes everything.

    >>> RepairOptions(shown=0)
    Traceback (most recent call last):
    sartor.errors.UsageError: shown is 0; it must be at least 1
    """

    shown: int = 65_536
    batch: int | None = None
    rounds: int = 8
    patience: int = 3
    learning_rate: float | None = None
    temperature: float = 6.0
    ema: float = 0.99
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("shown", "rounds", "patience"):
            value = getattr(self, name)
            if value < 1:
                raise UsageError(f"{name} is {value}; it must be at least 1")
        if self.batch is not None and self.batch < 1:
            raise UsageError(f"batch is {self.batch}; it must be at least 1")
        require_seed(self.seed)

    def batch_of(self, images: Images) -> int:
        """Images of a step.

        >>> import torch
        >>> from sartor.data import Images
        >>> few = Images(torch.zeros(2, 3, 32, 32), torch.zeros(2))
        >>> RepairOptions().batch_of(few)
        64
        """
        if self.batch is not None:
            return self.batch
        least, most = _BATCHES
        fitting = _NUMBERS // math.prod(images.shape)
        return max(least, min(most, fitting))


def steps_of(options: RepairOptions, images: Images) -> int:
    """Steps in which all that is to be shown is shown; 0 where that is less than one step.

    >>> import torch
    >>> from sartor.data import Images
    >>> steps_of(RepairOptions(shown=640), Images(torch.zeros(2, 3, 32, 32), torch.zeros(2)))
    10
    """
    return options.shown // options.batch_of(images)
