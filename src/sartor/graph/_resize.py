"""Reshaping to sizes that follow what is kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, fx, nn

#: Methods of tensors that are given sizes.
_RESIZING = ("reshape", "expand")


class Resize(nn.Module):
    """``x.reshape(sizes)`` or ``x.expand(sizes)``, where sizes that are numbers can be changed.

    Stands where the graph has fixed sizes that include those of channels. Sizes that depend on the
    batch come with each call.

    >>> import torch
    >>> Resize("reshape", [None, 2, 3])(torch.zeros(4, 6), 4).shape
    torch.Size([4, 2, 3])

    Attributes:
        method: Name of the method.
        sizes: The new sizes; None for those that come with the call.
    """

    def __init__(self, method: str, sizes: Sequence[int | None]) -> None:
        super().__init__()
        self.method = method
        self.sizes = tuple(sizes)

    @classmethod
    def of(cls, node: fx.Node, sizes: Sequence[Any]) -> Resize:
        """What a node does that is given these sizes, as `fixed_sizes` tells them."""
        known = [size if isinstance(size, int) else None for size in sizes]
        return cls(str(node.target), known)

    def forward(self, x: Tensor, *given: int) -> Tensor:
        """``x`` in its new shape; ``given`` are the sizes that are None, in order."""
        coming = iter(given)
        sizes = [next(coming) if size is None else size for size in self.sizes]
        if self.method == "expand":
            return x.expand(sizes)
        return x.reshape(sizes)

    def to_counts(self, counts: Sequence[int | None]) -> Resize:
        """The same for tensors of which so many places are left along each axis.

        None where nothing changes. What is taken from the other sizes (−1) stays so.
        """
        sizes: list[int | None] = []
        for size, count in zip(self.sizes, counts, strict=True):
            is_fixed = size is not None and size != -1
            sizes.append(count if is_fixed and count is not None else size)
        return Resize(self.method, sizes)

    def extra_repr(self) -> str:
        """Shown by ``print(network)``."""
        return f"{self.method}, sizes={self.sizes}"


def fixed_sizes(node: fx.Node) -> list[Any] | None:
    """The sizes that a node is given, numbers or nodes; None where it is given none."""
    if node.op != "call_method" or node.target not in _RESIZING or node.kwargs:
        return None

    _, *sizes = node.args
    if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)):
        sizes = list(sizes[0])
    if not all(isinstance(size, (int, fx.Node)) for size in sizes):
        return None
    return sizes
