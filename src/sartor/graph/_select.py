"""The only module sartor ever adds to a network."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ChannelSelect(nn.Module):
    """Picks channels along ``dim`` by index; index −1 yields zeros.

    Stands before and after an operator whose channel positions are fixed numbers (a zero-padding shortcut, a split at 58
    channels, a channel shuffle): the first restores the original width with zeros, the second picks what is kept.
    """

    index: Tensor
    _filled: Tensor
    _picked: Tensor

    def __init__(self, dim: int, index: Tensor) -> None:
        super().__init__()
        self.dim = dim
        self.register_buffer("index", index)
        width = len(index)
        self.is_identity = bool((index == torch.arange(width)).all())
        present = index >= 0
        self.has_zeros = not bool(present.all())
        # found here, because compilers stop where the length of a tensor depends on the values of another
        self.register_buffer("_filled", present.nonzero().flatten(), persistent=False)
        self.register_buffer("_picked", index[present], persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Shape of ``x`` with ``len(index)`` channels along ``dim``."""
        if self.is_identity and x.shape[self.dim] == len(self.index):
            return x
        if not self.has_zeros:
            return x.index_select(self.dim, self.index)
        shape = list(x.shape)
        shape[self.dim] = len(self.index)
        out = x.new_zeros(shape)
        return out.index_copy(self.dim, self._filled, x.index_select(self.dim, self._picked))

    def extra_repr(self) -> str:
        """Shown by ``print(network)``."""
        return f"dim={self.dim}, channels={len(self.index)}"
