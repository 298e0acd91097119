"""Reshaping to sizes that follow what is kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from torch import Tensor, fx, nn

#: Methods of tensors that are given sizes.
_RESIZING = ("reshape", "expand")


class Resize(nn.Module):
    """``x.reshape(sizes)`` or ``x.expand(sizes)``, where sizes can be changed.

    Stands where the graph has fixed sizes that include those of channels. Sizes that depend on the
    batch come with each call; of one that counts both (batch × heads) the same share is left.

    >>> import torch
    >>> resize = Resize("reshape", [None, 2, 3])
    >>> resize(torch.zeros(4, 6), 4).shape
    torch.Size([4, 2, 3])
    >>> resize.to_counts([(1, 2), None, None])(torch.zeros(4, 3), 4).shape
    torch.Size([2, 2, 3])

    Attributes:
        method: Name of the method.
        sizes: The new sizes; None for those that come with the call.
        shares: Of each size that comes with the call, how many places of how many are left.
    """

    def __init__(
        self,
        method: str,
        sizes: Sequence[int | None],
        shares: Mapping[int, tuple[int, int]] = MappingProxyType({}),
    ) -> None:
        super().__init__()
        self.method = method
        self.sizes = tuple(sizes)
        self.shares = dict(shares)

    @classmethod
    def of(cls, node: fx.Node, sizes: Sequence[Any]) -> Resize:
        """What a node does that is given these sizes, as `fixed_sizes` tells them."""
        known = [size if isinstance(size, int) else None for size in sizes]
        return cls(str(node.target), known)

    def forward(self, x: Tensor, *given: int) -> Tensor:
        """``x`` in its new shape; ``given`` are the sizes that are None, in order."""
        coming = iter(given)
        sizes: list[int] = []
        for axis, size in enumerate(self.sizes):
            new = next(coming) if size is None else size
            if axis in self.shares:
                left, full = self.shares[axis]
                new = new * left // full
            sizes.append(new)

        if self.method == "expand":
            return x.expand(sizes)
        return x.reshape(sizes)

    def to_counts(self, counts: Sequence[tuple[int, int] | None]) -> Resize:
        """The same for tensors of which so many places of so many are left along each axis.

        None where nothing changes. What is taken from the other sizes (−1) stays so.
        """
        sizes: list[int | None] = []
        shares = {}
        for axis, (size, count) in enumerate(zip(self.sizes, counts, strict=True)):
            new = size
            if count is not None and size is None:
                shares[axis] = count
            elif count is not None and size != -1:
                new, _ = count
            sizes.append(new)
        return Resize(self.method, sizes, shares)

    def extra_repr(self) -> str:
        """Shown by ``print(network)``."""
        return f"{self.method}, sizes={self.sizes}"


def fixed_sizes(
    node: fx.Node, number: Callable[[fx.Node], int | None] = lambda _: None
) -> list[Any] | None:
    """The sizes that a node is given, numbers or nodes; None where it is given none.

    ``number`` gives those of nodes that channels alone decide on.
    """
    if node.op != "call_method" or node.target not in _RESIZING or node.kwargs:
        return None

    _, *sizes = node.args
    if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)):
        sizes = list(sizes[0])
    if not all(isinstance(size, (int, fx.Node)) for size in sizes):
        return None

    found: list[Any] = []
    for size in sizes:
        known = number(size) if isinstance(size, fx.Node) else None
        found.append(size if known is None else known)
    return found
