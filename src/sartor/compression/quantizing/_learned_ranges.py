"""Ranges of a network while it is trained, and afterwards."""

from __future__ import annotations

import torch
from torch import Tensor, fx, nn

from sartor.compression.quantizing._quantizers import ActivationQuantizer, QuantizedWeight
from sartor.compression.quantizing._rounding import TENTHS


def learn_ranges(network: fx.GraphModule) -> None:
    """Let all ranges of a network be trained, in place; it computes what it did."""
    # Tensors that share a range go on sharing it.
    growths: dict[int, nn.Parameter] = {}
    for module in network.modules():
        if isinstance(module, ActivationQuantizer):
            ends = nn.Parameter(module.scale.new_zeros(2))
            module.growth = growths.setdefault(id(module.scale), ends)
        elif isinstance(module, QuantizedWeight):
            scale, _ = module.fitted()
            module.growth = nn.Parameter(TENTHS * (module.weight_scale / scale).log())


@torch.no_grad()
def settle_ranges(network: fx.GraphModule) -> None:
    """Let ranges stand as they were learned; no tensor of the network is written to.

    Weights that are beyond their range are clipped: runtimes clip where integers of 8 bits end,
    even if a scheme uses fewer of them.
    """
    settled: dict[int, tuple[Tensor, Tensor]] = {}
    for module in network.modules():
        if isinstance(module, ActivationQuantizer):
            key = id(module.growth)
            if key not in settled:
                settled[key] = module.learned()
            scale, zero_point = settled[key]
            module.scale = scale
            module.zero_point = zero_point.to(torch.int32)
            module.growth = None
        elif isinstance(module, QuantizedWeight):
            module.weight_scale, module.weight_zero_point = module.learned()
            module.growth = None
            module.weight = nn.Parameter(module.clipped(), requires_grad=False)
