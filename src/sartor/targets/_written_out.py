"""Norms that no format has an operator for, as the operators that they consist of."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, fx, nn


class WrittenOutNorm(nn.Module):
    """What `torch.nn.RMSNorm` computes over the last axis.

    >>> norm = nn.RMSNorm(3)
    >>> x = torch.tensor([[1.0, 2.0, 3.0]])
    >>> torch.allclose(WrittenOutNorm(norm)(x), norm(x))
    True
    """

    def __init__(self, norm: nn.RMSNorm) -> None:
        super().__init__()
        self.weight = norm.weight
        # As torch has it for numbers of 32 bits.
        self.eps = torch.finfo(torch.float32).eps if norm.eps is None else norm.eps

    def forward(self, x: Tensor) -> Tensor:
        """Of the shape of ``x``."""
        mean = x.square().mean(-1, keepdim=True)
        normalised = x * torch.rsqrt(mean + self.eps)
        return normalised if self.weight is None else normalised * self.weight


def norms_written_out(network: fx.GraphModule) -> fx.GraphModule:
    """A network without `torch.nn.RMSNorm`; itself if it has none. Weights are shared."""
    norms = {
        name: module
        for name, module in network.named_modules()
        if isinstance(module, nn.RMSNorm) and len(module.normalized_shape) == 1
    }
    if not norms:
        return network

    # A copy of the tree of modules, with the tensors of the original.
    tensors = [*network.parameters(), *network.buffers()]
    plain = copy.deepcopy(network, {id(tensor): tensor for tensor in tensors})
    for name, module in norms.items():
        plain.set_submodule(name, WrittenOutNorm(module))
    return plain
