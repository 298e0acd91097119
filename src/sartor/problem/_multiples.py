"""How many channels go at a time: as kernels work, where a group has enough of them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

#: Choices that every group is left with: a group of 16 in steps of 8 would have two, and what so
#: coarse a step gives up is more than what a kernel gains.
_CHOICES = 8


@dataclass(frozen=True)
class Multiples:
    """Channel counts are multiples of a number, or of a part of it in small groups.

    A group has at least eight multiples to choose from, if it has as many channels.

    Attributes:
        channels: Of large groups: what kernels work on at a time, at least 1.

    >>> of_kernels = Multiples(8)
    >>> [of_kernels.within(size) for size in (512, 64, 48, 32, 16, 12)]
    [8, 8, 4, 4, 2, 1]
    >>> print(of_kernels)
    8, but 4 in groups below 64 channels, 2 below 32, 1 below 16
    """

    channels: int

    def within(self, size: int) -> int:
        """The multiple in a group of ``size`` channels."""
        fitting = [part for part in self._parts() if part * _CHOICES <= size]
        return max(fitting, default=1)

    def __str__(self) -> str:
        parts = self._parts()
        exceptions = []
        for above, part in pairwise(parts):
            exceptions.append(f"{part} below {above * _CHOICES}")
        if not exceptions:
            return str(self.channels)

        first, *others = exceptions
        named = first.replace(" below ", " in groups below ") + " channels"
        return f"{self.channels}, but {', '.join([named, *others])}"

    def _parts(self) -> list[int]:
        """What divides it, the largest first."""
        return [part for part in range(self.channels, 0, -1) if self.channels % part == 0]
