"""The mean of the weights of several epochs, which can be better than each of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor

#: The tensors of a network by their names.
Tensors = Mapping[str, Tensor]


@dataclass(frozen=True, eq=False)
class Soup:
    """Networks of one training whose weights are averaged.

    A greedy soup (Wortsman et al. 2022), but in the order of epochs. Epochs of one training that do
    not lie apart too far have means that are about as good as they are, or better, with the noise
    of the last steps averaged away (Izmailov et al. 2018).

    Attributes:
        tensors: Their mean.
        members: Numbers of epochs from 1; 0 is the candidate that the training began with.
        quality: How good their mean is, larger is better.
    """

    tensors: Tensors
    members: tuple[int, ...]
    quality: float

    def mean_with(self, tensors: Tensors) -> dict[str, Tensor]:
        """The mean with one more network; whole numbers, which have no mean, are the new one's."""
        # A running mean, for which the networks before need not be kept.
        count = len(self.members) + 1
        share = 1 / count
        mean = {}
        for name, item in tensors.items():
            if item.is_floating_point():
                mean[name] = self.tensors[name].lerp(item, share)
            else:
                mean[name] = item
        return mean

    def best_with(
        self, tensors: Tensors, number: int, quality: Callable[[Tensors], float]
    ) -> tuple[Soup, Soup]:
        """What is best once an epoch has ended, and that epoch alone.

        The best is the mean with the epoch, the epoch alone or this soup; of equals the first.
        """
        alone = Soup(tensors, (number,), quality(tensors))

        mean = self.mean_with(tensors)
        members = (*self.members, number)
        together = Soup(mean, members, quality(mean))

        # `max` returns the first of equals.
        best = max((together, alone, self), key=lambda soup: soup.quality)
        return best, alone
