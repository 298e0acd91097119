"""Images as networks are scored on them, batch by batch."""

from __future__ import annotations

import math
from functools import cached_property

import torch
from torch import Tensor

from sartor.data import Images
from sartor.machine import CPU, channels_last, room_for_inputs

#: Images that are made ready at once, where all are kept.
_CHUNK = 500


#: Numbers of all images of one pass on the CPU: a hundred small images, or six photos.
_NUMBERS = 1_000_000


def pass_size(images: Images, most: int) -> int:
    """How many images a network runs on at once on the CPU: at most ``most``, fewer large ones.

    >>> pass_size(Images(torch.zeros(1, 3, 224, 224), torch.zeros(1).long()), most=100)
    6
    """
    fitting = _NUMBERS // math.prod(images.shape)
    return max(1, min(most, fitting))


class Inputs:
    """Images in some order, normalised, in one number format.

    >>> images = Images(torch.arange(4.0).view(4, 1, 1, 1), torch.zeros(4, dtype=torch.long))
    >>> inputs = Inputs(images, order=torch.tensor([3, 1]))
    >>> inputs.batch(0, 2).flatten()
    tensor([3., 1.])

    Args:
        images: All images.
        order: Which of them, in which order, (count,).
        dtype: The number format; whole numbers that are no pixels stay whole.
        device: Where they are made ready.
        keep: Whether they are kept, where there is room for them: making them ready takes a
            hundredth of what a network takes.
    """

    def __init__(
        self,
        images: Images,
        order: Tensor,
        dtype: torch.dtype = torch.float32,
        device: torch.device = CPU,
        *,
        keep: bool = True,
    ) -> None:
        self._images = images
        self._order = order
        self._dtype = dtype
        self._device = device
        self._keep = keep

    def batch(self, start: int, stop: int) -> Tensor:
        """Images ``start`` to ``stop`` − 1 of the order."""
        if self._keep and self._fits:
            return self._ready[start:stop]
        return self._made(start, stop)

    @property
    def _fits(self) -> bool:
        values = len(self._order) * math.prod(self._images.shape)
        return values * self._dtype.itemsize <= room_for_inputs(self._device)

    @cached_property
    def _ready(self) -> Tensor:
        # In parts, for all at once would be there as bytes, in fp32 and in the format wanted.
        first = self._made(0, min(_CHUNK, len(self._order)))
        shape = (len(self._order), *first.shape[1:])
        ready = channels_last(first.new_empty(shape))
        ready[: len(first)] = first

        for start in range(len(first), len(ready), _CHUNK):
            part = self._made(start, start + _CHUNK)
            ready[start : start + len(part)] = part
        return ready

    def _made(self, start: int, stop: int) -> Tensor:
        chosen = self._order[start:stop]
        inputs = self._images.batch(chosen, self._device)
        if inputs.is_floating_point():
            inputs = inputs.to(self._dtype)
        return channels_last(inputs)
