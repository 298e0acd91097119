"""The form in which candidates are trained: batch norms stand again where they were folded.

Weights are rounded per output channel, so a batch norm behind a rounded convolution only scales its steps: folding it
afterwards changes nothing but the last bits, and training sees the statistics of each batch, as the original's did.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, fx, nn

from sartor.compression.modules import FoldedNorm, fold, own_norms, trainable_copy
from sartor.compression.quantizing._quantizers import QuantizedWeight
from sartor.graph import walk


def unfold(folded: fx.GraphModule, inputs: tuple[Tensor, ...]) -> fx.GraphModule:
    """A copy to train, with batch norms where `fold` took them out; in evaluation mode it computes what ``folded`` does.

    Statistics are those of ``inputs``; a batch norm that stood behind several layers stays folded. Weights before the others are
    scaled to length 1 per output channel: only their direction counts there, and a step of a given size turns them the further
    the shorter they are (van Laarhoven 2017).
    """
    network = trainable_copy(folded)
    missing = own_norms(folded, lambda module: isinstance(module, FoldedNorm))

    def visit(node: fx.Node, value: Tensor) -> None:
        norm = missing.pop(str(node.target), None) if node.op == "call_module" else None
        if norm is not None:
            layer = cast("nn.Conv2d", network.get_submodule(str(node.target)))
            network.set_submodule(norm, _split(layer, value))

    walk(folded, inputs, visit)
    _fit(network)
    return network


def refold(trained: fx.GraphModule) -> fx.GraphModule:
    """A network of its own whose batch norms are folded (again), ranges of rounded weights fitted to what they are now."""
    network = trainable_copy(fold(trained))
    _fit(network)
    return network


@torch.no_grad()
def _split(layer: nn.Conv2d, outputs: Tensor) -> nn.BatchNorm2d:
    """Scale a layer's weights to length 1, in place, and take its bias away; the batch norm that undoes both."""
    assert layer.bias is not None
    length = layer.weight.flatten(1).norm(dim=1)
    length = torch.where(length > 0, length, 1.0)
    layer.weight.div_(length.view(-1, 1, 1, 1))
    mean, variance = outputs.mean((0, 2, 3)), outputs.var((0, 2, 3), correction=0) / length.square()
    norm = nn.BatchNorm2d(len(mean)).eval()
    assert norm.running_mean is not None
    assert norm.running_var is not None
    norm.running_mean.copy_((mean - layer.bias) / length)
    norm.running_var.copy_(variance)
    norm.weight.copy_(length * (variance + norm.eps).sqrt())
    norm.bias.copy_(mean)
    layer.bias.zero_()
    return norm


def _fit(network: fx.GraphModule) -> None:
    for module in network.modules():
        if isinstance(module, QuantizedWeight):
            module.fit()
