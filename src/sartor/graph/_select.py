"""What picks channels by their places."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class ChannelSelect(nn.Module):
    """Picks channels along ``dim`` by index; index −1 yields zeros.

    Stands before and after an operator whose channel positions are fixed numbers (a zero-padding
    shortcut, a split at 58 channels, a channel shuffle): the first restores the original width with
    zeros, the second picks what is kept.

    >>> ChannelSelect(1, torch.tensor([1, -1]))(torch.tensor([[5.0, 6.0]]))
    tensor([[6., 0.]])
    """

    index: Tensor
    _shifted: Tensor

    def __init__(self, dim: int, index: Tensor) -> None:
        super().__init__()
        self.dim = dim
        self.register_buffer("index", index)

        in_order = torch.arange(len(index))
        self.is_identity = torch.equal(index, in_order)

        yields_zeros = index < 0
        self.has_zeros = bool(yields_zeros.any())

        # One channel of zeros goes in front of the others, so −1 becomes 0.
        shifted = index + 1
        self.register_buffer("_shifted", shifted, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Shape of ``x`` with ``len(index)`` channels along ``dim``."""
        is_whole = x.shape[self.dim] == len(self.index)
        if self.is_identity and is_whole:
            return x
        if not self.has_zeros:
            return x.index_select(self.dim, self.index)

        # One channel of zeros in front to pick from: two operators in every runtime, where filling
        # in takes a dozen.
        axes_behind = x.dim() - 1 - self.dim
        padding = [0, 0] * axes_behind + [1, 0]
        padded = F.pad(x, padding)
        return padded.index_select(self.dim, self._shifted)

    def extra_repr(self) -> str:
        """Shown by ``print(network)``."""
        return f"dim={self.dim}, channels={len(self.index)}"
