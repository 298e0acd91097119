"""The mean of the weights of several epochs, which can be better than each of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, eq=False)
class Soup:
    """Networks of one training whose weights are averaged; as a greedy soup (Wortsman et al. 2022), but in the order of epochs.

    ``members`` are numbers of epochs from 1, 0 for the candidate that the training began with; ``accuracy`` (0 to 1) is that of
    their mean on the validation images. Epochs of one training that do not lie apart too far have means that are about as good
    as they are, or better, with the noise of the last steps averaged away (Izmailov et al. 2018).
    """

    tensors: Mapping[str, Tensor]
    members: tuple[int, ...]
    accuracy: float

    def stirred(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The mean with one more network; whole numbers, which have no mean, are the new one's."""
        share = 1 / (len(self.members) + 1)
        return {
            name: self.tensors[name].lerp(item, share) if item.is_floating_point() else item
            for name, item in tensors.items()
        }

    def best_with(
        self,
        tensors: Mapping[str, Tensor],
        number: int,
        accuracy: Callable[[Mapping[str, Tensor]], float],
    ) -> tuple[Soup, Soup]:
        """The best of both together, the epoch alone and this soup, of equals in this order; and the epoch alone."""
        alone = Soup(tensors, (number,), accuracy(tensors))
        mean = self.stirred(tensors)
        together = Soup(mean, (*self.members, number), accuracy(mean))
        return max((together, alone, self), key=lambda soup: soup.accuracy), alone
